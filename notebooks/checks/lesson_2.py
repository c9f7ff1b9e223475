"""The checks of lesson 2, on transformers. Each gets functions of the learner, and calls them with CPU tensors."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from . import (
    call,
    close,
    exercise,
    kind,
    known_fault,
    new_generator,
    numbers,
    pair_fault,
    sizes,
    tensor_fault,
    whole_number,
)


@exercise(1)
def dot_attention(function: Callable) -> str | None:
    """Check exercise 1, ``dot_attention(queries, keys, values, mask)``, against the library's function."""
    generator = new_generator()
    s, t, d, c = sizes(4, generator, low=4)
    queries, keys, values = numbers(generator, s, d), numbers(generator, t, d), numbers(generator, t, c)
    mask = torch.rand(s, t, generator=generator) < 0.6
    one, two = (
        torch.rand(s, t, generator=generator).topk(2).indices.T
    )  # each query sees a key, and does not see another
    mask[torch.arange(s), one], mask[torch.arange(s), two] = True, False
    answer, hint = call(function, queries=queries, keys=keys, values=values, mask=mask)
    if hint := hint or pair_fault("dot_attention", answer, "outputs", "weights"):
        return hint
    outputs, weights = answer
    if (outputs.shape, weights.shape) == ((s, t), (s, c)):
        return "outputs and weights have changed places"
    if hint := tensor_fault("the tensor of outputs", outputs, "(S, v)", (s, c)):
        return hint
    if hint := tensor_fault("the tensor of weights", weights, "(S, T)", (s, t)):
        return hint
    scores = (queries @ keys.T).masked_fill(~mask, -math.inf)
    if not close(weights, (scores / math.sqrt(d)).softmax(dim=1)):
        return _dot_weights_fault(weights.detach().cpu(), scores, mask, d)
    right = F.scaled_dot_product_attention(queries[None], keys[None], values[None], attn_mask=mask[None])[0]
    return None if close(outputs, right) else "the outputs are not the weighted means of the values"


def _dot_weights_fault(weights: Tensor, scores: Tensor, mask: Tensor, d: int) -> str:
    """The hint for wrong weights (S, T)."""
    columns = weights.nan_to_num().sum(dim=0)
    if (((columns - 1).abs() < 1e-3) | (columns == 0)).all():
        return "the weights of each key sum to 1: the softmax runs over the wrong axis"
    if (weights[~mask] > 1e-6).any():
        unseen = not (weights[mask] > 1e-6).any()
        return "the mask is upside down: it is True where a query may look" if unseen else "the mask has no influence"
    faults = {
        "the scores are not scaled": scores.softmax(dim=1),
        "the scores are divided by too much: how far does a product of d terms spread?": (scores / d).softmax(dim=1),
    }
    if hint := known_fault(weights, faults):
        return hint
    if not close(weights.sum(dim=1), torch.ones(len(weights))):
        return "the weights of a query do not sum to 1: does the mask come before the softmax?"
    return "the weights are not those of the formula, over the keys that may be looked at"


@exercise(2)
def heads(split_heads: Callable, merge_heads: Callable) -> str | None:
    """Check exercise 2, ``split_heads(x, heads)`` and ``merge_heads(x)``, each apart from the other."""
    generator = new_generator()
    b, t, h, d = sizes(4, generator, low=2)
    x = numbers(generator, b, t, h * d)
    right = torch.stack(x.split(d, dim=2), dim=1)  # (B, H, T, d)
    split, hint = call(split_heads, x=x, heads=h)
    if hint := hint or tensor_fault("the result of split_heads", split, "(B, H, T, d)", (b, h, t, d)):
        return hint
    if not close(split, right):
        faults = {
            "split_heads mixes the tokens: a head got numbers of several tokens as one": x.reshape(b, h, t, d),
            "a head's numbers do not lie side by side in x: it should get a slice": (
                x.view(b, t, d, h).permute(0, 3, 1, 2)
            ),
        }
        return known_fault(split, faults) or "head h of a token is not the h-th slice of the token's vector"
    joined, hint = call(merge_heads, x=right.transpose(1, 2).contiguous().transpose(1, 2))  # in memory as after a view
    if hint := hint or tensor_fault("the result of merge_heads", joined, "(B, T, D)", (b, t, h * d)):
        return hint
    if close(joined, x):
        return None
    mixed = {"merge_heads mixes the tokens: a token got slices of several tokens": right.reshape(b, t, h * d)}
    return known_fault(joined, mixed) or "merge_heads does not undo split_heads"


