"""Measure how far each comparison of each claim is from failing, in units of its own spread over seeds.

    python benchmarks/margins.py [--seeds N] [--other-seeds N] [--jobs N] [--save] [LESSON ...]

Executes each lesson with some seeds in the machine's own number format and with some in the other one, and the tests of
the suite that train something. In each claim,
every comparison is noted with its distance from failing: ``a > b`` has the distance a - b, ``assert_close`` the
tolerance minus the difference. Over the seeds, a distance has a mean and a standard deviation, the spread. The room of
a comparison is the mean divided by the spread, in the number format where it is least. Less than four spreads of room
make a claim a bet.

Each run is kept in ``build/margins``, and not repeated until a code cell of its lesson changes. So a measurement that
was cut off goes on where it was: give the same command again. Delete the folder after a change of ``torchnlp.py`` that
changes what is learned. With ``--save``, the table is written to ``benchmarks/margins.md``. The exit status is 1 if a
claim failed in a run, or has less room than that.
"""

import ast
import concurrent.futures
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import nbformat
from lessons import NOTEBOOKS, execute
from report import ROOT, Report, options

import torchnlp

RUNS = ROOT / "build" / "margins"
TABLE = ROOT / "benchmarks" / "margins.md"
HEADER = """# How far each claim is from failing

Written by `python benchmarks/margins.py --save`, whose first lines say what is measured. A distance is in the unit of
its comparison; the room is the mean distance, in the number format where it is least, divided by the spread over seeds.
`exact` is what is either true or false.
"""
ENOUGH = 4.0  # spreads of room
SUITE = "suite"  # in the place of a lesson: the tests with the mark "trained"
FIRST_SEED = 101  # none with which a setting was chosen
FORMATS = ("bfloat16", "float32")
SEED_LINE = "SEED = 0"  # of the set-up cell of each lesson: decides first weights, batches and data that is made up

# What the kernel needs: a list of notes, and a distance for each kind of comparison. Everything is pure.
KERNEL_CELL = """
import math as _math
import torch as _torch

_notes = {}
_TOLERANCES = {_torch.float32: (1.3e-6, 1e-5), _torch.float64: (1e-7, 1e-7), _torch.bfloat16: (1.6e-2, 1e-5)}


def _note(name, distance):
    "Keep the least distance of a comparison that is made several times."
    _notes[name] = min(float(distance), _notes.get(name, _math.inf))


def _truth(value):
    "The distance of what is either true or false."
    return _math.inf if value else -_math.inf


def _above(larger, smaller):
    "The distance of larger > smaller, the least one where they are tensors."
    return float(_torch.as_tensor(larger - smaller, dtype=_torch.float64).min())


def _close(actual, expected, rtol=None, atol=None, **_):
    "The distance of torch.testing.assert_close: what is left of the tolerance."
    actual, expected = _torch.as_tensor(actual).cpu(), _torch.as_tensor(expected).cpu()
    if not actual.is_floating_point():
        return _truth(_torch.equal(actual, expected))
    if rtol is None:
        rtol, atol = _TOLERANCES[actual.dtype]
    left = atol + rtol * expected.double().abs() - (actual.double() - expected.double()).abs()
    return float(left.min()) if left.numel() else _math.inf
"""
LAST_CELL = """
import json as _json
print(_json.dumps(_notes))
"""


# ---------------------------------------------------------------------------------------------------- claims as numbers


def distance(test: ast.expr) -> ast.expr:
    """The expression that computes how far ``test`` is from failing: below zero where it fails.

    An ``and`` or ``all`` is as far as its nearest part, an ``or`` or ``any`` as its farthest. What is no comparison by
    size, such as an equality or a name, is infinitely far to either side.
    """
    if isinstance(test, ast.BoolOp):
        return call("min" if isinstance(test.op, ast.And) else "max", *map(distance, test.values))
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.UnaryOp(ast.USub(), distance(test.operand))
    if isinstance(test, ast.Compare):
        parts = [call("_above", *pair) if pair else call("_truth", part) for part, pair in comparisons(test)]
        return parts[0] if len(parts) == 1 else call("min", *parts)
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in ("all", "any"):
        (generator,) = test.args
        if isinstance(generator, ast.GeneratorExp):
            each = ast.GeneratorExp(distance(generator.elt), generator.generators)
            worst = call("min" if test.func.id == "all" else "max", each)
            worst.keywords.append(ast.keyword("default", call("_truth", ast.Constant(test.func.id == "all"))))
            return worst
    return call("_truth", test)


def comparisons(test: ast.Compare) -> Iterator[tuple[ast.Compare, tuple[ast.expr, ast.expr] | None]]:
    """Each link of a chain ``a < b < c``, and what must be larger and smaller in it, if it compares by size."""
    sides = [test.left, *test.comparators]
    for left, operator, right in zip(sides, test.ops, sides[1:], strict=False):
        pair = None
        if isinstance(operator, ast.Gt | ast.GtE):
            pair = left, right
        elif isinstance(operator, ast.Lt | ast.LtE):
            pair = right, left
        yield ast.Compare(left, [operator], [right]), pair


