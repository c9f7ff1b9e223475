"""Predict how long fine-tuning bert-base on the complete AG News takes on 1, 8 and 64 GPUs, and test the formula.

    python benchmarks/scaling.py [--iterations 12] [--measure] [--save] [FOLDER]

The time is that of the arithmetic, dealt out to the GPUs, and that of adding up the gradients once a step by a ring:

    arithmetic / (GPUs x rate) + steps x (2 (N - 1) / N x bytes / bandwidth + 2 (N - 1) x latency)

Nothing of it is hidden behind the other part, so a real run can be faster. The lengths of the texts are those of the
news in FOLDER, in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. The rate is an assumed one, or with
``--measure``, on a GPU, measured here.

Where there is no GPU, the formula is tested with the course's model on two CPU processes of one thread each: in
``--iterations`` steps the same news is learned by one process and by two, which share their gradients as those of
``scripts/finetune.py`` do.
"""

import gc
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from limit import training_arithmetic
from measure import Batch, Items, Trainer, batches_of, in_turn, lengths_of, made_up_batch
from report import Report, run
from torch.nn.parallel import DistributedDataParallel
from transformers import BertConfig, BertForSequenceClassification

import torchnlp

ITEMS, PASSES, TEXTS = 120_000, 3, 32  # AG News; passes through it; texts of one GPU in each step
GPUS = (1, 8, 64)
ASSUMED_RATE = 0.3 * 989e12  # a share of what NVIDIA publishes for an H100: dense bfloat16 operations a second
MEASURED_LENGTH = 64  # tokens of the texts with which the rate is measured
GRADIENT_BYTES = 4  # of one number: gradients are float32, under autocast, too


# ---------------------------------------------------------------------------------------------------------- the formula


@dataclass(frozen=True)
class Network:
    """What joins the processes: bytes a second that each of them sends, and seconds until the first one arrives."""

    bandwidth: float
    latency: float


INSIDE = Network(bandwidth=450e9, latency=5e-6)  # assumed: NVLink of an H100, one direction
BETWEEN = Network(bandwidth=50e9, latency=15e-6)  # assumed: 400 Gbit/s for each GPU


def network_for(gpus: int) -> Network:
    """The slowest part of the ring: machines hold 8 GPUs."""
    return INSIDE if gpus <= 8 else BETWEEN


def ring_seconds(processes: int, size: float, network: Network) -> float:
    """Seconds to add up ``size`` bytes over all processes, in a ring.

    Each process sends its neighbour one N-th of the bytes, N - 1 times to add up and N - 1 times to hand out.

    Source: Patarasuk and Yuan 2009, *Bandwidth optimal all-reduce algorithms for clusters of workstations*.
    """
    transfers = 2 * (processes - 1)
    return transfers / processes * size / network.bandwidth + transfers * network.latency


