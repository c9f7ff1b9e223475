"""Predict how long fine-tuning bert-base on the complete AG News takes on 1, 8 and 64 GPUs, and test the formula.

    python benchmarks/scaling.py [--measure] [--save] [FOLDER]

The time is that of the arithmetic, dealt out to the GPUs, and that of adding up the gradients once a step by a ring:

    arithmetic / (GPUs x rate) + steps x (2 (N - 1) / N x bytes / bandwidth + 2 (N - 1) x latency)

Nothing of it is hidden behind the other part, so a real run can be faster. The lengths of the texts are those of the
news in FOLDER, in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. The rate is an assumed one, or with
``--measure``, on a GPU, measured here.

Where there is no GPU, the formula is tested with the course's model on two CPU processes of one thread each:
``scripts/finetune.py`` runs with one process and with two, and the time from one update of the weights to the next is
taken, so that starting and testing do not count.
"""

import argparse
import csv
import json
import os
import random
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from growth import Trainer, made_up_batch
from limit import training_arithmetic
from report import ROOT, Report, add_save, machine
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

import torchnlp

ITEMS, PASSES, TEXTS = 120_000, 3, 32  # AG News; passes through it; texts of one GPU in each step
GPUS = (1, 8, 64)
ASSUMED_RATE = 0.3 * 989e12  # a share of what NVIDIA publishes for an H100: dense bfloat16 operations a second
MEASURED_LENGTH = 64  # tokens of the texts with which the rate is measured
NEW = 2  # iterations before the timed ones, in which everything is new
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


@dataclass(frozen=True)
class Prediction:
    """Seconds of a training, by part."""

    arithmetic: float
    exchange: float

    @property
    def seconds(self) -> float:
        return self.arithmetic + self.exchange


def predict(
    operations: float, processes: int, rate: float, steps: int, gradient_bytes: float, network: Network
) -> Prediction:
    """The time of a training by the formula above.

    Args:
        operations: arithmetic of the whole training, in floating-point operations.
        rate: operations a second of one process.
    """
    return Prediction(operations / (processes * rate), steps * ring_seconds(processes, gradient_bytes, network))


def count_parameters(config: BertConfig) -> int:
    """Parameters of BERT with a classifier, without memory for them."""
    with torch.device("meta"):
        model = BertForSequenceClassification(config)
    return sum(parameter.numel() for parameter in model.parameters())


def mean_arithmetic(config: BertConfig, lengths: Sequence[int]) -> float:
    """Operations of training on one text, on average, without padding."""
    return statistics.mean(training_arithmetic(config, 1, length) for length in lengths)


# --------------------------------------------------------------------------------------------------------- measurements


def news_lengths(news: list[tuple[int, str]], count: int = 2_000) -> list[int]:
    """Word pieces of some of the news."""
    tokenizer = AutoTokenizer.from_pretrained(torchnlp.model_folder())
    texts = [text for _, text in random.Random(0).sample(news, min(count, len(news)))]
    return [len(ids) for ids in tokenizer(texts, truncation=True, max_length=128).input_ids]


def measured_rate(config: BertConfig, steps: int = 20) -> float:
    """Operations a second of this GPU, in whole training steps of BERT with random weights."""
    trainer = Trainer(BertForSequenceClassification(config))
    batch = made_up_batch(TEXTS, MEASURED_LENGTH)
    for _ in range(5):
        trainer.step(batch)
    seconds = statistics.median(trainer.step(batch) for _ in range(steps))
    return training_arithmetic(config, TEXTS, MEASURED_LENGTH) / seconds


