"""What a deck of slides takes from its executed lesson, by the id of a cell: nothing is copied by hand.

    ```{figure-of} CELL          a figure of the cell with its alternative text; a drawing, where the cell is a text
    :part: 50 0 100 100          of it, the part between left, top, right and bottom, in percent
    :alt: What the part shows.

    ```{output-of} CELL          what the cell printed; code-of: its code
    :begin: PATTERN              from the first line in which this is found (without it: from the first line)
    :end: PATTERN                to the next one in which this is found (without it: that line alone)
    :lines: PATTERN              of these, the lines in which this is found

    {text-of}`CELL PATTERN`      in a sentence: the group of a pattern, in what a code cell printed or a text cell says

    ```{notes}                   for the speaker
    :minutes: 3
    :ask: A question to the room?
    :expect: The answer to expect.

A cell that is gone, or a pattern that finds nothing, or several things, is an error that names deck, line and cell.
"""

import html
import re
import textwrap
from functools import cache
from pathlib import Path

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.writers.html5 import HTML5Translator


class MissingError(ValueError):
    """The lesson does not have what the deck takes from it."""


# ----------------------------------------------------------------------------------------------- out of a notebook

DRAWN = re.compile(r'<img alt="(?P<alt>[^"]*)" width="\d+px" src="(?P<file>[^"]+)">')  # as sources.py writes it
DRAWING = re.compile(r"!\[(?P<alt>[^\]]+)\]\((?P<file>[^)]+)\)")


def cell_of(notebook: nbformat.NotebookNode, cell_id: str) -> nbformat.NotebookNode:
    """The cell with an id."""
    for cell in notebook.cells:
        if cell.id == cell_id:
            return cell
    raise MissingError(f"the lesson has no cell {cell_id!r}")


def printed(cell: nbformat.NotebookNode) -> str:
    """All that a code cell printed; of a text cell, its text."""
    if cell.cell_type == "markdown":
        return cell.source
    text = "".join(output.get("text", "") for output in cell.outputs)
    if not text:
        raise MissingError(f"cell {cell.id!r} printed nothing")
    return text.rstrip()