@exercise(3)
def relative_bias(function: Callable) -> str | None:
    """Check exercise 3, ``relative_bias(table, length)``, where all keys are near, and where some are far."""
    generator = new_generator()
    for far in (False, True):
        k = whole_number(generator, 2, 4)
        length = k + 1 + 3 * far
        table = numbers(generator, 2 * k + 1).requires_grad_()
        answer, hint = call(function, table=table, length=length)
        if hint := hint or tensor_fault("the result", answer, "(T, T)", (length, length)):
            return hint
        places = torch.arange(length)
        distances = places - places[:, None]  # (T, T), key less query
        right = table[distances.clamp(-k, k) + k]
        if not close(answer, right):
            wrong = (answer.detach().cpu() - right.detach()).abs() > 1e-5  # (T, T)
            if close(answer, right.T):
                return "the result is transposed: a row is a query, a column is a key"
            if not wrong[distances.abs() <= k].any():
                return "a key farther away than K does not take the entry of the nearest end"
            query, key = (wrong & (distances.abs() <= k)).nonzero()[0].tolist()
            return f"query {query}, key {key}: this is not the entry of the distance {key - query}"
        if not answer.requires_grad:
            return "no gradient reaches the table: its numbers were copied"
    return None


@exercise(4)
def rotate(function: Callable) -> str | None:
    """Check exercise 4, ``rotate(x)``, against a product of complex numbers."""
    generator = new_generator()
    length, half = sizes(2, generator)
    d = 2 * half
    x = numbers(generator, length, d)
    answer, hint = call(function, x=x)
    if hint := hint or tensor_fault("the result", answer, "(T, d)", (length, d)):
        return hint
    angles = torch.arange(length)[:, None] * 10000.0 ** (-2 * torch.arange(half) / d)  # (T, d / 2)
    turn = torch.polar(torch.ones_like(angles), angles)
    pairs, halves = torch.view_as_complex(x.view(length, half, 2)), torch.complex(*x.split(half, dim=1))
    if close(answer, _side_by_side(pairs * turn)):
        return None
    faults = {
        "the pairs are not neighbours: x[i] was turned with x[i + d/2]": _one_after_the_other(halves * turn),
        "the turn goes the other way: look at the signs": _side_by_side(pairs * turn.conj()),
        "all pairs turn at the same speed": _side_by_side(pairs * turn[:, :1]),
        "the pairs are turned, but their numbers do not lie side by side": _one_after_the_other(pairs * turn),
    }
    return known_fault(answer, faults) or _not_a_turn(answer.detach().cpu(), x)


def _side_by_side(pairs: Tensor) -> Tensor:
    """Complex numbers (T, d / 2) as (T, d), each real part followed by its imaginary part."""
    return torch.view_as_real(pairs).flatten(1)


def _one_after_the_other(pairs: Tensor) -> Tensor:
    """Complex numbers (T, d / 2) as (T, d), first all real parts and then all imaginary parts."""
    return torch.cat([pairs.real, pairs.imag], dim=1)


def _not_a_turn(answer: Tensor, x: Tensor) -> str:
    """The hint for a result (T, d) that no known mistake gives."""
    if not close(answer[0], x[0]):
        return "position 0 changed: its angle is 0"
    if not close(answer.norm(dim=1), x.norm(dim=1)):
        return "the lengths of the vectors changed: a turn keeps them"
    return "the pairs or their angles are not those of the text"


DRAWS = 1500  # a share of so many strays by 0.013 or less, as its standard deviation
FAR = 0.08  # more than six times as far


@exercise(5)
def sample_next(function: Callable) -> str | None:
    """Check exercise 5, ``sample_next(logits, temperature, top_k, generator)``, by drawing again and again."""
    generator = new_generator()
    k = whole_number(generator, 2, 3)
    # None of the best tokens has a number below k: so a place among the best is no token among them.
    best = k + torch.randperm(5, generator=generator)[:k]
    logits = 0.1 * numbers(generator, 2 * k + 6)
    logits[best] += torch.tensor([3.0, 1.4, 1.4])[:k]
    before = torch.get_rng_state()
    token, hint = call(function, logits=logits, temperature=1.0, top_k=k, generator=generator)
    if hint:
        return hint
    if not isinstance(token, int):
        return f"sample_next returned {kind(token)}, not an int"
    if not torch.equal(torch.get_rng_state(), before):
        return "the token was drawn with PyTorch's global generator, not with yours"
    for temperature, top_k, draws in ((1.0, 1, 50), (0.5, k, DRAWS), (2.0, k, DRAWS)):
        drawn = [function(logits, temperature, top_k, generator) for _ in range(draws)]
        if hint := _draws_fault(torch.tensor(drawn), logits, temperature, top_k):
            return hint
    seed = generator.initial_seed()
    again = {function(logits, 2.0, k, torch.Generator().manual_seed(seed)) for _ in range(20)}
    return None if len(again) == 1 else "generators with the same seed give different tokens"


