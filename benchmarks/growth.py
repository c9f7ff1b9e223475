"""How time and memory of a training step grow: with the texts of a batch, with their length, and on real news.

    python benchmarks/growth.py [--steps 3] [--save] [FOLDER]

FOLDER holds news in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. The model is the course's, and a
step is that of ``torchnlp.fine_tune``. After a round in which the memory is measured, ``--steps`` rounds are timed,
every case once in each, and medians are taken; of real news 8 times as many batches. Prints:

- the same tokens in batches of ever more texts;
- texts of ever more tokens, with the same number of tokens in a batch, and with the same number of texts;
- real news in random batches and in batches of like length: each batch's seconds against its real tokens and against
  its padded ones, with the straight line of least squares.
"""

import random
from collections.abc import Sequence
from statistics import correlation, linear_regression, median

from measure import Items, Trainer, batches_of, in_turn, lengths_of, made_up_batch
from report import Report, median_and_spread, run, show_mib

import torchnlp

TOKENS = 1024  # of a batch of made-up texts
LENGTH = 64  # tokens of a text, where their number grows
LENGTHS = (16, 32, 64, 128, 256)
BATCH = 8  # texts of a batch of real news, and of made-up ones where only their length grows


def fit_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Slope and intercept of the straight line of least squares, and R², the share of y's spread that it explains."""
    return *linear_regression(x, y), correlation(x, y) ** 2


def report_made_up(report: Report, trainer: Trainer, steps: int) -> None:
    """Texts of made-up tokens: more of them, then longer ones."""
    tables = {
        f"**More texts of {LENGTH} tokens.** A fixed part of each step, above all the optimizer, is shared.": [
            (2**i, LENGTH) for i in range((2 * TOKENS // LENGTH).bit_length())
        ],
        f"**Longer texts, {TOKENS} tokens in each batch.** Only attention sees the length.": [
            (TOKENS // length, length) for length in LENGTHS
        ],
        f"**Longer texts, {BATCH} in each batch.**": [(BATCH, length) for length in LENGTHS],
    }
    shapes = {shape for shapes in tables.values() for shape in shapes}  # (texts, tokens of each)
    cases = trainer.steps({shape: made_up_batch(*shape) for shape in sorted(shapes, reverse=True)})
    cases[BATCH, max(LENGTHS)]()  # makes the optimizer's state, which is no memory of a step
    memory = in_turn(cases, rounds=1, warm_up=0, memory=torchnlp.device.type)
    measured = in_turn(cases, steps, warm_up=0)
    for title, chosen in tables.items():
        rows, sizes, medians = [], [], []
        for texts, length in chosen:
            seconds, size = measured[texts, length].seconds, texts * length
            sizes.append(size)
            medians.append(median(seconds))
            per_thousand, above = 1000 * medians[-1] / size, show_mib(memory[texts, length].above_mib)
            rows.append([texts, length, size, median_and_spread(seconds), f"{per_thousand:.3f}", above])
        report.say(title)
        report.table(
            "texts | tokens of each | tokens of the batch | seconds a step | seconds per 1,000 tokens | "
            "peak MiB above the start",
            rows,
        )
        if len(set(sizes)) > 1:
            slope, start, r_squared = fit_line(sizes, medians)
            report.say(f"Line: {start:.3f} s a step, and {1000 * slope:.3f} s per 1,000 tokens; R² {r_squared:.4f}.")


def report_news(report: Report, trainer: Trainer, news: Items, count: int) -> None:
    """Real news: the same texts in random batches, and in batches of like length."""
    chosen = random.Random(0).sample(news, min(len(news), BATCH * count))
    cuts = {
        "random": [list(range(i, min(i + BATCH, len(chosen)))) for i in range(0, len(chosen), BATCH)],
        "of like length": list(torchnlp.LengthGroupedBatches(lengths_of(chosen), BATCH)),
    }
    batches = {way: batches_of(chosen, cut) for way, cut in cuts.items()}
    cases = {(way, i): batch for i in range(count) for way in cuts for batch in batches[way][i : i + 1]}
    measured = in_turn(trainer.steps(cases), rounds=1)
    points = [
        (way, int(batch["attention_mask"].sum()), batch["attention_mask"].numel(), measured[way, i].seconds[0])
        for (way, i), batch in cases.items()
    ]
    totals, lines = [], []
    for way in (*cuts, "both"):
        real, padded, seconds = zip(*(rest for of, *rest in points if way in (of, "both")), strict=True)
        if way != "both":
            share, rate = sum(padded) / sum(real), 1000 * sum(seconds) / sum(real)
            totals.append([way, len(real), sum(real), sum(padded), f"{share:.3f}", f"{rate:.3f}"])
        for kind, tokens in (("real", real), ("padded", padded)):
            slope, start, r_squared = fit_line(tokens, seconds)
            lines.append([way, kind, f"{start:.3f}", f"{1000 * slope:.3f}", f"{r_squared:.3f}"])
    report.say(f"**Real news**, the same {len(chosen)} texts in batches of {BATCH}.")
    report.table(
        "batches | number | real tokens | padded tokens | padded / real | seconds per 1,000 real tokens", totals
    )
    report.table(
        "batches | line through seconds against | seconds a step | seconds per 1,000 of these tokens | R²", lines
    )


def fill(report: Report, folder: str | None, steps: int) -> None:
    trainer = Trainer()
    news = torchnlp.load_dataset(source=folder)[0]
    report.say(f"The course's model, {torchnlp.precision()}; median and range; timed steps of each case: {steps}.")
    report_made_up(report, trainer, steps)
    report_news(report, trainer, news, count=8 * steps)


if __name__ == "__main__":
    run(Report("growth", "How a training step grows"), fill, __doc__, steps=3)