def call(name: str, *arguments: ast.expr) -> ast.Call:
    """The call of a function by name."""
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


class NoteDistances(ast.NodeTransformer):
    """Puts notes in the place of each assertion of a claim: one for each comparison that must hold by itself."""

    def __init__(self, claim: str):
        self.claim, self.names = claim, []

    def note(self, what: ast.expr, value: ast.expr) -> ast.Expr:
        name = f"{self.claim}: {ast.unparse(what)}"
        self.names.append(name)
        return ast.Expr(call("_note", ast.Constant(name), value))

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        parts = (
            node.test.values if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And) else [node.test]
        )
        links = []
        for part in parts:
            links += [link for link, _ in comparisons(part)] if isinstance(part, ast.Compare) else [part]
        return [self.note(link, distance(link)) for link in links]

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        value = node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "assert_close":
            measured = ast.Call(ast.Name("_close", ast.Load()), value.args, value.keywords)
            return self.note(ast.Call(value.func, value.args, []), measured)
        return node


def noting(claim: str, source: str) -> tuple[str, list[str]]:
    """A claim's source that notes its distances and asserts nothing, and the names of the notes."""
    transformer = NoteDistances(claim)
    tree = ast.fix_missing_locations(transformer.visit(ast.parse(source)))
    return ast.unparse(tree), transformer.names


def prepared(lesson: str, seed: int) -> tuple[nbformat.NotebookNode, list[str]]:
    """The lesson with a seed, whose claims note their distances, and the names of all notes."""
    notebook = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)
    (setup,) = [cell for cell in notebook.cells if cell.cell_type == "code" and SEED_LINE in cell.source]
    setup.source = setup.source.replace(SEED_LINE, f"SEED = {seed}")
    names = []
    for cell in notebook.cells:
        if "claim" in cell.metadata.get("tags", []):
            cell.source, new = noting(cell.id, cell.source)
            names += new
    notebook.cells.insert(0, nbformat.v4.new_code_cell(KERNEL_CELL))
    notebook.cells.append(nbformat.v4.new_code_cell(LAST_CELL))
    return notebook, names


# ----------------------------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class Run:
    """One execution of a lesson, or of the tests that train."""

    lesson: str
    precision: str
    seed: int

    def path(self) -> Path:
        """Where its notes are kept: another file for another text of the code."""
        if self.lesson == SUITE:
            code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("tests/test_t*.py")))
        else:
            notebook = nbformat.read(NOTEBOOKS / f"{self.lesson}.ipynb", as_version=4)
            code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        return RUNS / f"{self.lesson}-{self.precision}-{self.seed}-{sha256(code.encode()).hexdigest()[:8]}.json"


