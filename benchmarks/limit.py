"""What the machine can do at best, what fine-tuning needs of it, and where the time goes.

    python benchmarks/limit.py [--steps 6] [--compile] [--save] [FOLDER]

FOLDER holds news in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. ``finetuning.py`` tells
which share of this limit is reached. Prints:

- the rate of matrix products in float32 and bfloat16, and of copying memory;
- the arithmetic of lesson 4's fine-tuning, counted from the model's configuration and the lengths of the news, and
  checked against PyTorch's own counter;
- which kinds of operations take the time, by PyTorch's profiler;
- with ``--compile``, what ``torch.compile`` costs and saves; that needs a C++ compiler.
"""

import collections
import itertools
import random
import shutil
import statistics
from collections.abc import Sequence

import torch
from measure import Batch, Items, Trainer, batches_of, course_model, in_turn, lengths_of, rates
from report import Report, median_and_spread, run
from torch.autograd import DeviceType
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig

import torchnlp

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Shape = tuple[int, int, int]


# --------------------------------------------------------------------------------------------------- what is possible


def matrix_shapes(config: BertConfig) -> list[Shape]:
    """Products of (rows, inner) and (inner, columns): the job's feed-forward layers, and a large square."""
    square = 8192 if torchnlp.device.type == "cuda" else 1024
    job = [(tokens, config.hidden_size, config.intermediate_size) for tokens in (512, 2048)]
    return [*job, (square, square, square)]


def matrix_rates(config: BertConfig, formats: Sequence[str], rounds: int) -> dict[tuple[Shape, str], list[float]]:
    """Operations a second of matrix products in these number formats, all of them in turn."""
    cases = {}
    for (m, k, n), name in itertools.product(matrix_shapes(config), formats):
        left, right = (torch.rand(size, device=torchnlp.device).to(FORMATS[name]) for size in ((m, k), (k, n)))
        cases[(m, k, n), name] = (lambda left=left, right=right: left @ right), 2 * m * k * n
    return rates(cases, rounds)


def best_rate(config: BertConfig, number_format: str, rounds: int = 3) -> float:
    """Operations a second of the shape whose products are fastest in a number format."""
    return max(map(statistics.median, matrix_rates(config, [number_format], rounds).values()))


def copy_rates(rounds: int) -> list[float]:
    """Bytes a second, read and written, while a tensor larger than the caches is copied."""
    numbers = 2**28 if torchnlp.device.type == "cuda" else 2**26  # 1 GiB, 256 MiB
    source = torch.ones(numbers, device=torchnlp.device)
    target = torch.zeros_like(source)
    return rates({"copy": (lambda: target.copy_(source), 2 * 4 * numbers)}, rounds)["copy"]


# ----------------------------------------------------------------------------------------------------- what is needed


def forward_arithmetic(config: BertConfig, texts: int, length: int, first_token_only: bool = False) -> int:
    """Floating-point operations of matrix products when texts of one length go through BERT and its classifier.

    A product of (m, k) and (k, n) takes 2 m k n. Each token meets each weight of the layers once; in attention, each
    token meets each token of its text twice, once for the score and once for the value; the head reads one token.

    Args:
        first_token_only: what ``torchnlp.read_first_token_only`` leaves of it: in the last layer all other tokens meet
            the weights of key and value only, and look at no token.
    """
    width, inner = config.hidden_size, config.intermediate_size
    weights_of_layer = 4 * width * width + 2 * width * inner  # query, key, value, output; feed-forward
    of_token = 2 * weights_of_layer + 4 * length * width
    head = 2 * width * (width + config.num_labels)
    spared = (length - 1) * (of_token - 2 * 2 * width * width) if first_token_only else 0
    return texts * (config.num_hidden_layers * length * of_token + head - spared)


def training_arithmetic(config: BertConfig, texts: int, length: int, first_token_only: bool = False) -> int:
    """Floating-point operations of a training step: backward takes twice the products of forward.

    Each product of forward has two in backward: one gives the gradient of its input, one that of its weight.
    """
    return 3 * forward_arithmetic(config, texts, length, first_token_only)


def counted_arithmetic(model: torch.nn.Module, batch: Batch) -> int:
    """The same by PyTorch's counter; it wants a model with ``attn_implementation="eager"``, whose products it sees."""
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    model.zero_grad()
    return counter.get_total_flops()


def optimizer_bytes(parameters: int) -> int:
    """Bytes that AdamW moves in a step: it reads weight, gradient and two moments, and writes all but the gradient."""
    return 7 * 4 * parameters


# ------------------------------------------------------------------------------------------------------ what is taken


KINDS = {
    "optimizer": ("adam", "optimizer"),
    "attention": ("scaled_dot_product", "flash", "softmax", "efficient_attention"),
    "matrix products": ("::mm", "addmm", "bmm", "mkldnn_linear", "linear_pointwise"),
    "activation": ("gelu", "tanh"),
    "norms": ("layer_norm",),
    "fills, copies, change of format": ("fill_", "zero_", "copy_", "_to_copy", "clone"),  # gradients start as zeros
}


def kind_of(operation: str) -> str:
    """The kind of an operation, by its name in the profiler."""
    name = operation.lower()
    if "softmax" in name and "log" in name:  # the loss, not attention
        return "other"
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "other")


