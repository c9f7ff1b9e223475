"""Build notebooks/1-attention.ipynb (stdlib only). Exercises are taken from main's notebook."""
import json, re, subprocess, sys, textwrap
from pathlib import Path

ROOT = Path("")
PATH = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "notebooks/1-attention.ipynb"
shown = subprocess.run(["git", "show", "main:notebooks/1-attention.ipynb"], cwd=ROOT, capture_output=True, text=True, check=True)
old = json.loads(shown.stdout)
OLD = {c["id"]: c for c in old["cells"]}
cells = []
IGN = "nbval-ignore-output"


def md(id, text):
    text = text.strip("\n")
    meta = {"jp-MarkdownHeadingCollapsed": True} if text.startswith(("## Deeper:", "### Deeper:")) else {}
    cells.append({"cell_type": "markdown", "id": id, "metadata": meta, "source": text})


def wrap_alt(m):
    lines = textwrap.wrap(" ".join(m.group(1).split()), 108)
    if len(lines) == 1:
        return f'alt = "{lines[0]}"'
    body = "\n".join(f'    "{line}{" " if i < len(lines) - 1 else ""}"' for i, line in enumerate(lines))
    return f"alt = (\n{body}\n)"


def code(id, text, *tags):
    text = re.sub(r"^ALT\{(.*?)\}$", wrap_alt, text, flags=re.S | re.M).replace("'''", '"""')
    cells.append({"cell_type": "code", "id": id, "metadata": {"tags": sorted(tags)} if tags else {}, "source": text.strip("\n"), "outputs": [], "execution_count": None})


