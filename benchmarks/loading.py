"""Load 120,000 rows: ``torchnlp.load_dataset`` against the plain torchtext loop, in turn, in one process.

    python benchmarks/loading.py [FOLDER]

FOLDER holds ``train.csv`` in AG News' layout; without it, ``data/ag_news``, or the sample's texts where that is
missing. The rows are repeated until there are 120,000. Prints seconds, their ratio and the peak memory.
"""

import argparse
import collections
import contextlib
import csv
import io
import itertools
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

import torchtext
from torchtext.data.utils import get_tokenizer

import torchnlp

ROWS = 120_000
ROUNDS = 5


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


def plain_loop(folder: Path) -> tuple[list, list, torchtext.vocab.Vocab]:
    """What a course would write by hand: read, tokenize each line, count, build; nothing is checked."""

    def read(name: str) -> list[tuple[int, str]]:
        with open(folder / name, encoding="utf-8", newline="") as file:
            return [(int(label), f"{title} {description}") for label, title, description in csv.reader(file)]

    train, test = read("train.csv"), read("test.csv")
    tokenizer = get_tokenizer("basic_english")
    counter = collections.Counter()
    for _, text in train:
        counter.update(tokenizer(text))
    return train, test, torchtext.vocab.Vocab(counter, specials=["<pad>", "<unk>"])


def ours(folder: Path) -> tuple[list, list, torchtext.vocab.Vocab]:
    """The helper of the course, without its printed line."""
    with contextlib.redirect_stdout(io.StringIO()):
        train, test, _, vocab = torchnlp.load_dataset(source=folder)
    return train, test, vocab


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = torchnlp.AG_NEWS_FOLDER if torchnlp.AG_NEWS_FOLDER.is_dir() else None
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    rows = read_rows(parser.parse_args().folder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(rows, folder / "train.csv", ROWS)
        write_rows(rows, folder / "test.csv", 7_600)
        seconds: dict[str, list[float]] = {"plain loop": [], "torchnlp": []}
        for _ in range(ROUNDS):
            for load, key in ((plain_loop, "plain loop"), (ours, "torchnlp")):
                begin = time.perf_counter()
                result = load(folder)
                seconds[key].append(time.perf_counter() - begin)
        assert plain_loop(folder)[2].freqs == result[2].freqs, "tokens or counts differ"
        tracemalloc.start()
        ours(folder)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    for key, values in seconds.items():
        print(f"{key:12} median {statistics.median(values):.2f} s  ({min(values):.2f} to {max(values):.2f})")
    ratio = statistics.median(b / a for a, b in zip(*seconds.values(), strict=True))
    print(f"torchnlp / plain loop: {ratio:.2f} (median of {ROUNDS} pairs); peak of Python's memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
