"""Record the experiments that take longer than a lesson may, and keep their results in ``notebooks/recorded``.

    python benchmarks/record.py [--jobs N] [--news FOLDER] [EXPERIMENT ...]

The code of an experiment stands once, in its lesson: a function that returns rows. The cells that it needs carry the
tag ``recorded``. Those up to the function are executed here, alone and in order, and then it is called with the
parameters of ``EXPERIMENTS``, once for each seed, each time in a kernel of its own with one thread. The rows are
written with the command, the day, the machine, the versions, and a hash of these cells, by which a test finds out that
the lesson has changed since.

The rows of each run are kept in ``build/recorded`` and not computed again until one of the cells or a parameter
changes: what was cut off goes on where it was by the same command. For an experiment on AG News, ``--news`` names a
folder in its layout; without it, AG News is downloaded. What measures a GPU is recorded where there is one.
"""

import argparse
import ast
import concurrent.futures
import datetime
import json
import multiprocessing
import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import torch
from lessons import NOTEBOOKS, execute
from report import ROOT, command, machine

import torchnlp

RUNS = ROOT / "build" / "recorded"
TAG = "recorded"


@dataclass(frozen=True)
class Experiment:
    """Which function of which lesson is called with what."""

    lesson: str
    function: str
    parameters: dict[str, Any]
    small: dict[str, Any]  # parameters with which it takes seconds, for the suite
    seeds: tuple[int, ...] = (0, 1, 2)
    on_ag_news: bool = False
    apart: str = ""  # a parameter that is a list: each of its values has a run of its own, so that more run at a time
    on_gpu: bool = False  # it measures a CUDA GPU; without one it is not recorded
    few_seeds: str = ""  # why there are fewer than three; the lesson says it, too

    def runs(self) -> list[dict[str, Any]]:
        """The parameters of each run of a seed."""
        if not self.apart:
            return [self.parameters]
        return [self.parameters | {self.apart: [value]} for value in self.parameters[self.apart]]


NEWS_KINDS = ["bag of words", "LSTM, last state", "LSTM, mean of states"]
NEWS_KINDS += ["transformer, last place", "transformer, mean", "transformer, no positions"]
NEWS = Experiment(
    "2-transformers",
    "news_table",
    {"kinds": NEWS_KINDS, "rates": [0.001, 0.003, 0.01, 0.03], "epochs": 5},
    small={"kinds": NEWS_KINDS[:1], "rates": [0.01], "epochs": 1},
    seeds=(0, 1, 2, 3, 4),
)
FINE_TUNING = "4-bert-classification"
METHODS = {  # of lesson 4: each with the settings that are tried
    "TF-IDF": [1, 10, 100],
    "random body": [1e-4],
    "frozen, [CLS]": [0.1, 1, 10, 100],
    "frozen, mean": [0.1, 1, 10, 100],
    "fine-tuned": [1e-4],
}
BODIES = {  # of lesson 3: each with the rate that "blank_rates" finds best for it
    "loaded": 4e-4,
    "loaded, frozen": 1.28e-2,
    "random blocks": 4e-4,
    "random tables": 2e-4,
    "all random": 2e-4,
}
TRICKS = [None, "fewer blocks", "frozen tables", "bias from frequencies", "identity in the head"]
COUNTING = ["always the most frequent", "left neighbour", "both neighbours"]


def settings(trained: str, rates: tuple[float, ...], steps: tuple[int, ...]) -> list[list]:
    """Lesson 5: what is trained, with each rate, for each number of steps."""
    return [[trained, rate, count] for rate in rates for count in steps]


