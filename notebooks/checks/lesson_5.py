"""The checks of lesson 5, on names and answers. Each gets a function of the learner, and calls it with made-up data."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from . import call, exercise, kind, new_generator, numbers, whole_number

TYPES = ("PER", "LOC", "ORG")
NOT_COUNTED = -100


def pick(generator: Generator, choices: Sequence) -> Any:
    return choices[whole_number(generator, 0, len(choices) - 1)]


def list_fault(name: str, answer: object, what: str) -> str | None:
    """The hint for what should be a list."""
    return None if isinstance(answer, list) else f"{name} returned {kind(answer)}, not a list of {what}"


def named_fault(answer: Any, faults: dict[str, Any]) -> str | None:
    """The hint of the first mistake that gives this answer. Ask only about an answer that is known to be wrong."""
    return next((hint for hint, wrong in faults.items() if answer == wrong), None)


# ------------------------------------------------------------------------------------------------------------- names


def _places_of_broken(tags: list[str], continues: Callable[[str, str], bool], first: str = "O") -> list[int]:
    """The places of each I that does not continue the tag before it."""
    pairs = itertools.pairwise([first, *tags])
    return [place for place, (before, tag) in enumerate(pairs) if tag[0] == "I" and not continues(before, tag)]


@exercise(1)
def broken_tags(function: Callable) -> str | None:
    """Check exercise 1, ``broken_tags(tags)``, on tags at random, of which the first continues nothing."""
    generator = new_generator()
    all_tags = ["O", "O", *(f"{prefix}-{name}" for name in TYPES[:2] for prefix in "BI")]
    # Each situation once, and then many at random.
    tags = ["I-LOC", "I-LOC", "O", "I-PER", "B-PER", "I-LOC", "B-LOC", "I-LOC", "B-LOC", "O", "I-LOC"]
    tags += [pick(generator, all_tags) for _ in range(whole_number(generator, 40, 60))]
    given = list(tags)
    answer = function(given)
    if hint := list_fault("broken_tags", answer, "places"):
        return hint
    if given != tags:
        return "you changed the tags themselves: work on a copy"
    right = _places_of_broken(tags, lambda before, tag: before[1:] == tag[1:])
    if answer == right:
        return None
    last_names = list(itertools.accumulate(["O", *tags], lambda name, tag: name if tag == "O" else tag))
    far = [place for place in right if last_names[place][1:] != tags[place][1:]]
    faults = {
        "an I at the very beginning continues nothing": right[1:],
        "the places are counted from 0": [place + 1 for place in right],
        "give the places, not the tags that stand there": [tags[place] for place in right],
        "an I must have the type of the tag before it": _places_of_broken(tags, lambda before, _: before != "O"),
        "an I may follow an I of its type, too": _places_of_broken(tags, lambda before, tag: before == "B" + tag[1:]),
        "only the tag just before counts: after an O, an I continues nothing": far,
        "these are the places of every I: some of them continue a name": _places_of_broken(tags, lambda *_: False),
    }
    return named_fault(answer, faults) or _first_difference(answer, right, tags)


def _first_difference(answer: list, right: list[int], tags: list[str]) -> str:
    """The hint for places that no known mistake gives."""
    place = min({*answer} ^ {*right}, key=str, default=None)
    if not isinstance(place, int) or not 0 <= place < len(tags):
        return "the list is not the places in their order"
    before = tags[place - 1] if place else "nothing"
    verdict = "is in order" if place not in right else "is broken"
    return f"{tags[place]} after {before} {verdict}"


@exercise(2)
def label_all_pieces(function: Callable) -> str | None:
    """Check exercise 2, ``label_all_pieces(word_tags, word_ids, number_of)``, on words of one to four pieces."""
    generator = new_generator()
    name, other = pick(generator, TYPES[:2]), TYPES[2]
    word_tags = ["O", f"B-{name}", f"I-{name}", f"B-{name}", f"B-{name}", "O", f"B-{other}"]
    counts = [2, 3, 2, *(whole_number(generator, 1, 4) for _ in word_tags[3:])]
    word_ids = [None, *(word for word, count in enumerate(counts) for _ in range(count)), None]
    tags = ["O", *(f"{prefix}-{each}" for each in TYPES for prefix in "BI")]
    number_of = dict(zip(tags, torch.randperm(len(tags), generator=generator).tolist(), strict=True))
    given = list(word_tags), list(word_ids), dict(number_of)
    answer = function(*given)
    if hint := list_fault("label_all_pieces", answer, "numbers"):
        return hint
    if given != (word_tags, word_ids, number_of):
        return "you changed one of the inputs itself: work on a copy"
    if len(answer) != len(word_ids):
        return f"there are {len(word_ids)} pieces, and {len(answer)} labels"
    firsts = [word != before for before, word in itertools.pairwise([None, *word_ids])]
    right = [_label(word_tags, word, number_of, first) for word, first in zip(word_ids, firsts, strict=True)]
    if answer == right:
        return None
    if any(answer[place] != NOT_COUNTED for place, word in enumerate(word_ids) if word is None):
        return "[CLS] and [SEP] get the label -100"
    pairs = list(zip(right, firsts, strict=True))
    all_first = [_label(word_tags, word, number_of, True) for word in word_ids]
    faults = {
        "these are the labels of the lesson: give the other pieces of a word a tag, too": [
            label if first else NOT_COUNTED for label, first in pairs
        ],
        "a word in several pieces became several names: only its first piece may have the B": all_first,
        "the first piece of a name's first word gets the B": [
            _label(word_tags, word, number_of, False) for word in word_ids
        ],
        "the other pieces of a word are inside the same name, not outside of it": [
            label if first or label == NOT_COUNTED else number_of["O"] for label, first in pairs
        ],
    }
    if hint := named_fault(answer, faults):
        return hint
    place = next(place for place, (one, label) in enumerate(zip(answer, right, strict=True)) if one != label)
    which = "first" if firsts[place] else "later"
    return f"a {which} piece of a word with the tag {word_tags[word_ids[place]]} has the wrong number"


def _label(word_tags: list[str], word: int | None, number_of: dict[str, int], first: bool) -> int:
    """The label of a piece: of the word's tag, which is inside a name where the piece is not the first."""
    if word is None:
        return NOT_COUNTED
    return number_of[word_tags[word] if first else word_tags[word].replace("B-", "I-")]


