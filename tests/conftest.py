"""The settings under which the suite runs: the sample, two threads, no network; and room for slow machines."""

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser

os.environ.setdefault("TORCHNLP_DATA", "sample")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
# Kernels inherit it, and a warning that it shows would be an output that the notebook does not have.
os.environ.pop("PYTHONWARNINGS", None)

OUTPUT_SECONDS = 120.0


def pytest_collection_modifyitems(items):
    """Wait long enough for the outputs of a cell that has finished: nbval 0.11 gives up after 5 seconds."""
    for item in items:
        if hasattr(item, "output_timeout"):  # a cell of a notebook; nbval has no option for it
            item.output_timeout = OUTPUT_SECONDS


# The site and the slides are looked at in a real browser, where there is one.


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt install chromium")
    with Browser() as started:
        yield started


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, a program that finds what keeps people out of a page."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("no axe-core here: pip install --no-deps axe-playwright-python==0.1.8")
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


# Tests with the mark `trained` assert something about a trained result. benchmarks/margins.py runs them with other
# seeds, and collects how far each assertion was from failing.


@pytest.fixture
def seed() -> int:
    """The seed of a test that trains."""
    return int(os.environ.get("COURSE_TEST_SEED", "0"))


@pytest.fixture
def far_from_failing(request) -> Callable[[str, float], None]:
    """Asserts that a distance is above zero, and notes it where benchmarks/margins.py asks for it."""

    def check(what: str, distance: float) -> None:
        if notes := os.environ.get("COURSE_TEST_NOTES"):
            with Path(notes).open("a", encoding="utf-8") as file:
                file.write(json.dumps([f"{request.node.name}: {what}", distance]) + "\n")
        assert distance > 0, what

    return check