def shares_of_kinds(trainer: Trainer, batches: Sequence[Batch]) -> dict[str, float]:
    """The share of each kind of operation in the time of some steps: on the GPU where there is one, else on the CPU."""
    time = "self_cpu_time_total" if torchnlp.device.type == "cpu" else "self_device_time_total"
    with profile(acc_events=True) as profiler:  # of all devices; without acc_events, some releases warn
        for batch in batches:
            trainer.step(batch)
    seconds = collections.Counter()
    for event in profiler.key_averages():
        if event.device_type == DeviceType.CPU:  # those of the GPU's own rows are in these already
            seconds[kind_of(event.key)] += getattr(event, time)
    return {kind: value / seconds.total() for kind, value in seconds.most_common()}


# ------------------------------------------------------------------------------------------------------------ reports


def report_rates(report: Report, config: BertConfig, rounds: int) -> float:
    """Measure and print the rates; return that of copying."""
    measured = matrix_rates(config, list(FORMATS), rounds)
    report.say(f"**What the machine can do.** Medians; rounds in turn: {rounds}.")
    rows = []
    for shape in matrix_shapes(config):
        cells = [median_and_spread([rate / 1e9 for rate in measured[shape, name]]) for name in FORMATS]
        rows.append([" x ".join(map(str, shape)), *cells])
    report.table("matrix product | float32, GFLOP/s | bfloat16, GFLOP/s", rows)
    copied = copy_rates(rounds)
    report.say(f"Copying memory: {median_and_spread([rate / 1e9 for rate in copied])} GB/s, read and written.")
    report.say(
        f"The job runs in {torchnlp.precision()}. `TORCHNLP_PRECISION` chooses the number format; without it, bfloat16 "
        "is taken where the machine has instructions for it."
    )
    return statistics.median(copied)


def report_job(report: Report, trainer: Trainer, items: Items, copy_rate: float, steps: int) -> list[Batch]:
    """Count the arithmetic of lesson 4's job; return some of its batches, from short to long texts."""
    config = trainer.model.config
    chosen = random.Random(0).sample(items, min(4000, len(items)))
    lengths = lengths_of(chosen)
    batches = sorted(torchnlp.LengthGroupedBatches(lengths, 8), key=lambda batch: sum(lengths[i] for i in batch))
    taken = batches_of(chosen, batches[len(batches) // (2 * steps) :: -(-len(batches) // steps)])
    shapes = [batch["input_ids"].shape for batch in batches_of(chosen, batches)]
    needed = sum(training_arithmetic(config, 1, length) for length in lengths)
    padded = sum(training_arithmetic(config, *shape) for shape in shapes)
    own = training_arithmetic(config, *taken[0]["input_ids"].shape)
    counted = counted_arithmetic(course_model(attention="eager"), taken[0])
    moved = optimizer_bytes(sum(parameter.numel() for parameter in trainer.model.parameters()))
    report.say(
        f"**Arithmetic.** Lesson 4's job, {len(chosen)} texts of {statistics.mean(lengths):.1f} tokens on average in "
        f"batches of like length: {needed / 1e12:.2f} TFLOP, with padding {padded / 1e12:.2f}. Of one batch: "
        f"{own / 1e9:.3f} GFLOP by this count, {counted / 1e9:.3f} by PyTorch's counter. An optimizer of all "
        f"weights moves {moved / 1e9:.2f} GB in each step, which takes at least {moved / copy_rate:.4f} s."
    )
    return taken


def report_compile(report: Report, trainer: Trainer, batches: Sequence[Batch]) -> None:
    """Print what ``torch.compile`` costs and saves."""
    if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        report.say("**torch.compile**: not measured, because there is no C++ compiler.")
        return
    cases = trainer.steps(dict(enumerate(batches)))
    before = [case.seconds[0] for case in in_turn(cases, rounds=1).values()]
    try:
        trainer.call = torch.compile(trainer.model, dynamic=True)
        compiled = in_turn(cases, rounds=2, warm_up=0)  # the first round compiles
    except Exception as error:  # of many kinds, by compiler and system
        reason = (str(error).strip().splitlines() or [""])[0][:100]
        report.say(f"**torch.compile**: not measured, because it failed ({type(error).__name__}: {reason}).")
        return
    finally:
        trainer.call = trainer.model
    first, after = zip(*(case.seconds for case in compiled.values()), strict=True)
    cost = sum(first) - sum(after)
    saved = statistics.mean(before) - statistics.mean(after)
    pays = f"pays after {cost / saved:.0f} steps" if saved > 0 else "never pays"
    report.say(f"**torch.compile**, the same {len(batches)} batches: it {pays}.")
    row = [f"{cost:.1f}", median_and_spread(before), median_and_spread(after)]
    report.table("seconds to compile | seconds a step before | seconds a step after", [row])


def fill(report: Report, folder: str | None, steps: int, compile: bool) -> None:
    trainer = Trainer()
    items = torchnlp.load_dataset(source=folder)[0]
    copy_rate = report_rates(report, trainer.model.config, steps)
    batches = report_job(report, trainer, items, copy_rate, steps)
    in_turn(trainer.steps(dict(enumerate(batches))), rounds=1, warm_up=0)  # nothing is new to the profiler
    place = "the GPU" if torchnlp.device.type == "cuda" else "the CPU"
    report.say(f"**Where the time goes**, on {place}, over {len(batches)} steps of 8 texts.")
    shares = shares_of_kinds(trainer, batches)
    report.table("operations | share", [(kind, f"{share:.1%}") for kind, share in shares.items()])
    if compile:
        report_compile(report, trainer, batches)


if __name__ == "__main__":
    run(Report("limit", "What the machine can do, and where the time goes"), fill, __doc__, steps=6, compile=False)
