"""The checks of lesson 4, on fine-tuning. Each gets a function of the learner, and calls it with inputs on the CPU."""

import random
from collections.abc import Callable

import torch
from torch import Tensor

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
    whole_number,
)

TOLERANCE = 1e-5


def _differ(one: float, other: float) -> bool:
    """Whether two numbers differ by more than rounding; nan differs from all."""
    return not abs(one - other) <= TOLERANCE


def _floats_fault(name: str, answer: object, first: str, second: str) -> str | None:
    """The hint for a function that should return two floats."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return f"{name} returned {kind(answer)}, not two floats, {first} and {second}"
    for what, value in zip((first, second), answer, strict=True):
        if not isinstance(value, float):
            return f"{what} is {kind(value)}, not a float"
    return None


@exercise(1)
def unpad(function: Callable) -> str | None:
    """Check exercise 1, ``unpad(input_ids, attention_mask)``, with zeros in the text and another number as padding."""
    generator = new_generator()
    b, t = sizes(2, generator)
    lengths = lengths_of_texts(generator, b, t)
    mask = (torch.arange(t) < lengths[:, None]).long()  # (B, T)
    ids = torch.randint(2, 10, (b, t), generator=generator)
    ids[:, 0] = 0
    ids[0, 1] = 1
    ids[mask == 0] = 1
    answer, hint = call(function, input_ids=ids, attention_mask=mask)
    if hint:
        return hint
    if not isinstance(answer, list) or not all(isinstance(row, list) for row in answer):
        return f"unpad returned {kind(answer)}, not a list of lists"
    if any(isinstance(number, Tensor) for row in answer for number in row):
        return "the rows hold tensors: make them lists of numbers"
    rows = ids.tolist()
    wanted = [row[:length] for row, length in zip(rows, lengths.tolist(), strict=True)]
    faults = {
        "nothing is taken out": rows,
        "you looked for zeros: a 0 can be text, and another number can be padding": [
            [number for number in row if number] for row in rows
        ],
        "you looked for a number, but a text may hold that number, too": [
            [number for number in row if number > 1] for row in rows
        ],
        "this is the padding; the text is what is left": [
            row[length:] for row, length in zip(rows, lengths.tolist(), strict=True)
        ],
        "the first token is missing": [row[1:] for row in wanted],
        "the last token is missing": [row[:-1] for row in wanted],
    }
    if answer == wanted:
        return None
    if len(answer) != b:
        return f"there are {len(answer)} lists for {b} texts"
    return next((hint for hint, wrong in faults.items() if answer == wrong), None) or (
        "the rows are not the numbers where the mask is 1, in their order"
    )


@exercise(2)
def pad_left(function: Callable) -> str | None:
    """Check exercise 2, ``pad_left(rows, pad_id)``, with the padding's number in the text."""
    generator = new_generator()
    b, t = sizes(2, generator)
    lengths = lengths_of_texts(generator, b, t).tolist()
    pad_id = whole_number(generator, 1, 9)
    # A text of pad_id alone would look the same padded left and right. So pad_id stands in one text, and only once.
    rows = [((pad_id + torch.randint(1, 10, (length,), generator=generator)) % 10).tolist() for length in lengths]
    rows[0][0] = pad_id
    copies = [list(row) for row in rows]
    answer, _ = call(function, rows=rows, pad_id=pad_id)
    if rows != copies:
        return "you changed rows itself: work on a copy"
    if hint := pair_fault("pad_left", answer, "input_ids", "attention_mask"):
        return hint
    ids, mask = answer
    for what, value in (("input_ids", ids), ("attention_mask", mask)):
        if hint := tensor_fault(what, value, "(B, T)", (b, t), torch.int64):
            return hint
    right = torch.tensor([[pad_id] * (t - len(row)) + row for row in rows])
    right_mask = torch.tensor([[0] * (t - len(row)) + [1] * len(row) for row in rows])
    if close(ids, right_mask) and close(mask, right):
        return "input_ids and attention_mask have changed places"
    if not close(ids, right):
        faults = {
            "the padding stands behind the text": torch.tensor([row + [pad_id] * (t - len(row)) for row in rows]),
            "the padding is 0 and not pad_id": right * right_mask,
            "the texts are written backwards": torch.tensor([[pad_id] * (t - len(row)) + row[::-1] for row in rows]),
        }
        return known_fault(ids, faults) or "input_ids are not the padding, then the text, in each row"
    if not close(mask, right_mask):
        faults = {
            "the mask is upside down: it is 1 where there is text": 1 - right_mask,
            "the mask has its zeros behind: they belong where the padding is": right_mask.flip(1),
            "the mask hides a piece of text that has the padding's number: take it from the lengths": (
                (right != pad_id).long()
            ),
            "the mask is 1 everywhere": torch.ones_like(right_mask),
        }
        return known_fault(mask, faults) or "the mask is not 1 exactly where there is text"
    return None


