"""The checks of lesson 3, on BERT. Each gets one function of the learner, and calls it with inputs made on the CPU."""

import math
import random
import string
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM

from . import call, close, exercise, kind, known_fault, new_generator, numbers, sizes, tensor_fault, whole_number


@exercise(1)
def embedding_share(function: Callable) -> str | None:
    """Check exercise 1, ``embedding_share(config)``, on a small BERT whose sizes all differ."""
    heads, head_size, layers, segments, positions, pieces, factor = sizes(7, new_generator(), low=3, high=12)
    width, hidden = heads * head_size, factor * 7
    vocabulary, places = 50 * pieces, 20 * positions
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=hidden,
        max_position_embeddings=places,
        type_vocab_size=segments,
    )
    share = function(config)
    if not isinstance(share, float):
        return f"embedding_share returned {kind(share)}, not a float"
    rows = {"the word pieces": vocabulary, "the positions": places, "the segments": segments}
    tables = {part: count * width for part, count in (rows | {"scale and shift of the norm": 2}).items()}
    block = 4 * (width**2 + width) + (2 * width * hidden + hidden + width) + 4 * width
    blocks, pooler, inside = layers * block, width**2 + width, sum(tables.values())
    whole = inside + blocks + pooler
    if math.isclose(share, inside / whole, rel_tol=1e-6):
        return None
    return _share_fault(share, tables, inside, whole, pooler, blocks - block)


def _share_fault(share: float, tables: dict[str, int], inside: int, whole: int, pooler: int, surplus: int) -> str:
    """The hint for a wrong share; surplus is what all blocks but one hold."""
    faults = {
        "the pooler is missing: it belongs to the whole": [inside / (whole - pooler)],
        "you divide by the other parameters: divide by all": [inside / (whole - inside)],
        "this is a percentage: a share is at most 1": [100 * inside / whole],
        "this is the share of everything else": [1 - inside / whole],
        "only one block is counted: there are num_hidden_layers": [inside / (whole - surplus)],
    }
    for part, count in tables.items():
        totals = (whole, whole - count, whole - pooler, whole - count - pooler)
        faults[f"{part} are missing in the embeddings"] = [(inside - count) / total for total in totals]
    found = (hint for hint, wrong in faults.items() if any(math.isclose(share, x, rel_tol=1e-6) for x in wrong))
    return next(found, f"{share:.4f} is not the share of the embeddings: count the parts of each block once more")


@exercise(2)
def mask_whole_words(function: Callable) -> str | None:
    """Check exercise 2, ``mask_whole_words(word_ids, chosen_words)``, on words of one to four pieces."""
    generator = new_generator()
    lengths = [*torch.randint(1, 5, (6,), generator=generator).tolist(), 1, 3]
    lengths = [lengths[i] for i in torch.randperm(8, generator=generator).tolist()]
    word_ids = [None, *(word for word, length in enumerate(lengths) for _ in range(length)), None]
    drawn = 1 + torch.randperm(7, generator=generator)[:2]
    chosen = {0, *drawn.tolist(), lengths.index(3)}  # word 0, and a long one
    answer = function(list(word_ids), set(chosen))
    if hint := tensor_fault("the result", answer, "(T,)", (len(word_ids),), torch.bool):
        return hint
    right = torch.tensor([word in chosen for word in word_ids])
    if close(answer, right):
        return _of_no_word(function, word_ids)
    begins = torch.tensor([word is not None and word != before for before, word in pairwise([None, *word_ids])])
    is_word = torch.tensor([word is not None for word in word_ids])
    not_zero = torch.tensor([bool(word) for word in word_ids])
    faults = {
        "the special tokens are chosen, too: None is the number of no word": right | ~is_word,
        "upside down: True is for the chosen words": ~right,
        "upside down, and without the special tokens: True is for the chosen words": ~right & is_word,
        "only the first piece of each word is chosen: choose all of them": right & begins,
        "the first piece of each word is not chosen: choose all of them": right & ~begins,
        "word 0 is missing: Python takes 0 for false, as it does None": right & not_zero,
        "the numbers are numbers of words: you chose the pieces at these places": torch.tensor(
            [place in chosen for place in range(len(word_ids))]
        ),
    }
    return known_fault(answer, faults) or f"for {word_ids} and the words {sorted(chosen)}: {answer.int().tolist()}"


