"""The checks of lesson 1, on attention. Each gets functions of the learner, and calls them with CPU tensors."""

import datetime
import math
import random
from collections.abc import Callable

import torch
from torch import Tensor, nn

import torchnlp

from . import (
    call,
    close,
    exercise,
    kind,
    known_fault,
    lengths_of_texts,
    new_generator,
    numbers,
    pair_fault,
    sizes,
    tensor_fault,
)


@exercise(1)
def additive(function: Callable) -> str | None:
    """Check exercise 1, ``additive(s, states, w, u, v)``, against a loop over the states."""
    generator = new_generator()
    t, width, d = sizes(3, generator)
    s, states = numbers(generator, width), numbers(generator, t, width)
    w, u, v = numbers(generator, d, width), numbers(generator, d, width), numbers(generator, d)
    answer, hint = call(function, s=s, states=states, w=w, u=u, v=v)
    if hint := hint or pair_fault("additive", answer, "context", "weights"):
        return hint
    context, weights = answer
    if (context.shape, weights.shape) == ((t,), (width,)):
        return "context and weights have changed places"
    if hint := tensor_fault("the context", context, "(D,)", (width,)):
        return hint
    if hint := tensor_fault("the tensor of weights", weights, "(T,)", (t,)):
        return hint
    scores = torch.stack([v @ torch.tanh(w @ s + u @ h) for h in states])
    right = scores.softmax(dim=0)
    if not close(weights, right):
        faults = {
            "these are the scores: they are not weights yet": scores,
            "the score lacks its tanh": ((w @ s + states @ u.T) @ v).softmax(dim=0),
            "the state s has no influence on the weights": (torch.tanh(states @ u.T) @ v).softmax(dim=0),
            "the matrices w and u have changed places": (torch.tanh(u @ s + states @ w.T) @ v).softmax(dim=0),
        }
        return known_fault(weights, faults) or (
            f"the weights sum to {weights.sum().item():.3f}, not to 1"
            if abs(weights.sum().item() - 1) > 1e-3
            else "the weights are not those of the lesson's score, computed in a loop over the states"
        )
    if not close(context, right @ states):
        faults = {
            "the context is the plain mean of the states: the weights have no influence": states.mean(dim=0),
            "the context is the plain sum of the states: the weights have no influence": states.sum(dim=0),
        }
        return known_fault(context, faults) or "the context is not the weighted mean of the states"
    return None


@exercise(2)
def multiplicative_attention(module_class: type[nn.Module]) -> str | None:
    """Check exercise 2, the module ``MultiplicativeAttention(query_size, key_size)``, with padding full of noise."""
    generator = new_generator()
    b, s, t, query_size, key_size, width = sizes(6, generator)
    module = module_class(query_size, key_size)
    if hint := _not_from_key_to_query(getattr(module, "M", None), query_size, key_size):
        return hint
    m = numbers(generator, query_size, key_size)
    with torch.no_grad():
        module.M.weight.copy_(m)
    mask = (torch.arange(t) < lengths_of_texts(generator, b, t)[:, None])[:, None]  # (B, 1, T)
    noise = torch.where(mask.transpose(1, 2), 1, 9)  # (B, T, 1)
    queries, keys = numbers(generator, b, s, query_size), noise * numbers(generator, b, t, key_size)
    queries[1, 0] = 0  # it scores all places alike, so noise cannot outshine the text: no mask and a wrong one differ
    values = noise * numbers(generator, b, t, width)
    answer, hint = call(module, queries=queries, keys=keys, values=values, mask=mask)
    if hint := hint or pair_fault("forward", answer, "context", "weights"):
        return hint
    context, weights = answer
    if (context.shape, weights.shape) == ((b, s, t), (b, s, width)):
        return "context and weights have changed places"
    if hint := tensor_fault("the context", context, "(B, S, D)", (b, s, width)):
        return hint
    if hint := tensor_fault("the tensor of weights", weights, "(B, S, T)", (b, s, t)):
        return hint
    scores = queries @ m @ keys.transpose(1, 2)  # (B, S, T)
    right = scores.masked_fill(~mask, -math.inf).softmax(dim=2)
    if not close(weights, right):
        return _masked_weights_fault(weights, scores, mask, query_size)
    if not weights.requires_grad:
        return "no gradient reaches self.M"
    return None if close(context, right @ values) else "the context is not the weighted mean of the values"


