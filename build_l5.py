# ruff: noqa: E501
"""Build lesson 5 and its solutions from cells with stable ids; removed when the lesson is merged.

    python build_l5.py            writes notebooks/5-beyond-classification.ipynb and its solutions, without outputs
    python build_l5.py --check    writes nothing: syntax, lengths, layers and names of the cells, with the standard library

A number that depends on a run is a placeholder in capitals in a markdown cell of its own; the comment above the cell
says what the sentence should say, and of which outputs. NOTES lists what is to be chosen or measured.
"""

import ast
import builtins
import re
import statistics
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LESSON = ROOT / "notebooks" / "5-beyond-classification.ipynb"
SOLUTIONS = ROOT / "notebooks" / "solutions" / "5-beyond-classification.ipynb"
IGN = "nbval-ignore-output"
lesson: list[dict] = []
solutions: list[dict] = []
into = lesson


def md(id: str, text: str) -> None:
    text = text.strip("\n")
    deeper = re.match(r"#+ Deeper:", text)
    into.append({"kind": "markdown", "id": id, "source": text, "collapsed": bool(deeper), "tags": []})


def code(id: str, text: str, *tags: str) -> None:
    text = re.sub(r"^ALT\{(.*?)\}$", wrapped_alt, text.strip("\n"), flags=re.DOTALL | re.MULTILINE)
    text = text.replace("'''", '"""')
    into.append({"kind": "code", "id": id, "source": text, "collapsed": False, "tags": sorted(tags)})


def wrapped_alt(match: re.Match) -> str:
    lines = textwrap.wrap(" ".join(match[1].split()), 106)
    body = "\n".join(f'    "{line}{" " if i < len(lines) - 1 else ""}"' for i, line in enumerate(lines))
    return f"alt = (\n{body}\n)" if len(lines) > 1 else f'alt = "{lines[0]}"'


# =================================================================================================== opening

md(
    "title",
    r"""
# Lesson 5: Beyond classification: names and answers

In lesson 4 BERT gave one answer for a whole text. Now it gives one for every word, and then two places in a text. You start twice from the same pre-trained network: once it finds the **names** in the news, once it **answers questions** by pointing at the answer. Each time a small new layer stands on top, with labels and a loss of its own, and training fits it and the body to the task. You judge both as one should: beside a baseline, with an interval, and with an experiment that says what the model depends on. The texts, their names and the questions are the course's own sample: invented news with real places, written and annotated for this course.

The lesson has two halves, and each can be taught alone. The whole takes about two minutes on a laptop and less on a GPU. The last cell prints how long it took you; the README lists what we measured.
""",
)
md(
    "goals",
    r"""
## What you will learn

1. **Token classification**: from names in a text to a tag for each word, from tags to word pieces, and all the way to names again.
2. **Extractive question answering**: two scores for each word piece, and the best span that they allow.
3. How to **judge** both fairly: whole names instead of tokens, shared words instead of yes or no, baselines, and changed texts that show what an answer hangs on.

**What you need:** lesson 4, or to know what word pieces, the attention mask, logits, cross-entropy and fine-tuning are.

**To teach one half:** half one ends where half two begins. Half two takes functions of half one, such as the training loop, and one of its baselines asks the names' model. So run the cells of half one, and begin to talk at *Half two*.
""",
)
code(
    "setup",
    r"""
import itertools
import random
import re
import string
import time
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
import transformers
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2
from torch.utils.data import DataLoader
from transformers import BertForQuestionAnswering, BertForTokenClassification, BertTokenizer

import torchnlp
from torchnlp import COLOURS

SEED = 0
started = time.perf_counter()
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
""",
    "recorded",
)
md(
    "predict-first",
    r"""
## Before you run anything

You are going to show BERT 800 news items in which every name is labelled: persons, organisations, places and others. It sees each of them about twice. Then it reads 200 new items. No person and no company in them occurs in the training texts. Of ten names, how many will it find with the right beginning, the right end and the right type?

And a second guess. A model that cannot write a single word is asked *"Who founded the dairy?"* All it may do is put two fingers on the text, one where the answer begins and one where it ends. Of ten answers, how many will be right word for word? Note both guesses. You will meet them again.
""",
)
md(
    "big-picture",
    r"""
## The big picture

![One body and three heads. At the bottom a text, cut into word pieces, enters the body, six layers of BERT, and leaves it as one hidden state for each piece. On top stand three heads side by side. Left, lesson 4: the hidden state of CLS goes through the pooler and becomes four logits, one for each class. Middle, names: each hidden state becomes nine logits, one for each tag; the first piece of each word counts. Right, answers: question and text enter together, and each hidden state becomes a start logit and an end logit. Each head carries one example, its labels and its loss.](figures/three-heads.svg)

Below is the **body**, BERT's encoder: word pieces go in, one hidden state for each piece comes out, of shape (B, T, D): B texts, T pieces, D numbers. On top is a **head**, one linear layer that turns hidden states into logits. The three heads of the drawing differ in what they read and in how many numbers they make of it:

| | reads | logits | labels | loss |
|---|---|---|---|---|
| class (lesson 4) | the hidden state of `[CLS]`, after one more layer, the pooler | (B, 4) | one class for each text | cross-entropy over the classes |
| names | every hidden state | (B, T, 9) | one tag for each word | cross-entropy over the tags, for the first piece of each word |
| answers | every hidden state | (B, T) and (B, T) | two places in each text | cross-entropy over the *places*, twice |

Everything else stays as it was: the body's form and the weights it starts from, the training loop, the optimizer. At the end of the lesson you measure how far the weights move.
""",
)

# =================================================================================================== half one: names

