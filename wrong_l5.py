"""For tests/test_checks.py: typical wrong answers to the exercises of lesson 5. Removed when the lesson is merged.

There: FIVE = "5-beyond-classification", EXERCISES += [(FIVE, number) for number in range(1, 8)], "itertools": itertools
in NAMES (the solutions use it), and the entries of EACH_WRONG_5 in EACH_WRONG.
"""

import itertools

FIVE = "5-beyond-classification"


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


def cut(length, size, overlap, step=None, beyond=0):
    """Windows: with another step, or so many too many."""
    step = step or size - overlap
    pairs = [(0, min(size, length))]
    while pairs[-1][1] < length:
        start = pairs[-1][0] + step
        pairs.append((start, min(start + size, length)))
    return pairs + [(pairs[-1][0] + step, length)] * beyond


def effects(words, probability, hide=lambda words, i: [*words[:i], "[MASK]", *words[i + 1 :]], sign=1):
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


EACH_WRONG_5 = {
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
        ("share", {"windows": lambda length, size, overlap: cut(length, size, overlap, step=size)}),
        ("one window too many", {"windows": lambda *given: cut(*given, beyond=1)}),
        (
            "a window ends behind the text",
            {"windows": lambda length, size, overlap: [(a, a + size) for a, _ in cut(length, size, overlap)]},
        ),
        ("the end of the text is in no window", {"windows": lambda length, size, overlap: [(0, min(size, length))]}),
    ],
    (FIVE, 6): [
        (
            "the signs are upside down",
            {"word_effects": lambda words, probability: effects(words, probability, sign=-1)},
        ),
        (
            "a word was taken out",
            {
                "word_effects": lambda words, probability: effects(
                    words, probability, lambda w, i: [*w[:i], *w[i + 1 :]]
                )
            },
        ),
        ("the list of words was changed", {"word_effects": effects_in_place}),
        ("more than one word was hidden", {"word_effects": effects_one_after_the_other}),
        (
            'something else than "[MASK]"',
            {
                "word_effects": lambda words, probability: effects(
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
}
