"""Write the site and the EPUB of the course, from the executed lessons.

    python scripts/editions/make_site.py [FOLDER]

The folder, ``build`` unless told, gets ``site/`` and the EPUB beside it. A second call renews what has changed.
"""

import argparse
import hashlib
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

from sources import ROOT, lessons, sources

HERE = Path(__file__).resolve().parent
EPUB = "attention-transformers-bert.epub"
PACKAGES = ("sphinx", "myst-nb", "furo", "sphinx-copybutton", "ziamath")


def fingerprint() -> bytes:
    """Changes when a program of this folder or a package that it uses does: then everything is made anew."""
    programs = b"".join(path.read_bytes() for path in sorted(HERE.iterdir()) if path.is_file())
    versions = " ".join(f"{name} {version(name)}" for name in PACKAGES)
    project = (ROOT / "pyproject.toml").read_bytes()  # conf.py reads the version of the course there
    return hashlib.sha256(programs + project + versions.encode()).hexdigest().encode()


def files_in(folder: Path) -> set[str]:
    """The names of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def write_changed(folder: Path, files: dict[str, bytes]) -> bool:
    """Make the files of a folder these and no others; return whether that changed any. Others keep their dates."""
    changed = False
    for name in files_in(folder) - set(files):
        (folder / name).unlink()
        changed = True
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed = True
    return changed


def build(builder: str, work: Path, target: Path) -> None:
    """Let Sphinx write one edition. A warning is an error.

    Raises:
        SystemExit: Sphinx found something wrong, and printed what.
    """
    from sphinx.cmd.build import main as sphinx  # takes a second or two, which a call without changes need not wait for

    strict, which = ["-q", "-W", "--keep-going"], ["-b", builder, "-t", builder]
    folders = ["-c", HERE, "-d", work / f"doctrees-{builder}", work / "sources", target]
    if status := sphinx([*strict, *which, *(str(folder) for folder in folders)]):
        sys.exit(status)


def make(folder: Path) -> None:
    """Write ``site/`` and the EPUB into a folder."""
    begin = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - begin:5.1f} s  {what}", flush=True)

    work, site, epub = folder / ".editions", folder / "site", folder / ".editions" / "epub"
    files, mark, made_by = sources(), work / "made-by", fingerprint()
    if files_in(work / "sources") - set(files) or not mark.exists() or mark.read_bytes() != made_by:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(site, ignore_errors=True)
    changed = write_changed(work / "sources", files)
    say(f"{len(lessons())} lessons read, with their figures, solutions and terms")
    if changed or not (mark.exists() and (site / "index.html").exists() and (folder / EPUB).exists()):
        mark.unlink(missing_ok=True)  # until all is well
        build("html", work, site)
        say("site written")
        build("epub", work, epub)
        shutil.copyfile(epub / EPUB, folder / EPUB)
        shutil.rmtree(folder / "jupyter_execute", ignore_errors=True)  # myst-nb makes it, and leaves it empty
        mark.write_bytes(made_by)
        say("EPUB written")
    else:
        say("nothing has changed since the last time")
    print(f"Open {site / 'index.html'} in a browser, or {folder / EPUB} in a reader.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build")
    make(parser.parse_args().folder.resolve())
