"""Made-up results for each claim of each lesson: good ones, and one change for each assertion that breaks it."""

import itertools
import math
import statistics
from types import SimpleNamespace

import torch

ONE, TWO = torch.ones(2, 3), torch.full((2, 3), 2.0)
FOUR, SIX = torch.ones(4), torch.ones(6)
SIZES = [1, 4, 16, 64, 256, 1024]
WITH = SimpleNamespace(exact={1: 1.0, 2: 0.98, 3: 0.95, 4: 0.0})
WITHOUT = SimpleNamespace(exact={1: 0.3, 2: 0.01, 3: 0.0, 4: 0.0}, token={1: 0.9, 3: 0.68})
PLAIN = {"attention": False, "size": 192, "exact 3": 0.01}
ATTENDING = {"attention": True, "size": 96, "exact 3": 0.98}
KINDS = ("year", "month in digits", "month in words", "day")
KEPT = {
    (name, kind): share
    for name, *shares in (
        ("nothing", 1.0, 1.0, 1.0, 1.0),
        ("1 at random", 1.0, 1.0, 1.0, 1.0),
        ("1 of the same part", 1.0, 1.0, 1.0, 1.0),
        ("the heaviest", 0.58, 0.82, 0.89, 0.22),
        ("the 3 heaviest", 0.51, 0.54, 0.63, 0.22),
        ("a guess", 0.56, 0.44, 0.46, 0.22),
    )
    for kind, share in zip(KINDS, shares, strict=True)
}
SURPLUS = {("day", 0, "day"): 0.9, ("day", 1, "day"): 0.1, ("day", 1, "year"): 0.8, ("year", 1, "day"): 0.1}
REACHED = {(score, 3): [0.0] * 3 for score in ("none", "uniform", "chosen once")} | {("scaled dot", 3): [0.98] * 3}
SCORES = {"dot": [{"exact 3": 0.57}], "scaled dot": [{"exact 3": 0.98}], "additive": [{"exact 3": 0.95}]}
TRIED = {
    (score, *rates): {"exact 3": exact, "largest weight": weight}
    for score, *rates, exact, weight in (
        ("dot", 0.003, 0.003, 0.57, 0.76),
        ("dot", 0.012, 0.003, 1.0, 0.74),
        ("dot", 0.012, 0.012, 0.0, 0.99),
        ("scaled dot", 0.012, 0.012, 0.99, 0.76),
        ("scaled dot", 0.012, 0.036, 0.0, 0.99),
        ("additive", 0.036, 0.036, 0.01, 0.4),
    )
}


def recorded(*rows: dict) -> SimpleNamespace:
    """What stands for a recorded experiment."""
    return SimpleNamespace(rows=list(rows))


# lesson 2
PARTS = ("year", "month", "day")
EACH = dict.fromkeys(PARTS, 1.0)
KEPT_PARTS = {None: EACH, **{hidden: {**EACH, hidden: 0.1} for hidden in PARTS}}
MOVED = {
    "encoder": torch.ones(6, 6),
    "decoder": torch.ones(6, 6).tril(),
    "encoder-decoder, source replaced": torch.ones(6, 6),
    "encoder-decoder, written replaced": torch.ones(6, 6).tril(),
}
IN_BITS = {"untrained": 5.9, "letters": 4.3, "pairs": 3.65, "control": 3.7, "trained": 3.2}
ACCURACIES = {"nothing": [1.0, 0.99], "positions": [0.3], "attention": [0.13], "choice": [0.31], "heads": [0.75, 0.8]}
MEDIANS = {"attention": [0.001, 0.9], "LSTM": [0.002, 0.5], "GRU": [0.02, 0.7]}
MEANS = {
    (source, kind): share
    for source in ("sample", "AG News")
    for kind, share in (
        ("bag of words", 0.87),
        ("LSTM, last state", 0.7),
        ("LSTM, mean of states", 0.8),
        ("transformer, mean", 0.85),
    )
}


def ablated(**changed):
    """The two networks of lesson 2's ablation, each with its row; changed ones as (start, accuracy)."""
    pairs = {"nothing": (1.5, 0.99), "heads": (1.5, 0.75)} | changed
    return {name: (None, {"start": start, "accuracy": accuracy}) for name, (start, accuracy) in pairs.items()}


# Lesson 3: a trained model against the reader that always says the most frequent piece, and what breaks each assertion.
GROUPS = ("50 most frequent", "other first pieces", "rest of a word")
CONTROLS = {
    "GROUPS": GROUPS,
    "is_news": True,
    "record": True,
    "spread": {"loaded": {"[MASK]": [0.14, 0.15, 0.16]}, "random blocks": {"[MASK]": [0.03, 0.04, 0.05]}},
    "trained": {"loss at blanks": 6.0, "[MASK]": 0.15, "kept": 0.7, GROUPS[0]: 0.45, GROUPS[1]: 0.02},
    "counting": {
        "always the most frequent": (0.04, 7.8),
        "left neighbour": (0.07, 7.6),
        "both neighbours": (0.12, 7.3),
    },
    "row_of": lambda found: {"loss at blanks": found[1], "[MASK]": found[0]},
}
BROKEN = [{"loss at blanks": 7.4}, {"[MASK]": 0.07}, {"kept": 0.5}, {GROUPS[0]: 0.1}, {"[MASK]": 0.3}]
SENSE_GAPS = {
    "the word": torch.tensor([0.0, 0.06, 0.08]),
    "company": torch.tensor([0.0, 0.0, 0.02]),
    "the": torch.tensor([0.0, -0.02, 0.08]),
    ".": torch.tensor([0.0, 0.01, 0.1]),
}


def losses_after(steps: int, *losses: float) -> list[dict]:
    """Recorded trainings of so many steps, which ended with these losses."""
    return [{"steps": steps, "loss at blanks": loss} for loss in losses or (5.0,)]


TOKEN_RUNS = {30: losses_after(30, 6.6, 6.5), 120: losses_after(120, 5.6, 5.5), 480: losses_after(480, 4.8, 4.9)}


RATE_ROW = {"body": "all random", "steps": 120, "rate": 2e-4}
RATES_TRIED = {("loaded", 4e-4): 7.0, ("all random", 2e-4): 7.97, ("all random", 4e-4): 7.95}