def _not_from_key_to_query(layer: object, query_size: int, key_size: int) -> str | None:
    """The hint for a layer that does not map a key to the size of a query, or has a bias."""
    if not isinstance(layer, nn.Linear):
        return f"self.M is {kind(layer)}, not an nn.Linear"
    if layer.bias is not None:
        return "self.M has a bias"
    if (layer.in_features, layer.out_features) == (query_size, key_size):
        return "self.M maps a query to the size of a key: it should be the other way round"
    if (layer.in_features, layer.out_features) != (key_size, query_size):
        return (
            f"self.M maps {layer.in_features} numbers to {layer.out_features}: "
            f"a key has {key_size} here, and a query {query_size}"
        )
    return None


def _masked_weights_fault(weights: Tensor, scores: Tensor, mask: Tensor, query_size: int) -> str:
    """The hint for wrong weights (B, S, T), found in sentence 1, which has padding."""
    weights, scores, text = weights[1].detach().cpu(), scores[1], mask[1, 0]  # (S, T), (S, T), (T,)
    seen = scores.masked_fill(~text, -math.inf)
    faults = {
        "padding gets attention: the mask has no influence": scores.softmax(dim=1),
        "the mask comes too late: the weights of the text do not sum to 1": scores.softmax(dim=1) * text,
        "the scores are scaled, but the multiplicative score is a plain product": (
            (seen / math.sqrt(query_size)).softmax(dim=1)
        ),
    }
    if hint := known_fault(weights, faults):
        return hint
    if close(weights[:, text].sum(dim=1), torch.zeros(len(weights))):
        return "the mask is upside down: it is True where there is text"
    if close(weights[:, text].sum(dim=0), torch.ones(int(text.sum()))):
        return "the weights of each place sum to 1: the softmax runs over the wrong axis"
    return "the weights are not those of the multiplicative score"


@exercise(3)
def stolen(function: Callable) -> str | None:
    """Check exercise 3, ``stolen(weights, lengths)``, on attention that was computed without a mask."""
    generator = new_generator()
    b, s, t = sizes(3, generator)
    weights, lengths = numbers(generator, b, s, t).softmax(dim=2), lengths_of_texts(generator, b, t)
    answer, hint = call(function, weights=weights, lengths=lengths)
    if hint := hint or tensor_fault("the result", answer, "(B,)", (b,)):
        return hint
    places = torch.arange(t)
    padding = places >= lengths[:, None]  # (B, T)
    right = _share(weights, padding)
    if close(answer, right):
        return None
    faults = {
        "this is the share on the text, not on the padding": 1 - right,
        "this is the sum over the steps, not their mean": s * right,
        "the places of one step were averaged: each step has one share, of all its padding": right / t,
        "the first place of the padding is left out": _share(weights, places > lengths[:, None]),
        "the last place of the text is counted, too": _share(weights, places >= lengths[:, None] - 1),
    }
    wrong = next(i for i in range(b) if not close(answer[i], right[i]))
    return known_fault(answer, faults) or (
        f"sentence {wrong} has {lengths[wrong]} places of text among {t}: "
        f"{answer[wrong]:.3f} is not the share of attention that went to the others"
    )


def _share(weights: Tensor, counted: Tensor) -> Tensor:
    """The share (B,) of weights (B, S, T) on the places (B, T) that are counted."""
    return (weights * counted[:, None]).sum(dim=2).mean(dim=1)


@exercise(4)
def reverse(function: Callable) -> str | None:
    """Check exercise 4, ``reverse(source, lengths)``, on texts that end with a token 0."""
    generator = new_generator()
    b, t = sizes(2, generator)
    lengths = lengths_of_texts(generator, b, t)
    text = torch.arange(t) < lengths[:, None]  # (B, T)
    source = torch.randint(1, 10, (b, t), generator=generator) * text
    source[torch.arange(b), lengths - 1] = 0
    answer, hint = call(function, source=source, lengths=lengths)
    if hint := hint or tensor_fault("the result", answer, "(B, T)", (b, t), torch.int64):
        return hint
    right = _reversed(source, lengths)
    if close(answer, right):
        return None
    faults = {
        "nothing is turned round": source,
        "the padding came to the front: it should stay at the end": source.flip(1),
        "the rows changed places: each should stay where it is": source.flip(0),
        "a token 0 of the text was taken for padding": _reversed(source, lengths - 1),
    }
    answer = answer.cpu()
    wrong = next(i for i in range(b) if not close(answer[i], right[i]))
    return known_fault(answer, faults) or (
        "the text is turned round, but the padding is not what it was"
        if close(answer * text, right)
        else f"row {wrong} of length {lengths[wrong]} was {source[wrong].tolist()} and became {answer[wrong].tolist()}"
    )