def take(run: Run) -> tuple[Run, float]:
    """Execute a lesson and keep what it noted; return the seconds that took. A claim that would fail does not end it.

    Raises:
        RuntimeError: a cell that is no claim failed, so that not everything was noted.
    """
    os.environ |= {"TORCHNLP_PRECISION": run.precision, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    path = run.path()  # before the run, which may take minutes in which the lesson is edited
    if run.lesson == SUITE:
        return run, take_suite(run, path)
    notebook, names = prepared(run.lesson, run.seed)
    seconds = execute(notebook, NOTEBOOKS, allow_errors=True)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" and "claim" not in cell.metadata.get("tags", []):
                raise RuntimeError(f"{run}, cell {cell.id}: {output.ename}: {output.evalue[:300]}")
    notes = json.loads("".join(output.get("text", "") for output in notebook.cells[-1].outputs))
    keep(path, {name: notes.get(name) for name in names})
    return run, seconds


def keep(path: Path, notes: dict[str, float | None]) -> None:
    """Write the notes of a run, whole or not at all."""
    torchnlp._write(path, (json.dumps(notes, indent=1) + "\n").encode())


def take_suite(run: Run, path: Path) -> float:
    """Run the tests that train, and keep what they noted; return the seconds that took."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        settings = {"COURSE_TEST_SEED": str(run.seed), "COURSE_TEST_NOTES": str(notes)}
        command = [sys.executable, "-m", "pytest", "-q", "-m", "trained", "-p", "no:cacheprovider", "tests"]
        subprocess.run(command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.DEVNULL)
        least: dict[str, float] = {}
        for line in notes.read_text(encoding="utf-8").splitlines():
            name, value = json.loads(line)
            least[name] = min(value, least.get(name, math.inf))
    keep(path, least)
    return time.perf_counter() - begin


# ---------------------------------------------------------------------------------------------------------------- table


@dataclass
class Row:
    """The distances of one comparison over all runs of a lesson, by number format."""

    claim: str
    comparison: str
    distances: dict[str, list[float]]

    @property
    def least(self) -> float:
        """The least distance of all runs; below zero where a run failed."""
        return min(min(values) for values in self.distances.values())

    @property
    def spread(self) -> float:
        """The standard deviation over seeds, pooled over the number formats; 0 for what is only true or false."""
        values = [values for values in self.distances.values() if not any(map(math.isinf, values))]
        freedom = sum(len(part) - 1 for part in values)
        squares = sum(statistics.pvariance(part) * len(part) for part in values)
        return math.sqrt(squares / freedom) if freedom else 0.0

    @property
    def room(self) -> float:
        """The mean distance in spreads, in the number format where it is least."""
        if self.least < 0:
            return -math.inf
        mean = min(statistics.mean(values) for values in self.distances.values())
        return mean / self.spread if self.spread else math.inf

    def cells(self) -> list[str]:
        """The row of the table."""
        means = [statistics.mean(self.distances[name]) if name in self.distances else None for name in FORMATS]
        numbers = [in_three_digits(value) for value in (*means, self.spread, self.least)]
        room = "failed" if self.least < 0 else "no spread" if math.isinf(self.room) else f"{self.room:.1f}"
        return [self.claim, f"`{self.comparison}`", *numbers, room]


def in_three_digits(value: float | None) -> str:
    """A distance for the table."""
    if value is None:
        return "not run"
    return "exact" if math.isinf(value) else f"{value:.3g}"


def rows_of(notes: dict[Run, dict[str, float | None]]) -> list[Row]:
    """A row for each comparison of one lesson; a comparison that a run did not reach counts as failed there."""
    rows = []
    for name in next(iter(notes.values())):
        claim, _, comparison = name.partition(": ")
        row = Row(claim, " ".join(comparison.split()), {})
        for run, distances in notes.items():
            value = distances[name]
            row.distances.setdefault(run.precision, []).append(-math.inf if value is None else value)
        rows.append(row)
    return rows


def report_lesson(lesson: str, notes: dict[Run, dict[str, float | None]], save: bool) -> int:
    """Print the table of one lesson, save it if asked to, and return how many comparisons have too little room."""
    rows = rows_of(notes)
    short_of_room = [row for row in rows if row.room < ENOUGH]
    report = Report(f"margins-{lesson}", lesson, TABLE, HEADER)
    counts = {name: sum(run.precision == name for run in notes) for name in FORMATS}
    report.say(
        f"Seeds: {counts['bfloat16']} in bfloat16, {counts['float32']} in float32. {len(rows)} comparisons, "
        f"{len(short_of_room)} with less than {ENOUGH:.0f} spreads of room."
    )
    report.table(
        "claim | comparison | mean in bfloat16 | mean in float32 | spread | least | room",
        [row.cells() for row in sorted(rows, key=lambda row: row.room)],
    )
    if save:
        report.save()
    return len(short_of_room)


def main() -> int:
    parser = options(__doc__)
    lessons = [*(path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))), SUITE]
    parser.add_argument(
        "lessons", nargs="*", default=lessons, metavar="LESSON", help=f"such as 1-attention; {SUITE} for the tests"
    )
    parser.add_argument("--seeds", type=int, default=8, help="in the machine's own number format")
    parser.add_argument("--other-seeds", type=int, default=2, help="in the other one")
    parser.add_argument("--jobs", type=int, default=2, help="lessons at a time, one thread each")
    arguments = parser.parse_args()
    os.environ["TORCHNLP_DATA"] = "sample"
    own = torchnlp.precision()
    (other,) = set(FORMATS) - {own}
    seeds = {own: arguments.seeds, other: arguments.other_seeds}
    runs = [
        Run(lesson, precision, FIRST_SEED + i)
        for precision, count in seeds.items()
        for i in range(count)
        for lesson in arguments.lessons
    ]
    waiting = [run for run in runs if not run.path().exists()]
    print(f"{len(runs)} runs, {len(waiting)} of them to do, {arguments.jobs} at a time", flush=True)
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        for done in concurrent.futures.as_completed(pool.submit(take, run) for run in waiting):
            run, seconds = done.result()
            print(f"{run.lesson:24} {run.precision:8} seed {run.seed}: {seconds:.0f} s", flush=True)
    short_of_room = 0
    for lesson in arguments.lessons:
        notes = {run: json.loads(run.path().read_text(encoding="utf-8")) for run in runs if run.lesson == lesson}
        short_of_room += report_lesson(lesson, notes, arguments.save)
    print(f"{short_of_room} comparisons with less than {ENOUGH:.0f} spreads of room")
    return int(short_of_room > 0)


if __name__ == "__main__":
    sys.exit(main())