def steps_of(items: int, passes: int, texts: int, processes: int) -> int:
    """Steps of the whole training; the last one of a pass may be smaller."""
    return passes * -(-items // (texts * processes))


def predict(
    operations: float, processes: int, rate: float, steps: int, gradient_bytes: float, network: Network
) -> tuple[float, float]:
    """Seconds of arithmetic and of exchange, by the formula above.

    Args:
        operations: arithmetic of the whole training, in floating-point operations.
        rate: operations a second of one process.
    """
    return operations / (processes * rate), steps * ring_seconds(processes, gradient_bytes, network)


def count_parameters(config: BertConfig) -> int:
    """Parameters of BERT with a classifier, without memory for them."""
    with torch.device("meta"):
        model = BertForSequenceClassification(config)
    return sum(parameter.numel() for parameter in model.parameters())


# --------------------------------------------------------------------------------------------------------- measurements


def measured_rate(config: BertConfig, steps: int = 20) -> float:
    """Operations a second of this GPU, in whole training steps of BERT with random weights."""
    trainer = Trainer(BertForSequenceClassification(config))
    cases = trainer.steps({"step": made_up_batch(TEXTS, MEASURED_LENGTH)})
    seconds = in_turn(cases, steps, warm_up=5)["step"].seconds
    return training_arithmetic(config, TEXTS, MEASURED_LENGTH) / statistics.median(seconds)


def on_processes(shares: list[dict[str, list[Batch]]]) -> dict[str, float]:
    """Start one CPU process of one thread for each share of the work; return the median seconds of each of its parts.

    A share has the batches of a process by the name of the part. With several processes the exchange of ``"gradients"``
    and that of one ``"number"`` are timed as well.
    """
    fixed = {"TORCHNLP_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, fixed):
        torch.multiprocessing.spawn(take_steps, (shares, folder), nprocs=len(shares))
        return json.loads((Path(folder) / "medians").read_text())


def take_steps(rank: int, shares: list[dict[str, list[Batch]]], folder: str) -> None:
    """Time the work of one process; the first one writes the medians into the folder."""
    trainer = Trainer()
    batches = {(name, i): batch for name, several in shares[rank].items() for i, batch in enumerate(several)}
    cases = trainer.steps(batches)
    if len(shares) > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=len(shares)
        )
        trainer.call = DistributedDataParallel(trainer.model)
        gradients, number = torch.ones(trainer.model.num_parameters()), torch.ones(1)
        for _, i in batches:
            cases["wait", i] = torch.distributed.barrier
            cases["gradients", i] = lambda: torch.distributed.all_reduce(gradients)
            cases["wait again", i] = torch.distributed.barrier
            cases["number", i] = lambda: torch.distributed.all_reduce(number)
    seconds: dict[str, list[float]] = {}
    for (name, _), case in in_turn(cases, rounds=1).items():
        seconds.setdefault(name, []).extend(case.seconds)
    if rank == 0:
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        (Path(folder) / "medians").write_text(json.dumps(medians))
    if len(shares) > 1:
        # The wrapped model goes first: were its reducer the last to let go of the group, PyTorch could wait for itself.
        trainer.call = trainer.model
        gc.collect()
        torch.distributed.destroy_process_group()


# -------------------------------------------------------------------------------------------------------------- reports


def report_prediction(report: Report, lengths: Sequence[int], measure: bool) -> None:
    """Print the prediction for bert-base."""
    config = BertConfig(num_labels=4)
    parameters = count_parameters(config)
    operations = ITEMS * PASSES * statistics.mean(training_arithmetic(config, 1, length) for length in lengths)
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    rate = measured_rate(BertConfig(num_labels=4, **without_dropout)) if measure else ASSUMED_RATE
    where = "measured here" if measure else "assumed: 0.3 of what is published for an H100"
    report.say(
        f"bert-base, {parameters:,} parameters, on {ITEMS:,} items of {statistics.mean(lengths):.1f} tokens on "
        f"average, {PASSES} passes, {TEXTS} texts for each GPU and step: {operations / 1e15:.1f} PFLOP. Rate of a GPU: "
        f"{rate / 1e12:.1f} TFLOP/s ({where}). Bandwidth: {INSIDE.bandwidth / 1e9:.0f} GB/s inside a machine of 8 "
        f"GPUs, {BETWEEN.bandwidth / 1e9:.0f} GB/s between machines; latency: {1e6 * INSIDE.latency:.0f} and "
        f"{1e6 * BETWEEN.latency:.0f} µs (assumed)."
    )
    rows = []
    for gpus in GPUS:
        steps = steps_of(ITEMS, PASSES, TEXTS, gpus)
        arithmetic, exchange = predict(operations, gpus, rate, steps, GRADIENT_BYTES * parameters, network_for(gpus))
        total = arithmetic + exchange
        rows.append([gpus, steps, f"{arithmetic:.1f}", f"{exchange:.1f}", f"{total:.1f}", f"{arithmetic / total:.0%}"])
    report.table("GPUs | steps | seconds of arithmetic | seconds of exchange | seconds predicted | efficiency", rows)


def report_test(report: Report, news: Items, iterations: int) -> None:
    """Print what the formula says of two CPU processes, and what they need."""
    size = GRADIENT_BYTES * count_parameters(BertConfig.from_pretrained(torchnlp.model_folder(), num_labels=4))
    chosen = random.Random(0).sample(news, min(16 * iterations, len(news)))
    whole = list(torchnlp.LengthGroupedBatches(lengths_of(chosen), 16))
    halves = [batches_of(chosen, [batch[part::2] for batch in whole]) for part in (0, 1)]
    alone = on_processes([{"16": batches_of(chosen, whole), "8": halves[0]}])
    two = on_processes([{"8": half} for half in halves])
    # Adding up means two transfers of half the bytes each.
    network = Network(bandwidth=size / (two["gradients"] - two["number"]), latency=two["number"] / 2)
    report.say(
        f"**The formula on two CPU processes**, one thread each, and the course's model ({size / 1e6:.0f} MB of "
        f"gradients). All-reduce: {network.bandwidth / 1e9:.2f} GB/s, latency {1e6 * network.latency:.0f} µs, so "
        f"{ring_seconds(2, size, network):.3f} s for each iteration. An iteration is the median of {len(whole)}."
    )
    measured = {"1 process of batch 16": alone["16"], "1 process of batch 8": alone["8"]}
    measured["2 processes of batch 8"] = two["8"]
    rows = [[name, f"{seconds:.3f}", ""] for name, seconds in measured.items()]
    # The arithmetic is counted in seconds of one process, so the rate is 1.
    for name, work in (("half of 1 x 16", alone["16"]), ("1 x 8", 2 * alone["8"])):
        found = sum(predict(work, 2, 1.0, 1, size, network))
        rows.append([f"2 of batch 8, predicted from {name}", f"{found:.3f}", f"{found / two['8']:.2f}"])
    report.table("case | seconds an iteration | predicted / measured", rows)
    report.say("Half of 1 x 16 halves the optimizer's update as well, which in truth each process does in full.")


def fill(report: Report, folder: str | None, iterations: int, measure: bool) -> None:
    on_gpu = torchnlp.device.type == "cuda"
    if measure and not on_gpu:
        sys.exit("--measure needs a GPU: leave it out, and the rate is assumed")
    news = torchnlp.load_dataset(source=folder)[0]
    lengths = lengths_of(random.Random(0).sample(news, min(2_000, len(news))))
    report_prediction(report, lengths, measure)
    if not on_gpu:
        report_test(report, news, iterations)


if __name__ == "__main__":
    run(Report("scaling", "Predicted time on many GPUs"), fill, __doc__, iterations=12, measure=False)