# lesson 4
def ends_of_rates(changed: dict[float, float] | None = None) -> dict[float, list[dict]]:
    """How the recorded trainings with each rate end: two seeds each."""
    shares = {1e-2: 0.25, 2e-4: 0.95, 1e-4: 0.96, 1e-6: 0.35} | (changed or {})
    return {rate: [{"held-out accuracy": share}, {"held-out accuracy": share + 0.01}] for rate, share in shares.items()}


def labels_record(tuned_few: float, random_few: float, tuned_many: float, frozen_many: float) -> dict:
    """Lesson 4's record on AG News: the accuracies of six points, two seeds each."""
    points = {("fine-tuned", 64): tuned_few, ("random body", 64): random_few}
    points |= {("fine-tuned", 4000): tuned_many, ("frozen, [CLS]", 4000): frozen_many}
    points |= {("frozen, mean", 64): 0.78, ("frozen, mean", 4000): 0.86}
    rows = [
        {"method": method, "labels": labels, "test": share + spread}
        for (method, labels), share in points.items()
        for spread in (0, 0.005)
    ]
    return {"AG News": SimpleNamespace(rows=rows)}


def scores_of_names(always_accuracy: float = 0.88, always_f1: float = 0.0, looked_up: float = 0.45) -> dict:
    """Lesson 5: the table of the names."""
    return {
        "always O": {"token accuracy": always_accuracy, "F1": always_f1},
        "looked up": {"F1": looked_up},
        "your own run": {"F1": 0.8},
    }


# lesson 6
TOY = {"as drawn": [[6, 1], [5, 2], [4, 3]], "sorted": [[1, 2], [3, 4], [5, 6]], "grouped": [[3, 4], [1, 2], [5, 6]]}
COUNTED = {"as drawn": 30, "sorted": 24, "grouped": 24}


def count_positions(batches):
    return sum(len(batch) * max(batch) for batch in batches)


def rung(change, ratio, kept=None, band=0.05):
    kept = ratio < 1 - band if kept is None else kept
    return {"change": change, "ratio": ratio, "low": ratio - 0.01, "high": ratio + 0.01, "band": band, "kept": kept}


def runs(seconds, texts=200):
    return [{"seconds": seconds, "texts": texts}] * 3


NOT_KEPT = ("the same again", "tokenised together", "lengths grouped")
LADDER = [*(rung(change, 0.99) for change in NOT_KEPT), rung("no dropout", 0.8), rung("fused AdamW", 0.8)]


def ladder_record(*more):
    """Three seeds."""
    return SimpleNamespace(rows=LADDER * 3 + [*more])


BATCHES = "ladder, batches of 16"
CHART = {"old loop": runs(100.0, texts=600), "ladder": runs(10.0), BATCHES: runs(8.0)}
AGAIN = {"old loop": runs(100.0, texts=600), "ladder": runs(10.0), BATCHES: runs(12.0)}
FORMATS = (torch.float32, torch.bfloat16, torch.float16)
HELD = dict(
    zip(FORMATS, ([1.001, 257, 70000, 1e-8], [1.0, 256, 70144, 1e-8], [1.001, 257, math.inf, 0.0]), strict=True)
)
GROWN = dict(zip(FORMATS, (1.1, 1.0, 1.0), strict=True))
DTYPES = {"product": torch.bfloat16, "residual sum": torch.float32, "loss": torch.float32}
RESUMED = SimpleNamespace(stdout="going on after iteration 2\n")
LACKING = {"nothing": 0.0, "weights": 0.3, "place": 0.01}

