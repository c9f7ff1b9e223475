"""The checks of the exercises: what each says to the empty exercise, to the solution, and to typical wrong answers.

The scaffolds and the check cells come from the lessons, the solutions from their notebooks. A wrong answer stands in
the table EACH_WRONG with the hint that it must get: a check that lets it pass, or names another mistake, fails here.
"""

import datetime
import functools
import itertools
import math
import random
import statistics
import traceback
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import torchnlp

NOTEBOOKS = torchnlp.ROOT / "notebooks"
NAMES = {"torch": torch, "nn": nn, "F": F, "math": math, "datetime": datetime, "itertools": itertools}
NAMES |= {"torchnlp": torchnlp}
ONE, TWO, THREE, FOUR, FIVE, SIX = sorted(path.stem for path in NOTEBOOKS.glob("[1-6]-*.ipynb"))
COUNTS = {ONE: 6, TWO: 7, THREE: 7, FOUR: 6, FIVE: 7, SIX: 7}
EXERCISES = [(lesson, number) for lesson, count in COUNTS.items() for number in range(1, count + 1)]

every_exercise = pytest.mark.parametrize(("lesson", "number"), EXERCISES)


@functools.cache
def sources(path: Path) -> dict[str, str]:
    """What stands in each cell of a notebook."""
    return {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}


def empty(lesson: str, number: int) -> dict:
    """The names that the lesson's empty exercise defines."""
    names = dict(NAMES)
    exec(sources(NOTEBOOKS / f"{lesson}.ipynb")[f"exercise-{number}"], names)
    return names


def solved(lesson: str, number: int) -> dict:
    """The names that the solution defines."""
    names = dict(NAMES)
    exec(sources(NOTEBOOKS / "solutions" / f"{lesson}.ipynb")[f"exercise-{number}"], names)
    return names


def answers_of(lesson: str, number: int) -> list[str]:
    """The names of the functions or classes that the learner writes."""
    return [name for name in empty(lesson, number) if name not in NAMES and name != "__builtins__"]


@pytest.fixture
def verdict(capsys) -> Callable[[str, int, dict], str]:
    """Runs an exercise's check cell on answers; gives what it prints."""

    def run(lesson: str, number: int, names: dict) -> str:
        capsys.readouterr()
        exec(sources(NOTEBOOKS / f"{lesson}.ipynb")[f"check-{number}"], {**NAMES, **names})
        printed = capsys.readouterr()
        assert not printed.err
        return printed.out

    return run


@every_exercise
def test_the_empty_exercise_always_gets_the_same_hint(lesson, number, verdict):
    said = {verdict(lesson, number, empty(lesson, number)) for _ in range(5)}
    assert len(said) == 1
    assert said.pop().startswith(f"Exercise {number}: not yet - ")


@every_exercise
def test_the_solution_is_right_on_all_inputs(lesson, number, verdict):
    names = solved(lesson, number)
    for _ in range(20):
        assert verdict(lesson, number, names) == f"Exercise {number}: right\n"


# --------------------------------------------------------------------------------------------- typical wrong answers


def scores_of(s, states, w, u, v):
    return torch.tanh(w @ s + states @ u.T) @ v


def additive_in_place(s, states, w, u, v):
    weights = scores_of(s, states, w, u, v).softmax(dim=0)
    context = weights @ states
    states *= weights[:, None]
    return context, weights


class Multiplicative(nn.Module):
    """The right answer, in parts that the wrong ones replace."""

    def __init__(self, query_size, key_size):
        super().__init__()
        self.M = nn.Linear(key_size, query_size, bias=False)

    def score(self, queries, keys):
        return queries @ self.M(keys).transpose(1, 2)

    def weigh(self, scores, mask):
        return scores.masked_fill(~mask, -1e9).softmax(dim=2)

    def forward(self, queries, keys, values, mask):
        weights = self.weigh(self.score(queries, keys), mask)
        return weights @ values, weights


class WithBias(Multiplicative):
    def __init__(self, query_size, key_size):
        super().__init__(query_size, key_size)
        self.M = nn.Linear(key_size, query_size)


class WrongWayRound(Multiplicative):
    def __init__(self, query_size, key_size):
        super().__init__(query_size, key_size)
        self.M = nn.Linear(query_size, key_size, bias=False)


class Square(Multiplicative):
    def __init__(self, query_size, key_size):
        super().__init__(query_size, key_size)
        self.M = nn.Linear(query_size, query_size, bias=False)


class Unfinished(Multiplicative):
    def forward(self, queries, keys, values, mask): ...


class NoMask(Multiplicative):
    def weigh(self, scores, mask):
        return scores.softmax(dim=2)


class UpsideDown(Multiplicative):
    def weigh(self, scores, mask):
        return scores.masked_fill(mask, -1e9).softmax(dim=2)


class MaskAfterwards(Multiplicative):
    def weigh(self, scores, mask):
        return scores.softmax(dim=2) * mask


class OverSteps(Multiplicative):
    def weigh(self, scores, mask):
        return scores.masked_fill(~mask, -math.inf).softmax(dim=1)


class Scaled(Multiplicative):
    def score(self, queries, keys):
        return super().score(queries, keys) / math.sqrt(queries.shape[2])


class Squashed(Multiplicative):
    def score(self, queries, keys):
        return super().score(queries, keys).tanh()


class Detached(Multiplicative):
    def score(self, queries, keys):
        return super().score(queries, keys).detach()


class Swapped(Multiplicative):
    def forward(self, queries, keys, values, mask):
        return super().forward(queries, keys, values, mask)[::-1]


class Crosswise(Multiplicative):
    def forward(self, queries, keys, values, mask):
        context, weights = super().forward(queries, keys, values, mask)
        return context, weights.transpose(1, 2)


class OfKeys(Multiplicative):
    def forward(self, queries, keys, values, mask):
        weights = super().forward(queries, keys, values, mask)[1]
        return weights @ keys, weights


class PlainMean(Multiplicative):
    def forward(self, queries, keys, values, mask):
        weights = super().forward(queries, keys, values, mask)[1]
        return (mask / mask.sum(dim=2, keepdim=True)).expand(weights.shape) @ values, weights


class ZeroesPadding(Multiplicative):
    def forward(self, queries, keys, values, mask):
        keys[~mask[:, 0]] = 0
        return super().forward(queries, keys, values, mask)


def padding_of(weights, lengths, shift=0):
    return (torch.arange(weights.shape[2]) >= lengths[:, None] + shift)[:, None]


def stolen_in_place(weights, lengths):
    weights *= padding_of(weights, lengths)
    return weights.sum(dim=2).mean(dim=1)


def reverse_rows(source, lengths):
    turned = source.clone()
    for row, length in enumerate(lengths.tolist()):
        turned[row, :length] = source[row, :length].flip(0)
    return turned


def reverse_in_place(source, lengths):
    for row, length in enumerate(lengths.tolist()):
        source[row, :length] = source[row, :length].flip(0)
    return source


def hide(weights, mask):
    return mask & (weights < weights.amax(dim=2, keepdim=True))


def hide_in_place(weights, mask):
    weights[weights == weights.amax(dim=2, keepdim=True)] = 0
    return weights > 0


def of_mean(weights, mask):
    mean = weights.mean(dim=1, keepdim=True)
    return hide(mean, mask).expand(weights.shape)


def two_heaviest(weights, mask):
    return hide(weights * hide(weights, mask), mask) & hide(weights, mask)


