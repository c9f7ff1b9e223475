"""Load 120,000 rows: ``torchnlp.load_dataset`` against a plain torchtext loop and Hugging Face ``datasets``.

    pip install -r benchmarks/requirements.txt
    python benchmarks/loading.py [--rounds 3] [--rows 120000] [--save] [FOLDER]

FOLDER holds ``train.csv`` in AG News' layout; without it, ``data/ag_news``, or the sample's texts where that is
missing. The rows are repeated until there are enough. The three take turns in one process, and each must end with the
same rows, tokens and counts:

- *plain loop*: read, tokenize each line, count, build; nothing is checked;
- *torchnlp*: the helper of the course;
- *datasets*: ``load_dataset("csv")`` with an empty cache each time, texts and tokens by ``map`` in batches, which keeps
  them in the cache on disk, then a loop that counts the tokens; the rows are taken out as a list.

Prints seconds, ratios, and the peak memory above what was in use before.
"""

import argparse
import collections
import contextlib
import csv
import importlib.util
import io
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torchtext
from report import Report, add_save, machine, median_and_spread, peak_memory, show_mib
from torchtext.data.utils import get_tokenizer

import torchnlp

Loaded = tuple[list, list, torchtext.vocab.Vocab]
HOW_TO_INSTALL = "pip install -r benchmarks/requirements.txt"


def write_rows(rows: list[tuple[str, str, str]], path: Path, count: int) -> None:
    """Write ``count`` rows in AG News' layout, the given ones again and again."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(itertools.islice(itertools.cycle(rows), count))


def read_rows(folder: Path | None) -> list[tuple[str, str, str]]:
    """Training rows as (label, title, description)."""
    if folder is None:
        return [(str(label), "", text) for label, text in torchnlp.load_dataset(source="sample")[0]]
    with open(folder / "train.csv", encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def plain_loop(folder: Path) -> Loaded:
    """What a course would write by hand."""

    def read(name: str) -> list[tuple[int, str]]:
        with open(folder / name, encoding="utf-8", newline="") as file:
            return [(int(label), f"{title} {description}") for label, title, description in csv.reader(file)]

    train, test = read("train.csv"), read("test.csv")
    tokenizer = get_tokenizer("basic_english")
    counter = collections.Counter()
    for _, text in train:
        counter.update(tokenizer(text))
    return train, test, torchtext.vocab.Vocab(counter, specials=["<pad>", "<unk>"])


def ours(folder: Path) -> Loaded:
    """The helper of the course, without its printed line."""
    with contextlib.redirect_stdout(io.StringIO()):
        train, test, _, vocab = torchnlp.load_dataset(source=folder)
    return train, test, vocab


def hugging_face(folder: Path) -> Loaded:
    """Hugging Face ``datasets``, with a cache in ``folder/cache``."""
    import datasets

    datasets.disable_progress_bars()
    parts = datasets.load_dataset(
        "csv",
        data_files={part: str(folder / f"{part}.csv") for part in ("train", "test")},
        column_names=["label", "title", "description"],
        keep_default_na=False,  # an empty title is a text, and so is "NA"
        cache_dir=str(folder / "cache"),
    )

    def join(batch: dict[str, list]) -> dict[str, list]:
        pairs = zip(batch["title"], batch["description"], strict=True)
        return {"text": [f"{title} {description}" for title, description in pairs]}

    tokenizer = get_tokenizer("basic_english")

    def tokenize(batch: dict[str, list]) -> dict[str, list]:
        return {"tokens": [tokenizer(text) for text in batch["text"]]}

    parts = parts.map(join, batched=True, remove_columns=["title", "description"])
    counter = collections.Counter()
    for batch in parts["train"].map(tokenize, batched=True).select_columns("tokens").iter(batch_size=1000):
        counter.update(itertools.chain.from_iterable(batch["tokens"]))
    train, test = (list(zip(part["label"][:], part["text"][:], strict=True)) for part in parts.values())
    return train, test, torchtext.vocab.Vocab(counter, specials=["<pad>", "<unk>"])


def contestants() -> dict[str, Callable[[Path], Loaded]]:
    """Who takes part; ``datasets`` only where it is installed."""
    found = {"plain loop": plain_loop, "torchnlp": ours}
    return found | {"datasets": hugging_face} if importlib.util.find_spec("datasets") else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = torchnlp.AG_NEWS_FOLDER if torchnlp.AG_NEWS_FOLDER.is_dir() else None
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=120_000)
    add_save(parser)
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"  # datasets has nothing to ask the Hub for

    print(machine())
    report = Report("loading", f"Loading {arguments.rows:,} rows")
    rows = read_rows(arguments.folder)
    loaders = contestants()
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    memory: dict[str, list[float | None]] = {name: [] for name in loaders}
    found = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(rows, folder / "train.csv", arguments.rows)
        write_rows(rows, folder / "test.csv", min(arguments.rows, 7_600))
        small = folder / "small"  # the first load of all pays for imports: not counted
        small.mkdir()
        for part in ("train", "test"):
            write_rows(rows, small / f"{part}.csv", 100)
        for load in loaders.values():
            load(small)
        for _ in range(arguments.rounds):
            for key, load in loaders.items():
                with peak_memory("cpu") as peak:
                    begin = time.perf_counter()
                    train, test, vocab = load(folder)
                    seconds[key].append(time.perf_counter() - begin)
                memory[key].append(peak.above_mib)
                print(f"{key:12} {seconds[key][-1]:6.2f} s", flush=True)
                found.add(hash((tuple(train), tuple(test), frozenset(vocab.freqs.items()))))
                del train, test, vocab
                shutil.rmtree(folder / "cache", ignore_errors=True)
    assert len(found) == 1, "rows, tokens or counts differ"

    table = []
    for key, values in seconds.items():
        ratio = statistics.median(value / plain for value, plain in zip(values, seconds["plain loop"], strict=True))
        peaks = [mib for mib in memory[key] if mib is not None]
        table.append([key, median_and_spread(values), f"{ratio:.2f}", show_mib(max(peaks, default=None))])
    if "datasets" not in loaders:
        table.append(["datasets", f"not installed: `{HOW_TO_INSTALL}`", "", ""])
    report.table(["", "seconds", "times the plain loop", "peak MiB above the start"], table)
    report.say(
        f"In turn in one process, rounds: {arguments.rounds}; median and range. Rows, tokens and counts are equal."
    )
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
