"""Is everything there that the lessons need? These tests take seconds; the lessons themselves are run after them."""

import os
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import torchnlp

ROOT = Path(__file__).resolve().parent.parent
PINS = re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "pinned"), PINS)
def test_package(name, pinned):
    if name in ("torch", "transformers"):  # machines with a GPU may bring their own builds of these two
        assert version(name)
    else:
        assert version(name) == pinned, f"run make setup: {name} is {version(name)}"


def test_the_helper_is_this_one():
    assert Path(torchnlp.__file__).resolve() == ROOT / "torchnlp.py", "another copy of the course is installed here"


def test_news():
    train, test, classes, vocabulary = torchnlp.load_dataset(source=os.environ.get("TORCHNLP_DATA", "sample"))
    assert train and test and len(classes) > 1 and len(vocabulary) > 2


def test_model():
    assert (Path(torchnlp.model_folder()) / "config.json").exists(), "run make setup, or python -m torchnlp"


def test_device():
    assert torch.ones(2, device=torchnlp.device).sum() == 2


def test_checks():
    from checks import lesson_1

    lesson_1.additive(lambda *inputs: None)
