"""What a lesson must be: a path that one hour holds, asides that stay aside, and questions.

A lesson has three layers. The *path* is what everybody sees. Sections whose heading begins with ``Deeper:`` are
collapsed when the notebook is opened, and nothing on the path needs them. *Exercises* and *Check yourself* come last.
"""

import ast
import builtins
import re
from dataclasses import dataclass, field

import nbformat
import pytest

import torchnlp

NOTEBOOKS = torchnlp.ROOT / "notebooks"
LESSONS: tuple[str, ...] = tuple(sorted(path.stem for path in NOTEBOOKS.glob("[1-6]-*.ipynb")))
COLLAPSED = "jp-MarkdownHeadingCollapsed"
MOST_CELLS_ON_THE_PATH = 35

every_lesson = pytest.mark.parametrize("lesson", LESSONS)


@dataclass
class Layers:
    """The cells of a lesson by layer; headings are ``(level, text, cell)``."""

    path: list[nbformat.NotebookNode] = field(default_factory=list)
    deeper: list[nbformat.NotebookNode] = field(default_factory=list)
    exercises: list[nbformat.NotebookNode] = field(default_factory=list)
    headings: list[tuple[int, str, nbformat.NotebookNode]] = field(default_factory=list)


def headings_of(source: str) -> list[tuple[int, str]]:
    """Level and text of each heading; a line of a code block is none."""
    without_code = re.sub(r"```.*?```", "", source, flags=re.DOTALL)
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", without_code, flags=re.MULTILINE)]


def layers_of(notebook: nbformat.NotebookNode) -> Layers:
    """Sort the cells of a lesson: below which heading does each stand?"""
    layers = Layers()
    deeper_level, in_exercises = None, False
    for cell in notebook.cells:
        for level, text in headings_of(cell.source) if cell.cell_type == "markdown" else []:
            layers.headings.append((level, text, cell))
            if deeper_level is not None and level <= deeper_level:
                deeper_level = None
            if text.startswith("Deeper:"):
                deeper_level = level
            in_exercises = in_exercises or text == "Exercises"
        layer = layers.exercises if in_exercises else layers.deeper if deeper_level else layers.path
        layer.append(cell)
    if layers.exercises and layers.exercises[-1].cell_type == "code":
        layers.path.append(layers.exercises.pop())  # the last cell, which prints the time
    return layers


def read(lesson: str) -> Layers:
    return layers_of(nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4))