md(
    "half-one",
    r"""
## Half one: names

### The idea by hand: a tag for each word

A **named entity** is a thing with a name of its own, and finding such names in a text is **named entity recognition** (NER). A name may be several words long, but a classifier gives one class to each word. So names must be written as one **tag** for each word:

- `B-LOC`: a place (LOC for *location*) **b**egins here,
- `I-LOC`: we are still **i**nside it,
- `O`: **o**utside of any name.

This is called **BIO**, or IOB2. Take six words: the end of a headline, and the beginning of the text that follows it. Two places stand side by side, *South Sudan* and *Juba*. Write the six tags on paper.

Now from tags to names, with a loop: B opens a name, I makes the name just before it longer if it has the same type. The library `seqeval` has a function for this, too. **Predict:** what would one find without B, with *inside* and *outside* only? And what should an I after an O mean?
""",
)
code(
    "toy-tags",
    r"""
toy_words = ["rain", "hits", "South", "Sudan", "Juba", "waits"]
toy_tags = ["O", "O", "B-LOC", "I-LOC", "B-LOC", "O"]
toy_names = [("LOC", 2, 3), ("LOC", 4, 4)]  # type, first word, last word


def entities_of(tags):
    '''The names (type, first word, last word) that BIO tags stand for.'''
    names = []
    for place, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "B":
            names.append((kind, place, place))
        elif prefix == "I" and names and names[-1][0] == kind and names[-1][2] == place - 1:
            names[-1] = (kind, names[-1][1], place)
    return names


names_by_loop, names_by_library = entities_of(toy_tags), get_entities(toy_tags)
names_without_b = get_entities([tag.replace("B-", "I-") for tag in toy_tags])
strict_names, lenient_names = entities_of(["O", "I-LOC"]), get_entities(["O", "I-LOC"])
print("with B:      ", names_by_loop)
print("without B:   ", names_without_b)
print("I after an O:", strict_names, "by the loop,", lenient_names, "by the library")
""",
    "recorded",
)
md(
    "toy-tags-read",
    r"""
Without B the two places melt into one that does not exist: B says that a new name starts although the last one has only just ended. And an I that continues nothing is a matter of taste. Our loop ignores it, `seqeval` in its usual mode takes it for a name, and in its **strict** mode ignores it, too. So say how you counted. A name *within* a name, such as *Sudan* in *South Sudan*, cannot be written in BIO at all: each word has one tag.

### Names: from characters to word pieces

Now the real thing. `load_entities` gives the items of the course's sample with every name labelled, as places in the text: the first character, and the one after the last. There are four types: PER for persons, ORG for organisations, LOC for places, and MISC for what has a name and is none of these, such as a sports event, a nationality or a ship. With B and I for each, and O, that makes nine tags.

A fifth of the training items is kept apart as a **validation split**, *held out* for short: the learning rates were chosen on it; the numbers of steps are what the time of this lesson allows. No setting was chosen on the test part. Later sections look at it again, to explore.
""",
)
code(
    "names-load",
    r"""
train_names, test_names, types = torchnlp.load_entities()
cut = len(train_names) * 4 // 5  # the rest is the validation split
tag_names = ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]
number_of = {tag: number for number, tag in enumerate(tag_names)}
item = train_names[2]
print(item.text)
for entity in item.entities:
    print(f"{entity.type:5}{entity.start:4} to {entity.end:3}  {item.text[entity.start : entity.end]}")
""",
    "recorded",
)
md(
    "label-pieces-text",
    r"""
Names are given as characters, the model reads word pieces, and the tags belong to words. The tokenizer knows how the three fit together: its **offsets** say from which to which character each piece goes, and `word_ids` says to which word it belongs.

One word needs one tag, so one piece must speak for the others. We do as [Devlin et al. (2019)](https://arxiv.org/abs/1810.04805), section 5.3: the **first piece** carries the word's tag. Through attention it can know the other pieces, too. These, and the special tokens, get the label -100, which means *does not count* in PyTorch: `cross_entropy` leaves such places out.
""",
)
code(
    "label-pieces",
    r"""
model_name = torchnlp.model_folder()
tokenizer = BertTokenizer.from_pretrained(model_name)
MAX_LENGTH, NOT_COUNTED = 128, -100


def words_of(offsets, word_ids):
    '''For each word: the place of its first piece, and where it begins and ends in the text.'''
    words = {}
    for place, ((start, end), word) in enumerate(zip(offsets, word_ids, strict=True)):
        if word is not None:
            first, begin, _ = words.get(word, (place, start, end))
            words[word] = (first, begin, end)
    return list(words.values())


def label_pieces(entities, words, length):
    '''For each piece the number of its word's tag, or -100 where it is not the first piece of a word.'''
    labels = [NOT_COUNTED] * length
    for first, start, _ in words:
        labels[first] = number_of["O"]
        for entity in entities:
            if entity.start <= start < entity.end:
                labels[first] = number_of[("B-" if entity.start == start else "I-") + entity.type]
    return labels
""",
    "recorded",
)
md(
    "encode-names-text",
    r"""
`encode_names` does it for many texts. Besides what the model takes, it keeps the words of each text. They are needed to read the model's output: only the first piece of each word is asked, and a tag becomes characters again. (The labels could tell which pieces count, too. But a text of your own has none.)
""",
)
code(
    "encode-names",
    r"""
class Part(NamedTuple):
    items: list  # what was loaded
    rows: list  # what the model takes, a dict for each item
    places: list  # how its pieces lead to characters again


def encode_names(items):
    '''Texts with their names as a part, with labels of pieces and with words.'''
    encoding = tokenizer([x.text for x in items], truncation=True, max_length=MAX_LENGTH, return_offsets_mapping=True)
    rows = [{name: encoding[name][i] for name in ("input_ids", "attention_mask")} for i in range(len(items))]
    places = [words_of(encoding["offset_mapping"][i], encoding.word_ids(i)) for i in range(len(items))]
    for item, row, words in zip(items, rows, places, strict=True):
        row["labels"] = label_pieces(item.entities, words, len(row["input_ids"]))
    return Part(items, rows, places)


def tags_in(numbers, words):
    return [tag_names[numbers[first]] for first, _, _ in words]


def names_in_text(tags, words):
    '''The set of names, given as characters, that the tags of a text's words stand for.'''
    return {torchnlp.Entity(words[first][1], words[last][2], kind) for kind, first, last in entities_of(tags)}
""",
    "recorded",
)
md(
    "round-trip-text",
    r"""
Look at the labels of one text, and then check that nothing was lost: go from names to labels and to names again, with *every* name of the sample. What the annotation says is called **gold**. **Predict:** *Restrepales* has four pieces. Which labels do they get?
""",
)
code(
    "round-trip",
    r"""
fit, held_out, test = (encode_names(part) for part in (train_names[:cut], train_names[cut:], test_names))
row = fit.rows[2]
for piece, label in list(zip(tokenizer.convert_ids_to_tokens(row["input_ids"]), row["labels"], strict=True))[:14]:
    print(f"{piece:9}{label:5}", "" if label == NOT_COUNTED else tag_names[label])

lost = invented = total = longest_text = 0
for part in (fit, held_out, test):
    for item, row, words in zip(*part, strict=True):
        gold, back = set(item.entities), names_in_text(tags_in(row["labels"], words), words)
        lost, invented, total = lost + len(gold - back), invented + len(back - gold), total + len(gold)
        longest_text = max(longest_text, len(row["input_ids"]))
print(f"{total:,} names, {lost} lost, {invented} invented; the longest text has {longest_text} pieces")
""",
    "recorded",
)
md(
    "round-trip-read",
    r"""
The first of the four pieces has the tag, the other three do not count. And no name is lost. Two things make it so, and with your own data both may fail: no text was cut off, and every name begins and ends where a word of the tokenizer does. (*Rome* in *Rome-based* is no trouble, since BERT's tokenizer splits at every sign of punctuation. Half a word could not be tagged.)

One thing *is* lost for the model: this tokenizer writes everything in small letters, so a strong hint, the capital letter, is gone. Devlin et al. used a BERT with capitals for names.

### The head

`BertForTokenClassification` is BERT with one linear layer on top, which is applied to the hidden state of each piece. The names of the tags go into the configuration, so that a saved model can say what its outputs mean. Dropout is zero while we fine-tune, as in lesson 4. The table of word vectors is frozen, which makes a step cheaper; with `frozen=True` the whole body is, and only the head learns.

Three groups of weights, whenever a pre-trained model gets a new task. **Kept** is the body: the word vectors and all layers. **Thrown away** is what the new model has no place for: the head of pre-training, if the file has one, and here the pooler, which only the class needs. **New** is the head, filled at random. For the default model the body is all-MiniLM-L6-v2, of which lesson 3 tells how it was made; its last training compared whole sentences, which needs no head for masked words, and its file holds none.

The library's **collator**, which makes one batch of several rows, fills up the rows of a batch: labels with -100, the attention mask with 0.
""",
)
code(
    "names-model",
    r"""
TAGGED = {"id2label": dict(enumerate(tag_names)), "label2id": number_of}
collate = transformers.DataCollatorForTokenClassification(tokenizer)


def to_device(batch):
    return {name: tensor.to(torchnlp.device) for name, tensor in batch.items()}


def fresh(architecture, seed=SEED, frozen=False, **settings):
    '''A model with the pre-trained body, a new head (the same for the same seed) and no dropout.'''
    torchnlp.set_seed(seed)
    settings |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    form = torchnlp.attention_implementation()  # the one that trains faster on this machine
    model = architecture.from_pretrained(model_name, use_safetensors=True, attn_implementation=form, **settings)
    model.base_model.requires_grad_(not frozen)
    model.get_input_embeddings().requires_grad_(False)  # the table of word vectors
    return model.to(torchnlp.device)


names_model = fresh(BertForTokenClassification, **TAGGED)
for name, weight in names_model.classifier.named_parameters():
    print(f"new in the head: {name} {tuple(weight.shape)}")
print(f"in the body: {sum(weight.numel() for weight in names_model.base_model.parameters()):,} numbers")
""",
    "recorded",
)
md(
    "names-loss-text",
    r"""
For each tag one vector as wide as the hidden states, and a bias: this is all that is new. In training, dropout would stand before the linear layer; it is zero here. So with a hidden state $h_i$ of piece $i$, the matrix $W$ and the bias $b$, the logits and the loss should be

$$z_{ic} = \sum_{k=1}^{D} W_{ck} h_{ik} + b_c \qquad L = -\frac{1}{N} \sum_{i \text{ counts}} \log \frac{\exp(z_{i y_i})}{\sum_{c=1}^{C} \exp(z_{ic})}$$

where $y_i$ is the right tag, $C = 9$, and $N$ is the number of pieces that count. Compute both by hand for four texts, and compare. (The bias of a fresh head is zero; for this comparison it gets small numbers, so that a mistake with it would show.) **Predict** the loss of an untrained head: it has no idea, so about $\log 9$.
""",
)
code(
    "names-loss",
    r"""
batch, head = to_device(collate(fit.rows[:4])), names_model.classifier
with torch.no_grad():
    head.bias.copy_(torch.linspace(-0.01, 0.01, len(head.bias)))  # it is zero at first; so a mistake with it would show
    output = names_model.eval()(**batch, output_hidden_states=True)
last_hidden = output.hidden_states[-1]  # (B, T, D)
logits_by_hand = last_hidden @ head.weight.detach().T + head.bias.detach()  # (B, T, D) @ (D, C) = (B, T, C)
counted = batch["labels"] != NOT_COUNTED  # (B, T)
probabilities = logits_by_hand[counted].softmax(dim=1)  # (N, C) for the N pieces that count
loss_by_hand = -probabilities.gather(1, batch["labels"][counted][:, None]).log().mean()
names_logits, names_loss = output.logits, output.loss
torch.nn.init.zeros_(head.bias)
print({name: tuple(tensor.shape) for name, tensor in batch.items()})
print(f"hidden states {tuple(last_hidden.shape)}, logits {tuple(names_logits.shape)}, loss {names_loss:.2f}")
""",
)
code(
    "names-before-claim",
    r"""
assert names_by_loop == toy_names
assert names_by_library == toy_names
assert len(names_without_b) == 1
assert len(lenient_names) == len(strict_names) + 1
assert lost == 0, "a text was cut off (see MAX_LENGTH), or a name begins or ends inside a word"
assert invented == 0
assert longest_text < MAX_LENGTH, "raise MAX_LENGTH (BERT takes 512 at most), or shorten the texts"
torch.testing.assert_close(names_logits, logits_by_hand, rtol=1e-3, atol=1e-3)
torch.testing.assert_close(names_loss, loss_by_hand, rtol=1e-3, atol=1e-3)
""",
    "claim",
)
md(
    "judge-names-text",
    r"""
The assertions say it: loop and library agree on the toy, no name was lost, and there is nothing else in the head and nothing else in the loss.

### How to judge names

Say `O` to every word and never find a name: most words are right. And half a name is no name: *Sudan* for *South Sudan* is another country. So count **whole names**. A name is right if its first word, its last word and its type are right. Such a one is a **true positive**. Then

- **precision** is the share of right ones among the names that the model *found*,
- **recall** is the share of right ones among the *gold* names,
- **F1** is their harmonic mean, $2PR / (P + R)$, which is high only if both are.

With counts alone: F1 is twice the right ones, divided by the found ones plus the gold ones. Names of all types are counted together here, which is called the **micro average**.

First a function that asks the model for tags, in batches of texts of like length, and with `autocast`, which computes in the shorter number format bfloat16 where the hardware is fast at it; then the judge.
""",
)
code(
    "find-tags",
    r"""
@torch.inference_mode()
def outputs(model, rows):
    '''Yield the numbers of 32 rows of like length, and the model's output for them, until all rows are through.'''
    model.eval()
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    for start in range(0, len(rows), 32):
        chosen = order[start : start + 32]
        with torchnlp.autocast():
            output = model(**to_device(collate([rows[i] for i in chosen])))
        yield chosen, output


def find_tags(model, part):
    '''The most likely tag of each word, asked at its first piece, for each text.'''
    tags = [None] * len(part.rows)
    for chosen, output in outputs(model, part.rows):
        for i, numbers in zip(chosen, output.logits.argmax(dim=-1).tolist(), strict=True):
            tags[i] = tags_in(numbers, part.places[i])
    return tags
""",
    "recorded",
)
code(
    "judge-names",
    r"""
def found_in(part, tags):
    return [names_in_text(*pair) for pair in zip(tags, part.places, strict=True)]


def judge_names(part, tags):
    '''Token accuracy, and precision, recall and F1 of whole names.'''
    gold, found = [set(item.entities) for item in part.items], found_in(part, tags)
    right = sum(len(a & b) for a, b in zip(gold, found, strict=True))
    all_gold, all_found = (sum(map(len, names)) for names in (gold, found))
    gold_tags = [tags_in(row["labels"], words) for row, words in zip(part.rows, part.places, strict=True)]
    pairs = [pair for both in zip(tags, gold_tags, strict=True) for pair in zip(*both, strict=True)]
    return {
        "token accuracy": sum(a == b for a, b in pairs) / len(pairs),
        "precision": right / max(1, all_found),
        "recall": right / max(1, all_gold),
        "F1": 2 * right / max(1, all_gold + all_found),
        "right": right,
        "gold": all_gold,
    }
""",
    "recorded",
)
md(
    "names-baselines-text",
    r"""
### Baselines

Three, before anything is trained: `O` for every word; a **lookup**, which knows every name of the training texts with its most frequent type and takes, from left to right, the longest one that stands in the text; and a network with an untrained head. (The official baseline of CoNLL-2003, the best-known corpus for this task, is a lookup, too: [Tjong Kim Sang and De Meulder 2003](https://aclanthology.org/W03-0419/).)

**Predict:** no person and no company of the test part is in training. How much can a lookup find?
""",
)
code(
    "names-baselines",
    r"""
counts = Counter((x.text[n.start : n.end].lower(), n.type) for x in fit.items for n in x.entities)  # as the model reads
known = {name: kind for (name, kind), _ in reversed(counts.most_common())}  # of several types the most frequent one


def look_up(part):
    '''The tags of the longest known names in each text, from left to right.'''
    all_tags = []
    for item, _, words in zip(*part, strict=True):
        tags, here = ["O"] * len(words), 0
        while here < len(words):
            ends = range(min(here + 8, len(words)), here, -1)
            text_to = {end: item.text[words[here][1] : words[end - 1][2]].lower() for end in ends}
            stop = next((end for end in ends if text_to[end] in known), here)
            for place in range(here, stop):
                tags[place] = ("I-" if place > here else "B-") + known[text_to[stop]]
            here = max(stop, here + 1)
        all_tags.append(tags)
    return all_tags


baselines = {"always O": [["O"] * len(words) for words in held_out.places], "looked up": look_up(held_out)}
for name, tags in {**baselines, "untrained": find_tags(names_model, held_out)}.items():
    score = judge_names(held_out, tags)
    print(f"{name:10} token accuracy {score['token accuracy']:.3f}, F1 of names {score['F1']:.3f}")
""",
    "recorded",
    IGN,
)
md(
    "names-baselines-read",
    r"""
This is on the held-out texts. Always `O` has most words right and not one name. The lookup knows the places and nationalities that come again, and can know nothing new. The untrained head does not keep silent: it hands out tags that mean nothing. Whatever training brings must be seen beside the second line.
""",
)
md(
    "learn-text",
    r"""
### Training

The loop is that of lesson 4, in the open: a batch, a forward pass, a backward pass, a step; AdamW, whose rate climbs over the first tenth of the steps and then falls to zero. On the way, `look` judges the model on held-out texts. The learning rate was chosen on the validation split, the number of steps by the time it takes; the section *How the settings were chosen* shows the table. A larger model such as bert-base-uncased wants a smaller rate; 5e-5 is the highest that Devlin et al. recommend (appendix A.3).
""",
)
code(
    "learn",
    r"""
BATCH = 8


def learn(model, rows, rate, steps, seed, look=None, looks=5):
    '''Fine-tune; return the training loss of each step, and what look(model) finds before, between and after.'''
    batches = torchnlp.LengthGroupedBatches([len(row["input_ids"]) for row in rows], BATCH, seed=seed)
    loader = DataLoader(rows, batch_sampler=batches, collate_fn=collate)
    passes = itertools.chain.from_iterable(itertools.repeat(loader))
    optimizer, schedule = torchnlp.prepare_optimizer(model, rate, steps)
    losses, seen = [], {0: look(model)} if look else {}
    for step, batch in enumerate(itertools.islice(passes, steps), start=1):
        model.train()
        with torchnlp.autocast():
            loss = model(**to_device(batch)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if look and step % max(1, steps // looks) == 0:
            seen[step] = look(model)
    return losses, seen
""",
    "recorded",
)
md(
    "train-names-text",
    r"""
200 batches of eight texts are two passes over the 800, two **epochs**. In the second, right of the dotted line, the model meets every text again, and it could simply remember. **Predict:** does F1 on held-out texts still rise there?
""",
)
code(
    "train-names",
    r"""
def draw_training(losses, seen, measure, lines):
    '''The loss of each step; a measure on held-out items, and lines to compare with. Dotted: a new epoch begins.'''
    print(*(f"step {step}: {measure} {share:.3f}" for step, share in seen.items()), sep="\n")
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    axes[0].plot(range(1, len(losses) + 1), losses, color=COLOURS["orange"])
    axes[1].plot([*seen], [*seen.values()], "o-", color=COLOURS["blue"], label="held out")
    for (name, value), style in zip(lines.items(), ("-.", "--"), strict=False):
        axes[1].axhline(value, color="black", linestyle=style, label=name)
        print(f"{name}: {measure} {value:.3f}")
    for ax, label in zip(axes, ("training loss", measure), strict=True):
        for step in range(max(1, cut // BATCH), len(losses), max(1, cut // BATCH)):
            ax.axvline(step, color="gray", linestyle=":")
        ax.set(xlabel="step", ylabel=label, xlim=(0, None), ylim=(0, None))
    axes[1].legend(loc="lower right")
    torchnlp.show(fig, f"The training loss falls; {measure} on held-out items rises, beside {' and '.join(lines)}.")


small = names_model.config.hidden_size < 768
NAMES_STEPS, NAMES_RATE = 200, 5e-4 if small else 5e-5
peek = Part(*(column[:80] for column in held_out))  # some of the held-out texts, to save time
names_model = fresh(BertForTokenClassification, **TAGGED)  # so each run starts anew
names_losses, names_seen = learn(
    names_model, fit.rows, NAMES_RATE, NAMES_STEPS, SEED, lambda model: judge_names(peek, find_tags(model, peek))["F1"]
)
draw_training(names_losses, names_seen, "F1 of names", {"lookup": judge_names(peek, look_up(peek))["F1"]})
""",
    IGN,
)
md(
    "train-names-read",
    r"""
Before training, F1 is 0.010. At step 80 it is 0.553, about where the line of the lookup is (0.555). Right of the dotted line, where each text comes for the second time, the loss is lower, and F1 on texts that the model has never seen rises on, from 0.734 at step 120 to 0.794. So the second epoch is not only memory. (These are 80 of the 200 held-out texts. That the curve is flatter at its end says little: the rate falls to zero there.)
""",
)
md(
    "evaluate-names-text",
    r"""
### Evaluation

Now the test part. The table has a column for token accuracy beside F1, and recall with its 95 % interval ([Wilson's](https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval)). The two recorded lines are means of three seeds, with the smallest and the largest F1: once with a **frozen body**, where the head alone learned, from the same first weights and with a rate and a number of steps of its own; once with all weights trained, as you just did.

`seqeval` in its strict mode should count as our function does.
""",
)
code(
    "evaluate-names",
    r"""
def share_of(right, n):
    low, high = torchnlp.interval(right, n)
    return f"{right / n:.2f} ({low:.2f} to {high:.2f})"


names_tags, record = find_tags(names_model, test), torchnlp.recorded("names")
always_o = [["O"] * len(words) for words in test.places]
names_scores = {"always O": judge_names(test, always_o), "looked up": judge_names(test, look_up(test))}
names_scores["your own run"] = judge_names(test, names_tags)
print(record, "\n\n                token accuracy   precision   recall                     F1")
for name, score in names_scores.items():
    print(f"{name:16}{score['token accuracy']:14.3f}{score['precision']:12.2f}   ", end="")
    print(f"{share_of(score['right'], score['gold'])}{score['F1']:10.3f}")
recorded_f1 = {}
for trained in ("frozen", "all"):
    rows = [row for row in record.rows if row["trained"] == trained]
    means = {key: sum(row[key] for row in rows) / len(rows) for key in ("token accuracy", "precision", "recall", "F1")}
    f1s = recorded_f1[trained] = [row["F1"] for row in rows]
    print(f"{trained + ', recorded':16}{means['token accuracy']:14.3f}{means['precision']:12.2f}   ", end="")
    print(f"{means['recall']:.2f}{means['F1']:25.3f} ({min(f1s):.3f} to {max(f1s):.3f})")
    print(f"{'':16} ({rows[0]['steps']} steps, rate {rows[0]['rate']})")
room = 0.06 if small else torch.inf  # what was recorded is the small model; a larger one is not compared with it
gold_tags = [tags_in(row["labels"], words) for row, words in zip(test.rows, test.places, strict=True)]
f1_by_library = float(f1_score(gold_tags, names_tags, mode="strict", scheme=IOB2, zero_division=0))
""",
    IGN,
)
md(
    "evaluate-names-read",
    r"""
The answer to the first guess: eight of ten (recall 0.78). Read the table line by line.

- *Always O* has token accuracy 0.882 and finds no name. Your run has 0.970 and F1 0.786. F1 is the lower number because each `O` counts for token accuracy, while a name counts only with all its words and its type; and one wrong word makes a wrong name.
- The lookup is precise (0.94) and finds little more than a third (0.36). Nothing new can be in it.
- With a frozen body the head alone reaches 0.581, not far above the lookup; with all weights trained, 0.785. Both started from the same weights, each with the best of the rates tried, and the three seeds of a line lie close together. So for a linear head on the last layer of this body, training the body adds 0.2. Two limits: the frozen head's rate is the largest that was tried, and another head may need less: [Devlin et al.](https://arxiv.org/abs/1810.04805) (section 5.3, table 7) put a two-layer BiLSTM on the last four layers of a frozen BERT, and came within half a point of fine-tuning.
""",
)
md(
    "names-types-text",
    r"""
### Which names, and is it memory?

Two tables. The first takes recall apart, by type and by whether the name stood in the texts of fine-tuning: as a whole, some word of it, or no word. Nearly all persons and organisations of the test part are new, and about half of the places are not; so a gap between *seen* and *new* over all types would mostly compare places with persons. Compare within a line.

The second is a **confusion matrix**: gold names by row, what stood at the same borders by column. `-` is nothing: no name with these borders. The last two rows are names that were found with borders of their own: *overlap* with a gold name, or in the row `-` where there is none. **Predict:** for which type is it hardest to have the right one?
""",
)
code(
    "names-types",
    r"""
words_seen = {word for item in fit.items for word in re.findall(r"\w+", item.text.lower())}
groups = ("name seen in training", "new, some word seen", "new, no word seen")
hits, taken = {(kind, group): [] for kind in types for group in groups}, Counter()
for item, found in zip(test.items, found_in(test, names_tags), strict=True):
    type_at = {(name.start, name.end): name.type for name in found}
    for name in item.entities:
        text = item.text[name.start : name.end].lower()
        group = 0 if text in known else 1 + words_seen.isdisjoint(re.findall(r"\w+", text))
        hits[name.type, groups[group]].append(name in found)
        taken[name.type, type_at.pop((name.start, name.end), "-")] += 1
    for (start, end), kind in type_at.items():  # what is left has borders that no gold name has
        taken["overlap" if any(start < name.end and name.start < end for name in item.entities) else "-", kind] += 1

print("recall   ", *(f"{group:30}" for group in groups))
for kind in types:
    both = [hits[kind, group] for group in groups]
    print(f"{kind:9}", *(f"{share_of(sum(x), len(x)) + f' of {len(x)}' if x else 'none':30}" for x in both))
print("\ngold \\ found", *(f"{kind:>6}" for kind in [*types, "-"]))
for kind in [*types, "overlap", "-"]:
    print(f"{kind:12}", *(f"{taken[kind, other]:6}" for other in [*types, "-"]))
new_hits = [hit for kind in types for group in groups[1:] for hit in hits[kind, group]]
new_recall = sum(new_hits) / max(1, len(new_hits))
print(f"\nrecall of all new names: {share_of(sum(new_hits), len(new_hits))}")
""",
    IGN,
)
md(
    "names-types-read",
    r"""
For places and MISC, names seen in training are found more often than new ones: 0.97 against 0.58 and 0.92 for places, 0.92 against 0.00 and 0.31 for MISC. Memory would explain that, but it is not the only explanation: even within a type, seen names may be of another sort than new ones. To test it, take some names out of the training texts and train again. And memory of these texts cannot explain the rest: all persons are new, for most of them no word of the name was seen, and of those 0.78 are found. (Pre-training is another matter. The invented names it cannot know; but some new places are real ones, such as *Bahrain*.)

The hardest type among the new names is MISC, and next ORG. Look at the column of ORG: 71 are right; 4, 13 and 9 are names of another type, 29 overlap with a gold name, and only 3 lie where there is none. So nearly always something is there, and the model takes the wrong borders or the wrong type.

Over all types, 0.68 of the new names are found. What tells the model, the name's own letters or its surroundings? The next experiment separates the two.
""",
)
md(
    "swap-names-text",
    r"""
### The name or its surroundings?

Who *said* something is likely a person; what ends in *-burg* is likely a town. Both may help. To see how much each does, separate them: take a new name out of its text and put another new name in its place, sometimes of the same type, sometimes of another. *"Teboho Ramakatsa became the first skier from Lesotho"* becomes *"Savannah Pixel became the first skier from Lesotho"*. Nothing else in the text changes.

- The first lines of the table are the new names *as is*, where they stand.
- Where name and context are of one type, the exchange alone is tested. This is the control.
- Where they differ, they pull in two directions.

Such changed texts are called **counterfactual**. All names are new to fine-tuning, and MISC is left out. *Called* asks for the right borders, too: otherwise it is *none*. Each line draws its texts and names anew, and if the name stands in its text a second time, that one stays. **Predict:** an organisation's name in the place of a person: will the model call it PER or ORG? And a person's name in the place of a town?
""",
)
code(
    "swap-names",
    r"""
def swapped_texts(seed, count=30):
    '''Test texts with one new name exchanged, and only it labelled: lists by (type of the context, of the name).'''
    chance, new = random.Random(seed), {}
    for item in test.items:
        for name in item.entities:
            word = item.text[name.start : name.end]
            if name.type != "MISC" and word.lower() not in known:
                new.setdefault(name.type, []).append((item.text, name, word))
    texts = {pair: [] for pair in itertools.product(sorted(new), repeat=2)}
    for context, kind in texts:
        for text, old, old_word in chance.sample(new[context], min(count, len(new[context]))):
            word = chance.choice([word for _, _, word in new[kind] if word != old_word] or [old_word])
            entity = torchnlp.Entity(old.start, old.start + len(word), kind)
            texts[context, kind].append(torchnlp.EntityText(text[: old.start] + word + text[old.end :], (entity,)))
    return texts
""",
    "recorded",
)
code(
    "swap-verdicts",
    r"""
def verdicts(model, texts):
    '''For each (type of the context, of the name): the share of each type, or of none, at the exchanged name.'''
    shares = {}
    for pair, items in texts.items():
        part, counts = encode_names(items), Counter()
        for item, found in zip(items, found_in(part, find_tags(model, part)), strict=True):
            place = item.entities[0]
            at = {name.type for name in found if (name.start, name.end) == (place.start, place.end)}
            counts.update(at or {"none"})
        shares[pair] = {kind: counts[kind] / len(items) for kind in [*types, "none"]}
    return shares


def effects(shares):
    '''What the context adds to the verdict for its type, and what the name adds for its own: means over the pairs.'''
    pairs = [(context, name) for context, name in shares if context != name]
    by_context = [shares[a, b][a] - shares[b, b][a] for a, b in pairs]  # the same names, in their own context
    by_name = [shares[a, b][b] - shares[a, a][b] for a, b in pairs]  # the same context, with its own names
    return sum(by_context) / max(1, len(pairs)), sum(by_name) / max(1, len(pairs))
""",
    "recorded",
)
code(
    "swap-show",
    r"""
swapped = swapped_texts(SEED, count=60)
verdicts_now = verdicts(names_model, swapped)
in_place = {kind: Counter() for _, kind in swapped}  # the control: the new names of the test part where they stand
for item, found in zip(test.items, found_in(test, names_tags), strict=True):
    type_at = {(name.start, name.end): name.type for name in found}
    for name in item.entities:
        if name.type in in_place and item.text[name.start : name.end].lower() not in known:
            in_place[name.type][type_at.get((name.start, name.end), "none")] += 1
own = {(kind, "as is"): {to: n[to] / n.total() for to in [*types, "none"]} for kind, n in in_place.items()}
print("context  name   called", *(f"{kind:>6}" for kind in [*types, "none"]))
for (context, kind), shares in {**own, **verdicts_now}.items():
    print(f"{context:8} {kind:6}       ", *(f"{share:6.2f}" for share in shares.values()))
context_effect, name_effect = effects(verdicts_now)
print(f"\nthe context adds {context_effect:.2f} for its type, the name {name_effect:.2f} for its own")
for (context, kind), texts in swapped.items():
    if context != kind:
        entity = texts[0].entities[0]
        print(f"{kind} in a place of {context}: ...{texts[0].text[max(0, entity.start - 40) : entity.end + 40]}...")
""",
    IGN,
)
code(
    "names-claim",
    r"""
assert abs(names_scores["your own run"]["F1"] - f1_by_library) < 1e-6
assert names_scores["always O"]["token accuracy"] > 0.85
assert names_scores["always O"]["F1"] == 0
assert names_scores["your own run"]["F1"] > names_scores["looked up"]["F1"] + 0.2
assert names_scores["your own run"]["F1"] >= min(recorded_f1["all"]) - room
assert names_scores["your own run"]["F1"] <= max(recorded_f1["all"]) + room
assert new_recall > 0.4
assert context_effect > 0
assert name_effect > 0
""",
    "claim",
)
md(
    "swap-read",
    r"""
First the controls. As they stand, 0.85, 0.55 and 0.77 of the new names are called what they are; after an exchange within the type, 0.75, 0.50 and 0.82. So the exchange alone does little harm.

Then the mixed lines. An organisation's name in the place of a person is called PER in 0.25 of the cases; the same sort of name in the place of an organisation, in 0.05. Still, 0.43 are called ORG. A person's name in the place of a town is called LOC in 0.15 and PER in 0.10 of the cases, and for more than half (0.55) the model finds no name with these borders. Over all six mixed lines the context adds 0.17 for its type, measured against the same sort of names in contexts of their own, and the name 0.31 for its own, measured against the same contexts with names of theirs. Both count. (The Deeper sections that follow have an interval for both, and recorded seeds: 0.15 to 0.24 for the context, 0.24 to 0.32 for the name.)

One caveat: some of the mixed sentences are odd, *Coalition partners in Jussara Quintino*, for instance. In the control they are not.
""",
)
md(
    "errors-names-text",
    r"""
### Errors, read closely

Sort the gold names that were not found as they should be. **Wrong border**: the model found something that overlaps with the name. **Wrong type**: the borders are right, the type is not. **Missed**: the model saw nothing there. The first five of each in the order of the file are shown, which is no fair sample. Ask of each: what would *you* have needed to know?
""",
)
code(
    "errors-names",
    r"""
def kind_of_error(name, found):
    '''What went wrong with a gold name, and what was found in its place.'''
    touching = [other for other in found if other.start < name.end and name.start < other.end]
    touching.sort(key=lambda other: other.start)  # what was found is a set, and a set has no order
    same = [other for other in touching if (other.start, other.end) == (name.start, name.end)]
    if not touching:
        return "missed", None
    return ("wrong type", same[0]) if same else ("wrong border", touching[0])


errors = {"wrong border": [], "wrong type": [], "missed": []}
for item, found in zip(test.items, found_in(test, names_tags), strict=True):
    for name in [name for name in item.entities if name not in found]:
        error, other = kind_of_error(name, found)
        errors[error].append((item.text, name, other))
for error, cases in errors.items():
    print(f"{error}, {len(cases)} times")
    for text, name, other in cases[:5]:
        found = f"{text[other.start : other.end]} ({other.type})" if other else "nothing"
        print(f"  {text[name.start : name.end]} ({name.type}), found: {found}")
        print(f"      ...{text[max(0, name.start - 45) : name.end + 45]}...")
""",
    IGN,
)
md(
    "errors-names-read",
    r"""
All five wrong borders are a part of the name. In two the word left out says what it is: *Hurricane*, *Mountains*. Does it belong to the name? The annotation says so; one could decide otherwise. In three of the five the type is wrong as well.

Of the wrong types, *Tubequarry* stands where a place could stand (*clock in at*), and *South African* is a nationality that begins like a country. Of the missed ones, *Treasure Beach* is made of common words; in small letters nothing marks them.
""",
)
md(
    "errors-names-end",
    r"""
In strict counting an error of any of these kinds costs one name of recall, however near it was. A wrong border or type costs precision as well, because something was found that is not there: half a name costs more than none. A fourth kind is not in this list: a name found where there is none at all. It costs precision only.
""",
)

