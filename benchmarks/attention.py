"""Which form of attention is faster, by number format and length: the rule of ``torchnlp.attention_implementation``.

    python benchmarks/attention.py [--rounds 9] [--save]

One attention layer of the course's model, without its output, on about 1,024 word pieces, with a little padding. The
two forms take turns; a ratio above 1 says that ``eager`` is faster. Training is forward and backward, without dropout,
as the lessons train; predicting is forward alone. Both number formats are timed, wherever this runs.

A second table tells what a length costs that was not seen before: on a GPU, PyTorch may have cuDNN plan its attention
for it, which ``torchnlp`` forbids.
"""

from collections.abc import Callable
from itertools import product
from statistics import median

import torch
from measure import course_model, in_turn
from report import Report, median_and_spread, run
from torch import nn
from torch.utils.benchmark import timer

import torchnlp

FORMS = ("eager", "sdpa")
LENGTHS = (16, 32, 64, 128, 256, 512)
NEW_LENGTHS = range(17, 127, 10)
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


def milliseconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    begin = timer()  # waits for a GPU
    work()
    return 1000 * (timer() - begin)


def new_lengths(layers: dict[str, nn.Module], width: int) -> list[list[str]]:
    """What the first and the second call with each length take, by form of attention; on a GPU with cuDNN, too."""
    forms = {"eager": ("eager", False), "sdpa": ("sdpa", False)}
    if torchnlp.device.type == "cuda":
        forms["sdpa, with cuDNN allowed"] = ("sdpa", True)
    rows = []
    for name, (form, cudnn) in forms.items():
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        try:
            cases = [attention_case(layers[form], width, length, torch.bfloat16, train=True) for length in NEW_LENGTHS]
            cases[0]()  # what is loaded once
            calls = [(milliseconds(work), milliseconds(work)) for work in cases[1:]]
        finally:
            torch.backends.cuda.enable_cudnn_sdp(False)
        rows.append([name, *(median_and_spread(part) for part in zip(*calls, strict=True))])
    return rows


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
    report.say("**A length that was not seen before**, training in bfloat16; median and spread over lengths.")
    report.table("attention | first call, ms | second call, ms", new_lengths(layers, width))
    report.say(f"The helper's choice here, in {torchnlp.precision()}: {torchnlp.attention_implementation()}.")


if __name__ == "__main__":
    run(Report("attention", "Two forms of attention"), measure, __doc__, rounds=9)
