"""The checks of lesson 6, on faster and bigger training. Each gets functions of the learner."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import close, exercise, kind, new_generator, numbers, sizes


def whole_numbers(generator: torch.Generator, count: int, low: int, high: int) -> list[int]:
    """So many numbers from low to high, both included."""
    return torch.randint(low, high + 1, (count,), generator=generator).tolist()


def call_with_copy(function: Callable, value: list, *others: Any) -> tuple[Any, str | None]:
    """Call a function with a list; return its answer, and a hint if it changed the list."""
    given = copy.deepcopy(value)
    answer = function(given, *others)
    return answer, None if given == value else "you changed the list itself: work on a copy"


@exercise(1)
def padding_positions(function: Callable) -> str | None:
    """Check exercise 1, ``padding_positions(batches)``, on batches of different sizes."""
    generator = new_generator()
    known: dict[int, str] = {}
    right = 0
    while len(known) < 4 or right in known or not right:  # until each mistake gives a number of its own
        batches = [whole_numbers(generator, size, 1, 20) for size in sizes(3, generator)]
        pieces, texts = sum(map(sum, batches)), sum(map(len, batches))
        all_positions = sum(len(batch) * max(batch) for batch in batches)
        right = all_positions - pieces
        known = {
            all_positions: "these are all positions, those with a piece of text among them",
            pieces: "these are the pieces of text, not the padding",
            texts * max(map(max, batches)) - pieces: "a batch is as wide as its own longest text, not as that of all",
            sum(max(batch) - min(batch) for batch in batches): "only the shortest text of each batch was filled up",
        }
    answer, hint = call_with_copy(function, batches)
    if isinstance(answer, bool) or not isinstance(answer, int):
        return f"padding_positions returned {kind(answer)}, not an int"
    if hint or answer == right:
        return hint
    return known.get(answer, f"{batches}: {answer} is not the number of positions without a piece of text")


Ratios = Sequence[float]


def _median(values: Ratios) -> float:
    return sorted(values)[len(values) // 2]


def _mean(values: Ratios) -> float:
    return sum(values) / len(values)


# How somebody may judge the pairs of times, and what to say; each gets times before, times after, and the band.
_JUDGES: dict[str, Callable[[Ratios, Ratios, float], bool]] = {
    "a change within the noise band was kept": lambda a, b, band: _median(_ratios(a, b)) < 1,
    "a change that made it slower was kept: which of the two times stands above the line?": (
        lambda a, b, band: _median(_ratios(b, a)) < 1 - band
    ),
    "a single slow run decided": lambda a, b, band: _mean(_ratios(a, b)) < 1 - band,
    "a single slow run decided: not every run must be faster": lambda a, b, band: max(_ratios(a, b)) < 1 - band,
    "a single fast run decided": lambda a, b, band: min(_ratios(a, b)) < 1 - band,
    "the machine was busy now and then: compare each run with the one that was measured beside it": (
        lambda a, b, band: _median(b) / _median(a) < 1 - band
    ),
}


def _ratios(before: Ratios, after: Ratios) -> list[float]:
    return [b / a for a, b in zip(before, after, strict=True)]


def _cases(generator: torch.Generator, band: float) -> list[tuple[list[float], list[float]]]:
    """Times before and after, for which the judges above differ."""
    clear = 0.6 + 0.1 * torch.rand(1, generator=generator).item()
    patterns = [
        ([1, 1, 1, 1, 1], [clear] * 5),
        ([1, 1, 1, 1, 1], [1 - band / 2] * 5),
        ([1, 1, 1, 1, 1], [1.3] * 5),
        ([1, 1, 1, 1, 1], [clear, clear, clear, clear, 4]),  # one run was disturbed
        ([1, 2, 4, 8, 16], [clear, clear, 5, 5, clear]),  # the machine grew slower and slower
        ([1, 1, 1, 1, 1], [clear, clear, clear, clear, 1]),
        ([1, 1, 1, 1, 1], [clear, 1, 1, 1, 1]),
    ]
    made = []
    for before, ratios in patterns:
        order, scale = torch.randperm(5, generator=generator).tolist(), 0.02 + torch.rand(1, generator=generator).item()
        made.append(([scale * before[i] for i in order], [scale * before[i] * ratios[i] for i in order]))
    return made


@exercise(2)
def verdict(function: Callable) -> str | None:
    """Check exercise 2, ``verdict(before, after, band)``, on quiet and on busy machines."""
    generator = new_generator()
    band = 0.04 + 0.04 * torch.rand(1, generator=generator).item()
    cases, answers = _cases(generator, band), []
    for before, after in cases:
        given = list(before), list(after)
        answer = function(*given, band)
        if answer not in ("keep", "reject"):
            return f"verdict returned {answer!r}, not 'keep' or 'reject'"
        if given != (before, after):
            return "you changed a list itself: work on a copy"
        answers.append(answer == "keep")
    right = [_median(_ratios(*case)) < 1 - band for case in cases]
    if answers == right:
        return None
    for hint, judge in _JUDGES.items():
        if answers == [judge(*case, band) for case in cases]:
            return hint
    wrong = next(i for i, (a, b) in enumerate(zip(answers, right, strict=True)) if a != b)
    rounded = [round(ratio, 2) for ratio in _ratios(*cases[wrong])]
    return f"ratios {rounded} with a band of {band:.2f}: this is no case for {'keep' if answers[wrong] else 'reject'!r}"


def loss_of(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs), labels)


@exercise(3)
def accumulated_gradients(function: Callable) -> str | None:
    """Check exercise 3, ``accumulated_gradients(model, inputs, labels, parts)``, with parts of different sizes."""
    generator = new_generator()
    d, c, *parts = sizes(5, generator, low=2)
    n = sum(parts)
    net, inputs = nn.Linear(d, c), numbers(generator, n, d)
    labels = torch.randint(c, (n,), generator=generator)
    right = torch.autograd.grad(loss_of(net, inputs, labels), tuple(net.parameters()))
    pairs = zip(inputs.split(parts), labels.split(parts), strict=True)
    means = [torch.autograd.grad(loss_of(net, x, y), net.weight)[0] for x, y in pairs]
    faults = {
        "the means were averaged: a large part must count for more than a small one": sum(means) / len(means),
        "the means were added up: how much of the whole batch is a part?": sum(means),
        "this is the gradient of the sum of the losses, not of their mean": n * right[0],
        "only the gradient of the last part is left, with its share": means[-1] * parts[-1] / n,
        "only the gradient of the last part is left": means[-1],
    }
    for again in (False, True):
        answer = function(net, inputs, labels, list(parts))
        if not isinstance(answer, list | tuple) or len(answer) != 2:
            return f"accumulated_gradients returned {kind(answer)}, not a list of two gradients"
        if not all(isinstance(part, Tensor) for part in answer):
            return "accumulated_gradients returned something that is no tensor"
        if [part.shape for part in answer] != [part.shape for part in right]:
            return "the gradients do not have the shapes of the parameters, in their order"
        answer = [part.detach().clone() for part in answer]
        if all(close(mine, wanted) for mine, wanted in zip(answer, right, strict=True)):
            continue
        if again and close(answer[0], 2 * right[0]):
            return "called a second time, it gives twice as much: the gradients of the first call are still there"
        if close(answer[0], net.weight):
            return "these are the parameters, not their gradients"
        known = (hint for hint, wrong in faults.items() if close(answer[0], wrong))
        return next(known, "this is not the gradient of the mean loss of the whole batch")
    return None


@exercise(4)
def loss_scale(function: Callable) -> str | None:
    """Check exercise 4, ``loss_scale(gradients)``, on small gradients of which the largest in size is negative."""
    generator = new_generator()
    powers = (10 + torch.randperm(12, generator=generator)[:3]).tolist()
    return next((hint for power in powers if (hint := _scale_fault(function, power, generator))), None)


def _scale_fault(function: Callable, power: int, generator: torch.Generator) -> str | None:
    """The hint for gradients of which the largest in size is a little more than one over two to this power."""
    largest = (1.1 + 0.8 * torch.rand(1, generator=generator).item()) * 2.0**-power
    gradients = [largest / 200 * numbers(generator, *shape) for shape in ((3, 4), (5,), (4,))]
    gradients[0][0, 0], gradients[1][0] = largest / 64, -largest
    gradients[2][:2] = torch.tensor([largest / 8, -largest / 4])
    right = 2.0 ** (15 + power)  # since 65504 / 1.1 and 65504 / 1.9 lie between 2 ** 15 and 2 ** 16
    before = [part.clone() for part in gradients]
    answer = function(gradients)
    if isinstance(answer, Tensor) and answer.numel() == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"loss_scale returned {kind(answer)}, not a number"
    if not all(torch.equal(part, old) for part, old in zip(gradients, before, strict=True)):
        return "you changed the gradients themselves: work on copies"
    if answer == right:
        return None
    if answer <= 0 or not math.isfinite(answer) or math.frexp(answer)[0] != 0.5:
        return f"{answer} is not a power of two"
    if answer < right:
        return f"{answer:g} is safe, but {2 * answer:g} would be, too"
    if answer == 8 * right:
        return "a negative gradient becomes -inf: what counts is the size of a number"
    if answer in (4 * right, 64 * right):
        return "a gradient of another tensor in the list becomes inf"
    return f"with {answer:g} the largest gradient becomes inf in float16"


RATE = 0.5


def _after_a_step(models: list[nn.Linear], shares: list[tuple[Tensor, Tensor]], exchange: str) -> list[Tensor]:
    """The weights (N, C, D) of the models after one step of SGD, computed apart from the models."""
    own = [torch.autograd.grad(loss_of(m, *share), m.weight)[0] for m, share in zip(models, shares, strict=True)]
    used = {"none": own, "sum": [sum(own)] * len(own), "mean": [sum(own) / len(own)] * len(own)}[exchange]
    return torch.stack([model.weight.detach() - RATE * part for model, part in zip(models, used, strict=True)])


@exercise(5)
def data_parallel_step(function: Callable) -> str | None:
    """Check exercise 5, ``data_parallel_step(models, shares, rate, exchange)``, with and without the exchange."""
    generator = new_generator()
    d, c, count, n = sizes(4, generator)
    first = nn.Linear(d, c)
    for exchange in ("mean", "none", "sum"):
        models = [copy.deepcopy(first) for _ in range(count)]
        shares = [(numbers(generator, n, d), torch.randint(c, (n,), generator=generator)) for _ in models]
        expected = {name: _after_a_step(models, shares, name) for name in ("mean", "none", "sum")}
        before = torch.stack([model.weight.detach().clone() for model in models])
        bias = first.bias.detach().clone()
        for model in models:
            for weight in model.parameters():
                weight.grad = torch.full_like(weight, 3.0)  # left over from an earlier step
        function(models, shares, RATE, exchange)
        after = torch.stack([model.weight.detach().clone() for model in models])
        if close(after, expected[exchange]):
            if all(close(model.bias, bias) for model in models):
                return "the weights were updated, but not the biases: go through all parameters"
            continue
        if close(after, before):
            return "the weights did not change: the models are to be updated in place"
        if close(after - before, expected[exchange] - before - 3 * RATE):
            return "the gradients of an earlier step were still there, and counted"
        if close(after - before, before - expected[exchange]):
            return "the step goes up the slope, not down"
        same = next((name for name, wanted in expected.items() if close(after, wanted)), None)
        if same:
            return f"asked for {exchange!r}, the models made the step of {same!r}"
        if exchange != "none" and (after - after[0]).abs().max() > 1e-5:
            return f"after {exchange!r} the models are no longer equal"
        return f"after {exchange!r} the weights are not those of one step of SGD"
    return None


def _plan(examples: int, processes: int, fits: int) -> tuple[int, int] | None:
    each, left_over = divmod(examples, processes)
    if left_over:
        return None
    batch_size = next(size for size in range(min(fits, each), 0, -1) if each % size == 0)
    return batch_size, each // batch_size


@exercise(6)
def plan(function: Callable) -> str | None:
    """Check exercise 6, ``plan(examples, processes, fits)``, on plans that work and on one that does not."""
    generator = new_generator()
    processes, fits, a, b = whole_numbers(generator, 4, 3, 8)
    cases = [
        (processes * fits * a, processes, fits),  # full batches
        (processes * (fits - 1), processes, fits),  # fewer than fit
        (processes * 7 * a, processes, 6),  # no full batch divides it
        (processes * 12 * b, processes, 5),
        (processes * a * b + 1, processes, fits),  # cannot be dealt out equally
    ]
    for case in cases:
        answer, right = function(*case), _plan(*case)
        said = f"plan{case}"
        if answer == right and (right is None or isinstance(answer, tuple)):
            continue
        if right is None:
            return f"{case[0]} examples cannot be dealt out to {case[1]} processes equally, but {said} is {answer}"
        if not isinstance(answer, tuple) or len(answer) != 2:
            return f"plan returned {kind(answer)} where there is a plan, not a pair"
        batch_size, accumulate = answer
        if (accumulate, batch_size) == right:
            return "the two numbers have changed places"
        if batch_size > case[2]:
            return f"{said} is {answer}, but {batch_size} examples do not fit"
        if batch_size * accumulate == case[0]:
            return f"{said} is {answer}: where are the processes? all of them take a batch at the same time"
        if batch_size * accumulate * case[1] != case[0]:
            return f"{said} is {answer}, but {batch_size} x {accumulate} x {case[1]} is not {case[0]}"
        return f"{said} is {answer}: a larger batch would fit, too"
    return None


def _positions(lengths: list[int], batch_size: int) -> int:
    batches = [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]
    return sum(len(batch) * max(batch) for batch in batches)


@exercise(7)
def saved_by_sorting(function: Callable) -> str | None:
    """Check exercise 7, ``saved_by_sorting(lengths, batch_size)``, where the last batch is not full."""
    generator = new_generator()
    known: dict[float, str] = {}
    right = 0.0
    while len({round(value, 3) for value in (right, *known)}) < 6:  # until each mistake gives a number of its own
        batch_size, whole = whole_numbers(generator, 2, 3, 6)
        lengths = whole_numbers(generator, batch_size * whole + 2, 1, 60)
        full = batch_size * whole
        unsorted, ordered = _positions(lengths, batch_size), _positions(sorted(lengths), batch_size)
        right = 1 - ordered / unsorted
        known = {
            ordered / unsorted: "this is the share that is left, not the share that is saved",
            unsorted / ordered - 1: "the share is to be that of the positions before sorting",
            1 - sum(lengths) / ordered: "this is the share of padding after sorting",
            1 - sum(lengths) / unsorted: "this is the share of padding before sorting: sorting does not save all of it",
            1 - _positions(sorted(lengths[:full]), batch_size) / _positions(lengths[:full], batch_size): (
                "the last batch, which is not full, was left out"
            ),
        }
    answer, hint = call_with_copy(function, lengths, batch_size)
    if isinstance(answer, bool) or not isinstance(answer, float):
        return f"saved_by_sorting returned {kind(answer)}, not a float"
    if hint or math.isclose(answer, right, abs_tol=1e-6):
        return hint
    near = (said for value, said in known.items() if math.isclose(answer, value, abs_tol=1e-6))
    return next(near, f"{answer:.3f} is not the share of the positions that sorting saves")
