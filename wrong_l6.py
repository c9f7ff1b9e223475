"""For tests/test_checks.py: typical wrong answers to the exercises of lesson 6. Removed when the lesson is merged.

There: SIX = "6-faster-and-bigger", EXERCISES += [(SIX, number) for number in range(1, 8)], and the entries of
EACH_WRONG_6 in EACH_WRONG, those of RIGHT_6 in RIGHT. NAMES has all that the solutions use.
"""

import math

import torch
import torch.nn.functional as F

SIX = "6-faster-and-bigger"


# ---------------------------------------------------------------------------------------------- 1: padding_positions


def padding_in_place(batches):
    found = sum(max(batch) * len(batch) - sum(batch) for batch in batches)
    batches.clear()
    return found


# --------------------------------------------------------------------------------------------------------- 2: verdict


def judge(middle, low=1.0, flip=False):
    """A verdict from the ratios of neighbours; ``low`` is how much of the noise band counts."""

    def verdict(before, after, band):
        pairs = zip(after, before, strict=True) if flip else zip(before, after, strict=True)
        return "keep" if middle([b / a for a, b in pairs]) < 1 - low * band else "reject"

    return verdict


def median(values):
    return sorted(values)[len(values) // 2]


def mean(values):
    return sum(values) / len(values)


def verdict_of_sorted(before, after, band):
    before.sort(), after.sort()
    return judge(median)(before, after, band)


# ------------------------------------------------------------------------------------------ 3: accumulated_gradients


def gradients(weigh=lambda part, n: part / n, zero="before", give=lambda weight: weight.grad):
    """Accumulate, in parts that the wrong answers change: the weight of a part, and when gradients are set to zero."""

    def accumulated_gradients(model, inputs, labels, parts):
        if zero == "before":
            model.zero_grad()
        for x, y in zip(inputs.split(parts), labels.split(parts), strict=True):
            if zero == "each":
                model.zero_grad()
            (F.cross_entropy(model(x), y) * weigh(len(x), len(inputs))).backward()
        return [give(weight) for weight in model.parameters()]

    return accumulated_gradients


def gradients_averaged(model, inputs, labels, parts):
    return gradients(lambda part, n: 1 / len(parts))(model, inputs, labels, parts)


def gradients_by_torch(model, inputs, labels, parts):
    """Another right answer."""
    losses = [
        F.cross_entropy(model(x), y, reduction="sum")
        for x, y in zip(inputs.split(parts), labels.split(parts), strict=True)
    ]
    return torch.autograd.grad(sum(losses) / len(inputs), list(model.parameters()))


# ------------------------------------------------------------------------------------------------------ 4: loss_scale


def scale_of(largest):
    return 2.0 ** math.floor(math.log2(65504 / largest))


def joined(parts):
    return torch.cat([part.flatten() for part in parts])


def scale_in_place(parts):
    scale = scale_of(joined(parts).abs().max().item())
    for part in parts:
        part *= scale
    return scale


def scale_by_trying(parts):
    """Another right answer."""
    scale = 1.0
    while all((part * scale * 2).half().isfinite().all() for part in parts):
        scale *= 2
    return scale


# ---------------------------------------------------------------------------------------------- 5: data_parallel_step


def step(used=lambda exchange: exchange, zero=True, sign=-1, only=None, names=("weight", "bias")):
    """One step of some models, in parts that the wrong answers change."""

    def data_parallel_step(models, shares, rate, exchange):
        for model, (inputs, labels) in zip(models, shares, strict=True):
            if zero:
                model.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
        for weights in zip(*([getattr(model, name) for name in names] for model in models), strict=True):
            total = sum(weight.grad for weight in weights)
            how = used(exchange)
            for weight in weights[:only]:
                grad = {"none": weight.grad, "sum": total, "mean": total / len(models)}[how]
                weight.data += sign * rate * grad

    return data_parallel_step


# ------------------------------------------------------------------------------------------------------------ 6: plan


def best_plan(each, fits):
    batch_size = next(size for size in range(min(fits, each), 0, -1) if each % size == 0)
    return batch_size, each // batch_size


def plan(examples, processes, fits):
    return None if examples % processes else best_plan(examples // processes, fits)


def swapped(examples, processes, fits):
    answer = plan(examples, processes, fits)
    return answer and answer[::-1]


def always_full(examples, processes, fits):
    return None if examples % processes else (fits, math.ceil(examples / processes / fits))


def one_at_a_time(examples, processes, fits):
    return None if examples % processes else (1, examples // processes)


def all_at_once(examples, processes, fits):
    return None if examples % processes else (examples // processes, 1)


# ------------------------------------------------------------------------------------------------- 7: saved_by_sorting


def positions(lengths, batch_size):
    batches = [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]
    return sum(len(batch) * max(batch) for batch in batches)


def full(lengths, batch_size):
    return lengths[: len(lengths) // batch_size * batch_size]


def saved(lengths, batch_size):
    return 1 - positions(sorted(lengths), batch_size) / positions(lengths, batch_size)


def saved_in_place(lengths, batch_size):
    before = positions(lengths, batch_size)
    lengths.sort()
    return 1 - positions(lengths, batch_size) / before


EACH_WRONG_6 = {
    (SIX, 1): [
        (
            "padding_positions returned float",
            {"padding_positions": lambda batches: mean(list(map(len, batches))) + 0.5},
        ),
        ("these are all positions", {"padding_positions": lambda batches: sum(max(b) * len(b) for b in batches)}),
        ("these are the pieces of text", {"padding_positions": lambda batches: sum(map(sum, batches))}),
        (
            "as wide as its own longest text",
            {
                "padding_positions": lambda batches: (
                    max(map(max, batches)) * sum(map(len, batches)) - sum(map(sum, batches))
                )
            },
        ),
        (
            "only the shortest text of each batch",
            {"padding_positions": lambda batches: sum(max(batch) - min(batch) for batch in batches)},
        ),
        ("you changed the list itself", {"padding_positions": padding_in_place}),
    ],
    (SIX, 2): [
        ("verdict returned True", {"verdict": lambda before, after, band: True}),
        ("a change within the noise band was kept", {"verdict": judge(median, low=0.0)}),
        ("a change that made it slower was kept", {"verdict": judge(median, flip=True)}),
        ("a single slow run decided", {"verdict": judge(mean)}),
        ("not every run must be faster", {"verdict": judge(max)}),
        ("a single fast run decided", {"verdict": judge(min)}),
        (
            "measured beside it",
            {"verdict": lambda a, b, band: "keep" if median(b) / median(a) < 1 - band else "reject"},
        ),
        ("you changed a list itself", {"verdict": verdict_of_sorted}),
    ],
    (SIX, 3): [
        ("accumulated_gradients returned Tensor", {"accumulated_gradients": lambda *a: gradients()(*a)[0]}),
        ("the means were averaged", {"accumulated_gradients": gradients_averaged}),
        ("the means were added up", {"accumulated_gradients": gradients(lambda part, n: 1)}),
        ("of the sum of the losses", {"accumulated_gradients": gradients(lambda part, n: part)}),
        ("called a second time", {"accumulated_gradients": gradients(zero="never")}),
        ("only the gradient of the last part", {"accumulated_gradients": gradients(zero="each")}),
        (
            "only the gradient of the last part",
            {"accumulated_gradients": gradients(lambda part, n: 1, zero="each")},
        ),
        ("these are the parameters", {"accumulated_gradients": gradients(give=lambda weight: weight)}),
    ],
    (SIX, 4): [
        ("loss_scale returned tuple", {"loss_scale": lambda parts: (1.0, 2.0)}),
        ("is not a power of two", {"loss_scale": lambda parts: 65504 / joined(parts).abs().max().item()}),
        ("would be, too", {"loss_scale": lambda parts: scale_of(joined(parts).abs().max().item()) / 2}),
        ("a negative gradient", {"loss_scale": lambda parts: scale_of(joined(parts).max().item())}),
        ("another tensor in the list", {"loss_scale": lambda parts: scale_of(parts[0].abs().max().item())}),
        ("another tensor in the list", {"loss_scale": lambda parts: scale_of(parts[-1].abs().max().item())}),
        ("becomes inf in float16", {"loss_scale": lambda parts: 2 * scale_of(joined(parts).abs().max().item())}),
        ("you changed the gradients themselves", {"loss_scale": scale_in_place}),
    ],
    (SIX, 5): [
        ("the weights did not change", {"data_parallel_step": step(names=("bias",))}),
        ("made the step of 'sum'", {"data_parallel_step": step(lambda exchange: exchange.replace("mean", "sum"))}),
        ("made the step of 'none'", {"data_parallel_step": step(lambda exchange: "none")}),
        ("asked for 'none'", {"data_parallel_step": step(lambda exchange: exchange.replace("none", "mean"))}),
        ("asked for 'sum'", {"data_parallel_step": step(lambda exchange: exchange.replace("sum", "mean"))}),
        ("of an earlier step", {"data_parallel_step": step(zero=False)}),
        ("goes up the slope", {"data_parallel_step": step(sign=1)}),
        ("no longer equal", {"data_parallel_step": step(only=1)}),
        ("but not the biases", {"data_parallel_step": step(names=("weight",))}),
    ],
    (SIX, 6): [
        ("cannot be dealt out", {"plan": lambda examples, processes, fits: best_plan(examples // processes, fits)}),
        ("the two numbers have changed places", {"plan": swapped}),
        ("where are the processes?", {"plan": lambda examples, processes, fits: best_plan(examples, fits)}),
        ("is not", {"plan": always_full}),
        ("a larger batch would fit", {"plan": one_at_a_time}),
        ("do not fit", {"plan": all_at_once}),
        ("where there is a plan", {"plan": lambda *a: None}),
    ],
    (SIX, 7): [
        ("saved_by_sorting returned int", {"saved_by_sorting": lambda lengths, size: positions(lengths, size)}),
        (
            "the share that is left",
            {"saved_by_sorting": lambda a, size: positions(sorted(a), size) / positions(a, size)},
        ),
        (
            "of the positions before sorting",
            {"saved_by_sorting": lambda a, size: positions(a, size) / positions(sorted(a), size) - 1},
        ),
        (
            "the share of padding after sorting",
            {"saved_by_sorting": lambda a, size: 1 - sum(a) / positions(sorted(a), size)},
        ),
        ("the share of padding before sorting", {"saved_by_sorting": lambda a, size: 1 - sum(a) / positions(a, size)}),
        (
            "the last batch, which is not full",
            {"saved_by_sorting": lambda a, size: saved(full(a, size), size)},
        ),
        ("you changed the list itself", {"saved_by_sorting": saved_in_place}),
    ],
}
RIGHT_6 = [
    (SIX, 1, {"padding_positions": lambda batches: sum(max(b) - length for b in batches for length in b)}),
    (SIX, 2, {"verdict": judge(median)}),
    (SIX, 3, {"accumulated_gradients": gradients_by_torch}),
    (SIX, 4, {"loss_scale": scale_by_trying}),
    (SIX, 5, {"data_parallel_step": step()}),
    (SIX, 6, {"plan": plan}),
    (SIX, 7, {"saved_by_sorting": saved}),
]