def dates(text, language="mine", target=None, **moved):
    """A my_sentence that writes dates as the pattern says, with the spans of the parts moved or left out."""

    def my_sentence(date):
        source = text.format(year=date.year, month=f"{date:%B}", day=date.day, number=date.month)
        spans = {}
        for part, shown in (("year", str(date.year)), ("month", f"{date:%B}"), ("day", f" {date.day} ")):
            begin = f" {source} ".index(shown) - 1 if part != "day" else f" {source} ".index(shown)
            spans[part] = (begin, begin + len(shown.strip()))
        spans |= {part: change(spans) for part, change in moved.items()}
        return torchnlp.DateSentence(language, source, target or date.isoformat(), (spans,))

    return my_sentence


def numeric(pattern):
    """A my_sentence without true spans: what it writes may look alike for two dates."""

    def my_sentence(date):
        source = pattern.format(date)
        spans = {"year": (0, 1), "month": (0, 1), "day": (0, 1)}
        return torchnlp.DateSentence("mine", source, date.isoformat(), (spans,))

    return my_sentence


def attention(queries, keys, values, mask, scale=0.5, dim=1):
    scores = queries @ keys.T / queries.shape[1] ** scale
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=dim)
    return weights @ values, weights


def attention_late_mask(queries, keys, values, mask):
    weights = (queries @ keys.T / queries.shape[1] ** 0.5).softmax(dim=1) * mask
    return weights @ values, weights


def attention_in_place(queries, keys, values, mask):
    queries /= queries.shape[1] ** 0.5
    return attention(queries, keys, values, mask, scale=0)


