"""Write the slides of the lessons that have a deck.

    python scripts/editions/make_slides.py [FOLDER] [--decks FOLDER]

The folder, ``build`` unless told, gets ``slides/``: a page for each deck, and an index. A deck is a text in
``notebooks/slides/`` with the name of its lesson; taken.py says how it takes figures, outputs, code and numbers from
the executed lesson. A second call renews what has changed.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
from making import build, done, fingerprint, must_be_made, progress
from sources import NOTEBOOKS, ROOT, figures_as_files, lessons

PACKAGES = ("sphinx", "sphinx-revealjs", "myst-parser", "ziamath", "pillow")
MOST_SLIDES, MOST_MINUTES = 20, 50
INDEX = """# Slides

{{.small}}
{decks}

{{.small}}
Figures, outputs, code and results are taken from the lessons as they ran. Keys: **→** and **←** for the next step and
the one before, **F** for the whole screen, **O** for all slides of a deck. **S** opens the notes for the speaker, with
a clock, in a second window. The pages for paper are there to be printed, or to be kept as PDF.

```{{toctree}}
:hidden:

{names}
```
"""


class Deck(NamedTuple):
    name: str  # that of its lesson
    title: str
    text: str
    slides: int
    minutes: int


def deck_of(path: Path) -> Deck:
    """Read a deck.

    Raises:
        ValueError: it has no lesson, or breaks a rule for decks; the message says which.
    """
    text, where = path.read_text(encoding="utf-8"), f"notebooks/slides/{path.name}"
    if not (NOTEBOOKS / f"{path.stem}.ipynb").exists():
        raise ValueError(f"{where}: there is no lesson {path.stem}")
    starts = [match.start() for match in re.finditer(r"^##? ", text, flags=re.MULTILINE)]
    total = 0
    for begin, end in zip(starts, [*starts[1:], len(text)], strict=True):
        minutes = re.findall(r"^:minutes: (\d+)$", text[begin:end], flags=re.MULTILINE)
        if len(minutes) != 1:
            line = text.count("\n", 0, begin) + 1
            raise ValueError(f"{where}, line {line}: a slide has one note with minutes, this one has {len(minutes)}")
        total += int(minutes[0])
    for number, most, what in ((len(starts), MOST_SLIDES, "slides"), (total, MOST_MINUTES, "minutes")):
        if number > most:
            raise ValueError(f"{where}: {number} {what}, and at most {most} fit into a lesson")
    title = re.match(r"# (.+)", text)
    if title is None:
        raise ValueError(f"{where}, line 1: a deck begins with the title of its lesson")
    return Deck(path.stem, title[1], text, len(starts), total)


def slides_sources(decks: list[Deck]) -> dict[str, bytes]:
    """All that Sphinx reads: decks, index, the lessons of the decks with their figures, the drawings."""
    links = [
        f"- [{deck.title}]({deck.name}.md), {deck.minutes} minutes "
        f'(<a href="{deck.name}.html?print-pdf" aria-label="{deck.name}, for paper">for paper</a>)'
        for deck in decks
    ]
    index = INDEX.format(decks="\n".join(links), names="\n".join(deck.name for deck in decks))
    files = {f"figures/{path.name}": path.read_bytes() for path in sorted((NOTEBOOKS / "figures").glob("*.svg"))}
    files["index.md"] = index.encode()
    for deck in decks:
        notebook = nbformat.read(NOTEBOOKS / f"{deck.name}.ipynb", as_version=4)
        files |= figures_as_files(notebook, deck.name)
        files[f"lessons/{deck.name}.ipynb"] = nbformat.writes(notebook).encode()
        files[f"{deck.name}.md"] = deck.text.encode()
    return files


def make(folder: Path, texts: Path) -> None:
    """Write ``slides/`` into a folder."""
    say, work, slides, made_by = progress(), folder / ".slides", folder / "slides", fingerprint(PACKAGES)
    try:
        decks = [deck_of(path) for path in sorted(texts.glob("[0-9]*.md"))]
    except ValueError as problem:
        sys.exit(str(problem))
    changed = must_be_made(work, slides, slides_sources(decks), made_by)
    say(f"{len(decks)} decks for {len(lessons())} lessons read")
    if changed:
        build("revealjs", work, slides)
        done(work, made_by)
        for deck in decks:
            say(f"{deck.name}: {deck.slides} slides, {deck.minutes} minutes")
    else:
        say("nothing has changed since the last time")
    print(f"Open {slides / 'index.html'} in a browser.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build")
    parser.add_argument("--decks", type=Path, default=NOTEBOOKS / "slides", help="the folder of their texts")
    given = parser.parse_args()
    make(given.folder.resolve(), given.decks)
