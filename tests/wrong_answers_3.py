"""Typical wrong answers to the exercises of lesson 3, with the hint that each must get, and other right answers.

In the form of EACH_WRONG and RIGHT in test_checks.py, which takes them in.
"""

import random

import torch
import torch.nn.functional as F

THREE = "3-bert"


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


EACH_WRONG = {
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
}
RIGHT = [
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
]