# ----------------------------------------------------------------------------------------------------------- answers


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _spans(start: Tensor, end: Tensor, first_place: int = 0) -> list[tuple[int, int]]:
    """All valid spans from a place on, the one with the largest sum first."""
    places = range(first_place, len(start))
    pairs = [(i, j) for i in places for j in places if i <= j]
    return sorted(pairs, key=lambda pair: -(start[pair[0]] + end[pair[1]]).item())


def _crossed(generator: Generator) -> tuple[Tensor, Tensor]:
    """Start and end logits (T,) whose largest ones make no span: the end lies before the start, and not at place 0."""
    length = whole_number(generator, 6, 10)
    start, end = numbers(generator, length), numbers(generator, length)
    early, late = sorted((1 + torch.randperm(length - 1, generator=generator)[:2]).tolist())
    start[late] += 3
    end[early] += 3
    return start, end


@exercise(3)
def best_spans(function: Callable) -> str | None:
    """Check exercise 3, ``best_spans(start_logits, end_logits, count)``, with few and with more than there are."""
    generator = new_generator()
    start, end = _crossed(generator)
    right = _spans(start, end)
    for count in (whole_number(generator, 4, 7), len(right) + whole_number(generator, 1, 9)):
        answer, hint = call(function, start_logits=start, end_logits=end, count=count)
        if hint := hint or list_fault("best_spans", answer, "pairs"):
            return hint
        if not all(map(_is_pair, answer)):
            return "best_spans returned a list, but not of pairs (first, last)"
        if any(last < first for first, last in answer):
            few = ", where there are fewer than count" if count > len(right) else ""
            return f"one of the spans ends before it starts{few}"
        if answer == right[:count]:
            continue
        faults = {
            "the best span comes first": right[:count][::-1],
            "a span may be one token long": [pair for pair in right if pair[0] < pair[1]][:count],
            "these are the worst spans": right[::-1][:count],
            "first and last have changed places": [pair[::-1] for pair in right[:count]],
        }
        if hint := named_fault(answer, faults):
            return hint
        if len(answer) != len(right[:count]):
            return f"{len(answer)} spans came back, where {len(right[:count])} should"
        return "the spans are not those with the largest sums of start and end"
    return None


