"""Write the student edition: what a teacher hands out, as a folder and as a zip, and what is needed to mark it.

    python scripts/editions/make_student.py [FOLDER] [--exercises "1.2 1.4 2"]

The folder, ``build`` unless told, gets ``student/``, the same as a zip, and ``grading/``, a course of nbgrader for the
teacher alone. A second call does nothing when nothing has changed.
"""

import argparse
import io
import json
import sys
import tempfile
import time
import zipfile
from hashlib import sha256
from pathlib import Path

from sources import ROOT, lessons
from student_edition import ExerciseError, edition, exercises_of, grading_course

NAME = "attention-transformers-bert"  # the folder that the zip unpacks to
ZIP = f"{NAME}-student.zip"
MANIFEST = ".student.json"  # what the last call wrote


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of files that depends on nothing but them: no clock, no user, no order of a disk."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{NAME}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def hash_of(content: bytes) -> str:
    return sha256(content).hexdigest()


def holds_more(folder: Path, *written: dict[str, str]) -> bool:
    """Whether a folder holds a file that none of these calls wrote, each given as the hashes of its files by name."""
    for path in folder.rglob("*"):
        if path.is_file():
            known = [hashes.get(path.relative_to(folder).as_posix()) for hashes in written]
            if not any(known) or hash_of(path.read_bytes()) not in known:
                return True
    return False


def replace_folder(target: Path, files: dict[str, bytes], written: dict[str, str]) -> Path | None:
    """Put a folder with these files in the place of another, as a whole.

    Where the old one holds anything that the last call did not write, answers for instance, it is kept under another
    name.

    Returns:
        The new name of the old folder, or None where it was not kept.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        new = Path(temporary) / "new"
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        kept = None
        if target.exists():
            cut_off = {name: hash_of(content) for name, content in files.items()}  # what a call that failed has written
            if holds_more(target, written, cut_off):
                number = 1
                while (kept := target.with_name(f"{target.name}-before-{number}")).exists():
                    number += 1
            target.rename(kept or Path(temporary) / "old")
        new.rename(target)
    return kept


def replace_file(target: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole, or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        new = Path(temporary) / "new"
        new.write_bytes(content)
        new.replace(target)


def read_manifest(path: Path) -> dict[str, dict[str, str]]:
    """What the last call wrote, by folder: the hash of each file. Nothing where that is not known."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def make(folder: Path, chosen: str) -> None:
    """Write the student edition, its zip and the course for marking into a folder.

    Raises:
        ExerciseError: an exercise was chosen that no lesson has.
    """
    begin = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - begin:5.1f} s  {what}", flush=True)

    handed_out, points = exercises_of(chosen)
    student, grading = edition(handed_out, points), grading_course(handed_out)
    say(f"{len(lessons())} lessons read, {len(points)} exercises with {sum(points.values())} points chosen")
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"student": student, "grading": grading}
    archive, manifest = zipped(student), folder / MANIFEST
    made = {part: {name: hash_of(files[name]) for name in sorted(files)} for part, files in parts.items()}
    made["zip"] = {ZIP: hash_of(archive)}
    written = read_manifest(manifest)
    whole = all((folder / part / name).is_file() for part, files in parts.items() for name in files)
    if written == made and whole and (folder / ZIP).is_file():
        say("nothing has changed since the last time")
    else:
        for part, files in parts.items():
            if kept := replace_folder(folder / part, files, written.get(part, {})):
                say(f"{folder / part} held files of yours: they are in {kept.name} now")
            say(f"{part}/ written, {len(files)} files")
        replace_file(folder / ZIP, archive)
        replace_file(manifest, json.dumps(made, indent=1).encode())
        say(f"zip written, {len(archive) / 1e6:.1f} MB")
    print(f"Hand out {folder / ZIP}. To mark what comes back, read {folder / 'grading' / 'README.md'}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build")
    parser.add_argument("--exercises", default="", help="which to hand out, such as '1.2 1.4 2'; all unless told")
    arguments = parser.parse_args()
    try:
        make(arguments.folder.resolve(), arguments.exercises)
    except ExerciseError as error:
        sys.exit(f"make_student.py: {error}")