def run(words: Sequence[str], processes: int, **settings: str) -> float | list[float]:
    """Run this file on the CPU with one thread for each process; return the JSON of the last line that it printed."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(Path(__file__).resolve()), *words]
    fixed = {"TORCHNLP_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=os.environ | fixed | settings, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"scaling: {words[0]} failed with {processes} processes:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def iteration_seconds(news: Path, processes: int, batch_size: int, iterations: int) -> float:
    """Seconds of one iteration of ``scripts/finetune.py``, the median of this many."""
    with tempfile.TemporaryDirectory() as output:
        words = ["--finetune", output, "--iterations", str(NEW + iterations)]
        words += ["--batch-size", str(batch_size), "--checkpoint-freq", "1000000"]
        return run(words, processes, TORCHNLP_DATA=str(news))


def timed_finetune(words: list[str]) -> None:
    """Run ``scripts/finetune.py`` with these words, and print the median of an iteration. Runs in each process."""
    moments = []
    hook = register_optimizer_step_post_hook(lambda *_: moments.append(time.perf_counter()))
    runpy.run_path(str(ROOT / "scripts" / "finetune.py"), run_name="finetune")["main"](words)
    hook.remove()
    if os.environ.get("RANK", "0") == "0":
        print(statistics.median(after - before for before, after in pairwise(moments[NEW - 1 :])))


def write_news(items: list[tuple[int, str]], folder: Path) -> None:
    """The items in AG News' layout; only eight to test on, because the testing is not measured."""
    for name, part in (("train.csv", items), ("test.csv", items[:8])):
        with open(folder / name, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows((label, text, "") for label, text in part)


def all_reduce(size: int, rounds: int = 7) -> None:
    """Add up this many bytes, and one number, over the processes; print both seconds. Runs in each process."""
    torch.distributed.init_process_group("gloo")
    medians = []
    for count in (size // GRADIENT_BYTES, 1):
        gradient = torch.ones(count)
        seconds = []
        for _ in range(rounds):
            torch.distributed.barrier()
            begin = time.perf_counter()
            torch.distributed.all_reduce(gradient)
            seconds.append(time.perf_counter() - begin)
        medians.append(statistics.median(seconds[1:]))  # the first one connects
    if torch.distributed.get_rank() == 0:
        print(json.dumps(medians))
    torch.distributed.destroy_process_group()


def measured_network(size: int) -> Network:
    """Bandwidth and latency between two CPU processes, as the formula wants them."""
    large, small = run(["--all-reduce", str(size)], 2)
    return Network(bandwidth=size / (large - small), latency=small / 2)  # two transfers of half the bytes each


# -------------------------------------------------------------------------------------------------------------- reports


def report_prediction(report: Report, lengths: Sequence[int], measure: bool) -> None:
    """Print the prediction for bert-base."""
    config = BertConfig(num_labels=4)
    parameters = count_parameters(config)
    operations = ITEMS * PASSES * mean_arithmetic(config, lengths)
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
        found = predict(operations, gpus, rate, steps, GRADIENT_BYTES * parameters, network_for(gpus))
        parts = (f"{seconds:.1f}" for seconds in (found.arithmetic, found.exchange, found.seconds))
        rows.append([gpus, steps, *parts, f"{found.arithmetic / found.seconds:.0%}"])
    headers = ["GPUs", "steps", "seconds of arithmetic", "seconds of exchange", "seconds predicted", "efficiency"]
    report.table(headers, rows)


def report_test(report: Report, news: list[tuple[int, str]], iterations: int) -> None:
    """Print what the formula says of two CPU processes, and what they need."""
    config = BertConfig.from_pretrained(torchnlp.model_folder(), num_labels=4)
    size = GRADIENT_BYTES * count_parameters(config)
    network = measured_network(size)
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        write_news(random.Random(0).sample(news, min(1_000, len(news))), Path(name))
        for processes, batch_size in ((1, 16), (1, 8), (2, 8)):
            seconds[processes, batch_size] = iteration_seconds(Path(name), processes, batch_size, iterations)
            print(f"{processes} x {batch_size}: {seconds[processes, batch_size]:.3f} s an iteration", flush=True)
    exchange = ring_seconds(2, size, network)
    report.say(
        f"**The formula on two CPU processes**, one thread each, and the course's model ({size / 1e6:.0f} MB of "
        f"gradients). All-reduce: {network.bandwidth / 1e9:.2f} GB/s, latency {1e6 * network.latency:.0f} µs, so "
        f"{exchange:.3f} s for each iteration. An iteration is the median of {iterations}."
    )
    measured = seconds[2, 8]
    rows = [[f"{p} process{'es' * (p > 1)} of batch {b}", f"{value:.3f}", ""] for (p, b), value in seconds.items()]
    # The arithmetic is counted in seconds of one process, so the rate is 1.
    for name, work in (("half of 1 x 16", seconds[1, 16]), ("1 x 8", 2 * seconds[1, 8])):
        found = predict(work, 2, 1.0, 1, size, network).seconds
        rows.append([f"2 of batch 8, predicted from {name}", f"{found:.3f}", f"{found / measured:.2f}"])
    report.table(["", "seconds an iteration", "predicted / measured"], rows)
    report.say("Half of 1 x 16 halves the optimizer's update as well, which in truth each process does in full.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    parser.add_argument("--measure", action="store_true", help="measure the rate, on a GPU")
    parser.add_argument("--iterations", type=int, default=12, help="iterations in which the test on the CPU is timed")
    parser.add_argument("--no-test", action="store_true", help="leave out the test on the CPU")
    parser.add_argument("--all-reduce", type=int, help=argparse.SUPPRESS)  # a process of measured_network
    add_save(parser)
    if sys.argv[1:2] == ["--finetune"]:  # a process of iteration_seconds
        timed_finetune(sys.argv[2:])
        return
    arguments = parser.parse_args()
    if arguments.all_reduce:
        all_reduce(arguments.all_reduce)
        return
    on_gpu = torchnlp.device.type == "cuda"
    if arguments.measure and not on_gpu:
        parser.error("--measure needs a GPU: leave it out, and the rate is assumed")
    print(machine())
    report = Report("scaling", "Predicted time on many GPUs")
    news = torchnlp.load_dataset(source=arguments.folder)[0]
    report_prediction(report, news_lengths(news), arguments.measure)
    if not on_gpu and not arguments.no_test:
        report_test(report, news, arguments.iterations)
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
