"""Which form of attention is faster, by number format and length: the rule of ``torchnlp.attention_implementation``.

    python benchmarks/attention.py [--rounds 9] [--save]

One attention layer of the course's model, without its output, on about 1,024 word pieces, with a little padding. The
two forms take turns; a ratio above 1 says that ``eager`` is faster. Training is forward and backward, without dropout,
as the lessons train; predicting is forward alone. Both number formats are timed, wherever this runs.
"""

from collections.abc import Callable
from itertools import product
from statistics import median

import torch
from measure import course_model, in_turn
from report import Report, median_and_spread, run
from torch import nn

import torchnlp

FORMS = ("eager", "sdpa")
LENGTHS = (16, 32, 64, 128, 256, 512)
PIECES = 1024


def attention_case(
    layer: nn.Module, width: int, length: int, number_format: torch.dtype, train: bool
) -> Callable[[], torch.Tensor]:
    """What to time: a forward pass through the layer, and in training a backward pass, too. Gives (B, T, D)."""
    texts = PIECES // length
    hidden = torch.randn(texts, length, width, device=torchnlp.device, requires_grad=train)
    seen = torch.ones(texts, 1, length, length, dtype=torch.bool, device=torchnlp.device)
    seen[..., -max(1, length // 20) :] = False  # padding
    mask = seen  # the fused form takes it so, the other one as numbers to add to the scores
    if layer.config._attn_implementation == "eager":
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)
    autocast = torch.autocast(torchnlp.device.type, torch.bfloat16, enabled=number_format == torch.bfloat16)

    def work() -> torch.Tensor:
        with autocast, torch.set_grad_enabled(train):
            context, _ = layer(hidden, attention_mask=mask)
        if train:
            context.float().sum().backward()
        return context.detach()

    return work


def measure(report: Report, rounds: int, folder: str | None = None) -> None:
    """Time all cases in turn, and print a table for each number format. No news is needed."""
    layers = {form: course_model(form).bert.encoder.layer[0].attention.self for form in FORMS}
    for layer in layers.values():
        layer.to(torchnlp.device).train()
    width = layers["eager"].query.in_features
    cases = {
        (number_format, length, train, form): attention_case(layers[form], width, length, number_format, train)
        for number_format, length, train, form in product(
            (torch.bfloat16, torch.float32), LENGTHS, (True, False), FORMS
        )
    }
    seconds = {case: measured.seconds for case, measured in in_turn(cases, rounds, warm_up=2).items()}
    for number_format in (torch.bfloat16, torch.float32):
        rows = []
        for length in LENGTHS:
            row = [f"{PIECES // length} x {length}"]
            for train in (True, False):
                eager, fused = (seconds[number_format, length, train, form] for form in FORMS)
                ratios = [slow / fast for fast, slow in zip(eager, fused, strict=True)]
                row += [f"{1000 * median(eager):.1f}", f"{1000 * median(fused):.1f}", median_and_spread(ratios)]
            rows.append(row)
        report.say(f"**{str(number_format).removeprefix('torch.')}**")
        report.table(
            "texts x word pieces | train: eager, ms | sdpa, ms | sdpa / eager | "
            "predict: eager, ms | sdpa, ms | sdpa / eager",
            rows,
        )
    report.say(f"The helper's choice here, in {torchnlp.precision()}: {torchnlp.attention_implementation()}.")


if __name__ == "__main__":
    run(Report("attention", "Two forms of attention"), measure, __doc__, rounds=9)