@exercise(3)
def precision_and_recall(function: Callable) -> str | None:
    """Check exercise 3, ``precision_and_recall(predictions, targets, count)``, with a class that is never called."""
    generator = new_generator()
    count, n = sizes(2, generator, low=5, high=9)
    n *= 7
    targets = torch.randint(0, count - 1, (n,), generator=generator)  # the last class does not occur
    predictions = torch.where(
        torch.rand(n, generator=generator) < 0.6, targets, torch.randint(1, count, (n,), generator=generator)
    )
    predictions[predictions == 0] = 1  # class 0 is never called
    targets[:2] = 0
    answer, hint = call(function, predictions=predictions, targets=targets, count=count)
    if hint := hint or pair_fault("precision_and_recall", answer, "precision", "recall"):
        return hint
    called, true = (torch.nn.functional.one_hot(numbers_of, count).T.float() for numbers_of in (predictions, targets))
    both = (called * true).sum(dim=1)  # (C,)
    precision, recall = (both / counted.sum(dim=1).clamp(min=1) for counted in (called, true))
    for name, value in (("precision", answer[0]), ("recall", answer[1])):
        if hint := tensor_fault(name, value, "(C,)", (count,)):
            return hint
    if close(answer[0], recall) and close(answer[1], precision):
        return "precision and recall have changed places: precision divides by how often a class was called"
    for name, value, right in (("precision", answer[0], precision), ("recall", answer[1], recall)):
        if close(value, right):
            continue
        if value.isnan().any():
            return f"{name} has a nan, for a class where there is nothing to divide by: there it is 0"
        faults = {
            f"{name} is the share of all texts: divide by the count of the class": both / n,
            f"{name} counts, but does not divide": both,
        }
        return known_fault(value, faults) or f"the {name} of a class is wrong, or in the place of another class"
    return None


@exercise(4)
def deletion_effects(function: Callable) -> str | None:
    """Check exercise 4, ``deletion_effects(probability, text)``, on a text that holds a word twice."""
    chance = random.Random()
    names = chance.sample(["oil", "cup", "court", "virus", "bank", "goal", "chip", "vote"], 6)
    weights = {name: chance.uniform(0.1, 0.5) * chance.choice((-1, 1)) for name in names}
    words = [*names, names[1]]  # a word that stands there twice
    chance.shuffle(words)

    def one(text: list[str]) -> float:
        return torch.sigmoid(torch.tensor(sum(weights[word] for word in text))).item()

    def probability(texts: list[str]) -> Tensor:
        if isinstance(texts, str):
            raise TypeError("probability takes a list of texts, not one text")
        return torch.tensor([one(text.split()) for text in texts])

    answer, _ = call(function, probability=probability, text=" ".join(words))
    if not isinstance(answer, list) or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in answer):
        return f"deletion_effects returned {kind(answer)}, not a list of (word, drop)"
    if len(answer) != len(words):
        return f"there are {len(answer)} pairs for {len(words)} words; a word that stands there twice has two"
    if any(not isinstance(drop, int | float) for _, drop in answer):
        return "a drop is no float: call .item() or .tolist()"
    whole = one(words)
    without = [one(words[:place] + words[place + 1 :]) for place in range(len(words))]
    right = [whole - share for share in without]
    got = [drop for _, drop in answer]

    def like(wanted: list[float]) -> bool:
        return all(not _differ(a, b) for a, b in zip(got, wanted, strict=True))

    if [word for word, _ in answer] != words:
        if sorted(word for word, _ in answer) == sorted(words):
            return "the words stand in another order than in the text"
        return "the words are not those of text.split()"
    if like(right):
        return None
    faults = {
        "the sign is wrong: a drop is above 0 where the probability falls without the word": [-x for x in right],
        "this is the probability without the word, not by how much it fell": without,
        "this is the probability of the word alone": [one([word]) for word in words],
        "a word that stands there twice was deleted in both places: delete by place": [
            whole - one([other for other in words if other != word]) for word in words
        ],
        "the words before it were deleted, too: begin with the whole text each time": [
            whole - one(words[place + 1 :]) for place in range(len(words))
        ],
    }
    return next((hint for hint, wrong in faults.items() if like(wrong)), None) or (
        "the drops are not the probability of the whole text minus that of the text without the word"
    )


