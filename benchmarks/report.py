"""What all benchmarks share that measures nothing: ``--save``, and their parts of ``benchmarks/RESULTS.md``.

A benchmark prints its lines and tables through a :class:`Report`. With ``--save``, its part of the file is replaced,
and all others stay as they are. The file has a section for each kind of machine: where and in which number format was
measured.
"""

import argparse
import datetime
import math
import os
import platform
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
HEADER = (
    "# Measured results\n\nA section for each kind of machine; each part of it was written by the command that it "
    "names. Run that again to replace it.\n"
)
KINDS = {
    f"{device} {number_format}": f"{name}, {number_format}"
    for device, name in (("cpu", "CPU"), ("cuda", "GPU"), ("mps", "Apple's GPU"))
    for number_format in ("bfloat16", "float32")
}
PARTS = ["lessons-sample", "lessons-ag-news", "finetuning", "formats", "limit", "attention", "tried", "growth"]
PARTS += ["loading", "starting", "scaling"]
# Shown where they are set:
SETTINGS = ("TORCHNLP_DATA", "TORCHNLP_DEVICE", "TORCHNLP_PRECISION", "TORCHNLP_MODEL", "OMP_NUM_THREADS")


class Report:
    """The lines and tables of one benchmark: each is printed at once, and kept for the file.

    Args:
        name: the name of the part, one word; those in ``PARTS`` stand in that order.
        title: its heading.
        file: another file than ``RESULTS.md``, which has no sections for kinds of machines.
        header: what a new file begins with.
    """

    def __init__(self, name: str, title: str, file: Path | None = None, header: str = HEADER):
        self.name, self.title, self.file, self.header = name, title, file, header
        self.blocks: list[str] = []

    def say(self, text: str) -> None:
        """Print a paragraph, and keep it."""
        print(text, flush=True)
        self.blocks.append(text)

    def table(self, headers: str, rows: Iterable[Iterable[object]]) -> None:
        """Print a Markdown table, and keep it. The headers are written as they stand in it: ``lesson | seconds``."""
        cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
        self.say(tabulate(cells, headers.split(" | "), tablefmt="github", disable_numparse=True))

    def save(self) -> None:
        """Put the part into the file, in one step: whoever looks sees the old file or the whole new one."""
        import torchnlp  # here, because lessons.py needs it not before its end

        file = self.file or RESULTS
        text = file.read_text(encoding="utf-8") if file.exists() else self.header
        heading = f"{'##' if self.file else '###'} {self.title}"
        part = "\n\n".join([heading, conditions(), *self.blocks])
        if self.file:
            text = put(text, self.name, part)
        else:
            kind = f"{torchnlp.device.type} {torchnlp.precision()}"
            section = cut(text, kind)[1] or f"## {KINDS[kind]}\n"
            section = put(section, f"{kind}: {self.name}", part, [f"{kind}: {name}" for name in PARTS])
            text = put(text, kind, section.rstrip(), list(KINDS))
        torchnlp._write(file, text.encode())


def cut(text: str, name: str) -> tuple[str, str | None, str]:
    """What stands before, between and after the marks of this name; between them is None where there are none.

    Raises:
        ValueError: the part begins, but does not end.
    """
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, begin, rest = text.partition(first)
    if not begin:
        return text, None, ""
    content, end, after = rest.partition(last)
    if not end:
        raise ValueError(f"the line {last.strip()} is missing: put it back after its section")
    return before, content, after


def put(text: str, name: str, content: str, order: Sequence[str] = ()) -> str:
    """The text with this content between the marks of its name; new ones stand before those that are later in order."""
    before, old, after = cut(text, name)
    new = f"<!-- {name} -->\n{content}\n<!-- end of {name} -->\n"
    if old is not None:
        return before + new + after
    for other in order[order.index(name) + 1 :] if name in order else []:
        if (mark := f"<!-- {other} -->\n") in text:
            before, _, after = text.partition(mark)
            return f"{before}{new}\n{mark}{after}"
    return f"{text.rstrip()}\n\n{new}"


def options(doc: str, **defaults: int | bool) -> argparse.ArgumentParser:
    """The options of a benchmark, which are explained in its docstring: ``--save``, and these numbers and switches."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write the results to the file, too")
    for name, default in defaults.items():
        kind = {"action": "store_true"} if default is False else {"type": int, "default": default}
        parser.add_argument("--" + name.replace("_", "-"), **kind)
    return parser


def run(report: Report, fill: Callable[..., None], doc: str, **defaults: int | bool) -> None:
    """Run a benchmark from the command line: ``fill`` gets the report, a folder of news or None, and these options."""
    parser = options(doc, **defaults)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    arguments = vars(parser.parse_args())
    save = arguments.pop("save")
    print(machine())
    fill(report, **arguments)
    if save:
        report.save()


def conditions() -> str:
    """Under which conditions something was measured, in one line: day, command, machine, versions."""
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "transformers", "accelerate"))
    day = datetime.date.today().isoformat()
    return f"{day} · `{command()}` · {machine()} · {versions}, Python {platform.python_version()}"


def command() -> str:
    """The command that was given, as one gives it in the project's root. No path outside of that is shown."""
    settings = [f"{name}={short(os.environ[name])}" for name in SETTINGS if os.environ.get(name)]
    return " ".join([*settings, "python", short(str(Path(sys.argv[0]).resolve())), *map(short, sys.argv[1:])])


def short(word: str) -> str:
    """A path inside the project relative to its root, the last part of any other one; words with a space quoted."""
    name, sign, value = word.partition("=")
    if name.startswith("-") and sign:
        return f"{name}={short(value)}"
    path = Path(word).expanduser()
    if path.is_absolute() or ".." in path.parts:
        path = path.resolve()
        word = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return f'"{word}"' if " " in word else word


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
    named = re.search(r"^model name\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return named[1].strip() if named else platform.processor() or platform.machine()


def median_and_spread(values: Sequence[float]) -> str:
    """The median with three digits, and the least and the largest value: ``12.3 (11.9 to 13.0)``."""
    median = statistics.median(values)
    digits = max(0, 2 - math.floor(math.log10(abs(median)))) if median else 0
    return f"{median:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def show_mib(mib: float | None) -> str:
    """A number of MiB for a table."""
    return "not measured" if mib is None else f"{mib:.0f}"
