"""Typical wrong answers to the exercises of lesson 4, for EACH_WRONG of test_checks.py, where they belong at the merge.

For each exercise: the hint that the answer must get, and the answer.
"""

import torch


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


EACH_WRONG = {
    1: [
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
    2: [
        ("the padding stands behind", {"pad_left": lambda rows, p: (padded(rows, p, False), ones(rows, False))}),
        ("the padding is 0", {"pad_left": lambda rows, p: (padded(rows, 0), ones(rows))}),
        ("the mask is upside down", {"pad_left": lambda rows, p: (padded(rows, p), 1 - ones(rows))}),
        ("the mask has its zeros behind", {"pad_left": lambda rows, p: (padded(rows, p), ones(rows, False))}),
        ("the mask hides a piece", {"pad_left": lambda rows, p: (x := padded(rows, p), (x != p).long())}),
        ("have changed places", {"pad_left": lambda rows, p: (ones(rows), padded(rows, p))}),
        ("has the dtype", {"pad_left": lambda rows, p: (padded(rows, p), ones(rows).bool())}),
    ],
    3: [
        ("have changed places", {"precision_and_recall": lambda p, t, c: shares(p, t, c)[::-1]}),
        ("precision has a nan", {"precision_and_recall": lambda p, t, c: shares(p, t, c, least=0)}),
        ("is the share of all texts", {"precision_and_recall": lambda p, t, c: [shares(p, t, c, len(p))[0]] * 2}),
    ],
    4: [
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
    5: [
        ("this is the accuracy on all rows", {"selective": of_all}),
        ("the accuracy divides by all rows", {"selective": divided_by_all}),
        ("the accuracy is nan", {"selective": without_the_empty_case}),
        ("make them probabilities first", {"selective": of_logits}),
        ("have changed places", {"selective": lambda *inputs: without_the_empty_case(*inputs)[::-1]}),
    ],
    6: [
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
}