def split(x, heads):
    batch, length, width = x.shape
    return x.view(batch, length, heads, width // heads).transpose(1, 2)


def merge(x):
    return x.transpose(1, 2).flatten(2)


def distances(length):
    return torch.arange(length) - torch.arange(length)[:, None]


def bias(table, length, shift=0):
    k = len(table) // 2
    return table[(distances(length) + shift).clamp(-k, k) + k]


def bias_of_near_keys(table, length):
    k = len(table) // 2
    return torch.where(distances(length).abs() <= k, bias(table, length), torch.zeros(()))


def turn(x, sign=1, first=0, exponent=2, halves=False, apart=False):
    length, d = x.shape
    speed = 10000.0 ** (-exponent * torch.arange(d // 2) / d)
    angle = sign * (first + torch.arange(length))[:, None] * speed
    a, b = x.split(d // 2, dim=1) if halves else (x[:, 0::2], x[:, 1::2])
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.cat(turned, dim=1) if halves or apart else torch.stack(turned, dim=2).flatten(1)


def turn_in_place(x):
    x.copy_(turn(x))
    return x


def by_system():
    return torch.Generator().manual_seed(random.SystemRandom().getrandbits(32))


def draw(probabilities, generator):
    return torch.multinomial(probabilities, 1, generator=generator).item()


def sample(logits, temperature, top_k, generator):
    kept = logits.masked_fill(logits < logits.topk(top_k).values[-1], -math.inf)
    return draw((kept / temperature).softmax(dim=0), generator)


def sample_in_place(logits, temperature, top_k, generator):
    logits[logits < logits.topk(top_k).values[-1]] = -math.inf
    return draw((logits / temperature).softmax(dim=0), generator)


def sample_once(logits, temperature, top_k, generator):
    return sample(logits, temperature, top_k, torch.Generator().manual_seed(0))


def sample_by_system(logits, temperature, top_k, generator):
    return sample(logits, temperature, top_k, by_system())


def sample_evenly(logits, temperature, top_k, generator):
    return sample(torch.where(logits < logits.topk(top_k).values[-1], -math.inf, 0.0), 1.0, top_k, generator)


def sample_the_worst(logits, temperature, top_k, generator):
    best, tokens = logits.topk(top_k)
    return tokens[draw((-best / temperature).softmax(dim=0), generator)].item()


def without_head(joined, head, heads):
    d = joined.shape[2] // heads
    return torch.cat(
        [joined[..., : head * d], 0 * joined[..., head * d : (head + 1) * d], joined[..., (head + 1) * d :]], 2
    )


def only_head(joined, head, heads):
    return joined - without_head(joined, head, heads)


def without_head_in_place(joined, head, heads):
    d = joined.shape[2] // heads
    joined[..., head * d : (head + 1) * d] = 0
    return joined


def without_a_token(joined, head, heads):
    copy = joined.clone()
    copy[:, 0] = 0
    return copy


def every_nth(joined, head, heads):
    copy = joined.clone()
    copy[..., head::heads] = 0
    return copy


def rows_of(tokens=8, length=6):
    return lambda size, generator: torch.randint(tokens, (size, length), generator=generator)


def rows_by_system(size, generator):
    return rows_of()(size, by_system())


def rows_of_one_seed(size, generator):
    return rows_of()(size, torch.Generator().manual_seed(0))


def comes_again(row):
    return int(row[0] in row[1:])


def in_place_rule(row):
    label = comes_again(row)
    row.zero_()
    return label


class Moody:
    """A rule that gives a row now this label, now that."""

    def __init__(self):
        self.asked = 0

    def __call__(self, row):
        self.asked += 1
        return (comes_again(row) + self.asked // 300) % 2


def share(config, norm=2, segments=1, pooler=1, blocks=1, factor=1):
    """The share of the embeddings, with parts left out."""
    width, hidden = config.hidden_size, config.intermediate_size
    rows = config.vocab_size + config.max_position_embeddings + segments * config.type_vocab_size
    inside = (rows + norm) * width
    block = 4 * (width**2 + width) + (2 * width * hidden + hidden + width) + 4 * width
    layers = config.num_hidden_layers if blocks else 1
    return factor * inside / (inside + layers * block + pooler * (width**2 + width))


def by_words(word_ids, keep):
    return torch.tensor([keep(word) for word in word_ids])


def first_pieces(word_ids, chosen):
    before = [None, *word_ids]
    return torch.tensor([word in chosen and word != before[i] for i, word in enumerate(word_ids)])


def pairs(documents, dice, last=0, other=1, first=False, turn=0.5, fair=True):
    """Pairs of next sentences, with a mistake for each setting that is not the usual one."""
    found = []
    for number, document in enumerate(documents):
        place = dice.randrange(len(document) - 1 + last) if fair else 0
        is_next = dice.random() < turn and place + 1 < len(document)
        away = documents[(number + other * dice.randrange(1, len(documents))) % len(documents)]
        elsewhere = away[0] if first else dice.choice(away)
        found.append((document[place], document[place + 1] if is_next else elsewhere, is_next))
    return found


@torch.no_grad()
def score(model, ids, mask, rows=None, own=True, ends=0, log=True, sign=1):
    """The pseudo-log-likelihood, with a mistake for each setting that is not the usual one."""
    places = torch.arange(1 - ends, ids.shape[1] - 1 + ends)
    blanked = ids.repeat(len(places), 1)
    blanked[torch.arange(len(places)), places] = mask
    if rows == "nothing":
        blanked = ids.repeat(len(places), 1)
    if rows == "all":
        blanked[:, 1:-1] = mask
    logits = model(blanked).logits
    p = logits.log_softmax(dim=2) if log else logits
    picked = p.gather(2, ids.expand(len(places), -1)[:, :, None])[:, :, 0]
    return sign * (picked[torch.arange(len(places)), places] if own else picked).sum().item()


def one_by_one(model, ids, mask):
    """The right sum, but a batch for each blank."""
    total = 0.0
    for place in range(1, ids.shape[1] - 1):
        row = ids.clone()
        row[0, place] = mask
        with torch.no_grad():
            total += model(row).logits[0, place].log_softmax(dim=0)[ids[0, place]].item()
    return total


def blank_in_place(model, ids, mask):
    ids[0, 1] = mask
    return score(model, ids, mask)


def quiz(texts, dice, replace=False, short=False, first=False):
    """Questions and answers, with a mistake for each setting that is not the usual one."""
    found = []
    for text in texts:
        words = text.split()
        places = [i for i, word in enumerate(words) if short or (len(word) >= 4 and word.isalpha())]
        place = places[0] if first else dice.choice(places)
        question = (
            text.replace(words[place], "[MASK]")
            if replace
            else " ".join([*words[:place], "[MASK]", *words[place + 1 :]])
        )
        found.append((question, words[place]))
    return found


def hidden(mask, ids, piece):
    return mask * (ids != piece)


def hidden_in_place(mask, ids, piece):
    mask *= ids != piece
    return mask


def nearest(query, examples, labels):
    return labels[(examples - query).norm(dim=1).argmin().item()]


# lesson 4
def padded(rows: list[list[int]], pad_id: int, left: bool = True) -> torch.Tensor:
    """Rows of one length, filled up on the left or on the right."""
    width = max(map(len, rows))
    fill = [[pad_id] * (width - len(row)) for row in rows]
    return torch.tensor([before + row if left else row + before for before, row in zip(fill, rows, strict=True)])


def ones(rows: list[list[int]], left: bool = True) -> torch.Tensor:
    return padded([[1] * len(row) for row in rows], 0, left)


def shares(predictions: torch.Tensor, targets: torch.Tensor, count: int, least: int = 1) -> list[torch.Tensor]:
    """Precision and recall; with least=0 a class without a text gets nan."""
    right = predictions[predictions == targets].bincount(minlength=count)
    return [right / numbers.bincount(minlength=count).clamp(min=least) for numbers in (predictions, targets)]


def variants(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]


def effects(probability, text: str, texts: list[str]) -> list[tuple[str, float]]:
    whole, *shorter = probability([text, *texts]).tolist()
    return [(word, whole - share) for word, share in zip(text.split(), shorter, strict=True)]


def without_word(text: str) -> list[str]:
    return [" ".join(other for other in text.split() if other != word) for word in text.split()]


def sure(logits, targets, threshold):
    certainty, guess = logits.softmax(dim=1).max(dim=1)
    return certainty >= threshold, guess == targets


def mean(rows: torch.Tensor) -> float:
    return rows.float().mean().item()


def of_all(logits, targets, threshold):
    chosen, right = sure(logits, targets, threshold)
    return mean(chosen), mean(right)


def divided_by_all(logits, targets, threshold):
    chosen, right = sure(logits, targets, threshold)
    return mean(chosen), mean(right & chosen)


def without_the_empty_case(logits, targets, threshold):
    chosen, right = sure(logits, targets, threshold)
    return mean(chosen), mean(right[chosen])


def of_logits(logits, targets, threshold):
    chosen = logits.max(dim=1).values >= threshold
    return mean(chosen), mean((logits.argmax(dim=1) == targets)[chosen])


def lost(lengths, max_length):
    return sum(max(0, length - max_length) for length in lengths)


def cut(lengths, max_length):
    return [length for length in lengths if length > max_length]


def broken(tags, continues=lambda before, tag: before[1:] == tag[1:]):
    pairs = itertools.pairwise(["O", *tags])
    return [place for place, (before, tag) in enumerate(pairs) if tag[0] == "I" and not continues(before, tag)]


def last_name(tags):
    """Looks back over any number of O."""
    places, name = [], "O"
    for place, tag in enumerate(tags):
        places += [place] if tag[0] == "I" and name[1:] != tag[1:] else []
        name = name if tag == "O" else tag
    return places


def labels(tag_of, special=-100):
    """A way to label all pieces: tag_of(tag, first) gives the tag of a piece, or a number."""

    def label_all_pieces(word_tags, word_ids, number_of):
        made = []
        for before, word in itertools.pairwise([None, *word_ids]):
            tag = None if word is None else tag_of(word_tags[word], word != before)
            made.append(special if word is None else number_of.get(tag, tag))
        return made

    return label_all_pieces


def inside(tag):
    return tag.replace("B-", "I-")


def all_pairs(start, end, low=0, gap=0):
    """All pairs with last >= first + gap, from the place low on, the best first; gap None: any order."""
    places = range(low, len(start))
    pairs = [(i, j) for i in places for j in places if gap is None or j >= i + gap]
    return sorted(pairs, key=lambda pair: -(start[pair[0]] + end[pair[1]]).item())


def decide(pairs, start, end, threshold):
    best = pairs[0]
    return best if start[best[0]] + end[best[1]] > start[0] + end[0] + threshold else None


def cut_windows(length, size, overlap, step=None, beyond=0):
    """Windows: with another step, or so many too many."""
    step = step or size - overlap
    pairs = [(0, min(size, length))]
    while pairs[-1][1] < length:
        start = pairs[-1][0] + step
        pairs.append((start, min(start + size, length)))
    return pairs + [(pairs[-1][0] + step, length)] * beyond


def hiding_effects(words, probability, hide=lambda words, i: [*words[:i], "[MASK]", *words[i + 1 :]], sign=1):
    whole = probability(words)
    return [sign * (whole - probability(hide(words, i))) for i in range(len(words))]


def effects_in_place(words, probability):
    whole, found = probability(words), []
    for place in range(len(words)):
        words[place] = "[MASK]"
        found.append(whole - probability(words))
    return found


def effects_one_after_the_other(words, probability):
    return effects_in_place(list(words), probability)


def tagged(lines, gap=1, opens=("B",), skip_last=False, prefix=0):
    """A reader of tagged lines, in parts that the wrong answers change."""
    text, names = "", []
    for word, tag in (line.split() for line in lines):
        start = len(text) + gap if text else 0
        text = text + " " * gap * bool(text) + word
        if tag[0] in opens:
            names.append((start, len(text), tag[2 - prefix :]))
        elif tag[0] == "I":
            names[-1] = (names[-1][0], len(text), names[-1][2])
    return " ".join(line.split()[0] for line in lines), names[: len(names) - skip_last]


def tagged_inclusive(lines):
    text, names = tagged(lines)
    return text, [(start, end - 1, name) for start, end, name in names]


SWAPPED = {"month": lambda spans: spans["day"], "day": lambda spans: spans["month"]}
MINE = "{day} of {month} in {year}"


def padding_in_place(batches):
    found = sum(max(batch) * len(batch) - sum(batch) for batch in batches)
    batches.clear()
    return found


def judge(middle, low=1.0, flip=False):
    """A verdict from the ratios of neighbours; ``low`` is how much of the noise band counts."""

    def verdict(before, after, band):
        pairs = zip(after, before, strict=True) if flip else zip(before, after, strict=True)
        return "keep" if middle([b / a for a, b in pairs]) < 1 - low * band else "reject"

    return verdict


def verdict_of_sorted(before, after, band):
    before.sort(), after.sort()
    return judge(statistics.median)(before, after, band)


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


EACH_WRONG = {
    (ONE, 1): [
        ("additive returned Tensor, not two tensors", {"additive": lambda *a: scores_of(*a).softmax(dim=0)}),
        (
            "context and weights have changed places",
            {"additive": lambda s, h, w, u, v: (p := scores_of(s, h, w, u, v).softmax(dim=0), p @ h)},
        ),
        (
            "the context has the shape",
            {"additive": lambda s, h, w, u, v: ((p := scores_of(s, h, w, u, v).softmax(dim=0))[:, None] * h, p)},
        ),
        (
            "the tensor of weights has the shape",
            {"additive": lambda s, h, w, u, v: ((p := scores_of(s, h, w, u, v).softmax(dim=0)) @ h, p[:, None])},
        ),
        ("these are the scores", {"additive": lambda s, h, w, u, v: ((e := scores_of(s, h, w, u, v)) @ h, e)}),
        (
            "the score lacks its tanh",
            {"additive": lambda s, h, w, u, v: ((p := ((w @ s + h @ u.T) @ v).softmax(dim=0)) @ h, p)},
        ),
        (
            "the state s has no influence",
            {"additive": lambda s, h, w, u, v: ((p := scores_of(0 * s, h, w, u, v).softmax(dim=0)) @ h, p)},
        ),
        (
            "the matrices w and u have changed places",
            {"additive": lambda s, h, w, u, v: ((p := scores_of(s, h, u, w, v).softmax(dim=0)) @ h, p)},
        ),
        (
            ", not to 1",
            {"additive": lambda s, h, w, u, v: ((p := scores_of(s, h, w, u, v).sigmoid()) @ h, p)},
        ),
        (
            "the weights are not those of the lesson's score",
            {"additive": lambda s, h, w, u, v: ((p := (2 * scores_of(s, h, w, u, v)).softmax(dim=0)) @ h, p)},
        ),
        (
            "the context is the plain mean",
            {"additive": lambda s, h, w, u, v: (h.mean(dim=0), scores_of(s, h, w, u, v).softmax(dim=0))},
        ),
        (
            "the context is the plain sum",
            {"additive": lambda s, h, w, u, v: (h.sum(dim=0), scores_of(s, h, w, u, v).softmax(dim=0))},
        ),
        (
            "the context is not the weighted mean",
            {"additive": lambda s, h, w, u, v: (scores_of(s, h, w, u, v) @ h, scores_of(s, h, w, u, v).softmax(dim=0))},
        ),
        (
            "has the dtype torch.float64",
            {"additive": lambda *a: tuple(part.double() for part in additive_in_place(a[0], a[1].clone(), *a[2:]))},
        ),
        ("you changed states itself", {"additive": additive_in_place}),
    ],
    (ONE, 2): [
        ("self.M has a bias", {"MultiplicativeAttention": WithBias}),
        ("it should be the other way round", {"MultiplicativeAttention": WrongWayRound}),
        ("here, and a query", {"MultiplicativeAttention": Square}),
        ("forward returned None, not two tensors", {"MultiplicativeAttention": Unfinished}),
        ("context and weights have changed places", {"MultiplicativeAttention": Swapped}),
        ("the context has the shape", {"MultiplicativeAttention": OfKeys}),
        ("the tensor of weights has the shape", {"MultiplicativeAttention": Crosswise}),
        ("padding gets attention: the mask has no influence", {"MultiplicativeAttention": NoMask}),
        ("the mask is upside down", {"MultiplicativeAttention": UpsideDown}),
        ("the mask comes too late", {"MultiplicativeAttention": MaskAfterwards}),
        ("the softmax runs over the wrong axis", {"MultiplicativeAttention": OverSteps}),
        ("the scores are scaled", {"MultiplicativeAttention": Scaled}),
        ("the weights are not those of the multiplicative score", {"MultiplicativeAttention": Squashed}),
        ("no gradient reaches self.M", {"MultiplicativeAttention": Detached}),
        ("the context is not the weighted mean", {"MultiplicativeAttention": PlainMean}),
        ("you changed keys itself", {"MultiplicativeAttention": ZeroesPadding}),
    ],
    (ONE, 3): [
        ("the share on the text", {"stolen": lambda w, n: (w * ~padding_of(w, n)).sum(dim=2).mean(dim=1)}),
        ("the sum over the steps", {"stolen": lambda w, n: (w * padding_of(w, n)).sum(dim=(1, 2))}),
        ("were averaged", {"stolen": lambda w, n: (w * padding_of(w, n)).mean(dim=(1, 2))}),
        ("the first place of the padding", {"stolen": lambda w, n: (w * padding_of(w, n, 1)).sum(dim=2).mean(dim=1)}),
        ("the last place of the text", {"stolen": lambda w, n: (w * padding_of(w, n, -1)).sum(dim=2).mean(dim=1)}),
        ("the result has the shape ()", {"stolen": lambda w, n: (w * padding_of(w, n)).sum(dim=2).mean()}),
        ("is not the share of attention", {"stolen": lambda w, n: (w * padding_of(w, n)).sum(dim=2).amax(dim=1)}),
        ("the result is list", {"stolen": lambda w, n: (w * padding_of(w, n)).sum(dim=2).mean(dim=1).tolist()}),
        ("you changed weights itself", {"stolen": stolen_in_place}),
    ],
    (ONE, 4): [
        ("nothing is turned round", {"reverse": lambda source, lengths: source.clone()}),
        ("the padding came to the front", {"reverse": lambda source, lengths: source.flip(1)}),
        ("the rows changed places", {"reverse": lambda source, lengths: source.flip(0)}),
        (
            "a token 0 of the text was taken for padding",
            {"reverse": lambda source, lengths: reverse_rows(source, (source != 0).sum(dim=1))},
        ),
        (
            "the padding is not what it was",
            {
                "reverse": lambda source, n: (
                    reverse_rows(source, n) - (torch.arange(source.shape[1]) >= n[:, None]).long()
                )
            },
        ),
        ("and became", {"reverse": lambda source, lengths: source.roll(1, dims=1)}),
        ("has the dtype torch.float32", {"reverse": lambda source, lengths: reverse_rows(source, lengths).float()}),
        ("you changed source itself", {"reverse": reverse_in_place}),
    ],
    (ONE, 5): [
        ("nothing is hidden", {"hide_heaviest": lambda w, m: m.expand(w.shape)}),
        ("the new mask is upside down", {"hide_heaviest": lambda w, m: ~hide(w, m)}),
        ("only the heaviest place is left", {"hide_heaviest": lambda w, m: w == w.amax(dim=2, keepdim=True)}),
        ("padding may be looked at", {"hide_heaviest": lambda w, m: w < w.amax(dim=2, keepdim=True)}),
        ("padding may be looked at", {"hide_heaviest": lambda w, m: torch.ones_like(w).bool()}),
        ("the same place is hidden at all steps", {"hide_heaviest": of_mean}),
        ("is the heaviest, and may be looked at", {"hide_heaviest": lambda w, m: m & (w < w.amax(1, True))}),
        ("more than the heaviest place", {"hide_heaviest": two_heaviest}),
        ("the result has the shape", {"hide_heaviest": lambda w, m: hide(w, m)[:, 0]}),
        ("has the dtype torch.float32", {"hide_heaviest": lambda w, m: w * hide(w, m)}),
        ("you changed weights itself", {"hide_heaviest": hide_in_place}),
    ],
    (ONE, 6): [
        ("returned str, not", {"my_sentence": lambda date: f"{date:%d %B %Y}"}),
        ("is a language of the lesson", {"my_sentence": lambda date: torchnlp.date_sentence([date], "en")}),
        ("the target of", {"my_sentence": dates(MINE, target="2031-09-14")}),
        (
            "spans should be a tuple of one dict",
            {"my_sentence": lambda date: torchnlp.DateSentence("x", "y", str(date), ())},
        ),
        ("does not lie within", {"my_sentence": dates(MINE, year=lambda spans: (spans["year"][0], 99))}),
        ("look alike", {"my_sentence": numeric("{0:%Y}{0.month}{0.day}")}),
        ("the span of month", {"my_sentence": dates(MINE, **SWAPPED)}),
        ("both say", {"my_sentence": dates(MINE, year=lambda spans: (spans["year"][0], spans["year"][1] - 1))}),
    ],
    (TWO, 1): [
        ("dot_attention returned Tensor", {"dot_attention": lambda *a: attention(*a)[0]}),
        ("outputs and weights have changed places", {"dot_attention": lambda *a: attention(*a)[::-1]}),
        ("the tensor of outputs has the shape", {"dot_attention": lambda q, k, v, m: attention(q, k, k, m)}),
        ("the tensor of weights has the shape", {"dot_attention": lambda *a: ((p := attention(*a))[0], p[1].T)}),
        ("the scores are not scaled", {"dot_attention": lambda *a: attention(*a, scale=0)}),
        ("the scores are divided by too much", {"dot_attention": lambda *a: attention(*a, scale=1)}),
        ("the mask has no influence", {"dot_attention": lambda q, k, v, m: attention(q, k, v, torch.ones_like(m))}),
        ("the mask is upside down", {"dot_attention": lambda q, k, v, m: attention(q, k, v, ~m)}),
        ("the softmax runs over the wrong axis", {"dot_attention": lambda *a: attention(*a, dim=0)}),
        ("does the mask come before the softmax", {"dot_attention": attention_late_mask}),
        ("the weights are not those of the formula", {"dot_attention": lambda *a: attention(*a, scale=0.25)}),
        (
            "the outputs are not the weighted means",
            {"dot_attention": lambda q, k, v, m: (attention(q, k, v, torch.ones_like(m))[0], attention(q, k, v, m)[1])},
        ),
        ("you changed queries itself", {"dot_attention": attention_in_place}),
    ],
    (TWO, 2): [
        (
            "split_heads mixes the tokens",
            {"split_heads": lambda x, h: x.view(len(x), h, x.shape[1], -1), "merge_heads": merge},
        ),
        (
            "the result of split_heads has the shape",
            {"split_heads": lambda x, h: x.view(*x.shape[:2], h, -1), "merge_heads": merge},
        ),
        (
            "do not lie side by side in x",
            {"split_heads": lambda x, h: x.view(*x.shape[:2], -1, h).permute(0, 3, 1, 2), "merge_heads": merge},
        ),
        ("is not the h-th slice", {"split_heads": lambda x, h: split(x, h).flip(1), "merge_heads": merge}),
        ("the result of merge_heads is None", {"split_heads": split, "merge_heads": lambda x: None}),
        (
            "merge_heads mixes the tokens",
            {"split_heads": split, "merge_heads": lambda x: x.reshape(len(x), x.shape[2], -1)},
        ),
        (
            "merge_heads does not undo split_heads",
            {"split_heads": split, "merge_heads": lambda x: x.permute(0, 2, 3, 1).flatten(2)},
        ),
        ("you changed x itself", {"split_heads": lambda x, h: split(x.mul_(2), h), "merge_heads": merge}),
        ("you changed x itself", {"split_heads": split, "merge_heads": lambda x: merge(x.mul_(2))}),
    ],
    (TWO, 3): [
        ("the result is transposed", {"relative_bias": lambda table, length: bias(table, length).T}),
        ("a key farther away than K", {"relative_bias": bias_of_near_keys}),
        ("this is not the entry of the distance", {"relative_bias": lambda table, length: bias(table, length, 1)}),
        ("no gradient reaches the table", {"relative_bias": lambda table, length: bias(table.detach(), length)}),
        ("the result has the shape", {"relative_bias": lambda table, length: bias(table, length)[0]}),
    ],
    (TWO, 4): [
        ("the pairs are not neighbours", {"rotate": lambda x: turn(x, halves=True)}),
        ("the turn goes the other way", {"rotate": lambda x: turn(x, sign=-1)}),
        ("position 0 changed", {"rotate": lambda x: turn(x, first=1)}),
        ("the lengths of the vectors changed", {"rotate": lambda x: x + torch.arange(len(x))[:, None]}),
        ("all pairs turn at the same speed", {"rotate": lambda x: turn(x, exponent=0)}),
        ("do not lie side by side", {"rotate": lambda x: turn(x, apart=True)}),
        ("are not those of the text", {"rotate": lambda x: turn(x, exponent=1)}),
        ("the result has the shape", {"rotate": lambda x: turn(x)[:, 0::2]}),
        ("you changed x itself", {"rotate": turn_in_place}),
    ],
    (TWO, 5): [
        ("sample_next returned Tensor", {"sample_next": lambda *a: torch.tensor(sample(*a))}),
        ("global generator", {"sample_next": lambda logits, t, k, g: sample(logits, t, k, None)}),
        ("not among the top_k best", {"sample_next": lambda logits, t, k, g: sample(logits, t, len(logits), g)}),
        (
            "a place in the list of the best tokens",
            {"sample_next": lambda logits, t, k, g: draw((logits.topk(k).values / t).softmax(dim=0), g)},
        ),
        ("nothing is drawn", {"sample_next": lambda logits, t, k, g: logits.argmax().item()}),
        ("nothing is drawn", {"sample_next": sample_once}),
        ("the temperature has no influence", {"sample_next": lambda logits, t, k, g: sample(logits, 1.0, k, g)}),
        ("the wrong way round", {"sample_next": lambda logits, t, k, g: sample(logits, 1 / t, k, g)}),
        ("are drawn equally often", {"sample_next": sample_evenly}),
        ("as often as they should", {"sample_next": sample_the_worst}),
        ("generators with the same seed", {"sample_next": sample_by_system}),
        ("you changed logits itself", {"sample_next": sample_in_place}),
    ],
    (TWO, 6): [
        ("nothing was zeroed", {"ablate": lambda joined, head, heads: joined}),
        ("all heads but head", {"ablate": only_head}),
        ("every H-th number was zeroed", {"ablate": every_nth}),
        ("was zeroed, not head", {"ablate": lambda joined, head, heads: without_head(joined, head - 1, heads)}),
        ("still gives something", {"ablate": without_a_token}),
        ("what the other heads give has changed", {"ablate": lambda *a: 2 * without_head(*a)}),
        ("the result has the shape", {"ablate": lambda joined, head, heads: joined[..., heads:]}),
        ("you changed joined itself", {"ablate": without_head_in_place}),
    ],
    (TWO, 7): [
        ("my_rows returned list", {"my_rows": lambda size, generator: [[1, 2, 3]] * size, "my_rule": comes_again}),
        ("not torch.int64 of shape", {"my_rows": rows_of(length=2), "my_rule": comes_again}),
        ("not torch.int64 of shape", {"my_rows": lambda *a: rows_of()(*a).float(), "my_rule": comes_again}),
        ("global generator", {"my_rows": lambda size, g: torch.randint(8, (size, 6)), "my_rule": comes_again}),
        ("generators with the same seed", {"my_rows": rows_by_system, "my_rule": comes_again}),
        ("come again and again", {"my_rows": rows_of_one_seed, "my_rule": comes_again}),
        ("stay within 0 and 99", {"my_rows": rows_of(tokens=200), "my_rule": comes_again}),
        ("are different", {"my_rows": rows_of(tokens=2, length=4), "my_rule": comes_again}),
        ("my_rule returned None", {"my_rows": rows_of(), "my_rule": lambda row: None}),
        ("my_rule returned 7", {"my_rows": rows_of(), "my_rule": lambda row: 7}),
        ("you changed row itself", {"my_rows": rows_of(), "my_rule": in_place_rule}),
        ("different labels", {"my_rows": rows_of(), "my_rule": Moody()}),
        ("neither label should be rare", {"my_rows": rows_of(tokens=90), "my_rule": comes_again}),
        ("the order of the tokens hardly matters", {"my_rows": rows_of(), "my_rule": lambda row: int(row.sum() > 20)}),
        ("the token at place 1 alone", {"my_rows": rows_of(), "my_rule": lambda row: int(row[1] > 3)}),
    ],
    (THREE, 1): [
        ("returned Tensor, not a float", {"embedding_share": lambda config: torch.tensor(share(config))}),
        ("the pooler is missing", {"embedding_share": lambda config: share(config, pooler=0)}),
        ("the norm are missing", {"embedding_share": lambda config: share(config, norm=0)}),
        ("the segments are missing", {"embedding_share": lambda config: share(config, segments=0)}),
        ("only one block is counted", {"embedding_share": lambda config: share(config, blocks=0)}),
        ("this is a percentage", {"embedding_share": lambda config: share(config, factor=100)}),
    ],
    (THREE, 2): [
        ("not a tensor", {"mask_whole_words": lambda ids, chosen: [word in chosen for word in ids]}),
        ("has the dtype", {"mask_whole_words": lambda ids, chosen: by_words(ids, lambda word: int(word in chosen))}),
        ("upside down", {"mask_whole_words": lambda ids, chosen: by_words(ids, lambda word: word not in chosen)}),
        ("only the first piece", {"mask_whole_words": first_pieces}),
        (
            "special tokens are chosen",
            {"mask_whole_words": lambda ids, chosen: by_words(ids, lambda word: word is None or word in chosen)},
        ),
        (
            "word 0 is missing",
            {"mask_whole_words": lambda ids, chosen: by_words(ids, lambda word: bool(word) and word in chosen)},
        ),
        (
            "the numbers are numbers of words",
            {"mask_whole_words": lambda ids, chosen: torch.tensor([place in chosen for place in range(len(ids))])},
        ),
    ],
    (THREE, 3): [
        ("not a list with one pair", {"next_sentence_pairs": lambda documents, dice: pairs(documents, dice)[0]}),
        ("draw with dice only", {"next_sentence_pairs": lambda documents, dice: pairs(documents, random.Random())}),
        (
            "is the last of its document",
            {"next_sentence_pairs": lambda documents, dice: pairs(documents, dice, last=1)},
        ),
        ("from the same document", {"next_sentence_pairs": lambda documents, dice: pairs(documents, dice, other=0)}),
        ("instead of about half", {"next_sentence_pairs": lambda documents, dice: pairs(documents, dice, turn=0.1)}),
        ("begins its document", {"next_sentence_pairs": lambda documents, dice: pairs(documents, dice, first=True)}),
    ],
    (THREE, 4): [
        (
            "returned Tensor, not a float",
            {"pseudo_log_likelihood": lambda model, ids, mask: torch.tensor(score(model, ids, mask))},
        ),
        (
            "nothing was blanked",
            {"pseudo_log_likelihood": lambda model, ids, mask: score(model, ids, mask, rows="nothing")},
        ),
        ("blanked at once", {"pseudo_log_likelihood": lambda model, ids, mask: score(model, ids, mask, rows="all")}),
        ("counted, too", {"pseudo_log_likelihood": lambda model, ids, mask: score(model, ids, mask, ends=1)}),
        (
            "count its blank only",
            {"pseudo_log_likelihood": lambda model, ids, mask: score(model, ids, mask, own=False)},
        ),
        ("this is a loss", {"pseudo_log_likelihood": lambda model, ids, mask: score(model, ids, mask, sign=-1)}),
        ("these are logits", {"pseudo_log_likelihood": lambda model, ids, mask: score(model, ids, mask, log=False)}),
        ("instead of one batch", {"pseudo_log_likelihood": one_by_one}),
        ("work on a copy", {"pseudo_log_likelihood": blank_in_place}),
    ],
    (THREE, 5): [
        (
            "a long vector wins",
            {"same_sense": lambda query, examples, labels: labels[(examples @ query).argmax().item()]},
        ),
        ("the smallest distance", {"same_sense": nearest}),
        (
            "points the opposite way",
            {
                "same_sense": lambda query, examples, labels: labels[
                    F.cosine_similarity(query[None], examples).abs().argmax().item()
                ]
            },
        ),
        (
            "take the label at this place",
            {"same_sense": lambda query, examples, labels: F.cosine_similarity(query[None], examples).argmax().item()},
        ),
    ],
    (THREE, 6): [
        ("nothing is hidden", {"hide": lambda mask, ids, piece: mask.clone()}),
        ("padding may be looked at", {"hide": lambda mask, ids, piece: (ids != piece).long()}),
        ("it is the one to hide", {"hide": lambda mask, ids, piece: mask * (ids == piece)}),
        ("upside down", {"hide": lambda mask, ids, piece: 1 - hidden(mask, ids, piece)}),
        ("has the dtype", {"hide": lambda mask, ids, piece: hidden(mask, ids, piece).bool()}),
        ("work on a copy", {"hide": hidden_in_place}),
    ],
    (THREE, 7): [
        ("not a list with one pair", {"my_quiz": lambda texts, dice: tuple(quiz(texts, dice))}),
        ("draw with dice only", {"my_quiz": lambda texts, dice: quiz(texts, random.Random())}),
        ("times [MASK] instead of once", {"my_quiz": lambda texts, dice: quiz(texts, dice, replace=True)}),
        ("four letters or more", {"my_quiz": lambda texts, dice: quiz(texts, dice, short=True)}),
        ("the same word is asked", {"my_quiz": lambda texts, dice: quiz(texts, dice, first=True)}),
        ("is no word of its text", {"my_quiz": lambda texts, dice: [(q, a.upper()) for q, a in quiz(texts, dice)]}),
    ],
    (FOUR, 1): [
        ("unpad returned Tensor, not a list of lists", {"unpad": lambda ids, mask: ids}),
        ("nothing is taken out", {"unpad": lambda ids, mask: ids.tolist()}),
        ("you looked for zeros", {"unpad": lambda ids, mask: [[n for n in row if n] for row in ids.tolist()]}),
        ("you looked for a number", {"unpad": lambda ids, mask: [[n for n in row if n > 1] for row in ids.tolist()]}),
        (
            "this is the padding",
            {"unpad": lambda ids, mask: [row[m == 0].tolist() for row, m in zip(ids, mask, strict=True)]},
        ),
        (
            "the rows hold tensors",
            {"unpad": lambda ids, mask: [list(row[m == 1]) for row, m in zip(ids, mask, strict=True)]},
        ),
    ],
    (FOUR, 2): [
        ("the padding stands behind", {"pad_left": lambda rows, p: (padded(rows, p, False), ones(rows, False))}),
        ("the padding is 0", {"pad_left": lambda rows, p: (padded(rows, 0), ones(rows))}),
        ("the mask is upside down", {"pad_left": lambda rows, p: (padded(rows, p), 1 - ones(rows))}),
        ("the mask has its zeros behind", {"pad_left": lambda rows, p: (padded(rows, p), ones(rows, False))}),
        ("the mask hides a piece", {"pad_left": lambda rows, p: (x := padded(rows, p), (x != p).long())}),
        ("have changed places", {"pad_left": lambda rows, p: (ones(rows), padded(rows, p))}),
        ("has the dtype", {"pad_left": lambda rows, p: (padded(rows, p), ones(rows).bool())}),
    ],
    (FOUR, 3): [
        ("have changed places", {"precision_and_recall": lambda p, t, c: shares(p, t, c)[::-1]}),
        ("precision has a nan", {"precision_and_recall": lambda p, t, c: shares(p, t, c, least=0)}),
        ("is the share of all texts", {"precision_and_recall": lambda p, t, c: [shares(p, t, c, len(p))[0]] * 2}),
    ],
    (FOUR, 4): [
        (
            "the sign is wrong",
            {"deletion_effects": lambda p, text: [(word, -drop) for word, drop in effects(p, text, variants(text))]},
        ),
        (
            "not by how much it fell",
            {"deletion_effects": lambda p, text: list(zip(text.split(), p(variants(text)).tolist(), strict=True))},
        ),
        ("deleted in both places", {"deletion_effects": lambda p, text: effects(p, text, without_word(text))}),
        ("not a list of", {"deletion_effects": lambda p, text: dict(effects(p, text, variants(text)))}),
        (
            "a word that stands there twice has two",
            {"deletion_effects": lambda p, text: effects(p, text, variants(text))[1:]},
        ),
    ],
    (FOUR, 5): [
        ("this is the accuracy on all rows", {"selective": of_all}),
        ("the accuracy divides by all rows", {"selective": divided_by_all}),
        ("the accuracy is nan", {"selective": without_the_empty_case}),
        ("make them probabilities first", {"selective": of_logits}),
        ("have changed places", {"selective": lambda *inputs: without_the_empty_case(*inputs)[::-1]}),
    ],
    (FOUR, 6): [
        (
            "have changed places",
            {"cut_off": lambda n, m: (lost(n, m) / sum(n), len(cut(n, m)) / len(n))},
        ),
        ("is not cut", {"cut_off": lambda n, m: (len(cut(n, m - 1)) / len(n), lost(n, m) / sum(n))}),
        (
            "not all of a cut text is lost",
            {"cut_off": lambda n, m: (len(cut(n, m)) / len(n), sum(cut(n, m)) / sum(n))},
        ),
        (
            "divide by the pieces of all texts",
            {"cut_off": lambda n, m: (len(cut(n, m)) / len(n), lost(n, m) / sum(cut(n, m)))},
        ),
        ("the share of texts is int", {"cut_off": lambda n, m: (len(cut(n, m)), lost(n, m) / sum(n))}),
    ],
    (FIVE, 1): [
        ("not a list of places", {"broken_tags": lambda tags: len(broken(tags))}),
        (
            "an I at the very beginning",
            {"broken_tags": lambda tags: [place for place in broken(tags) if place > 0]},
        ),
        ("counted from 0", {"broken_tags": lambda tags: [place + 1 for place in broken(tags)]}),
        ("must have the type", {"broken_tags": lambda tags: broken(tags, lambda before, tag: before != "O")}),
        (
            "may follow an I of its type",
            {"broken_tags": lambda tags: broken(tags, lambda before, tag: before == "B" + tag[1:])},
        ),
        ("only the tag just before counts", {"broken_tags": last_name}),
        ("the places of every I", {"broken_tags": lambda tags: broken(tags, lambda *_: False)}),
        ("not the tags that stand there", {"broken_tags": lambda tags: [tags[place] for place in broken(tags)]}),
    ],
    (FIVE, 2): [
        (
            "the labels of the lesson",
            {"label_all_pieces": labels(lambda tag, first: tag if first else -100)},
        ),
        ("became several names", {"label_all_pieces": labels(lambda tag, first: tag)}),
        ("[CLS] and [SEP]", {"label_all_pieces": labels(lambda tag, first: tag if first else inside(tag), special=0)}),
        ("gets the B", {"label_all_pieces": labels(lambda tag, first: inside(tag))}),
        ("not outside of it", {"label_all_pieces": labels(lambda tag, first: tag if first else "O")}),
    ],
    (FIVE, 3): [
        ("ends before it starts", {"best_spans": lambda start, end, count: all_pairs(start, end, gap=None)[:count]}),
        ("the best span comes first", {"best_spans": lambda start, end, count: all_pairs(start, end)[:count][::-1]}),
        ("one token long", {"best_spans": lambda start, end, count: all_pairs(start, end, gap=1)[:count]}),
        ("the worst spans", {"best_spans": lambda start, end, count: all_pairs(start, end)[::-1][:count]}),
        (
            "not of pairs",
            {"best_spans": lambda start, end, count: [i * len(start) + j for i, j in all_pairs(start, end)[:count]]},
        ),
    ],
    (FIVE, 4): [
        (
            "ends before it starts",
            {"answer_or_none": lambda s, e, threshold: decide(all_pairs(s, e, 1, None), s, e, threshold)},
        ),
        (
            "[CLS] is place 0",
            {
                "answer_or_none": lambda s, e, threshold: (
                    None
                    if (pair := decide(all_pairs(s, e, 1), s, e, threshold)) is None
                    else (pair[0] - 1, pair[1] - 1)
                )
            },
        ),
        (
            "no answer plus the threshold scores more",
            {"answer_or_none": lambda s, e, threshold: decide(all_pairs(s, e, 1), s, e, 0.0)},
        ),
        (
            "a negative threshold",
            {"answer_or_none": lambda s, e, threshold: decide(all_pairs(s, e, 1), s, e, abs(threshold))},
        ),
    ],
    (FIVE, 5): [
        ("share", {"windows": lambda length, size, overlap: cut_windows(length, size, overlap, step=size)}),
        ("one window too many", {"windows": lambda *given: cut_windows(*given, beyond=1)}),
        (
            "a window ends behind the text",
            {"windows": lambda length, size, overlap: [(a, a + size) for a, _ in cut_windows(length, size, overlap)]},
        ),
        ("the end of the text is in no window", {"windows": lambda length, size, overlap: [(0, min(size, length))]}),
    ],
    (FIVE, 6): [
        (
            "the signs are upside down",
            {"word_effects": lambda words, probability: hiding_effects(words, probability, sign=-1)},
        ),
        (
            "a word was taken out",
            {
                "word_effects": lambda words, probability: hiding_effects(
                    words, probability, lambda w, i: [*w[:i], *w[i + 1 :]]
                )
            },
        ),
        ("the list of words was changed", {"word_effects": effects_in_place}),
        ("more than one word was hidden", {"word_effects": effects_one_after_the_other}),
        (
            'something else than "[MASK]"',
            {
                "word_effects": lambda words, probability: hiding_effects(
                    words, probability, lambda w, i: [*w[:i], "", *w[i + 1 :]]
                )
            },
        ),
        (
            "more often than once",
            {
                "word_effects": lambda words, probability: [
                    probability(words) - probability([*words[:i], "[MASK]", *words[i + 1 :]]) for i in range(len(words))
                ]
            },
        ),
    ],
    (FIVE, 7): [
        ("the end of a name is not included", {"read_tagged": tagged_inclusive}),
        ("the spaces between the words count", {"read_tagged": lambda lines: tagged(lines, gap=0)}),
        ("at the end of the sentence is missing", {"read_tagged": lambda lines: tagged(lines, skip_last=True)}),
        ("the type is what follows", {"read_tagged": lambda lines: tagged(lines, prefix=2)}),
        ("an I continues the name", {"read_tagged": lambda lines: tagged(lines, opens=("B", "I"))}),
        ("not a text and a list of names", {"read_tagged": lambda lines: tagged(lines)[1]}),
    ],
    (SIX, 1): [
        (
            "padding_positions returned float",
            {"padding_positions": lambda batches: 0.5 + len(batches)},
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
        ("a change within the noise band was kept", {"verdict": judge(statistics.median, low=0.0)}),
        ("a change that made it slower was kept", {"verdict": judge(statistics.median, flip=True)}),
        ("a single slow run decided", {"verdict": judge(statistics.mean)}),
        ("not every run must be faster", {"verdict": judge(max)}),
        ("a single fast run decided", {"verdict": judge(min)}),
        (
            "measured beside it",
            {
                "verdict": lambda a, b, band: (
                    "keep" if statistics.median(b) / statistics.median(a) < 1 - band else "reject"
                )
            },
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
WRONG = [(*exercise, *wrong) for exercise, wrongs in EACH_WRONG.items() for wrong in wrongs]


def test_each_exercise_has_three_wrong_answers_at_least():
    assert list(EACH_WRONG) == EXERCISES
    assert all(len(wrongs) >= 3 for wrongs in EACH_WRONG.values())


@pytest.mark.parametrize(
    ("lesson", "number", "hint", "names"),
    WRONG,
    ids=[f"{lesson[0]}.{number} {hint}" for lesson, number, hint, _ in WRONG],
)
def test_a_wrong_answer_gets_the_hint_that_names_the_mistake(lesson, number, hint, names, verdict):
    assert list(names) == answers_of(lesson, number)
    for _ in range(5):
        said = verdict(lesson, number, names)
        assert said.startswith(f"Exercise {number}: not yet - ") and said.count("\n") == 1
        assert hint in said


# The helpers above are right where nothing is left out: so the hints are for what the table says, and not for more.
RIGHT = [
    (ONE, 1, {"additive": lambda s, h, w, u, v: [(p := scores_of(s, h, w, u, v).softmax(dim=0)) @ h, p]}),
    (ONE, 2, {"MultiplicativeAttention": Multiplicative}),
    (ONE, 3, {"stolen": lambda w, n: 1 - (w * ~padding_of(w, n)).sum(dim=2).mean(dim=1)}),
    (ONE, 4, {"reverse": reverse_rows}),
    (ONE, 5, {"hide_heaviest": hide}),
    (ONE, 6, {"my_sentence": dates(MINE)}),
    (TWO, 1, {"dot_attention": attention}),
    (TWO, 2, {"split_heads": lambda x, h: torch.stack(x.chunk(h, dim=2), dim=1), "merge_heads": merge}),
    (TWO, 3, {"relative_bias": bias}),
    (TWO, 4, {"rotate": turn}),
    (TWO, 5, {"sample_next": sample}),
    (TWO, 6, {"ablate": without_head}),
    (TWO, 7, {"my_rows": rows_of(), "my_rule": lambda row: bool(row[0] < row[-1])}),
    (THREE, 1, {"embedding_share": share}),
    (THREE, 2, {"mask_whole_words": lambda ids, chosen: by_words(ids, lambda word: word in chosen)}),
    (THREE, 3, {"next_sentence_pairs": pairs}),
    (THREE, 4, {"pseudo_log_likelihood": score}),
    (
        THREE,
        5,
        {"same_sense": lambda query, examples, labels: labels[(F.normalize(examples, dim=1) @ query).argmax().item()]},
    ),
    (THREE, 6, {"hide": lambda mask, ids, piece: mask.masked_fill(ids == piece, 0)}),
    (THREE, 7, {"my_quiz": quiz}),
    (FOUR, 1, {"unpad": lambda ids, mask: [row[: m.sum()].tolist() for row, m in zip(ids, mask, strict=True)]}),
    (FOUR, 2, {"pad_left": lambda rows, p: (padded(rows, p), ones(rows))}),
    (FOUR, 3, {"precision_and_recall": shares}),
    (FOUR, 4, {"deletion_effects": lambda p, text: effects(p, text, variants(text))}),
    (FOUR, 6, {"cut_off": lambda n, m: (len(cut(n, m)) / len(n), lost(n, m) / sum(n))}),
    (SIX, 1, {"padding_positions": lambda batches: sum(max(b) - length for b in batches for length in b)}),
    (SIX, 2, {"verdict": judge(statistics.median)}),
    (SIX, 3, {"accumulated_gradients": gradients_by_torch}),
    (SIX, 4, {"loss_scale": scale_by_trying}),
    (SIX, 5, {"data_parallel_step": step()}),
    (SIX, 6, {"plan": plan}),
    (SIX, 7, {"saved_by_sorting": saved}),
]


@pytest.mark.parametrize(("lesson", "number", "names"), RIGHT)
def test_another_right_answer_is_right(lesson, number, names, verdict):
    for _ in range(5):
        assert verdict(lesson, number, names) == f"Exercise {number}: right\n"


# ------------------------------------------------------------------------------------------ answers known beforehand


def always(value: object) -> Callable:
    return lambda *inputs: value


def old_additive():
    made = torch.Generator().manual_seed(1)
    s, states, w, u, v = (torch.randn(*shape, generator=made) for shape in ((3,), (5, 2), (4, 3), (4, 2), (4,)))
    weights = scores_of(s, states, w, u, v).softmax(dim=0)
    return weights @ states, weights


def old_dot_attention():
    made = torch.Generator().manual_seed(1)
    queries, keys, values = (torch.randn(*shape, generator=made) for shape in ((3, 4), (5, 4), (5, 2)))
    mask = torch.tensor([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 0, 1, 0, 0]]).bool()
    return attention(queries, keys, values, mask)


OLD_DAYS = {datetime.date(2031, 1, 1) + datetime.timedelta(days=i) for i in range(730)}
OLD_X = torch.arange(48.0).view(2, 3, 8)
# What was right when each check had one fixed example.
OLD = [
    (ONE, 1, {"additive": always(old_additive())}),
    (ONE, 3, {"stolen": always(torch.tensor([0.5, 0.0]))}),
    (ONE, 4, {"reverse": always(torch.tensor([[7, 6, 5, 0, 0], [3, 8, 9, 0, 4], [0, 2, 0, 0, 0]]))}),
    (ONE, 6, {"my_sentence": lambda date: dates(MINE)(date) if date in OLD_DAYS else None}),
    (TWO, 1, {"dot_attention": always(old_dot_attention())}),
    (TWO, 2, {"split_heads": always(split(OLD_X, 4)), "merge_heads": always(OLD_X)}),
    (TWO, 3, {"relative_bias": lambda table, length: bias(torch.arange(5) + 0.5, 6).requires_grad_()}),
    (TWO, 4, {"rotate": always(turn(torch.ones(9, 6)))}),
]


@pytest.mark.parametrize(("lesson", "number", "names"), OLD)
def test_the_values_of_the_old_fixed_example_are_not_right(lesson, number, names, verdict):
    for _ in range(5):
        assert verdict(lesson, number, names).startswith(f"Exercise {number}: not yet - ")


def remembering(function: Callable) -> Callable:
    """The function, which after its first call gives that answer again, whatever it is asked."""
    answers = []

    def remembers(*inputs):
        answers.extend([] if answers else [function(*inputs)])
        return answers[0]

    return remembers


@every_exercise
def test_the_right_answer_to_other_inputs_is_not_right(lesson, number, verdict):
    names = solved(lesson, number)
    if number == 2 and lesson == ONE:
        right = names["MultiplicativeAttention"](4, 3)
        forward = remembering(right.forward)
        names["MultiplicativeAttention"] = type(
            "Remembers", (Multiplicative,), {"forward": lambda self, *inputs: forward(*inputs)}
        )
        forward(torch.ones(2, 3, 4), torch.ones(2, 5, 3), torch.ones(2, 5, 6), torch.ones(2, 1, 5, dtype=torch.bool))
    else:
        names |= {name: remembering(names[name]) for name in answers_of(lesson, number)}
    assert verdict(lesson, number, names).startswith(f"Exercise {number}: not yet - ")


# ------------------------------------------------------------------------------------- what a check leaves as it was


@every_exercise
def test_the_global_random_numbers_stay_as_they_were(lesson, number, verdict):
    def state():
        return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())

    def drawing(function):
        return lambda *inputs: (torch.rand(3), function(*inputs))[1]

    names, before = solved(lesson, number), state()
    verdict(lesson, number, names)
    assert state() == before
    verdict(lesson, number, names | {name: drawing(names[name]) for name in answers_of(lesson, number)})
    assert state() == before


@every_exercise
def test_an_error_of_the_learner_comes_with_its_traceback(lesson, number, verdict):
    def broken(*inputs):
        raise ZeroDivisionError("the learner's own")

    name = answers_of(lesson, number)[-1]
    with pytest.raises(ZeroDivisionError) as caught:
        verdict(lesson, number, solved(lesson, number) | {name: broken})
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "broken"


@every_exercise
def test_a_check_says_in_its_docstring_what_it_checks(lesson, number):
    names = solved(lesson, number)
    exec(sources(NOTEBOOKS / f"{lesson}.ipynb")[f"check-{number}"].splitlines()[0], names)
    call = sources(NOTEBOOKS / f"{lesson}.ipynb")[f"check-{number}"].splitlines()[-1]
    docstring = eval(call.partition("(")[0], names).__doc__
    assert docstring.startswith(f"Check exercise {number}, ")
    assert all(f"``{name}(" in docstring or f" {name}(" in docstring for name in answers_of(lesson, number))
