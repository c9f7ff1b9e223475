"""Each lesson in JupyterLab as a reader meets it: opened, its kernel restarted, all cells run; and nobody kept out.

One JupyterLab serves all tests, and each lesson is run once in it. A tiny notebook with a fault of each kind shows
that each check can fail. COURSE_PICTURES=folder keeps pictures of what the tests saw.
"""

import re
from collections.abc import Iterator

import nbformat
import pytest
from browser import Browser
from lab import THEMES, Lab, Visit

import torchnlp

LESSONS = sorted(path.stem for path in (torchnlp.ROOT / "notebooks").glob("[1-6]-*.ipynb"))

# ------------------------------------------------------------------------------------ checks, each a list of faults


def heading_of(cell: nbformat.NotebookNode) -> tuple[int, str] | None:
    """Level and text of the heading that begins a cell."""
    found = re.match(r"(#+) (.+)", cell.source) if cell.cell_type == "markdown" else None
    return found and (len(found[1]), found[2])


def deeper(notebook: nbformat.NotebookNode) -> set[str]:
    """The cells below the headings that begin with Deeper, up to the next heading that is not below them."""
    hidden, level = set(), None
    for cell in notebook.cells:
        if heading := heading_of(cell):
            if level is not None and heading[0] > level:
                hidden.add(cell.id)
                continue
            level = heading[0] if heading[1].startswith("Deeper:") else None
        elif level is not None:
            hidden.add(cell.id)
    return hidden


def not_as_written(visit: Visit, seen: list[dict]) -> list[str]:
    """Cells that are missing on the screen, or that are folded and should not be, or the other way round."""
    expected, folded = [cell.id for cell in visit.notebook.cells], deeper(visit.notebook)
    if expected != [cell["id"] for cell in seen]:
        return ["the cells on the screen are not those of the notebook"]
    return [
        f"{cell['id']} is {'hidden' if cell['hidden'] else 'in view'}"
        for cell in seen
        if cell["hidden"] != (cell["id"] in folded)
    ]


def bad_figures(seen: list[dict]) -> list[str]:
    faults = []
    for cell in seen:  # JupyterLab calls each figure without a text "Image"
        bare = [image for image in cell["images"] if image["alt"].strip() in ("", "Image")]
        faults += [f"{cell['id']} has a figure without a text"] * len(bare)
        faults += [f"{cell['id']} has a figure that did not come" for image in cell["images"] if not image["loaded"]]
    return faults


def bad_formulas(visit: Visit, seen: list[dict]) -> list[str]:
    faults = []
    for cell, written in zip(seen, visit.notebook.cells, strict=True):
        text = re.sub(r"```.*?```|`[^`]*`", "", written.source, flags=re.DOTALL)
        if cell["wrong"]:
            faults.append(f"{cell['id']} has a formula with a mistake: {cell['wrong'][0]}")
        if "$" in cell["shown"] or (written.cell_type == "markdown" and "$" in text and not cell["formulas"]):
            faults.append(f"{cell['id']} has a formula that was not drawn")
    return faults