md("title", r"""
# Lesson 1: Attention, and the bottleneck it opens

You build a network that reads dates as people write them, in thirteen languages, and writes them as computers do. First it must squeeze each sentence into one vector, and mostly fails. Then it may look back at what it read, and succeeds. Then you find out how much of that success is attention's.

The whole lesson runs in one to two minutes on a laptop. The last cell prints how long it took you; the README lists what we measured.
""")
md("goals", r"""
## What you will learn

1. Why one vector of fixed size is a **bottleneck**, and how to measure that.
2. What **attention** is: a score, a softmax, a weighted mean. You compute it by hand, then with a loop, matrices, a module and PyTorch's own function.
3. How to read where a model looks, and how to test whether it depends on it.

**What you need:** Python, and PyTorch as far as `nn.Module`, a loss and an optimizer. You should have met a recurrent network (GRU or LSTM) before; no more than the idea.

Sections whose heading begins with "Deeper" are folded. Nothing else needs them; open those that you are curious about.
""")
code("setup", r"""
import datetime
import math
import random
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torchtext.vocab import Vocab

import torchnlp
from torchnlp import COLOURS, device

SEED = 0
SIZE, STEPS, RATE = 96, 420, 0.012  # width of a hidden state, training steps, highest learning rate
started = time.perf_counter()
torchnlp.set_seed(SEED)
""", "recorded")
md("predict-first", r"""
## Before you run anything

Read the next line once, slowly. Then look away and write the dates down as `YYYY-MM-DD`.

> 12 de agosto de 2014, 23 de outubro de 1998 e 6 de junho de 2041

One date is easy to keep in mind; three are not. A network that must keep a whole sentence in one vector has the same trouble. Guess, and write your guess down: of 10 sentences with one date, how many does it get right? Of 10 with two? With three? And how many of each if it may look at the line again for every digit that it writes?
""")
md("big-picture", r"""
## The big picture

![Two translators side by side. Both read the characters of a date with a GRU that keeps a hidden state for each character, and both write the date with a second GRU. Left, without attention: all hidden states lead through one vector to every step that writes. Right, with attention: each step looks at all hidden states, with weights, and gets a context of its own. Below are the formulas of score, softmax and context.](figures/two-translators.svg)

An **encoder** reads the sentence, one character at a time. After each character it has a vector, its **hidden state** $h_i$, for $i = 1 \dots T$. A **decoder** writes the answer, one character at a time, and has hidden states of its own, $s_t$, for $t = 1 \dots S$. The two sides of the drawing differ in one thing: what the decoder may use of the sentence.

- Left: one vector $c$, the same at each step. Everything must fit into it.
- Right: at each step $t$ a new vector $c_t$, the **context**. It is made in three moves, and these are all of attention:

$$\text{score: } e_{ti} = \operatorname{score}(s_t, h_i) \qquad \text{softmax: } \alpha_{ti} = \frac{\exp(e_{ti})}{\sum_{j=1}^{T} \exp(e_{tj})} \qquad \text{context: } c_t = \sum_{i=1}^{T} \alpha_{ti}\, h_i$$

The score says how useful place $i$ is for what the decoder writes at step $t$. Softmax turns the scores of a step into **weights**: positive, with the sum 1. The context is the mean of the hidden states under these weights. [Bahdanau, Cho and Bengio (2015)](https://arxiv.org/abs/1409.0473) had this idea. The score in the drawing is theirs, a small network. You begin with a simpler one; both are compared in the end.
""")
md("toy", r"""
## The idea by hand

The simplest score is the **dot product**: $e_{ti} = s_t \cdot h_i$. It is large where the two vectors are long and point the same way.

Take one step $t$, four places, and vectors with two numbers. Draw them on paper: $h_1 = (2, 0)$ to the right, $h_2 = (0, 2)$ up, $h_3 = (-2, 0)$ to the left, $h_4 = (0, -2)$ down. The decoder's state is $s = (0.5, 1)$. It points up, and a little to the right. (In the comments, $T$ is how many places there are, and $D$ how many numbers a hidden state has.)

**Predict:** which place gets the largest weight, which the second? Then compute the first line: $0.5 \cdot 2 + 1 \cdot 0$.

## The same in code

### With a loop
""")
code("toy-loop", r"""
states = torch.tensor([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], [0.0, -2.0]])  # (T, D) with T = 4, D = 2
s = torch.tensor([0.5, 1.0])  # (D,)

scores = [s @ h for h in states]
total = sum(e.exp() for e in scores)
weights_by_loop = torch.stack([e.exp() / total for e in scores])  # (T,)
context_by_loop = sum(weight * h for weight, h in zip(weights_by_loop, states, strict=True))  # (D,)
for i, (e, weight) in enumerate(zip(scores, weights_by_loop, strict=True), start=1):
    print(f"e_{i} = {e:5.2f}   exp(e_{i}) = {e.exp():.2f}   weight {e.exp():.2f} / {total:.2f} = {weight:.2f}")
print("context", [round(x, 2) for x in context_by_loop.tolist()])
""")
md("toy-loop-read", r"""
Place 2 gets 0.70 of the weight, place 1 gets 0.26: the two that lie nearest to where $s$ points. Check the softmax with a calculator: $e^1 = 2.72$, $e^2 = 7.39$, and all four sum to 10.61. The exponential makes a score of 2 worth almost three times a score of 1, and a negative score worth little.

The context is $0.26\,h_1 + 0.70\,h_2 + 0.03\,h_3 + 0.01\,h_4$, about $(0.44, 1.37)$. It is mostly $h_2$, with some $h_1$ in it: attention does not pick one place, it mixes.

### With matrices

All four places at once: one product for the scores, one for the mean.
""")
code("toy-matrix", r"""
weights_by_matrix = (states @ s).softmax(dim=0)  # (T, D) @ (D,) = (T,)
context_by_matrix = weights_by_matrix @ states  # (T,) @ (T, D) = (D,)
""")
md("module-text", r"""
### As a module

What takes part in attention has three names. What asks is a **query**, what is compared with it is a **key**, and what goes into the mean is a **value**. In the toy, $s$ is the query, and the hidden states $h_i$ are both keys and values. They need not be. What makes a place easy to find ("I am the last digit of a year") is not what one wants to read there ("8"). So this lesson's model learns two matrices: $W$ makes the queries, $q_t = W s_t$, and $U$ makes the keys, $k_i = U h_i$. The values stay the hidden states. (Whether keys of their own pay is not tested here: every model with attention gets them.)

Real sentences come in batches, and the decoder asks at each of its steps. From here on these letters stand in the comments, always with the same meaning:

| letter | size of |
|---|---|
| $B$ | the batch |
| $T$, $S$ | the source, the answer, in characters |
| capital $D$ | a hidden state |
| small $d$ | a query or a key |

A batch holds sentences of different lengths, filled up with **padding**. Padding is no text and must get no weight. So the module takes a **mask**, True where a query may look. Elsewhere the score becomes minus infinity, and $e^{-\infty} = 0$.
""")
code("module", r"""
class Attention(nn.Module):
    '''Score, softmax, weighted mean. The classes below say how to score.'''

    def forward(self, queries, keys, values, mask):  # (B, S, d), (B, T, d), (B, T, D), (B, 1, T) or (B, S, T)
        scores = self.score(queries, keys).masked_fill(~mask, -math.inf)  # (B, S, T)
        weights = scores.softmax(dim=2)  # (B, S, T), each row sums to 1
        return weights @ values, weights  # (B, S, D), (B, S, T)


class DotAttention(Attention):
    def score(self, queries, keys):
        return queries @ keys.transpose(1, 2)  # (B, S, d) @ (B, d, T) = (B, S, T)


class ScaledDotAttention(DotAttention):
    def score(self, queries, keys):
        return super().score(queries, keys) / math.sqrt(queries.shape[2])


class UniformAttention(DotAttention):
    def score(self, queries, keys):
        return 0 * super().score(queries, keys)  # all places alike
""", "recorded")
md("module-check-text", r"""
`ScaledDotAttention` divides the scores by $\sqrt d$. This is the score of most networks today, and this lesson's model uses it; why one divides is the question of a later section. `UniformAttention` gives all places the same weight. It looks at everything and chooses nothing. It will be a **control**: a model that lacks one thing, so that the comparison shows what this thing does.

Give the plain dot product the toy: one sentence, one query, the four hidden states, and behind them two places of padding full of nonsense. PyTorch has the same as one function, `scaled_dot_product_attention`; with `scale=1.0` it does not divide.

**Predict:** what happens to the weights without the mask, when the padding is full of nines?
""")
code("module-check", r"""
padded = torch.full((1, 6, 2), 9.0)  # (B, T, D) with two places of padding
padded[:, :4] = states
mask = torch.tensor([[[True] * 4 + [False] * 2]])  # (B, 1, T)
query = s[None, None]  # (B, S, D) with B = S = 1

context_by_module, weights_by_module = DotAttention()(query, padded, padded, mask)
context_by_library = F.scaled_dot_product_attention(query, padded, padded, attn_mask=mask, scale=1.0)
_, weights_unmasked = DotAttention()(query, padded, padded, torch.ones_like(mask))
print("masked  ", weights_by_module[0, 0].numpy().round(2))
print("unmasked", weights_unmasked[0, 0].numpy().round(2))
""")
md("module-check-read", r"""
With the mask, padding gets a weight of exactly 0. Without it, the nonsense takes everything here: a mask hides what is not text.

Loop, matrices, module and library should agree. Throughout the course, assertions say so; they would stop the notebook if it were not true.
""")
code("toy-claim", r"""
torch.testing.assert_close(weights_by_matrix, weights_by_loop)
torch.testing.assert_close(context_by_matrix, context_by_loop)
torch.testing.assert_close(weights_by_module[0, 0, :4], weights_by_loop)
torch.testing.assert_close(context_by_module[0, 0], context_by_loop)
torch.testing.assert_close(context_by_library, context_by_module)
assert weights_by_module[0, 0, 4:].sum() == 0
assert weights_unmasked[0, 0, 4:].sum() > 0.9
""", "claim")
md("task", r"""
## The task: dates as people write them

`torchnlp.date_sentences` writes random dates from 1990 to 2049 in one of thirteen languages, by the rules of the [Common Locale Data Repository](https://cldr.unicode.org) (CLDR), the collection of language data that most software uses. The answer is [ISO 8601](https://www.iso.org/iso-8601-date-and-time-format.html). Even the commas and the word for "and" belong to the language.
""")
code("task-languages", r"""
print(", ".join(torchnlp.DATE_LANGUAGES.values()), "\n")
for sentence in torchnlp.date_sentences(8, counts=(1, 2), part="train", seed=9):
    print(f"{sentence.language:3} | {sentence.source}  ->  {sentence.target}")
""")
md("task-languages-read", r"""
English puts the month first, Hungarian the year, the others mostly the day. Russian uses another alphabet. Some months are words, some numbers. Rules made these sentences, and rules could read them. The network gets no rule, no dictionary and no word for the language: only characters. The task is small enough to see what it does with them.

The sentences come in three parts, and no date is in two of them. One tenth of all dates is kept for the test part. Training sentences are made of the other dates and leave some of them out; of these left-out dates the **validation split** is made. It is for choices. One choice was made on it, the learning rate, among three, at the size and the number of steps of the first cell (a later section shows them all); one rate serves every model. The number of steps is what a lesson has time for. The test part is for the results that you see.

Training sentences hold one, two or three dates. Test sentences hold one to four: one more than in training.
""")
code("task-data", r"""
def dates_in(parts):
    return {date for part in parts.values() for sentence in part for date in sentence.target.split()}


train_sentences = {n: torchnlp.date_sentences(3000, (n,), part="train", seed=10 * SEED + n) for n in (1, 2, 3)}
test_sentences = {n: torchnlp.date_sentences(150, (n,), part="test", seed=10 * SEED + n) for n in (1, 2, 3, 4)}
train_dates, validation_sentences = dates_in(train_sentences), {}
for n in (1, 2, 3):
    drawn = torchnlp.date_sentences(2400, (n,), part="train", seed=10 * SEED + 5 + n)
    validation_sentences[n] = [item for item in drawn if train_dates.isdisjoint(item.target.split())][:100]

for name, parts in (("train", train_sentences), ("validation", validation_sentences), ("test", test_sentences)):
    dates = dates_in(parts)
    shared = len(dates & train_dates)
    print(f"{name:10}: {sum(map(len, parts.values()))} sentences, {len(dates)} dates, {shared} of them in training")
""", "recorded")
md("vocabulary-text", r"""
No date of the validation or the test part is in training. Now number the characters. As everywhere in the course, padding is 0 and `<unk>`, any unknown character, is 1. Two more special tokens say where an answer begins and ends.
""")
code("vocabulary", r"""
specials = ["<pad>", "<unk>", "<bos>", "<eos>"]
all_sentences = [sentence for part in train_sentences.values() for sentence in part]
source_vocab = Vocab(Counter("".join(sentence.source for sentence in all_sentences)), specials=specials)
target_vocab = Vocab(Counter("".join(sentence.target for sentence in all_sentences)), specials=specials)
BOS, EOS = target_vocab.stoi["<bos>"], target_vocab.stoi["<eos>"]
print(f"{len(source_vocab) - 4} characters to read, {len(target_vocab) - 4} to write, and 4 special tokens each")
""", "recorded")
md("collate-text", r"""
A batch becomes three tensors: what to read, how long each text is, and what to write. `torchnlp.encode` looks up the number of each character.
""")
code("collate", r"""
def numbers_of(text, voc):
    return torch.tensor(torchnlp.encode(text, voc, tokenizer=list))


def collate(sentences):
    '''Sentences as source (B, T), lengths (B,) and target (B, 1 + S), which begins with <bos> and ends with <eos>.'''
    sources = [numbers_of(sentence.source, source_vocab) for sentence in sentences]
    targets = [F.pad(numbers_of(sentence.target, target_vocab), (1, 0), value=BOS) for sentence in sentences]
    targets = [F.pad(target, (0, 1), value=EOS) for target in targets]
    lengths = torch.tensor([len(source) for source in sources])  # stays on the CPU, where packing wants it
    source, target = (pad_sequence(rows, batch_first=True).to(device) for rows in (sources, targets))
    return source, lengths, target


source, lengths, target = collate([train_sentences[n][0] for n in (1, 2, 3)])
print({"source": tuple(source.shape), "lengths": lengths.tolist(), "target": tuple(target.shape)})
print("".join(target_vocab.itos[i] for i in target[0].tolist()))
""", "recorded")
md("collate-read", r"""
The first sentence is short, so its row is filled up with padding. The lengths say where each text ends, and the mask will come from them.

## Encoder and decoder

### The encoder reads

A GRU reads the characters from left to right and a second one from right to left; each hidden state $h_i$ joins both, so it knows what stands on either side. The last states of both GRUs, joined, are the **summary** of the sentence: one vector of $D$ numbers. All sizes follow from one number, `size`, which is $D$.

`pack_padded_sequence` hands the GRU the text without the padding. A GRU has three recurrent matrices; `orthogonal_` gives each a start that keeps the length of a vector ([Saxe et al. 2014](https://arxiv.org/abs/1312.6120)).
""")
code("encoder", r"""
def rotate_at_start(recurrent):
    '''Let the recurrent weights of each gate begin as an orthogonal matrix.'''
    for name, weight in recurrent.named_parameters():
        if "weight_hh" in name:
            for gate in weight.data.chunk(3):
                nn.init.orthogonal_(gate)


class Encoder(nn.Module):
    '''Reads characters; returns a hidden state for each, and one summary of all.'''

    def __init__(self, characters, size, embedding_size=24):
        super().__init__()
        self.embedding = nn.Embedding(characters, embedding_size)
        self.gru = nn.GRU(embedding_size, size // 2, batch_first=True, bidirectional=True)
        rotate_at_start(self.gru)

    def forward(self, source, lengths):  # (B, T), (B,)
        packed = pack_padded_sequence(self.embedding(source), lengths, batch_first=True, enforce_sorted=False)
        states, last = self.gru(packed)
        states, _ = pad_packed_sequence(states, batch_first=True)  # (B, T, D)
        return states, torch.cat([last[0], last[1]], dim=1)  # (B, T, D), (B, D)
""", "recorded")
md("packing-text", r"""
### Deeper: What packing is for

Without packing, the GRU that reads from right to left would begin with padding, and the other one would end in it. Then the answer would depend on the neighbours in the batch. Does it? Read the first sentence alone, then in the batch with longer ones, and once more without packing.
""")
code("encoder-check", r"""
torchnlp.set_seed(SEED)
encoder = Encoder(len(source_vocab), SIZE).to(device)
with torch.no_grad():
    alone = encoder(source[:1, : lengths[0]], lengths[:1])[1]
    together = encoder(source, lengths)[1][:1]
    unpacked = torch.cat([*encoder.gru(encoder.embedding(source))[1]], dim=1)[:1]
moved = [(summary - alone).abs().mean().item() for summary in (together, unpacked)]
print(f"padding moves each number by {moved[0]:.0e} with packing, by {moved[1]:.2f} without")
""", IGN)
code("encoder-claim", r"""
assert moved[0] < 1e-3
assert moved[1] > 0.02
""", "claim")
md("packing-read", r"""
Packed, the summary stays the same, up to rounding. Unpacked it moves, and by a lot: the numbers of a state lie between −1 and 1.
""")
md("decoder-text", r"""
### The decoder writes

A GRU reads the characters written so far. Each of its hidden states $s_t$, joined with a context, gives logits for the next character. There is only one decoder. With `attention=None` the context is the encoder's summary, the same at each step. With attention it is a new one at each step. $W$ makes the queries here, $U$ made the keys before. Nothing else differs. (In a shape, $V$ is the number of characters to choose from.)
""")
code("decoder", r"""
class Decoder(nn.Module):
    '''Writes characters, with or without attention.'''

    def __init__(self, characters, size, attention, key_size, embedding_size=24):
        super().__init__()
        self.embedding = nn.Embedding(characters, embedding_size)
        self.gru = nn.GRU(embedding_size, size, batch_first=True)
        rotate_at_start(self.gru)
        self.output = nn.Sequential(nn.Linear(2 * size, size), nn.Tanh(), nn.Linear(size, characters))
        self.attention = attention
        self.W = None if attention is None else nn.Linear(size, key_size, bias=False)

    def forward(self, before, state, memory):  # (B, S), (1, B, D), Memory
        '''Logits for the character after each of `before`, the last state, and the weights of attention.'''
        states, state = self.gru(self.embedding(before), state)  # (B, S, D), (1, B, D)
        if self.attention is None:
            context, weights = memory.summary[:, None].expand_as(states), None  # (B, S, D)
        else:
            context, weights = self.attention(self.W(states), memory.keys, memory.values, memory.mask)
        return self.output(torch.cat([states, context], dim=2)), state, weights  # (B, S, V), (1, B, D), (B, S, T)
""", "recorded")
md("translator-text", r"""
Encoder and decoder together. `Memory` is what the decoder may use of the sentence. The mask comes from the lengths, never from the numbers of the characters: in another vocabulary 0 may be a character, and it would be hidden without any error. Both kinds of decoder begin with a state made from the summary.
""")
code("translator", r"""
class Memory(NamedTuple):
    summary: torch.Tensor  # (B, D)
    keys: torch.Tensor | None  # (B, T, d)
    values: torch.Tensor  # (B, T, D), the hidden states
    mask: torch.Tensor  # (B, 1, T), True where there is text


class Translator(nn.Module):
    def __init__(self, size, attention=None, key_size=32):
        super().__init__()
        self.encoder = Encoder(len(source_vocab), size)
        self.bridge = nn.Linear(size, size)
        self.decoder = Decoder(len(target_vocab), size, attention, key_size)
        self.U = None if attention is None else nn.Linear(size, key_size, bias=False)

    def read(self, source, lengths):  # (B, T), (B,)
        '''Return the memory of the sentences and the decoder's first state (1, B, D).'''
        states, summary = self.encoder(source, lengths)
        keys = None if self.U is None else self.U(states)
        mask = torch.arange(states.shape[1], device=states.device) < lengths[:, None].to(states.device)  # (B, T)
        return Memory(summary, keys, states, mask[:, None]), torch.tanh(self.bridge(summary))[None]
""", "recorded")
md("forcing-text", r"""
### Teacher forcing and greedy decoding

There are two ways to run a decoder, and mixing them up is a classic mistake.

- **Teacher forcing**, for training: at each step the character before is the *right* one, whatever the model would have written. All of them are known beforehand, so one call computes all steps.
- **Greedy decoding**, for use: the character before is the one that the model *itself* wrote, the most likely one.

So a model in training never meets its own errors, and in use it does. This gap is called **exposure bias**. It is why results are measured by greedy decoding, unless the text says otherwise.
""")
code("forcing", r"""
def teacher_forced(model, source, lengths, target):  # (B, T), (B,), (B, 1 + S)
    '''Logits (B, S, V) for each character after <bos>, given the right characters before it.'''
    memory, state = model.read(source, lengths)
    logits, _, _ = model.decoder(target[:, :-1], state, memory)
    return logits


@torch.no_grad()
def greedy(model, source, lengths, longest=48):
    '''The most likely next character, again and again: characters (B, S), and weights (B, S, T) or None.'''
    memory, state = model.read(source, lengths)
    before, characters, all_weights = torch.full_like(source[:, :1], BOS), [], []
    for _ in range(longest):
        logits, state, weights = model.decoder(before, state, memory)
        before = logits.argmax(dim=2)  # (B, 1), what the model wrote
        characters.append(before)
        all_weights.append(weights)
    attended = None if model.decoder.attention is None else torch.cat(all_weights, dim=1)
    return torch.cat(characters, dim=1), attended
""", "recorded")
md("translate-text", r"""
A translation ends at the first `<eos>`. (`translate` writes a line break for it and cuts there; no answer holds one.) Two measures compare a translation with the right answer: **exact match**, the share of sentences with no error at all, and **token accuracy**, the share of right characters. A share of 150 sentences is itself uncertain, so each exact match is printed with its 95 % interval: values of the share in the long run that fit what was counted ([Wilson's](https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval)).
""")
code("translate", r"""
def translate(model, sentences):
    '''What the model writes for each sentence, by greedy decoding.'''
    characters, _ = greedy(model, *collate(sentences)[:2])
    texts = ["".join(target_vocab.itos[i] if i != EOS else "\n" for i in row) for row in characters.tolist()]
    return [text.partition("\n")[0] for text in texts]


def evaluate(answer):
    '''Exact match and token accuracy on the test part, by number of dates, of a function from sentences to answers.'''
    exact, token = {}, {}
    for n, sentences in test_sentences.items():
        pairs = list(zip(answer(sentences), [sentence.target for sentence in sentences], strict=True))
        exact[n] = sum(got == wanted for got, wanted in pairs) / len(pairs)
        same = sum(a == b for got, wanted in pairs for a, b in zip(got, wanted, strict=False))
        token[n] = same / sum(len(wanted) for _, wanted in pairs)
    return exact, token

""", "recorded")
md("fresh-text", r"""
## Baselines

Every result needs something to compare it with. First, a fair start: the two models that you compare should differ in attention only. The same seed is not enough for that, because a model with more parts draws more random numbers. So make a model with all parts once, and copy from it what another model has, too.
""")
code("fresh", r"""
SCORES = {"none": lambda: None, "uniform": UniformAttention, "dot": DotAttention, "scaled dot": ScaledDotAttention}


def fresh(size, score, seed):
    '''An untrained translator. With the same size and seed, shared parts begin with the same weights.'''
    torchnlp.set_seed(seed)
    all_parts = Translator(size, DotAttention()).state_dict()
    model = Translator(size, SCORES[score]())
    model.load_state_dict(all_parts, strict=False)
    return model.to(device)
""", "recorded")
md("untrained-text", r"""
Two baselines: a network with these first weights, and a **constant answer**, which reads nothing. It writes the most frequent character of each place of a date, as many times as there are dates.

**Predict:** how many of the characters does a constant answer get right?
""")
code("untrained", r"""
def share_of(right, n):
    low, high = torchnlp.interval(right, n)
    return f"{right / n:.2f} ({low:.2f} to {high:.2f})"


def report(exact, token):
    for n, share in exact.items():
        total = len(test_sentences[n])
        print(f"{n} dates: exact match {share_of(round(share * total), total)}, token accuracy {token[n]:.2f}")


untrained, untrained_attending = fresh(SIZE, "none", SEED), fresh(SIZE, "scaled dot", SEED)
weights_without, weights_with = untrained.state_dict(), untrained_attending.state_dict()
untrained_exact, untrained_token = evaluate(partial(translate, untrained))
print("untrained network")
report(untrained_exact, untrained_token)

dates = [date for sentence in all_sentences for date in sentence.target.split()]
constant = "".join(Counter(column).most_common(1)[0][0] for column in zip(*dates, strict=True))
constant_exact, constant_token = evaluate(lambda part: [" ".join([constant] * len(x.target.split())) for x in part])
print(f"constant answer {constant}")
report(constant_exact, constant_token)
""", IGN)
md("untrained-read", r"""
No sentence is right. But the constant answer has more than half of all characters right, since hyphens, centuries and many zeros are the same everywhere. So a token accuracy near this line or below it is no evidence that anything was read.
""")
md("train-text", r"""
## One vector fails

Training is the usual loop. Padding in the target does not count in the loss. Gradients of recurrent networks can explode, so they are clipped. The learning rate climbs, then falls to zero (`OneCycleLR`). Batches of sentences with one, two and three dates take turns: sentences of like length need little padding. Ten times along the way, the loss on the validation split is computed.
""")
code("train", r"""
def loss_of(model, sentences):
    source, lengths, target = collate(sentences)
    logits = teacher_forced(model, source, lengths, target)  # (B, S, V)
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=torchnlp.PAD_INDEX)


def train(model, steps, seed, rate):
    '''Train; return the loss of each step, and the loss on the validation split after some of them.'''
    chance, losses, held_out = random.Random(seed), [], {}
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    for step in range(1, steps + 1):
        loss = loss_of(model, chance.sample(train_sentences[1 + step % 3], 32))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % max(1, steps // 10) == 0:
            with torch.no_grad():
                held_out[step] = sum(loss_of(model, part).item() for part in validation_sentences.values()) / 3
    return losses, held_out
""", "recorded")
md("run-text", r"""
One **run** is a size, a number of steps, a seed and a score: make the model, train it, test it. `bottleneck` is the experiment of this lesson, many runs with and without attention. You will see it in a moment; first, one run of each kind. The loss that is printed is the mean of the last 30 batches, ten of each number of dates.
""")
code("run", r"""
class Run(NamedTuple):
    model: Translator
    losses: list
    held_out: dict
    exact: dict
    token: dict
    row: dict  # one flat row of a table


def run(size, steps, seed, score, rate=RATE):
    model, begin = fresh(size, score, seed), time.perf_counter()
    losses, held_out = train(model, steps, seed, rate)
    row = {"size": size, "steps": steps, "seed": seed, "score": score, "attention": score != "none", "rate": rate}
    row |= {"seconds": time.perf_counter() - begin, "held-out loss": [*held_out.values()][-1]}
    exact, token = evaluate(partial(translate, model))
    row |= {f"exact {n}": share for n, share in exact.items()} | {f"token {n}": share for n, share in token.items()}
    return Run(model, losses, held_out, exact, token, row)


def bottleneck(sizes, steps, seeds):
    '''Runs of each size, number of steps and seed, without attention and with it: a list of rows.'''
    settings = [(size, some, seed) for seed in seeds for size in sizes for some in steps]
    return [run(*setting, score).row for setting in settings for score in ("none", "scaled dot")]
""", "recorded")
md("train-without-text", r"""
First without attention. Each sentence must pass through one vector of 96 numbers. Look at your guess.
""")
code("train-without", r"""
def show_run(done):
    last = done.losses[-30:]
    print(f"loss {sum(last) / len(last):.3f}, held out {done.row['held-out loss']:.3f}, {done.row['seconds']:.0f} s")
    report(done.exact, done.token)


without = run(SIZE, STEPS, SEED, "none")
show_run(without)
""", IGN)
md("train-without-read", r"""
Even with one date, many sentences come out wrong, and with more dates hardly one is right. Token accuracy stays far higher: it is the constant answer and some more. So look at exact match, too.

Why does it fail? Perhaps one vector is too small. Perhaps the training was too short. Perhaps the network is too small in other ways. One run cannot tell.

## Look back

The same first weights, sentences, steps and learning rate. The only change is the score.
""")
code("train-with", r"""
with_attention = run(SIZE, STEPS, SEED, "scaled dot")
show_run(with_attention)
print("\ndates | right of 10 without | with attention | your guess")
for n in (1, 2, 3):
    print(f"{n:5} | {10 * without.exact[n]:19.0f} | {10 * with_attention.exact[n]:14.0f} | ?")
""", IGN)
md("train-with-read", r"""
With attention nearly all sentences with up to three dates are right. Four dates, which no training sentence had, both models get wrong: attention takes any length, but perhaps something else here does not.

How did the two get there?
""")
code("curves", r"""
fig, (loss, exact, token) = plt.subplots(1, 3, figsize=(12.4, 3.8), layout="constrained")
both = {"without attention": (without, COLOURS["orange"], "s--"), "with attention": (with_attention, COLOURS["blue"], "o-")}
for name, (done, colour, style) in both.items():
    loss.plot(done.losses, color=colour, linewidth=0.5, alpha=0.6)
    loss.plot(done.held_out.keys(), done.held_out.values(), style, color=colour, label=f"{name}, held out")
    exact.plot(done.exact.keys(), done.exact.values(), style, color=colour)
    token.plot(done.token.keys(), done.token.values(), style, color=colour, label=name)
exact.plot(constant_exact.keys(), constant_exact.values(), "k:")
token.plot(constant_token.keys(), constant_token.values(), "k:", label="constant answer")
loss.set(xlabel="training step", ylabel="loss", ylim=(0, None))
for ax, label in ((exact, "exact match"), (token, "token accuracy")):
    ax.axvspan(3.5, 4.2, color="lightgray", alpha=0.5)  # more dates than in training
    ax.set(xlabel="dates in the sentence", ylabel=label, xticks=[1, 2, 3, 4], ylim=(-0.03, 1.05))
loss.legend()
token.legend(loc="lower left")
ALT{Three plots. Left: both losses fall alike at first, then only that with attention goes to nearly zero, on training
and on held-out sentences. Middle: exact match against the number of dates, in grey more dates than in training. Right:
token accuracy. The constant answer is a line in both.}
torchnlp.show(fig, alt)
""", IGN)
code("results-claim", r"""
assert all(torch.equal(weight, weights_with[name]) for name, weight in weights_without.items())
assert max(*untrained_exact.values(), *constant_exact.values()) < 0.05
assert all(0.4 < share < 0.7 for share in constant_token.values())
assert with_attention.exact[3] >= 0.8
assert without.exact[3] <= with_attention.exact[3] - 0.4
assert without.exact[1] < with_attention.exact[1]
assert without.token[3] < without.token[1] - 0.05
assert max(with_attention.exact[4], without.exact[4]) < 0.5
""", "claim")
md("curves-read", r"""
Both losses fall alike at first; probably both models learn the form of a date then. After that only one goes on down, to nearly zero. The other one ends flat, but that is no sign that it had learned all it could: the learning rate falls to zero there. The held-out points lie within the band of the training losses, so the model without attention does not fail because it learned its sentences by heart.

The assertions say what is sure. Both models began with the same weights in all parts that both have. With attention, at least 8 in 10 sentences with three dates are right in every digit; without it, far fewer, and the share of right characters falls from one date to three. Encoder, decoder and training are the same. Only what the decoder may use of the sentence differs: one vector for all steps, or a new one for each, made with the help of $W$ and $U$. Bahdanau et al. show the same in their figure 2: the quality of a translation against the length of the sentence.
""")
md("forced-text", r"""
### Deeper: Teacher forcing flatters

Count the right characters for two dates once more, but let a teacher hand the model without attention the right character before each step.
""")
code("forced", r"""
source, lengths, target = collate(test_sentences[2])
with torch.no_grad():
    guesses = teacher_forced(without.model, source, lengths, target).argmax(dim=2)  # (B, S)
characters = len(test_sentences[2][0].target)  # every answer with two dates has the same number of them
forced_token = (guesses == target[:, 1:])[:, :characters].float().mean().item()
print(f"token accuracy: {forced_token:.2f} with teacher forcing, {without.token[2]:.2f} by greedy decoding")
""", IGN)
code("forced-claim", r"""
assert forced_token > without.token[2]
""", "claim")
md("forced-read", r"""
The same model looks better than it is, for two reasons that this number does not tell apart. It meets none of its own errors. And a right character tells something of the next one: after 19 comes a 9. In use there is no teacher, so the greedy number counts.
""")
md("bottleneck-text", r"""
## Is it really the one vector?

If the width of the one vector is the trouble, a wider one should help. If the training was too short, four times the steps should help. So vary both, with and without attention, with three seeds each. (A seed decides the first weights and the batches; the sentences stay the same.) That takes the better part of an hour on one core, so it was **recorded**: the experiment is the function `bottleneck` above, and the first line of the output says when and on what it ran. A star is one of your own two runs.

**Predict:** how does exact match for three dates grow with the size, without attention? And with it?
""")
code("bottleneck", r"""
record, live = torchnlp.recorded("bottleneck"), []
print(record)
fig, axes = plt.subplots(1, 3, figsize=(12.4, 4.4), layout="constrained", sharey=True)
for ax, n in zip(axes, (1, 2, 3), strict=True):
    for name, (done, colour, _) in both.items():
        for steps, marker, line in ((420, "s", ":"), (1680, "o", "-")):
            shares = {size: [] for size in (24, 48, 96, 192)}
            for row in record.rows:
                if (row["score"], row["steps"]) == (done.row["score"], steps):
                    shares[row["size"]].append(row[f"exact {n}"])
                    ax.plot(row["size"], row[f"exact {n}"], marker, color=colour, alpha=0.4)
            means = {size: sum(values) / len(values) for size, values in shares.items() if values}
            ax.plot([*means], [*means.values()], marker + line, color=colour, label=f"{name}, {steps} steps")
            print(f"{n} dates, {name:17}, {steps:4} steps:", *(f"  D={size}: {x:.2f}" for size, x in means.items()))
            if steps == 420 and n > 1:
                live.append((done.row[f"exact {n}"], shares[SIZE]))
        ax.plot(SIZE, done.row[f"exact {n}"], "*", color=colour, markersize=16, markeredgecolor="black")
    ax.axhline(constant_exact[n], color="black", linestyle="-.", label="constant answer")
    ax.set(xlabel="D, size of a hidden state", ylabel="exact match", title=f"dates: {n}", xticks=[24, 48, 96, 192])
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
ALT{Exact match against size, in three plots: for three dates near zero without attention, near one with it.}
torchnlp.show(fig, alt)
""", IGN)
code("bottleneck-claim", r"""
assert all(min(shares) - 0.15 <= share <= max(shares) + 0.15 for share, shares in live)
assert all(row["exact 3"] < 0.3 for row in record.rows if not row["attention"])
enough = [row for row in record.rows if row["attention"] and (row["size"] >= 48 or row["steps"] == 1680)]
assert all(row["exact 3"] > 0.7 for row in enough)
""", "claim")
md("bottleneck-read", r"""
Your runs with two and three dates lie where the recorded ones lie. (With one date, the model without attention varies so much from seed to seed that the assertion leaves it out.)

Without attention, size and time both help. A wide vector after the long training holds one date nearly always, and two in most sentences. So part of the failure that you saw was a short training, and one vector *can* hold a date. But three dates stay out of reach in every run, at every size. With attention, three dates come out right after the short training from a size of 48 on, and after the long training at every size: even hidden states of 24 numbers suffice then, where one vector of 192 numbers does not.

What the curves show: at equal size and equal training, one vector loses what attention keeps, and the more so the more dates there are. Size and training together move the point where it fails, from one date towards three. This is what a bottleneck means here. What they do not show: how much one vector could hold in the end, since we did not train longer. They do not separate what a vector can hold from how fast a network learns to fill it. And `size` is the width of the whole network, not of the one vector alone.
""")
md("errors-text", r"""
## Three errors, read closely

Where does the model without attention go wrong? Look at three sentences with two dates. A `^` stands below each wrong character.
""")
code("errors", r"""
pairs = zip(test_sentences[2], translate(without.model, test_sentences[2]), strict=True)
wrong = [(sentence, got) for sentence, got in pairs if got != sentence.target]
for sentence, got in wrong[:3]:
    width = max(len(got), len(sentence.target))
    below = "".join(" " if a == b else "^" for a, b in zip(got.ljust(width), sentence.target.ljust(width), strict=True))
    print(f"source  {sentence.source}\nwanted  {sentence.target}\ngot     {got}\n        {below}\n")
""", IGN)
md("errors-read", r"""
The form is right: four digits, a hyphen, two digits. Some of the digits are wrong. The model knows what a date looks like, but not every part of which date it was.
""")
md("order-text", r"""
### Deeper: What one vector remembers

Which part of a date is lost first? Perhaps what was read first, and is farthest back. But the GRUs read in both directions, languages order the parts differently, and some parts are easier to guess than others. So split by the order of the parts, and subtract what the constant answer gets right without reading. New sentences with two dates from the test part, 300 in English, 300 in Hungarian, 300 in the other languages:
""")
code("order", r"""
FIELDS = {"year": slice(0, 4), "month": slice(5, 7), "day": slice(8, 10)}
others = [name for name in torchnlp.DATE_LANGUAGES if name not in ("en", "hu")]
by_order = {}
for languages in (["en"], ["hu"], others):
    sentences = torchnlp.date_sentences(300, (2,), part="test", languages=languages, seed=10 * SEED + 9)
    for sentence, got in zip(sentences, translate(without.model, sentences), strict=True):
        order = tuple(sorted(sentence.spans[0], key=sentence.spans[0].get))  # of the parts in the source
        by_order.setdefault(order, []).append((sentence.target, got))

surplus = {}
for order, pairs in by_order.items():
    for k in (0, 1):  # first date, second date
        for part in order:
            wanted = [target[11 * k :][FIELDS[part]] for target, _ in pairs]
            got = [text[11 * k :][FIELDS[part]] for _, text in pairs]
            right = sum(a == b for a, b in zip(got, wanted, strict=True))
            guessed = wanted.count(constant[FIELDS[part]])
            surplus[order[0], k, part] = (right - guessed) / len(pairs)
    line = "   ".join(f"{part} {surplus[order[0], k, part]:.2f}" for k in (0, 1) for part in order)
    print(f"{order[0]} first ({len(pairs)} sentences):  {line}")
""", IGN)
code("order-claim", r"""
assert surplus["day", 0, "day"] > surplus["day", 1, "day"] + 0.2
assert surplus["day", 1, "year"] > 0.5
assert surplus["year", 1, "day"] < surplus["day", 0, "day"] - 0.3
assert surplus["month", 0, "month"] < surplus["day", 0, "day"] - 0.2
""", "claim")
md("order-read", r"""
A number says how much better than guessing a part is; the parts stand in reading order. Where the day comes first, as in most of the languages, the two ends are kept best: the first day, where the GRU that reads from right to left ends, and the last year, where the other one ends. That fits "what was read long ago is lost".

The other two orders do not fit. In Hungarian, where the year comes first, the last part is the second day, and little of it is left, though a GRU has just read it. In English the first part is the first month, and it is kept far worse than the first day of the day-first languages. So distance alone does not decide. One possible reason: few training sentences have these orders, and the network learned to keep what pays in most of them. A test would be to train on Hungarian alone; it is not done here.
""")
md("controls-text", r"""
## How much of that is attention?

The decoder with attention has three things that the other one lacks. It gets something of *each place*; it *chooses* among the places; and it chooses *anew at each step*. Which of them helps? Take them away, one after the other:

| model | each place | a choice | anew at each step |
|---|---|---|---|
| `scaled dot`, the model with attention | yes | yes | yes |
| `chosen once`: the weights of the first step serve all steps | yes | yes | no |
| `uniform`: all places have the same weight | yes | no | no |
| `none`: the summary, without attention | no | no | no |

`chosen once` learns $W$ and $U$ like the full model. `uniform` has them, too, but no gradient reaches them, so they never change. How does `chosen once` know the first step? Each time sentences are read, new keys are made.
""")
code("controls", r"""
class ChosenOnce(ScaledDotAttention):
    '''The weights of the first step serve all steps.'''

    keys = None

    def score(self, queries, keys):
        if keys is not self.keys:  # other sentences: this is their first step
            self.keys, self.first = keys, super().score(queries[:, :1], keys)  # (B, 1, T)
        return self.first.expand(-1, queries.shape[1], -1)  # (B, S, T)


SCORES["chosen once"] = ChosenOnce
""", "recorded")
md("controls-show-text", r"""
All of them were trained from the same first weights, with three seeds and three learning rates each, and recorded (the experiment is `compare_scores`, in a section further down). What is compared must be tuned alike: shown is the rate with which a model had the least loss on the validation split. The numbers are means over the seeds, with the lowest and the highest in brackets.

**Predict:** with three dates, where does `chosen once` stand: near `none`, near `scaled dot`, or in between?
""")
code("controls-show", r"""
def at_best_rate(rows, score):
    '''The rows of a score with the learning rate that has the least mean loss on the validation split.'''
    by_rate = {}
    for row in rows:
        if row["score"] == score:
            by_rate.setdefault(row["rate"], []).append(row)
    return min(by_rate.values(), key=lambda part: sum(row["held-out loss"] for row in part) / len(part))


def spread(values):
    return f"{sum(values) / len(values):.2f} ({min(values):.2f} to {max(values):.2f})"


record = torchnlp.recorded("scores")
print(record, "\n\nexact match    rate  1 date                2 dates               3 dates")
controls = {score: at_best_rate(record.rows, score) for score in ("none", "uniform", "chosen once", "scaled dot")}
reached = {(score, n): [row[f"exact {n}"] for row in controls[score]] for score in controls for n in (1, 2, 3)}
for score, rows in controls.items():
    print(f"{score:12}  {rows[0]['rate']:.3f}", *(f" {spread(reached[score, n])}" for n in (1, 2, 3)))
_, once = greedy(fresh(SIZE, "chosen once", SEED), *collate(test_sentences[1])[:2])  # (B, S, T)
gains = [a - b for a, b in zip(reached["scaled dot", 3], reached["chosen once", 3], strict=True)]
print(f"\nwith three dates, choosing anew at each step adds {spread(gains)}")
print(f"your own run with the scaled dot product: {with_attention.exact[3]:.2f}")
""", IGN)
code("controls-claim", r"""
assert max(max(reached[score, 3]) for score in ("none", "uniform", "chosen once")) < 0.3
assert min(reached["scaled dot", 3]) >= 0.8
assert min(gains) > 0.5
torch.testing.assert_close(once, once[:, :1].expand_as(once))
assert min(reached["scaled dot", 3]) - 0.2 <= with_attention.exact[3] <= max(reached["scaled dot", 3]) + 0.2
""", "claim")
md("controls-read", r"""
With three dates all three controls fail, each at its best rate. `chosen once` differs from the full model in one thing only: its choice is the same at every step. So this one thing, a new choice at each step, makes the difference, and the line below the table gives it as a number. That is how much of the success is attention's *renewal*. A look at each place and a choice are needed for it, but alone they do not help here: a context that stays the same is one vector again, and the bottleneck is back.
""")
md("alignment-text", r"""
## Where it looks

The weights $\alpha_{ti}$ of one sentence form a table, one row for each character written and one column for each character read. It shows which place of the source each character of the answer comes from: an **alignment**. Nobody gave the model one.

One date from the test part, in three languages. **Predict:** where should the dark places stand in the Hungarian one, which begins with the year?
""")
code("alignment", r"""
def attend(model, sentence):
    '''What the model writes for one sentence, and its weights (S, T).'''
    text = translate(model, [sentence])[0]
    _, weights = greedy(model, *collate([sentence])[:2])
    return text, weights[0, : len(text)]


days = [datetime.date.fromisoformat(sentence.target) for sentence in test_sentences[1]]
day = next((day for day in days if day.month == 10), days[0])
written = [torchnlp.date_sentence([day], language) for language in ("en", "ru", "hu")]
fig, axes = plt.subplots(1, 3, figsize=(12.4, 3.6), layout="constrained", width_ratios=[len(x.source) for x in written])
for ax, sentence in zip(axes, written, strict=True):
    text, weights = attend(with_attention.model, sentence)
    torchnlp.plot_attention(weights, text, sentence.source, ax)
    ax.set(title=torchnlp.DATE_LANGUAGES[sentence.language], xlabel="read", ylabel="written")
ALT{Three heat maps of attention weights for one date: English, Russian and Hungarian. In each, the rows of the year are dark
at or beside the year's digits, and those of month and day at the month and the day, wherever they stand.}
torchnlp.show(fig, alt)
""", IGN)
md("alignment-read", r"""
The source has another order in each language; the answer always has year, month, day. The dark places move along. They find the year at the end in English and Russian, and at the front in Hungarian. A month needs several letters, so its weight is often spread over them.

Now look at the rows of the hyphens. They are dark somewhere, too. A hyphen needs nothing from the source, but the weights of a row have the sum 1, so they go somewhere.
""")
md("hide-text", r"""
### Does the model depend on what it looks at?

A heavy weight says that the model looks at a place. It does not say that the model needs it. To know that, change something and watch: an **intervention**. At each step, hide the place with the largest weight: the mask becomes False there, nothing else changes. Then let the same model decode again. Two comparisons come with it. Hide another place, at random from the whole text; and hide another place of the *same part*, at random: of the same year, the same month.

The characters before are the right ones here (teacher forcing), so that each digit answers only for its own hidden place. That makes guessing easier, and the baseline must be allowed the same: `a guess` reads nothing of the source, and takes the digit that most often follows the digits before it in the year, the month or the day of the training dates.

**Predict:** of the digits of a day, how many are still right when the heaviest place is hidden? Of a year? Of a month that is a word?
""")
code("hide", r"""
PARTS = {"year": (0, 1, 2, 3), "month": (5, 6), "day": (8, 9)}  # places in YYYY-MM-DD


def own_part(sentences, weights):
    '''True where a place that is read lies in the part of the date that is written: (B, S, T), like the weights.'''
    inside = torch.zeros_like(weights, dtype=torch.bool)
    for table, sentence in zip(inside, sentences, strict=True):  # (S, T)
        for k, spans in enumerate(sentence.spans):
            for part, (begin, end) in spans.items():
                table[[11 * k + place for place in PARTS[part]], begin:end] = True
    return inside


@torch.no_grad()
def right_when_hidden(model, sentences, where, places):  # two tables (B, S): what is right, what could be hidden
    source, lengths, target = collate(sentences)
    memory, state = model.read(source, lengths)
    _, _, weights = model.decoder(target[:, :-1], state, memory)  # (B, S, T)
    heaviest = F.one_hot(weights.argmax(dim=2), weights.shape[2])  # (B, S, T)
    may_hide = own_part(sentences, weights) if where == "own part" else memory.mask
    rank = weights if where == "heaviest" else torch.rand_like(weights) * may_hide * (1 - heaviest)
    first = rank.topk(places, dim=2)
    hidden = torch.zeros_like(weights, dtype=torch.bool).scatter(2, first.indices, first.values > 0)
    logits, _, _ = model.decoder(target[:, :-1], state, memory._replace(mask=memory.mask & ~hidden))
    return (logits.argmax(dim=2) == target[:, 1:]).tolist(), (first.values > 0).all(dim=2).tolist()
""")
md("guess-text", r"""
The baseline, and a list of all digits, with months written as words apart from months written in digits:
""")
code("guess", r"""
follows = {}  # after the digits of a part so far: how often which digit
for date in sorted(train_dates):
    for part, places in PARTS.items():
        for place in places:
            follows.setdefault((part, date[places[0] : place]), Counter())[date[place]] += 1


def digits_of(sentences):
    '''For each digit of the answers: the kind of its part, the sentence, the place, and whether a guess is right.'''
    for i, sentence in enumerate(sentences):
        for k, spans in enumerate(sentence.spans):
            date = sentence.target[11 * k :]
            for part, places in PARTS.items():
                written = sentence.source[slice(*spans[part])]
                kind = part if part != "month" else "month in digits" if written.isdigit() else "month in words"
                for place in places:
                    guess = follows[part, date[places[0] : place]].most_common(1)[0][0]
                    yield kind, i, 11 * k + place, guess == date[place]
""")
code("hide-show", r"""
torchnlp.set_seed(SEED)
KINDS = ("year", "month in digits", "month in words", "day")
HIDDEN = {"nothing": ("heaviest", 0), "1 at random": ("text", 1), "1 of the same part": ("own part", 1)}
HIDDEN |= {"the heaviest": ("heaviest", 1), "3 at random": ("text", 3), "the 3 heaviest": ("heaviest", 3)}
hits, kept = {(name, kind): [] for name in (*HIDDEN, "a guess") for kind in KINDS}, {}
for n in (1, 2, 3):
    tables = {name: right_when_hidden(with_attention.model, test_sentences[n], *how) for name, how in HIDDEN.items()}
    for kind, i, place, guessed in digits_of(test_sentences[n]):
        hits["a guess", kind].append(guessed)
        for name, (right, possible) in tables.items():
            if possible[i][place]:
                hits[name, kind].append(right[i][place])

print("hidden".ljust(18), *(f"{kind:>20}" for kind in KINDS))
for name in (*HIDDEN, "a guess"):
    found = [hits[name, kind] for kind in KINDS]
    kept |= {(name, kind): sum(part) / len(part) for kind, part in zip(KINDS, found, strict=True) if part}
    print(name.ljust(18), *(f"{share_of(sum(part), len(part)) if part else 'none':>20}" for part in found))
""", IGN)
code("alignment-claim", r"""
assert min(kept[name, kind] for name in ("nothing", "1 at random", "1 of the same part") for kind in KINDS) > 0.9
assert kept["the heaviest", "day"] < kept["a guess", "day"] + 0.2
assert kept["the heaviest", "year"] < kept["a guess", "year"] + 0.2
assert kept["the heaviest", "month in words"] > kept["a guess", "month in words"]
assert kept["the 3 heaviest", "month in words"] < kept["the heaviest", "month in words"]
""", "claim")
md("hide-read", r"""
A place at random, or another place of the same part, costs next to nothing. The heaviest place is another matter. Without it, the digits of a day or a year are right hardly more often than a guess that reads nothing. So there the map tells the truth: the model depends on the place where it looks, and on no other place of the part.

A month that is a word mostly survives without its heaviest place; hide three, and it suffers, too. So the model had found it in other places. Because a name has several letters, and some are left? Months written in digits are the control for that, and it does not settle the question: there are few of them, and how many survive differs much from one seed to another. So the letters are a possible reason, no more. But whatever the reason is, a heavy weight on a place does *not* say that the model needs this place. A weight is not an explanation; the intervention told the two cases apart.

(The digits of one date are not independent of each other, so these intervals are a little too narrow.)
""")
md("mass-text", r"""
### Deeper: A number for the map

Pictures persuade too easily, so count. When the model writes a digit of a year, how much of its attention lies on the characters of that year? A model that looked everywhere alike would put on a part its share of the sentence: the uniform baseline.
""")
code("mass", r"""
source, lengths, _ = collate(test_sentences[3])
_, weights = greedy(with_attention.model, source, lengths)
inside, masses = own_part(test_sentences[3], weights), {}
for part, places in PARTS.items():
    steps = [11 * k + place for k in range(3) for place in places]  # at which the part is written
    mass = (weights * inside)[:, steps].sum(dim=2).mean().item()
    uniform = (inside[:, steps].sum(dim=2) / lengths[:, None].to(device)).mean().item()
    masses[part] = mass, uniform
    print(f"{part:5}: {mass:.2f} of the attention on the right characters, uniform {uniform:.2f}")
""", IGN)
code("mass-claim", r"""
assert all(mass >= 2 * uniform for mass, uniform in masses.values())
""", "claim")
md("mass-read", r"""
The right characters get several times their uniform share. Nobody gave the model their places: it learned the alignment from pairs of sentences alone.
""")
md("four-text", r"""
### Deeper: Four dates

Attention takes any length, and the GRUs run on, too. Why then do four dates go wrong? Look at the alignment of one sentence, with lines between the dates. Then count over all 150: where does the model look while it writes a year, and where while it writes a month and a day? Only the dates that an answer has are counted.
""")
code("four-dates", r"""
sentence = test_sentences[4][0]
text, weights = attend(with_attention.model, sentence)
print(f"wanted  {sentence.target}\ngot     {text}")

answers = translate(with_attention.model, test_sentences[4])
print("dates in the answers:", dict(sorted(Counter(len(answer.split()) for answer in answers).items())), "\n")
_, weights_of_all = greedy(with_attention.model, *collate(test_sentences[4])[:2], longest=44)
looks = {}  # date and part written: shares of attention on the four dates read
for table, item, answer in zip(weights_of_all, test_sentences[4], answers, strict=True):
    ranges = [(min(begin for begin, _ in x.values()), max(end for _, end in x.values())) for x in item.spans]
    for k in range(min(4, len(answer.split()))):
        for part, places in (("year", (0, 1, 2, 3)), ("month and day", (5, 6, 8, 9))):
            row = table[[11 * k + place for place in places]].mean(dim=0)  # (T,)
            looks.setdefault((k + 1, part), []).append([row[begin:end].sum().item() for begin, end in ranges])
print("written              looked at: date 1  date 2  date 3  date 4")
for (k, part), shares_read in sorted(looks.items()):
    means = [sum(column) / len(column) for column in zip(*shares_read, strict=True)]
    print(f"date {k}, {part:13}".ljust(30), "".join(f"{mean:8.2f}" for mean in means))
""", IGN)
code("four-plot", r"""
fig, ax = plt.subplots(figsize=(12.4, 5.4), layout="constrained")
ax.imshow(weights.tolist(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
for spans in sentence.spans[1:]:
    ax.axvline(min(begin for begin, _ in spans.values()) - 0.5, color=COLOURS["orange"])
for row in range(11, len(text), 11):
    ax.axhline(row - 0.5, color=COLOURS["orange"])
ax.set_xticks(range(len(sentence.source)), sentence.source.replace(" ", "␣"), fontsize=8)
ax.set_yticks(range(len(text)), text.replace(" ", "␣"), fontsize=8)
ax.set(xlabel="read", ylabel="written", title=f"wanted {sentence.target}")
ALT{Heat map of attention for a sentence with four dates; lines separate the dates. The dark places of the first date
written lie in the first date read; those of the dates after it do not keep to one date.}
torchnlp.show(fig, alt)
""", IGN)
md("four-read", r"""
In this run, each answer to four dates holds three. The longest training sentences had three, and this is where the model ends. And inside, dates are mixed. In the sentence above, the second date of the answer has the year of the third date of the source, and the month and the day of the second. The table says it for all sentences: the first date is found. The year of the second one is looked for in the second date and in the third, its month and day mostly in the second. The third one is mostly read from the last date.

One reading: the weighted mean works at any length, and the queries do not. They come from a GRU that has learned to ask for the first, the second and the last date, and nothing taught it to ask for a third of four. The table fits this reading; it does not prove it.
""")
md("unmasked-text", r"""
### Deeper: The mask taken away

What does the mask hide in the trained model? Read sentences with one date in a batch that is padded to the longest sentence with two. Let the model write with its mask, and then with a mask that is True everywhere; and so an untrained model. The characters before are the right ones again (teacher forcing).
""")
code("unmasked", r"""
short = test_sentences[1]
source, lengths, target = collate([*short, max(test_sentences[2], key=lambda item: len(item.source))])
trained, shares, maps = with_attention.model, {}, {}
for name, model in (("with the mask", trained), ("without", trained), ("untrained, without", untrained_attending)):
    with torch.no_grad():
        memory, state = model.read(source, lengths)
        mask = memory.mask if name == "with the mask" else torch.ones_like(memory.mask)
        logits, _, weights = model.decoder(target[:, :-1], state, memory._replace(mask=mask))
    share = (logits.argmax(dim=2) == target[:, 1:])[:-1, :10].float().mean().item()
    shares[name] = (weights[:-1, :10] * ~memory.mask[:-1]).sum(dim=2).mean().item()  # on padding
    maps[name] = weights[0, :10]
    print(f"{name:18}: {shares[name]:.3f} of the attention on padding, {share:.2f} of the characters right")
""", IGN)
code("unmasked-plot", r"""
fig, axes = plt.subplots(2, 1, figsize=(12.4, 5), layout="constrained")
padding = source.shape[1] - len(short[0].source)
for ax, name in zip(axes, ("with the mask", "without"), strict=True):
    torchnlp.plot_attention(maps[name], short[0].target, short[0].source + padding * "·", ax)
    ax.images[0].set_clim(0, 0.1)  # so that small weights show
    ax.set(title=name, xlabel="read", ylabel="written")
ALT{Two heat maps of attention for one short sentence, padded. With the mask, all padding is white. Without it, part of the weight of the rows lies on the padding.}
torchnlp.show(fig, alt)
""", IGN)
code("unmasked-claim", r"""
assert shares["with the mask"] == 0
assert shares["without"] < 0.2
assert shares["untrained, without"] > 0.4
""", "claim")
md("unmasked-read", r"""
Without the mask, an untrained model gives padding most of its attention, and the trained one little. A place of padding has a hidden state of zeros (packing leaves them there), so its key is zero and its score is 0. In the trained model it gets weight in those rows where the scores of the text are not far above 0; the lower map shows them. The characters hardly change: what leaks in is zero, and little. In the toy neither held, and padding took everything. Do not rely on it: what an answer is must not depend on its neighbours in the batch, and the mask makes sure.
""")
md("influence-text", r"""
### Deeper: A weight is not an explanation

It is tempting to read the map as "the model wrote this digit because of that character". Test it from the other side. Replace one character of the source by another, a digit by a digit and a letter by a letter, and see how much less probable the right digit becomes. Call this the **influence** of the character. Spaces and punctuation stay as they are. (The letters that are put in are Latin ones, in Russian words, too.)

If a weight explained the digit, the characters with the largest weights would have the largest influence.
""")
code("substitutes", r"""
def substitutes(character):
    '''Two other characters of the same kind: digits, letters, or none for what is neither.'''
    others = "358" if character.isdigit() else "ouk" if character.isalpha() else ""
    return others.replace(character, "")[:2]
""")
code("influence", r"""
@torch.no_grad()
def influence(model, sentence):
    '''How much less probable each character of the answer gets if one of the source is another, on average: (S, T).'''
    text, places, versions = sentence.source, [], [sentence]
    for i, character in enumerate(text):
        for other in substitutes(character):
            places.append(i)
            versions.append(replace(sentence, source=text[:i] + other + text[i + 1 :]))
    source, lengths, target = collate(versions)
    probabilities = teacher_forced(model, source, lengths, target).softmax(dim=2)  # (versions, S, V)
    probabilities = probabilities.gather(2, target[:, 1:, None]).squeeze(2)  # (versions, S), of the right characters
    drops = (probabilities[0] - probabilities[1:]) / 2  # each place has two substitutes
    effects = torch.zeros(len(text), drops.shape[1], device=drops.device)  # (T, S)
    return effects.index_add(0, torch.tensor(places, device=drops.device), drops).T
""")
md("explanation-text", r"""
Do so for each digit of the sentences with one date that the model gets right. Where the heaviest character has the largest influence, or one that is at most 0.1 smaller, weight and influence agree: near-ties do not count as a disagreement. Two kinds of digits are left out: those that no character moves by more than 0.1, for there nothing could disagree; and those whose heaviest place is a space or punctuation, which was not replaced. For comparison, ask the same of another character, drawn at random from the same part of the date.
""")
code("explanation-case", r"""
class Case(NamedTuple):
    part: str
    gap: float  # influence of the most influential character minus that of the heaviest
    other_gap: float | None  # the same for another character of the part, if it has one
    digit: int  # its place in YYYY-MM-DD
    sentence: torchnlp.DateSentence
    weights: torch.Tensor  # (T,)
    effects: torch.Tensor  # (T,)
""")
code("explanation-case-of", r"""
def case_of(part, digit, sentence, weights, effects, chance):  # weights (T,), effects (T,)
    heavy, (begin, end) = weights.argmax().item(), sentence.spans[0][part]
    others = [i for i in range(begin, end) if sentence.source[i].isalnum() and i != heavy]
    gaps = (effects.max() - effects).tolist()
    other_gap = gaps[chance.choice(others)] if others else None
    return Case(part, gaps[heavy], other_gap, digit, sentence, weights, effects)
""")
code("explanation-search", r"""
answers = translate(with_attention.model, test_sentences[1])
_, all_weights = greedy(with_attention.model, *collate(test_sentences[1])[:2])
chance, cases, unmoved = random.Random(SEED), [], Counter()
for sentence, answer, table in zip(test_sentences[1], answers, all_weights, strict=True):
    if answer == sentence.target:
        effects = influence(with_attention.model, sentence)  # (S, T)
        for part, digits in PARTS.items():
            for digit in digits:
                weights = table[digit, : len(sentence.source)]
                if effects[digit].max() <= 0.1:
                    unmoved[part] += 1
                elif sentence.source[weights.argmax()].isalnum():
                    cases.append(case_of(part, digit, sentence, weights, effects[digit], chance))
""", IGN)
code("explanation-show", r"""
disagree = {}
print("largest influence elsewhere:   for the heaviest   for another of the part   left out")
for part in PARTS:
    apart = [case.gap > 0.1 for case in cases if case.part == part]
    others = [case.other_gap > 0.1 for case in cases if case.part == part and case.other_gap is not None]
    texts = [f"{sum(x)} of {len(x)}, {sum(x) / max(1, len(x)):.2f}" for x in (apart, others)]
    print(f"{part:26} {texts[0]:>20} {texts[1]:>25} {unmoved[part]:>10}")
    disagree[part] = sum(apart) / max(1, len(apart))
""", IGN)
code("explanation-plot", r"""
worst = max(cases, key=lambda case: case.gap)
heavy, decisive = worst.weights.argmax().item(), worst.effects.argmax().item()
heavy_effect, decisive_effect = worst.effects[heavy].item(), worst.effects[decisive].item()
places, characters = range(len(worst.sentence.source)), worst.sentence.source.replace(" ", "␣")
answer, digit = worst.sentence.target, worst.digit
fig, axes = plt.subplots(2, 1, figsize=(7, 4.6), layout="constrained", sharex=True)
for ax, name, values in zip(axes, ("weight", "influence"), (worst.weights, worst.effects), strict=True):
    ax.bar(places, values.tolist(), color=COLOURS["blue"])
    ax.plot(heavy, 1.12, "kv", label="most weight")
    ax.plot(decisive, 1.12, "k*", markersize=10, label="most influence")
    ax.set(ylabel=name, ylim=(-0.1, 1.25))
axes[0].set_title(f"writing the {answer[digit]} after {answer[:digit]!r} of {answer}")
axes[0].legend(ncols=2, loc="upper right", bbox_to_anchor=(1.0, 0.85))
axes[1].set_xticks(places, characters)
axes[1].set(xlabel="read")
ALT{Two rows of bars over the characters of one source: the weights and the influences. The character with the largest weight has hardly any influence; another character has much more.}
torchnlp.show(fig, alt)
""", IGN)
code("explanation-claim", r"""
assert heavy != decisive
assert heavy_effect < 0.2
assert decisive_effect > 0.5
assert max(disagree["year"], disagree["day"]) < 0.15
""", "claim")
md("explanation-read", r"""
For the digits of years and days, weight and influence agree almost everywhere. That is worth something: another character of the same part, drawn at random, is nearly never the one that counts. For months they disagree more often, which fits what the intervention found. The picture shows the worst case of all digits. Here the character with the largest weight can be replaced, and the model hardly minds. The one that decides has less weight. Where weight and influence disagree, two explanations are possible, and this test does not tell them apart. The heaviest character may not be needed, since other characters say the same. Or its hidden state is read for what its neighbours are: attention reads hidden states, not characters, and the GRU carries along what it has read. Either way, the weight says where a vector was read, not why the model answered as it did: a weight is not an explanation.

[Jain and Wallace (2019)](https://arxiv.org/abs/1902.10186) found on many tasks, none of them translation, that weights often disagree with other measures of importance. [Wiegreffe and Pinter (2019)](https://arxiv.org/abs/1908.04626) answer that it depends on what you call an explanation, and propose tests. To know what a model depends on, change something and watch the output, as you just did.
""")
md("scores-text", r"""
## Three scores

A score is any function of a query $q_t = W s_t$ and a key $k_i = U h_i$, both of $d$ numbers. Three are common:

| score | formula | learned |
|---|---|---|
| additive, [Bahdanau et al. 2015](https://arxiv.org/abs/1409.0473), the one in the drawing | $e_{ti} = v \cdot \tanh(q_t + k_i)$ | $W$, $U$, $v$ |
| dot product, [Luong et al. 2015](https://arxiv.org/abs/1508.04025) | $e_{ti} = q_t \cdot k_i$ | $W$, $U$ |
| scaled dot product, [Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), section 3.2.1 | $e_{ti} = q_t \cdot k_i / \sqrt{d}$ | $W$, $U$ |

The additive score runs a small network for each pair of a query and a key; the small $v$ is a learned vector. A dot product is one matrix product for all pairs.

**Why divide by the root of $d$?** Say the numbers in $q$ and $k$ are independent, with mean 0 and variance 1. The product $q \cdot k = \sum_{j=1}^{d} q_j k_j$ has $d$ terms. Each has mean 0 and variance $1 \cdot 1 = 1$. Variances of independent terms add, so the score has the variance $d$: its typical size is $\sqrt d$, and it grows with the network. Now look at the gradient that softmax hands back to the scores:

$$\frac{\partial \alpha_{ti}}{\partial e_{tj}} = \alpha_{ti} (\delta_{ij} - \alpha_{tj}), \qquad \delta_{ij} = 1 \text{ if } i = j, \text{ else } 0$$

With large differences between the scores one weight is nearly 1 and the others nearly 0: softmax is **saturated**. Then each of these products is nearly 0, and hardly any gradient reaches the scores, and hence $W$ and $U$. Divided by $\sqrt d$, the scores have the variance 1 at the start, whatever $d$ is.

That is the argument of the paper, for queries and keys of variance 1. Ours begin much smaller, so our softmax is not saturated at the start. What the division does to *this* model is measured in the folded sections below: it keeps the steps of $W$ and $U$ short. Let these two matrices alone learn at a smaller rate, and the plain dot product does as well.
""")
md("scores-train-text", r"""
### Deeper: The three scores, trained

Train each score on the dates, from the same first $W$ and $U$. (Luong's dot product does without $W$ and $U$; here all three get them, so that only the score differs. Two papers differ from our decoder in other ways, too. In [Cho et al. (2014)](https://arxiv.org/abs/1406.1078), without attention, the summary also enters each step of the decoder's GRU; here it makes the first state, and enters each output. Bahdanau et al. ask with the state before, $s_{t-1}$, and feed the context into $s_t$; here $s_t$ asks and the context goes to the output, as in Luong et al. without their "input feeding". So all $s_t$ can be computed in one call in training.)
""")
code("scores", r"""
class AdditiveAttention(Attention):
    def __init__(self, key_size=32):
        super().__init__()
        self.v = nn.Linear(key_size, 1, bias=False)

    def score(self, queries, keys):
        inner = queries[:, :, None] + keys[:, None]  # (B, S, 1, d) + (B, 1, T, d) = (B, S, T, d)
        return self.v(torch.tanh(inner)).squeeze(3)  # (B, S, T)


SCORES["additive"] = AdditiveAttention
""", "recorded")
md("compare-text", r"""
The experiment that was recorded, for the controls above as well. Beside the results it notes the norm of the gradient that reaches $W$ and $U$ from a first batch, before any learning, and the mean of the largest weight of a step after training: near 1, softmax is saturated.
""")
code("largest", r"""
def largest_weight(model):
    '''The mean over all steps of the largest weight, on the validation split; None without attention.'''
    _, weights = greedy(model, *collate(validation_sentences[3])[:2], longest=33)
    return None if weights is None else weights.max(dim=2).values.mean().item()
""", "recorded")
code("compare", r"""
def compare_scores(names, rates, seeds, steps=STEPS):
    '''Runs with each score, learning rate and seed: a list of rows.'''
    rows = []
    for seed, name, rate in [(seed, name, rate) for seed in seeds for name in names for rate in rates]:
        model = fresh(SIZE, name, seed)
        loss_of(model, validation_sentences[3]).backward()
        pair = [layer.weight.grad for layer in (model.decoder.W, model.U) if layer is not None]
        extra = {"first gradient": math.hypot(*(gradient.norm().item() for gradient in pair))}
        extra["parameters"] = sum(weight.numel() for weight in model.parameters())
        done = run(SIZE, steps, seed, name, rate)
        rows.append(done.row | extra | {"largest weight": largest_weight(done.model)})
    return rows
""", "recorded")
code("scores-show", r"""
record = torchnlp.recorded("scores")
print(record, "\n\neach at its best rate of three")
print("score        rate  parameters  first gradient  exact match, 2 dates  3 dates")
scores = {score: at_best_rate(record.rows, score) for score in ("dot", "scaled dot", "additive")}
for score, rows in scores.items():
    gradient = sum(row["first gradient"] for row in rows) / len(rows)
    print(f"{score:10}  {rows[0]['rate']:.3f}  {rows[0]['parameters']:10,}  {gradient:14.4f} ", end="")
    print(*(f" {spread([row[f'exact {n}'] for row in rows])}" for n in (2, 3)))
first = {row["seed"]: {} for row in record.rows}
for row in record.rows:
    first[row["seed"]][row["score"]] = row["first gradient"]  # the same for each rate
""", IGN)
code("scores-claim", r"""
assert all(row["exact 3"] >= 0.8 for score in ("scaled dot", "additive") for row in scores[score])
assert all(row["exact 3"] < 0.75 for row in scores["dot"])
assert all(seed["dot"] > 3 * seed["scaled dot"] for seed in first.values())
""", "claim")
md("scores-read", r"""
The additive and the scaled score both get nearly all dates right. The plain dot product does not reach them with any of the three rates. (Its best rate is the lowest of the three, so a still lower one may do better.) Is the gradient lost, as derived? Not at the start: there the plain score has the *larger* gradient, about $\sqrt{32} \approx 6$ times that of the scaled one. These scores begin small, so softmax is not saturated. The reason must be another one; the next section finds it.

And the price: with attention there are 6,144 parameters more than without, about a fourteenth of the network ($W$ and $U$, 32 × 96 each), and the additive score has 32 more still. In time, each step scores each place, $S \times T$ scores for a sentence; the additive score needs $d$ tanh for each of them, the others one matrix product for all. With sentences as short as these it hardly shows: compare the seconds of your own two runs.
""")
md("rates-text", r"""
### Deeper: The learning rate, and what the division does

The division can be had without dividing. Let $W$ and $U$ begin smaller by the factor $d^{1/4}$, for us $32^{1/4} \approx 2.4$: their product begins smaller by $\sqrt d$, as with the division. And let them learn at a rate smaller by the same factor; for each step of our optimizer (`torch.optim.Adam`) changes a number by about the learning rate, however large its gradient is. So the division by $\sqrt d$ is a smaller start and smaller steps, for these two matrices. At the start nothing is saturated, as the first gradient showed. So perhaps the steps are too long without the division.

Test the steps alone. Train the plain dot product with a quarter of the rate for $W$ and $U$, and the rest at the usual rate. And the other way round: train the scaled one with three times the rate for $W$ and $U$. This needs two groups of parameters in the optimizer. Apart from that, `train_pair` is a copy of `train`, and the assertion after it says that with one rate for both groups it computes the same.

**Predict:** what becomes of the plain dot product, what of the scaled one?
""")
code("pair", r"""
def train_pair(model, steps, seed, pair_rate):
    '''As `train`, but W and U have a learning rate of their own; the rest learns at RATE.'''
    chance, losses = random.Random(seed), []
    pair = [model.decoder.W.weight, model.U.weight]
    rest = [weight for name, weight in model.named_parameters() if name not in ("decoder.W.weight", "U.weight")]
    optimizer = torch.optim.Adam([{"params": rest}, {"params": pair}], lr=RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [RATE, pair_rate], total_steps=steps, pct_start=0.1)
    for step in range(1, steps + 1):
        loss = loss_of(model, chance.sample(train_sentences[1 + step % 3], 32))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses
""", "recorded")
code("rates", r"""
def pair_rates(names, rates, seeds, steps=STEPS):
    '''Runs in which only the learning rate of W and U differs: a list of rows.'''
    rows = []
    for seed, name, rate in [(seed, name, rate) for seed in seeds for name in names for rate in rates]:
        model = fresh(SIZE, name, seed)
        train_pair(model, steps, seed, rate)
        with torch.no_grad():
            held_out = sum(loss_of(model, part).item() for part in validation_sentences.values()) / 3
        exact, _ = evaluate(partial(translate, model))
        row = {"seed": seed, "score": name, "rate": RATE, "pair rate": rate, "held-out loss": held_out}
        row |= {f"exact {n}": share for n, share in exact.items()}
        rows.append(row | {"largest weight": largest_weight(model)})
    return rows
""", "recorded")
code("pair-check", r"""
losses_of_train, _ = train(fresh(SIZE, "scaled dot", SEED), 12, SEED, RATE)
losses_of_pair = train_pair(fresh(SIZE, "scaled dot", SEED), 12, SEED, RATE)
""")
code("pair-claim", r"""
torch.testing.assert_close(torch.tensor(losses_of_pair), torch.tensor(losses_of_train), rtol=1e-3, atol=1e-3)
""", "claim")
code("rates-show", r"""
scores_record, record = torchnlp.recorded("scores"), torchnlp.recorded("rates")
print(scores_record, record, sep="\n")
print("\n                  rate of               held-out  exact match,  largest")
print("score       W and U  the rest             loss       3 dates   weight")
tried = {}
for row in [row | {"pair rate": row["rate"]} for row in scores_record.rows] + record.rows:
    tried.setdefault((row["score"], row["rate"], row["pair rate"]), []).append(row)
for (score, rate, pair_rate), rows in sorted(tried.items()):
    if score in ("dot", "scaled dot", "additive"):
        means = {key: sum(row[key] for row in rows) / len(rows) for key in ("held-out loss", "exact 3", "largest weight")}
        print(f"{score:10}  {pair_rate:7.3f}  {rate:8.3f}" + "{:17.3f}{:14.2f}{:9.2f}".format(*means.values()))
        tried[score, rate, pair_rate] = means
""", IGN)
code("rates-claim", r"""
assert tried["dot", 0.012, 0.003]["exact 3"] > tried["dot", 0.012, 0.012]["exact 3"] + 0.5
assert tried["dot", 0.012, 0.003]["exact 3"] > tried["dot", 0.003, 0.003]["exact 3"] + 0.1
assert tried["scaled dot", 0.012, 0.036]["exact 3"] < tried["scaled dot", 0.012, 0.012]["exact 3"] - 0.5
assert tried["dot", 0.012, 0.012]["largest weight"] > 0.95
assert tried["scaled dot", 0.012, 0.036]["largest weight"] > 0.95
assert tried["additive", 0.036, 0.036]["exact 3"] < 0.3
assert tried["additive", 0.036, 0.036]["largest weight"] < 0.8
""", "claim")
md("rates-read", r"""
Both answers are clear. With a quarter of the rate for $W$ and $U$ alone, the plain dot product gets the dates right, too. With three times the rate for $W$ and $U$ alone, the scaled one fails. Nothing else differs, so it is the steps of $W$ and $U$ that were too long. In both failures the largest weight is close to 1: softmax has become saturated on the way. So the division does not make the dot product a better score. It gives $W$ and $U$ steps of a size that fits the rate of the rest.

A smaller rate for everything helps the plain dot product, too, but less: then the rest of the network learns too slowly. And a rate can be too high in other ways: the additive score fails at three times the rate, though its softmax is far from saturated. By the derivation, the division does this for each $d$; these runs show $d = 32$ only, at one size and one number of steps.
""")
md("variance-text", r"""
### Deeper: The variance of a dot product, measured

Now the case of the paper. Draw queries and keys at random, with variance 1, and look at 16 scores at a time: their variance, and how far softmax is from saturated. For the latter, take the sum of $\alpha_i (1 - \alpha_i)$, the diagonal of softmax's derivative, and the share of queries that give more than nine tenths of their weight to one place.
""")
code("dot-variance", r"""
torchnlp.set_seed(SEED)
sizes, variances, passed, saturated = [1, 4, 16, 64, 256, 1024], [], [], []
for d in sizes:
    queries, keys = torch.randn(1000, 1, d), torch.randn(1000, 16, d)
    scores = (queries @ keys.transpose(1, 2)).squeeze(1)  # (1000, 16): each query looks at 16 places
    variances.append([scores.var().item(), (scores / math.sqrt(d)).var().item()])
    weights = [x.softmax(dim=1) for x in (scores, scores / math.sqrt(d))]
    passed.append([(w * (1 - w)).sum(dim=1).mean().item() for w in weights])
    saturated.append([(w.max(dim=1).values > 0.9).float().mean().item() for w in weights])
print("d = {}: saturated queries {:.2f} undivided, {:.2f} divided".format(sizes[-1], *saturated[-1]))
""")
code("dot-plot", r"""
fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
for i, label, colour, style in ((0, "q · k", COLOURS["orange"], "s--"), (1, "q · k / √d", COLOURS["blue"], "o-")):
    axes[0].loglog(sizes, [pair[i] for pair in variances], style, color=colour, label=label)
    axes[1].semilogx(sizes, [pair[i] for pair in passed], style, color=colour)
axes[0].set(xlabel="d", ylabel="variance of the scores")
axes[1].set(xlabel="d", ylabel="derivative of softmax", ylim=(0, 1))
axes[0].legend()
ALT{Two plots against the size d of the vectors. Left: the variance of plain products grows like d, that of products divided
by the root of d stays at one. Right: the derivative of softmax falls towards zero for plain products and stays high
for scaled ones.}
torchnlp.show(fig, alt)
""")
code("dot-claim", r"""
assert all(0.5 * d < plain < 2 * d and 0.5 < scaled < 2 for d, (plain, scaled) in zip(sizes, variances, strict=True))
assert passed[-1][0] < 0.2
assert passed[-1][1] > 0.5
assert saturated[-1][0] > 0.6
assert saturated[-1][1] < 0.1
""", "claim")
md("dot-read", r"""
On the left, the variance grows like $d$, and the division brings it back to 1. On the right, what follows: with 1,024 numbers and no division, softmax begins saturated for most queries, and little of a gradient comes through. (The division has a price of its own: on its way from the scores to $q$ and $k$ the gradient is multiplied by $1/\sqrt d$, too. But this factor is the same everywhere, and an optimizer that divides each gradient by its typical size undoes it. A saturated softmax it cannot undo.)
""")
md("cost-text", r"""
### Deeper: Time against length

The GRU must read one token after the other: token 500 waits for the 499 before it. Attention compares all with all, in two matrix products, one for the scores and one for the means. In **self-attention** each token of a sentence is query, key and value at once: it looks at all tokens, itself included. Lesson 2 builds networks of it. Here, only measure: the time of a GRU and of self-attention for sentences of growing length, 8 at a time, with vectors of 64 numbers. Attention runs as it does in practice, with 4 **heads**: the 64 numbers are cut in 4 parts of 16, and each part attends on its own, so the tensors have the shape (B, H, T, d). With this shape PyTorch computes the means without keeping the $T \times T$ weights in memory.

**Predict:** which is faster at 32 tokens? At 2,048?
""")
code("cost-seconds", r"""
def seconds_of(function, repeats=3):
    '''The shortest of several runs.'''
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function().sum().item()  # .item() waits until a GPU has finished
        times.append(time.perf_counter() - begin)
    return min(times)
""")
code("cost-time", r"""
gru = nn.GRU(64, 64, batch_first=True).to(device)
token_counts = [32, 64, 128, 256, 512, 1024, 2048]
gru_times, attention_times = [], []
with torch.no_grad():
    for length in token_counts:
        tokens_in = torch.randn(8, length, 64, device=device)  # (B, T, D)
        heads = tokens_in.view(8, length, 4, 16).transpose(1, 2)  # (B, H, T, d)
        gru_times.append(seconds_of(lambda x=tokens_in: gru(x)[0]))
        attention_times.append(seconds_of(lambda x=heads: F.scaled_dot_product_attention(x, x, x)))
for length, by_gru, by_attention in zip(token_counts, gru_times, attention_times, strict=True):
    print(f"{length:4} tokens: GRU {1000 * by_gru:7.2f} ms, attention {1000 * by_attention:7.2f} ms")
""", IGN)
code("cost-plot", r"""
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
gru_ms, attention_ms = ([1000 * x for x in times] for times in (gru_times, attention_times))
ax.loglog(token_counts, gru_ms, "s--", color=COLOURS["orange"], label="GRU, one token at a time")
ax.loglog(token_counts, attention_ms, "o-", color=COLOURS["blue"], label="self-attention, all at once")
ax.set_xticks(token_counts, [str(length) for length in token_counts])
ax.minorticks_off()
ax.set(xlabel="tokens in the sentence", ylabel="milliseconds, batch of 8")
ax.grid(alpha=0.3)
ax.legend()
alt = "Time against sentence length, both axes logarithmic: attention starts far below the GRU and climbs more steeply."
torchnlp.show(ax, alt)
""", IGN)
md("cost-read", r"""
The GRU's time grows with the length. Attention scores each token with each: for double the length four times the work, and on a CPU its time on long sentences grows by about that factor. So it wins on short sentences and loses on long ones; where the curves cross depends on the machine. The comparison flatters attention a little, since the GRU multiplies by learned matrices and this attention has none; lesson 2 compares like with like. But it raises a question: if attention finds what is needed, why keep the GRU? Lesson 2 takes it away.
""")
md("takeaways", r"""
## Takeaways

- One vector of fixed size is a bottleneck: at equal size and training it loses what attention keeps, and more with each date. Size and training together move the limit.
- Attention is a score for each place, a softmax, and a weighted mean: $c_t = \sum_i \alpha_{ti} h_i$. What counts here is that it is made anew at each step: chosen once, it is one vector again.
- A mask hides what is not text. It comes from the lengths.
- Train with teacher forcing, judge by greedy decoding, from the same first weights, beside a constant answer. Report exact match with its interval.
- An alignment shows where a model looks. Whether it depends on the place, an intervention shows: hide it, and decode again.
- The dot product is the cheap score. Its variance grows like $d$; divided by $\sqrt d$ it does not.

## What next

Lesson 2 takes the GRU away. What remains is attention of a sentence on itself, all tokens at once: the Transformer.
""")
md("hood", r"""
## Deeper: What the helper did under the hood

Encoder, decoder, attention and training stand in this notebook. `torchnlp.py` did the rest:

| call | what it does |
|---|---|
| `set_seed(0)` | seeds Python, NumPy and PyTorch, so that a run on the CPU repeats |
| `date_sentences(...)` | draws dates from the training or the test part, picks a language and a style, joins the dates as the language does |
| `date_sentence(...)` | writes given dates in one language, and records in `spans` where year, month and day stand |
| `encode(text, voc, tokenizer=list)` | looks up each character's number; an unknown one becomes `<unk>` |
| `interval(right, n)` | Wilson's 95 % interval of a share |
| `recorded(name)` | reads the results of a recorded experiment, with when and on what it ran |
| `plot_attention(...)` | a heat map with a label for each row and column |
| `show(figure, alt)` | shows a figure with a text for those who cannot see it |

For instance, the spans of one sentence:
""")
code("hood-spans", "".join(OLD["hood-spans"]["source"]))
# exercises: as they are in main
for c in old["cells"]:
    if c["id"] == "exercises" or c["id"].startswith(("exercise-", "check-")) and c["id"] != "check-yourself":
        c = dict(c, source="".join(c["source"]))
        if c["cell_type"] == "code":
            c |= {"outputs": [], "execution_count": None}
        cells.append(c)