# ------------------------------------------------------------------------------------------------ half one, deeper

md(
    "names-bootstrap-text",
    r"""
### Deeper: How sure is F1? The bootstrap

Wilson's interval is for a share of things that are independent, and F1 is no share. The **bootstrap** needs no formula: draw as many texts as there are, with replacement, so that some come twice and some not at all; compute F1; do so a thousand times. The middle 95 % of these values are the interval. The texts are drawn, not the names, because the names of one text are not independent. And model and lookup are judged on the same draws, so their difference has an interval of its own.

The second cell does the like for the two effects of the exchange.
""",
)
code(
    "names-bootstrap",
    r"""
def middle(values):
    '''The interval that holds the middle 95 % of the values.'''
    values = sorted(values)
    return values[len(values) // 40], values[-1 - len(values) // 40]
""",
)
code(
    "names-counts",
    r"""
def counts_of(part, tags):
    '''For each text: how many names are right, and how many there are, gold and found together.'''
    pairs = [({*item.entities}, found) for item, found in zip(part.items, found_in(part, tags), strict=True)]
    return [(len(gold & found), len(gold) + len(found)) for gold, found in pairs]


def f1_of(counts, chosen):
    return 2 * sum(counts[i][0] for i in chosen) / max(1, sum(counts[i][1] for i in chosen))
""",
)
code(
    "names-drawn",
    r"""
chance, texts = random.Random(SEED), range(len(test.items))
draws = [chance.choices(texts, k=len(texts)) for _ in range(1000)]  # as many texts, some twice, some not at all
by_model, by_lookup = counts_of(test, names_tags), counts_of(test, look_up(test))
for name, counts in (("your own run", by_model), ("looked up", by_lookup)):
    low, high = middle(f1_of(counts, chosen) for chosen in draws)
    print(f"{name:13} F1 {f1_of(counts, texts):.3f} ({low:.3f} to {high:.3f})")
low, high = middle(f1_of(by_model, chosen) - f1_of(by_lookup, chosen) for chosen in draws)
print(f"difference on the same texts: {low:.3f} to {high:.3f}")
""",
    IGN,
)
code(
    "effects-bootstrap",
    r"""
def drawn_anew(shares, texts):
    '''For each line of the table as many verdicts as it has texts, drawn from its own.'''
    counts = {}
    for pair, line in shares.items():
        counts[pair] = Counter(chance.choices([*line], [*line.values()], k=len(texts[pair])))
    return {pair: {kind: counts[pair][kind] / len(texts[pair]) for kind in line} for pair, line in shares.items()}


drawn = [effects(drawn_anew(verdicts_now, swapped)) for _ in range(1000)]
for i, (name, effect) in enumerate((("context", context_effect), ("name", name_effect))):
    low, high = middle(one[i] for one in drawn)
    print(f"the {name} adds {effect:.2f} ({low:.2f} to {high:.2f})")
""",
    IGN,
)
md(
    "names-bootstrap-read",
    r"""
F1 lies between 0.755 and 0.817. It beats the lookup by 0.224 to 0.302. For the effects both intervals lie above zero: 0.13 to 0.22 for the context, 0.26 to 0.37 for the name. These intervals say what other texts of the same kind would change. What another seed would change, they do not say; for that there are the recorded seeds.
""",
)

