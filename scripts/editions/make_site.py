"""Write the site and the EPUB of the course, from the executed lessons.

    python scripts/editions/make_site.py [FOLDER]

The folder, ``build`` unless told, gets ``site/`` and the EPUB beside it. A second call renews what has changed.
"""

import argparse
import shutil
from pathlib import Path

from making import build, done, fingerprint, must_be_made, progress
from sources import ROOT, lessons, sources

EPUB = "attention-transformers-bert.epub"
PACKAGES = ("sphinx", "myst-nb", "furo", "sphinx-copybutton", "ziamath")


def make(folder: Path) -> None:
    """Write ``site/`` and the EPUB into a folder."""
    say, work, made_by = progress(), folder / ".editions", fingerprint(PACKAGES)
    site, epub = folder / "site", work / "epub"
    changed = must_be_made(work, site, sources(), made_by)
    say(f"{len(lessons())} lessons read, with their figures, solutions and terms")
    if changed or not (folder / EPUB).exists():
        build("html", work, site)
        say("site written")
        build("epub", work, epub)
        shutil.copyfile(epub / EPUB, folder / EPUB)
        shutil.rmtree(folder / "jupyter_execute", ignore_errors=True)  # myst-nb makes it, and leaves it empty
        done(work, made_by)
        say("EPUB written")
    else:
        say("nothing has changed since the last time")
    print(f"Open {site / 'index.html'} in a browser, or {folder / EPUB} in a reader.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build")
    make(parser.parse_args().folder.resolve())