FEW_STEPS = {"settings": [["all", 5e-4, 2]]}
SEARCH = {"seeds": (0,), "few_seeds": "a search for settings"}
SPEED = "6-faster-and-bigger"
RATES = [5e-5, 1e-4, 2e-4, 3e-4]
WAYS = {"old loop": [2e-5, *RATES[1:]]}  # the least is that of old courses
WAYS |= dict.fromkeys(("ladder", "ladder, with dropout", "ladder, batches of 16"), RATES)
CHOSEN = {  # for each way the rate that needed the fewest texts in "until"
    "old loop": [1e-4],
    "ladder": [5e-5],
    "ladder, with dropout": [2e-4],
    "ladder, batches of 16": [3e-4],
}
LADDER = Experiment(SPEED, "ladder", {"repeats": 16, "size": 16}, small={"repeats": 1, "size": 2})
EXPERIMENTS = {
    "bottleneck": Experiment(
        "1-attention",
        "bottleneck",
        {"sizes": [24, 48, 96, 192], "steps": [420, 1680]},
        small={"sizes": [8], "steps": [2]},
        apart="sizes",
    ),
    "scores": Experiment(
        "1-attention",
        "compare_scores",
        {
            "names": ["none", "uniform", "chosen once", "dot", "scaled dot", "additive"],
            "rates": [0.003, 0.012, 0.036],
        },
        small={"names": ["none", "chosen once"], "rates": [0.012], "steps": 2},
        apart="names",
    ),
    "rates": Experiment(
        "1-attention",
        "pair_rates",
        {"names": ["dot", "scaled dot"], "rates": [0.003, 0.036]},
        small={"names": ["dot"], "rates": [0.003], "steps": 2},
        apart="names",
    ),
    "ablation": Experiment(
        "2-transformers",
        "ablation",
        {"names": ["nothing", "positions", "attention", "choice", "heads"], "steps": 600, "lr": 0.003},
        small={"names": ["heads"], "steps": 3},
        seeds=tuple(range(8)),
    ),
    "depth": Experiment(
        "2-transformers",
        "depth",
        {"rates": [0.001, 0.003, 0.01], "steps": 200},
        small={"rates": [0.003], "steps": 3},
    ),
    "cost": Experiment(
        "2-transformers",
        "cost",
        {"lengths": [16, 32, 64, 128, 256, 512, 1024, 2048]},
        small={"lengths": [16]},
    ),
    "learning_rates": Experiment(
        FINE_TUNING,
        "curves",
        {"rates": [1e-2, 2e-4, 1e-4, 1e-6], "labels": 900, "steps": 100},
        small={"rates": [1e-4], "labels": 16, "steps": 2},
        apart="rates",
    ),
    "overfitting": Experiment(
        FINE_TUNING,
        "curves",
        {"rates": [3e-4], "labels": 64, "steps": 160, "reports": 10},
        small={"rates": [1e-4], "labels": 16, "steps": 2},
        on_ag_news=True,
    ),
    "labels": Experiment(
        FINE_TUNING,
        "by_labels",
        {"sizes": [16, 64, 256, 1000, 4000], "settings": METHODS, "tuned_on": 1000},
        small={
            "sizes": [16],
            "settings": {method: values[:1] for method, values in METHODS.items()},
            "tuned_on": 16,
            "tested": 40,
            "least_steps": 2,
        },
        on_ag_news=True,
    ),
    "labels_sample": Experiment(
        FINE_TUNING,
        "by_labels",
        {
            "sizes": [16, 64, 256, 800],
            "settings": METHODS | {"random body": [2e-4], "fine-tuned": [2e-4]},
            "tuned_on": 800,
        },
        small={"sizes": [16], "settings": {"TF-IDF": [10]}, "tuned_on": 16, "tested": 40},
    ),
    "ladder": LADDER,
    "ladder_gpu": replace(LADDER, on_gpu=True),
    "until": Experiment(
        SPEED,
        "until",
        {"ways": WAYS, "most": 768},
        small={"ways": {"ladder": [1e-4]}, "most": 48},
    ),
    "until_again": Experiment(
        SPEED,
        "until",
        {"ways": CHOSEN, "most": 768},
        small={"ways": {"ladder": [1e-4]}, "most": 48},
        seeds=(3, 4, 5, 6, 7),
    ),
    "news_sample": NEWS,
    "news_ag": replace(NEWS, parameters=NEWS.parameters | {"epochs": 3}, on_ag_news=True),
    "blank_rates": Experiment(
        "3-bert",
        "try_settings",
        {
            "bodies": [*BODIES],
            "rates": [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3, 1.28e-2, 2.56e-2],
            "without": [None],
            "steps": 120,
        },
        small={"bodies": ["loaded"], "rates": [4e-4], "without": [None], "steps": 2},
        apart="rates",
        **SEARCH,
    ),
    "tricks": Experiment(
        "3-bert",
        "try_settings",
        {"bodies": ["loaded"], "rates": [4e-4], "without": TRICKS, "steps": 30},
        small={"bodies": ["loaded"], "rates": [4e-4], "without": ["fewer blocks"], "steps": 2},
    ),
    "blanks_sample": Experiment(
        "3-bert",
        "blanks",
        {"runs": [[body, rate, 120] for body, rate in BODIES.items()]},
        small={"runs": [["loaded", 4e-4, 2]]},
    ),
    "blanks_ag": Experiment(
        "3-bert",
        "blanks",
        {"runs": [[name, None, 0] for name in COUNTING] + [["loaded", BODIES["loaded"], n] for n in (30, 120, 480)]},
        small={"runs": [["both neighbours", None, 0], ["loaded", 4e-4, 2]]},
        on_ag_news=True,
    ),
    "blanks_ag_long": Experiment(
        "3-bert",
        "blanks",
        {"runs": [["loaded", BODIES["loaded"], 1872]]},  # about as many texts as --news holds in our measurements
        small={"runs": [["loaded", 4e-4, 2]]},
        seeds=(0,),
        on_ag_news=True,
        few_seeds="ten minutes a run, for a point at the end of a curve whose other points have three",
    ),
    "names_settings": Experiment(
        "5-beyond-classification",
        "tune_names",
        {
            "settings": settings("all", (2.5e-4, 5e-4, 1e-3), (200,))
            + settings("all", (5e-4,), (100,))
            + settings("frozen", (1e-2, 3e-2, 1e-1), (400,))
        },
        small=FEW_STEPS,
        **SEARCH,
    ),
    "names": Experiment(
        "5-beyond-classification",
        "compare_names",
        {"settings": [["frozen", 1e-1, 400], ["all", 5e-4, 200]]},
        small=FEW_STEPS,
    ),
    "answers_settings": Experiment(
        "5-beyond-classification",
        "tune_answers",
        {
            "settings": settings("all", (1.5e-4, 3e-4, 6e-4), (160,))
            + settings("question word only", (1.5e-4, 3e-4, 6e-4), (160,))
        },
        small=FEW_STEPS,
        **SEARCH,
    ),
    "answers": Experiment(
        "5-beyond-classification",
        "compare_answers",
        {"settings": [["question word only", 1.5e-4, 160], ["all", 1.5e-4, 160]]},
        small=FEW_STEPS,
    ),
}


