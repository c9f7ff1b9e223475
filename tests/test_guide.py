"""The teaching guide: what it names exists in the lessons, its plans add up, and each new lesson has a full chapter."""

import re
from functools import cache

import nbformat
import pytest
import test_frame

import torchnlp

NOTEBOOKS = torchnlp.ROOT / "notebooks"
GUIDE = NOTEBOOKS / "slides" / "teaching-guide.md"
SECTIONS = ("An hour", "Half a day", "On the board", "Three misunderstandings", "Exercises, and for whom")
PLANS = {"An hour": 60, "Half a day": 210}
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb"))

full_chapters = pytest.mark.parametrize("lesson", test_frame.LESSONS)


@cache
def notebook(lesson: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)


def parts_of(markdown: str, level: int) -> dict[str, str]:
    """The text below each heading of a level, by the heading."""
    pieces = re.split(rf"^{'#' * level} (.+)$", markdown, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def chapter(lesson: str) -> str:
    """What the guide says of a lesson."""
    number = lesson.partition("-")[0]
    (text,) = (
        text
        for title, text in parts_of(GUIDE.read_text(encoding="utf-8"), 2).items()
        if title.startswith(f"Lesson {number}:")
    )
    return text


def sections(lesson: str) -> dict[str, str]:
    """The sections of a chapter by the beginning of their headings, which may go on with minutes in brackets."""
    return {title.partition(" (")[0]: text for title, text in parts_of(chapter(lesson), 3).items()}


def rows(section: str) -> list[list[str]]:
    """The rows of a table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def without_drawings(markdown: str) -> str:
    """A text without its blocks, which hold the drawings."""
    return re.sub(r"^ *```.*?```", "", markdown, flags=re.MULTILINE | re.DOTALL)


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]*)`", text)


@cache
def headings_above(lesson: str) -> dict[str, set[str]]:
    """For each cell of a lesson: all headings below which it stands, or which it holds."""
    above, found = [], {}
    for cell in notebook(lesson).cells:
        held = test_frame.headings_of(cell.source) if cell.cell_type == "markdown" else []
        seen = {text for _, text in above} if not cell.source.startswith("#") else set()
        for level, text in held:
            above = [(other, name) for other, name in above if other < level] + [(level, text)]
            seen |= {name for _, name in above}
        found[cell.id] = seen or {text for _, text in above}
    return found


def exercises(lesson: str) -> dict[int, tuple[int, int]]:
    """Minutes and difficulty of each exercise, from its heading."""
    heading = re.compile(r"^### (\d+)\. .* \((\d+) minutes, difficulty (\d) of 3\)$", flags=re.MULTILINE)
    text = "\n".join(cell.source for cell in notebook(lesson).cells if cell.cell_type == "markdown")
    return {int(number): (int(minutes), int(level)) for number, minutes, level in heading.findall(text)}


# ---------------------------------------------------------------------------------------------------- the whole guide


def test_each_lesson_has_a_chapter_with_the_plan_of_an_hour():
    titles = [title for title in parts_of(GUIDE.read_text(encoding="utf-8"), 2) if title.startswith("Lesson ")]
    assert [title.partition(":")[0] for title in titles] == [f"Lesson {lesson[0]}" for lesson in LESSONS]
    for lesson in LESSONS:
        assert "An hour" in sections(lesson), lesson


def test_the_guide_leads_somewhere_and_the_readme_leads_to_it():
    text = GUIDE.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]*)\)", text):
        assert (GUIDE.parent / target).is_file(), f"{target} is no file"
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", text):
        assert alt and target.startswith("../figures/"), target
    readme = (torchnlp.ROOT / "README.md").read_text(encoding="utf-8")
    assert "](notebooks/slides/teaching-guide.md)" in readme


# ------------------------------------------------------------------------------------------------------ full chapters


@full_chapters
def test_a_chapter_is_complete(lesson):
    title = notebook(lesson).cells[0].source.splitlines()[0].removeprefix("# ")
    assert title in parts_of(GUIDE.read_text(encoding="utf-8"), 2), f"a chapter with the title {title!r}"
    assert tuple(sections(lesson)) == SECTIONS
    for name, text in sections(lesson).items():
        assert text.strip(), f"{name} is empty"


@full_chapters
def test_all_code_in_a_chapter_is_the_id_of_a_cell(lesson):
    ids = {cell.id for cell in notebook(lesson).cells}
    named = code_in(without_drawings(chapter(lesson)))
    assert named and not set(named) - ids


@full_chapters
@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_adds_up_and_names_what_the_lesson_has(lesson, plan):
    assert f"### {plan} ({PLANS[plan]} minutes)\n" in chapter(lesson)
    table = rows(sections(lesson)[plan])
    assert sum(int(minutes) for minutes, *_ in table) == PLANS[plan]
    for minutes, part, what, named in table:
        if part == "Break":
            continue
        cells = code_in(named)
        assert cells, f"{part}: no cell"
        for heading in part.split("; "):
            assert any(heading in headings_above(lesson)[cell] for cell in cells), f"no cell of {heading!r}"
        for cell in cells:
            assert set(part.split("; ")) & headings_above(lesson)[cell], f"{cell} does not stand below {part!r}"
        if part == "Exercises":
            numbers = [int(number) for number in re.findall(r"\d+", " ".join(cells))]
            assert sum(exercises(lesson)[number][0] for number in numbers) <= int(minutes), what


@full_chapters
def test_an_hour_stays_on_the_path(lesson):
    folded = {cell.id for cell in test_frame.read(lesson).deeper}
    assert not set(code_in(sections(lesson)["An hour"])) & folded


@full_chapters
def test_there_is_something_to_draw(lesson):
    board = sections(lesson)["On the board"]
    drawings = re.findall(r"^\d+\. \*\*", board, flags=re.MULTILINE)
    assert len(drawings) >= 2
    for drawing in re.split(r"^\d+\. (?=\*\*)", board, flags=re.MULTILINE)[1:]:
        assert "```" in drawing or "](../figures/" in drawing, f"nothing to see: {drawing[:40]}"
    assert max(len(line) for line in re.findall(r"```(.*?)```", board, flags=re.DOTALL)[0].splitlines()) <= 100


@full_chapters
def test_each_misunderstanding_has_a_cell_that_cures_it(lesson):
    table = rows(sections(lesson)["Three misunderstandings"])
    assert len(table) == 3
    by_id = {cell.id: cell for cell in notebook(lesson).cells}
    for heard, question, cell, shown in table:
        assert heard.startswith('"') and question.endswith("?") and shown
        (name,) = code_in(cell)
        assert by_id[name].get("outputs"), f"{name} shows nothing"


@full_chapters
def test_the_exercises_are_those_of_the_lesson(lesson):
    table = rows(sections(lesson)["Exercises, and for whom"])
    named = {int(number): (int(minutes), int(level)) for number, minutes, level, _ in table}
    assert named == exercises(lesson)
    assert all(whom for *_, whom in table)


def decimals(text: str) -> set[str]:
    return set(re.findall(r"\d+\.\d+", text))


def shown_by(cell: nbformat.NotebookNode) -> str:
    """The stored outputs of a cell, as text."""
    outputs = cell.get("outputs", [])
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


@full_chapters
def test_numbers_of_a_chapter_are_the_lessons(lesson):
    stored = "\n".join(f"{cell.source}\n{shown_by(cell)}" for cell in notebook(lesson).cells)
    assert not decimals(chapter(lesson)) - decimals(stored)


@full_chapters
def test_numbers_that_cure_stand_in_the_outputs_of_the_cells_beside_them(lesson):
    by_id = {cell.id: cell for cell in notebook(lesson).cells}
    for row in rows(sections(lesson)["Three misunderstandings"]):
        shown = "\n".join(shown_by(by_id[name]) for name in code_in(" ".join(row)))
        assert not decimals(" ".join(row)) - decimals(shown), row[0]