def _of_no_word(function: Callable, word_ids: list) -> str | None:
    """The hint for a function that stops, or chooses something, where no word is chosen."""
    answer = function(list(word_ids), set())
    if hint := tensor_fault("the result for no chosen word", answer, "(T,)", (len(word_ids),), torch.bool):
        return hint
    return "something is chosen although chosen_words is empty" if answer.any() else None


@exercise(3)
def next_sentence_pairs(function: Callable) -> str | None:
    """Check exercise 3, ``next_sentence_pairs(documents, dice)``, on many pairs of made-up documents."""
    seed = random.SystemRandom().randrange(10**6)
    shape = random.Random(seed)
    documents = [[f"{d}.{s}" for s in range(shape.randint(2, 5))] for d in range(shape.randint(3, 5))]
    runs = [function([list(document) for document in documents], random.Random(seed + i)) for i in range(200)]
    again = function([list(document) for document in documents], random.Random(seed))
    for run in runs:
        if not isinstance(run, list) or len(run) != len(documents):
            return f"next_sentence_pairs returned {kind(run)}, not a list with one pair for each of the documents"
        if not all(isinstance(pair, tuple) and len(pair) == 3 and isinstance(pair[2], bool) for pair in run):
            return "a pair is (first, second, True or False)"
    if again != runs[0]:
        return "equal dice give different pairs: draw with dice only"
    hints = (_pairs_fault(number, documents, runs) for number in range(len(documents)))
    return next((hint for hint in hints if hint), None)


def _pairs_fault(number: int, documents: list[list[str]], runs: list[list[tuple]]) -> str | None:
    """The hint for the pairs of one document."""
    document, pairs = documents[number], [run[number] for run in runs]
    firsts = {first for first, _, _ in pairs}
    if not firsts <= set(document):
        return "the pairs are not in the order of the documents: a first sentence is from another one"
    if document[-1] in firsts:
        return "a first sentence is the last of its document: what should follow it?"
    if firsts != set(document[:-1]):
        return "some sentences never come first: draw the place with dice"
    others = {sentence for other in documents if other is not document for sentence in other}
    for first, second, is_next in pairs:
        if is_next and second != document[document.index(first) + 1]:
            return "is_next is True, but the second is not the sentence after the first"
        if not is_next and second in document:
            return "is_next is False, but the second is from the same document"
        if second not in {*document, *others}:
            return f"{second!r} is no sentence of the documents"
    true = sum(is_next for *_, is_next in pairs)
    if not 60 <= true <= 140:  # five standard deviations
        return f"{100 * true // len(pairs)} of 100 pairs follow, instead of about half"
    drawn = {second for _, second, is_next in pairs if not is_next}
    if {sentence.split(".")[0] for sentence in drawn} != {sentence.split(".")[0] for sentence in others}:
        return "a false second never comes from some of the other documents: draw from all of them"
    firsts_only = {other[0] for other in documents if other is not document}
    return "a false second always begins its document: draw the sentence, too" if drawn <= firsts_only else None


@exercise(4)
def pseudo_log_likelihood(function: Callable) -> str | None:
    """Check exercise 4, ``pseudo_log_likelihood(model, input_ids, mask_token_id)``, on a small random BERT."""
    generator = new_generator()
    t = whole_number(generator, 5, 8)
    torch.manual_seed(generator.initial_seed() % 2**32)
    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForMaskedLM(BertConfig(vocab_size=40, initializer_range=1.0, **settings)).eval()
    ids = torch.randint(4, 40, (1, t), generator=generator)
    ids[0, 0], ids[0, -1] = 1, 2  # [CLS] and [SEP]; 3 is [MASK]
    batches: list[int] = []
    hook = model.bert.register_forward_hook(lambda module, inputs, output: batches.append(len(output[0])))
    answer, hint = call(lambda input_ids: function(model, input_ids, 3), input_ids=ids)
    hook.remove()
    if hint:
        return hint
    if not isinstance(answer, float):
        return f"pseudo_log_likelihood returned {kind(answer)}, not a float"
    faults, right = _sums_of(model, ids)
    if math.isclose(answer, right, rel_tol=1e-3):
        rows = f"the model read batches of {batches} rows instead of one batch of T - 2 = {t - 2}"
        return None if batches == [t - 2] else rows
    # Two mistakes may come to nearly the same sum by chance, so the nearest one is named.
    wrong, hint = min(
        ((x, hint) for hint, sums in faults.items() for x in sums), key=lambda fault: abs(answer - fault[0])
    )
    if math.isclose(answer, wrong, rel_tol=1e-3):
        return hint
    return "the sum is not that of the logarithms of the true pieces' probabilities, each at its blank"


