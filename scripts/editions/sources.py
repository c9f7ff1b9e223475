"""What Sphinx reads, made from the executed lessons: their pages with solutions, a start page, a glossary.

Nothing is written twice. The lessons come with the outputs that are committed; their figures become files; below each
exercise stands its solution, folded. The start page is made of the two READMEs, and the glossary by the rule in
``terms.py``.
"""

import base64
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

import nbformat
from terms import definitions_of, glossary, mark

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
# What the start page says of itself, and of nothing else.
HOW_IT_WORKS = """
## How these pages work

You see each lesson as it ran, with all outputs. To run it and change it, set up the course: the [README](readme.md) has
the two commands. Below each exercise is a solution, behind a click. Sections whose name begins with *Deeper* are
folded, too; nothing else needs them. The [glossary](glossary.md) says where each term is defined, and
[torchnlp.py](torchnlp.md) is the helper that the lessons import. Nothing on these pages is loaded from another server.
"""


def lessons() -> list[Path]:
    """The lessons' notebooks, in their order."""
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def pages() -> dict[str, str]:
    """Which file of the repository becomes which page: both as they are linked to."""
    others = {"notebooks/README.md": "index.md", "README.md": "readme.md", "torchnlp.py": "torchnlp.md"}
    return {f"notebooks/{path.name}": path.name for path in lessons()} | others


def sources() -> dict[str, bytes]:
    """All that Sphinx reads: the content of each file by its name."""
    files = {f"figures/{path.name}": path.read_bytes() for path in sorted((NOTEBOOKS / "figures").glob("*.svg"))}
    notebooks = {path.name: nbformat.read(path, as_version=4) for path in lessons()}
    definitions = [found for name, notebook in notebooks.items() for found in definitions_of(notebook, name)]
    for name, notebook in notebooks.items():
        solutions = nbformat.read(NOTEBOOKS / "solutions" / name, as_version=4)
        mark(notebook, [found for found in definitions if found.page == name])
        relink_cells(notebook, "notebooks")
        relink_cells(solutions, "notebooks/solutions")
        add_solutions(notebook, solutions)
        files |= figures_as_files(notebook, PurePosixPath(name).stem)
        files[name] = nbformat.writes(notebook).encode()
    texts = {
        "index.md": start_page(),
        "glossary.md": glossary(definitions),
        "readme.md": readme(),
        "torchnlp.md": "# torchnlp.py, the helper\n\n```{literalinclude} torchnlp.py\n:language: python\n```\n",
    }
    files |= {name: text.encode() for name, text in texts.items()}
    files["torchnlp.py"] = (ROOT / "torchnlp.py").read_bytes()
    return files


# ------------------------------------------------------------------------------------------------------------- links

LINK = re.compile(
    r"(?P<code>```.*?```|`[^`\n]+`)|!?\[(?P<text>(?:[^\[\]`]|`[^`\n]+`)*)\]\((?P<target>[^()\s]+)\)", re.DOTALL
)


def relinked(markdown: str, folder: str) -> str:
    """A text of a folder of the repository, with links to its files as links between pages.

    A link to a file that is no page becomes its text. Pictures keep their links: they stand beside the pages, too.

    Raises:
        FileNotFoundError: the repository has no such file.
    """

    def change(match: re.Match) -> str:
        target = match["target"]
        if match["code"] or match[0].startswith("!") or re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, fragment = target.partition("#")
        path = normpath(f"{folder}/{path}")
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"a link leads to {path}, and there is no such file")
        if path not in pages():
            return match["text"]
        return f"[{match['text']}]({pages()[path]}{'#' + fragment if fragment else ''})"

    return LINK.sub(change, markdown)


def relink_cells(notebook: nbformat.NotebookNode, folder: str) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, folder)