md(
    "names-settings",
    r"""
### Deeper: How the settings were chosen

These two functions are the experiments behind half one. The first knows the held-out texts only: F1 for learning rates and numbers of steps, with the body frozen and with all trained, one seed each. The second trains with the chosen setting of either kind, three seeds each, and looks at the test part.
""",
)
code(
    "names-tune",
    r"""
def tune_names(settings, seeds):
    '''F1 on the held-out texts for each setting (what is trained, rate, steps) and seed: a list of rows.'''
    rows = []
    for seed, (trained, rate, steps) in itertools.product(seeds, settings):
        model = fresh(BertForTokenClassification, seed, trained == "frozen", **TAGGED)
        learn(model, fit.rows, rate, steps, seed)
        score = judge_names(held_out, find_tags(model, held_out))
        rows.append({"seed": seed, "trained": trained, "rate": rate, "steps": steps, "F1": score["F1"]})
    return rows
""",
    "recorded",
)
code(
    "names-compare",
    r"""
def compare_names(settings, seeds):
    '''The test part for each setting (what is trained, rate, steps) and seed, with both effects: a list of rows.'''
    rows = []
    for seed, (trained, rate, steps) in itertools.product(seeds, settings):
        model = fresh(BertForTokenClassification, seed, trained == "frozen", **TAGGED)
        learn(model, fit.rows, rate, steps, seed)
        context, name = effects(verdicts(model, swapped_texts(seed)))
        row = {"seed": seed, "trained": trained, "rate": rate, "steps": steps}
        rows.append(row | judge_names(test, find_tags(model, test)) | {"context effect": context, "name effect": name})
    return rows
""",
    "recorded",
)
code(
    "settings-show",
    r"""
def show_settings(record, measure):
    print(record)
    for row in record.rows:
        print(f"{row['trained']:18} rate {row['rate']:<7} {row['steps']:4} steps: {measure} {row[measure]:.3f}")
""",
)
code(
    "names-settings-show",
    r"""
show_settings(torchnlp.recorded("names_settings"), "F1")
""",
)
code(
    "names-effects-show",
    r"""
for trained, effect in itertools.product(("frozen", "all"), ("context effect", "name effect")):
    rows = [row for row in torchnlp.recorded("names").rows if row["trained"] == trained]
    print(f"{trained:6} {effect:14}", *(f"{row[effect]:.2f}" for row in rows))
""",
)
md(
    "names-settings-read",
    r"""
With all weights trained, 5e-4 is the best of three rates: F1 0.816 on all 200 held-out texts after 200 steps (the figure above has 80 of them), where the smaller rate reaches 0.787 and the larger one 0.690. Half the steps bring 0.615 only, so more steps might bring more still; 200 are what the time of this lesson allows. A frozen body stays far below with 400 steps at any of three rates: 0.03 and 0.1 are next to equal, and as the largest is the best, a still larger one might be better. One seed each, so read no meaning into the third digit.

The second list holds the two effects of the exchange, three seeds each, with fewer texts a line than above. With a frozen body the context adds less for its type than after training all weights, in each of the three pairs. Three seeds are few.
""",
)

md(
    "names-own",
    r"""
### Deeper: Your own text

Change the text, and run the cell. There is no gold for it, so you are the judge. In this one two persons, a place, a cup and a nationality have names. The model learned from one author's style, and yours is another.
""",
)
code(
    "names-own-run",
    r"""
my_text = (
    "Ada Okonkwo of Lagos beat Ben Sato in the final of the Harbour Cup on Sunday. "
    "Rain had held up play for two hours, and the Portuguese umpire sent for towels."
)
mine = encode_names([torchnlp.EntityText(my_text, ())])
for name in sorted(found_in(mine, find_tags(names_model, mine))[0], key=lambda name: name.start):
    print(f"{name.type:5} {my_text[name.start : name.end]}")
""",
    IGN,
)
md(
    "names-own-read",
    r"""
It finds the nationality, the place and both persons; it misses the cup. Write the same text with other names, from your town for instance, and see which of them it knows by their look.
""",
)

md(
    "names-save",
    r"""
### Deeper: Save the model, with the names of its labels

A model is a folder: weights, configuration and tokenizer. The configuration holds `id2label`, because `fresh` was given the names of the tags. Without them the outputs would be called `LABEL_0` to `LABEL_8`, and nobody could use the folder alone. Here it is a temporary one; the comment shows how to keep it.
""",
)
code(
    "names-save-run",
    r"""
import tempfile
from pathlib import Path

temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # it goes when the notebook is closed
folder = Path(temporary.name)  # to keep the model: folder = torchnlp.ROOT / "runs" / "my-names"
names_model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
print(*sorted(path.name for path in folder.iterdir()), sep="\n")
""",
    IGN,
)
md(
    "names-save-text",
    r"""
The shortest way to an answer is a `pipeline`, which loads model and tokenizer. Its `aggregation_strategy="first"` does nearly what this lesson does: the first piece of a word speaks for the word, and neighbouring tags become one name.
""",
)
code(
    "names-pipeline",
    r"""
find = transformers.pipeline(
    "token-classification", model=str(folder), aggregation_strategy="first", device=torchnlp.device
)
for name in find(my_text):
    print(f"{name['entity_group']:5} {name['score']:.2f}  {my_text[name['start'] : name['end']]}")
""",
    IGN,
)
code(
    "names-load-again",
    r"""
loaded = BertForTokenClassification.from_pretrained(folder, use_safetensors=True).to(torchnlp.device)
loaded_labels = [loaded.config.id2label[number] for number in range(loaded.config.num_labels)]
eight = Part(*(column[:8] for column in test))
tags_before, tags_after = find_tags(names_model, eight), find_tags(loaded, eight)
""",
)
code(
    "names-save-claim",
    r"""
assert loaded_labels == tag_names
assert tags_after == tags_before
""",
    "claim",
)
md(
    "names-save-read",
    r"""
The loaded model has the same tags under the same names, and gives the same answers. (The pipeline takes an I that continues nothing for a name, as `seqeval` does by default; so it may find a few names more than our loop.)
""",
)

# ================================================================================================= half two: answers

