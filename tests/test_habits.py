"""What people do with a course: other machines, folders, settings and orders than its authors had in mind."""

import copy
import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import conftest
import nbformat
import pytest
from jupyterlab.commands import get_app_dir
from jupyterlab_server.settings_utils import get_settings
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError
from shortened import NOTEBOOKS, execute, shortened, tiny_model

import torchnlp

LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
ODD_FOLDER = "Übung eins"  # a space, and a letter that is not ASCII


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


# ------------------------------------------------------------------------------------------------- nbval on any machine


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


# --------------------------------------------------------------------------------------------------- warnings of others


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


# ----------------------------------------------------------------------------------------- each cell run twice in a row


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    """The folder of a model that is quick."""
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def twice(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with each of its code cells there twice, and nothing else."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    again = [copy.deepcopy(cell) for cell in code]
    for cell in again:
        cell.id += "-again"
    notebook.cells = [cell for pair in zip(code, again, strict=True) for cell in pair]
    return notebook


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell printed, without times."""
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return re.sub(r"\d+(\.\d+)? s\b", "TIME", text)


# Which cells of a lesson train something of which the cells after them go on
STARTS_ANEW = {
    "1-attention": "^train-",
    "2-transformers": "-train$",
    "3-bert": "^train-live$",
    "4-bert-classification": "^train$",
    "5-beyond-classification": "^train-",
}


# matplotlib asks a tensor for its numbers, which one on a GPU does not give.
NO_TENSOR_IN_A_FIGURE = """
import torch

def refuse(tensor, *_, **__):
    raise TypeError("a figure is drawn from numbers: call .tolist(), for a tensor may lie on a GPU")

torch.Tensor.__array__ = refuse
"""


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_cell_of_a_lesson_runs_twice(lesson, tiny):
    """A cell that learns learns the same the second time: it starts anew, and does not go on where it was."""
    notebook = twice(shortened(lesson))
    notebook.cells.insert(0, nbformat.v4.new_code_cell(NO_TENSOR_IN_A_FIGURE))
    cells = execute(notebook, TORCHNLP_MODEL=tiny).cells[1:]
    for once, again in zip(cells[::2], cells[1::2], strict=True):
        if torchnlp.device.type == "cpu" and re.search(STARTS_ANEW.get(lesson, "^$"), once.id):
            assert printed(once) == printed(again), once.id


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_cell_of_a_solution_runs_twice(lesson, tiny):
    notebook = nbformat.read(NOTEBOOKS / "solutions" / f"{lesson}.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("for _ in range(350)", "for _ in range(3)")  # the one that takes long
    execute(twice(notebook), TORCHNLP_MODEL=tiny)


# -------------------------------------------------------------------------------------- workers that start from nothing

# As processes do on macOS and Windows: a worker imports anew, and gets the collate function pickled.
SPAWN = "multiprocessing_context='spawn', num_workers"


def test_collate_functions_work_in_spawned_workers_of_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import functools

            import torch
            from torch.utils.data import DataLoader
            from transformers import BertTokenizer

            import torchnlp


            def each(batch, collates):
                return [collate(batch) for collate in collates]


            if __name__ == "__main__":
                items, _, _, vocab = torchnlp.load_dataset(source="sample")
                words = [functools.partial(collate, voc=vocab) for collate in (torchnlp.padify, torchnlp.offsetify)]
                pieces = torchnlp.BertCollate(BertTokenizer.from_pretrained(torchnlp.model_folder()))
                collate = functools.partial(each, collates=[*words, pieces])
                batches = list(DataLoader(items[:8], batch_size=4, collate_fn=collate, {SPAWN}=2))
                torch.testing.assert_close(batches, [collate(items[:4]), collate(items[4:8])], rtol=0, atol=0)
                try:
                    next(iter(DataLoader(items[:8], batch_size=4, collate_fn=torchnlp.padify, {SPAWN}=1)))
                except RuntimeError as error:
                    print(str(error).splitlines()[-1])
        """),
        encoding="utf-8",
    )
    done = run([sys.executable, script], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "collate_fn=functools.partial(torchnlp.padify, voc=vocab)" in done.stdout.splitlines()[-1]


def test_collate_functions_work_in_spawned_workers_of_a_notebook():
    source = f"""
        import functools

        from torch.utils.data import DataLoader

        import torchnlp

        items, _, _, vocab = torchnlp.load_dataset(source="sample")
        collate = functools.partial(torchnlp.padify, voc=vocab)
        batches = list(DataLoader(items[:8], batch_size=4, collate_fn=collate, {SPAWN}=2))
        assert [features.tolist() for _, features in batches] == [
            collate(items[i : i + 4])[1].tolist() for i in (0, 4)
        ]
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(source))])
    execute(notebook)


@pytest.mark.parametrize("lesson", LESSONS)
def test_lessons_load_data_in_their_own_process(lesson):
    """A worker that starts from nothing cannot find a function of the notebook, and lessons collate with such ones."""
    for path in (NOTEBOOKS / f"{lesson}.ipynb", NOTEBOOKS / "solutions" / f"{lesson}.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert cell.cell_type != "code" or "num_workers" not in cell.source, f"{path}: {cell.id}"


# ------------------------------------------------------------------------------------------------------- the start page

START = NOTEBOOKS / "README.md"


def links_in(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]*)\)", text)


def test_the_start_page_lists_the_lessons_as_the_readme_does():
    start = START.read_text(encoding="utf-8")
    readme = (torchnlp.ROOT / "README.md").read_text(encoding="utf-8")
    table = [line for line in start.splitlines() if line.startswith("| [")]
    assert table == [
        line.replace("](notebooks/", "](") for line in readme.splitlines() if "](notebooks/" in line and "|" in line
    ]
    assert [links_in(line) for line in table] == [[f"{lesson}.ipynb"] for lesson in LESSONS]
    for row, lesson in zip(table, LESSONS, strict=True):
        title = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4).cells[0].source.splitlines()[0]
        name = re.search(r"\[(.*?)\]", row)[1]
        assert title.startswith(f"# Lesson {name}"), f"{title!r} is called {name!r} on the start page"
        assert re.search(r"\d[^|]*\|$", row), "the last column says how long it takes"


def test_the_start_page_leads_somewhere():
    start = START.read_text(encoding="utf-8")
    for link in links_in(start):
        assert (NOTEBOOKS / link).is_file(), f"{link} is no file"
    levels = [len(marks) for marks in re.findall(r"^(#+) ", start, flags=re.MULTILINE)]
    assert levels[0] == 1 and set(levels[1:]) == {2}, "one title, then parts"


def make(folder: Path, *words: str) -> list[list[str]]:
    """The commands that make would run, each as a list of words."""
    if not shutil.which("make"):
        pytest.skip("make is not installed here")
    # The suite is itself started by make, whose settings would reach this one and add lines of their own.
    done = run(["make", "--dry-run", "--always-make", "--no-print-directory", *words], folder, MAKEFLAGS="")
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines()]


def test_make_lab_opens_the_start_page_and_asks_nothing(tmp_path):
    *_, (program, *words) = make(torchnlp.ROOT, "lab")
    assert program == ".venv/bin/python" and words[:2] == ["-m", "jupyterlab"]
    options = dict(word.split("=", 1) for word in words[2:] if "=" in word)
    assert torchnlp.ROOT / options["--LabApp.default_url"].removeprefix("/lab/tree/") == START
    readme = (torchnlp.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"python -m jupyterlab {' '.join(words[2:4])}\n" in readme, "without make, the same"

    def setting(plugin: str, name: str) -> object:
        schemas = Path(get_app_dir()) / "schemas"
        folder = torchnlp.ROOT / options["--LabApp.app_settings_dir"]
        found, _ = get_settings(str(folder), str(schemas), str(tmp_path), schema_name=plugin)
        return found["schema"]["properties"][name]

    news = setting("@jupyterlab/apputils-extension:notification", "fetchNews")
    assert news["default"] == "false" and "false" in [choice["const"] for choice in news["oneOf"]]
    assert setting("@jupyterlab/apputils-extension:notification", "checkForUpdates")["default"] is False
    viewers = setting("@jupyterlab/docmanager-extension:plugin", "defaultViewers")
    assert viewers["default"] == {"markdown": "Markdown Preview"}


# ------------------------------------------------------------------------------- folders with spaces and letters like Ü


def test_make_calls_no_program_by_a_path_with_a_space(tmp_path):
    """pip writes the path of Python into the first line of each program, where some systems allow no space."""
    folder = tmp_path / ODD_FOLDER
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(torchnlp.ROOT / name, folder)
    for target in ("setup", "lab", "test", "run", "site"):
        for words in make(folder, target):
            programs = [word for word in words if ".venv/bin/" in word]
            assert set(programs) <= {".venv/bin/python"}, words
            assert not any(ODD_FOLDER in word for word in words), f"{words} would break where a path is not quoted"
    news = f"{tmp_path}/{ODD_FOLDER}/meine Texte"
    named = [words for words in make(folder, "bench", f"NEWS={news}") if any("meine" in word for word in words)]
    assert named and all(words[-1] == news or words[0] == f"TORCHNLP_DATA={news}" for words in named)


@pytest.fixture
def odd_copy(tmp_path) -> Path:
    """The helper, the sample, the script and the tests' settings in a folder with an odd name."""
    root = tmp_path / ODD_FOLDER / "mein Kurs"
    for name in (
        "torchnlp.py",
        "pyproject.toml",
        "scripts/finetune.py",
        "tests/conftest.py",
        "tests/nbval_sanitize.cfg",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(torchnlp.ROOT / name, root / name)
    shutil.copytree(torchnlp.SAMPLE_FOLDER, root / "data" / "sample")
    return root


def test_the_course_works_in_a_folder_with_an_odd_name(odd_copy):
    (odd_copy / "notebooks").mkdir()
    shutil.copytree(odd_copy / "data" / "sample", odd_copy / "meine Texte")
    source = "import torchnlp\nprint(torchnlp.ROOT.name)\n_ = torchnlp.load_dataset()"
    loaded = "mein Kurs\nLoaded 1,000 training and 200 test items: the folder meine Texte.\n"
    notebook = write_notebook(odd_copy / "notebooks" / "für mich.ipynb", (source, loaded))
    settings = {"PYTHONPATH": str(odd_copy), "TORCHNLP_DATA": "meine Texte"}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", notebook]
    done = run(words, odd_copy, **settings)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    script = odd_copy / "scripts" / "finetune.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
    done = run([*launcher, script, odd_copy / "Lauf 1", "--help"], odd_copy, **settings)
    assert done.returncode == 0 and "--batch-size" in done.stdout, done.stdout + done.stderr


# --------------------------------------------------------------------------------------- what is written about machines


@pytest.mark.parametrize("folder", [".", "benchmarks", "scripts"])
def test_figures_name_their_machine(folder):
    page = (torchnlp.ROOT / folder / "README.md").read_text(encoding="utf-8")
    sections = [part for part in re.split(r"^## ", page, flags=re.MULTILINE) if re.search(r"^\|.*\d s\b", part, re.M)]
    assert sections
    for section in sections:
        assert re.search(r"measured on two cores of|rate and bandwidth were assumed", section), section.splitlines()[0]


def test_each_section_of_the_results_names_its_machine():
    results = (torchnlp.ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    marks = r"^<!-- ([\w ]+: [\w-]+) -->\n(.*?)^<!-- end of \1 -->"
    parts = re.findall(marks, results, flags=re.MULTILINE | re.DOTALL)
    assert len(parts) == results.count("\n### ") > 0
    for name, section in parts:
        conditions = section.splitlines()[2]
        assert re.search(r"^\d{4}-\d\d-\d\d · `.*python .*` · .*core.*measured on .* · torch ", conditions), name


def test_readme_says_where_the_course_does_not_run():
    readme = (torchnlp.ROOT / "README.md").read_text(encoding="utf-8")
    for words in ("Macs with Intel processors", "32-bit", "Python before 3.11", "not tried on Windows"):
        assert words in readme, words
