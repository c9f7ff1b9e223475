"""Load 120,000 rows: ``torchnlp.load_dataset`` against a plain torchtext loop and Hugging Face ``datasets``.

    pip install -r benchmarks/requirements.txt
    python benchmarks/loading.py [--rounds 3] [--rows 120000] [--save] [FOLDER]

FOLDER holds news in AG News' layout; without it, ``data/ag_news``, or the sample where that is missing. The rows are
repeated until there are enough. The three take turns in one process, and each must end with the same rows, tokens and
counts:

- *plain loop*: read, tokenize each line, count, build; nothing is checked;
- *torchnlp*: the helper of the course;
- *datasets*: ``load_dataset("csv")`` with an empty cache each time, texts and tokens by ``map`` in batches, which keeps
  them in the cache on disk, then a loop that counts the tokens; the rows are taken out as a list.

Prints seconds, ratios, and the peak memory above what was in use before.
"""

import collections
import contextlib
import csv
import functools
import importlib.util
import io
import itertools
import operator
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torchtext
from measure import Items, in_turn
from report import Report, median_and_spread, run, show_mib
from torchtext.data.utils import get_tokenizer

import torchnlp

Loaded = tuple[list, list, torchtext.vocab.Vocab]


def write_rows(news: Items, path: Path, count: int) -> None:
    """Write ``count`` rows in AG News' layout, label, title and description, the given news again and again."""
    rows = ((label, *text.partition(" ")[::2]) for label, text in itertools.cycle(news))
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(itertools.islice(rows, count))


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


def fill(report: Report, folder: str | None, rounds: int, rows: int) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # datasets has nothing to ask the Hub for
    found = torchnlp.AG_NEWS_FOLDER if torchnlp.AG_NEWS_FOLDER.is_dir() else "sample"
    news = torchnlp.load_dataset(source=folder or found)[0]
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        write_rows(news, copy / "train.csv", rows)
        write_rows(news, copy / "test.csv", min(rows, 7_600))

        def fingerprint(loaded: Loaded) -> int:
            """What must be the same for all; it empties the cache, too."""
            shutil.rmtree(copy / "cache", ignore_errors=True)
            train, test, vocab = loaded
            return hash((tuple(train), tuple(test), frozenset(vocab.freqs.items())))

        cases = {name: functools.partial(load, copy) for name, load in contestants().items()}
        measured = in_turn(cases, rounds, memory="cpu", keep=fingerprint)
    assert len({result for case in measured.values() for result in case.results}) == 1, "rows, tokens or counts differ"

    table = []
    for name, case in measured.items():
        ratio = statistics.median(map(operator.truediv, case.seconds, measured["plain loop"].seconds))
        table.append([name, median_and_spread(case.seconds), f"{ratio:.2f}", show_mib(case.above_mib)])
    if "datasets" not in measured:
        table.append(["datasets", "not installed: `pip install -r benchmarks/requirements.txt`", "", ""])
    report.table("loader | seconds | times the plain loop | peak MiB above the start", table)
    report.say(f"{rows:,} rows. In turn in one process, rounds: {rounds}; median and range. All find the same.")


if __name__ == "__main__":
    run(Report("loading", "Loading many rows"), fill, __doc__, rounds=3, rows=120_000)