@exercise(4)
def answer_or_none(function: Callable) -> str | None:
    """Check exercise 4, ``answer_or_none(start_logits, end_logits, threshold)``, on either side of the threshold."""
    generator = new_generator()
    start, end = _crossed(generator)
    lead = 1 + whole_number(generator, 1, 3) + float(numbers(generator, 1)) / 2  # of the best span before no answer
    best = _spans(start, end, first_place=1)[0]
    start[0] = end[0] = (start[best[0]] + end[best[1]] - lead) / 2
    answer, hint = call(function, start_logits=start, end_logits=end, threshold=lead - 0.4)
    if hint:
        return hint
    if answer is None:
        return "None came back, though the best span scores more than no answer plus the threshold"
    if not _is_pair(answer):
        return f"answer_or_none returned {kind(answer)}, not a pair (first, last) or None"
    if answer[1] < answer[0]:
        return "the answer ends before it starts"
    if tuple(answer) != best:
        shifted = (answer[0] + 1, answer[1] + 1)
        if shifted == best:
            return "the places are counted within the text: [CLS] is place 0"
        return "the span touches place 0, where [CLS] stands" if 0 in answer else "this is not the best span"
    if function(start, end, lead + 0.4) is not None:
        return "a span came back, though no answer plus the threshold scores more"
    if function(start, end, -lead) is None:
        return "a negative threshold makes an answer easier, not harder"
    start, end = start.clone(), end.clone()
    start[0] += 9
    return None if function(start, end, 0.0) is None else "None is the answer where [CLS] scores best"


@exercise(5)
def windows(function: Callable) -> str | None:
    """Check exercise 5, ``windows(length, size, overlap)``, for texts that fit one window, or several, or not quite."""
    generator = new_generator()
    size = whole_number(generator, 4, 9)
    overlap = whole_number(generator, 1, size - 2)
    step, count = size - overlap, whole_number(generator, 3, 5)
    exact = size + (count - 1) * step
    lengths = [whole_number(generator, 1, size - 1), size, exact, exact + 1, exact + step - 1]
    for length, lap in [*((length, overlap) for length in lengths), (3 * size, 0)]:
        answer, name = function(length, size, lap), f"windows({length}, {size}, {lap})"
        if hint := list_fault("windows", answer, "pairs"):
            return hint
        if not answer or not all(map(_is_pair, answer)):
            return "windows should return a list of pairs (start, end)"
        if hint := _window_fault(answer, length, size, lap):
            return f"{name}: {hint}"
    return None


def _window_fault(answer: list[tuple[int, int]], length: int, size: int, overlap: int) -> str | None:
    """The hint for windows that are not those asked for."""
    if answer[0][0] != 0:
        return "the first window does not start at 0"
    if max(end for _, end in answer) > length:
        return "a window ends behind the text"
    if max(end for _, end in answer) < length:
        return "the end of the text is in no window"
    if len(answer) > 1 and answer[-2][1] >= length:
        return "one window too many: the text was already covered"
    if any(end - start != size for start, end in answer[:-1]):
        return "a window before the last does not have its full size"
    for (_, end), (start, _) in itertools.pairwise(answer):
        if end - start != overlap:
            return f"two neighbours share {end - start} pieces"
    return None if answer[-1][1] - answer[-1][0] <= size else "the last window is too large"


# --------------------------------------------------------------------------------------- interventions, and own data

SYLLABLES = ("ka", "lo", "mi", "ru", "te", "shi", "wan", "bor")
MASK = "[MASK]"


def _word(generator: Generator) -> str:
    return "".join(pick(generator, SYLLABLES) for _ in range(whole_number(generator, 1, 4)))