md(
    "half-two",
    r"""
## Half two: answers

From half one you need these: `fresh` (a pre-trained body with a new head), `learn` (the training loop), `outputs` (a model's output in batches), `Part`, and `share_of` and `draw_training`, which print and draw. None of them knows what a name is. One baseline below does use the model of half one.

### The idea by hand: two fingers on the text

To answer a question from a text is called **extractive question answering** if the answer must be a part of that text, word for word. Such a part is called a **span**. It is given by two places, so the model needs two numbers for each word piece (in this toy, each word): how well the answer could **start** here, $s_i$, and how well it could **end** here, $e_j$. Here they are made up, for the question *Who won?*

![A grid of six words by six words: In, Lagos, Ada, Obi, beat, Ben. Rows are first words, columns last words. Each field above and on the diagonal holds the sum of a start score and an end score. The fields below the diagonal are grey and struck through; among them, in row Ben and column Obi, stands the largest sum of all, 4.6. The largest sum that is left, 4.4, in row Ada and column Obi, is framed.](figures/span-grid.svg)

The best start is *Ben*, the best end is *Obi*; but *Obi* stands before *Ben*. Start and end were chosen without each other, and the result is not a valid span. So choose them together: among all pairs whose end does not lie before the start, take the one with the largest sum $s_i + e_j$.

**Why the sum?** A softmax over all places makes probabilities of the start scores, $P(\text{start} = i) = \exp(s_i) / \sum_k \exp(s_k)$, and likewise of the end scores. The model treats the two as independent, given question and text, so the probability of a span is their product. Its logarithm is

$$\log P(i, j) = \log P(\text{start} = i) + \log P(\text{end} = j) = s_i + e_j - \log \sum_k \exp(s_k) - \log \sum_k \exp(e_k)$$

and the last two terms are the same for all spans of a text. So the largest sum is the most probable span ([Devlin et al. 2019](https://arxiv.org/abs/1810.04805), section 4.2).
""",
)
code(
    "toy-span",
    r"""
span_words = ["In", "Lagos", "Ada", "Obi", "beat", "Ben"]
start_scores = torch.tensor([0.1, 0.5, 2.0, 0.3, 0.1, 2.2])  # (T,)
end_scores = torch.tensor([0.1, 0.8, 0.5, 2.4, 0.2, 1.5])  # (T,)
likely_start, likely_end = start_scores.argmax().item(), end_scores.argmax().item()
print("most likely start:", span_words[likely_start], " most likely end:", span_words[likely_end])

best = -torch.inf
for first in range(6):
    for last in range(first, 6):
        if start_scores[first] + end_scores[last] > best:
            best, span_by_loop = start_scores[first] + end_scores[last], (first, last)
print("best span:", span_words[span_by_loop[0] : span_by_loop[1] + 1], f"{best:.1f}")
""",
    "recorded",
)
md(
    "span-scores-text",
    r"""
### With one matrix

A column of starts plus a row of ends gives the sums of all pairs at once. `triu` keeps the triangle in which the end does not lie before the start. For real texts there are two more conditions. An answer must not be longer than `longest` pieces, which `tril` cuts off. And both ends must be `allowed`: the question stands beside the text, and the answer is not to be found in the question, nor at `[CLS]`, `[SEP]` or padding.

Check the formula above, too: the difference between a sum and the logarithm of the product should be the same for all spans.
""",
)
code(
    "span-scores",
    r"""
def span_scores(start, end, allowed, longest=20):
    '''The score of each span (T, T), first token by last token; minus infinity where a span is not valid.'''
    scores = start[:, None] + end  # (T, 1) + (T,) = (T, T)
    valid = torch.ones_like(scores, dtype=torch.bool).triu().tril(longest - 1) & allowed[:, None] & allowed
    return scores.masked_fill(~valid, -torch.inf)


def best_span(start, end, allowed, longest=20):
    '''The first and the last token of the best valid span.'''
    return divmod(span_scores(start, end, allowed, longest).argmax().item(), len(start))


everywhere = torch.ones(6, dtype=torch.bool)
sums = span_scores(start_scores, end_scores, everywhere)  # (T, T)
span_by_matrix = best_span(start_scores, end_scores, everywhere)
products = start_scores.softmax(dim=0)[:, None] * end_scores.softmax(dim=0)  # (T, T), the probability of each span
constants = (sums - products.log())[sums.isfinite()]  # one for each valid span
for first, last in ((2, 3), (5, 5), (5, 3)):
    name = f"from {span_words[first]} to {span_words[last]}"
    verdict = "valid" if sums[first, last].isfinite() else "not valid"
    score = start_scores[first] + end_scores[last]
    print(f"{name:16} sum {score:.1f}, probability {products[first, last]:.2f}, {verdict}")
""",
    "recorded",
)
md(
    "span-scores-read",
    r"""
`argmax` counts through the matrix row by row, and `divmod` turns that number back into a row and a column. Loop and matrix agree on *Ada Obi*. The larger the sum, the larger the product; the claims of this half, further down, say that sum and logarithm differ by the same number everywhere. And the largest of all belongs to a pair that is not a valid span.

### Answers: a question and a text as one input

`load_questions` gives a question, a text, and an answer that stands in the text exactly once. BERT was made to read two texts at once: `[CLS]` question `[SEP]` text `[SEP]`. The **token type ids**, also called segment ids, say which is which: 0 for the first part, 1 for the second. Each has a learned vector that is added to those of word piece and position. The answer's characters become a first and a last piece through the offsets. An answer that was cut off, wholly or in part, gets the place 0, `[CLS]`, as Hugging Face's recipe does. The split is that of half one: the same items are held out.
""",
)
code(
    "encode-answers",
    r"""
train_questions, test_questions = torchnlp.load_questions()


def encode_answers(questions):
    '''Questions with their texts as a part; its places are the offsets of the text's pieces, and None elsewhere.'''
    pairs = [question.question for question in questions], [question.text for question in questions]
    encoding = tokenizer(*pairs, truncation="only_second", max_length=MAX_LENGTH, return_offsets_mapping=True)
    rows, places = [], []
    for i, question in enumerate(questions):
        parts = zip(encoding["offset_mapping"][i], encoding.sequence_ids(i), strict=True)
        offsets = [offset if part == 1 else None for offset, part in parts]  # part 1 is the text
        end = question.start + len(question.answer)
        inside = [p for p, span in enumerate(offsets) if span and span[0] < end and span[1] > question.start]
        inside = inside if inside and offsets[inside[-1]][1] >= end else [0]
        row = {name: encoding[name][i] for name in ("input_ids", "attention_mask", "token_type_ids")}
        rows.append({**row, "start_positions": inside[0], "end_positions": inside[-1]})
        places.append(offsets)
    return Part(questions, rows, places)


answers_fit, answers_held_out = encode_answers(train_questions[:cut]), encode_answers(train_questions[cut:])
answers_test = encode_answers(test_questions)
print({name: tuple(tensor.shape) for name, tensor in collate(answers_fit.rows[:4]).items()})
""",
    "recorded",
)
md(
    "squad-text",
    r"""
The collator is that of half one; the two positions are single numbers, so they become vectors of length B.

### How to judge answers

Two measures come from [SQuAD](https://arxiv.org/abs/1606.05250) (Rajpurkar et al. 2016), the best-known corpus of such questions. Both first bring the answers to the same form: small letters, no punctuation, no articles (*a*, *an*, *the*), single spaces.

- **Exact match** (EM) is 1 if all words are the same, and 0 if not.
- **Token F1** is the F1 of half one, with words in place of names: precision is the share of the answer's words that the gold answer has, too, and recall the share of the gold answer's words that were found. So it is twice the number of common words, divided by the number of words of both. It gives credit for *340 fishing boats* where *340 boats* was meant.

Where several people gave an answer, the best match counts; our sample has one answer for each question. **Predict** both measures for the four answers, if the gold answer is *340 boats*.
""",
)
code(
    "squad",
    r"""
def normalise(answer):
    '''The words of an answer: small letters, no punctuation, no articles.'''
    plain = "".join(letter for letter in answer.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def exact_match(answer, gold):
    return float(normalise(answer) == normalise(gold))


def token_f1(answer, gold):
    words, gold_words = normalise(answer), normalise(gold)
    common = (Counter(words) & Counter(gold_words)).total()
    return 2 * common / (len(words) + len(gold_words)) if common else 0.0


def judge_answers(answers, questions):
    pairs = [(answer, question.answer) for answer, question in zip(answers, questions, strict=True)]
    em, f1 = (sum(measure(*pair) for pair in pairs) for measure in (exact_match, token_f1))
    return {"right": int(em), "of": len(pairs), "EM": em / len(pairs), "F1": f1 / len(pairs)}


for answer in ("The 340 boats.", "340 fishing boats", "boats", "two trawlers"):
    print(f"{answer:18} EM {exact_match(answer, '340 boats'):.0f}, F1 {token_f1(answer, '340 boats'):.2f}")
""",
    "recorded",
)
md(
    "squad-read",
    r"""
Check the second by hand: two words in common, three and two words in all, so $2 \cdot 2 / (3 + 2)$. Here EM is 0 and F1 is not. EM is hard on a word too many; F1 is mild, but a wrong answer may share words with the right one, too. Report both. (F1 is hardly ever below EM. Only where all words of an answer are articles, *"A"* for *"the"*, the two empty answers are equal and have no word in common.)

### From logits to answers

`BertForQuestionAnswering` has one linear layer with two outputs for each piece: the start logit and the end logit. The loss is the mean of two cross-entropies. Each chooses among all pieces of the input, so the classes are the *places* here. From logits to answers leads the toy's `best_span`, with the pieces of the text as the allowed places.
""",
)
code(
    "predict-answers",
    r"""
def answer_logits(model, part):
    '''For each question the start logits (T,), the end logits (T,), and which places are allowed (T,).'''
    logits = [None] * len(part.rows)
    for chosen, output in outputs(model, part.rows):
        for i, start, end in zip(chosen, output.start_logits.float(), output.end_logits.float(), strict=True):
            allowed = torch.tensor([span is not None for span in part.places[i]])  # (T,), without padding
            start, end = (scores[: len(allowed)].to(allowed.device) for scores in (start, end))
            logits[i] = start, end, allowed
    return logits


def text_of(question, offsets, first, last):
    return question.text[offsets[first][0] : offsets[last][1]] if offsets[first] and offsets[last] else ""


def answers_from(logits, part):
    '''The best valid span of each text, as characters.'''
    spans = [best_span(*one) for one in logits]
    return [text_of(item, places, *span) for item, places, span in zip(part.items, part.places, spans, strict=True)]


def predict_answers(model, part):
    return answers_from(answer_logits(model, part), part)
""",
    "recorded",
)
md(
    "answers-baselines-text",
    r"""
### A baseline to beat

A fair baseline points, too, by hand-written rules. It takes a name that the model of half one finds, or a number, and none that stands in the question. It prefers the sort that is asked for, a person for *who*, a place for *where*, a number for *how*; and among these the sentence of the text that shares most words with the question. Its rules were written while looking at training questions only.

**Predict:** how many of 200 questions does that answer, word for word?
""",
)
code(
    "answers-baselines",
    r"""
NUMBER = r"(?:\w*[$£€])?\b(?:\d[\d.,]*\d|\d|one|two|three|four|five|six|seven|eight|nine|ten)(?: [mb]illion)?\b"
SENTENCE = r"(?s)\S.*?(?:[.!?](?=\s)|$)"
WANTED = {"who": "PER", "whom": "PER", "where": "LOC", "city": "LOC", "how": "number", "company": "ORG", "team": "ORG"}


def name_or_number(question, names):
    '''A name or number of the sort asked for, if possible of the sentence that shares most words with the question.'''
    asked, text = normalise(question.question), question.text
    near = max(re.finditer(SENTENCE, text), key=lambda sentence: len({*asked} & {*normalise(sentence.group())}))
    pattern = NUMBER + ("" if "many" in asked else r"(?: (?!to |of |in |and )\w+)?")  # how many boats: without "boats"
    found = [torchnlp.Entity(*number.span(), "number") for number in re.finditer(pattern, text, re.IGNORECASE)]
    found = [n for n in [*found, *names] if not {*normalise(text[n.start : n.end])} <= {*asked}]
    wanted = next((WANTED[word] for word in asked if word in WANTED), None)
    found.sort(key=lambda n: (n.type != wanted, not near.start() <= n.start < near.end(), n.start))
    return text[found[0].start : found[0].end] if found else near.group()


def by_names(questions):
    texts = encode_names([torchnlp.EntityText(question.text, ()) for question in questions])
    pairs = zip(questions, found_in(texts, find_tags(names_model, texts)), strict=True)
    return judge_answers([name_or_number(*pair) for pair in pairs], questions)


answers_scores = {"name or number": by_names(test_questions)}
print({name: round(value, 3) for name, value in answers_scores["name or number"].items()})
""",
    IGN,
)
md(
    "answers-baselines-read",
    r"""
61 of 200, 0.305: many answers of this sample are names or numbers. The rules know the sort of answer and the sentence. They know nothing of what is said there.
""",
)
md(
    "train-answers-text",
    r"""
### Training

The same function, batches of the same size, the same seed; a rate that was chosen on the same validation split, and as many steps as the time allows, less than two epochs. The default body, all-MiniLM-L6-v2, has met questions and their answers before, those of SQuAD 2.0 (a corpus of questions) among them: its [card](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) lists what it was trained on. But it read each alone and learned which belong together, by cosine; never both in one input, nor where in a text an answer begins.

The figure has two lines to compare with: the rules, and a model that was trained on the question word alone, of which more below. **Predict:** is the first look, before training, above or below the baseline?
""",
)
code(
    "train-answers",
    r"""
ANSWERS_STEPS, ANSWERS_RATE = 160, 1.5e-4 if small else 5e-5
answers_peek = Part(*(column[:80] for column in answers_held_out))
answers_model = fresh(BertForQuestionAnswering)  # so each run starts anew
untrained_logits = answer_logits(answers_model, answers_test)
answers_scores["untrained"] = judge_answers(answers_from(untrained_logits, answers_test), test_questions)


def em_now(model):
    return judge_answers(predict_answers(model, answers_peek), answers_peek.items)["EM"]


answers_losses, answers_seen = learn(answers_model, answers_fit.rows, ANSWERS_RATE, ANSWERS_STEPS, SEED, em_now)
partial = [row for row in torchnlp.recorded("answers_settings").rows if row["trained"] == "question word only"]
lines = {"name or number": by_names(answers_peek.items)["EM"]}
lines["question word only, recorded"] = max(row["EM"] for row in partial)
draw_training(answers_losses, answers_seen, "exact match", lines)
""",
    IGN,
)
md(
    "evaluate-answers-text",
    r"""
### Evaluation

One control is recorded beside the full training, with three seeds: **question word only**. From the same first weights, with as many steps and a rate that was chosen in the same way, it saw of each question *Who?*, *How many?*, *What?* and nothing more, in training and test. This is called a **partial-input baseline**: what it still gets right, it gets right without reading the rest of the question. (The rest may say the sort as well: of *Which city?* it saw *Which?*.)
""",
)
code(
    "evaluate-answers",
    r"""
trained_logits, record = answer_logits(answers_model, answers_test), torchnlp.recorded("answers")
answers_now = answers_from(trained_logits, answers_test)
answers_scores["your own run"] = judge_answers(answers_now, test_questions)
print(record, "\n\n                        exact match                F1")
for name, score in answers_scores.items():
    print(f"{name:23} {share_of(score['right'], score['of'])}     {score['F1']:.3f}")
recorded_em = {}
for trained in ("question word only", "all"):
    rows = [row for row in record.rows if row["trained"] == trained]
    em, f1 = ([row[key] for row in rows] for key in ("EM", "F1"))
    recorded_em[trained] = em
    print(f"{trained:23} {sum(em) / len(em):.2f} seeds {min(em):.2f} to {max(em):.2f} {sum(f1) / len(f1):.3f}")
answers_room = 0.1 if small else torch.inf  # a larger model is not compared with the recorded one
""",
    IGN,
)
md(
    "evaluate-answers-read",
    r"""
On the held-out questions EM is 0.013 before training, far below the rules; after 32 steps it has nearly reached their line (0.300 and 0.325), and in the end it is 0.762, above the line of the question word (0.525), too. Where the second epoch begins, the training loss drops sharply; EM goes from 0.688 to 0.762, with no such jump. The second guess: seven of ten, 0.72 of the test questions. 200 questions are few: the interval goes from 0.66 to 0.78, and the three recorded seeds lie well within it.

The rules are beaten clearly, 0.72 against 0.30. The more telling line is *question word only*: 0.44. Without reading more than *Who?* or *How many?* a trained model gets four of ten right. A text has few persons and few numbers, and training shows what an answer tends to look like; how much each of these helps, this control does not say. What reading the rest of the question is worth is the difference between the two recorded lines, 0.71 and 0.44, each with the best of three rates, which for both is the smallest tried. No seed of the one comes near a seed of the other.
""",
)
md(
    "answers-invalid-text",
    r"""
### Were the two fingers needed together?

In the toy, the best start and the best end made no span. How often does that happen to a real model? Take the free maxima of start and end, and count those that make no valid span, by reason: a position outside the text (in the question, or a special token), the end before the start, or more than 20 pieces. To compare with, the share of valid spans among all pairs of positions. **Predict:** more before training or after?
""",
)
code(
    "answers-invalid",
    r"""
def invalid(logits):
    '''The questions whose free maxima are no valid span, each with the reason.'''
    reasons = {}
    for i, (start, end, allowed) in enumerate(logits):
        first, last = start.argmax(), end.argmax()
        outside = not (allowed[first] and allowed[last])
        if span_scores(start, end, allowed)[first, last].isinf():
            reasons[i] = "outside the text" if outside else "end before start" if last < first else "too long"
    return reasons


invalid_before, invalid_after = invalid(untrained_logits), invalid(trained_logits)
rescued = sum(exact_match(answers_now[i], test_questions[i].answer) for i in invalid_after)
by_chance = sum(span_scores(*one).isfinite().float().mean().item() for one in trained_logits) / len(trained_logits)
print(f"of all pairs of positions, a share of {by_chance:.2f} is a valid span")
for name, reasons in (("before", invalid_before), ("after", invalid_after)):
    print(f"{name} training: {len(reasons)} of {len(test_questions)} not valid; {dict(Counter(reasons.values()))}")
print(f"of these {len(invalid_after)}, the best valid span is right {rescued:.0f} times")
for i, reason in list(invalid_after.items())[:3]:
    places = [logits.argmax().item() for logits in trained_logits[i][:2]]
    pieces = tokenizer.convert_ids_to_tokens([answers_test.rows[i]["input_ids"][place] for place in places])
    print(f"{test_questions[i].question} {reason}: start {pieces[0]!r} at {places[0]}, ", end="")
    print(f"end {pieces[1]!r} at {places[1]} -> {answers_now[i]!r}, gold {test_questions[i].answer!r}")
""",
    IGN,
)
md(
    "answers-invalid-read",
    r"""
Before training, 168 of 200 make no valid span, about as many as chance would give: of all pairs of positions, 0.21 are valid. 108 of them point outside the text. After training 12 are left, none of them outside the text and 10 with the end before the start. So training alone teaches most of the order, though nothing in the loss ties the end to the start. Of the 12, the choice among valid spans makes 5 right.
""",
)
md(
    "cut-short-text",
    r"""
### Does it read the question? Does it read the text?

To find out, change one thing and watch. First the question: `cut_short` leaves its question word, and after *how* one word more.
""",
)
code(
    "cut-short",
    r"""
def cut_short(question):
    '''The question word, and after "how" one word more.'''
    word = re.search(r"\b(how \w+|who|whom|whose|what|which|where|when|why)\b", question.question, re.IGNORECASE)
    return replace(question, question=(word.group() if word else "What") + "?")
""",
    "recorded",
)
md(
    "answers-altered-text",
    r"""
The control *question word only* in the table above was trained and tested with it.

Then the text, with one question, *Who beat the player from Osaka?* The four texts say: Ada beat Ben, who is from Osaka; Ben beat Ada, who is from Osaka; the same fact in the passive; and nothing about who won. **Predict** the four answers, and say which of them a model could get right that only looks for a person near *beat*.

And the questions of the test part, with the model that you trained: whole, the question word only, and the question of another item. The last asks for something that the text does not say.
""",
)
code(
    "answers-altered",
    r"""
stories = (
    "Ada Okonkwo of Lagos beat Ben Sato of Osaka in the final of the Harbour Cup on Sunday.",
    "Ben Sato of Lagos beat Ada Okonkwo of Osaka in the final of the Harbour Cup on Sunday.",
    "Ben Sato of Osaka was beaten by Ada Okonkwo of Lagos in the final of the Harbour Cup on Sunday.",
    "The final of the Harbour Cup was played on Sunday, and the umpire Pia Lund sent for towels.",
)
asked = [torchnlp.Question("Who beat the player from Osaka?", story, "", 0) for story in stories]
for story, answer in zip(stories, predict_answers(answers_model, encode_answers(asked)), strict=True):
    print(f"{answer!r:30} {story}")
others = [*test_questions[1:], test_questions[0]]
altered = {"question word": [cut_short(question) for question in test_questions]}
altered["another question"] = [replace(q, question=o.question) for q, o in zip(test_questions, others, strict=True)]
altered_scores = {"whole": answers_scores["your own run"]}
for name, some in altered.items():
    altered_scores[name] = judge_answers(predict_answers(answers_model, encode_answers(some)), test_questions)
for name, score in altered_scores.items():
    print(f"{name:17} EM {share_of(score['right'], score['of'])}")
""",
    IGN,
)
code(
    "answers-claim",
    r"""
assert likely_end < likely_start
assert span_by_matrix == span_by_loop
assert span_by_loop == (2, 3)
torch.testing.assert_close(constants, constants[:1].expand_as(constants))
assert answers_scores["your own run"]["EM"] > answers_scores["name or number"]["EM"] + 0.15
assert answers_scores["your own run"]["EM"] > 0.5
assert answers_scores["untrained"]["EM"] < 0.2
assert answers_scores["your own run"]["EM"] >= min(recorded_em["all"]) - answers_room
assert answers_scores["your own run"]["EM"] <= max(recorded_em["all"]) + answers_room
assert len(invalid_after) < len(invalid_before)
assert altered_scores["whole"]["EM"] > altered_scores["question word"]["EM"] + 0.1
assert altered_scores["question word"]["EM"] >= altered_scores["another question"]["EM"]
""",
    "claim",
)
md(
    "altered-read",
    r"""
The first two answers follow the text: the names have changed places, and so has the answer. But a rule that takes the person before *beat* would get these two as well. The third text, the passive, is a test of that rule, and the model fails it: its span holds both persons. To the fourth text no answer would be right, and the model names the only person there is. It was never shown a question without an answer, and a best span always exists; exercise 4 gives it a way to decline. Each of these is one sentence, so an example and no measurement.

Of the test questions, 0.72 are answered as they stand, 0.34 by the question word, and 0.10 when another item's question is asked: so the question matters. But this model never met such questions in training, and part of its fall may be surprise. The control, which was trained on question words, has no such surprise and reaches 0.44.
""",
)
md(
    "errors-answers-text",
    r"""
### Errors, read closely

Again three kinds, by the characters that the two answers cover, the model's and the gold one. **Wrong border**: the two overlap. **Wrong place, right sentence**: they do not, but no full stop stands between them. **Wrong sentence**: one does. (A full stop is a `.`, `!` or `?` with a space behind it.) Again the first five of each are shown.
""",
)
code(
    "errors-answers",
    r"""
def kind_of_wrong_answer(question, answer_start, answer):
    '''What is wrong with an answer, by the characters that it covers.'''
    gold_end, answer_end = question.start + len(question.answer), answer_start + len(answer)
    if answer_start < gold_end and question.start < answer_end:
        return "wrong border"
    between = question.text[min(gold_end, answer_end) : max(question.start, answer_start)]
    return "wrong sentence" if re.search(r"[.!?]\s", between) else "wrong place, right sentence"


wrong = {"wrong border": [], "wrong place, right sentence": [], "wrong sentence": []}
spans = [best_span(*logits) for logits in trained_logits]
for question, answer, offsets, (first, _) in zip(test_questions, answers_now, answers_test.places, spans, strict=True):
    if not exact_match(answer, question.answer):
        begin = offsets[first][0] if offsets[first] else 0
        wrong[kind_of_wrong_answer(question, begin, answer)].append((question, answer))
for kind, cases in wrong.items():
    print(f"{kind}, {len(cases)} times")
    for question, answer in cases[:5]:
        print(f"  {question.question}\n      gold: {question.answer} | model: {answer}")
""",
    IGN,
)
md(
    "errors-answers-read",
    r"""
More than half of the errors are borders. Of the five shown, a person would let one pass, *the railway line with their goats*; two more begin right and run on; two give a part only. *a single shrub* for *pollen from a single shrub* has EM 0 and F1 2/3: here the two measures differ.

Of the five that share nothing with the answer but its sentence, one is at least of the sort that was asked for, a name for *whose*. Of the five from another sentence, two are: a price, and a thing that a tug could snare.
""",
)