def section_of(markdown: str, name: str) -> str:
    """The section of level 2 with a name, with its heading."""
    match = re.search(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", markdown, flags=re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"there is no section {name!r}")
    return match[0].strip()


def start_page() -> str:
    """Title and promise of the course, its lessons and their order, and how the pages work."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    start = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    names = "\n".join(path.stem for path in lessons())
    parts = [
        readme.partition("\n## ")[0].strip(),
        relinked(section_of(start, "The lessons"), "notebooks"),
        relinked(section_of(start, "In which order"), "notebooks"),
        HOW_IT_WORKS.strip(),
        f"```{{toctree}}\n:hidden:\n:caption: Lessons\n\n{names}\n```",
        "```{toctree}\n:hidden:\n:caption: Look up\n\nglossary\ntorchnlp\nreadme\n```",
    ]
    return "\n\n".join(parts) + "\n"


def readme() -> str:
    """The README under a name of its own: the start page has the course's."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return relinked(re.sub(r"\A# .+", "# README: set-up, data, trouble", text), ".")


# --------------------------------------------------------------------------------------------------------- solutions


def exercise_in(cell: nbformat.NotebookNode, level: int) -> int | None:
    """The number of the exercise whose heading stands in a cell."""
    if cell.cell_type != "markdown":
        return None
    match = re.search(rf"^{'#' * level} (\d+)\. ", cell.source, flags=re.MULTILINE)
    return int(match[1]) if match else None


def has_heading(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "markdown" and re.search(r"^#+ ", cell.source, flags=re.MULTILINE) is not None


def solutions_of(notebook: nbformat.NotebookNode) -> dict[int, list[nbformat.NotebookNode]]:
    """The cells that solve each exercise, without headings, by its number."""
    found: dict[int, list[nbformat.NotebookNode]] = {}
    number = None
    for cell in notebook.cells:
        if cell.id in ("end", "time"):
            break
        number = exercise_in(cell, level=2) or number
        if number is not None:
            if cell.cell_type == "markdown":
                cell.source = re.sub(r"^#+ .+\n*", "", cell.source, flags=re.MULTILINE)
            found.setdefault(number, []).append(cell)
    return found


def add_solutions(lesson: nbformat.NotebookNode, solutions: nbformat.NotebookNode) -> None:
    """Put each solution below its exercise, folded. What the lesson shows already, its checks, is not repeated.

    Raises:
        ValueError: an exercise has no solution, or a solution no exercise.
    """
    solved = solutions_of(solutions)
    shown = {cell.source for cell in lesson.cells}
    cells: list[nbformat.NotebookNode] = []
    number = None

    def end_exercise() -> None:
        if number is not None:
            if number not in solved:
                raise ValueError(f"exercise {number} has no solution")
            fold = f'<details class="solution">\n<summary>A solution of exercise {number}</summary>'
            cells.append(nbformat.v4.new_markdown_cell(fold, id=f"solution-{number}"))
            for place, cell in enumerate(cell for cell in solved.pop(number) if cell.source not in shown):
                cell.id = f"solution-{number}-{place}"
                cells.append(cell)
            cells.append(nbformat.v4.new_markdown_cell("</details>", id=f"solution-{number}-end"))

    for cell in lesson.cells:
        if has_heading(cell) or cell.id == "time":
            end_exercise()
            number = exercise_in(cell, level=3)
        cells.append(cell)
    if solved:
        raise ValueError(f"solutions without an exercise: {sorted(solved)}")
    lesson.cells = cells


# ----------------------------------------------------------------------------------------------------------- figures

FIGURE = re.compile(
    r'<img alt="(?P<alt>[^"]*)" width="(?P<width>\d+)"[^>]* src="data:image/png;base64,(?P<data>[^"]+)">\s*'
)


def figures_as_files(notebook: nbformat.NotebookNode, name: str) -> dict[str, bytes]:
    """Take the figures of ``torchnlp.show`` out of a notebook: their files by name. Text and width stay."""
    files: dict[str, bytes] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if match := FIGURE.fullmatch(output.get("data", {}).get("text/html", "")):
                file = f"figures/{name}-{cell.id}-{len(files)}.png"
                files[file] = base64.b64decode(match["data"])
                image = f'<img alt="{match["alt"]}" width="{match["width"]}px" src="{file}">'
                output.data = nbformat.NotebookNode({"text/markdown": image})
    return files