md("check-yourself", r"""
## Check yourself

Answer in a sentence or two, then unfold.

<details><summary>Why does a plain encoder-decoder get worse as sentences grow, and what in this lesson shows it?</summary>

All the decoder gets is one vector of fixed size, the same at each step; the longer the sentence, the more must fit into it. In the lesson, exact match without attention falls from one date to three, while the same network with attention, from the same first weights, stays high. The recorded curves show that size and training together move the point where it fails, and do not reach three dates. A model that may choose among all places, but only once for all steps, fails on three dates, too: what helps is a new choice at each step.

</details>

<details><summary>Why does one divide the dot product by the root of d, and what did it do in this lesson?</summary>

The score is a sum of $d$ products. If the numbers in query and key are independent, with mean 0 and variance 1, its variance is $d$, so its typical size is $\sqrt d$. With large differences between scores softmax is saturated, its derivatives $\alpha_i (\delta_{ij} - \alpha_j)$ are nearly 0, and little gradient comes through. Divided by $\sqrt d$, the variance is 1, whatever $d$ is. In this lesson the scores began small, and softmax was not saturated at the start. The plain dot product failed nevertheless: at the usual rate the steps of $W$ and $U$ were too long for it, and softmax became saturated. With a smaller rate for these two matrices alone it did as well as the scaled one.

</details>

<details><summary>What does a mask hide, and where does it come from?</summary>

It hides the places that are no text: the padding with which shorter sentences of a batch are filled up. It is computed from the lengths of the sentences, not from the numbers of the characters. A hidden place gets the score minus infinity, hence the weight 0 after the softmax. The same mechanism hid the heaviest place in the intervention.

</details>

<details><summary>What are query, key and value here, and why may a key differ from the value of the same place?</summary>

The query $q_t = W s_t$ is made of the decoder's state and asks; the key $k_i = U h_i$ is what it is compared with; the value, the hidden state $h_i$ itself, goes into the weighted mean. What makes a place easy to find, such as "last digit of a year", is not what one wants to read there, such as "8". The matrix $U$ lets a network make keys that differ from the values.

</details>

<details><summary>A model without attention reaches a token accuracy of 0.6 on sentences with three dates. Is that good?</summary>

Compare it with the constant answer, which reads nothing and has more than half of the characters right, since hyphens, centuries and many zeros are the same everywhere. So 0.6 is only a little better than not reading at all. Exact match says more: one wrong digit makes a wrong date.

</details>

<details><summary>A digit's largest weight lies on one letter. What do you know, and what would you do to know more?</summary>

You know where a hidden state was read, and that state carries its neighbours along, too. You do not know whether the digit depends on it. Intervene: hide the place and decode again, or replace the letter, and compare with hiding or replacing another place.

</details>
""")
code("time", "".join(OLD["time"]["source"]), IGN)
for c in cells:
    c["source"] = c["source"].splitlines(keepends=True)
nb = {"cells": cells, "metadata": old["metadata"], "nbformat": 4, "nbformat_minor": 5}
PATH.write_text(json.dumps(nb, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
print(len(cells), "cells")