# ------------------------------------------------------------------------------------------------ half two, deeper

md(
    "answers-there-and-back",
    r"""
### Deeper: There and back, and the loss of two places

As with names: do first and last piece give exactly the answer's characters, for every question? And how many pieces does the longest answer have?
""",
)
code(
    "answers-show",
    r"""
row = answers_fit.rows[4]
pieces = tokenizer.convert_ids_to_tokens(row["input_ids"])
for place in [*range(min(10, len(pieces))), *range(row["start_positions"], row["end_positions"] + 1)]:
    marks = ["<- " + name for name in ("start", "end") if row[f"{name}_positions"] == place]
    print(f"{place:3} {pieces[place]:9} token type {row['token_type_ids'][place]}", *marks)
""",
)
code(
    "answers-trip",
    r"""
lost_answers, longest_answer = 0, 0
for part in (answers_fit, answers_held_out, answers_test):
    for question, row, offsets in zip(*part, strict=True):
        first, last = row["start_positions"], row["end_positions"]
        lost_answers += first == 0 or text_of(question, offsets, first, last) != question.answer
        longest_answer = max(longest_answer, last - first + 1)
print(f"{lost_answers} answers lost, the longest has {longest_answer} pieces")
""",
)
code(
    "answers-loss",
    r"""
batch = to_device(collate(answers_fit.rows[:4]))
with torch.no_grad():
    output = answers_model.eval()(**batch)
start_loss = -output.start_logits.log_softmax(dim=1).gather(1, batch["start_positions"][:, None]).mean()
end_loss = -output.end_logits.log_softmax(dim=1).gather(1, batch["end_positions"][:, None]).mean()
answers_loss, answers_loss_by_hand = output.loss, (start_loss + end_loss) / 2
""",
)
code(
    "answers-trip-claim",
    r"""
assert lost_answers == 0, "a text was cut off (see MAX_LENGTH), or an answer begins or ends inside a piece"
assert longest_answer <= 20, "raise longest in best_span"
torch.testing.assert_close(answers_loss, answers_loss_by_hand, rtol=1e-3, atol=1e-3)
""",
    "claim",
)
md(
    "answers-trip-read",
    r"""
No answer is lost, and the limit of 20 pieces forbids none. The loss is what the drawing says: cross-entropy over places, twice, and the mean of both. Note what the softmax runs over: *all* T places of the row, the question, `[SEP]` and even the padding. Nothing masks them; the model has to learn that no answer stands there, and `best_span` makes sure of it.
""",
)

md(
    "nearest",
    r"""
### Deeper: The nearest sentence, by vectors

The baseline above takes the sentence that shares most words with the question. A pre-trained body can choose it by **cosine similarity**: the mean of the last hidden states of the question against that of each sentence, both scaled to length 1.

For the default model this is no feat of pre-training on masked words. It is [all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), made for this very comparison: its card lists over a billion pairs of texts that belong together, many of them questions with their answers, among them SQuAD 2.0. It read each of a pair alone.
""",
)
code(
    "nearest-vectors",
    r"""
def vectors(body, texts):
    '''The mean over the last hidden state of each text, scaled to length 1: (N, D).'''
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in tokenizer(texts)["input_ids"]]
    means = [None] * len(rows)
    for chosen, output in outputs(body, rows):
        for i, hidden in zip(chosen, output.last_hidden_state.float(), strict=True):  # (T, D)
            means[i] = hidden[: len(rows[i]["input_ids"])].mean(dim=0)  # (D,), padding left out
    return torch.nn.functional.normalize(torch.stack(means), dim=1)
""",
)
code(
    "nearest-show",
    r"""
body = fresh(transformers.BertModel, add_pooling_layer=False)
sentences = [re.split(r"(?<=[.!?])\s+", question.text) for question in test_questions]
asked_vectors = vectors(body, [question.question for question in test_questions])  # (N, D)
groups = vectors(body, list(itertools.chain(*sentences))).split([len(group) for group in sentences])
by_vector = [(group @ vector).argmax().item() for group, vector in zip(groups, asked_vectors, strict=True)]
""",
)
code(
    "nearest-count",
    r"""
asked_words = [{*normalise(question.question)} for question in test_questions]
shared = [[len(words & {*normalise(s)}) for s in group] for words, group in zip(asked_words, sentences, strict=True)]
by_words, rights = [counts.index(max(counts)) for counts in shared], []
for name, chosen in (("by vectors", by_vector), ("by shared words", by_words)):
    rights.append([q.answer in group[i] for q, group, i in zip(test_questions, sentences, chosen, strict=True)])
    print(f"{name:16} the sentence with the answer: {share_of(sum(rights[-1]), len(rights[-1]))}")
only = [sum(a and not b for a, b in zip(*pair, strict=True)) for pair in (rights, rights[::-1])]
print(f"only the vectors are right: {only[0]} times; only the shared words: {only[1]} times")
print(f"by guessing: {sum(1 / len(group) for group in sentences) / len(sentences):.2f}")
""",
    IGN,
)
md(
    "nearest-read",
    r"""
0.89 by vectors, 0.91 by shared words, 0.49 by guessing. Both ways were asked the same questions, so look at those on which they differ: 8 are won by the vectors alone, 12 by the shared words alone. That is no difference to build on. On these questions, which often take their words from the text, the vectors bring nothing that counting words does not.
""",
)

md(
    "span-map",
    r"""
### Deeper: All spans of one question, before and after training

The grid of the toy, for a real question: the probability of each span, that of its start times that of its end, first piece by last piece, with the untrained head and with yours. Drawn is the part around the best span and the gold answer, which is in the middle of the frame.
""",
)
code(
    "span-map-shares",
    r"""
def span_probabilities(start, end, allowed):
    '''The probability of each span (T, T): that of its start times that of its end; 0 where it is not valid.'''
    logs = span_scores(start, end, allowed) - start.logsumexp(dim=0) - end.logsumexp(dim=0)
    return logs.exp()
""",
)
code(
    "span-map-draw",
    r"""
question, row = test_questions[0], answers_test.rows[0]
best = best_span(*trained_logits[0])
inside = [place for place, offset in enumerate(answers_test.places[0]) if offset]
low = max(inside[0], min(best[0], row["start_positions"]) - 6)
high = min(inside[-1], max(best[1], row["end_positions"]) + 6)
ticks, names = range(low, high + 1), tokenizer.convert_ids_to_tokens(row["input_ids"])[low : high + 1]
fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for ax, title, logits in ((axes[0], "untrained", untrained_logits[0]), (axes[1], "trained", trained_logits[0])):
    shares = span_probabilities(*logits)  # (T, T)
    image = ax.imshow(shares.tolist(), cmap="Blues", vmin=0)
    corner = row["end_positions"] - 2, row["start_positions"] - 2
    ax.add_patch(plt.Rectangle(corner, 4, 4, fill=False, edgecolor=COLOURS["orange"], linewidth=2))
    limits = {"xlim": (low - 0.5, high + 0.5), "ylim": (high + 0.5, low - 0.5)}  # the part around both answers
    ax.set(title=title, xlabel="last piece", ylabel="first piece", **limits)
    ax.set_xticks(ticks, names, rotation=90, fontsize=7)
    ax.set_yticks(ticks, names, fontsize=7)
    fig.colorbar(image, ax=ax, label="probability of the span", shrink=0.7)
    best_text = text_of(question, answers_test.places[0], *best_span(*logits))
    print(f"{title}: {best_text!r}, probability {shares.max():.4f}; all valid spans {shares.sum():.2f}")
ALT{Two heat maps of the spans around two answers, first piece by last piece, with a frame around the gold one.
Untrained: all fields above the diagonal have some. Trained: a few fields stand out.}
fig.suptitle(question.question)
torchnlp.show(fig, alt)
""",
    IGN,
)
md(
    "span-map-read",
    r"""
Untrained, the head shares the probability out over all pairs: the valid spans have 0.20 of it together, and none has more than 0.0003. (Note the two scales of colour.) Trained, the valid spans have 0.67, and the best of them half of that, 0.335: *Treasure Beach*, of the same sentence as *a cargo plane*, the gold answer. The next darkest field, in the same row, ends where the gold answer ends. So the model has the right sentence, and prefers a start that is wrong.
""",
)

md(
    "windows",
    r"""
### Deeper: Texts longer than the model reads

![A long text as a bar, with the answer marked in it. Below it five windows that overlap, each with the question in front. The answer stands whole in two of them. Beside each window stand the score of its best span and that span's probability in this window, made-up numbers; the largest score and the largest probability both belong to windows without the answer. At the bottom: within a window, differences mean something, because one softmax runs over all its places; between windows, each shares out a whole 1, and adding 5 to all start logits of a window changes nothing in it.](figures/windows.svg)

This lesson cuts after 128 pieces (of its texts none is that long), and BERT has positions for 512. A longer text is read in **windows**, each with the question in front. They overlap, so that an answer at the border of one stands whole in the next. The tokenizer makes them: `return_overflowing_tokens=True`, and `stride` says by how many pieces neighbours overlap (what other libraries call stride is the distance between two windows, not their overlap). `overflow_to_sample_mapping` says which window belongs to which question.

Each window gives scores. Which window answers?

- **Probabilities** are not comparable. Each window shares out a whole 1, even one in which nothing answers: the sum over its places is its own.
- **Raw scores**, $s_i + e_j$, are compared by most recipes. But cross-entropy fixes logits only up to a constant for each window: add 5 to all start logits of a window, and its loss is the same. So nothing in our training made the scores of two windows comparable ([Clark and Gardner 2018](https://arxiv.org/abs/1710.10723) show it, and train with one softmax over all windows of a text).
- A **difference within a window** is another matter: best span minus *no answer*, the score of `[CLS]`. What is added to all logits drops out of it, and it asks the same in every window: is the answer here or not? For that the model must have been trained to point at `[CLS]` where a window holds no answer. Ours was not.

How bad is it? Make long texts: each is six test texts in a row, with the question of one of them. **Predict:** how many of 40 questions does the model still answer, if it reads the whole, some 300 pieces, at once? In windows, by probability? By score? And if somebody told it which windows hold the answer, which in use nobody can?
""",
)
code(
    "windows-texts",
    r"""
def long_questions(questions, texts_each=6):
    '''Each question with a text that is made of several: its own, at a place that changes, and others.'''
    long = []
    for i, question in enumerate(questions):
        others = [questions[(i + step) % len(questions)].text for step in range(1, texts_each)]
        before = "".join(text + " " for text in others[: i % texts_each])
        text = before + question.text + "".join(" " + text for text in others[i % texts_each :])
        long.append(replace(question, text=text, start=len(before) + question.start))
    return long


long = long_questions(test_questions[:40])
""",
)
code(
    "windows-encode",
    r"""
def encode_windows(questions, length, overlap):
    '''All windows of all questions as a part, and for each window the number of its question.'''
    pairs = [question.question for question in questions], [question.text for question in questions]
    sizes = {"truncation": "only_second", "max_length": length, "stride": overlap, "return_overflowing_tokens": True}
    encoding = tokenizer(*pairs, **sizes, return_offsets_mapping=True)
    owners, rows, places = encoding["overflow_to_sample_mapping"], [], []
    for i in range(len(owners)):
        parts = zip(encoding["offset_mapping"][i], encoding.sequence_ids(i), strict=True)
        places.append([offset if part == 1 else None for offset, part in parts])
        rows.append({name: encoding[name][i] for name in ("input_ids", "attention_mask", "token_type_ids")})
    return Part([questions[owner] for owner in owners], rows, places), owners
""",
)
code(
    "windows-choose",
    r"""
def answer_by(score, part, owners, logits, among=None):
    '''For each question the answer of the window, among all or these, whose best span has the largest score.'''
    best = {}
    for i in range(len(owners)) if among is None else among:
        candidate = score(*logits[i]).max().item(), text_of(part.items[i], part.places[i], *best_span(*logits[i]))
        best[owners[i]] = max(best.get(owners[i], (-torch.inf, "")), candidate)
    return [best[owner][1] for owner in sorted(best)]
""",
)
code(
    "windows-holds",
    r"""
def holds_answer(question, offsets):
    inside = [offset for offset in offsets if offset]
    return inside[0][0] <= question.start and question.start + len(question.answer) <= inside[-1][1]
""",
)
code(
    "windows-run",
    r"""
windows_part, owners = encode_windows(long, MAX_LENGTH, 48)
window_logits = answer_logits(answers_model, windows_part)
whole_part, whole_owners = encode_windows(long, 512, 48)
read_whole = answer_by(span_scores, whole_part, whole_owners, answer_logits(answers_model, whole_part))
read = {"the short text alone": answers_now[: len(long)], "the long text at once": read_whole}
read["windows, by probability"] = answer_by(span_probabilities, windows_part, owners, window_logits)
read["windows, by score"] = answer_by(span_scores, windows_part, owners, window_logits)
told = [i for i in range(len(owners)) if holds_answer(windows_part.items[i], windows_part.places[i])]
read["windows, told which"] = answer_by(span_scores, windows_part, owners, window_logits, told)
windows_scores = {name: judge_answers(answers, long) for name, answers in read.items()}
""",
)
code(
    "windows-show",
    r"""
lengths = [len(row["input_ids"]) for row in whole_part.rows]
print(f"{len(long)} long texts of {min(lengths)} to {max(lengths)} pieces, {len(owners)} windows")
rights = {
    name: {i for i, question in enumerate(long) if exact_match(answers[i], question.answer)}
    for name, answers in read.items()
}
alone = rights["the short text alone"]
for name, score in windows_scores.items():
    print(f"{name:24} EM {share_of(score['right'], score['of'])}  ", end="")
    print(f"lost {len(alone - rights[name]):2}, won {len(rights[name] - alone)}")
by_share, by_score = rights["windows, by probability"], rights["windows, by score"]
print(f"right by probability only: {len(by_share - by_score)}, by score only: {len(by_score - by_share)}")
""",
    IGN,
)
code(
    "windows-claim",
    r"""
assert windows_scores["the short text alone"]["EM"] > windows_scores["the long text at once"]["EM"]
""",
    "claim",
)
md(
    "windows-read",
    r"""
Alone, 0.78 of the short texts' questions are answered; in the long text at once, 0.38. Three things changed: there is more text that can distract, there are more positions to be wrong, and positions beyond any in training. This run does not separate them. In windows it is 0.65 by probability and 0.62 by score. The two answer the same questions: 4 are right by probability alone and 3 by score alone, so 40 questions show no difference. Told which windows hold the answer, the model has 0.78 again. So the windows lose against the short text because a window without the answer is chosen. That may come of scores that cannot be compared, or of more text that can distract. A possible remedy for the first is a score that is comparable between windows: exercise 4.
""",
)

