"""What people do with a course: other machines, folders, settings and orders than its authors had in mind."""

import os
import queue
import subprocess
import sys
from pathlib import Path

import conftest
import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError

import torchnlp


def run(command: list, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a command in a folder with some settings more; its output comes back as text."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def write_notebook(path: Path, *cells: tuple[str, str]) -> Path:
    """Write an executed notebook of code cells, each with the text that it prints."""
    notebook = nbformat.v4.new_notebook()
    for count, (source, printed) in enumerate(cells, start=1):
        outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
        notebook.cells.append(nbformat.v4.new_code_cell(source, execution_count=count, outputs=outputs))
    nbformat.write(notebook, path)
    return path


# ----------------------------------------------------------------------------------------------- lines that end in CRLF


def git(folder: Path, *words: str) -> None:
    """Run git without the settings of whoever runs the tests."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "init.defaultBranch=main"]
    done = run(["git", *names, *words], folder, **nobody)
    assert done.returncode == 0, done.stderr


def tracked_files() -> list[Path]:
    """The files of the repository, relative to its root."""
    done = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], torchnlp.ROOT)
    if done.returncode:
        pytest.skip("this is no git repository")
    names = [Path(name) for name in done.stdout.split("\0") if name]
    return [name for name in names if (torchnlp.ROOT / name).is_file()]


def test_a_clone_with_autocrlf_has_lf_and_the_same_data(tmp_path):
    origin, clone, names = tmp_path / "origin", tmp_path / "clone", tracked_files()
    for name in names:
        target = origin / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((torchnlp.ROOT / name).read_bytes())
    git(origin, "init", "--quiet")
    git(origin, "-c", "core.autocrlf=true", "add", "--all")
    git(origin, "commit", "--quiet", "--message", "all")
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "--quiet", origin.name, clone.name)
    for name in names:
        assert (clone / name).read_bytes() == (torchnlp.ROOT / name).read_bytes(), f"{name} changed"
    for name in (".ci/run", "Makefile", "torchnlp.py", "notebooks/1-attention.ipynb"):
        assert b"\r" not in (clone / name).read_bytes()


# -------------------------------------------------------------------------------------------------- nbval on any machine


class SlowKernel:
    """Stands for a kernel that has finished a cell and whose outputs arrive after so many seconds."""

    def __init__(self, delay: float, text: str):
        idle = {"execution_state": "idle"}
        messages = [("stream", {"name": "stdout", "text": text}), ("status", idle)]
        self.messages = [
            {"msg_type": kind, "content": content, "parent_header": {"msg_id": "cell"}} for kind, content in messages
        ]
        self.delay = delay

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        pass

    def execute_cell_input(self, source: str, allow_stdin: bool) -> str:
        return "cell"

    def await_reply(self, msg_id: str, timeout: float) -> None:
        pass  # the reply that the cell has finished is there

    def get_message(self, stream: str, timeout: float) -> dict:
        if timeout < self.delay:
            raise queue.Empty
        return self.messages.pop(0)


@pytest.fixture
def slow_cell(request, tmp_path) -> IPyNbCell:
    """A cell of a notebook as nbval collects it, whose output takes a minute."""
    path = write_notebook(tmp_path / "slow.ipynb", ("print('late')", "late\n"))
    file = IPyNbFile.from_parent(request.session, path=path)
    (cell,) = file.collect()
    file.kernel = SlowKernel(delay=60, text="late\n")
    return cell


def test_nbval_gives_up_after_five_seconds(slow_cell):
    """If this fails, nbval has changed: look whether conftest.py still has to say how long to wait."""
    assert slow_cell.output_timeout == 5
    with pytest.raises(NbCellError, match="Timeout of 5 seconds exceeded waiting for output"):
        slow_cell.runtest()


def test_the_suite_waits_for_a_late_output(slow_cell):
    conftest.pytest_collection_modifyitems([slow_cell])
    slow_cell.runtest()
    assert slow_cell.test_outputs[0].text == "late\n"


def test_the_suite_is_told_to_wait(request):
    """The function above is one that pytest calls."""
    plugins = request.config.pluginmanager.get_plugins()
    assert any(getattr(plugin, "__file__", None) == conftest.__file__ for plugin in plugins)
    for item in request.session.items:
        assert getattr(item, "output_timeout", conftest.OUTPUT_SECONDS) == conftest.OUTPUT_SECONDS, item


# ---------------------------------------------------------------------------------------------------- warnings of others


def test_no_setting_of_warnings_shows_one_in_a_notebook(tmp_path):
    source = "import warnings\nwarnings.warn('seen by who asks for it', ResourceWarning)\nprint('done')"
    notebook = write_notebook(tmp_path / "warns.ipynb", (source, "done\n"))
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        notebook,
    ]
    tests = os.pathsep.join([str(Path(conftest.__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = run(words, torchnlp.ROOT, PYTHONWARNINGS="always", PYTHONPATH=tests)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "1 passed" in done.stdout