def code(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    return [cell for cell in cells if cell.cell_type == "code"]


def prose(cells: list[nbformat.NotebookNode]) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


# -------------------------------------------------------------------------------------------------- path and asides


def test_there_are_six_lessons():
    """Else the tests of this file would look at fewer."""
    assert [lesson[:2] for lesson in LESSONS] == [f"{number}-" for number in range(1, 7)]


@every_lesson
def test_an_hour_holds_the_path(lesson):
    assert len(code(read(lesson).path)) <= MOST_CELLS_ON_THE_PATH


@every_lesson
def test_deeper_sections_are_collapsed_and_nothing_else_is(lesson):
    layers = read(lesson)
    deeper = [cell.id for _, text, cell in layers.headings if text.startswith("Deeper:")]
    assert deeper, "no section off the path"
    for level, text, cell in layers.headings:
        if text.startswith("Deeper:"):
            assert cell.source.startswith("#" * level + " Deeper:"), f"{cell.id}: the heading begins its cell"
            assert cell.metadata.get(COLLAPSED) is True, f"{cell.id}: not collapsed"
        elif cell.id not in deeper:
            assert COLLAPSED not in cell.metadata, f"{cell.id}: collapsed, and on the path"
    for section, (level, _, cell) in enumerate(layers.headings):
        after = layers.headings[section + 1 :]
        if cell.id in deeper and (end := next((heading for heading in after if heading[0] <= level), None)):
            assert end[2].source.startswith("#"), f"{end[2].id}: begins within a cell, so it is collapsed, too"


def defined_and_used(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell defines at its top level, or anywhere for loops and withs, and all names that it reads."""
    tree = ast.parse(source)
    defined, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
    return defined, used


def needs_of_the_path(layers: Layers) -> dict[str, set[str]]:
    """For each cell on the path: the names that it reads and that only sections off the path define."""
    on_path: set[str] = set(dir(builtins))
    off_path: set[str] = set()
    for cell in code(layers.path):
        on_path |= defined_and_used(cell.source)[0]
    for cell in code(layers.deeper):
        off_path |= defined_and_used(cell.source)[0]
    needs = {cell.id: defined_and_used(cell.source)[1] & (off_path - on_path) for cell in code(layers.path)}
    return {cell: names for cell, names in needs.items() if names}


@every_lesson
def test_the_path_needs_nothing_that_stands_deeper(lesson):
    assert not needs_of_the_path(read(lesson))


# ------------------------------------------------------------------------------------------------------------ anatomy


@every_lesson
def test_parts_in_order(lesson):
    """The skeleton that every lesson shares, so that a reader of one finds the way in all."""
    texts = [text for _, text, _ in read(lesson).headings]
    parts = ["What you will learn", "Before you run anything", "The big picture", "Takeaways", "What next"]
    parts += ["Exercises", "Check yourself"]
    places = [texts.index(part) for part in parts]
    assert places == sorted(places), texts
    assert any(text == "Deeper: What the helper did under the hood" for text in texts)


@every_lesson
def test_goals_are_three_and_needs_are_said(lesson):
    text = prose(read(lesson).path)
    goals = text.partition("## What you will learn")[2].partition("\n#")[0]
    assert re.findall(r"^(\d)\.", goals, flags=re.MULTILINE) == ["1", "2", "3"]
    assert "**What you need" in goals


@every_lesson
def test_the_big_picture_comes_before_the_first_long_cell(lesson):
    before_it = []
    for cell in read(lesson).path:
        if cell.cell_type == "markdown" and "](figures/" in cell.source:
            break
        before_it.append(cell)
    else:
        pytest.fail("no drawing on the path")
    assert len(code(before_it)) <= 3


@every_lesson
def test_drawings_exist_and_are_described(lesson):
    layers = read(lesson)
    drawings = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", prose([*layers.path, *layers.deeper, *layers.exercises]))
    assert drawings
    for alt, address in drawings:
        assert (NOTEBOOKS / address).is_file(), address
        assert len(alt) > 40, f"{address}: say what the drawing shows"


@every_lesson
def test_takeaways_fit_a_screen(lesson):
    takeaways = prose(read(lesson).path).partition("## Takeaways")[2].partition("\n## ")[0]
    points = re.findall(r"^- ", takeaways, flags=re.MULTILINE)
    assert 3 <= len(points) <= 8 and len(takeaways.split()) <= 220


# ------------------------------------------------------------------------------------------------ exercises, questions


@every_lesson
def test_exercises_say_how_long_and_how_hard(lesson):
    headings = [text for level, text, cell in read(lesson).headings if level == 3 and re.match(r"\d+\. ", text)]
    assert len(headings) >= 5
    for number, text in enumerate(headings, start=1):
        assert re.fullmatch(rf"{number}\. .+ \(\d+ minutes, difficulty [123] of 3\)", text), text
    assert any("intervention" in text for text in headings), "one of them intervenes"
    assert any("on your own data" in text for text in headings), "one of them reads what the learner brings"


@every_lesson
def test_a_check_is_one_call(lesson):
    for cell in code(read(lesson).exercises):
        if cell.id.startswith("check-"):
            module = f"lesson_{lesson[0]}"
            pattern = rf"from checks import {module} as check\n\ncheck\.(\w+)\((\w+)(, \w+)*\)"
            assert re.fullmatch(pattern, cell.source.strip()), f"{cell.id}: import the check and call it"


@every_lesson
def test_check_yourself_asks_six_questions_with_folded_answers(lesson):
    text = prose(read(lesson).exercises).partition("## Check yourself")[2]
    folded = re.findall(r"<details>\s*<summary>(.+?)</summary>(.+?)</details>", text, flags=re.DOTALL)
    assert len(folded) == 6
    for question, answer in folded:
        assert question.strip().endswith("?"), question
        assert len(answer.split()) >= 15, f"{question}: the answer says why"


# ------------------------------------------------------------------------------------------------------ the words

PRIVATE_WORDS = {
    r"\bway back\b": "backward pass",
    r"\bway there\b": "forward pass",
    r"\bpieces kept\b": "activations",
    r"\bchances\b": "probabilities",
    r"\brow of numbers\b": "vector",
}


@every_lesson
@pytest.mark.parametrize("word", PRIVATE_WORDS)
def test_no_private_word_where_the_field_has_one(lesson, word):
    layers = read(lesson)
    cells = [*layers.path, *layers.deeper, *layers.exercises]
    for cell in cells:
        found = re.search(word, cell.source)
        assert not found, f"{cell.id}: the field says {PRIVATE_WORDS[word]!r}"


@every_lesson
def test_a_term_is_defined_once(lesson):
    """What stands in bold within a sentence is the definition of a term, and there is one of each."""
    layers = read(lesson)
    text = prose([*layers.path, *layers.deeper])
    terms = [term.lower() for term in re.findall(r"(?<=[\w,(] )\*\*([^*\n]+)\*\*", text)]
    assert len(terms) == len(set(terms)), sorted({term for term in terms if terms.count(term) > 1})


# ------------------------------------------------------------------------------------------------- the lint can fail


def lesson_of(*cells: tuple[str, str, bool]) -> nbformat.NotebookNode:
    """A made-up lesson: markdown begins with a #; True collapses a cell."""
    made = nbformat.v4.new_notebook()
    for name, source, collapsed in cells:
        kind = nbformat.v4.new_markdown_cell if source.startswith("#") else nbformat.v4.new_code_cell
        made.cells.append(kind(source, id=name, metadata={COLLAPSED: True} if collapsed else {}))
    return made


MADE = (
    ("a", "# Title", False),
    ("b", "x = 1", False),
    ("c", "## Deeper: more", True),
    ("d", "y = 2", False),
    ("e", "### A part of it", False),
    ("f", "z = 3", False),
    ("g", "## On again", False),
    ("h", "print(x, y)", False),
    ("i", "## Exercises", False),
    ("j", "def answer(): ...", False),
    ("k", "print(1)", False),
)


def test_layers_of_a_made_up_lesson():
    layers = layers_of(lesson_of(*MADE))
    assert [cell.id for cell in layers.path] == ["a", "b", "g", "h", "k"]
    assert [cell.id for cell in layers.deeper] == ["c", "d", "e", "f"]
    assert [cell.id for cell in layers.exercises] == ["i", "j"]


def test_a_path_that_needs_an_aside_is_found():
    assert needs_of_the_path(layers_of(lesson_of(*MADE))) == {"h": {"y"}}


def test_a_heading_in_a_code_block_is_none():
    assert headings_of("# One\n\n```\n# a comment\n```\n\n## Two") == [(1, "One"), (2, "Two")]