@torch.no_grad()
def _sums_of(model: BertForMaskedLM, ids: Tensor) -> tuple[dict[str, list[float]], float]:
    """What typical mistakes come to, and the right sum."""
    t = ids.shape[1]
    blank_each, nothing, all_blank = ids.repeat(t, 1).fill_diagonal_(3), ids, ids.clone()
    all_blank[:, 1:-1] = 3
    logits = model(torch.cat([blank_each, nothing, all_blank])).logits  # (t + 2, t, 40)
    p = logits.log_softmax(dim=2).gather(2, ids.expand(t + 2, t)[:, :, None])[:, :, 0]  # (t + 2, t)
    own, raw = p[:t].diagonal(), logits.gather(2, ids.expand(t + 2, t)[:, :, None])[:, :, 0][:t].diagonal()
    right = own[1:-1].sum()
    faults = {
        "nothing was blanked: the model saw what it should guess": [p[t].sum(), p[t, 1:-1].sum()],
        "all pieces were blanked at once: blank one in each row": [p[t + 1].sum(), p[t + 1, 1:-1].sum()],
        "[CLS] or [SEP] was blanked and counted, too": [own.sum(), own[1:].sum(), own[:-1].sum()],
        "you count all places of each row: count its blank only": [p[1 : t - 1].sum(), p[1 : t - 1, 1:-1].sum()],
        "this is a mean: take the sum": [right / (t - 2), -right / (t - 2), right / t],
        "this is a loss: the logarithm of a probability is not above 0": [-right],
        "these are logits: take the logarithm of the softmax": [raw[1:-1].sum()],
        "these are probabilities: take their logarithms": [own[1:-1].exp().sum()],
    }
    return {hint: [x.item() for x in wrong] for hint, wrong in faults.items()}, right.item()


@exercise(5)
def same_sense(function: Callable) -> str | None:
    """Check exercise 5, ``same_sense(query, examples, labels)``, where other measures prefer other examples."""
    generator = new_generator()
    (d,) = sizes(1, generator, low=4)
    query = numbers(generator, d)
    query /= query.norm()
    off = numbers(generator, d)
    off -= (off @ query) * query
    off /= off.norm()  # at a right angle to the query
    made = {
        "alike": 0.3 * query + 0.03 * off,  # short, and nearly the same direction
        "long": 5 * query + 5 * off,
        "near": 0.9 * query + 0.45 * off,
        "opposite": -3 * query,
    }
    order = [[*made][i] for i in torch.randperm(4, generator=generator).tolist()]
    drawn = 100 + torch.randperm(900, generator=generator)[:4]
    label_of = {name: f"sense {number}" for name, number in zip(order, drawn.tolist(), strict=True)}
    labels, examples = [*label_of.values()], torch.stack([made[name] for name in order])
    answer, hint = call(lambda query, examples: function(query, examples, list(labels)), query=query, examples=examples)
    if hint:
        return hint
    if not isinstance(answer, str):
        place = isinstance(answer, int | Tensor)
        return f"same_sense returned {kind(answer)}, not a label" + (": take the label at this place" if place else "")
    faults = {
        "long": "a long vector wins: the product alone is no cosine, scale both vectors to length 1",
        "near": "the example at the smallest distance wins: distance depends on length, the cosine does not",
        "opposite": "the example that points the opposite way wins: take the largest cosine, with its sign",
    }
    named = {label_of[name]: hint for name, hint in faults.items()}
    return None if answer == label_of["alike"] else named.get(answer, f"{answer!r} is none of the labels")