def cells_of(experiment: Experiment) -> list[str]:
    """The source of the tagged cells in order, up to the one that defines the function.

    Raises:
        ValueError: no tagged cell defines it.
    """
    notebook = nbformat.read(NOTEBOOKS / f"{experiment.lesson}.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]
    for number, source in enumerate(sources, start=1):
        names = [part.name for part in ast.parse(source).body if isinstance(part, ast.FunctionDef)]
        if experiment.function in names:
            return sources[:number]
    raise ValueError(f"no cell of {experiment.lesson} with the tag {TAG!r} defines {experiment.function}")


def code_hash(experiment: Experiment) -> str:
    """A hash of what these cells compute: another layout or comment gives the same, another number does not.

    Nor does it matter where one cell ends and the next begins.
    """
    trees = [meaning(statement) for source in cells_of(experiment) for statement in ast.parse(source).body]
    return sha256(repr(trees).encode()).hexdigest()[:16]


def meaning(part: object) -> object:
    """A syntax tree as tuples, the same in each Python: newer ones add fields, which are empty for older code."""
    if isinstance(part, list):
        return [meaning(item) for item in part]
    if isinstance(part, ast.AST):
        fields = [(name, meaning(value)) for name, value in ast.iter_fields(part) if value is not None and value != []]
        return (type(part).__name__, fields)
    return part


def rows_of(experiment: Experiment, parameters: dict[str, Any], seed: int, news: str = "sample") -> list[dict]:
    """Execute the tagged cells and the experiment for one seed; return its rows, each with the seed.

    Raises:
        CellExecutionError: a cell failed.
        TypeError: the function did not return a list of dicts.
    """
    call = f"{experiment.function}(**json.loads({json.dumps(json.dumps(parameters))}), seeds=[{seed}])"
    sources = [*cells_of(experiment), f"import json\nrows = {call}", "print(json.dumps(rows))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    os.environ |= {"OMP_NUM_THREADS": "1", "TORCHNLP_DATA": news, "HF_HUB_OFFLINE": "1"}
    execute(notebook, NOTEBOOKS)
    rows = json.loads("".join(output.get("text", "") for output in notebook.cells[-1].outputs))
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise TypeError(f"{experiment.function} should return a list of dicts, one a row, and not {rows!r:.100}")
    return [{"seed": seed, **row} for row in rows]


def take(name: str, seed: int, parameters: dict[str, Any], news: str) -> tuple[str, float]:
    """Compute the rows of one run unless they are kept; return what it is and the seconds that took."""
    begin, path = time.perf_counter(), kept(name, seed, parameters)
    if not path.exists():
        rows = rows_of(EXPERIMENTS[name], parameters, seed, news)
        torch.set_num_threads(1)  # as in the kernel, for the line that names the machine
        content = {
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "versions": f"torch {version('torch')}, Python {platform.python_version()}",
            "rows": rows,
        }
        torchnlp._write(path, json.dumps(content).encode())
    apart = EXPERIMENTS[name].apart
    values = f", {apart} {parameters[apart]}" if apart else ""
    return f"{name}, seed {seed}{values}", time.perf_counter() - begin


def kept(name: str, seed: int, parameters: dict[str, Any]) -> Path:
    """Where the rows of one run are kept: another file for other code or other parameters."""
    experiment = EXPERIMENTS[name]
    key = json.dumps([code_hash(experiment), experiment.function, parameters])
    return RUNS / f"{name}-{seed}-{sha256(key.encode()).hexdigest()[:8]}.json"


def write(name: str, given: str) -> Path:
    """Put the rows of all runs together, with where they come from, which may be two machines; return the file."""
    experiment = EXPERIMENTS[name]
    files = [kept(name, seed, parameters) for seed in experiment.seeds for parameters in experiment.runs()]
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    rows = [row for run in runs for row in run["rows"]]
    content = {"experiment": name, "lesson": experiment.lesson, "command": given}
    content["date"] = max(run["date"] for run in runs)
    content |= {key: " and ".join(sorted({run[key] for run in runs})) for key in ("machine", "versions")}
    content["code"] = code_hash(experiment)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    head = json.dumps(content, indent=1, ensure_ascii=False).removesuffix("\n}")
    path = torchnlp.RECORDED_FOLDER / f"{name}.json"
    torchnlp._write(path, f'{head},\n "rows": [\n{lines}\n ]\n}}\n'.encode())
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS) or "none yet")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--news", default="ag_news", help="a folder in AG News' layout, for the experiments on it")
    arguments = parser.parse_args()
    gpu = torch.cuda.is_available()
    names = arguments.experiments or [name for name in EXPERIMENTS if gpu or not EXPERIMENTS[name].on_gpu]
    if unknown := sorted(set(names) - set(EXPERIMENTS)):
        parser.error(f"there is no experiment {unknown[0]!r}: choose from {', '.join(EXPERIMENTS)}")
    if not gpu and (refused := [name for name in names if EXPERIMENTS[name].on_gpu]):
        parser.error(f"{refused[0]} measures a CUDA GPU, and PyTorch finds none: record it where there is one")
    news = arguments.news if arguments.news == "ag_news" else str(Path(arguments.news).resolve())
    jobs = [(name, seed, run) for name in names for seed in EXPERIMENTS[name].seeds for run in EXPERIMENTS[name].runs()]
    fresh = multiprocessing.get_context("spawn")  # a forked process cannot use a GPU that its parent has asked about
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs, fresh) as pool:
        source = {name: news if EXPERIMENTS[name].on_ag_news else "sample" for name in names}
        waiting = [pool.submit(take, *job, source[job[0]]) for job in jobs]
        for done in concurrent.futures.as_completed(waiting):
            what, seconds = done.result()
            print(f"{what}: {seconds:.0f} s", flush=True)
    for name in names:
        print(f"written: {write(name, command()).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