CLAIMS = {
    "1-attention": {
        "toy-claim": (
            {
                "weights_by_loop": FOUR / 4,
                "weights_by_matrix": FOUR / 4,
                "context_by_loop": torch.tensor([1.0, 0.5]),
                "context_by_matrix": torch.tensor([1.0, 0.5]),
                "weights_by_module": torch.tensor([[[0.25] * 4 + [0.0] * 2]]),
                "context_by_module": torch.tensor([[[1.0, 0.5]]]),
                "context_by_library": torch.tensor([[[1.0, 0.5]]]),
                "weights_unmasked": torch.tensor([[[0.0] * 4 + [0.5] * 2]]),
            },
            [
                {"weights_by_matrix": FOUR / 5},
                {"context_by_matrix": torch.tensor([1.0, 0.6])},
                {"weights_by_module": torch.tensor([[[0.2] * 4 + [0.0] * 2]])},
                {"context_by_module": torch.tensor([[[1.0, 0.6]]])},
                {"context_by_library": torch.tensor([[[1.0, 0.6]]])},
                {"weights_by_module": torch.tensor([[[0.25] * 4 + [0.01] * 2]])},
                {"weights_unmasked": torch.tensor([[[0.25] * 4 + [0.0] * 2]])},
            ],
        ),
        "encoder-claim": ({"moved": [1e-7, 1.4]}, [{"moved": [0.01, 1.4]}, {"moved": [1e-7, 1e-7]}]),
        "results-claim": (
            {
                "weights_without": {"encoder": ONE},
                "weights_with": {"encoder": ONE, "W": TWO},
                "untrained_exact": {1: 0.0, 4: 0.0},
                "constant_exact": {1: 0.0, 4: 0.0},
                "constant_token": {1: 0.55, 4: 0.55},
                "with_attention": WITH,
                "without": WITHOUT,
            },
            [
                {"weights_with": {"encoder": TWO, "W": TWO}},
                {"untrained_exact": {1: 0.1, 4: 0.0}},
                {"constant_exact": {1: 0.1, 4: 0.0}},
                {"constant_token": {1: 0.55, 4: 0.3}},
                {"with_attention": SimpleNamespace(exact={1: 1.0, 2: 0.98, 3: 0.6, 4: 0.0})},
                {"without": SimpleNamespace(exact={1: 0.9, 2: 0.7, 3: 0.6, 4: 0.0}, token={1: 0.9, 3: 0.68})},
                {"without": SimpleNamespace(exact={1: 1.0, 2: 0.01, 3: 0.0, 4: 0.0}, token={1: 0.9, 3: 0.68})},
                {"without": SimpleNamespace(exact={1: 0.3, 2: 0.01, 3: 0.0, 4: 0.0}, token={1: 0.7, 3: 0.68})},
                {"with_attention": SimpleNamespace(exact={1: 1.0, 2: 0.98, 3: 0.95, 4: 0.9})},
            ],
        ),
        "forced-claim": ({"forced_token": 0.8, "without": SimpleNamespace(token={2: 0.6})}, [{"forced_token": 0.5}]),
        "bottleneck-claim": (
            {"live": [(0.3, [0.2, 0.4]), (1.0, [0.97, 0.99])], "record": recorded(PLAIN, ATTENDING)},
            [
                {"live": [(0.3, [0.2, 0.4]), (0.6, [0.97, 0.99])]},
                {"record": recorded({**PLAIN, "exact 3": 0.5}, ATTENDING)},
                {"record": recorded(PLAIN, {**ATTENDING, "exact 3": 0.5})},
                {"record": recorded(PLAIN, {**ATTENDING, "size": 24, "steps": 1680, "exact 3": 0.5})},
            ],
        ),
        "controls-claim": (
            {
                "reached": REACHED,
                "gains": [0.98] * 3,
                "once": torch.full((2, 3, 4), 0.25),
                "with_attention": WITH,
            },
            [
                {"reached": {**REACHED, ("chosen once", 3): [0.0, 0.5, 0.0]}},
                {"reached": {**REACHED, ("scaled dot", 3): [0.98, 0.7, 0.98]}},
                {"gains": [0.98, 0.4, 0.98]},
                {"once": torch.eye(3).expand(2, 3, 3)},
                {"with_attention": SimpleNamespace(exact={3: 0.6})},
            ],
        ),
        "alignment-claim": (
            {"KINDS": KINDS, "kept": KEPT},
            [
                {"kept": {**KEPT, ("1 of the same part", "day"): 0.8}},
                {"kept": {**KEPT, ("the heaviest", "day"): 0.55}},
                {"kept": {**KEPT, ("the heaviest", "year"): 0.9}},
                {"kept": {**KEPT, ("the heaviest", "month in words"): 0.4}},
                {"kept": {**KEPT, ("the 3 heaviest", "month in words"): 0.9}},
            ],
        ),
        "mass-claim": (
            {"masses": {"year": (0.7, 0.09), "month": (0.5, 0.1), "day": (0.9, 0.04)}},
            [{"masses": {"year": (0.1, 0.09), "month": (0.5, 0.1), "day": (0.9, 0.04)}}],
        ),
        "order-claim": (
            {"surplus": SURPLUS},
            [
                {"surplus": {**SURPLUS, ("day", 0, "day"): 0.2}},
                {"surplus": {**SURPLUS, ("day", 1, "year"): 0.2}},
                {"surplus": {**SURPLUS, ("year", 1, "day"): 0.7}},
            ],
        ),
        "scores-claim": (
            {
                "scores": SCORES,
                "first": {0: {"dot": 0.006, "scaled dot": 0.001}},
                "at_start": 0.1,
            },
            [
                {"scores": {**SCORES, "additive": [{"exact 3": 0.95}, {"exact 3": 0.5}]}},
                {"scores": {**SCORES, "dot": [{"exact 3": 0.95}]}},
                {"first": {0: {"dot": 0.002, "scaled dot": 0.001}}},
                {"at_start": 0.9},
            ],
        ),
        "pair-claim": ({"losses_of_pair": [2.5, 2.4], "losses_of_train": [2.5, 2.4]}, [{"losses_of_pair": [2.5, 2.3]}]),
        "rates-claim": (
            {"tried": TRIED},
            [
                {"tried": {**TRIED, ("dot", 0.012, 0.012): {"exact 3": 0.6, "largest weight": 0.99}}},
                {"tried": {**TRIED, ("dot", 0.003, 0.003): {"exact 3": 0.95, "largest weight": 0.76}}},
                {"tried": {**TRIED, ("scaled dot", 0.012, 0.036): {"exact 3": 0.6, "largest weight": 0.99}}},
                {"tried": {**TRIED, ("dot", 0.012, 0.012): {"exact 3": 0.0, "largest weight": 0.9}}},
                {"tried": {**TRIED, ("scaled dot", 0.012, 0.036): {"exact 3": 0.0, "largest weight": 0.9}}},
                {"tried": {**TRIED, ("additive", 0.036, 0.036): {"exact 3": 0.6, "largest weight": 0.4}}},
                {"tried": {**TRIED, ("additive", 0.036, 0.036): {"exact 3": 0.01, "largest weight": 0.9}}},
            ],
        ),
        "unmasked-claim": (
            {"shares": {"with the mask": 0.0, "without": 0.03, "untrained, without": 0.7}},
            [
                {"shares": {"with the mask": 0.1, "without": 0.03, "untrained, without": 0.7}},
                {"shares": {"with the mask": 0.0, "without": 0.3, "untrained, without": 0.7}},
                {"shares": {"with the mask": 0.0, "without": 0.03, "untrained, without": 0.2}},
            ],
        ),
        "explanation-claim": (
            {
                "heavy": 2,
                "decisive": 4,
                "heavy_effect": 0.0,
                "decisive_effect": 0.9,
                "disagree": {"year": 0.0, "month": 0.3, "day": 0.01},
            },
            [
                {"heavy": 4},
                {"heavy_effect": 0.6},
                {"decisive_effect": 0.3},
                {"disagree": {"year": 0.3, "month": 0.3, "day": 0.01}},
            ],
        ),
        "dot-claim": (
            {
                "sizes": SIZES,
                "variances": [[float(size), 1.0] for size in SIZES],
                "passed": [[0.8, 0.8], [0.1, 0.75]],
                "saturated": [[0.0, 0.0], [0.9, 0.0]],
            },
            [
                {"variances": [[1.0, 1.0]] * len(SIZES)},
                {"variances": [[float(size), float(size)] for size in SIZES]},
                {"passed": [[0.8, 0.8], [0.6, 0.75]]},
                {"passed": [[0.8, 0.8], [0.1, 0.2]]},
                {"saturated": [[0.0, 0.0], [0.5, 0.0]]},
                {"saturated": [[0.0, 0.0], [0.9, 0.2]]},
            ],
        ),
    },
    "2-transformers": {
        "attention-claim": (
            {
                "output_by_loop": SIX.cumsum(0),
                "output_by_matrix": SIX.cumsum(0),
                "output_by_library": SIX.cumsum(0),
                "masked": {"both masks": torch.tensor([[1.0, 0.0], [0.4, 0.6]])},
                "masks": {"both masks": torch.tensor([[True, False], [True, True]])},
                "order": [5, 4, 3, 2, 1, 0],
                "first": {"no mask": SIX.cumsum(0), "causal mask": SIX.cumsum(0)},
                "second": {"no mask": SIX.cumsum(0).flip(0), "causal mask": SIX.cumsum(0)},
            },
            [
                {"output_by_matrix": SIX},
                {"output_by_library": SIX},
                {"masked": {"both masks": torch.tensor([[0.9, 0.1], [0.4, 0.6]])}},
                {"second": {"no mask": SIX.cumsum(0), "causal mask": SIX.cumsum(0)}},
                {"second": {"no mask": SIX.cumsum(0).flip(0), "causal mask": SIX.cumsum(0).flip(0)}},
            ],
        ),
        "three-left-claim": (
            {
                "table": torch.ones(16, 4).cumsum(0),
                "turned": torch.ones(16, 4).cumsum(0) - 3,
                "peaks": torch.arange(-3, 13).clamp(min=0),
            },
            [{"turned": torch.ones(16, 4).cumsum(0) - 2}, {"peaks": torch.arange(-3, 13)}],
        ),
        "empty-row-claim": (
            {
                "empty": torch.tensor([True] * 3 + [False] * 3),
                "left_output": torch.tensor([[math.nan]] * 3 + [[1.0]] * 3),
                "left_weighted": torch.ones(6, 6),
                "masked": {"both masks": torch.ones(6, 6)},
                "library_left": torch.tensor([[0.0]] * 3 + [[1.0]] * 3),
            },
            [
                {"left_output": torch.tensor([[0.0]] * 3 + [[1.0]] * 3)},
                {"left_weighted": torch.zeros(6, 6)},
                {"library_left": torch.zeros(6, 1)},
            ],
        ),
        "block-claim": (
            {"equal": {"attention": (ONE, ONE), "pre-norm": (TWO, TWO)}},
            [{"equal": {"attention": (ONE, ONE), "pre-norm": (ONE, TWO)}}],
        ),
        "parameters-claim": ({"counted": 7_087_872, "predicted": 7_087_872}, [{"counted": 7_087_871}]),
        "ablation-claim": (
            {
                "statistics": statistics,
                "record": SimpleNamespace(rows=[{"seed": 0, "start": 1.5}] * 2 + [{"seed": 1, "start": 1.6}] * 2),
                "live": ablated(),
                "accuracies": ACCURACIES,
                "frequent": 0.3,
                "removed": [[0.2, 1.0, 1.0, 1.0], [1.0, 0.2, 1.0, 1.0], [1.0, 1.0, 0.2, 1.0], [1.0, 1.0, 1.0, 0.2]],
            },
            [
                {"record": SimpleNamespace(rows=[{"seed": 0, "start": 1.5}, {"seed": 0, "start": 1.6}])},
                {"live": ablated(heads=(1.6, 0.75))},
                {"accuracies": {**ACCURACIES, "nothing": [0.8, 0.89]}},
                {"accuracies": {**ACCURACIES, "attention": [0.13, 0.3]}},
                {"accuracies": {**ACCURACIES, "positions": [0.5, 0.5]}},
                {"accuracies": {**ACCURACIES, "choice": [0.5, 0.5]}},
                {"accuracies": {**ACCURACIES, "heads": [0.75, 0.95]}},
                {"accuracies": {**ACCURACIES, "heads": [0.64, 0.64]}},
                {"live": ablated(nothing=(1.5, 0.5))},
                {"live": ablated(heads=(1.5, 0.4))},
                {"removed": [[0.8, 1.0, 1.0, 1.0]] * 4},
            ],
        ),
        "depth-claim": (
            {
                "orders": {"pre-norm": {"start": 1.5}, "post-norm": {"start": 1.5}},
                "least": {"pre-norm": 0.5, "post-norm": 0.9},
            },
            [
                {"orders": {"pre-norm": {"start": 1.5}, "post-norm": {"start": 1.6}}},
                {"least": {"pre-norm": 0.95, "post-norm": 0.9}},
            ],
        ),
        "family-claim": (
            {
                "moved": MOVED,
                "causal": lambda size: torch.ones(size, size, dtype=torch.bool).tril(),
                "in_bits": IN_BITS,
                "is_news": True,
            },
            [
                {"moved": {**MOVED, "encoder": torch.ones(6, 6).tril()}},
                {"moved": {**MOVED, "decoder": torch.ones(6, 6)}},
                {"moved": {**MOVED, "decoder": torch.zeros(6, 6)}},
                {"moved": {**MOVED, "encoder-decoder, source replaced": torch.zeros(6, 6)}},
                {"moved": {**MOVED, "encoder-decoder, written replaced": torch.ones(6, 6)}},
                {"in_bits": {**IN_BITS, "untrained": 4.4}},
                {"in_bits": {**IN_BITS, "letters": 3.5}},
                {"in_bits": {**IN_BITS, "control": 4.0}},
                {"in_bits": {**IN_BITS, "trained": 3.65}},
                {"in_bits": {**IN_BITS, "pairs": 3.25, "control": 3.4}},
            ],
        ),
        "dates-claim": (
            {
                "statistics": statistics,
                "test_dates": [0] * 300,
                "right": {"untrained": 0, "trained": 297},
                "masses": {"year": 0.5, "month": 0.4, "day": 0.6},
                "uniform": {"year": 0.2, "month": 0.2, "day": 0.1},
                "PARTS": PARTS,
                "kept": KEPT_PARTS,
            },
            [
                {"right": {"untrained": 20, "trained": 297}},
                {"right": {"untrained": 0, "trained": 200}},
                {"masses": {"year": 0.2, "month": 0.2, "day": 0.1}},
                {"kept": {**KEPT_PARTS, "month": EACH}},
                {"kept": {**KEPT_PARTS, "month": dict.fromkeys(PARTS, 0.1)}},
            ],
        ),
        "cached-claim": (
            {"with_cache": torch.eye(3), "without_cache": torch.eye(3)},
            [{"with_cache": torch.eye(3) + 0.1}, {"with_cache": torch.eye(3) - 2 * torch.eye(3)}],
        ),
        "news-claim": (
            {
                "medians": MEDIANS,
                "tables": {"sample": {}, "AG News": {}},
                "means": MEANS,
                "is_news": True,
                "accuracy": 0.86,
                "live_source": "sample",
            },
            [
                {"medians": {**MEDIANS, "attention": [0.001, 0.4]}},
                {"medians": {**MEDIANS, "attention": [0.003, 0.9]}},
                {"medians": {**MEDIANS, "GRU": [0.001, 0.4]}},
                {"means": {**MEANS, ("AG News", "LSTM, mean of states"): 0.71}},
                {"means": {**MEANS, ("AG News", "bag of words"): 0.71, ("AG News", "transformer, mean"): 0.71}},
                {"means": {**MEANS, ("AG News", "transformer, mean"): 0.8}},
                {"accuracy": 0.6},
            ],
        ),
    },
    "3-bert": {
        "toy-claim": (
            {"by_loop": SIX, "by_matrix": SIX, "by_layer": SIX, "loss_by_loop": ONE, "loss_by_library": ONE},
            [{"by_matrix": 2 * SIX}, {"by_layer": 2 * SIX}, {"loss_by_library": TWO}],
        ),
        "pieces-claim": (
            {
                "library_pieces": {"w", "##i", "##in"},
                "toy_letters": {"w", "##i"},
                "toy_pieces": {"##in": 22},
                "by_library": {"pins": ["p", "##in", "##s"]},
                "by_hand": {"pins": ["p", "##in", "##s"]},
            },
            [{"toy_pieces": {"##it": 16}}, {"by_hand": {"pins": ["[UNK]"]}}],
        ),
        "news-pieces-claim": ({"differing": []}, [{"differing": ["court"]}]),
        "senses-claim": (
            {
                "embedded_by_hand": ONE,
                "states": [ONE],
                "senses": ["court"],
                "tokens": ("the word", "company", "the", "."),
                "half": 1,
                "gaps": {("court", "the word"): torch.tensor([0.0, 0.09, 0.11])},
                "mean_gap": SENSE_GAPS,
            },
            [
                {"states": [TWO]},
                {"gaps": {("court", "the word"): torch.tensor([0.1, 0.09, 0.11])}},
                {"mean_gap": SENSE_GAPS | {".": torch.tensor([0.0, 0.06, 0.14])}},
                {"mean_gap": SENSE_GAPS | {"company": torch.tensor([0.0, 0.02, 0.1])}},
            ],
        ),
        "mask-claim": (
            {
                "shown": torch.tensor([[7, 103, 9]]),
                "shown_by_library": torch.tensor([[7, 103, 9]]),
                "labels": torch.tensor([[-100, 8, -100]]),
                "labels_by_library": torch.tensor([[-100, 8, -100]]),
                "shares": {
                    "chosen": (9_000, 60_000),
                    "[MASK]": (7_200, 9_000),
                    "replaced": (880, 9_000),
                    "kept": (920, 9_000),
                },
            },
            [
                {"shown": torch.tensor([[7, 8, 9]])},
                {"labels": torch.tensor([[-100, 8, 9]])},
                {
                    "shares": {
                        "chosen": (9_600, 60_000),
                        "[MASK]": (7_680, 9_600),
                        "replaced": (960, 9_600),
                        "kept": (960, 9_600),
                    }
                },
                {
                    "shares": {
                        "chosen": (9_000, 60_000),
                        "[MASK]": (9_000, 9_000),
                        "replaced": (0, 9_000),
                        "kept": (0, 9_000),
                    }
                },
                {
                    "shares": {
                        "chosen": (9_000, 60_000),
                        "[MASK]": (7_200, 9_000),
                        "replaced": (0, 9_000),
                        "kept": (1_800, 9_000),
                    }
                },
            ],
        ),
        "loss-claim": (
            {
                "math": math,
                "tokenizer": range(30_522),
                "is_news": True,
                "weights": {"cls.dense.weight": ONE, "bert.encoder.layer.0": ONE},
                "other_weights": {"cls.dense.weight": ONE, "bert.encoder.layer.0": TWO},
                "tied": True,
                "loss_picked": torch.tensor(9.0),
                "loss_everywhere": torch.tensor(9.0),
                "loss_frequency": 7.9,
            },
            [
                {"other_weights": {"cls.dense.weight": TWO, "bert.encoder.layer.0": TWO}},
                {"other_weights": {"cls.dense.weight": ONE, "bert.encoder.layer.0": ONE}},
                {"tied": False},
                {"loss_everywhere": torch.tensor(9.1)},
                {"loss_frequency": 9.9},
            ],
        ),
        "controls-claim": (
            CONTROLS,
            [
                *({"trained": CONTROLS["trained"] | change} for change in BROKEN),
                {"counting": CONTROLS["counting"] | {"both neighbours": (0.07, 7.3)}},
                {"spread": {"loaded": {"[MASK]": [0.14, 0.15, 0.16]}, "random blocks": {"[MASK]": [0.11]}}},
            ],
        ),
        "rates-claim": (
            {
                "torchnlp": SimpleNamespace(recorded=lambda name: SimpleNamespace(rows=[RATE_ROW])),
                "live": SimpleNamespace(row={"rate": 4e-4}),
                "best_rate": {"loaded": 4e-4, "all random": 4e-4},
                "rates": [2e-4, 4e-4, 8e-4],
                "tried": RATES_TRIED,
            },
            [
                {"tried": RATES_TRIED | {("all random", 2e-4): 8.1}},
                {"live": SimpleNamespace(row={"rate": 8e-4})},
                {"rates": [4e-4, 8e-4]},
                {"rates": [2e-4, 4e-4]},
                {"tried": RATES_TRIED | {("all random", 4e-4): 7.8, ("all random", 2e-4): 7.8}},
            ],
        ),
        "tokens-claim": (
            {"pairwise": itertools.pairwise, "runs": {"left neighbour": losses_after(0), **TOKEN_RUNS}},
            [{"runs": TOKEN_RUNS | {480: losses_after(480, 4.8, 5.7)}}],
        ),
        "heads-claim": (
            {"usual": ONE, "again": ONE, "to_previous": torch.full((48,), 0.9)},
            [{"again": ONE + 0.01}, {"to_previous": torch.full((48,), 0.4)}],
        ),
        "formula-claim": (
            {
                "counted": {"base": 109_482_240, "large": 335_141_888},
                "predicted": {"base": 109_482_240, "large": 335_141_888},
            },
            [
                {"predicted": {"base": 109_482_240, "large": 335_141_887}},
                {"counted": {"base": 1, "large": 2}, "predicted": {"base": 1, "large": 2}},
            ],
        ),
        "bill-claim": (
            {"ratio": 200_000, "is_news": True},
            [{"ratio": 90_000}, {"ratio": 70_000, "is_news": False}],
        ),
    },
    "4-bert-classification": {
        "toy-claim": (
            {
                "without_mask": torch.tensor(6.0),
                "by_loop": torch.tensor(10.0),
                "by_matrix": torch.tensor(10.0),
                "by_library": torch.tensor([[10.0]]),
            },
            [
                {"by_matrix": torch.tensor(6.0)},
                {"by_library": torch.tensor([[6.0]])},
                {"without_mask": torch.tensor(10.0)},
            ],
        ),
        "readout-claim": (
            {
                "by_hand": {"input_ids": ONE},
                "by_tokenizer": {"input_ids": ONE},
                "logits_by_hand": ONE,
                "loss_by_hand": torch.tensor(1.39),
                "output": SimpleNamespace(logits=ONE, loss=torch.tensor(1.39)),
            },
            [
                {"by_tokenizer": {"input_ids": TWO}},
                {"logits_by_hand": ONE + 0.01},
                {"loss_by_hand": torch.tensor(1.4)},
            ],
        ),
        "overfit-claim": (
            {
                "is_news": True,
                "math": math,
                "classes": ["no", "yes"],
                "untrained_accuracy": 0.24,
                "word_accuracy": 0.85,
                "overfit_losses": [0.69, 0.3, 0.02],
            },
            [
                {"untrained_accuracy": 0.6},
                {"word_accuracy": 0.4},
                {"is_news": False, "overfit_losses": [1.6, 0.3, 0.02]},
                {"is_news": False, "overfit_losses": [0.69, 0.7, 0.7]},
            ],
        ),
        "evaluate-claim": (
            {
                "is_news": True,
                "on_sample": True,
                "history": [{}, {"loss": 1.0}, {"loss": 0.1, "held-out accuracy": 0.96}],
                "test_accuracy": 0.95,
                "guessing": 0.25,
                "final": ends_of_rates(),
            },
            [
                {"is_news": False, "history": [{}, {"loss": 1.0}, {"loss": 1.1}]},
                {"test_accuracy": 0.78},
                {"on_sample": False, "test_accuracy": 0.86},
                {"guessing": 0.5},
                {"history": [{}, {"loss": 1.0}, {"loss": 0.1, "held-out accuracy": 0.6}]},
                {"final": ends_of_rates({2e-4: 0.65})},
                {"is_news": False, "final": ends_of_rates({1e-2: 0.9})},
                {"is_news": False, "final": ends_of_rates({1e-6: 0.9})},
                {"is_news": False, "final": ends_of_rates({1e-4: 0.5})},
            ],
        ),
        "labels-claim": (
            {
                "is_news": True,
                "live": {"TF-IDF": 0.7, "frozen, mean": 0.85},
                "spread": {"TF-IDF": [0.68, 0.72], "frozen, mean": [0.84, 0.86]},
                "records": labels_record(0.8, 0.4, 0.9, 0.88),
            },
            [
                {"live": {"TF-IDF": 0.5, "frozen, mean": 0.85}},
                {"is_news": False, "records": labels_record(0.8, 0.75, 0.9, 0.88)},
                {"is_news": False, "records": labels_record(0.8, 0.4, 0.9, 0.91)},
                {"is_news": False, "records": labels_record(0.77, 0.4, 0.9, 0.88)},
            ],
        ),
        "break-claim": (
            {
                "is_news": True,
                "moved_with_mask": 1e-5,
                "moved": {0: torch.tensor([0.01]), 100: torch.tensor([0.2])},
                "same": {("train", True): False, ("train", False): False, ("eval", True): True, ("eval", False): True},
                "graph": {("train", True): True, ("train", False): False, ("eval", True): True, ("eval", False): False},
                "unshifted_error": "IndexError: Target 4 is out of bounds.",
                "math": math,
                "classes": ["a", "b", "c", "d"],
                "ignored": 1.386,
                "unshifted_accuracy": 0.01,
                "strange_accuracy": 0.3,
                "test_accuracy": 0.95,
            },
            [
                {"moved_with_mask": 0.01},
                {"same": {("train", False): False, ("eval", True): False, ("eval", False): True}},
                {"graph": {("train", False): True, ("eval", True): True}},
                {"unshifted_error": "none"},
                {"ignored": 0.0},
                {"moved": {0: torch.tensor([0.001]), 100: torch.tensor([0.005])}},
                {"unshifted_accuracy": 0.95},
                {"strange_accuracy": 0.9},
            ],
        ),
        "hood-claim": (
            {"apart": 0.001, "predicted": ONE, "evaluated": ONE},
            [{"apart": 0.5}, {"evaluated": ONE + 0.1}],
        ),
        "keep-claim": (
            {
                "classes": ["no", "yes"],
                "loaded": SimpleNamespace(config=SimpleNamespace(id2label={0: "no", 1: "yes"})),
                "missing": {"missing_keys": set()},
                "logits_before": ONE,
                "logits_after": ONE,
            },
            [
                {"classes": ["yes", "no"]},
                {"missing": {"missing_keys": {"classifier.weight"}}},
                {"logits_after": ONE + 0.01},
            ],
        ),
    },
    "5-beyond-classification": {
        "names-before-claim": (
            {
                "toy_names": [("LOC", 2, 3), ("LOC", 4, 4)],
                "names_by_loop": [("LOC", 2, 3), ("LOC", 4, 4)],
                "names_by_library": [("LOC", 2, 3), ("LOC", 4, 4)],
                "names_without_b": [("LOC", 2, 4)],
                "lenient_names": [("LOC", 1, 1)],
                "strict_names": [],
                "lost": 0,
                "invented": 0,
                "longest_text": 95,
                "MAX_LENGTH": 128,
                "names_logits": ONE,
                "logits_by_hand": ONE,
                "names_loss": torch.tensor(2.2),
                "loss_by_hand": torch.tensor(2.2),
            },
            [
                {"names_by_loop": [("LOC", 2, 4)]},
                {"names_by_library": [("LOC", 2, 4)]},
                {"names_without_b": [("LOC", 2, 3), ("LOC", 4, 4)]},
                {"lenient_names": []},
                {"lost": 1},
                {"invented": 1},
                {"longest_text": 128},
                {"logits_by_hand": TWO},
                {"loss_by_hand": torch.tensor(2.3)},
            ],
        ),
        "names-claim": (
            {
                "names_scores": scores_of_names(),
                "f1_by_library": 0.8,
                "recorded_f1": {"frozen": [0.3, 0.32, 0.31], "all": [0.79, 0.8, 0.81]},
                "room": 0.06,
                "new_recall": 0.7,
                "context_effect": 0.2,
                "name_effect": 0.3,
            },
            [
                {"f1_by_library": 0.81},
                {"names_scores": scores_of_names(always_accuracy=0.8)},
                {"names_scores": scores_of_names(always_f1=0.1)},
                {"names_scores": scores_of_names(looked_up=0.7)},
                {"recorded_f1": {"all": [0.9, 0.91, 0.92]}},
                {"recorded_f1": {"all": [0.7, 0.71, 0.72]}},
                {"new_recall": 0.3},
                {"context_effect": 0.0},
                {"name_effect": -0.1},
            ],
        ),
        "names-save-claim": (
            {
                "loaded_labels": ["O", "B-LOC"],
                "tag_names": ["O", "B-LOC"],
                "tags_before": [["O", "B-LOC"]],
                "tags_after": [["O", "B-LOC"]],
            },
            [{"loaded_labels": ["LABEL_0", "LABEL_1"]}, {"tags_after": [["O", "O"]]}],
        ),
        "answers-claim": (
            {
                "likely_start": 5,
                "likely_end": 3,
                "span_by_loop": (2, 3),
                "span_by_matrix": (2, 3),
                "constants": FOUR,
                "answers_scores": {
                    "name or number": {"EM": 0.3},
                    "untrained": {"EM": 0.02},
                    "your own run": {"EM": 0.7},
                },
                "recorded_em": {"question word only": [0.4], "all": [0.69, 0.7, 0.72]},
                "answers_room": 0.1,
                "invalid_before": [1, 2, 3],
                "invalid_after": [1],
                "altered_scores": {"whole": {"EM": 0.7}, "question word": {"EM": 0.3}, "another question": {"EM": 0.1}},
            },
            [
                {"likely_end": 5},
                {"span_by_matrix": (5, 3)},
                {"span_by_loop": (5, 5), "span_by_matrix": (5, 5)},
                {"constants": torch.tensor([1.0, 1.0, 2.0])},
                {
                    "answers_scores": {
                        "name or number": {"EM": 0.6},
                        "untrained": {"EM": 0.02},
                        "your own run": {"EM": 0.7},
                    }
                },
                {
                    "answers_scores": {
                        "name or number": {"EM": 0.1},
                        "untrained": {"EM": 0.02},
                        "your own run": {"EM": 0.45},
                    },
                    "recorded_em": {"all": [0.45]},
                },
                {
                    "answers_scores": {
                        "name or number": {"EM": 0.3},
                        "untrained": {"EM": 0.3},
                        "your own run": {"EM": 0.7},
                    }
                },
                {"recorded_em": {"all": [0.9, 0.91]}},
                {"recorded_em": {"all": [0.5, 0.51]}},
                {"invalid_after": [1, 2, 3]},
                {
                    "altered_scores": {
                        "whole": {"EM": 0.35},
                        "question word": {"EM": 0.3},
                        "another question": {"EM": 0.1},
                    }
                },
                {
                    "altered_scores": {
                        "whole": {"EM": 0.7},
                        "question word": {"EM": 0.1},
                        "another question": {"EM": 0.2},
                    }
                },
            ],
        ),
        "answers-trip-claim": (
            {
                "lost_answers": 0,
                "longest_answer": 12,
                "answers_loss": torch.tensor(4.1),
                "answers_loss_by_hand": torch.tensor(4.1),
            },
            [{"lost_answers": 1}, {"longest_answer": 21}, {"answers_loss_by_hand": torch.tensor(8.2)}],
        ),
        "windows-claim": (
            {"windows_scores": {"the short text alone": {"EM": 0.7}, "the long text at once": {"EM": 0.4}}},
            [{"windows_scores": {"the short text alone": {"EM": 0.4}, "the long text at once": {"EM": 0.4}}}],
        ),
        "bodies-claim": (
            {"bodies_f1": {"its own": 0.8, "the answers'": 0.1, "the pre-trained": 0.1}},
            [
                {"bodies_f1": {"its own": 0.8, "the answers'": 0.6, "the pre-trained": 0.1}},
                {"bodies_f1": {"its own": 0.8, "the answers'": 0.1, "the pre-trained": 0.6}},
            ],
        ),
    },
    "6-faster-and-bigger": {
        "batches-claim": (
            {
                "toy": TOY,
                "toy_positions": COUNTED,
                "positions": count_positions,
                "singly": {"input_ids": ONE},
                "together": {"input_ids": ONE},
            },
            [
                {"toy_positions": COUNTED | {"as drawn": 31}},
                {"toy": TOY | {"grouped": [[6, 1], [5, 2], [4, 3]]}, "toy_positions": COUNTED | {"grouped": 30}},
                {"together": {"input_ids": TWO}},
            ],
        ),
        "faster-claim": (
            {
                "statistics": statistics,
                "climbed": LADDER,
                "ladder_record": ladder_record(),
                "NOT_KEPT": NOT_KEPT,
                "CHANGES": [row["change"] for row in LADDER],
                "chart": CHART,
                "again": AGAIN,
                "WAYS": [*CHART],
                "smallest": {"old loop": runs(300.0, texts=700)},
                "live": {"texts": 300, "test": 0.92},
                "on_sample": True,
            },
            [
                {"climbed": [rung("no dropout", 0.99, kept=True)]},
                {"ladder_record": ladder_record(rung("tokenised together", 0.8))},
                {"ladder_record": ladder_record(rung("fused AdamW", 0.92))},
                {"ladder_record": ladder_record(rung("lengths grouped", 0.9), rung("lengths grouped", 0.9))},
                {"NOT_KEPT": NOT_KEPT[:2]},
                {"again": AGAIN | {"ladder": runs(60.0)}},
                {"again": AGAIN | {BATCHES: runs(7.0)}},
                {"smallest": {"old loop": runs(150.0)}},
                {"live": {"texts": 300, "test": 0.3}},
            ],
        ),
        "precision-claim": (
            {"math": math, "held": HELD, "grown": GROWN, "dtypes": DTYPES},
            [
                {"held": HELD | {torch.float16: [1.001, 257, 65504, 0.0]}},
                {"held": HELD | {torch.bfloat16: [1.001, 257, 70000, 1e-8]}},
                {"grown": GROWN | {torch.bfloat16: 1.1}},
                {"grown": GROWN | {torch.float32: 1.0}},
                {"dtypes": DTYPES | {"product": torch.float32}},
                {"dtypes": DTYPES | {"loss": torch.bfloat16}},
            ],
        ),
        "memory-claim": (
            {
                "kept": {"eager": [1.0, 4.0], "sdpa": [1.0, 2.0]},
                "activations": {"8 texts": 110, "32 texts": 440, "32, recomputed": 70},
                "one_layer": 73,
            },
            [
                {"kept": {"eager": [1.0, 2.0], "sdpa": [1.0, 2.0]}},
                {"kept": {"eager": [1.0, 4.0], "sdpa": [1.0, 4.0]}},
                {"activations": {"8 texts": 220, "32 texts": 440, "32, recomputed": 70}},
                {"one_layer": 400},
            ],
        ),
        "parallel-claim": (
            {
                "apart": {"mean": 0.0, "sum": 0.0, "none": 0.01},
                "from_one": {"mean": 1e-6, "none": 0.01, "sum": 0.1},
                "killed": True,
                "resumed": RESUMED,
                "equal": [True, True],
            },
            [
                {"apart": {"mean": 1e-9, "sum": 0.0, "none": 0.01}},
                {"apart": {"mean": 0.0, "sum": 0.0, "none": 0.0}},
                {"from_one": {"mean": 1e-2, "none": 0.01, "sum": 0.1}},
                {"from_one": {"mean": 1e-6, "none": 0.01, "sum": 1e-6}},
                {"killed": False},
                {"resumed": SimpleNamespace(stdout="")},
                {"equal": [True, False]},
            ],
        ),
        "adamw-claim": (
            {"adamw_by_loop": FOUR, "adamw_by_vector": FOUR, "adamw_simple": FOUR, "adamw_fused": FOUR},
            [{"adamw_by_vector": FOUR / 2}, {"adamw_simple": FOUR / 2}, {"adamw_fused": FOUR / 2}],
        ),
        "proofs-claim": (
            {
                "outputs": {"eager": (ONE, ONE), "sdpa": (ONE, ONE)},
                "weights_before": ONE,
                "weights_simple": ONE + 2e-4,
                "weights_fused": ONE + 2e-4,
                "logits_all": ONE,
                "logits_first": ONE,
                "gradient_all": ONE,
                "gradient_first": ONE,
                "looked_up": torch.tensor([True, False]),
                "words_decayed": torch.tensor([0.5, 0.5]),
                "words_all": torch.tensor([0.6, 0.5]),
                "words_some": torch.tensor([0.6, 0.5]),
            },
            [
                {"outputs": {"eager": (ONE, ONE), "sdpa": (ONE, TWO)}},
                {"weights_fused": ONE + 3e-4},
                {"weights_before": ONE + 2e-4},
                {"logits_first": ONE + 0.01},
                {"gradient_first": TWO},
                {"gradient_all": ONE * 0, "gradient_first": ONE * 0},
                {"words_some": torch.tensor([0.7, 0.5])},
                {"words_decayed": torch.tensor([0.5, 0.6])},
                {"words_all": torch.tensor([0.5, 0.5]), "words_some": torch.tensor([0.5, 0.5])},
            ],
        ),
        "accumulate-claim": (
            {
                "differences": {"in parts": 1e-6, "recomputed": 1e-6},
                "most_kept": {"at once": 440, "in parts": 110, "recomputed": 70},
            },
            [
                {"differences": {"in parts": 0.1, "recomputed": 1e-6}},
                {"differences": {"in parts": 1e-6, "recomputed": 0.1}},
                {"most_kept": {"at once": 440, "in parts": 220, "recomputed": 70}},
                {"most_kept": {"at once": 440, "in parts": 110, "recomputed": 220}},
            ],
        ),
        "ring-claim": (
            {"ring": [[10, 100]] * 4, "ring_sums": [10, 100], "sent_by_each": [6, 6, 6, 6]},
            [{"ring": [[10, 100]] * 3 + [[10, 70]]}, {"sent_by_each": [6, 6, 6, 8]}],
        ),
        "scale-of-gradients-claim": (
            {"far": {"SGD": 0.8, "AdamW": 1e-4}},
            [{"far": {"SGD": 0.8, "AdamW": 0.1}}, {"far": {"SGD": 0.1, "AdamW": 1e-4}}],
        ),
        "checkpoint-claim": (
            {"lacking": LACKING},
            [{"lacking": LACKING | {"nothing": 1e-9}}, {"lacking": LACKING | {"place": 0.0}}],
        ),
    },
}