def _reversed(source: Tensor, lengths: Tensor) -> Tensor:
    """The source (B, T) with the first places of each row turned round."""
    places = torch.arange(source.shape[1])
    mirrored = lengths[:, None] - 1 - places  # (B, T), negative behind the text
    return source.gather(1, torch.where(mirrored >= 0, mirrored, places))


@exercise(5)
def hide_heaviest(function: Callable) -> str | None:
    """Check exercise 5, ``hide_heaviest(weights, mask)``: one place less for each sentence and step."""
    generator = new_generator()
    b, s, t = sizes(3, generator)
    mask = (torch.arange(t) < lengths_of_texts(generator, b, t)[:, None])[:, None]  # (B, 1, T)
    weights = numbers(generator, b, s, t).masked_fill(~mask, -math.inf).softmax(dim=2)
    answer, hint = call(function, weights=weights, mask=mask)
    if hint := hint or tensor_fault("the result", answer, "(B, S, T)", (b, s, t), torch.bool):
        return hint
    answer = answer.cpu()
    heaviest = weights == weights.amax(dim=2, keepdim=True)  # (B, S, T)
    usual = mask.expand(b, s, t)
    mean = weights.mean(dim=1, keepdim=True)
    if close(answer, usual & ~heaviest):
        return None
    faults = {
        "nothing is hidden but the padding": usual,
        "the new mask is upside down: True says that a place may be looked at": ~usual | heaviest,
        "only the heaviest place is left: it is the one to hide": heaviest,
        "padding may be looked at": ~heaviest,
        "the same place is hidden at all steps: each step has a heaviest place of its own": (
            usual & (mean != mean.amax(dim=2, keepdim=True))
        ),
    }
    if hint := known_fault(answer, faults):
        return hint
    if (answer & ~usual).any():
        return "padding may be looked at"
    if (answer & heaviest).any():
        sentence, step, place = (answer & heaviest).nonzero()[0].tolist()
        return f"sentence {sentence}, step {step}: place {place} is the heaviest, and may be looked at"
    return "more than the heaviest place is hidden"


@exercise(6)
def my_sentence(function: Callable) -> str | None:
    """Check exercise 6, ``my_sentence(date)``, on all days of three years, and one day of each other year."""
    years = random.SystemRandom().sample(range(1990, 2050), 60)
    days = [datetime.date(year, 1, 1) + datetime.timedelta(days=i) for year in years[:3] for i in range(365)]
    days += [datetime.date(year, 5, 17) for year in years[3:]]
    seen: dict[str, datetime.date] = {}
    parts: dict[str, dict[int, str]] = {"year": {}, "month": {}, "day": {}}
    for day in days:
        sentence = function(day)
        if hint := _no_sentence_of(sentence, day):
            return hint
        if seen.setdefault(sentence.source, day) != day:
            return f"{seen[sentence.source]} and {day} look alike: both are {sentence.source!r}"
        for part, texts in parts.items():
            begin, end = sentence.spans[0][part]
            text, number = sentence.source[begin:end], getattr(day, part)
            if texts.setdefault(number, text) != text:
                return f"the span of {part} {number} says {texts[number]!r} in one date and {text!r} in another"
    for part, texts in parts.items():
        for number, text in texts.items():
            other = next(other for other, same in texts.items() if same == text)
            if other != number:
                return f"the spans of {part} {other} and of {part} {number} both say {text!r}"
    return None


def _no_sentence_of(sentence: object, day: datetime.date) -> str | None:
    """The hint for what is not a date's sentence in a format of its own."""
    if not isinstance(sentence, torchnlp.DateSentence):
        return f"my_sentence returned {kind(sentence)}, not a torchnlp.DateSentence"
    if sentence.language in torchnlp.DATE_LANGUAGES:
        return f"{sentence.language!r} is a language of the lesson: give your format another name"
    if sentence.target != day.isoformat():
        return f"the target of {day!r} is {sentence.target!r}"
    spans = sentence.spans
    if not isinstance(spans, tuple) or len(spans) != 1 or set(spans[0]) != {"year", "month", "day"}:
        return "spans should be a tuple of one dict, with the keys year, month and day"
    for part, (begin, end) in spans[0].items():
        if not 0 <= begin < end <= len(sentence.source):
            return f"the {part}'s span {(begin, end)} does not lie within {sentence.source!r}"
    return None