md(
    "answers-settings",
    r"""
### Deeper: How the settings of the answers were chosen

As in half one: rates and steps by the held-out items alone, one seed each; then the test part with the chosen setting of each kind, three seeds each.
""",
)
code(
    "answers-train",
    r"""
def trained_answers(seed, trained, rate, steps, part):
    '''A model for answers; "question word only" is the name of a part, not of a way to train.'''
    model = fresh(BertForQuestionAnswering, seed, trained == "frozen")
    learn(model, part.rows, rate, steps, seed)
    return model


def as_seen(trained, part):
    '''The part as the model of this kind sees it.'''
    return encode_answers([cut_short(item) for item in part.items]) if trained == "question word only" else part
""",
    "recorded",
)
code(
    "answers-tune",
    r"""
def tune_answers(settings, seeds):
    '''EM on the held-out questions for each setting (what is trained, rate, steps) and seed: a list of rows.'''
    rows = []
    for seed, (trained, rate, steps) in itertools.product(seeds, settings):
        model = trained_answers(seed, trained, rate, steps, as_seen(trained, answers_fit))
        answers = predict_answers(model, as_seen(trained, answers_held_out))
        row = {"seed": seed, "trained": trained, "rate": rate, "steps": steps}
        rows.append(row | judge_answers(answers, answers_held_out.items))
    return rows
""",
    "recorded",
)
code(
    "answers-compare",
    r"""
def compare_answers(settings, seeds):
    '''The test part for each setting (what is trained, rate, steps) and seed: a list of rows.'''
    rows = []
    for seed, (trained, rate, steps) in itertools.product(seeds, settings):
        model = trained_answers(seed, trained, rate, steps, as_seen(trained, answers_fit))
        answers = predict_answers(model, as_seen(trained, answers_test))
        row = {"seed": seed, "trained": trained, "rate": rate, "steps": steps}
        rows.append(row | judge_answers(answers, test_questions))
    return rows
""",
    "recorded",
)
code(
    "answers-settings-show",
    r"""
show_settings(torchnlp.recorded("answers_settings"), "EM")
""",
)
md(
    "answers-settings-read",
    r"""
The smallest of the three rates is best, EM 0.790; the next one, 0.770, is four of 200 questions behind, which may be chance. With the question word only it is the same: EM 0.525, 0.495 and 0.470. So control and full training have the same rate, the smallest that was tried; a still smaller one might be better for both.
""",
)
md(
    "answers-own",
    r"""
### Deeper: Ask a text of your own

Change text and question, and run the cell. Then ask something that the text does not say.
""",
)
code(
    "answers-own-run",
    r"""
my_text = "Rain had held up play in Lagos for two hours, and the Portuguese umpire sent for towels."
my_questions = ["How long did the rain hold up play?", "Who sent for towels?", "Who won the doubles?"]
mine = encode_answers([torchnlp.Question(question, my_text, "", 0) for question in my_questions])
print(*zip(my_questions, predict_answers(answers_model, mine), strict=True), sep="\n")
""",
    IGN,
)
md(
    "answers-own-read",
    r"""
The third question has no answer, and the model points at something all the same: it was never shown a question without an answer, and the best span always exists. Exercise 4 gives it a way to decline.
""",
)

# ==================================================================================================== both together

md(
    "what-stays",
    r"""
## What stays, and what changes

Back to the big picture. From lesson 4 to this lesson, here is the difference:

```diff
- BertForSequenceClassification        # a head on one hidden state, that of [CLS]
+ BertForTokenClassification           # a head on every hidden state: a logit for each tag
+ BertForQuestionAnswering             # a head on every hidden state: a start logit and an end logit
- labels (B,)                          # the class of the text
+ labels (B, T)                        # the tag of each word, -100 where nothing counts
+ start_positions (B,), end_positions (B,)   # two places
- cross-entropy over 4 classes, a mean over texts
+ cross-entropy over 9 tags, a mean over the pieces that count
+ cross-entropy over T places, the mean of start and end
- the largest logit is the class
+ the largest logit of each first piece is a tag, and tags are joined to names
+ the largest sum of a start logit and an end logit that is a valid span
```

From pre-training to each of them: the body is kept, the head of pre-training, if the file has one, is thrown away, and a new head is filled at random.

What stays between the three: the architecture of the body and the weights it starts from, the tokenizer, the attention mask, the training loop and the optimizer. (The class model has one layer more, the **pooler**: a dense layer with tanh on `[CLS]`, before its head. The other two need none.) What changes: input (one text, or two with segment ids), labels, head, loss, the step from logits to an answer, and the judge. Learning rate and number of steps are set anew each time.

The weights of the body do not stay. Training moved them, and for each task in its own way; the next section measures how far.
""",
)
md(
    "bodies",
    r"""
### Deeper: What was kept, and how far did the bodies move?

First the files. `from_pretrained` can say what it did: which weights of the file it kept, which it threw away because the new model has no place for them, and which were not in the file, so that they are new.
""",
)
code(
    "bodies-kept",
    r"""
architectures = (transformers.BertForSequenceClassification, BertForTokenClassification, BertForQuestionAnswering)
for architecture in architectures:
    made, info = architecture.from_pretrained(model_name, use_safetensors=True, output_loading_info=True)
    kept_weights = len(made.state_dict()) - len(info["missing_keys"])
    print(f"{architecture.__name__}: {kept_weights} weights and biases kept")
    print("    thrown away:", *(sorted(info["unexpected_keys"]) or ["nothing"]))
    print("    new:", *sorted(info["missing_keys"]))
""",
    IGN,
)
md(
    "bodies-moved-text",
    r"""
The body is kept in all three. The head that guessed masked words stands nowhere: this file has none, since the last training of this model, on pairs of sentences, did not need one. (That of bert-base-uncased has it, and it would be listed as thrown away.) The pooler is kept for classes and thrown away for names and answers.

Now compare three bodies: as pre-trained, after the names, after the answers. Compare layer by layer: the length of the difference of all weights of a layer, divided by the length of the pre-trained weights. **Predict:** which layers moved most? And can one body serve both tasks, if you put the trained head of the names on the body that was trained for answers?
""",
)
code(
    "bodies-moved",
    r"""
def moved_by_layer(model, before):
    '''For each layer: how far its weights moved, as a share of their length.'''
    shares = []
    for old, new in zip(before.encoder.layer, model.base_model.encoder.layer, strict=True):
        pairs = list(zip(old.parameters(), new.parameters(), strict=True))
        far = sum((a - b).square().sum().item() for a, b in pairs)
        shares.append((far / sum(a.square().sum().item() for a, _ in pairs)) ** 0.5)
    return shares
""",
)
code(
    "bodies-show",
    r"""
pretrained = fresh(transformers.BertModel, add_pooling_layer=False)
moved = {"names": moved_by_layer(names_model, pretrained), "answers": moved_by_layer(answers_model, pretrained)}
between = moved_by_layer(names_model, answers_model.base_model)
for name, shares in {**moved, "names against answers": between}.items():
    print(f"{name:22}", *(f"{share:.4f}" for share in shares))
""",
    IGN,
)
code(
    "bodies-swapped",
    r"""
bodies_f1 = {"its own": names_scores["your own run"]["F1"]}
for name, other in (("the answers'", answers_model.base_model), ("the pre-trained", pretrained)):
    mixed = fresh(BertForTokenClassification, **TAGGED)
    mixed.base_model.load_state_dict(other.state_dict())
    mixed.classifier.load_state_dict(names_model.classifier.state_dict())
    bodies_f1[name] = judge_names(test, find_tags(mixed, test))["F1"]
for name, f1 in bodies_f1.items():
    print(f"the names' head on {name} body: F1 {f1:.3f}")
""",
    IGN,
)
code(
    "bodies-claim",
    r"""
assert bodies_f1["the answers'"] < bodies_f1["its own"] - 0.3
assert bodies_f1["the pre-trained"] < bodies_f1["its own"] - 0.3
""",
    "claim",
)
md(
    "bodies-read",
    r"""
In both bodies the last layer moved most. The names' body moved more than twice as far as the answers'; but its rate was more than three times as high and its steps were more, so this says nothing about the tasks. All movements are small, 2 to 7 hundredths of the weights' length. And yet the head depends on them: on the answers' body the names' head, as it is, finds next to nothing, F1 0.005. On the pre-trained body, from which both started, it does hardly better, 0.032; so it is not that training for answers has destroyed something.

That is what was tried, and no more: not the answers' head on the names' body, and not a new head on either. One way to have one body for both is to train it on both at once, which is called **multi-task learning**.
""",
)

md(
    "published",
    r"""
## Deeper: How good is good?

Our test is small and friendly. Here is what papers report on the two corpora that were widely used when BERT came out: [Devlin et al. (2019)](https://arxiv.org/abs/1810.04805), tables 2 and 7, and the lookup baseline of [Tjong Kim Sang and De Meulder (2003)](https://aclanthology.org/W03-0419/).
""",
)
code(
    "published-show",
    r"""
published = (  # task, who, exact match, F1, in per cent
    ("names, CoNLL-2003 test", "lookup", None, 59.6),
    ("names, CoNLL-2003 test", "BERT-base", None, 92.4),
    ("names, CoNLL-2003 test", "BERT-large", None, 92.8),
    ("answers, SQuAD 1.1 dev", "BERT-base", 80.8, 88.5),
    ("answers, SQuAD 1.1 dev", "BERT-large", 84.1, 90.9),
    ("answers, SQuAD 1.1 test", "people", 82.3, 91.2),
)
""",
)
code(
    "published-print",
    r"""
types_of = {}
for item in [*train_names, *test_names]:
    for name in item.entities:
        types_of.setdefault(item.text[name.start : name.end].lower(), set()).add(name.type)
print(f"{len(types_of):,} different names, with two types: {sum(len(kinds) > 1 for kinds in types_of.values())}\n")
for task, who, em, f1 in published:
    print(f"{task:24} {who:11} EM {em or '-':>5}   F1 {f1}")
""",
)
md(
    "published-read",
    r"""
BERT-base has 110 million parameters, BERT-large 340 million; the course's default model has under 23 million. CoNLL-2003 trains on 14,000 to 15,000 sentences, depending on how one counts, SQuAD on nearly 90,000 questions. Between base and large the test is the same, so these two may be compared: three times as many parameters bring two to three and a half points for answers. For names they bring less than half a point, which is too little to read anything into.

Do not compare those numbers with yours. **Numbers from two data sets cannot be compared**, even if both are called F1, because the test is a part of the number. Ours is easier in several ways:

- SQuAD's writers were asked to use their own words. Our questions often take the words of the sentence that answers them, and the answer stands in the text exactly once.
- A text is one short paragraph. SQuAD's are longer; each place more is a place to be wrong.
- The news is invented by one author, in one style. Its names are regular, and of more than three thousand different ones a single one has two types in two texts.
- CoNLL-2003 is real newswire of 1996 with tables of results, headlines in capitals and clubs that are called like their cities.

And in one way ours is harder: 800 items to learn from are few. What you may compare is two models on the *same* test, and then only if they differ by more than their intervals and their seeds do. 200 questions are few: one of them is half a point.
""",
)
md(
    "takeaways",
    r"""
## Takeaways

- The same body serves many tasks. A task is an input, labels, a head, a loss, and a step from logits to an answer. Training moves the body, and a head fits the body it was trained with.
- Names become BIO tags, and the first piece of a word speaks for the word. Labels of -100 do not count. Check the way to tags and back before you train.
- Token accuracy can be high where no name is found. Judge whole names, beside a lookup.
- An answer is a start and an end. The sum of their scores is, up to a constant, the logarithm of the probability of the span; take the best valid pair.
- EM asks for every word, F1 for shared words. The baseline to beat is a model that was trained on a part of the input, such as the question word; hand-written rules were weaker.
- To learn what a model depends on, exchange the name, cut the question, change the text, and keep a control that changes nothing else.

## What next

So far one device did all the work. Lesson 6 makes training faster, and shares it among several processes, GPUs and machines.
""",
)
md(
    "hood",
    r"""
## Deeper: What the helper did under the hood

Tags, labels, heads, losses, spans, the training loop and both judges stand in this notebook. `torchnlp.py` and the libraries did the rest:

| call | what it does |
|---|---|
| `load_entities()` | texts and the places of their names; checks that each name stands in its text as a whole word |
| `load_questions()` | questions, texts and answers; checks that each answer stands in its text exactly once |
| `Entity`, `EntityText`, `Question` | what the loaders return: a name's place and type, a text with its names, a question with text and answer |
| `model_folder()` | finds the model's folder and checks that it is complete and unchanged |
| `LengthGroupedBatches` | shuffles, then puts texts of like length into one batch |
| `prepare_optimizer` | AdamW and its schedule: up over the first tenth of the steps, then down to zero |
| `autocast` | matrix products in bfloat16 where the hardware has it |
| `interval`, `recorded`, `show` | Wilson's interval; a recorded experiment; a figure with a text for those who cannot see it |
| `DataCollatorForTokenClassification` (transformers) | fills up the rows of a batch: ids, mask, and labels with -100 |

For instance, what the collator does to two rows of unequal length:
""",
)
code(
    "hood-collate",
    r"""
two = collate([{"input_ids": [101, 102], "attention_mask": [1, 1], "labels": [-100, -100]}, fit.rows[0]])
print({name: tensor[0, :6].tolist() for name, tensor in two.items()})
""",
)

# ========================================================================================================= exercises

EXERCISES = []


def exercise(number: int, name: str, text: str, scaffold: str, solution_text: str, solution: str) -> None:
    """An exercise in the lesson, with its check, and its solution, with the same check."""
    global into
    check = f"from checks import lesson_5 as check\n\ncheck.{name}({name})"
    for notebook, said, answer in ((lesson, text, scaffold), (solutions, solution_text, solution)):
        into = notebook
        md(f"exercise-{number}-text", said)
        code(f"exercise-{number}", answer)
        code(f"check-{number}", check)
    into = lesson


