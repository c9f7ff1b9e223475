"""What all benchmarks share: printing, peak memory, and their sections of ``benchmarks/RESULTS.md``.

A benchmark prints its lines and tables through a :class:`Report`. With ``--save``, its section of the file is replaced,
and the other sections stay as they are.
"""

import argparse
import contextlib
import ctypes
import datetime
import gc
import importlib.metadata
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
HEADER = "# Measured results\n\nEach section was written by the command that it names; run that again to replace it.\n"
ORDER = ["lessons-sample", "lessons-ag-news", "finetuning", "precision", "loading", "growth", "limit", "scaling"]
SETTINGS = [
    "TORCHNLP_DATA",
    "TORCHNLP_DEVICE",
    "TORCHNLP_PRECISION",
    "TORCHNLP_MODEL",
    "OMP_NUM_THREADS",
]  # shown where they are set


class Report:
    """The lines and tables of one benchmark: each is printed at once, and kept for the file.

    Args:
        name: the name of the section, one word; those in ``ORDER`` stand in that order.
        title: its heading.
        file: where the section is saved.
        header: what a new file begins with.
    """

    def __init__(self, name: str, title: str, file: Path | None = None, header: str = HEADER):
        self.name, self.title, self.file, self.header = name, title, file or RESULTS, header
        self.blocks: list[str] = []

    def say(self, text: str) -> None:
        """Print a paragraph, and keep it."""
        print(text, flush=True)
        self.blocks.append(text)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a Markdown table, and keep it."""
        lines = [[str(cell).replace("|", "\\|") for cell in row] for row in (headers, *rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
        self.say("\n".join(f"| {' | '.join(line)} |" for line in padded))

    def save(self) -> None:
        """Put the section into the file, in one step: whoever looks sees the old file or the whole new one."""
        old = self.file.read_text(encoding="utf-8") if self.file.exists() else self.header
        section = "\n\n".join([f"## {self.title}", conditions(), *self.blocks])
        write_in_one_step(self.file, put_section(old, self.name, section))


def write_in_one_step(target: Path, text: str) -> None:
    """Write a file so that whoever looks sees the old one or the whole new one."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def put_section(text: str, name: str, section: str) -> str:
    """The text with this section in the place of the one of the same name, else before those that ``ORDER`` puts later.

    Raises:
        ValueError: the section begins, but does not end.
    """
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    new = f"{first}{section}\n{last}"
    if first in text:
        before, _, rest = text.partition(first)
        _, end, after = rest.partition(last)
        if not end:
            raise ValueError(f"the line {last.strip()} is missing: put it back after its section")
        return before + new + after
    later = ORDER[ORDER.index(name) + 1 :] if name in ORDER else []
    for mark in (f"<!-- {other} -->\n" for other in later):
        if mark in text:
            before, _, after = text.partition(mark)
            return f"{before}{new}\n{mark}{after}"
    return f"{text.rstrip()}\n\n{new}"


def add_save(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option ``--save``."""
    parser.add_argument("--save", action="store_true", help="write the results to benchmarks/RESULTS.md, too")


def conditions() -> str:
    """Under which conditions something was measured, in one line: day, command, machine, versions."""
    versions = ", ".join(f"{package} {version_of(package)}" for package in ("torch", "transformers", "accelerate"))
    day = datetime.date.today().isoformat()
    return f"{day} · `{command()}` · {machine()} · {versions}, Python {platform.python_version()}"


def command() -> str:
    """The command that was given, as one gives it in the project's root. No path outside of that is shown."""
    settings = [f"{name}={short(os.environ[name])}" for name in SETTINGS if os.environ.get(name)]
    return " ".join([*settings, "python", short(str(Path(sys.argv[0]).resolve())), *map(short, sys.argv[1:])])


def short(word: str) -> str:
    """A path inside the project relative to its root, the last part of any other one; other words as they are."""
    name, sign, value = word.partition("=")
    if name.startswith("-") and sign:
        return f"{name}={short(value)}"
    path = Path(word).expanduser()
    if not path.is_absolute() and ".." not in path.parts:
        return word
    path = path.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def machine() -> str:
    """The machine in words, without its name."""
    import torch  # here, because lessons.py needs neither of them before its end

    import torchnlp

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA GPU"
    fast = "fast bfloat16" if torchnlp.has_fast_bfloat16() else "no fast bfloat16"
    threads = torch.get_num_threads()
    words = [processor(), f"{cores} core{'s' * (cores != 1)}", f"torch on {threads} thread{'s' * (threads != 1)}", gpu]
    return ", ".join([*words, f"measured on {torchnlp.device.type}", fast])


def processor() -> str:
    """The model of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def version_of(package: str) -> str:
    """The version of an installed package, or that there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def median_and_spread(values: Sequence[float]) -> str:
    """The median with three digits, and the least and the largest value: ``12.3 (11.9 to 13.0)``."""
    median = statistics.median(values)
    digits = max(0, 2 - math.floor(math.log10(abs(median)))) if median else 0
    return f"{median:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


# ------------------------------------------------------------------------------------------------------------- memory


@dataclass
class Peak:
    """Memory in MiB, known after the block: its peak, and how far that is above what was in use at the start."""

    mib: float | None = None
    above_mib: float | None = None


def show_mib(mib: float | None) -> str:
    """A number of MiB for a table."""
    return "not measured" if mib is None else f"{mib:.0f}"


@contextlib.contextmanager
def peak_memory(device: str | None = None) -> Iterator[Peak]:
    """Measure the peak memory during a block: resident memory of the process, or on CUDA what tensors take there.

    Args:
        device: ``"cpu"`` or ``"cuda"``; without it, the course's device.

    Memory that Python and the C library keep after a ``del`` is given back first, so that it is not taken for use.
    """
    import torch

    import torchnlp

    peak = Peak()
    gc.collect()
    if (device or torchnlp.device.type) == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        yield peak
        torch.cuda.synchronize()
        peak.mib = torch.cuda.max_memory_allocated() / 2**20
        peak.above_mib = peak.mib - start / 2**20
        return
    with contextlib.suppress(OSError, AttributeError):  # only the C library of GNU has it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # from here on, VmHWM counts anew
    except OSError:
        yield peak
        return
    start = resident_peak_mib()
    yield peak
    peak.mib = resident_peak_mib()
    peak.above_mib = peak.mib - start


def resident_peak_mib() -> float:
    """The most resident memory of this process since the last reset, on Linux."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024  # the file counts in KiB
