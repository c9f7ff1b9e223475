"""How near fine-tuning comes to what the machine can do: its matrix products, its memory, and where the time goes.

    python benchmarks/limit.py [--steps 6] [--compile] [--save] [FOLDER]

FOLDER holds news in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. Prints:

- the rate of matrix products in float32 and bfloat16, and of copying memory;
- the arithmetic of lesson 4's fine-tuning, counted from the model's configuration and the lengths of the news, and
  checked against PyTorch's own counter;
- the seconds that the matrix rate alone would allow, the seconds measured, and the share of the limit that is reached;
- which kinds of operations take the time, by PyTorch's profiler;
- with ``--compile``, what ``torch.compile`` costs and saves; that needs a C++ compiler.
"""

import argparse
import collections
import itertools
import random
import shutil
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from growth import Batch, Trainer, course_model, synchronize
from report import Report, add_save, machine, median_and_spread
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoTokenizer, BertConfig

import torchnlp

MEASURED = 0.1  # seconds that one measurement of a rate takes, at least
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BATCH_SIZES = (8, 16)


# --------------------------------------------------------------------------------------------------- what is possible


def matrix_shapes(config: BertConfig) -> list[tuple[int, int, int]]:
    """Products of (rows, inner) and (inner, columns): the job's feed-forward layers, and a large square."""
    square = 8192 if torchnlp.device.type == "cuda" else 1024
    job = [(tokens, config.hidden_size, config.intermediate_size) for tokens in (512, 2048)]
    return [*job, (square, square, square)]


def per_second(work: Callable[[], object], amount: float) -> float:
    """How much is done in a second, where one call of ``work`` does ``amount``."""
    calls, seconds = 1, 0.0
    while True:
        synchronize()
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        synchronize()
        seconds = time.perf_counter() - begin
        if seconds >= MEASURED:
            return amount * calls / seconds
        calls = max(2 * calls, round(1.2 * calls * MEASURED / max(seconds, 1e-9)))


def matrix_rates(shapes: Sequence[tuple[int, int, int]], rounds: int) -> dict[tuple, list[float]]:
    """Operations a second for each shape and number format, all of them in turn, after one round to warm up."""
    rates: dict[tuple, list[float]] = {case: [] for case in itertools.product(shapes, FORMATS)}
    factors = {
        ((m, k, n), name): (
            torch.rand(m, k, device=torchnlp.device).to(FORMATS[name]),
            torch.rand(k, n, device=torchnlp.device).to(FORMATS[name]),
        )
        for (m, k, n), name in rates
    }
    for number in range(rounds + 1):
        for case, (left, right) in factors.items():
            rate = per_second(lambda left=left, right=right: left @ right, 2 * left.numel() * right.shape[1])
            if number:
                rates[case].append(rate)
    return rates


def copy_rates(rounds: int) -> list[float]:
    """Bytes a second, read and written, while a tensor larger than the caches is copied."""
    numbers = 2**28 if torchnlp.device.type == "cuda" else 2**26  # 1 GiB, 256 MiB
    source = torch.ones(numbers, device=torchnlp.device)
    target = torch.zeros_like(source)
    rates = [per_second(lambda: target.copy_(source), 2 * 4 * numbers) for _ in range(rounds + 1)]
    return rates[1:]


# ----------------------------------------------------------------------------------------------------- what is needed


def forward_arithmetic(config: BertConfig, texts: int, length: int) -> int:
    """Floating-point operations of matrix products when texts of one length go through BERT and its classifier.

    A product of (m, k) and (k, n) takes 2 m k n. Each token meets each weight of the layers once; in attention, each
    token meets each token of its text twice, once for the score and once for the value; the head reads one token.
    """
    width, inner = config.hidden_size, config.intermediate_size
    weights_of_layer = 4 * width * width + 2 * width * inner  # query, key, value, output; feed-forward
    of_token = 2 * weights_of_layer
    attention = 4 * length * length * width  # of one text
    head = 2 * width * (width + config.num_labels)
    return texts * (config.num_hidden_layers * (length * of_token + attention) + head)