into = lesson
md(
    "exercises",
    r"""
## Exercises

Each has a cell for your answer and a cell that checks it with random inputs and says what is wrong. The solutions are in `solutions/5-beyond-classification.ipynb`; try first. The first two and the last two belong to half one, the others to half two.
""",
)
into = solutions
md(
    "title",
    r"""
# Lesson 5: solutions

One solution for each exercise of `5-beyond-classification.ipynb`. There are others: the check cells, which are those of the lesson, accept any that does the task.
""",
)
code(
    "setup",
    r"""
import itertools
import time

import torch

import torchnlp

started = time.perf_counter()
torchnlp.set_seed(0)
""",
)
into = lesson
exercise(
    1,
    "broken_tags",
    r"""
### 1. Recall: tags that make no sense (5 minutes, difficulty 1 of 3)

A model chooses each tag for itself, so it may choose an I that continues nothing. Write `broken_tags(tags)`: the list of the places, from 0, where an `I-` tag follows neither a `B-` nor an `I-` of the same type.

Then count them in all texts of `names_tags`, a list with one list of tags for each test text. How often does the trained model contradict itself?
""",
    "def broken_tags(tags): ...",
    r"""
## 1. Recall: tags that make no sense

Look at each tag together with the one before it. In front of the first stands nothing, which an `O` says as well. The type begins at the third letter of a tag.
""",
    r"""
def broken_tags(tags):
    pairs = itertools.pairwise(["O", *tags])
    return [place for place, (before, tag) in enumerate(pairs) if tag[0] == "I" and before[1:] != tag[1:]]
""",
)
exercise(
    2,
    "label_all_pieces",
    r"""
### 2. Modify: a label for every piece (10 minutes, difficulty 2 of 3)

The lesson labels the first piece of each word. One can also give every piece a label. Write `label_all_pieces(word_tags, word_ids, number_of)`. `word_tags` holds the tag of each word, `word_ids` the word of each piece, or None for special tokens, and `number_of` the number of each tag. It returns a list with a number for each piece. If the word's tag begins with B, only its *first* piece gets that tag; the others are inside the same name. Special tokens get -100.

If you have time, train with it. When you judge, keep asking the first piece of each word, or the two are not comparable.
""",
    "def label_all_pieces(word_tags, word_ids, number_of): ...",
    r"""
## 2. Modify: a label for every piece

A piece whose word is that of the piece before it goes on with a word. It is inside whatever its word is, so a B becomes an I.
""",
    r"""
def label_all_pieces(word_tags, word_ids, number_of):
    labels = []
    for before, word in itertools.pairwise([None, *word_ids]):
        if word is None:
            labels.append(-100)
            continue
        tag = word_tags[word]
        labels.append(number_of[tag.replace("B-", "I-") if word == before else tag])
    return labels
""",
)
exercise(
    3,
    "best_spans",
    r"""
### 3. Modify: more than one answer (10 minutes, difficulty 2 of 3)

A search engine shows several answers. Write `best_spans(start_logits, end_logits, count)` for two tensors (T,): a list of the `count` best valid spans as pairs `(first, last)`, the best one first. A span is valid if its end does not lie before its start. If there are fewer valid spans than `count`, return all of them.
""",
    "def best_spans(start_logits, end_logits, count): ...",
    r"""
## 3. Modify: more than one answer

The matrix of the lesson, and `topk` in place of `argmax`. There are T (T + 1) / 2 valid spans, so no more can be asked for.
""",
    r"""
def best_spans(start_logits, end_logits, count):
    length = len(start_logits)
    scores = start_logits[:, None] + end_logits  # (T, T)
    scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).tril(-1), -torch.inf)
    best = scores.flatten().topk(min(count, length * (length + 1) // 2)).indices
    return [divmod(place, length) for place in best.tolist()]
""",
)
exercise(
    4,
    "answer_or_none",
    r"""
### 4. Extend: no answer (15 minutes, difficulty 2 of 3)

SQuAD 2.0 has questions without an answer. Devlin et al., section 4.3, let the model point at `[CLS]`, which is place 0, if there is none. The score of *no answer* is then the start logit plus the end logit of place 0. The best span among the places from 1 on is returned only if its score is larger than that of no answer plus a threshold. Write `answer_or_none(start_logits, end_logits, threshold)` for two tensors (T,): the pair `(first, last)`, or None.

What would you have to add to the training data so that the model learns to point at `[CLS]`? And why may the difference of the two scores be compared between two windows of a long text, though the scores may not?
""",
    "def answer_or_none(start_logits, end_logits, threshold): ...",
    r"""
## 4. Extend: no answer

The best span leaves out row and column 0, which belong to `[CLS]`. So that a model learns to point there, training needs questions without an answer, with 0 as start and as end. Take a question and the text of another item, for instance; but such pairs are easy to tell. The hard ones, in which the text speaks of the thing and does not say it, must be written by people, and that is what SQuAD 2.0 did.

A constant that is added to all start logits of a window is in both scores, so it is not in their difference. What remains is the logarithm of how many times more probable the span is than *no answer*, within this window; and training on windows without an answer has taught the model what that should be.
""",
    r"""
def answer_or_none(start_logits, end_logits, threshold):
    scores = start_logits[1:, None] + end_logits[1:]  # (T - 1, T - 1), without [CLS]
    scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).tril(-1), -torch.inf)
    first, last = divmod(scores.argmax().item(), len(scores))
    no_answer = start_logits[0] + end_logits[0]
    return (first + 1, last + 1) if scores[first, last] > no_answer + threshold else None
""",
)
exercise(
    5,
    "windows",
    r"""
### 5. Extend: windows by hand (15 minutes, difficulty 2 of 3)

In the section on long texts the tokenizer cuts the windows. Do it yourself. Write `windows(length, size, overlap)`: a list of pairs `(start, end)`, the end not included. Each window has `size` pieces, but the last may have fewer. Each starts `overlap` pieces before the end of the one before. The last window ends with the text, and no window lies whole inside another.

How large must the overlap be so that no answer of up to 20 pieces is cut by every window?
""",
    "def windows(length, size, overlap): ...",
    r"""
## 5. Extend: windows by hand

The next window starts where the last one ends, less the overlap. Stop as soon as a window reaches the end of the text.

An answer of 20 pieces that begins 19 pieces before the end of a window, or later, is cut by it. The next window must then begin at or before its first piece: an overlap of 19 is enough.
""",
    r"""
def windows(length, size, overlap):
    pairs = [(0, min(size, length))]
    while pairs[-1][1] < length:
        start = pairs[-1][1] - overlap
        pairs.append((start, min(start + size, length)))
    return pairs
""",
)
exercise(
    6,
    "word_effects",
    r"""
### 6. Which word decides? An intervention (15 minutes, difficulty 2 of 3)

To learn which words a name's type hangs on, hide one word at a time and watch its probability. Write `word_effects(words, probability)`. `words` is a list of words; `probability` is a function that takes such a list and returns a float. It returns a list with a number for each word: the probability of the whole list, less the probability of the list with this word replaced by `"[MASK]"`. Call `probability` once for the whole list, not once for each word, and leave `words` as it is.

Then use it: for a test text in which the model calls a new name PER, let `probability` be the model's probability of `B-PER` at the name's first word. Which word has the largest effect? Is it in the name or beside it?
""",
    "def word_effects(words, probability): ...",
    r"""
## 6. Which word decides? An intervention

A new list for each word, so that the caller's stays as it is. A positive number says that the word speaks for the type, a negative one that it speaks against it.
""",
    r"""
def word_effects(words, probability):
    whole = probability(words)
    hidden = [[*words[:place], "[MASK]", *words[place + 1 :]] for place in range(len(words))]
    return [whole - probability(one) for one in hidden]
""",
)
exercise(
    7,
    "read_tagged",
    r"""
### 7. Names on your own data (20 minutes, difficulty 3 of 3)

Most annotated corpora come as lines with a word and its tag, `Juba B-LOC`, and an empty line behind each sentence. Write `read_tagged(lines)` for the lines of one sentence, without the empty one. It returns `(text, names)`: the words joined by single spaces, and a list of `(start, end, type)` for each name, in characters, with the end not included. Tags are valid BIO: an I always continues a name.

Then read your own: ten sentences in your language or of your trade, tagged by hand. `torchnlp.EntityText(text, tuple(torchnlp.Entity(*name) for name in names))` makes an item of them; `encode_names` and `judge_names` do the rest. What is F1, and which of your names would a person from elsewhere have missed, too?
""",
    "def read_tagged(lines): ...",
    r"""
## 7. Names on your own data

Keep count of the characters. A word begins one space after the end of the last. B opens a name; I moves the end of the last one.
""",
    r"""
def read_tagged(lines):
    text, names = "", []
    for word, tag in (line.split() for line in lines):
        start = len(text) + 1 if text else 0
        text = f"{text} {word}" if text else word
        if tag[0] == "B":
            names.append((start, len(text), tag[2:]))
        elif tag[0] == "I":
            names[-1] = (names[-1][0], len(text), names[-1][2])
    return text, names
""",
)
into = solutions
md(
    "end",
    r"""
Each check above says "right".
""",
)
code(
    "time",
    r"""
print(f"This lesson took {time.perf_counter() - started:.0f} s.")
""",
    IGN,
)
into = lesson
md(
    "check-yourself",
    r"""
## Check yourself

Answer in a sentence or two, then unfold.

<details><summary>Why is the F1 of names lower than the accuracy of tokens, for the same model?</summary>

Most words are outside of any name, and a model that says O to all of them is right there without knowing anything: token accuracy starts high. F1 counts whole names. One wrong tag is one wrong word of many, but it makes a whole name wrong, and often adds a wrong one that was found in its place, which costs precision as well.

</details>

<details><summary>Can you give an answer for which exact match and token F1 differ, and say what each is for?</summary>

Gold *340 boats*, answer *340 fishing boats*: not all words are the same, so EM is 0; two words in common, three and two in all, so F1 is 4/5. EM asks whether the answer is right, F1 how much of it. F1 forgives a word too many, but it also gives something to a wrong answer that happens to share words.

</details>

<details><summary>What is kept from pre-training, and what stays and what changes between classes, names and answers?</summary>

From pre-training the body is kept; its head, if the file has one, is thrown away. So the body's architecture and the weights it starts from stay, with the tokenizer, the mask, the training loop and the optimizer. What changes is the input (one text or two), the labels (a class, a tag for each word, two places), the head (on `[CLS]` or on every hidden state), what the softmax runs over (classes, tags, places), the step from logits to an answer, and the judge. Training then moves the body; the names' head, as it was, did not work on another body.

</details>

<details><summary>Why do some labels have the value -100, and why does only the first piece of a word get a tag?</summary>

One word has one tag, but may have several pieces. If one piece speaks for the word, the model gives one answer for each word, and none that contradict each other. All other pieces, special tokens and padding get -100, which cross-entropy leaves out of sum and mean. Prediction does not need the labels for this: the tokenizer says which piece is the first of a word.

</details>

<details><summary>Why is the best span the one with the largest sum of a start and an end score, and why is it not simply the best start with the best end?</summary>

The logarithm of a span's probability is the sum of both scores up to a constant, if start and end are taken as independent. The best start and the best end are chosen without each other: the end may lie before the start, in the question, or far away, and then they are no span. So one takes the largest sum among the valid pairs.

</details>

<details><summary>Names that stood in training are found more often than new ones. Does that show that the model knows names by heart?</summary>

Not by itself. Nearly all persons and organisations of the test part are new, and many places are not, so compare within a type. And even new names are found. To separate the name from its surroundings, exchange it for another new one: what the model then says of the same place shows what the context adds, and exchanges within a type are the control.

</details>
""",
)
code(
    "time",
    r"""
print(f"This lesson took {time.perf_counter() - started:.0f} s.")
""",
    IGN,
)


# ============================================================================================= notebooks, and a check


def write(path: Path, cells: list[dict]) -> None:
    """The notebook without outputs. Metadata is that of the notebook that lies there."""
    import nbformat

    made = nbformat.v4.new_notebook(metadata=nbformat.read(path, as_version=4).metadata)
    for cell in cells:
        new = nbformat.v4.new_markdown_cell if cell["kind"] == "markdown" else nbformat.v4.new_code_cell
        metadata = {"tags": cell["tags"]} if cell["tags"] else {}
        metadata |= {"jp-MarkdownHeadingCollapsed": True} if cell["collapsed"] else {}
        made.cells.append(new(cell["source"], id=cell["id"], metadata=metadata))
    nbformat.validate(made)
    nbformat.write(made, path)
    print(f"written: {path.relative_to(ROOT)}, {len(cells)} cells")


def layers(cells: list[dict]) -> tuple[list[dict], list[dict], list[dict]]:
    """Path, deeper, exercises: as tests/test_frame.py sorts them."""
    path, deeper, exercises, level_of_deeper, in_exercises = [], [], [], None, False
    for cell in cells:
        plain = re.sub(r"```.*?```", "", cell["source"], flags=re.DOTALL)
        headings = re.findall(r"^(#+) (.+)$", plain, flags=re.MULTILINE) if cell["kind"] == "markdown" else []
        for signs, text in headings:
            level_of_deeper = None if level_of_deeper and len(signs) <= level_of_deeper else level_of_deeper
            level_of_deeper = len(signs) if text.startswith("Deeper:") else level_of_deeper
            in_exercises = in_exercises or text == "Exercises"
        (exercises if in_exercises else deeper if level_of_deeper else path).append(cell)
    path.append(exercises.pop())
    return tuple([cell for cell in part if cell["kind"] == "code"] for part in (path, deeper, exercises))


def names_of(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell defines anywhere, and names that it reads."""
    defined, used = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
    return defined, used


def check() -> None:
    """Print what is wrong, and the path."""
    for cells in (lesson, solutions):
        ids = [cell["id"] for cell in cells]
        assert len(ids) == len(set(ids)), sorted(id for id in ids if ids.count(id) > 1)
        code_cells = [cell for cell in cells if cell["kind"] == "code"]
        known = set(dir(builtins))
        for cell in code_cells:
            length = len(cell["source"].splitlines())
            if length > 25:
                print(f"TOO LONG {cell['id']}: {length}")
            wide = [line for line in cell["source"].splitlines() if len(line) > 120]
            print(
                *(f"TOO WIDE {cell['id']}: {len(line)} {line[:60]}" for line in wide),
                sep="\n",
                end="\n" if wide else "",
            )
            defined, used = names_of(cell["source"])
            if missing := used - known - defined:
                print(f"UNDEFINED {cell['id']}: {sorted(missing)}")
            known |= defined
        lengths = [len(cell["source"].splitlines()) for cell in code_cells]
        print(len(code_cells), "code cells, median", statistics.median(lengths), "longest", max(lengths))
    path, deeper, exercises = layers(lesson)
    on_path, off_path = set(dir(builtins)), set()
    for cell in path:
        on_path |= names_of(cell["source"])[0]
    for cell in deeper:
        off_path |= names_of(cell["source"])[0]
    for cell in path:
        if needs := names_of(cell["source"])[1] & (off_path - on_path):
            print(f"NEEDS DEEPER {cell['id']}: {needs}")
    recorded = set(dir(builtins))
    for cell in lesson:
        if "recorded" in cell["tags"]:
            defined, used = names_of(cell["source"])
            if missing := used - recorded - defined:
                print(f"RECORDED NEEDS {cell['id']}: {sorted(missing)}")
            recorded |= defined
    print(f"path {len(path)}, deeper {len(deeper)}, exercises {len(exercises)}")
    print(*(f"{len(cell['source'].splitlines()):3} {cell['id']}" for cell in path), sep="\n")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    elif "--sources" in sys.argv:  # one file of all code, for ruff
        print("\n\n".join(cell["source"] for cell in lesson if cell["kind"] == "code"))
    else:
        write(LESSON, lesson)
        write(SOLUTIONS, solutions)
