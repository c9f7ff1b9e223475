"""What making the site, the EPUB and the slides have in common: sources are written, and Sphinx runs if any changed."""

import hashlib
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from sources import ROOT

HERE = Path(__file__).resolve().parent


def progress() -> Callable[[str], None]:
    """A function that prints a line after the seconds since now."""
    begin = time.perf_counter()
    return lambda what: print(f"{time.perf_counter() - begin:5.1f} s  {what}", flush=True)


def fingerprint(packages: tuple[str, ...]) -> bytes:
    """Changes when a program of this folder or a package that it uses does: then everything is made anew."""
    programs = b"".join(path.read_bytes() for path in sorted(HERE.iterdir()) if path.is_file())
    versions = " ".join(f"{name} {version(name)}" for name in packages)
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


def must_be_made(work: Path, made: Path, files: dict[str, bytes], made_by: bytes) -> bool:
    """Write what Sphinx reads, and say whether it must run. Until ``done`` is called, it must.

    Args:
        work: the folder of what only the programs need; it gets ``sources``.
        made: the folder of the pages.
        files: the content of each source by its name.
        made_by: the fingerprint of the programs.
    """
    mark = work / "made-by"
    if files_in(work / "sources") - set(files) or not mark.exists() or mark.read_bytes() != made_by:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(made, ignore_errors=True)
    if not (write_changed(work / "sources", files) or not mark.exists() or not (made / "index.html").exists()):
        return False
    mark.unlink(missing_ok=True)
    return True


def done(work: Path, made_by: bytes) -> None:
    """All is well: until something changes, nothing need be made again."""
    (work / "made-by").write_bytes(made_by)


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