@exercise(5)
def selective(function: Callable) -> str | None:
    """Check exercise 5, ``selective(logits, targets, threshold)``, at three thresholds."""
    generator = new_generator()
    n, c = 40, sizes(1, generator)[0]
    logits = 4 * numbers(generator, n, c)
    certainty, guess = logits.softmax(dim=1).max(dim=1)
    wrong = torch.cat([certainty.argsort()[: n // 2 : 2], certainty.argsort()[-2:]])  # few of them among the sure ones
    targets = guess.clone()
    targets[wrong] = (guess[wrong] + 1) % c
    for threshold in (0.0, certainty.median().item() - 1e-4, 1.5):
        answer, hint = call(function, logits=logits, targets=targets, threshold=threshold)
        if hint := hint or _floats_fault("selective", answer, "the share", "the accuracy"):
            return hint
        sure = certainty >= threshold
        share = sure.float().mean().item()
        accuracy = (guess == targets)[sure].float().mean().item() if sure.any() else 1.0
        if not (_differ(answer[0], share) or _differ(answer[1], accuracy)):
            continue
        if answer[1] != answer[1]:
            return "the accuracy is nan where no row is sure enough: there it is 1.0"
        if not sure.any():
            return "where no row is sure enough, the share is 0.0 and the accuracy 1.0"
        if not (_differ(answer[0], accuracy) or _differ(answer[1], share)):
            return "share and accuracy have changed places"
        if not _differ(answer[0], (logits.max(dim=1).values >= threshold).float().mean().item()):
            return "you compared the logits with the threshold: make them probabilities first"
        if _differ(answer[0], share):
            return f"at threshold {threshold:.2f} the share of sure rows is {answer[0]:.3f}: count again"
        if not _differ(answer[1], (guess == targets).float().mean().item()):
            return "this is the accuracy on all rows: count the sure ones only"
        if not _differ(answer[1], ((guess == targets) & sure).float().mean().item()):
            return "the accuracy divides by all rows: divide by the sure ones"
        return "the accuracy is not the share of right answers among the sure rows"
    return None


@exercise(6)
def cut_off(function: Callable) -> str | None:
    """Check exercise 6, ``cut_off(lengths, max_length)``, with a text that fits exactly."""
    chance = random.Random()
    longest = chance.randint(20, 40)
    lengths = [chance.randint(5, 90) for _ in range(15)] + [longest, longest + 1, 4, 95]
    chance.shuffle(lengths)
    copy = list(lengths)
    answer, _ = call(function, lengths=lengths, max_length=longest)
    if lengths != copy:
        return "you changed lengths itself: work on a copy"
    if hint := _floats_fault("cut_off", answer, "the share of texts", "the share of pieces"):
        return hint
    lost = [max(0, length - longest) for length in lengths]
    texts, pieces = sum(map(bool, lost)) / len(lengths), sum(lost) / sum(lengths)
    if not (_differ(answer[0], texts) or _differ(answer[1], pieces)):
        return None
    if not (_differ(answer[0], pieces) or _differ(answer[1], texts)):
        return "the two shares have changed places"
    if not _differ(answer[0], sum(length >= longest for length in lengths) / len(lengths)):
        return "a text of exactly max_length pieces fits: it is not cut"
    if not _differ(answer[0], 1 - texts):
        return "this is the share of texts that fit"
    if _differ(answer[0], texts):
        longer = f"{sum(map(bool, lost))} of {len(lengths)} texts are longer than {longest} here"
        return f"{longer}: that is no share of {answer[0]:.3f}"
    cut = sum(length for length in lengths if length > longest)
    if not _differ(answer[1], cut / sum(lengths)):
        return "not all of a cut text is lost: only what stands beyond max_length"
    if not _differ(answer[1], sum(lost) / cut):
        return "divide by the pieces of all texts, not of those that are cut"
    if not _differ(answer[1], 1 - pieces):
        return "this is the share of pieces that are kept"
    return "the share of pieces is not what stands beyond max_length, divided by the pieces of all texts"