def figure_in(cell: nbformat.NotebookNode) -> tuple[str, str]:
    """File and alternative text of the first figure of a cell."""
    text = cell.source if cell.cell_type == "markdown" else ""
    shown = [output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", [])]
    if found := DRAWING.search(text) or next((match for html in shown if (match := DRAWN.search(html))), None):
        return found["file"], html.unescape(found["alt"])
    raise MissingError(f"cell {cell.id!r} has no figure")


def lines_with(text: str, pattern: str, cell_id: str) -> str:
    """The lines of a text in which a pattern is found."""
    lines = [line for line in text.splitlines() if re.search(pattern, line)]
    if not lines:
        raise MissingError(f"cell {cell_id!r} has no line with {pattern!r}")
    return "\n".join(lines)


def lines_between(code: str, begin: str, end: str, cell_id: str) -> str:
    """The lines of a code from the first with one pattern to the next with another, moved to the left."""
    lines = code.splitlines()
    first = next((i for i, line in enumerate(lines) if re.search(begin, line)), None)
    if first is None:
        raise MissingError(f"cell {cell_id!r} has no line with {begin!r}")
    last = next((i for i, line in enumerate(lines) if i >= first and re.search(end, line)), None)
    if last is None:
        raise MissingError(f"cell {cell_id!r} has no line with {end!r} after that with {begin!r}")
    return textwrap.dedent("\n".join(lines[first : last + 1]))


def match_in(text: str, pattern: str, cell_id: str) -> str:
    """The one group of a pattern in a text."""
    found = {match[1] for match in re.finditer(pattern, text, flags=re.MULTILINE)} - {None}
    if len(found) != 1:
        what = f"is {len(found)} things, {', '.join(sorted(found))}" if found else "is not there"
        raise MissingError(f"what {pattern!r} looks for in cell {cell_id!r} {what}")
    return found.pop()


# ------------------------------------------------------------------------------------------------------ into a deck


class cell_text(nodes.General, nodes.Element):  # noqa: N801  (as docutils writes its nodes)
    """Code or output of a cell."""


class notes(nodes.General, nodes.Element):  # noqa: N801
    """What the speaker sees, and the room does not."""


@cache
def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


class Taking:
    """What the directives and the role share: the lesson of the deck, and an error that says where it is."""

    def lesson_cell(self, cell_id: str) -> nbformat.NotebookNode:
        path = f"lessons/{self.env.docname}.ipynb"
        self.env.note_dependency(path)
        return cell_of(read(Path(self.env.srcdir) / path), cell_id)

    def where(self, problem: Exception) -> str:
        return f"notebooks/slides/{self.env.docname}.md, line {self.lineno}: {problem}"


class Take(Taking, SphinxDirective):
    """A directive that takes something from a cell."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            return [self.taken(self.lesson_cell(self.arguments[0]))]
        except (MissingError, re.error) as problem:
            raise self.error(self.where(problem)) from None

    def taken(self, cell: nbformat.NotebookNode) -> nodes.Node:
        raise NotImplementedError


class FigureOf(Take):
    option_spec = {"part": directives.unchanged_required, "alt": directives.unchanged_required}  # noqa: RUF012

    def taken(self, cell: nbformat.NotebookNode) -> nodes.Node:
        file, alt = figure_in(cell)
        if ("part" in self.options) != ("alt" in self.options):
            raise MissingError(f"a part of the figure of cell {cell.id!r} needs an alternative text of its own, and so")
        kind = "drawing" if file.endswith(".svg") else "plot"
        if "part" in self.options:
            file = self.part_of(file, [float(edge) for edge in self.options["part"].split()])
            alt = self.options["alt"]
        return nodes.figure("", nodes.image(uri=file, alt=alt), classes=[kind])

    def part_of(self, file: str, edges: list[float]) -> str:
        """Cut a part out of a picture; return its file, as seen from the deck."""
        name = f"{Path(file).stem}-{'-'.join(f'{edge:g}' for edge in edges)}.png"
        parts = Path(self.env.doctreedir).parent / "parts"
        parts.mkdir(exist_ok=True)
        with Image.open(Path(self.env.srcdir) / file) as picture:
            sizes = (picture.width, picture.height) * 2
            box = [round(size * edge / 100) for size, edge in zip(sizes, edges, strict=True)]
            picture.crop(box).save(parts / name)
        return f"../parts/{name}"


class LinesOf(Take):
    """Some lines of a cell, or all."""

    option_spec = dict.fromkeys(("begin", "end", "lines"), directives.unchanged_required)
    language, name_of_class = "none", "output"

    def text_of(self, cell: nbformat.NotebookNode) -> str:
        return printed(cell)

    def taken(self, cell: nbformat.NotebookNode) -> nodes.Node:
        text = self.text_of(cell)
        if "begin" in self.options or "end" in self.options:
            text = lines_between(text, self.options.get("begin", ""), self.options.get("end", ""), cell.id)
        if "lines" in self.options:
            text = lines_with(text, self.options["lines"], cell.id)
        return cell_text(text=text.expandtabs(), language=self.language, classes=[self.name_of_class])


class OutputOf(LinesOf):
    pass


class CodeOf(LinesOf):
    language = name_of_class = "python"

    def text_of(self, cell: nbformat.NotebookNode) -> str:
        if cell.cell_type != "code":
            raise MissingError(f"cell {cell.id!r} is no code")
        return cell.source


class TextOf(Taking, SphinxRole):
    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        cell_id, _, pattern = self.text.partition(" ")
        try:
            return [nodes.Text(match_in(printed(self.lesson_cell(cell_id)), pattern, cell_id))], []
        except (MissingError, re.error, IndexError) as problem:
            message = self.inliner.reporter.error(self.where(problem), line=self.lineno)
            return [nodes.problematic(self.rawtext, self.rawtext)], [message]


class Notes(SphinxDirective):
    has_content = True
    option_spec = {  # noqa: RUF012
        "minutes": directives.positive_int,
        "ask": directives.unchanged_required,
        "expect": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        made = notes(minutes=self.options["minutes"])
        for name, label in (("ask", "Ask"), ("expect", "Expect")):
            if name in self.options:
                inline, messages = self.state.inline_text(self.options[name], self.lineno)
                made += nodes.paragraph("", "", nodes.strong("", f"{label}: "), *inline, *messages, classes=[name])
        self.state.nested_parse(self.content, self.content_offset, made)
        return [made]


def set_clock(app: Sphinx, document: nodes.document) -> None:
    """Let the notes of each slide begin with when it begins and ends, in minutes of the talk."""
    begin = 0
    for made in document.findall(notes):
        end = begin + made["minutes"]
        made.insert(0, nodes.paragraph("", "", nodes.strong("", f"Minutes {begin} to {end}"), classes=["clock"]))
        begin = end


# ------------------------------------------------------------------------------------------------------------- HTML


def visit_cell_text(self: HTML5Translator, node: cell_text) -> None:
    """Print code or output as large as its box allows: slides.css has the rule, and needs to know its size."""
    lines = node["text"].splitlines()
    size = f"--columns: {max(map(len, lines))}; --lines: {len(lines)}"
    shown = self.highlighter.highlight_block(node["text"], node["language"], location=node)
    self.body.append(f'<div class="{" ".join(node["classes"])} cell" style="{size}">{shown}</div>\n')
    raise nodes.SkipNode


def visit_notes(self: HTML5Translator, node: notes) -> None:
    self.body.append(f'<aside class="notes" data-minutes="{node["minutes"]}">\n')


def depart_notes(self: HTML5Translator, node: notes) -> None:
    self.body.append("</aside>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_node(cell_text, html=(visit_cell_text, None))
    app.add_node(notes, html=(visit_notes, depart_notes))
    app.add_directive("figure-of", FigureOf)
    app.add_directive("output-of", OutputOf)
    app.add_directive("code-of", CodeOf)
    app.add_directive("notes", Notes)
    app.add_role("text-of", TextOf())
    app.connect("doctree-read", set_clock)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