@exercise(6)
def hide(function: Callable) -> str | None:
    """Check exercise 6, ``hide(attention_mask, input_ids, piece)``, on padded texts that hold the piece or not."""
    generator = new_generator()
    b, t = sizes(2, generator, low=4)
    lengths = torch.randint(2, t, (b,), generator=generator)
    mask = (torch.arange(t) < lengths[:, None]).long()  # (B, T), each row with padding
    ids = torch.randint(5, 9, (b, t), generator=generator) * mask
    piece = int(ids[0, 0])
    ids[1, 0] = piece + 10  # not all begin with it
    answer, hint = call(lambda mask, ids: function(mask, ids, piece), attention_mask=mask, input_ids=ids)
    if hint := hint or tensor_fault("the result", answer, "(B, T)", (b, t), torch.int64):
        return hint
    stands = (ids == piece).long()
    right = mask * (1 - stands)
    if close(answer, right):
        return None
    first = torch.zeros_like(stands)
    first[torch.arange(b), stands.argmax(dim=1)] = 1
    without = 1 - stands.amax(dim=1, keepdim=True)  # (B, 1), 1 for a text without the piece
    faults = {
        "nothing is hidden but the padding": mask,
        "padding may be looked at": 1 - stands,
        "only the piece may be looked at: it is the one to hide": mask * stands,
        "the mask is upside down: 1 says that a place may be looked at": 1 - right,
        "only the first of these pieces is hidden in each text": mask * (1 - first * stands),
        "whole texts are hidden: hide only the places where the piece stands": mask * without,
    }
    row = next(i for i in range(b) if not close(answer[i], right[i]))
    wrong = f"row {row}: with {piece} hidden, {ids[row].tolist()} got the mask {answer[row].tolist()}"
    return known_fault(answer, faults) or wrong


@exercise(7)
def my_quiz(function: Callable) -> str | None:
    """Check exercise 7, ``my_quiz(texts, dice)``, on texts of made-up words, short ones and numbers among them."""
    seed = random.SystemRandom().randrange(10**6)
    made = random.Random(seed)
    texts = [_made_up_text(made) for _ in range(5)]
    runs = [function(list(texts), random.Random(seed + i)) for i in range(40)]
    if function(list(texts), random.Random(seed)) != runs[0]:
        return "equal dice give different questions: draw with dice only"
    for run in runs:
        if not isinstance(run, list) or len(run) != len(texts):
            return f"my_quiz returned {kind(run)}, not a list with one pair for each text"
        for text, pair in zip(texts, run, strict=True):
            if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
                return "an item of the quiz is (question, answer), two strings"
            if hint := _question_fault(text, *pair):
                return hint
    for i, text in enumerate(texts):
        answers, possible = {run[i][1] for run in runs}, {word for word in text.split() if _may_be_asked(word)}
        if len(answers) == 1 < len(possible):
            return f"of {text!r} the same word is asked each time: draw it with dice"
    return None


def _may_be_asked(word: str) -> bool:
    return len(word) >= 4 and word.isalpha()


def _made_up_text(made: random.Random) -> str:
    """A text with words to ask for, one of them twice, and others that may not be asked for."""
    words = ["".join(made.choices(string.ascii_lowercase, k=made.randint(4, 8))) for _ in range(4)]
    others = ["an", "of", "12,000", "half-time", f"{made.randint(1000, 9999)}", f"{words[0]}s", f"{words[1]},"]
    mixed = [*words, words[0], *others]
    made.shuffle(mixed)
    return " ".join(mixed)


def _question_fault(text: str, question: str, answer: str) -> str | None:
    """The hint for one question and its answer."""
    before, after = text.split(), question.split()
    if question.count("[MASK]") != 1:
        return f"a question holds {question.count('[MASK]')} times [MASK] instead of once"
    if answer not in before:
        return f"the answer {answer!r} is no word of its text: take it as it stands there"
    if not _may_be_asked(answer):
        return f"the answer {answer!r} should have four letters or more, and nothing but letters"
    if "[MASK]" not in after:
        return "a part of a word was replaced: replace a whole word"
    if len(after) != len(before):
        return f"the text has {len(before)} words and its question {len(after)}"
    if _changed(before, after) != [answer]:
        return "the question is not the text with the answer replaced, and all else as it was"
    return None


def _changed(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The words that were replaced."""
    return [one for one, other in zip(before, after, strict=True) if one != other]