@exercise(6)
def word_effects(function: Callable) -> str | None:
    """Check exercise 6, ``word_effects(words, probability)``, with a probability that is made up of words and pairs."""
    generator = new_generator()
    words = [f"{_word(generator)}{place}" for place in range(whole_number(generator, 5, 9))]  # no word twice
    worth = dict(zip(words, torch.randn(len(words), generator=generator).tolist(), strict=True))
    calls = []

    def probability(some: list[str]) -> float:
        calls.append(list(some))
        known = [worth.get(word, 0.0) for word in some]
        return float(torch.tensor(sum(known) + 0.3 * sum(a * b for a, b in itertools.pairwise(known))).sigmoid())

    given = list(words)
    answer = function(given, probability)
    if hint := list_fault("word_effects", answer, "numbers"):
        return hint
    if given != words:
        return "the list of words was changed: work on a copy"
    if any(len(some) != len(words) for some in calls):
        return "a word was taken out: put [MASK] in its place, or all words behind it move"
    if any(word not in worth and word != MASK for some in calls for word in some):
        return 'something else than "[MASK]" was put in place of a word'
    if any(some.count(MASK) > 1 for some in calls):
        return "more than one word was hidden at a time"
    if len(answer) != len(words):
        return f"there are {len(words)} words, and {len(answer)} effects"
    if len(calls) > len(words) + 1:
        return "probability was called more often than once for the whole list and once for each word"
    hidden = [probability([*words[:place], MASK, *words[place + 1 :]]) for place in range(len(words))]
    right = [probability(words) - one for one in hidden]
    if _near(answer, right):
        return None
    if _near(answer, [-one for one in right]):
        return "the signs are upside down: a word that speaks for the type has a positive effect"
    return "these are the probabilities, not the differences" if _near(answer, hidden) else "the differences are others"


def _near(one: list, other: list[float]) -> bool:
    return all(isinstance(a, int | float) and abs(a - b) < 1e-5 for a, b in zip(one, other, strict=True))


@exercise(7)
def read_tagged(function: Callable) -> str | None:
    """Check exercise 7, ``read_tagged(lines)``, on a made-up sentence with names side by side and at its end."""
    generator = new_generator()
    names = [(pick(generator, TYPES), whole_number(generator, 1, 3)) for _ in range(whole_number(generator, 3, 5))]
    names = [("LOC", 2), ("LOC", 1), *names, ("PER", 2)]  # two of one type side by side, and one at the end
    tags = []
    for place, (name, count) in enumerate(names):
        tags += ["O"] * (whole_number(generator, 1, 3) if place != 1 else 0)
        tags += [f"B-{name}"] + [f"I-{name}"] * (count - 1)
    words = [_word(generator) for _ in tags]
    lines = [f"{word} {tag}" for word, tag in zip(words, tags, strict=True)]
    answer = function(list(lines))
    if not _is_pair(answer) or not isinstance(answer[0], str) or not isinstance(answer[1], list):
        return f"read_tagged returned {kind(answer)}, not a text and a list of names"
    text, found = answer
    if text != " ".join(words):
        return "the text is not the words joined by single spaces"
    if not all(isinstance(name, tuple) and len(name) == 3 for name in found):
        return "a name is a tuple (start, end, type)"
    right = _names_of(words, tags)
    return None if found == right else _tagged_fault(found, right, words, tags)


def _names_of(words: list[str], tags: list[str], gap: int = 1) -> list[tuple[int, int, str]]:
    """The names of a sentence in characters, where words stand so many spaces apart."""
    starts = [0, *itertools.accumulate(len(word) + gap for word in words)]
    names = []
    for word, tag, start in zip(words, tags, starts, strict=False):
        if tag[0] == "B":
            names.append((start, start + len(word), tag[2:]))
        elif tag[0] == "I":
            names[-1] = (names[-1][0], start + len(word), names[-1][2])
    return names


def _tagged_fault(found: list, right: list, words: list[str], tags: list[str]) -> str:
    """The hint for names that are not those of the sentence."""
    apart = [tag.replace("I-", "B-") for tag in tags]
    together = [
        tag.replace("B-", "I-") if before[1:] == tag[1:] else tag for before, tag in itertools.pairwise(["O", *tags])
    ]
    in_words = _names_of(["x"] * len(words), tags, gap=0)
    faults = {
        "the end of a name is not included: it is the place after the last character": [
            (start, end - 1, name) for start, end, name in right
        ],
        "the spaces between the words count, too": _names_of(words, tags, gap=0),
        "give places in characters, not in words": in_words,
        "give characters, not words; and the end is not included": [(a, b - 1, name) for a, b, name in in_words],
        "the name at the end of the sentence is missing": right[:-1],
        "the type is what follows B- or I-": [(start, end, f"B-{name}") for start, end, name in right],
        "an I continues the name before it, and opens none": _names_of(words, apart),
        "two names side by side became one: each B opens a new one": _names_of(words, together),
    }
    return named_fault(found, faults) or "the names are not those of the tags"