def training_arithmetic(config: BertConfig, texts: int, length: int) -> int:
    """Floating-point operations of a training step: backward takes twice the products of forward.

    Each product of forward has two in backward: one gives the gradient of its input, one that of its weight.
    """
    return 3 * forward_arithmetic(config, texts, length)


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
    on_gpu = torchnlp.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        for batch in batches:
            trainer.step(batch)
    seconds = collections.Counter(dict.fromkeys([*KINDS, "other"], 0.0))
    for event in profiler.key_averages():
        if event.device_type == DeviceType.CPU:  # those of the GPU's own rows are in these already
            seconds[kind_of(event.key)] += event.self_device_time_total if on_gpu else event.self_cpu_time_total
    return {kind: value / seconds.total() for kind, value in seconds.most_common()}


# ------------------------------------------------------------------------------------------------------------ reports


def report_rates(report: Report, config: BertConfig, rounds: int) -> tuple[float, float]:
    """Measure and print the rates; return the best one of the job's number format, and that of copying."""
    shapes = matrix_shapes(config)
    rates = matrix_rates(shapes, rounds)
    rows = []
    for m, k, n in shapes:
        cells = [median_and_spread([rate / 1e9 for rate in rates[(m, k, n), name]]) for name in FORMATS]
        rows.append([f"{m} x {k} x {n}", *cells])
    report.say(f"**What the machine can do.** Medians; rounds in turn: {rounds}.")
    report.table(["matrix product", *(f"{name}, GFLOP/s" for name in FORMATS)], rows)
    copied = copy_rates(rounds)
    report.say(f"Copying memory: {median_and_spread([rate / 1e9 for rate in copied])} GB/s, read and written.")
    job_format = torchnlp.precision()
    report.say(
        f"The job runs in {job_format}. A machine without instructions for bfloat16 stays with float32, "
        "whatever it is told here."
    )
    best = max(statistics.median(rates[shape, job_format]) for shape in shapes)
    return best, statistics.median(copied)


def report_check(report: Report, config: BertConfig, batch: Batch) -> None:
    """Print the count of one batch beside that of PyTorch."""
    texts, length = batch["input_ids"].shape
    counted = counted_arithmetic(course_model(attn_implementation="eager"), batch)
    own = training_arithmetic(config, texts, length)
    report.say(
        f"**Arithmetic.** A step on {texts} texts of {length} tokens: {own / 1e9:.3f} GFLOP by this count, "
        f"{counted / 1e9:.3f} by PyTorch's counter."
    )


