"""The one way in which the benchmarks measure, cases in turn, and what they measure most: training steps and rates."""

import contextlib
import ctypes
import gc
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from torch.utils.benchmark import Timer, timer
from transformers import AutoTokenizer, BertForSequenceClassification

import torchnlp

MAX_LENGTH = 128  # word pieces of a text, as in lesson 4
AT_LEAST = 0.1  # seconds that one measurement of a rate takes

Items = list[tuple[int, str]]
Batch = dict[str, torch.Tensor]


@dataclass
class Measured:
    """What a case took in each round that counts, and what it returned."""

    seconds: list[float] = field(default_factory=list)
    results: list = field(default_factory=list)
    mib: float | None = None  # peak memory
    above_mib: float | None = None  # the same, above what was in use at the start


def in_turn(
    cases: Mapping[Hashable, Callable[[], object]],
    rounds: int,
    warm_up: int = 1,
    memory: str | None = None,
    keep: Callable[[object], object] = lambda result: result,
) -> dict[Hashable, Measured]:
    """Time named cases in turn, round after round, so that what slows the machine for a while meets all of them.

    Args:
        cases: what to call for each of them.
        rounds: how often each of them is timed.
        warm_up: rounds before those, which do not count.
        memory: ``"cpu"`` or ``"cuda"`` measures peak memory there, too. That slows what lasts milliseconds.
        keep: what is kept of a result, made while no time is taken.
    """
    measured = {name: Measured() for name in cases}
    for number in range(-warm_up, rounds):
        for name, work in cases.items():
            start = reset_peak(memory) if memory else None
            begin = timer()  # waits for a GPU
            result = work()
            seconds = timer() - begin
            peak = None if start is None else peak_mib(memory)
            kept = keep(result)
            del result  # frees its memory before the next case starts
            if number < 0:
                continue
            case = measured[name]
            case.seconds.append(seconds)
            case.results.append(kept)
            if peak is not None:
                case.mib = max(case.mib or 0, peak)
                case.above_mib = max(case.above_mib or 0, peak - start)
    return measured


def rates(cases: Mapping[Hashable, tuple[Callable[[], object], float]], rounds: int) -> dict[Hashable, list[float]]:
    """How much is done in a second, in turn. A case is what to call, and how much one call of it does."""

    def once(work: Callable[[], object], amount: float) -> Callable[[], float]:
        stopwatch = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
        return lambda: amount / stopwatch.blocked_autorange(min_run_time=AT_LEAST).median

    measured = in_turn({name: once(*case) for name, case in cases.items()}, rounds)
    return {name: case.results for name, case in measured.items()}


# ------------------------------------------------------------------------------------------------------------- memory


def reset_peak(device: str) -> float | None:
    """Count the peak of memory anew, and return the MiB in use; None where the system cannot.

    That is the resident memory of the process, or on CUDA what tensors take there. What Python and the C library keep
    after a ``del`` is given back first, so that it is not taken for use.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    with contextlib.suppress(OSError, AttributeError):  # only the C library of GNU has it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # from here on, VmHWM counts anew
    except OSError:
        return None
    return peak_mib(device)


def peak_mib(device: str) -> float:
    """The most MiB in use since ``reset_peak``."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024  # the file counts in KiB


# ----------------------------------------------------------------------------------------------------- training steps


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

    def step(self, batch: Batch) -> None:
        """Take one step, as ``torchnlp.fine_tune`` does."""
        batch = {name: tensor.to(torchnlp.device) for name, tensor in batch.items()}
        with torchnlp.autocast():
            loss = self.call(**batch).loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()

    def steps(self, batches: Mapping[Hashable, Batch]) -> dict[Hashable, Callable[[], None]]:
        """A step on each of these batches, as cases for ``in_turn``."""
        return {name: lambda batch=batch: self.step(batch) for name, batch in batches.items()}


def course_model(attention: str | None = None) -> BertForSequenceClassification:
    """Lesson 4's model, with the helper's form of attention unless told."""
    quiet()
    return BertForSequenceClassification.from_pretrained(
        torchnlp.model_folder(),
        num_labels=4,
        use_safetensors=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation=attention or torchnlp.attention_implementation(),
    )


def quiet() -> None:
    """Keep transformers from writing between the lines of a benchmark."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def made_up_batch(texts: int, length: int, vocabulary: int = 30_000) -> Batch:
    """Texts of this many random tokens each, without padding."""
    chance = torch.Generator().manual_seed(texts * length)
    ids = torch.randint(1_000, vocabulary, (texts, length), generator=chance)
    labels = torch.randint(4, (texts,), generator=chance)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def input_ids_of(items: Items) -> list[list[int]]:
    """The word pieces of each text."""
    tokenizer = AutoTokenizer.from_pretrained(torchnlp.model_folder())
    return tokenizer([text for _, text in items], truncation=True, max_length=MAX_LENGTH)["input_ids"]


def lengths_of(items: Items) -> list[int]:
    """How many word pieces each text has."""
    return list(map(len, input_ids_of(items)))


def batches_of(items: Items, chosen: list[list[int]]) -> list[Batch]:
    """The batches that hold the items of these numbers."""
    collate = torchnlp.BertCollate(AutoTokenizer.from_pretrained(torchnlp.model_folder()), MAX_LENGTH)
    return [collate([items[i] for i in batch]) for batch in chosen]