def _draws_fault(drawn: Tensor, logits: Tensor, temperature: float, top_k: int) -> str | None:
    """The hint for tokens (draws,) that were not drawn as they should be."""
    best = logits.argsort(descending=True)[:top_k]
    if not torch.isin(drawn, best).all():
        if (drawn < top_k).all():
            return "what was drawn is a place in the list of the best tokens, not the token that stands there"
        return "a token was drawn that is not among the top_k best"
    shares = (drawn[:, None] == best).float().mean(dim=0)  # (top_k,)

    def near(expected: Tensor) -> bool:
        return bool((shares - expected).abs().max() < FAR)

    if near((logits[best] / temperature).softmax(dim=0)):
        return None
    if (shares == 1).any():
        return f"the same token came {len(drawn):,} times: nothing is drawn"
    if near(logits[best].softmax(dim=0)):
        return "the temperature has no influence"
    if near((logits[best] * temperature).softmax(dim=0)):
        return "the temperature works the wrong way round: a high one should make rare tokens likelier"
    if near(torch.full((top_k,), 1 / top_k)):
        return "the top_k best tokens are drawn equally often: the logits have no influence"
    return f"the tokens do not come as often as they should at the temperature {temperature}"


@exercise(6)
def ablate(function: Callable) -> str | None:
    """Check exercise 6, ``ablate(joined, head, heads)``, on the first head and on another."""
    generator = new_generator()
    b, t, h, d = sizes(4, generator)
    joined = numbers(generator, b, t, h * d)
    owners = torch.arange(h * d) // d  # (D,), to which head each number belongs
    for head in (whole_number(generator, 1, h - 1), 0):
        answer, hint = call(function, joined=joined, head=head, heads=h)
        if hint := hint or tensor_fault("the result", answer, "(B, T, D)", (b, t, h * d)):
            return hint
        if close(answer, joined * (owners != head)):
            continue
        faults = {
            "nothing was zeroed": joined,
            f"all heads but head {head} were zeroed": joined * (owners == head),
            "every H-th number was zeroed, but a head's numbers lie side by side": (
                joined * (torch.arange(h * d) % h != head)
            ),
        }
        faults |= {f"head {other} was zeroed, not head {head}": joined * (owners != other) for other in range(h)}
        if hint := known_fault(answer, faults):
            return hint
        if not close(answer[..., owners == head], torch.zeros(b, t, d)):
            return f"head {head} still gives something"
        return f"head {head} gives nothing, but what the other heads give has changed, too"
    return None


ROWS = 400


@exercise(7)
def my_task(my_rows: Callable, my_rule: Callable) -> str | None:
    """Check exercise 7, ``my_rows(size, generator)`` and ``my_rule(row)``: a task that needs the order."""
    generator = new_generator()
    seed, before = generator.initial_seed(), torch.get_rng_state()
    made = torch.Generator().manual_seed(seed)
    rows = my_rows(ROWS, made)
    if not isinstance(rows, Tensor):
        return f"my_rows returned {kind(rows)}, not a tensor"
    if rows.dtype != torch.int64 or rows.dim() != 2 or len(rows) != ROWS or rows.shape[1] < 3:
        return (
            f"my_rows({ROWS}, generator) returned {rows.dtype} of shape {tuple(rows.shape)}, "
            f"not torch.int64 of shape ({ROWS}, T) with a T of at least 3"
        )
    if not torch.equal(torch.get_rng_state(), before):
        return "the rows were drawn with PyTorch's global generator, not with yours"
    if torch.equal(rows, my_rows(ROWS, made)):
        return "the same rows come again and again"
    if not torch.equal(rows, my_rows(ROWS, torch.Generator().manual_seed(seed))):
        return "generators with the same seed give different rows"
    if rows.min() < 0 or rows.max() > 99:
        return f"the tokens are numbers from {rows.min()} to {rows.max()}: stay within 0 and 99"
    if len(rows.unique(dim=0)) < ROWS / 2:
        return f"among {ROWS} rows only {len(rows.unique(dim=0))} are different"
    return _rule_fault(my_rule, rows, generator)


def _rule_fault(my_rule: Callable, rows: Tensor, generator: torch.Generator) -> str | None:
    """The hint for a rule that does not label these rows (ROWS, T) by the order of their tokens."""
    shuffled = rows.gather(1, torch.rand(rows.shape, generator=generator).argsort(dim=1))
    every = torch.cat([rows, rows, shuffled])
    labels = []
    for row in every:
        label, hint = call(my_rule, row=row)
        if hint:
            return hint
        if label not in (0, 1):
            return f"my_rule returned {label!r}, not 0 or 1"
        labels.append(int(label))
    first, second, other = torch.tensor(labels).view(3, ROWS)
    if not torch.equal(first, second):
        return "my_rule gives one row different labels"
    share = first.float().mean().item()
    if not 0.2 < share < 0.8:
        return f"{share:.0%} of the rows have the label 1: neither label should be rare"
    if (first != other).float().mean() < 0.1:
        return "the order of the tokens hardly matters: a bag of words solves your task"
    for place, tokens in enumerate(rows.T):
        told = sum(first[tokens == token].bincount().max().item() for token in tokens.unique()) / ROWS
        if told > 0.9:
            return f"the token at place {place} alone tells the label of {told:.0%} of the rows"
    return None
