"""How time and memory of a training step grow: with the texts of a batch, with their length, and on real news.

    python benchmarks/growth.py [--steps 3] [--tokens 1024] [--save] [FOLDER]

FOLDER holds news in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. The model is the course's, and a
step is that of ``torchnlp.fine_tune``. After one round to warm up, in which the memory is measured, ``--steps`` rounds
are timed, every case once in each, and medians are taken. Prints:

- the same tokens in batches of ever more texts;
- texts of ever more tokens, with the same number of tokens in a batch, and with the same number of texts;
- real news in random batches and in batches of like length: each batch's seconds against its real tokens and against
  its padded ones, with the straight line of least squares.
"""

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from report import Report, add_save, machine, median_and_spread, peak_memory, show_mib
from transformers import AutoTokenizer, BertForSequenceClassification

import torchnlp

LENGTH = 64  # tokens of a text, where their number grows
LENGTHS = (16, 32, 64, 128, 256)
BATCH = 8  # texts of a batch of real news

Batch = dict[str, torch.Tensor]


class Trainer:
    """The course's model, and what is needed for one training step after the other.

    Args:
        model: without it, BERT for four classes from ``torchnlp.model_folder()``, without dropout.
    """

    def __init__(self, model: torch.nn.Module | None = None):
        torchnlp.set_seed(0)
        self.model = course_model() if model is None else model
        self.model.to(torchnlp.device).train()
        self.call = self.model  # limit.py puts a compiled one here
        self.optimizer, self.scheduler = torchnlp.prepare_optimizer(self.model, 1e-4, iterations=1_000_000)

    def step(self, batch: Batch) -> float:
        """Take one step, as ``torchnlp.fine_tune`` does; return its seconds."""
        synchronize()
        begin = time.perf_counter()
        batch = {name: tensor.to(torchnlp.device) for name, tensor in batch.items()}
        with torchnlp.autocast():
            loss = self.call(**batch).loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        synchronize()
        return time.perf_counter() - begin


def course_model(**settings) -> BertForSequenceClassification:
    """Lesson 4's model."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return BertForSequenceClassification.from_pretrained(
        torchnlp.model_folder(),
        num_labels=4,
        use_safetensors=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **settings,
    )


def synchronize() -> None:
    """Wait until the device has done what it was told."""
    if torchnlp.device.type == "cuda":
        torch.cuda.synchronize()
    elif torchnlp.device.type == "mps":
        torch.mps.synchronize()


def made_up_batch(texts: int, length: int, vocabulary: int = 30_000) -> Batch:
    """Texts of this many random tokens each, without padding."""
    chance = torch.Generator().manual_seed(texts * length)
    ids = torch.randint(1_000, vocabulary, (texts, length), generator=chance)
    labels = torch.randint(4, (texts,), generator=chance)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


@dataclass
class Measured:
    """Seconds of a case's steps, and its peak memory above weights, gradients and optimizer state."""

    seconds: list[float]
    above_mib: float | None


def measure(trainer: Trainer, cases: Sequence[Batch], steps: int) -> list[Measured]:
    """Time the cases in turn, ``steps`` times each, after one round that is not timed."""
    trainer.step(max(cases, key=lambda batch: batch["input_ids"].numel()))
    measured = []
    for batch in cases:
        with peak_memory() as peak:
            trainer.step(batch)
        measured.append(Measured([], peak.above_mib))
    for _ in range(steps):
        for batch, case in zip(cases, measured, strict=True):
            case.seconds.append(trainer.step(batch))
    return measured


def fit_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """The straight line of least squares through points.

    Returns:
        ``(slope, intercept, r_squared)``: the last is the share of the spread of ``y`` that the line explains.

    Raises:
        ValueError: fewer than two different ``x``.
    """
    if len(set(x)) < 2:
        raise ValueError("a line needs two points with different x: take more steps")
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    slope, intercept = np.polyfit(x, y, deg=1)
    spread = ((y - y.mean()) ** 2).sum()
    left = ((y - slope * x - intercept) ** 2).sum()
    return float(slope), float(intercept), float(1 - left / spread) if spread else 1.0