def spread_out(batches: Sequence[list[int]], lengths: Sequence[int], count: int) -> list[list[int]]:
    """Some of the batches, from short to long ones, at equal distances."""
    ordered = sorted(batches, key=lambda batch: sum(lengths[i] for i in batch))
    count = min(count, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


def report_job(
    report: Report,
    trainer: Trainer,
    config: BertConfig,
    items: list[tuple[int, str]],
    best_rate: float,
    copy_rate: float,
    steps: int,
) -> list[Batch]:
    """Count and measure the job in batches of 8 and of 16; return the batches of 8 that were measured."""
    iterations = 500 if len(items) >= 4000 else 150  # as lesson 4 has it
    chosen = random.Random(0).sample(items, min(8 * iterations, len(items)))
    tokenizer = AutoTokenizer.from_pretrained(torchnlp.model_folder())
    collate = torchnlp.BertCollate(tokenizer)
    lengths = [len(ids) for ids in tokenizer([text for _, text in chosen], truncation=True, max_length=128).input_ids]
    cut = {size: list(torchnlp.LengthGroupedBatches(lengths, size)) for size in BATCH_SIZES}
    taken = {
        size: [collate([chosen[i] for i in batch]) for batch in spread_out(cut[size], lengths, steps)] for size in cut
    }
    seconds: dict[int, list[float]] = {size: [] for size in taken}
    for batches in taken.values():
        trainer.step(batches[-1])
    report_check(report, config, taken[8][0])
    for pair in zip(*taken.values(), strict=True):
        for size, batch in zip(taken, pair, strict=True):
            seconds[size].append(trainer.step(batch))

    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    optimizer = optimizer_bytes(parameters) / copy_rate
    report.say(
        f"Lesson 4's job: {8 * iterations} texts of {statistics.mean(lengths):.1f} tokens on average, in batches of "
        f"like length. The optimizer moves {optimizer_bytes(parameters) / 1e9:.2f} GB in each step, which takes at "
        f"least {optimizer:.4f} s."
    )
    rows = []
    for size, batches in taken.items():
        needed = sum(training_arithmetic(config, 1, int(row.sum())) for b in batches for row in b["attention_mask"])
        done = sum(training_arithmetic(config, *batch["input_ids"].shape) for batch in batches)
        of_job = sum(training_arithmetic(config, 1, length) for length in lengths) * 8 * iterations / len(lengths)
        allowed, measured = needed / best_rate, sum(seconds[size])
        rows.append(
            [
                size,
                median_and_spread(seconds[size]),
                f"{needed / len(batches) / 1e9:.1f}",
                f"{done / len(batches) / 1e9:.1f}",
                f"{allowed / len(batches):.4f}",
                f"{allowed / measured:.1%}",
                f"{of_job / 1e12:.2f}",
                f"{of_job / best_rate:.1f}",
                f"{of_job / needed * measured:.1f}",
            ]
        )
    report.table(
        [
            "batch",
            "seconds a step",
            "GFLOP needed",
            "GFLOP with padding",
            "seconds at the matrix rate",
            "share of the limit",
            "TFLOP of the job",
            "seconds of the job at the matrix rate",
            "at the measured one",
        ],
        rows,
    )
    report.say(
        f"The steps are {steps} from short to long texts. The limit is the arithmetic of the real tokens at "
        f"{best_rate / 1e9:.0f} GFLOP/s, the best rate of {torchnlp.precision()} above."
    )
    return taken[8]


def report_compile(report: Report, trainer: Trainer, batches: Sequence[Batch]) -> None:
    """Print what ``torch.compile`` costs and saves."""
    if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        report.say("**torch.compile**: not measured, because there is no C++ compiler.")
        return
    before = [trainer.step(batch) for batch in batches]
    try:
        trainer.call = torch.compile(trainer.model, dynamic=True)
        first = [trainer.step(batch) for batch in batches]
        after = [trainer.step(batch) for batch in batches]
    except Exception as error:  # of many kinds, by compiler and system
        reason = (str(error).strip().splitlines() or [""])[0][:100]
        report.say(f"**torch.compile**: not measured, because it failed ({type(error).__name__}: {reason}).")
        return
    finally:
        trainer.call = trainer.model
    cost = sum(first) - sum(after)
    saved = statistics.mean(before) - statistics.mean(after)
    pays = f"pays after {cost / saved:.0f} steps" if saved > 0 else "never pays"
    report.say(f"**torch.compile**, the same {len(batches)} batches: it {pays}.")
    row = [f"{cost:.1f}", median_and_spread(before), median_and_spread(after)]
    report.table(["seconds to compile", "seconds a step before", "seconds a step after"], [row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    parser.add_argument("--steps", type=int, default=6, help="measured steps of each batch size, and rounds of rates")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile, which takes a minute or more")
    add_save(parser)
    arguments = parser.parse_args()
    print(machine())
    report = Report("limit", "How near fine-tuning comes to the machine's limit")
    trainer = Trainer()
    config = trainer.model.config
    items = torchnlp.load_dataset(source=arguments.folder)[0]
    best_rate, copy_rate = report_rates(report, config, arguments.steps)
    batches = report_job(report, trainer, config, items, best_rate, copy_rate, arguments.steps)
    shares = shares_of_kinds(trainer, batches)
    place = "the GPU" if torchnlp.device.type == "cuda" else "the CPU"
    report.say(f"**Where the time goes**, on {place}, over {len(batches)} steps of 8 texts.")
    report.table(["operations", "share"], [[kind, f"{share:.1%}"] for kind, share in shares.items()])
    if arguments.compile:
        report_compile(report, trainer, batches)
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
