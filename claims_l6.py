"""For tests/claims.py: made-up results for each claim of lesson 6, in place of the old entry. Removed at the merge."""

import math
from types import SimpleNamespace

import torch

ONE, TWO, FOUR = torch.ones(2, 3), torch.full((2, 3), 2.0), torch.ones(4)
TOY = {"as drawn": [[6, 1], [5, 2], [4, 3]], "sorted": [[1, 2], [3, 4], [5, 6]], "grouped": [[3, 4], [1, 2], [5, 6]]}
COUNTED = {"as drawn": 30, "sorted": 24, "grouped": 24}


def count(batches):
    return sum(len(batch) * max(batch) for batch in batches)


def rung(change, ratio, kept=None, band=0.05):
    kept = ratio < 1 - band if kept is None else kept
    return {"change": change, "ratio": ratio, "low": ratio - 0.01, "high": ratio + 0.01, "band": band, "kept": kept}


def runs(seconds, held_out=0.91, texts=200):
    return [{"seconds": seconds, "held out": held_out, "texts": texts}] * 3


LADDER = [rung("the same again", 1.0), rung("tokenised together", 0.99), rung("no dropout", 0.8)]
LADDER += [rung("fused AdamW", 0.8)]
SLOW = {"change": "fused AdamW", "ratio": 0.8, "low": 0.7, "high": 0.97, "band": 0.05, "kept": True}
CHART = {"old loop": runs(100.0, texts=600), "path": runs(10.0)}
FORMATS = (torch.float32, torch.bfloat16, torch.float16)
HELD = dict(
    zip(FORMATS, ([1.001, 257, 70000, 1e-8], [1.0, 256, 70144, 1e-8], [1.001, 257, math.inf, 0.0]), strict=True)
)
GROWN = dict(zip(FORMATS, (1.1, 1.0, 1.0), strict=True))
DTYPES = {"product": torch.bfloat16, "residual sum": torch.float32, "loss": torch.float32}
RESUMED = SimpleNamespace(stdout="going on after iteration 2\n")
LACKING = {"nothing": 0.0, "weights": 0.3, "place": 0.01}

CLAIMS_6 = {
    "batches-claim": (
        {
            "toy": TOY,
            "toy_positions": COUNTED,
            "positions": count,
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
            "climbed": LADDER,
            "ladder_record": SimpleNamespace(rows=LADDER),
            "chart": CHART,
            "live": {"texts": 300, "held out": 0.92},
            "on_sample": True,
        },
        [
            {"climbed": [rung("no dropout", 0.99, kept=True)]},
            {"ladder_record": SimpleNamespace(rows=[rung("tokenised together", 0.8)])},
            {"ladder_record": SimpleNamespace(rows=[SLOW])},
            {"chart": CHART | {"old loop": runs(100.0, held_out=0.8)}},
            {"chart": CHART | {"path": runs(60.0)}},
            {"live": {"texts": 500, "held out": 0.92}},
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
            {"one_layer": 200},
        ],
    ),
    "together-claim": (
        {
            "apart": {"mean": 0.0, "sum": 0.0, "none": 0.01},
            "from_one": {"mean": 1e-6, "none": 0.01, "sum": 0.1},
        },
        [
            {"apart": {"mean": 1e-9, "sum": 0.0, "none": 0.01}},
            {"apart": {"mean": 0.0, "sum": 0.0, "none": 0.0}},
            {"from_one": {"mean": 1e-2, "none": 0.01, "sum": 0.1}},
            {"from_one": {"mean": 1e-6, "none": 0.01, "sum": 1e-6}},
        ],
    ),
    "resume-claim": (
        {"killed": True, "resumed": RESUMED, "equal": [True, True]},
        [{"killed": False}, {"resumed": SimpleNamespace(stdout="")}, {"equal": [True, False]}],
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
}