def report_made_up(report: Report, trainer: Trainer, steps: int, tokens: int) -> None:
    """Texts of made-up tokens: more of them, then longer ones, in batches of about this many tokens."""
    middle = max(1, tokens // 128)  # texts of a batch, where only their length grows
    by_texts = [(2**i, LENGTH) for i in range((2 * tokens // LENGTH).bit_length())]
    by_length = [(tokens // length, length) for length in LENGTHS]
    by_size = [(middle, length) for length in LENGTHS]
    shapes = list(dict.fromkeys(by_texts + by_length + by_size))
    results = dict(
        zip(shapes, measure(trainer, [made_up_batch(*shape) for shape in shapes], steps), strict=True)
    )  # (texts, tokens of each)

    def show(cases: list[tuple[int, int]]) -> None:
        rows = []
        for texts, length in cases:
            seconds, size = results[texts, length].seconds, texts * length
            per_thousand = 1000 * statistics.median(seconds) / size
            memory = show_mib(results[texts, length].above_mib)
            rows.append([texts, length, size, median_and_spread(seconds), f"{per_thousand:.3f}", memory])
        headers = ["texts", "tokens of each", "tokens of the batch", "seconds a step", "seconds per 1,000 tokens"]
        report.table([*headers, "peak MiB above the start"], rows)
        sizes, medians = zip(*((a * b, statistics.median(results[a, b].seconds)) for a, b in cases), strict=True)
        if len(set(sizes)) > 1:
            slope, intercept, r_squared = fit_line(sizes, medians)
            report.say(
                f"Line: {intercept:.3f} s a step, and {1000 * slope:.3f} s per 1,000 tokens; R² {r_squared:.4f}."
            )

    report.say(f"**More texts of {LENGTH} tokens.** A fixed part of each step, above all the optimizer, is shared.")
    show(by_texts)
    report.say(f"**Longer texts, {tokens} tokens in each batch.** Only attention sees the length.")
    show(by_length)
    report.say(f"**Longer texts, {middle} in each batch.**")
    show(by_size)


def report_news(report: Report, trainer: Trainer, news: list[tuple[int, str]], count: int) -> None:
    """Real news: the same texts in random batches, and in batches of like length."""
    tokenizer = AutoTokenizer.from_pretrained(torchnlp.model_folder())
    collate = torchnlp.BertCollate(tokenizer)
    chosen = random.Random(0).sample(news, min(len(news), BATCH * count))
    lengths = [len(ids) for ids in tokenizer([text for _, text in chosen], truncation=True, max_length=128).input_ids]
    in_turn = range(len(chosen))
    ways = {
        "random": [list(in_turn[i : i + BATCH]) for i in range(0, len(chosen), BATCH)],
        "of like length": list(torchnlp.LengthGroupedBatches(lengths, BATCH)),
    }
    batches = {way: [collate([chosen[i] for i in batch]) for batch in ways[way]] for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for first in (batches[way][0] for way in ways):
        trainer.step(first)
    for pair in zip(*batches.values(), strict=True):
        for way, batch in zip(ways, pair, strict=True):
            seconds[way].append(trainer.step(batch))

    real = {way: [int(batch["attention_mask"].sum()) for batch in batches[way]] for way in ways}
    padded = {way: [batch["attention_mask"].numel() for batch in batches[way]] for way in ways}
    rows = []
    for way in ways:
        total = sum(real[way])
        share, rate = sum(padded[way]) / total, 1000 * sum(seconds[way]) / total
        rows.append([way, len(ways[way]), total, sum(padded[way]), f"{share:.3f}", f"{rate:.3f}"])
    report.say(f"**Real news**, the same {len(chosen)} texts in batches of {BATCH}.")
    headers = ["batches", "number", "real tokens", "padded tokens", "padded / real", "seconds per 1,000 real tokens"]
    report.table(headers, rows)

    rows = []
    for way in (*ways, "both"):
        chosen_ways = list(ways) if way == "both" else [way]
        y = [value for one in chosen_ways for value in seconds[one]]
        for kind, tokens in (("real", real), ("padded", padded)):
            slope, intercept, r_squared = fit_line([value for one in chosen_ways for value in tokens[one]], y)
            rows.append([way, kind, f"{intercept:.3f}", f"{1000 * slope:.3f}", f"{r_squared:.3f}"])
    headers = ["batches", "line through seconds against", "seconds a step", "seconds per 1,000 of these tokens", "R²"]
    report.table(headers, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each case; 8 times as many of real news")
    parser.add_argument("--tokens", type=int, default=1024, help="tokens of a batch of made-up texts, from 256 on")
    add_save(parser)
    arguments = parser.parse_args()
    if arguments.tokens < max(LENGTHS):
        parser.error(f"--tokens {arguments.tokens} is less than the longest text, {max(LENGTHS)}")
    print(machine())
    report = Report("growth", "How a training step grows")
    trainer = Trainer()
    news = torchnlp.load_dataset(source=arguments.folder)[0]
    report.say(
        f"The course's model, {torchnlp.precision()}; median and range; timed steps of each case: {arguments.steps}."
    )
    report_made_up(report, trainer, arguments.steps, arguments.tokens)
    report_news(report, trainer, news, count=8 * arguments.steps)
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
