"""Lesson 4's training in float32 and in bfloat16, in turn, from the same weights, on the same items: what is learned.

    python benchmarks/precision.py [FOLDER] [--examples 4000] [--seeds 0 1 2] [--save]

FOLDER, items and test are those of ``benchmarks/finetuning.py``. On a machine without instructions for bfloat16 that
format is slower; what is learned does not depend on the machine.
"""

import argparse
import os
import random
import statistics

import transformers
from finetuning import TESTED, Items, Run, lesson_4
from report import Report, add_save, median_and_spread

import torchnlp

FORMATS = ("float32", "bfloat16")


def compare(train: Items, test: Items, examples: int, seeds: list[int]) -> dict[str, list[Run]]:
    """Train and test in each number format, seed by seed, and print each run as it ends."""
    runs: dict[str, list[Run]] = {name: [] for name in FORMATS}
    before = os.environ.get("TORCHNLP_PRECISION", "")
    try:
        for seed in seeds:
            chosen = random.Random(seed).sample(train, min(examples, len(train)))
            for name in FORMATS:
                os.environ["TORCHNLP_PRECISION"] = name
                torchnlp.set_seed(seed)
                run = lesson_4(chosen, test, seed)
                runs[name].append(run)
                print(
                    f"seed {seed}  {name:8}  train {run.train_seconds:6.1f} s  accuracy {run.accuracy:.4f}", flush=True
                )
    finally:
        os.environ["TORCHNLP_PRECISION"] = before
    return runs


def tell(report: Report, runs: dict[str, list[Run]]) -> None:
    """A row for each number format, and the difference of their accuracies beside the spread over seeds."""
    rows = []
    for name, done in runs.items():
        accuracies = [run.accuracy for run in done]
        seconds = (
            median_and_spread([getattr(run, part) for run in done]) for part in ("train_seconds", "test_seconds")
        )
        rows.append([name, *seconds, f"{statistics.mean(accuracies):.4f}", ", ".join(f"{x:.4f}" for x in accuracies)])
    report.table(["format", "training, s", "testing, s", "accuracy, mean", "accuracies"], rows)
    gains = [b.accuracy - a.accuracy for a, b in zip(*(runs[name] for name in FORMATS), strict=True)]
    spread = f", standard deviation over the seeds {statistics.stdev(gains):.4f}" if len(gains) > 1 else ""
    report.say(
        f"Accuracy in bfloat16 minus that in float32, by seed: {statistics.mean(gains):+.4f} on average{spread}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    parser.add_argument("--examples", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_save(parser)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    train, test, _, _ = torchnlp.load_dataset(source=arguments.folder)
    report = Report("precision", "Lesson 4 in two number formats")
    runs = compare(train, test[:TESTED], arguments.examples, arguments.seeds)
    report.say(
        f"{min(arguments.examples, len(train)):,} training items, the first {len(test[:TESTED])} test items, "
        f"seeds {', '.join(map(str, arguments.seeds))}; median and spread over the seeds."
    )
    tell(report, runs)
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