def bad_runs(visit: Visit) -> list[str]:
    faults = [f"{cell['id']}: {error}" for cell in visit.ran for error in cell["errors"]]
    code = [cell.id for cell in visit.notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    counts = {cell["id"]: cell["count"] for cell in visit.ran}
    faults += [f"{cell} has the count {counts[cell]}" for n, cell in enumerate(code, 1) if counts[cell] != n]
    if visit.counts != list(range(1, len(code) + 1)):
        faults.append(f"of {len(code)} cells the kernel executed {len(visit.counts)}")
    return faults


# ------------------------------------------------------------------------------------------------------ the lessons


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as started:
        yield started


@pytest.fixture(scope="module", params=LESSONS)
def visit(request, lab: Lab, browser: Browser, axe: str) -> Visit:
    return lab.visit(browser, axe, request.param)


def test_a_lesson_opens_with_what_is_deeper_folded(visit):
    assert not_as_written(visit, visit.opened) == []


def test_a_lesson_runs_from_its_first_cell_to_its_last(visit):
    assert bad_runs(visit) == []
    assert not_as_written(visit, visit.ran) == []


def test_figures_and_formulas_are_drawn_and_can_be_read_aloud(visit):
    assert any(cell["images"] for cell in visit.opened)
    for seen in (visit.opened, visit.ran):
        assert bad_figures(seen) == []
        assert bad_formulas(visit, seen) == []


def test_no_other_host_is_asked(visit):
    assert visit.hosts == []
    assert visit.errors == []


@pytest.mark.parametrize("theme", THEMES)
def test_nobody_is_kept_out(visit, theme):
    """By texts and outputs; what JupyterLab brings itself is not judged here."""
    assert visit.faults[theme] == []


# ----------------------------------------------------------------------------------------------- a fault of each kind

DRAW = "import torchnlp, matplotlib.pyplot as plt\ntorchnlp.show(plt.figure(), alt='Nothing at all.')"
GREY = '<p style="color: #777; background: #888">Hardly legible.</p>'


def write(lab: Lab, name: str, *cells: tuple[str, str, str]) -> None:
    """Write a notebook of cells, each with an id, m or c for Markdown or code, and a source."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for key, kind, source in cells:
        new = nbformat.v4.new_markdown_cell if kind == "m" else nbformat.v4.new_code_cell
        notebook.cells.append(new(source, id=key))
        if source.startswith(("### Deeper", "# Folded")):
            notebook.cells[-1].metadata["jp-MarkdownHeadingCollapsed"] = True
    nbformat.write(notebook, lab.course / "notebooks" / f"{name}.ipynb")


def test_a_tiny_notebook_has_no_fault(lab, browser, axe):
    cells = [
        ("title", "m", "# A title\n\nA formula, $x^2$, `$HOME`, and a [link](https://example.org) in it."),
        ("draw", "c", DRAW),
        ("deeper", "m", "### Deeper: more"),
        ("more", "c", "print(1)"),
        ("still-deeper", "m", "#### Below it"),
        ("next", "m", "## Next\n\n![A ring.](figures/ring.svg)"),
        ("checks", "c", "import checks"),
        ("deeper-again", "m", "### Deeper: the end"),
        ("end", "m", "$$y = 1$$"),
    ]
    write(lab, "right", *cells)
    visit = lab.visit(browser, axe, "right")
    for seen in (visit.opened, visit.ran):
        assert {cell["id"] for cell in seen if cell["hidden"]} == {"more", "still-deeper", "end"}
        assert not_as_written(visit, seen) + bad_figures(seen) + bad_formulas(visit, seen) == []
    assert [len(cell["images"]) for cell in visit.ran] == [0, 1, 0, 0, 0, 1, 0, 0, 0]
    assert (bad_runs(visit), visit.counts, visit.hosts, visit.errors) == ([], [1, 2, 3], [], [])
    assert visit.faults == {"light": [], "dark": []}


def test_a_fault_of_each_kind_is_found(lab, browser, axe):
    cells = [
        ("title", "m", "# A title\n\n![](figures/ring.svg)"),
        ("gone", "m", "![A figure.](figures/gone.svg)"),
        ("wrong", "m", r"A formula, $\frac{1}$."),
        ("undrawn", "m", "A formula, $x"),
        ("elsewhere", "m", "![Elsewhere.](http://elsewhere.invalid/figure.png)"),
        ("open", "m", "## Deeper: open"),
        ("grey", "m", GREY),
        ("folded", "m", "# Folded"),
        ("lost", "m", "Nobody sees it."),
        ("last", "m", "# Last"),
        ("draw", "c", "import matplotlib.pyplot as plt\nplt.plot([1]);"),
        ("ask", "c", "import socket\ntry:\n    socket.create_connection(('kernel.invalid', 80))\nexcept OSError: pass"),
        ("raise", "c", "1 / 0"),
        ("after", "c", "1"),
    ]
    write(lab, "wrong", *cells)
    visit = lab.visit(browser, axe, "wrong", patience=3)
    assert not_as_written(visit, visit.opened) == ["grey is in view", "lost is hidden"]
    assert bad_figures(visit.opened) == [
        "title has a figure without a text",
        "gone has a figure that did not come",
        "elsewhere has a figure that did not come",
    ]
    assert "draw has a figure without a text" in bad_figures(visit.ran)
    wrong, undrawn = bad_formulas(visit, visit.opened)
    assert "wrong has a formula with a mistake" in wrong and "undrawn has a formula that was not drawn" in undrawn
    assert bad_runs(visit) == [
        "raise: ZeroDivisionError: division by zero",
        "after has the count None",
        "of 4 cells the kernel executed 3",
    ]
    assert set(visit.hosts) == {"http://elsewhere.invalid/figure.png", "kernel.invalid"}
    assert any("elsewhere.invalid" in error for error in visit.errors)
    for theme in THEMES:
        assert "color-contrast" in {fault for fault, *_ in visit.faults[theme]}
    assert "the cells on the screen are not those of the notebook" in not_as_written(visit, visit.opened[1:])
