# ruff: noqa: E501
"""Make notebooks/3-bert.ipynb and its solutions from the cells below; nothing is executed. Removed at the merge.

Prose whose numbers depend on a run is a placeholder in capitals, in a markdown cell of its own; the comment beside it
says what the sentence should say of which outputs.
"""

import re
import textwrap
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent
IGN, CLAIM, REC = "nbval-ignore-output", "claim", "recorded"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
cells = []


def md(name, text):
    text = text.strip("\n")
    collapsed = text.startswith(("## Deeper:", "### Deeper:"))
    cells.append(new_markdown_cell(text, id=name, metadata={"jp-MarkdownHeadingCollapsed": True} if collapsed else {}))


def alt_text(match):
    lines = textwrap.wrap(" ".join(match.group(1).split()), 108)
    if len(lines) == 1:
        return f'alt = "{lines[0]}"'
    body = "\n".join(f'    "{line}{" " if i < len(lines) - 1 else ""}"' for i, line in enumerate(lines))
    return f"alt = (\n{body}\n)"


def code(name, text, *tags):
    text = re.sub(r"^ALT\{(.*?)\}$", alt_text, text, flags=re.S | re.M).replace("'''", '"""')
    cells.append(new_code_cell(text.strip("\n"), id=name, metadata={"tags": sorted(tags)} if tags else {}))


def write(path):
    """Write the cells so far as one notebook, and begin another."""
    notebook = new_notebook(cells=list(cells), metadata=METADATA)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    print(f"{path.relative_to(ROOT)}: {len(cells)} cells")
    cells.clear()


# ============================================================================================================ the path
# ------------------------------------------------------------------------------------------------------------- opening

md(
    "title",
    r"""
# Lesson 3: BERT, or what a network learns from blanks

Blank out some words of a text and ask for them: the text itself knows the answers, so nobody has to label anything. BERT learned from this, on billions of words. You look at what it reads and what comes out, train a model of its kind on blanks for a minute or two, and find out how little that buys, how much the loaded body buys, and what the rest costs.

With the course's own news the lesson runs in about three minutes on a laptop. The last cell prints how long it took you; the README lists what we measured.
""",
)
md(
    "goals",
    r"""
## What you will learn

1. How text becomes **word pieces**, and how one word gets different vectors in different sentences.
2. **Pre-training**: which words are blanked out and why so, what the loss counts, and how to tell what was learned from what was there before.
3. What is kept of BERT and what is thrown away when it is put to a task of your own, and what its pre-training cost.

**What you need:** lesson 2, or to know the transformer's block and its masks; PyTorch as far as `nn.Module`, a loss and an optimizer.
""",
)
code(
    "setup",
    r"""
import math
import time
from collections import Counter, defaultdict
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import transformers
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer, DataCollatorForLanguageModeling

import torchnlp
from torchnlp import COLOURS, device

SEED = 0
STEPS = 120  # of the training below
started = time.perf_counter()
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torchnlp.set_seed(SEED)
""",
    REC,
)
md(
    "predict-first",
    r"""
## Before you run anything

Three blanks. You see only what stands to the left. Write down one word for each, and how sure you are; a class votes.

> 1. The ▢
> 2. Rain stopped the second ▢
> 3. The company will cut 200 ▢

Now the same blanks with what stands to the right. Vote again.

> 1. The ▢ minister resigned on Tuesday.
> 2. Rain stopped the second ▢ of the tennis match.
> 3. The company will cut 200 ▢ by the end of May.

Which votes changed, which became surer, and which did not need the right side at all? Nobody ever taught you these sentences. What did you use: grammar, facts, or which words keep company?

One more guess for later: of 100 places of a newspaper that are blanked out at random, *the* and commas among them, how many would you restore exactly?
""",
)
md(
    "big-picture",
    r"""
## The big picture

![The sentence The blank minister resigned on Tuesday, twice. Above, left-to-right as GPT: arrows lead to the guess from the blank and the two tokens before it, the six tokens after it are grey, and many words fit. Below, bidirectional as BERT: arrows come from all nine tokens, and few words fit, such as prime. Beside each, which keys each query sees: a triangle above, all of them below.](figures/two-sides.svg)

A model that may use what stands on both sides of a place is **bidirectional**. GPT, which writes, may not: when it is asked for the next word, there is no right side yet, and in training a causal mask hides it. BERT does not write. It reads a text that is already there, so it may look at both sides, and needs no causal mask. That is the whole difference between the two masks that you saw in lesson 2.

But a bidirectional model cannot be asked for each word of a text: it would see the answer. So some words are hidden, and it is asked for these.

![BERT from bottom to top, with the shape of the tensor at each arrow. Tokens become ids. Three tables are looked up, for word piece, position and segment; the three vectors are summed and normalised. A pile of L blocks follows, in which every token looks at all others. Above it on the left the two heads of pre-training: the pooler and the next-sentence head over CLS; a dense layer and the product with the word vectors over each MASK. That product uses the table of word pieces. On the right fine-tuning: the pooler and one new layer; both heads are crossed out. The body, tables and blocks, is kept.](figures/bert.svg)

The letters of its name say the same: **B**idirectional **E**ncoder **R**epresentations from **T**ransformers ([Devlin et al. 2019](https://arxiv.org/abs/1810.04805)). *Transformer* is the block of lesson 2. *Encoder* is its half that reads. *Representations* are the vectors that come out, one for each token: they are what one wants, and the blanks are only the way to get them. This lesson goes through the drawing from bottom to top.
""",
)
md(
    "two-tasks",
    r"""
## Two tasks, one text, and what they changed

**What came before.** Since 2013 networks for language began with a table of word vectors, learned from plain text ([word2vec](https://arxiv.org/abs/1301.3781)): one vector for *bank*, whatever the sentence. In 2018 three works trained more than a table. [ELMo](https://arxiv.org/abs/1802.05365) read a text with two LSTMs, one from each side, and joined their vectors at the end. [ULMFiT](https://arxiv.org/abs/1801.06146) trained a language model and then adapted all of it to a task. [GPT](https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf) did so with a transformer, from left to right.

**The tasks.** BERT was trained on two at once, without a label from any person:

- In **masked language modelling** the model restores pieces of the text that were hidden. The head for it stands over each hidden piece.
- In **next sentence prediction** it reads two passages and says whether the second followed the first. Half of the time it did; otherwise the second came from elsewhere. The head for it stands over the first token, `[CLS]`, whose vector must hold something of the whole pair. The layer between is called the pooler.

**The text.** English Wikipedia, 2,500 million words, and [BooksCorpus](https://arxiv.org/abs/1506.06724), 800 million: 3.3 billion words in all, read about 40 times (section 3.1, appendix A.2).

**What it changed.** To use BERT for a task one takes off the two heads, puts one new layer on, and trains everything a little longer on labelled examples: **fine-tuning**. One model, with one such layer each time, was better than what had been built for eleven tasks one by one. The average over the tasks of [GLUE](https://arxiv.org/abs/1804.07461) rose from 72.8, which GPT had reached, to 80.5 (section 4.1 and abstract).

**What remained of it.** The first task remained. [RoBERTa](https://arxiv.org/abs/1907.11692) dropped the second a year later, with more text and longer training, and did as well or slightly better. A section at the end, *Deeper: The authors' own controls*, has the tables.
""",
)

# ----------------------------------------------------------------------------------------------------------------- toy

md(
    "toy",
    r"""
## The idea by hand: reading a vector as a word

Begin at the top of the drawing. The blocks turn each token into a vector that knows its neighbours, a **hidden state**. How does the one at a blank become a word? BERT compares it with the vectors of all words in its vocabulary. With $h \in \mathbb{R}^D$ for the blank's vector, and $e_w$ for the vector of word $w$, one of $V$:

$$z_w = \sum_{k=1}^{D} h_k\, e_{wk} \qquad p_w = \frac{\exp(z_w)}{\sum_{v=1}^{V} \exp(z_v)} \qquad \text{loss} = -\ln p_{\text{the word that was there}}$$

The $z_w$ are the logits, the $p_w$ the probabilities.

Take six words with two numbers each. The first says how much a word belongs to the economy (and not to sport), the second how much it is a movement (and not a thing). A network read "Oil ▢ rose" and gave the blank the vector $(1.5, -1)$: economy, and a thing.

**Predict:** which word gets the highest logit? *prices* has the vector $(2, -1)$ and *profit* $(1.5, -0.5)$. Compute both.
""",
)
code(
    "toy-vocabulary",
    r"""
words = ["prices", "profit", "rose", "goal", "team", "kicked"]
embeddings = torch.tensor([[2.0, -1.0], [1.5, -0.5], [1.0, 1.5], [-1.5, -0.5], [-2.0, -1.0], [-1.0, 1.5]])  # (V, D)
hidden = torch.tensor([1.5, -1.0])  # (D,), the vector at the blank

by_loop = torch.stack([sum(h * e for h, e in zip(hidden, vector, strict=True)) for vector in embeddings])  # (V,)
total = sum(z.exp() for z in by_loop)
for word, z in zip(words, by_loop, strict=True):
    print(f"{word:7} logit {z:5.2f}   probability {z.exp() / total:.2f}")
""",
)
md(
    "toy-vocabulary-read",
    r"""
![Left, six words as arrows from the origin of a plane: sport lies to the left and economy to the right, movement above and thing below. A thick arrow, the blank, points to the right and down. The arrow of prices points nearly the same way and is long, that of profit too, but it is shorter; rose, goal, team and kicked point elsewhere. Right, a table of their logits and probabilities, with the formulas.](figures/toy-blank.svg)

*prices* gets $1.5 \cdot 2 + (-1)(-1) = 4$ and most of the probability. *profit* lies in nearly the same direction, but its vector is shorter, so its product is smaller. Words of sport get negative logits.

### With a matrix, and as a layer

All logits at once are one product with the table of word vectors. PyTorch's name for that is a linear layer without bias. The loss is PyTorch's cross-entropy. It takes many places at once and skips those with the label -100: this is how places that are no blanks are left out.
""",
)
code(
    "toy-matrix",
    r"""
by_matrix = embeddings @ hidden  # (V, D) @ (D,) = (V,)

layer = nn.Linear(2, 6, bias=False)
layer.weight = nn.Parameter(embeddings)  # not a copy: the layer's weight *is* the table of word vectors
by_layer = layer(hidden)  # (V,)

there = words.index("profit")  # say that profit was the hidden word
loss_by_loop = -(by_loop[there].exp() / total).log()
logits, labels = torch.stack([torch.ones(6), by_layer]), torch.tensor([-100, there])  # (2, V), (2,): one is no blank
loss_by_library = F.cross_entropy(logits, labels)
print(f"loss {loss_by_library:.2f}, though the best guess was another word: -ln {(-loss_by_library).exp():.2f}")
""",
)
code(
    "toy-claim",
    r"""
torch.testing.assert_close(by_matrix, by_loop)
torch.testing.assert_close(by_layer, by_loop)
torch.testing.assert_close(loss_by_library, loss_by_loop)
""",
    CLAIM,
)
md(
    "toy-tied",
    r"""
They agree. The layer that writes words uses the table that reads them; this is called **tied embeddings** ([Press and Wolf, 2017](https://arxiv.org/abs/1608.05859)), and BERT does it. To learn means to turn the blank's arrow, and to move the points, until the right words win.

## Word pieces

Now the bottom of the drawing. BERT's vocabulary has about 30,000 entries; language has more words, and new names every day. So what is not in the vocabulary is cut into pieces that are, and `##` marks a piece that continues a word. A word piece is found greedily: take the longest that fits, go on with the rest. (The vocabulary used here is that of `bert-base-uncased`. It comes with the course's default model, `all-MiniLM-L6-v2`. How that was made you read further down, before anything is shown of it.)
""",
)
code(
    "wordpiece",
    r"""
model_name = torchnlp.model_folder()
tokenizer = BertTokenizer.from_pretrained(model_name)
vocabulary = tokenizer.get_vocab()


def wordpiece(word, vocabulary):
    '''Cut a word into the longest pieces of a vocabulary, from left to right.'''
    pieces = []
    while word:
        prefix = "##" if pieces else ""
        fitting = [end for end in range(min(len(word), 100), 0, -1) if prefix + word[:end] in vocabulary]
        if not fitting or len(word) > 100:
            return ["[UNK]"]
        pieces.append(prefix + word[: fitting[0]])
        word = word[fitting[0] :]
    return pieces


for word in ("minister", "goalkeepers", "akbulutoglu", "😀"):
    print(word, "->", wordpiece(word, vocabulary))
""",
    REC,
)
md(
    "wordpiece-read",
    r"""
A frequent word is one piece. A rare one, such as the name *akbulutoglu*, becomes several, with more or less sense; to put a meaning together again from the pieces is left to the blocks. If at some place nothing fits, as with the emoji, the whole word becomes `[UNK]`. (The tokenizer also gives up on words of more than 100 letters, so we do.)

### Where the pieces come from

The vocabulary itself is learned, from counts and before any network. Begin with single letters. Find the pair of neighbours that occurs most often, make it one piece, and do it again, as many times as you want new pieces. Five words with their counts, small enough to do by hand: `win` 11, `wins` 6, `pin` 5, `pit` 12, `bit` 4.

**Predict:** which pair of letters is joined first? Count `i` followed by `n`, and `i` followed by `t`.
""",
)
code(
    "merges",
    r"""
def merge(cut, pair):
    '''The pieces of a word, with each such pair of neighbours joined.'''
    merged = []
    for piece in cut:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece.removeprefix("##")
        else:
            merged.append(piece)
    return merged


def learn_pieces(frequency, steps):
    '''The pieces that so many merges add to the letters, in order, with their counts.'''
    cuts, learned = {word: [word[0], *(f"##{letter}" for letter in word[1:])] for word in frequency}, {}
    for _ in range(steps):
        pairs = Counter()
        for word, cut in cuts.items():
            for pair in pairwise(cut):
                pairs[pair] += frequency[word]
        if not pairs:
            break  # every word is one piece
        (left, right), times = pairs.most_common(1)[0]
        cuts = {word: merge(cut, (left, right)) for word, cut in cuts.items()}
        learned[left + right.removeprefix("##")] = times
    return learned
""",
)
code(
    "merges-run",
    r"""
toy_words = {"win": 11, "wins": 6, "pin": 5, "pit": 12, "bit": 4}
toy_pieces = learn_pieces(toy_words, steps=5)
toy_letters = {*"".join(toy_words)} | {f"##{letter}" for word in toy_words for letter in word[1:]}
print(toy_pieces)
print("pins ->", wordpiece("pins", {*toy_letters, *toy_pieces}))
""",
)
md(
    "merges-read",
    r"""
`##in` comes first, with 22 neighbours, then `win`, then `##it`: after five merges the three most frequent words are whole, and *pins*, which was never counted, can be cut. That is the reason why frequent words are one piece and rare ones several.

This is byte-pair encoding with `##`, and what today's `tokenizers` library does under the name WordPiece; the section below shows it. Google never published the program that made BERT's own vocabulary. Its rule is said to weigh a pair against the counts of its parts ([Hugging Face course](https://huggingface.co/course/chapter6/6)).
""",
)

md(
    "merges-library-text",
    r"""
### Deeper: The same by the library

The library learns from the same five words. Its vocabulary should be ours: the letters, and the five pieces.
""",
)
code(
    "merges-library",
    r"""
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

library = Tokenizer(models.WordPiece(unk_token="[UNK]"))
library.pre_tokenizer = pre_tokenizers.Whitespace()
size = 1 + len(toy_letters) + len(toy_pieces)  # [UNK] is one
trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=["[UNK]"], show_progress=False)
library.train_from_iterator([" ".join([word] * times) for word, times in toy_words.items()], trainer)
""",
)
code(
    "merges-compare",
    r"""
library_pieces = set(library.get_vocab()) - {"[UNK]"}
by_library = {word: library.encode(word).tokens for word in (*toy_words, "pins", "bins", "tip")}
by_hand = {word: wordpiece(word, library_pieces) for word in by_library}
print(sorted(library_pieces - toy_letters), by_library["bins"])
""",
)
code(
    "pieces-claim",
    r"""
assert library_pieces == {*toy_letters, *toy_pieces}
assert by_library == by_hand
""",
    CLAIM,
)

# --------------------------------------------------------------------------------------------------- data, embeddings

md(
    "data-text",
    r"""
## The data

The labels of the news are not used, only the texts. Three parts: training, a **validation split** of the training part, on which all settings of this lesson were chosen, and the test part, by which nothing was chosen. (The lesson runs on texts of your own, too; the README says how. Then the claims about news are left out.)
""",
)
code(
    "data",
    r"""
train_dataset, test_dataset, classes = torchnlp.load_texts()
is_news = classes == torchnlp.CLASSES and len(train_dataset) >= 1000  # what is claimed about news is claimed of these
held_out = max(1, min(100, len(train_dataset) // 10))
validation_texts = [text for _, text in train_dataset[:held_out]]
train_texts = [text for _, text in train_dataset[held_out:]]
test_texts = [text for _, text in test_dataset[:200]]


def encode(texts, max_length=128):
    '''Ids, the mask of what is no padding, and the mask of special tokens, each (B, T).'''
    settings = {"padding": True, "truncation": True, "max_length": max_length}
    return tokenizer(texts, **settings, return_special_tokens_mask=True, return_tensors="pt")


print({name: tuple(tensor.shape) for name, tensor in encode(train_texts[:8]).items()})
""",
    REC,
)
md(
    "wordpiece-all-text",
    r"""
### Deeper: Every word of the news, cut in both ways

Is your greedy cutting the tokenizer's? Before it cuts words into pieces, the tokenizer makes letters small, takes accents off, and splits text at spaces and punctuation. We let it do this, collect the distinct words of some news, and cut each in both ways.
""",
)
code(
    "wordpiece-all",
    r"""
normalizer, splitter = tokenizer.backend_tokenizer.normalizer, tokenizer.backend_tokenizer.pre_tokenizer


def words_of(text):
    return [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]

""",
)
code(
    "wordpiece-count",
    r"""
frequency = Counter(word for text in train_texts[:1000] + test_texts for word in words_of(text))
pieces_of = {word: wordpiece(word, vocabulary) for word in frequency}
differing = [word for word, pieces in pieces_of.items() if pieces != tokenizer.tokenize(word)]
whole = [word for word, pieces in pieces_of.items() if len(pieces) == 1]
running = sum(frequency[word] for word in whole) / frequency.total()
print(f"{len(frequency):,} distinct words, {len(differing)} of them cut differently")
print(f"{running:.0%} of the running words are one piece, and {len(whole) / len(frequency):.0%} of the distinct ones")
print("the first merges of the news:", learn_pieces(frequency, steps=8))
""",
)
code(
    "news-pieces-claim",
    r"""
assert not differing
""",
    CLAIM,
)
md(
    "pieces-read",
    r"""
No word is cut differently. Most running words, commas among them, need no cutting; of the distinct words fewer are whole, since the rare ones are many. The first merges of the news are beginnings and endings that are frequent anywhere in English.
""",
)
md(
    "model-named",
    r"""
## Vectors that know their sentence

### The model that you load

Know what you load. The course's default model has BERT's shape and BERT's vocabulary, and a history of its own:

1. Microsoft trained a model of BERT base's size on hidden words of several kinds ([UniLM v2](https://arxiv.org/abs/2002.12804)), and then a narrow one of 12 layers to imitate the attention of its last layer and the products of its value vectors: [MiniLM](https://arxiv.org/abs/2002.10957) ([model card](https://huggingface.co/microsoft/MiniLM-L12-H384-uncased)).
2. Every second layer of that was taken out; six remained ([model card](https://huggingface.co/nreimers/MiniLM-L6-H384-uncased)).
3. What remained was trained on a billion pairs of sentences to give related ones similar vectors ([all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2)).

So it never filled a blank itself. What you see in its vectors below may come from any of the three steps; nothing of it shows what blanks alone teach. It has no head for blanks either: you will train one. With `TORCHNLP_MODEL=bert-base-uncased` the same lesson runs on BERT itself.

### Three vectors, summed

`[CLS]` opens each input, `[SEP]` closes each text. A second text gets the **segment** 1: this is how one model takes two sentences, or a question and a text. For the token at place $t$, with $w_t$ its piece and $g_t$ its segment, the blocks get

$$x_t = \operatorname{LayerNorm}(\text{piece}[w_t] + \text{position}[t] + \text{segment}[g_t])$$
""",
)
code(
    "embeddings",
    r"""
body = BertModel.from_pretrained(model_name, use_safetensors=True).to(device).eval()
pair = tokenizer("Who resigned?", "The minister resigned on Tuesday.", return_tensors="pt").to(device)
tables, T = body.embeddings, pair["input_ids"].shape[1]
with torch.inference_mode():
    piece = tables.word_embeddings(pair["input_ids"])  # (1, T, D)
    position = tables.position_embeddings(torch.arange(T, device=device))  # (T, D)
    segment = tables.token_type_embeddings(pair["token_type_ids"])  # (1, T, D)
    embedded_by_hand = tables.LayerNorm(piece + position + segment)  # (1, T, D)
    states = body(**pair, output_hidden_states=True).hidden_states  # L + 1 tensors (1, T, D)

pieces, segments = tokenizer.convert_ids_to_tokens(pair["input_ids"][0]), pair["token_type_ids"][0].tolist()
print("  ".join(f"{piece}/{t}/{number}" for t, (piece, number) in enumerate(zip(pieces, segments, strict=True))))
print(f"{len(states)} times the shape {tuple(states[0].shape)}: before the first block, and after each")
""",
)
md(
    "embeddings-read",
    r"""
Each token is printed as piece/position/segment. The two *resigned* differ in position and segment, in nothing else. What comes out of the blocks has the shape of what went in, a hidden state for each token.

### One word, two senses

*court* is where judges sit, and where tennis is played. A table of word vectors has one vector for both. What does this model have? Take five such words, two sentences for each sense, and compare the word's hidden states by their **cosine similarity**: the product of two vectors, each scaled to length 1. It is 1 for the same direction.

But sentences about law and sentences about tennis differ in all words. Perhaps *every* token's vector takes on the topic, and the word itself has nothing to do with it. So there are two controls in the same sentences: the word *the*, and the full stop.

For each token we take the mean similarity of two sentences with the same sense, minus that of two with different senses: before the first block, half-way up, and after the last.

**Predict:** where is this gap near zero? And after the last block: is it larger for *court* than for *the* beside it?
""",
)
code(
    "senses",
    r"""
SENSES = '''
court: The court found the minister guilty of theft. | A court in Lagos ordered the firm to pay.
court: She left the court after losing the final set. | The players returned to the court after the rain.
bank: The bank raised its interest rates. | He borrowed the money from the bank.
bank: They walked along the bank of the river. | The boat was tied to the muddy bank.
match: The team lost the match in extra time. | Rain delayed the match on Sunday.
match: He lit the candle with a match. | She struck a match in the dark.
strike: Workers began the strike over pay. | The union called off the strike.
strike: The air strike destroyed a bridge. | A missile strike killed the three soldiers.
plant: The plant builds engines for cars. | Six hundred workers at the plant lost their jobs.
plant: The plant needs water and light. | A rare plant flowers in the desert.
'''
senses = defaultdict(list)  # for each word two sentences with one sense, then two with the other
for line in SENSES.strip().splitlines():
    word, _, sentences = line.partition(": ")
    senses[word] += sentences.split(" | ")


@torch.inference_mode()
def word_vectors(word, sentences):
    '''The hidden states of a word in B sentences, before the first block and after each: (L + 1, B, D).'''
    batch = tokenizer(sentences, padding=True, return_tensors="pt").to(device)
    places = (batch["input_ids"] == vocabulary[word]).int().argmax(dim=1)  # (B,), the first if there are several
    states = torch.stack(body(**batch, output_hidden_states=True).hidden_states)  # (L + 1, B, T, D)
    return states[:, torch.arange(len(sentences)), places]
""",
)
code(
    "senses-table",
    r"""
def gap_of(vectors):  # (L + 1, 4, D)
    '''The mean cosine similarity within a sense, minus that between the two senses: (L + 1,).'''
    vectors = F.normalize(vectors.float(), dim=-1)
    cosine = vectors @ vectors.transpose(1, 2)  # (L + 1, 4, 4)
    return (cosine[:, 0, 1] + cosine[:, 2, 3]) / 2 - cosine[:, :2, 2:].mean(dim=(1, 2))


tokens = ("the word", "the", ".")
gaps = {
    (word, token): gap_of(word_vectors(word if token == "the word" else token, sentences))
    for word, sentences in senses.items()
    for token in tokens
}
mean_gap = {token: sum(gaps[word, token] for word in senses) / len(senses) for token in tokens}
half = body.config.num_hidden_layers // 2
rows = {word: gaps[word, "the word"] for word in senses} | {f"mean of {token!r}": mean_gap[token] for token in tokens}
print(f"same sense minus other sense   before the blocks   after block {half}   after the last")
for name, row in rows.items():
    print(f"{name:30} {row[0].item():17.2f} {row[half].item():15.2f} {row[-1].item():16.2f}")
""",
    IGN,
)
code(
    "senses-claim",
    r"""
torch.testing.assert_close(embedded_by_hand, states[0])
word_gap, control_gap = mean_gap["the word"], torch.maximum(mean_gap["the"], mean_gap["."])
assert all(abs(gaps[word, "the word"][0]) < 0.05 for word in senses)
assert all(gaps[word, "the word"][half] > 0.03 for word in senses)
assert word_gap[half] > control_gap[half] + 0.03
""",
    CLAIM,
)
# SENSES-DONE. Of the table: (a) before the blocks the gap is near 0 for each word: the same row of the table, only the
# position differs; (b) after the last block each word's gap, from .. to ..; (c) the controls: the gap of 'the' and '.'
# in the same sentences. If it is much smaller: the word's vector takes on its own sense, not the topic alone. If it is
# about as large: honest sentence that a good part of the gap, or all, is the topic, which every token takes on (likely
# with this model, step 3 of its history: it was trained to give sentences vectors), so that the table does not show
# that the word's sense is in the vector, only that the sentence is. Then a claim on the controls may be added
# (mean gap of the words against the mean gap of 'the') if margins.py finds four spreads of room in both formats.
md(
    "senses-read",
    r"""
Before the blocks the gap is near zero: the two *court*s are the same row of the table, and only their positions differ. Half-way up it is 0.09 for the mean of the five words, and -0.02 and 0.02 for the two controls in the same sentences: what a word takes on there is more than a topic that all tokens of its sentence share. After the last block the controls have caught up, 0.11 and 0.14 against 0.11. There the gap of a word shows nothing of its sense: every token has taken on the topic of its sentence. (The third step of the model's history asked for one vector of a whole sentence. That may be the reason; nothing here tests it.) Without the controls, the last column would have passed for a proof.
""",
)
md(
    "contextual",
    r"""
A vector that depends on the sentence is called **contextual**; *Deeper* below shows it block by block. Five words chosen by hand are an illustration and no proof; exercise 5 asks more of them.
""",
)
md(
    "senses-layers-text",
    r"""
### Deeper: The senses, block by block

Where do they part? Thin lines: each word's gap. Thick line: their mean. Dashed and dotted: the mean gap of the two controls. Below, the cosine similarities of the four *court*s after the last block, two sentences of one sense and two of the other.
""",
)
code(
    "senses-layers",
    r"""
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for word in senses:
    ax.plot(gaps[word, "the word"].tolist(), color=COLOURS["blue"], linewidth=0.8, alpha=0.6)
styles = {"the word": ("o-", "blue"), "the": ("s--", "orange"), ".": ("^:", "orange")}
for token, (style, colour) in styles.items():
    ax.plot(mean_gap[token].tolist(), style, color=COLOURS[colour], label=f"mean of {token!r}")
ax.axhline(0, color="black", linewidth=0.8)
ax.set(xlabel="block (0: before the first)", ylabel="same sense minus other sense")
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
ALT{The gap between same and other sense against the block, with thin lines for the five words, a thick one for their mean,
and a dashed and a dotted one for the means of the two controls.}
torchnlp.show(fig, alt)
vectors = F.normalize(word_vectors("court", senses["court"])[-1].float(), dim=-1)  # (4, D)
for row in (vectors @ vectors.T).tolist():
    print("court:", *(f"{cosine:.2f}" for cosine in row))
""",
    IGN,
)
# SENSES-LAYERS-READ. At which block the word's line parts from the controls', if it does; and that the cosine between
# the senses of court stays far above 0 (the smallest number of the 4 x 4 table), so a cosine means little by itself:
# vectors of such models lie in a narrow cone (Ethayarajh 2019, https://arxiv.org/abs/1909.00512). Compare with another.
md(
    "senses-layers-read",
    r"""
The words part from their controls in the first block. The controls rise late, and most of all in the last block. The least of the cosine similarities between the two senses of *court* is 0.70, far above zero: a cosine means little by itself. In models of this kind the vectors of all tokens point in similar directions ([Ethayarajh 2019](https://arxiv.org/abs/1909.00512)), so compare it with another.
""",
)

# ------------------------------------------------------------------------------------------------------------- blanks

md(
    "masking",
    r"""
## Blanks: 15 %, and then 80, 10, 10

Of each text 15 % of the pieces are chosen, special tokens never. The loss counts the chosen places only. Of these,

- 80 % become `[MASK]`. They make the model use both sides, since the piece itself is gone.
- 10 % become a random piece. They teach that no input can be trusted: any piece may be wrong, so the hidden state of *every* place must hold what its neighbours say of it.
- 10 % stay as they are. They pull the other way: what is seen is mostly right, so the vector should hold the piece itself, too.

Why not `[MASK]` for all? Because no later text contains `[MASK]`: a model that works only where it sees one would be of no use. Since any place may be asked for, the model has to keep a good vector for each. Why only 15 %? Fewer would teach less per text, and more would leave less to guess from. The number is a choice and no law: [Wettig et al. (2023)](https://arxiv.org/abs/2202.08005) found that large models learn better with 40 %. ([Devlin et al.](https://arxiv.org/abs/1810.04805), section 3.1 and appendix A.1. Their program chose the 15 % rounded, at most 20 of 128 pieces, and fixed the blanks of ten copies of each text beforehand; ours are fresh each time.)
""",
)
code(
    "mask-tokens",
    r"""
def mask_tokens(input_ids, special_tokens_mask, generator=None):
    '''Choose pieces and hide them as BERT's pre-training does.

    Takes ids (B, T), and a mask (B, T) with 1 for [CLS], [SEP] and [PAD].
    Returns the ids to show (B, T), and the labels (B, T): the true id at chosen places, -100 elsewhere.
    '''

    def draw(probabilities):
        return torch.bernoulli(probabilities, generator=generator).bool()

    every = torch.ones(input_ids.shape)
    chosen = draw((0.15 * every).masked_fill(special_tokens_mask.bool(), 0.0))
    as_mask = chosen & draw(0.8 * every)
    as_random = chosen & draw(0.5 * every) & ~as_mask  # half of the other 20 %
    random_ids = torch.randint(len(tokenizer), input_ids.shape, generator=generator)
    shown = input_ids.masked_fill(as_mask, tokenizer.mask_token_id)
    return torch.where(as_random, random_ids, shown), input_ids.masked_fill(~chosen, -100)


def kind_of(true, seen):
    '''What was done to a chosen piece.'''
    return "[MASK]" if seen == tokenizer.mask_token_id else "kept" if seen == true else "replaced"
""",
    REC,
)
md(
    "mask-look-text",
    r"""
One text with all three kinds in view, cut to 24 pieces: original, shown, label.
""",
)
code(
    "mask-look",
    r"""
some = sorted((train_texts * math.ceil(1000 / len(train_texts)))[:1000], key=len)  # a small folder is repeated
texts = encode(some, max_length=24)
torchnlp.set_seed(SEED)
shown, labels = mask_tokens(texts["input_ids"], texts["special_tokens_mask"])

for rows in zip(texts["input_ids"].tolist(), shown.tolist(), labels.tolist(), strict=True):
    places = list(zip(*rows, strict=True))
    kinds = ["" if label == -100 else kind_of(true, seen) for true, seen, label in places]
    if {"[MASK]", "kept", "replaced"} <= {*kinds}:
        break
print("original       shown          label          kind")
for (true, seen, _), kind in zip(places, kinds, strict=True):
    true, seen = tokenizer.convert_ids_to_tokens([true, seen])
    print(f"{true:14} {seen:14} {true if kind else -100!s:14} {kind}".rstrip())
""",
)
md(
    "mask-look-read",
    r"""
Read the second column alone: this is what the model gets. It is not told which pieces were chosen; where a strange piece stands it must doubt it, and where the right one stands it must believe it. Only the places with a label enter the loss.

The library's name for this is `DataCollatorForLanguageModeling`; the next section shows that both do the same.
""",
)
md(
    "mask-library-text",
    r"""
### Deeper: The same by the library, and the shares

With the same random numbers the library should choose and hide the same pieces. And are the shares as they should be?
""",
)
code(
    "mask-library",
    r"""
torchnlp.set_seed(SEED)
collator, copy = DataCollatorForLanguageModeling(tokenizer), texts["input_ids"].clone()
shown_by_library, labels_by_library = collator.torch_mask_tokens(copy, texts["special_tokens_mask"])
""",
)
code(
    "mask-shares",
    r"""
is_text, chosen = texts["special_tokens_mask"] == 0, labels != -100
kinds = Counter(map(kind_of, labels[chosen].tolist(), shown[chosen].tolist()))
shares = {"chosen": (chosen.sum().item(), is_text.sum().item())}
shares |= {kind: (kinds[kind], kinds.total()) for kind in ("[MASK]", "replaced", "kept")}
print({name: f"{count / of:.1%} of {of:,}" for name, (count, of) in shares.items()})
""",
)
code(
    "mask-claim",
    r"""
torch.testing.assert_close(shown, shown_by_library)
torch.testing.assert_close(labels, labels_by_library)
for name, wanted in {"chosen": 0.15, "[MASK]": 0.8, "replaced": 0.1, "kept": 0.1}.items():
    count, of = shares[name]
    assert abs(count / of - wanted) < 6 * (wanted * (1 - wanted) / of) ** 0.5  # six standard deviations
""",
    CLAIM,
)
md(
    "pair-text",
    r"""
### Deeper: Pairs and truncation

A model has a fixed number of positions. What is longer must be cut, and of a pair you choose what may go:
""",
)
code(
    "truncation",
    r"""
for cut in ("longest_first", "only_second"):
    ids = tokenizer("Who was it that resigned?", "The minister resigned.", truncation=cut, max_length=11)["input_ids"]
    print(f"{cut:14}", *tokenizer.convert_ids_to_tokens(ids))
""",
)
md(
    "truncation-read",
    r"""
`longest_first` takes from whichever text is longer until both fit: here the question lost its end. `only_second` never touches the question. The special tokens always stay.
""",
)

# ---------------------------------------------------------------------------------------------------------- baselines

md(
    "counting",
    r"""
## Baselines: readers that only count

How far does one get without a network? Three readers count pieces in the training texts (at most 20,000 of them). The first always says the most frequent piece. The second looks at the piece to the left and says what follows it most often. The third looks at both neighbours, $l$ and $r$, and weighs each piece $w$ by

$$p(w \mid l, r) \propto p(w \mid l)\; p(r \mid w)$$

So the second and the third differ in one thing, the right side: this is your vote, done by a machine. (A pair that was never seen gets a little of its piece's own frequency, with a weight of `SMOOTHING` counts.)
""",
)
code(
    "counts",
    r"""
SMOOTHING = 125  # chosen on the validation split
after, before, counts = defaultdict(Counter), defaultdict(Counter), Counter()
for ids in tokenizer(train_texts[:20_000])["input_ids"]:
    counts.update(ids[1:-1])  # without [CLS] and [SEP]
    for left, piece, right in zip(ids[:-2], ids[1:-1], ids[2:], strict=True):
        after[left][piece] += 1
        before[right][piece] += 1
frequent = {piece for piece, _ in counts.most_common(50)}


def vector_of(counter):
    '''Counts of pieces as a vector (V,).'''
    vector = torch.zeros(len(tokenizer))
    vector[torch.tensor(list(counter), dtype=torch.long)] = torch.tensor(list(counter.values()), dtype=torch.float)
    return vector


totals = vector_of(counts)
frequencies = (totals + 0.1) / (totals + 0.1).sum()  # (V,), none of them zero
""",
    REC,
)
code(
    "counting-readers",
    r"""
def after_left(left, right=None, smoothing=SMOOTHING):
    '''Logits (V,) of the piece that follows another one.'''
    return ((vector_of(after[left]) + smoothing * frequencies) / (after[left].total() + smoothing)).log()


def between(left, right, smoothing=SMOOTHING):
    '''Logits (V,) of the piece between two others.'''
    fits = (vector_of(before[right]) + smoothing * frequencies[right]) / (totals + smoothing)
    return after_left(left, smoothing=smoothing) + fits.log()


def read_neighbours(logits_of, batch):
    '''Logits (N, V) for the N chosen places of a batch, from the pieces that are shown beside each.'''
    rows, places = batch.shown.tolist(), (batch.labels != -100).nonzero().tolist()
    logits = [logits_of(rows[row][place - 1], rows[row][place + 1]) for row, place in places]
    return torch.stack(logits).to(device) if logits else torch.zeros(0, len(tokenizer), device=device)


COUNTING = {
    "always the most frequent": partial(read_neighbours, lambda left, right: frequencies.log()),
    "left neighbour": partial(read_neighbours, after_left),
    "both neighbours": partial(read_neighbours, between),
}
""",
    REC,
)
md(
    "judging",
    r"""
All readers are judged on the same blanks, chosen once. **Masked accuracy** is the share of chosen places where the best guess is the piece that was there. One number hides much, so it is taken apart: by what was shown at the place, and the real blanks by what had stood there: one of the 50 most frequent pieces, another piece that begins a word (mostly a whole word), or the rest of a word.
""",
)
code(
    "blank",
    r"""
class Batch(NamedTuple):
    shown: torch.Tensor  # (B, T)
    labels: torch.Tensor  # (B, T)
    attention_mask: torch.Tensor  # (B, T)


class Blank(NamedTuple):
    seen: int  # the id that was shown at this place
    true: int
    guess: int
    probability: float
    left: list[int]  # what was shown before it
    right: list[int]


def blanked(texts, generator):
    '''Texts as a batch with fresh blanks.'''
    batch = encode(texts)
    shown, labels = mask_tokens(batch["input_ids"], batch["special_tokens_mask"], generator)
    return Batch(*(tensor.to(device) for tensor in (shown, labels, batch["attention_mask"])))
""",
    REC,
)
code(
    "read-blanks",
    r"""
def batches_of(texts, seed, least):
    '''Texts with blanks chosen once, in batches of like length; if there are few, they are read several times.'''
    texts = sorted(texts * math.ceil(least / len(texts)), key=len)
    generator = torch.Generator().manual_seed(seed)
    return [blanked(texts[start : start + 50], generator) for start in range(0, len(texts), 50)]


@torch.inference_mode()
def read_blanks(reader, batches):
    '''What a reader says about each chosen place of some batches, and its mean loss.'''
    found, loss = [], 0.0
    for batch in batches:
        logits, true = reader(batch).float(), batch.labels[batch.labels != -100]  # (N, V), (N,)
        loss += F.cross_entropy(logits, true, reduction="sum").item()
        best, guesses = logits.softmax(dim=1).max(dim=1)
        rows, lengths = batch.shown.tolist(), batch.attention_mask.sum(dim=1).tolist()
        places = (batch.labels != -100).nonzero().tolist()
        for (row, place), *said in zip(places, true.tolist(), guesses.tolist(), best.tolist(), strict=True):
            text = rows[row][: lengths[row]]
            found.append(Blank(text[place], *said, text[:place], text[place + 1 :]))
    return found, loss / len(found)
""",
    REC,
)
code(
    "parts",
    r"""
GROUPS = ("50 most frequent", "other first pieces", "rest of a word")


def group_of(piece):
    rest = tokenizer.convert_ids_to_tokens(piece).startswith("##")
    return GROUPS[2] if rest else GROUPS[0] if piece in frequent else GROUPS[1]


def parts_of(found):
    '''The chosen places by what was shown there, and the real blanks by the group of what had stood there.'''
    parts = {name: [] for name in ("all chosen", "[MASK]", "kept", "replaced", *GROUPS)}
    for blank in found:
        kind = kind_of(blank.true, blank.seen)
        for name in ("all chosen", kind, *([group_of(blank.true)] if kind == "[MASK]" else [])):
            parts[name].append(blank)
    return parts


def row_of(found, loss):
    '''One flat row: the loss, and the share of right guesses in each part.'''
    shares = {name: sum(x.guess == x.true for x in part) / max(1, len(part)) for name, part in parts_of(found).items()}
    return {"loss": loss} | shares
""",
    REC,
)
md(
    "counting-predict",
    r"""
**Predict:** how much does the right neighbour add? And for which group most?
""",
)
code(
    "counting-run",
    r"""
validation_batches, test_batches = batches_of(validation_texts, 321, least=100), batches_of(test_texts, 123, least=200)


def show_shares(name, found):
    '''Print the shares of right guesses: of real blanks, with its 95 % interval, by group, and of kept pieces.'''
    parts = parts_of(found)
    right = {part: sum(x.guess == x.true for x in blanks) for part, blanks in parts.items()}
    low, high = torchnlp.interval(right["[MASK]"], max(1, len(parts["[MASK]"])))
    columns = [f"{right[part] / max(1, len(parts[part])):9.2f}" for part in ("[MASK]", *GROUPS, "kept")]
    print(f"{name:26}", columns[0], f"({low:.2f} to {high:.2f})", *columns[1:])


counting = {name: read_blanks(reader, test_batches) for name, reader in COUNTING.items()}
validation_loss = {name: read_blanks(reader, validation_batches)[1] for name, reader in COUNTING.items()}
print(f"{len(counting['left neighbour'][0]):,} chosen places in the test texts")
print("                               blanks   95 % interval  frequent  other     rest      kept")
for name, (found, _) in counting.items():
    show_shares(name, found)
""",
    REC,
    IGN,
)
md(
    "counting-read",
    r"""
Of 100 real blanks the most frequent piece restores 3, the left neighbour 7 and both neighbours 12. The last two differ in the right side alone, and their intervals lie apart: here is the first number for *bidirectional*. All three restore pieces such as commas and *the*; of the other first pieces, the words of content, hardly any.
""",
)

# ------------------------------------------------------------------------------------------------------------ the head

md(
    "head",
    r"""
## The head, and a fair start

Over each blank stands the head of the drawing: a dense layer, GELU and a LayerNorm turn the hidden state; then comes the product with all word vectors, which you did by hand; and a bias for each piece. It is new here. Three bodies get the same new head:

- *loaded*: word vectors and blocks of the model above;
- *random layers*: its word vectors, and blocks that were never trained;
- *all random*: nothing but the shape.

With the same seed, whatever is new begins with the same weights in all three. So the first two differ in the trained blocks only, the last two in the word vectors (and in that these are trained, too, where they are new).

Some of what follows is not BERT but a trick that makes a short training possible. This box says which:

| | BERT | this run |
|---|---|---|
| blocks | all 12 | the loaded ones without the last two: a third less to compute |
| word vectors | trained | stay as they were loaded |
| bias of the head | begins at 0 | begins at the logarithm of each piece's frequency |
| dense layer of the head | begins with random weights | begins as the identity: at first the head reads each vector nearly as it is |
| dropout | 0.1 | none, in so short a training |

*Deeper: What is BERT, what is a trick?* takes the first four away, one at a time.
""",
)
code(
    "fresh",
    r"""
BODIES = {"loaded": ("embeddings", "encoder"), "random layers": ("embeddings",), "all random": ()}


def fresh(body, seed, without=None):
    '''A model with a new head. With the same seed, all that is new begins with the same weights.'''
    torchnlp.set_seed(seed)
    config = BertConfig.from_pretrained(model_name, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config.num_hidden_layers -= 0 if without == "fewer blocks" else 2
    model = BertForMaskedLM(config)
    model.set_attn_implementation(torchnlp.attention_implementation())
    loaded = BertModel.from_pretrained(model_name, use_safetensors=True).state_dict()
    loaded = {name: weight for name, weight in loaded.items() if name.startswith(BODIES[body])}
    model.bert.load_state_dict(loaded, strict=False)
    if without != "bias from frequencies":
        with torch.no_grad():
            model.cls.predictions.decoder.bias.copy_(frequencies.log())
    if without != "identity in the head":
        nn.init.eye_(model.cls.predictions.transform.dense.weight)
    model.bert.embeddings.requires_grad_(body == "all random" or without == "frozen word vectors")
    return model.to(device).eval()
""",
    REC,
)
md(
    "loss-text",
    r"""
The head is expensive: a logit for each of $V$ pieces. But the loss needs logits at the chosen places only, so pick their hidden states first. The library computes them everywhere, and should come to the same loss.
""",
)
code(
    "masked-loss",
    r"""
def masked_logits(model, batch):
    '''Logits (N, V) for the N chosen places of a batch.'''
    with torchnlp.autocast():
        hidden = model.bert(batch.shown, attention_mask=batch.attention_mask).last_hidden_state  # (B, T, D)
    return model.cls(hidden[batch.labels != -100].float())  # (N, D) -> (N, V)


def masked_loss(model, batch):
    true = batch.labels[batch.labels != -100]  # (N,)
    with torchnlp.autocast():
        logits = masked_logits(model, batch)
        return F.cross_entropy(logits, true) if len(true) else logits.sum()  # in very short texts N may be 0
""",
    REC,
)
code(
    "untrained",
    r"""
model, other = fresh("loaded", SEED), fresh("random layers", SEED)
weights, other_weights = model.state_dict(), other.state_dict()
tied = model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
few = Batch(*(tensor[:8] for tensor in test_batches[0]))
with torch.no_grad():
    loss_picked = F.cross_entropy(masked_logits(model, few), few.labels[few.labels != -100])
    loss_everywhere = model(input_ids=few.shown, attention_mask=few.attention_mask, labels=few.labels).loss

untrained, untrained_loss = read_blanks(partial(masked_logits, model), test_batches)
_, loss_frequency = counting["always the most frequent"]
print(f"loss {untrained_loss:.2f}; most frequent piece {loss_frequency:.2f}; ln V {math.log(len(tokenizer)):.2f}")
show_shares("loaded body, new head", untrained)
""",
    IGN,
)
md(
    "untrained-read",
    r"""
Without training this head restores 2 of 100 blanks, and 0.81 of the kept pieces: at first it reads each vector nearly as it is, and a vector that has gone through four blocks still tells which piece it began as. What it does not say is which piece *should* stand there. Its loss is larger than that of the reader who always says the most frequent piece.
""",
)
md(
    "loss-claim-text",
    r"""
### Deeper: Is the start fair?

The loaded body and the one with random layers should begin with the same head and the same word vectors, and differ in the blocks only. And the loss at the chosen places must be the library's.
""",
)
code(
    "loss-claim",
    r"""
assert all(torch.equal(weight, other_weights[name]) for name, weight in weights.items() if "encoder" not in name)
assert any(not torch.equal(weight, other_weights[name]) for name, weight in weights.items() if "encoder" in name)
assert tied
torch.testing.assert_close(loss_picked, loss_everywhere, rtol=0, atol=0.05)  # the body may be in bfloat16
assert not is_news or loss_frequency < math.log(len(tokenizer)) - 1
""",
    CLAIM,
)


# ------------------------------------------------------------------------------------------------------------ training

md(
    "train-text",
    r"""
## Training on blanks

A step is what you know, with fresh blanks each time: forward pass, cross-entropy at the blanks, backward pass, update. The learning rate climbs, then falls. Along the way the loss on the validation split is computed.
""",
)
code(
    "train",
    r"""
def train(model, steps, seed, rate, looks=1):
    '''Train; return the loss of each step, the validation loss after some of them, and how many tokens were read.'''
    optimizer, schedule = torchnlp.prepare_optimizer(model, rate, steps)
    groups = torchnlp.LengthGroupedBatches(map(len, train_texts), batch_size=8, seed=seed)
    generator, losses, held_out, tokens = torch.Generator().manual_seed(seed), [], {}, 0
    while len(losses) < steps:  # one pass through the texts after another
        for numbers in list(groups)[: steps - len(losses)]:
            batch = blanked([train_texts[i] for i in numbers], generator)
            loss = masked_loss(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
            tokens += batch.attention_mask.sum()
            if len(losses) % max(1, steps // looks) == 0:
                held_out[len(losses)] = read_blanks(partial(masked_logits, model), validation_batches)[1]
    return [loss.item() for loss in losses], held_out, int(tokens)
""",
    REC,
)
code(
    "run",
    r"""
class Run(NamedTuple):
    model: nn.Module
    losses: list[float]
    held_out: dict[int, float]
    row: dict


def run(body, steps, seed, rate, without=None, looks=1):
    '''Train one model on blanks; its row holds the loss on the validation split.'''
    model, begin = fresh(body, seed, without), time.perf_counter()
    losses, held_out, tokens = train(model, steps, seed, rate, looks)
    row = {"body": body, "steps": steps, "seed": seed, "rate": rate, "without": without, "tokens": tokens}
    row |= {"seconds": time.perf_counter() - begin, "validation loss": [*held_out.values()][-1]}
    return Run(model, losses, held_out, row)
""",
    REC,
)

md(
    "tricks-text",
    r"""
### Deeper: What is BERT, what is a trick?

Four tricks made the short training possible. Each is taken away alone, with the same batches and blanks, and judged by the loss on the validation split after a short training of 30 steps, with three seeds; recorded. Two learning rates were tried, for the loaded body and for one that is all random.
""",
)
code(
    "tricks",
    r"""
def tricks(without, bodies, rates, steps, seeds):
    '''The loaded body without each trick, at the last rate; then each body with each rate: a list of rows.'''
    settings = [("loaded", rates[-1], name) for name in without]
    settings += [(body, rate, None) for body in bodies for rate in rates]
    return [run(body, steps, seed, rate, name).row for seed in seeds for body, rate, name in settings]
""",
    REC,
)
code(
    "tricks-show",
    r"""
tried = torchnlp.recorded("tricks")
print(tried)
print("                                                    validation loss, mean (least to most)")
of_setting = defaultdict(list)
for row in tried.rows:
    of_setting[row["body"], row["rate"], row["without"]].append(row["validation loss"])
for (body, rate, without), losses in of_setting.items():
    name = f"without: {without}" if without else ""
    print(f"{body:14} rate {rate:.1e}  {name:31} {sum(losses) / 3:.2f} ({min(losses):.2f} to {max(losses):.2f})")
for weight in (5, 25, 125):
    reader = partial(read_neighbours, partial(between, smoothing=weight))
    print(f"both neighbours, SMOOTHING {weight:3}: {read_blanks(reader, validation_batches)[1]:.2f}")
""",
    IGN,
)
md(
    "tricks-read",
    r"""
Three of the four are worth their place: without the identity in the head the loss is 8.06 instead of 7.21, with all blocks 7.71, without the preset bias 7.40, each outside the range of the seeds with all tricks. The frozen word vectors, 7.26 against 7.21, make no difference that three seeds could show; they save time. The lower rate did better, for the loaded body (7.14 against 7.21) and for the random one (7.56 against 7.61), so all bodies get it below. Of the three weights of the smoothing the largest is best, and the readers above use it.
""",
)
md(
    "live-text",
    r"""
### Deeper: What is recorded below

Each body with the rate that the section above chose for it, on the same test blanks as the readers that count.
""",
)
code(
    "blanks",
    r"""
RATES = dict.fromkeys(BODIES, 4e-4)  # chosen on the validation split


def blanks(bodies, steps, seeds):
    '''The counting readers; then each body with each of its numbers of steps and each seed: a list of rows.'''
    rows = [{"body": name, "steps": 0, "tokens": 0} | row_of(*said) for name, said in counting.items()]
    for body, some, seed in [(name, some, seed) for seed in seeds for name in bodies for some in steps[name]]:
        trained = run(body, some, seed, RATES[body])
        rows.append(trained.row | row_of(*read_blanks(partial(masked_logits, trained.model), test_batches)))
    return rows
""",
    REC,
)
md(
    "train-live-text",
    r"""
### The run

Now train the loaded body with its new head. **Predict:** of 100 real blanks, how many will it restore? More than the reader of both neighbours?
""",
)
code(
    "train-live",
    r"""
live = run("loaded", STEPS, SEED, rate=4e-4, looks=8)
print(f"{live.row['tokens']:,} tokens read in {live.row['seconds']:.0f} s")
print(f"loss on the validation split {live.row['validation loss']:.2f}; the readers that count:", end=" ")
print({name: round(loss, 2) for name, loss in validation_loss.items()})
fig, ax = plt.subplots(figsize=(8.4, 3.6), layout="constrained")
ax.plot(live.losses, color=COLOURS["blue"], linewidth=0.5, alpha=0.6, label="training, each step")
ax.plot(live.held_out.keys(), live.held_out.values(), "o-", color=COLOURS["orange"], label="validation split")
for (name, loss), style in zip(validation_loss.items(), (":", "-.", "--"), strict=True):
    ax.axhline(loss, color="black", linestyle=style, linewidth=1, label=name)
ax.set(xlabel="step", ylabel="loss at the chosen places")
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
ALT{The training loss of each step, and the loss on the validation split at eight points, both falling. Three horizontal
lines show the losses of the three readers that only count, on the same split.}
torchnlp.show(fig, alt)
""",
    IGN,
)
md(
    "train-read",
    r"""
About 59,000 tokens later the loss on the validation split is 6.46, below those of all readers that count; the best of them has 7.31. It still falls when the training ends. The training loss jumps about, because each step has blanks of its own, about sixty of them.
""",
)

# --------------------------------------------------------------------------------------------------- what buys how much

md(
    "controls",
    r"""
## What did you train, and what was there before?

The model restores blanks. Is that because of the minute of training, because of the loaded blocks, or because of the loaded word vectors? Each of these alone is missing in one of the other rows. The trained controls take as long as your own run, with three seeds each, so they were **recorded**; the line above the table says when and on what.

**Predict:** how many real blanks does the body with random layers restore after the same training? And the one that is all random?
""",
)
code(
    "controls-table",
    r"""
restored, loss = read_blanks(partial(masked_logits, live.model), test_batches)
trained = row_of(restored, loss)
records = {1_000: torchnlp.recorded("blanks_sample"), 120_000: torchnlp.recorded("blanks_ag")}
record = records.get(len(train_dataset)) if is_news else None  # none for texts of your own
print(record or "These texts were not recorded.")
print("\n                               blanks   95 % interval  frequent  other     rest      kept")
for name, (found, _) in counting.items():
    show_shares(name, found)
show_shares("loaded, before training", untrained)
show_shares("loaded, trained by you", restored)

print("recorded, mean of the seeds    blanks   least to most")
spread = {}
for body in BODIES:
    rows = [row for row in record.rows if (row["body"], row["steps"]) == (body, STEPS)] if record else []
    if not rows:
        continue  # not recorded on these texts
    columns = [[row[part] for row in rows] for part in ("[MASK]", *GROUPS, "kept")]
    means = [f"{sum(column) / len(column):9.2f}" for column in columns]
    print(f"{body:26}", means[0], f"({min(columns[0]):.2f} to {max(columns[0]):.2f})", *means[1:])
    spread[body] = columns[0]
""",
    IGN,
)
code(
    "controls-claim",
    r"""
if is_news:
    most_frequent, left, both = (row_of(*counting[name]) for name in COUNTING)
    assert left["[MASK]"] < both["[MASK]"]
    assert trained["loss"] < most_frequent["loss"] - 0.5
    assert trained["[MASK]"] > most_frequent["[MASK]"] + 0.04
    assert trained["kept"] > trained["[MASK]"]
    assert trained[GROUPS[0]] > trained[GROUPS[1]] + 0.15
if record:
    assert min(spread["loaded"]) - 0.04 <= trained["[MASK]"] <= max(spread["loaded"]) + 0.04
    assert min(spread["loaded"]) > max(spread.get("random layers", [0.0])) + 0.04  # not recorded on AG News
""",
    CLAIM,
)
md(
    "controls-read",
    r"""
Read the table from the right.

- *Kept pieces flatter.* All the networks find most of what they can see, 0.89 of it even with random layers. If you count all chosen places together, such copies are counted as restored. The honest column is the first, real blanks only.
- *Training:* from 0.02 of the blanks to 0.11.
- *The loaded blocks:* with random layers, and word vectors, head, batches and blanks all the same, it is 0.04, hardly more than always the most frequent piece. In so short a training the trained blocks make the difference.
- *The loaded word vectors* alone buy next to nothing at blanks: 0.04 against 0.03. At kept pieces they do: 0.89 against 0.51.
- *Against counting:* both neighbours restore 0.12, your model 0.11; the intervals overlap. It is not better at exact guesses, and worse at the rest of a word, which neighbours betray. But its loss is lower than theirs: it gives the true piece more probability where it does not win.
- *By kind:* it restores a third of the 50 most frequent pieces, and 1 of 100 of the other first pieces.

So what you trained in a minute is mostly a way to ask the loaded body what it has known before; and that came from more than blanks, as its history says.
""",
)

md(
    "tokens-text",
    r"""
## What tokens buy

You read about 59,000 tokens. BERT read 42.6 billion (a million steps of 256 texts, nine tenths of them of 128 tokens and the rest of 512; appendix A.2). What lies between? Recorded on AG News: the loaded body, trained for a quarter of your steps, for as many, and for four times as many.

The star is BERT base. The authors give its perplexity at blanks of their own texts, 3.99 (table 6), and the loss is its logarithm. Their text is not ours, so the star says where the road leads, and no more.

**Predict:** four times the tokens, how much less loss?
""",
)
code(
    "tokens-curve",
    r"""
bert_tokens, bert_loss = 900_000 * 256 * 128 + 100_000 * 256 * 512, math.log(3.99)
long = torchnlp.recorded("blanks_ag")
print(long, f"\nBERT base: {bert_tokens / 1e9:.1f} billion tokens, loss {bert_loss:.2f}")
fig, ax = plt.subplots(figsize=(8.4, 4), layout="constrained")
points, curve = [], {}
for steps in sorted({row["steps"] for row in long.rows if row["body"] == "loaded"}):
    rows = [row for row in long.rows if (row["body"], row["steps"]) == ("loaded", steps)]
    tokens, losses, shares = ([row[key] for row in rows] for key in ("tokens", "loss", "[MASK]"))
    points.append((sum(tokens) / len(rows), sum(losses) / len(rows)))
    curve[steps] = losses
    print(f"{points[-1][0]:7,.0f} tokens: loss {points[-1][1]:.2f} ({min(losses):.2f} to {max(losses):.2f}),", end=" ")
    print(f"blanks restored {sum(shares) / len(rows):.2f} ({min(shares):.2f} to {max(shares):.2f})")
ax.plot(*zip(*points, strict=True), "o-", color=COLOURS["blue"], label="loaded body")
for name, style in zip(COUNTING, (":", "-.", "--"), strict=True):
    rows = [row for row in long.rows if row["body"] == name]
    ax.axhline(rows[0]["loss"], color="black", linewidth=1, linestyle=style, label=name)
    print(f"{name:24} loss {rows[0]['loss']:.2f}, blanks restored {rows[0]['[MASK]']:.2f}")
ax.plot(bert_tokens, bert_loss, "k*", markersize=14, label="BERT base, on its own text")
ax.set(xscale="log", xlabel="tokens read in training on blanks", ylabel="loss at the chosen places", ylim=(0, None))
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
torchnlp.show(fig, "Loss against tokens, on a logarithmic axis: a short line far left, three levels, a star far right.")
""",
    IGN,
)
code(
    "tokens-claim",
    r"""
for fewer, more in pairwise(curve.values()):
    assert max(more) < min(fewer)
""",
    CLAIM,
)
md(
    "tokens-read",
    r"""
Four times the tokens take the loss from 6.51 to 5.56, and four times again to 4.84, in each of the seeds; the second step is the smaller one. Of the blanks 0.08, then 0.16, then 0.24 are restored. At about 205,000 tokens the loss is as low as that of both neighbours (4.89), which were counted in 20,000 texts; in exact guesses counting is still ahead, with 0.31. (The right side makes 0.31 of 0.18 there, for the readers that count.) With your number of tokens, 0.16 are restored on AG News and 0.11 on the course's own news: some texts are easier than others, so only numbers on the same blanks can be compared.

From the last point to the star it is another 208,000 times as many tokens. Do not draw the line there: BERT base is another and larger model, and its text is another one. What the figure shows is that we stand at the very beginning, where even counting is hard to beat.
""",
)

# --------------------------------------------------------------------------------------------------------------- errors

md(
    "filled",
    r"""
## Three errors, read closely, and three blanks filled well

Of the real blanks that the model restored, for each group the surest; and of its wrong guesses, the surest, too. You see up to seven pieces on either side; `[MASK]` among them is another blank.
""",
)
code(
    "errors",
    r"""
def show_blank(blank):
    true, guess = tokenizer.convert_ids_to_tokens([blank.true, blank.guess])
    left, right = tokenizer.decode(blank.left[-7:]), tokenizer.decode(blank.right[:7])
    print(f"    ... {left} ____ {right} ...\n        it was {true!r}, the guess {guess!r} with {blank.probability:.2f}")


for group in GROUPS:
    for verdict, is_right in (("right", True), ("wrong", False)):
        cases = [blank for blank in parts_of(restored)[group] if (blank.guess == blank.true) == is_right]
        print(f"{group}, {verdict}: {len(cases)}")
        for blank in sorted(cases, key=lambda blank: blank.probability)[-1:]:
            show_blank(blank)
""",
    IGN,
)
md(
    "errors-read",
    r"""
The surest right guess is a full stop at the end of a text, where the right side says that nothing follows. *million* stands before *pounds*. The surest wrong guesses are full stops as well, and each has another blank within two places: there the model sees less than you would need, and bets on what is frequent. Of the words of content it restores almost none, and you would not know most of them either: no text says which number, name or verb stood there. Such a blank teaches by the probability it gives to all that might fit, not by a right guess.
""",
)
md(
    "repeat-text",
    r"""
### Why it says the same piece again and again

Ask such a model for many blanks, and the same few pieces come back. Has it learned that they stand everywhere? For each of the five pieces that it guesses most: how often is it the guess, what probability does it get on the mean over all blanks, and how often did it really stand there?

**Predict:** which two of the three numbers are nearly equal?
""",
)
code(
    "repeat",
    r"""
at_masks, total = parts_of(restored)["[MASK]"], torch.zeros(len(tokenizer), device=device)
with torch.inference_mode():
    for batch in test_batches:
        is_blank = batch.shown[batch.labels != -100] == tokenizer.mask_token_id  # (N,)
        total = total + masked_logits(live.model, batch)[is_blank].softmax(dim=1).sum(dim=0)  # (V,)
guessed, stood = Counter(blank.guess for blank in at_masks), Counter(blank.true for blank in at_masks)
given = (total / len(at_masks)).tolist()
print("piece       of the guesses   mean probability   of the hidden pieces")
five = [piece for piece, _ in guessed.most_common(5)]
for piece in five:
    of_guesses, of_hidden = guessed[piece] / len(at_masks), stood[piece] / len(at_masks)
    print(f"{tokenizer.convert_ids_to_tokens(piece):10} {of_guesses:15.3f} {given[piece]:18.3f} {of_hidden:22.3f}")
""",
    IGN,
)
md(
    "repeat-read",
    r"""
The last two. *the* gets a mean probability of 0.045 and stood at 0.033 of the blanks, but it is 0.245 of the guesses. So the model does not believe that *the* stands everywhere: it spreads its probability nearly as the pieces occur. A guess, however, takes only the piece with the largest probability. Where nothing is sure, that is a frequent piece, and each time the same one. If you draw from the probabilities instead, as in lesson 2, the pieces come as often as the third column of numbers says, up to what the model gets wrong.
""",
)
md(
    "copy-text",
    r"""
### Deeper: Does it copy?

There is another way to repeat oneself: to say what stands next door. Ask for the blank in *Oil ▢ rose on Monday*. Does the word that you can see pull the guess towards itself? Replace it, and look whether the guess goes along: a row is the word that stands there, a column the probability of a word at the blank. If the model copies, the diagonal is large.
""",
)
code(
    "copy",
    r"""
goods = ["oil", "gold", "sugar", "coffee", "rice"]


@torch.inference_mode()
def at_blank(model, sentences):
    '''The probabilities (B, V) of all pieces at the one blank of each sentence.'''
    batch = tokenizer(sentences, padding=True, return_tensors="pt").to(device)
    hidden = model.bert(**batch).last_hidden_state  # (B, T, D)
    return model.cls(hidden[batch["input_ids"] == tokenizer.mask_token_id]).float().softmax(dim=1)


probabilities = at_blank(live.model, [f"{word} [MASK] rose on Monday." for word in goods])
copies = probabilities[:, [vocabulary[word] for word in goods]]  # (5, 5)
own, others = copies.diagonal().mean().item(), (copies.sum() - copies.diagonal().sum()).item() / 20
print("the text says   " + "".join(f"{word:>8}" for word in goods) + "   three best guesses")
for word, row, best in zip(goods, copies.tolist(), probabilities.topk(3).indices.tolist(), strict=True):
    print(f"{word:15} " + "".join(f"{p:8.4f}" for p in row), "  " + ", ".join(tokenizer.convert_ids_to_tokens(best)))
print(f"\nthe word that stands there {own:.4f}, another of the five {others:.4f}")
""",
    IGN,
)
code(
    "copy-count",
    r"""
words_only = [blank for blank in at_masks if group_of(blank.true) == GROUPS[1]]
elsewhere = [blank for blank in words_only if blank.true in blank.left + blank.right]
wrongly = [blank for blank in words_only if blank.guess != blank.true and group_of(blank.guess) == GROUPS[1]]
repeated = [blank for blank in wrongly if blank.guess in blank.left + blank.right]
print(f"{len(elsewhere)} of {len(words_only)} hidden words stand elsewhere in their text;")
print(f"{len(repeated)} of {len(wrongly)} wrong guesses of a word do")
""",
    IGN,
)
md(
    "copy-read",
    r"""
On the mean the word that stands there gets more than the others, 0.0021 against 0.0009, but only in three rows of five, and all of it is next to nothing. To copy would pay sometimes: one in eight hidden words stands elsewhere in its text. Of the wrong guesses of a word only 8 of 190 do. This model copies what it sees at the place itself, as the column *kept* says, and hardly ever from next door.
""",
)

md(
    "vote-text",
    r"""
### Deeper: The model votes, too

The blanks with which the lesson began, without and with their right side. What does your model say?
""",
)
code(
    "vote",
    r"""
votes = {
    "The [MASK]": "The [MASK] minister resigned on Tuesday.",
    "Rain stopped the second [MASK]": "Rain stopped the second [MASK] of the tennis match.",
    "The company will cut 200 [MASK]": "The company will cut 200 [MASK] by the end of May.",
}
for question in [text for pair in votes.items() for text in pair]:
    found, ids = at_blank(live.model, [question])[0].topk(3)
    guesses = zip(tokenizer.convert_ids_to_tokens(ids.tolist()), found.tolist(), strict=True)
    print(f"{question:54}", ", ".join(f"{guess} {p:.2f}" for guess, p in guesses))
""",
    IGN,
)
md(
    "vote-read",
    r"""
Your class is better. *minister* on the right brings *chief* to the top and *tennis* changes little; after 200 it expects an amount, with or without the rest of the sentence. All probabilities are small: this model has learned which kind of piece fits, and seldom which one.
""",
)

# ---------------------------------------------------------------------------------------------------------------- heads

md(
    "heads-text",
    r"""
## A head ablated, not admired

Look through the maps of a model like this, and you find heads that are easy to like: one where each token looks at the token before it, others that look at `[CLS]` most of the time. [Clark et al. (2019)](https://arxiv.org/abs/1906.04341) found such heads in BERT base: much attention on `[CLS]` in early layers, on `[SEP]` in the middle, on full stops and commas in deep ones. A map says where a head looks. Does the model need it?

To **ablate** a head means to put zeros in the place of what it gives, and to leave all else alone. Do it to each head in turn, and measure how much the loss at the same blanks rises. For each head you also get its attention to the token before, and to `[CLS]`.

**Predict:** will the head that looks at the previous token most be the one that matters most?
""",
)
code(
    "heads",
    r"""
reader = partial(masked_logits, live.model)
batch = Batch(*(tensor[:24] for tensor in test_batches[len(test_batches) // 2]))  # 24 texts
live.model.set_attn_implementation("eager")  # the form that hands out its weights
with torch.inference_mode():
    maps = torch.stack(live.model.bert(batch.shown, batch.attention_mask, output_attentions=True).attentions).float()
is_text = batch.attention_mask[:, None, :]  # (B, 1, T)
before_it = maps.diagonal(offset=-1, dim1=-2, dim2=-1) * is_text[..., 1:]  # (L, B, H, T - 1)
to_previous = before_it.sum(dim=(1, 3)) / is_text[..., 1:].sum()  # (L, H)
to_cls = (maps[..., 0] * is_text).sum(dim=(1, 3)) / is_text.sum()  # (L, H), from all places to the first

(L, H), (_, usual) = to_previous.shape, read_blanks(reader, [batch])
harm, d = torch.zeros(L, H), live.model.config.hidden_size // H
for layer, block in enumerate(live.model.bert.encoder.layer):
    for head in range(H):
        kept = (torch.arange(H * d, device=device) // d != head).float()  # (D,), 0 for what this head gives
        joined = block.attention.output.dense
        hook = joined.register_forward_pre_hook(lambda module, inputs, kept=kept: (inputs[0] * kept,))
        harm[layer, head] = read_blanks(reader, [batch])[1] - usual
        hook.remove()
_, again = read_blanks(reader, [batch])  # all hooks are gone
""",
    IGN,
)
code(
    "heads-plot",
    r"""
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), layout="constrained", sharey=True)
for ax, name, share in zip(axes, ("the token before", "[CLS]"), (to_previous, to_cls), strict=True):
    for layer, (x, y) in enumerate(zip(share.tolist(), harm.tolist(), strict=True)):
        ax.scatter(x, y, marker="osD^v<>Phx*+"[layer % 12], alpha=0.7, label=f"block {layer + 1}")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xlabel=f"attention to {name}")
axes[0].set_ylabel("rise of the loss, head ablated")
axes[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
ALT{Two plots with a point for each head. The height is the rise of the loss when the head is ablated. To the right, on the
left plot its attention to the token before, on the right plot its attention to CLS.}
torchnlp.show(fig, alt)
for name, share in (("the token before", to_previous), ("[CLS]", to_cls)):
    rank = (harm > harm.flatten()[share.argmax().item()]).sum().item() + 1
    print(f"most attention to {name}: {share.max():.2f}; its ablation is number {rank} of {harm.numel()} by harm")
print(f"loss {usual:.2f} at {int((batch.labels != -100).sum())} blanks; an ablation adds", end=" ")
print(f"{harm.median():.3f} for the median head, {harm.max():.3f} for the worst")
""",
    IGN,
)
md(
    "heads-read",
    r"""
Half of the heads can be taken out and the loss rises by 0.003 or less. The head that looks at the token before most is number 3 of 48 by harm, so here the map that is easy to like does point at a head that is used. But the head that does most harm, in block 3, is none that either map would have shown you. And of the heads that give `[CLS]` more than half of their attention, none matters much: that fits the guess of Clark et al. that a head looks at a special token when it has nothing to do. It is a pattern over 48 heads, and no proof. [Michel et al. (2019)](https://arxiv.org/abs/1905.10650) found in translation and in BERT, too, that most heads can be removed one at a time.
""",
)
md(
    "heads-check-text",
    r"""
### Deeper: Are all heads back?

After the last ablation nothing may be left of it: the loss at the same blanks must be what it was. And there should be a head that is easy to like.
""",
)
code(
    "heads-claim",
    r"""
assert abs(again - usual) < 1e-3
assert harm.shape == to_previous.shape == to_cls.shape
assert to_previous.max() > 0.5
""",
    CLAIM,
)
md(
    "heads-check-read",
    r"""
The hooks are gone. A hook that stays is a common mistake of such experiments: each later number would be wrong, and nothing would say so.
""",
)

# ------------------------------------------------------------------------------------------------------------------ end

md(
    "takeaways",
    r"""
## Takeaways

- BERT is a bidirectional encoder: three embeddings, a pile of blocks, a head. It sees both sides, so it cannot be asked for each word; some are hidden.
- 15 % of the pieces are chosen: of these 80 % become `[MASK]`, 10 % another piece, 10 % stay, so that every place keeps a vector that knows its neighbours and itself.
- The text is its own label, and the loss counts the chosen places only.
- Judge on the same blanks, by kind: always the most frequent piece, neighbours counted, a random body, the loaded one. Kept pieces flatter.
- A hidden state depends on its sentence. Whether on the word's sense or on the topic, a control token tells.
- A pattern in a map is a question. Replace the word or ablate the head, and the loss answers.
- For a task of your own the body is kept and the heads are thrown away. Pre-training costs more than a hundred thousand times such a fine-tuning.

## What next

Lesson 4 puts four new outputs on this body and sorts news. Lesson 5 exchanges them for names and answers.
""",
)

# ============================================================================================================== deeper

md(
    "paper-text",
    r"""
## Deeper: The authors' own controls

Devlin et al. took their model apart, too. These are figures from the paper, tables 5 and 8, on the development sets; everything else of BERT base stays. "Left to right" is trained without the second task.
""",
)
code(
    "paper",
    r"""
tasks = ["MNLI", "QNLI", "MRPC", "SST-2", "SQuAD F1"]
table_5 = {
    "BERT base": [84.4, 88.4, 86.7, 92.7, 88.5],
    "without next sentences": [83.9, 84.9, 86.5, 92.6, 87.9],
    "left to right": [82.1, 84.3, 77.5, 92.1, 77.8],
}
table_8 = {  # [MASK], same, random: MNLI, names after fine-tuning, names from frozen features
    "80 10 10": [84.2, 95.4, 94.9],
    "100 0 0": [84.3, 94.9, 94.0],
    "80 0 20": [84.1, 95.2, 94.6],
    "80 20 0": [84.4, 95.2, 94.7],
    "0 0 100": [83.6, 94.9, 94.6],
}
glue = {"GPT": 72.8, "BERT large": 80.5}  # the average of GLUE's leaderboard, section 4.1
corpus = {"BooksCorpus": 0.8, "English Wikipedia": 2.5}  # billions of words
print(f"read: {sum(corpus.values()):.1f} billion words", corpus)
print(f"{'':24}" + "".join(f"{task:>10}" for task in tasks))
for name, scores in (table_5 | table_8).items():
    print(f"{name:24}" + "".join(f"{score:10.1f}" for score in scores))
""",
)
md(
    "paper-read",
    r"""
Without next sentences QNLI loses most, which asks whether a passage answers a question: 88.4 becomes 84.9. From there to left-to-right, which is the control for *bidirectional*, the answers of SQuAD fall from 87.9 to 77.8: the right side matters most where single tokens are asked for. RoBERTa's section 4.2 later found no loss without the second task.

The lower half says what the two tenths buy. After fine-tuning hardly anything: all rows are near one another. With frozen features, where the model cannot get used to a world without `[MASK]`, blanks alone are the worst, 94.0 against 94.9. So the mixture is a small repair and not the heart of the matter.
""",
)

md(
    "shape-text",
    r"""
## Deeper: Parameters, counted

A **configuration** says how large a model is. With it alone PyTorch can build the model on the *meta* device: all layers are there, with shapes and without numbers, in no time and no memory. Lesson 2 counted a block: with width $D$ and a feed-forward width $F$ it has $4(D^2 + D) + (2DF + F + D) + 4D$ parameters. BERT adds three tables, with a row for each of $V$ pieces, $P$ positions and $S$ segments, normalised once, and the pooler, a layer $D \times D$ with bias.
""",
)
code(
    "shape",
    r"""
def on_meta(config):
    '''The model of a configuration, with shapes and no numbers.'''
    with torch.device("meta"):
        return transformers.AutoModel.from_config(config)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def block_parameters(width, hidden):
    '''The number of parameters of a block: the formula of lesson 2.'''
    return 4 * (width**2 + width) + (2 * width * hidden + hidden + width) + 4 * width


def bert_parameters(config):
    width = config.hidden_size
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    blocks = config.num_hidden_layers * block_parameters(width, config.intermediate_size)
    return rows * width + 2 * width + blocks + width**2 + width
""",
)
code(
    "formula",
    r"""
base = BertConfig()
large = BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
counted = {name: count(on_meta(config)) for name, config in {"base": base, "large": large}.items()}
predicted = {"base": bert_parameters(base), "large": bert_parameters(large)}
for name, config in {"base": base, "large": large}.items():
    parts = {part: count(module) for part, module in on_meta(config).named_children()}
    print(f"BERT {name}: {counted[name]:,} counted, {predicted[name]:,} by formula;", parts)
""",
)
code(
    "formula-claim",
    r"""
assert counted == predicted
assert round(counted["base"] / 1e6) == 109 and round(counted["large"] / 1e6) == 335
""",
    CLAIM,
)
md(
    "formula-read",
    r"""
Equal to the last parameter. The paper says 110 million and 340 million (section 3): it rounds. In BERT base the embeddings hold more than a fifth of all parameters. The library knows the configurations of BERT's relatives, so a table computes itself.
""",
)
code(
    "family",
    r"""
minilm = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
family = {
    "BERT base": base,
    "BERT large": large,
    "DistilBERT": transformers.DistilBertConfig(),
    "RoBERTa base": transformers.RobertaConfig(max_position_embeddings=514, type_vocab_size=1),
    "BigBird base": transformers.BigBirdConfig(),
    "MiniLM, 6 layers": minilm,
    "GPT-2": transformers.GPT2Config(),
}
print("                  layers heads width positions vocabulary  parameters")
for name, config in family.items():
    sizes = f"{config.num_hidden_layers:6} {config.num_attention_heads:5} {config.hidden_size:5}"
    text = f"{config.max_position_embeddings:9} {config.vocab_size:10,}"
    print(f"{name:17} {sizes} {text} {count(on_meta(config)) / 1e6:9.1f} M")
""",
)
md(
    "family-read",
    r"""
What each changed:

- **DistilBERT** ([Sanh et al. 2019](https://arxiv.org/abs/1910.01108)) has half the layers, no pooler and no segments. It began with every second layer of BERT and learned from BERT's own probabilities: *distillation*.
- **RoBERTa** ([Liu et al. 2019](https://arxiv.org/abs/1907.11692)) kept the blocks and changed the training: more text, longer, new blanks each time, blanks only. Its pieces are made of bytes, so nothing is unknown. Two of its 514 positions never hold a word.
- **BigBird** ([Zaheer et al. 2020](https://arxiv.org/abs/2007.14062)) reads 4,096 tokens: each looks at a window, at a few at random, and at a few that all may see, instead of at all.
- **MiniLM** ([Wang et al. 2020](https://arxiv.org/abs/2002.10957)) is narrow. It learned to imitate the attention of a larger model's last layer, and the products of its value vectors. The course's default model is of this family; its history stands above.
- **GPT-2** ([Radford et al. 2019](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf)) in its smallest form has about the size of BERT base, and a causal mask: it sees only what stands to the left, so it can write.
""",
)

md(
    "own-head-text",
    r"""
## Deeper: A model that brings its head

`from_pretrained` into a class with a head reports which weights it did not find. Start the notebook with `TORCHNLP_MODEL=bert-base-uncased`, and none of the head's are missing: that model fills blanks without any training, and the last line says how many.
""",
)
code(
    "own-head",
    r"""
own_head, report = BertForMaskedLM.from_pretrained(model_name, use_safetensors=True, output_loading_info=True)
missing = sorted(name for name in report["missing_keys"] if name.startswith("cls"))
print("newly initialised:", *missing, sep="\n    ")
if not missing:
    found, loss = read_blanks(partial(masked_logits, own_head.to(device).eval()), test_batches)
    show_shares(f"its own head, loss {loss:.2f}", found)
""",
    IGN,
)
md(
    "own-head-read",
    r"""
With the default model all parts of the head are new. Two of the names, `predictions.bias` and `decoder.bias`, are one tensor; the decoder's weight is not in the list, since it is the table of word vectors.
""",
)

md(
    "bill-text",
    r"""
## Deeper: What it cost

The bill of BERT base, as the paper gives its training. For the arithmetic we use the usual rule: each parameter of the blocks takes part in one multiplication and one addition for each token, and the backward pass costs twice the forward pass. So 6 operations for each parameter and token ([Kaplan et al. 2020](https://arxiv.org/abs/2001.08361), section 2.1). Attention's own products and the head come on top; we leave them out.
""",
)
code(
    "bill",
    r"""
block_count = base.num_hidden_layers * block_parameters(base.hidden_size, base.intermediate_size)
lengths = [len(ids) for ids in tokenizer(train_texts[:1000], truncation=True, max_length=128)["input_ids"]]
fine_tuning_tokens = 500 * 8 * sum(lengths) / len(lengths)  # as many texts as lesson 4 takes from AG News
bill = {"pre-training": bert_tokens, "fine-tuning": fine_tuning_tokens, "your run": live.row["tokens"]}
for name, tokens in bill.items():
    print(f"{name:12} {tokens:16,.0f} tokens {6 * block_count * tokens:10.1e} operations of BERT base")
ratio, pretraining_operations = bert_tokens / fine_tuning_tokens, 6 * block_count * bert_tokens
print(f"pre-training is {ratio:,.0f} times fine-tuning")
""",
    IGN,
)
code(
    "bill-claim",
    r"""
assert bert_tokens == 42_598_400_000
assert ratio > (100_000 if is_news else 80_000)  # of texts of 128 pieces each it would be 83,000
assert 1e19 < pretraining_operations < 1e20
""",
    CLAIM,
)
md(
    "bill-read",
    r"""
More than a hundred thousand such fine-tunings, of 4,000 short texts each, for one pre-training. What is that in time, on the machine you sit at? We time the forward passes of the loaded blocks, after one that does not count, and divide.
""",
)
code(
    "bill-time",
    r"""
def forward_passes(batches):
    with torch.inference_mode(), torchnlp.autocast():
        states = [live.model.bert(batch.shown, attention_mask=batch.attention_mask)[0] for batch in batches]
    return states[-1].sum().item()  # .item() waits until a GPU has finished

""",
)
code(
    "bill-seconds",
    r"""
forward_passes(test_batches[:1])
begin = time.perf_counter()
checksum = forward_passes(test_batches)
seconds, tokens_read = time.perf_counter() - begin, sum(batch.shown.numel() for batch in test_batches)
per_second = 2 * count(live.model.bert.encoder) * tokens_read / seconds
print(f"{per_second / 1e9:,.0f} billion operations a second")
print(f"pre-training at this speed: {pretraining_operations / per_second / 3600 / 24 / 365:,.1f} years")
print(f"fine-tuning at this speed: {6 * block_count * fine_tuning_tokens / per_second / 60:,.1f} minutes")
""",
    IGN,
)
md(
    "bill-time-read",
    r"""
The authors took four days, on 16 chips made for such products. A laptop's processor would need years, and for the fine-tuning minutes or an hour or two. With a GPU both are shorter; their ratio stays. That is **transfer learning**: one pays once for what all texts share, and everybody reuses it for a task of their own. The price of the reuse: whatever the training text held, its gaps and its prejudices too, comes along.
""",
)

md(
    "hood",
    r"""
## Deeper: What the helper did under the hood

| call | what it does |
|---|---|
| `load_texts()` | the news, checked row by row, with its labels, which are not used here |
| `model_folder()` | finds the model's folder and checks that weights and vocabulary are there and unchanged |
| `LengthGroupedBatches` | shuffles, then puts texts of like length into one batch, so that little is padded |
| `attention_implementation()` | which of the library's forms of attention trains faster on this machine; the results are the same |
| `autocast()` | products in bfloat16 where the hardware has instructions for it |
| `interval(right, n)` | Wilson's 95 % interval of a share |
| `recorded(name)` | reads the results of a recorded experiment, with when and on what it ran |
| `show(figure, alt)` | shows a figure with a text for those who cannot see it |

The blanks, the loss, the readers and the training loop are this lesson's subject, so you wrote them here.
""",
)

# =========================================================================================================== exercises

EXERCISES = [
    (
        r"""
### 1. Recall: what the words cost (5 minutes, difficulty 1 of 3)

Write `embedding_share(config)` for a `BertConfig`. It returns a float: the share of the model's parameters that its embeddings hold, that is, the three tables and their norm. The whole is embeddings, blocks and pooler. Use the formula of *Deeper: Parameters, counted*; build no model.

Then try it: which spends the largest share on words, BERT base, BERT large, or MiniLM with its 6 layers? Guess first.
""",
        "def embedding_share(config): ...",
        "check.embedding_share(embedding_share)",
    ),
    (
        r"""
### 2. Modify: blanks for whole words (5 minutes, difficulty 1 of 3)

If only `##lu` is blanked in *akbulutoglu*, the pieces beside it betray it: the blank asks for spelling, not for meaning. The authors of BERT later released models trained with **whole-word masking**: they chose words, and blanked all pieces of each ([google-research/bert](https://github.com/google-research/bert)). The task became harder, and on the tests they report these models did better.

Write `mask_whole_words(word_ids, chosen_words)`. `word_ids` comes from `tokenizer(text).word_ids()`: for each piece the number of its word, and None for a special token. `chosen_words` is a set of such numbers. The result is a bool tensor (T,): True for every piece of every chosen word.

Then try it: choose 15 % of the words of some news. What share of the pieces is blanked?
""",
        "def mask_whole_words(word_ids, chosen_words): ...",
        "check.mask_whole_words(mask_whole_words)",
    ),
    (
        r"""
### 3. Modify: does it follow? (15 minutes, difficulty 2 of 3)

BERT's second task needs pairs. Write `next_sentence_pairs(documents, dice)`. A document is a list of sentences, at least two, and there are at least two documents. `dice` is a `random.Random`: draw with it alone, so that equal dice give equal pairs. Return a list with one `(first, second, is_next)` for each document, in order. `first` is a random sentence of the document, but not its last. With equal chance `second` is the sentence after it and `is_next` is True, or `second` is a random sentence of **another** document, and `is_next` is False.

Then try it: make pairs from the news, title and text. How would you tell true from false pairs without any network? What does that say about the task?
""",
        "def next_sentence_pairs(documents, dice): ...",
        "check.next_sentence_pairs(next_sentence_pairs)",
    ),
    (
        r"""
### 4. Extend: how well does a sentence read? (20 minutes, difficulty 3 of 3)

BERT gives no probability to a sentence; it was asked for blanks. [Salazar et al. (2020)](https://arxiv.org/abs/1910.14659) make a score of them. Blank each piece in turn, all others stay, and ask for the probability of the true piece. The sum of the logarithms is the **pseudo-log-likelihood** of the sentence; *pseudo*, because each piece was guessed with its right side known, too.

Write `pseudo_log_likelihood(model, input_ids, mask_token_id)` for one text, `input_ids` (1, T). The first token, `[CLS]`, and the last, `[SEP]`, are never blanked and never counted. Let the model read all T - 2 rows as one batch. The result is a float.

Then try it: ask `live.model` about two sentences with the same words in another order. Why is it unfair to compare a long sentence with a short one? The solutions do so with a head of their own.
""",
        "def pseudo_log_likelihood(model, input_ids, mask_token_id): ...",
        "check.pseudo_log_likelihood(pseudo_log_likelihood)",
    ),
    (
        r"""
### 5. Extend: which sense is it? (15 minutes, difficulty 2 of 3)

If a vector knows its sense, it should find its like. A nearest-neighbour classifier learns nothing: it keeps examples with their labels, and gives a new vector the label of the most similar example. Write `same_sense(query, examples, labels)` for a vector (D,), examples (N, D) and a list of N labels. It returns the label of the example with the largest cosine similarity to the query.

Then try it on a word with two senses that the lesson did not use, such as *spring*, *record* or *pitch*; it must be one piece. Write at least two sentences for each sense, take `word_vectors(word, sentences)[-1]`, leave one sentence out, and ask for its sense from the others. How many are right? As a control, do the same with the vectors of *the* or of the full stop.
""",
        "def same_sense(query, examples, labels): ...",
        "check.same_sense(same_sense)",
    ),
    (
        r"""
### 6. Extend, an intervention: hide a token (10 minutes, difficulty 1 of 3)

Heads put much attention on `[CLS]`. Does the model need it? Hide it and see. Write `hide(attention_mask, input_ids, piece)` for two int64 tensors (B, T) and the id of a piece: a new attention mask, as before, but 0 wherever this piece stands. Padding stays hidden, and `attention_mask` stays as it is.

Then try it: give `read_blanks` batches whose mask hides `[CLS]`, then the full stop, then *the*. How much does the loss rise? As a control, hide as many places drawn at random. Places that are blanks themselves had better stay visible: why?
""",
        "def hide(attention_mask, input_ids, piece): ...",
        "check.hide(hide)",
    ),
    (
        r"""
### 7. Extend, on your own data: a quiz from your texts (20 minutes, difficulty 2 of 3)

Make blanks that a person and a model can both answer. Write `my_quiz(texts, dice)`: for a list of texts and a `random.Random` it returns a list with one `(question, answer)` for each text, in order. The answer is one word of the text, drawn with `dice` among those of four letters or more; words are what `text.split()` gives, and those that hold anything but letters do not count. The question is the text with this one word replaced by `[MASK]`: its other words stay, also if the answer stands there a second time. Each text holds at least one such word.

Then try it: take twenty sentences of your own, from your mails, a book, or your town's news. Answer the quiz yourself, and let `at_blank(live.model, questions)` answer it. Who gets more right? Which of its answers are copies from the text? (An answer that is no single piece cannot be right; count these apart.)
""",
        "def my_quiz(texts, dice): ...",
        "check.my_quiz(my_quiz)",
    ),
]


def exercise_cells():
    for number, (text, scaffold, check) in enumerate(EXERCISES, start=1):
        md(f"exercise-{number}-text", text)
        code(f"exercise-{number}", scaffold)
        code(f"check-{number}", f"from checks import lesson_3 as check\n\n{check}")


md(
    "exercises",
    r"""
## Exercises

Each has a cell for your answer and a cell that checks it. The check calls your function on random inputs, other ones each time, and names the first mistake that it finds. Run it as often as you like. Difficulty 1 means that the lesson shows how, 3 that you need an idea of your own. The solutions are in `solutions/3-bert.ipynb`; try first.
""",
)
exercise_cells()
md(
    "check-yourself",
    r"""
## Check yourself

Answer in a sentence or two, then unfold.

<details><summary>What are the 15 % and the 80, 10 and 10 %, and why each of them?</summary>

15 % of the pieces are chosen and enter the loss: fewer would teach less per text, more would leave too little to guess from. Of the chosen, 80 % become `[MASK]`, so that the answer is gone and both sides must be used. 10 % become a random piece, so that no input can be trusted and every place keeps what its neighbours say. 10 % stay, so that the vector also holds what is seen, which is mostly right. With `[MASK]` alone the model would be trained for an input that no later text contains.

</details>

<details><summary>Why is BERT bidirectional, and GPT not?</summary>

GPT is asked for the next token at each place, so it must not see it: a causal mask hides the right side, and when it writes there is no right side yet. BERT reads text that is already there and is asked for a few hidden pieces only. Their answers are gone from the input, so it may look at both sides. The price: only the chosen places teach something, and it cannot write from left to right.

</details>

<details><summary>What is kept and what is thrown away between pre-training and fine-tuning?</summary>

Kept: the three tables of embeddings, all blocks, mostly the pooler, and the vocabulary with its tokenizer, since every row of the table belongs to one piece. Thrown away: the head for blanks and the head for next sentences. New: one small layer for the task, with random weights. Then everything is trained a little longer, the kept part with a small learning rate.

</details>

<details><summary>A model restores 20 of 100 chosen places. What do you ask before you call that good?</summary>

How many of these were kept and could be copied. What the most frequent piece alone restores, and what counted neighbours restore, on the same blanks. How it splits into frequent pieces, words of content and rests of words. And what the same head reaches on a random body after the same training: without that you do not know what the body contributed.

</details>

<details><summary>The vectors of a word in two senses differ. Why is that no proof that the model knows the sense?</summary>

The sentences differ in topic as well, and every token's hidden state may take on the topic. A control token in the same sentences, such as *the* or the full stop, shows how much of the gap is there without any change of sense. Only what the word has beyond that speaks for its sense.

</details>

<details><summary>One head looks at the previous token almost all the time. What do you know about the model, and what would you do to know more?</summary>

You know where this head looks, and not whether the model needs what it finds there: other heads or the positions may say the same. Ablate it, which means to zero what it gives, and measure the loss at the same blanks. Compare with the ablation of the other heads. Even then you know what this model loses without it, not what the head "means".

</details>
""",
)
code("time", 'print(f"This lesson took {time.perf_counter() - started:.0f} s.")', IGN)
write(ROOT / "notebooks" / "3-bert.ipynb")

# =========================================================================================================== solutions


def solution(number, why, answer):
    text, _, check = EXERCISES[number - 1]
    heading = text.strip().splitlines()[0].removeprefix("#").rsplit(" (", 1)[0]
    md(f"exercise-{number}-text", f"{heading}\n\n{why.strip()}")
    code(f"exercise-{number}", answer)
    code(f"check-{number}", f"from checks import lesson_3 as check\n\n{check}")


md(
    "title",
    r"""
# Lesson 3: solutions

One solution for each exercise of `3-bert.ipynb`. There are others: the checks, which are those of the lesson, accept any that does the task.
""",
)
code(
    "setup",
    r"""
import random
import time
from collections import Counter, defaultdict

import torch
import torch.nn.functional as F
import transformers
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer

import torchnlp
from torchnlp import device

started = time.perf_counter()
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torchnlp.set_seed(0)
model_name = torchnlp.model_folder()
tokenizer = BertTokenizer.from_pretrained(model_name)
""",
)
solution(
    1,
    "The share is the part divided by the whole. A block has four layers of the width for attention, two for the feed-forward part, and two norms.",
    r"""
def embedding_share(config):
    width, hidden = config.hidden_size, config.intermediate_size
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    embeddings = rows * width + 2 * width  # three tables, and a norm with a scale and a shift
    block = 4 * (width**2 + width) + (2 * width * hidden + hidden + width) + 4 * width
    return embeddings / (embeddings + config.num_hidden_layers * block + width**2 + width)
""",
)
md(
    "exercise-1-sizes-text",
    "And the guess? The tables grow with the width, the blocks with its square and with the number of layers.",
)
code(
    "exercise-1-sizes",
    r"""
for name, width, layers in (("BERT base", 768, 12), ("BERT large", 1024, 24), ("MiniLM, 6 layers", 384, 6)):
    config = BertConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=4 * width
    )
    print(f"{name:17} {embedding_share(config):.1%}")
""",
)
solution(
    2,
    "Ask for each piece whether the number of its word is in the set. None never is, so special tokens take care of themselves.",
    r"""
def mask_whole_words(word_ids, chosen_words):
    return torch.tensor([word in chosen_words for word in word_ids])  # (T,)
""",
)
md(
    "exercise-2-look-text",
    "On a real text, with the first of its words chosen: all pieces of the name are blank, and nothing betrays it.",
)
code(
    "exercise-2-look",
    r"""
text = tokenizer("Akbulutoglu resigned on Tuesday.", return_tensors="pt")
blank = mask_whole_words(text.word_ids(), {0})
print("pieces:", *tokenizer.convert_ids_to_tokens(text["input_ids"][0]))
print("read:  ", *tokenizer.convert_ids_to_tokens(text["input_ids"][0].masked_fill(blank, tokenizer.mask_token_id)))
""",
)
solution(
    3,
    "The place is drawn among all but the last. To get another document, go on from this one by at least 1 and less than N documents, in a circle: that never ends where it began.",
    r"""
def next_sentence_pairs(documents, dice):
    pairs = []
    for number, document in enumerate(documents):
        place = dice.randrange(len(document) - 1)
        is_next = dice.random() < 0.5
        other = documents[(number + dice.randrange(1, len(documents))) % len(documents)]
        second = document[place + 1] if is_next else dice.choice(other)
        pairs.append((document[place], second, is_next))
    return pairs
""",
)
md(
    "exercise-3-easy-text",
    "How easy is the task? Without any network: call it a true pair if the two sentences share a word of five letters or more. Each item of the news is a document here, cut at its full stops.",
)
code(
    "exercise-3-easy",
    r"""
train_dataset, test_dataset, _ = torchnlp.load_texts()
documents = [[part for part in text.split(". ") if part] for _, text in train_dataset[:1000]]
documents = [document for document in documents if len(document) > 1]


def long_words(text):
    return {word for word in text.lower().split() if len(word) >= 5}


pairs = next_sentence_pairs(documents, random.Random(0))
right = sum(bool(long_words(first) & long_words(second)) == is_next for first, second, is_next in pairs)
low, high = torchnlp.interval(right, len(pairs))
print(f"{right} of {len(pairs)} right: {right / len(pairs):.2f} ({low:.2f} to {high:.2f})")
""",
    IGN,
)
md(
    "exercise-3-read",
    r"""
Hardly better than guessing: two sentences in a row seldom repeat a long word. So this rule does not solve the task. Its topic may: a false second sentence comes from another item, and speaks of other things. [Lan et al. (2020)](https://arxiv.org/abs/1909.11942) think that the task is too easy for this reason, and let their model tell the right order of two sentences of one text instead.
""",
)
solution(
    4,
    "Repeat the text once for each place between `[CLS]` and `[SEP]`. Row $i$ gets its blank at place $i + 1$, and the logits are read there only. Cross-entropy is the negative logarithm of the true piece's probability, so its negative sum is what we want.",
    r"""
@torch.inference_mode()
def pseudo_log_likelihood(model, input_ids, mask_token_id):
    places = torch.arange(1, input_ids.shape[1] - 1, device=input_ids.device)  # (T - 2,)
    rows = input_ids.repeat(len(places), 1)  # (T - 2, T)
    rows[places - 1, places] = mask_token_id
    logits = model(rows).logits[places - 1, places]  # (T - 2, V)
    true = input_ids[0, places]  # (T - 2,)
    return -F.cross_entropy(logits, true, reduction="sum").item()
""",
)
md(
    "pll-train-text",
    "To ask a model, there must be a head. Here is one, trained for a moment on blanks of the news as in the lesson: without the last two blocks, and with a head that begins as the identity.",
)
code(
    "pll-train",
    r"""
model = BertForMaskedLM.from_pretrained(model_name, use_safetensors=True).to(device).eval()
model.bert.encoder.layer = model.bert.encoder.layer[:-2]
model.bert.embeddings.requires_grad_(False)
nn.init.eye_(model.cls.predictions.transform.dense.weight)
optimizer, schedule = torchnlp.prepare_optimizer(model, lr=4e-4, iterations=120)
generator, texts = torch.Generator().manual_seed(0), [text for _, text in train_dataset]
settings = {"padding": True, "truncation": True, "max_length": 64, "return_tensors": "pt"}
for _ in range(120):
    some = [texts[i] for i in torch.randint(len(texts), (8,), generator=generator).tolist()]
    batch = tokenizer(some, **settings, return_special_tokens_mask=True)
    chosen = torch.rand(batch["input_ids"].shape, generator=generator) < 0.15
    chosen &= batch.pop("special_tokens_mask") == 0
    labels = batch["input_ids"][chosen].to(device)  # (N,)
    batch["input_ids"] = batch["input_ids"].masked_fill(chosen, tokenizer.mask_token_id)
    with torchnlp.autocast():
        hidden = model.bert(**batch.to(device)).last_hidden_state[chosen.to(device)]  # (N, D)
        loss = F.cross_entropy(model.cls(hidden), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
print(f"loss {loss.item():.2f}")
""",
    IGN,
)
code(
    "pll-ask",
    r"""
asked = ["The minister resigned on Tuesday.", "Tuesday the on resigned minister."]
for text in (*asked, "The minister of trade resigned on Tuesday in Lagos."):
    ids = tokenizer(text, return_tensors="pt")["input_ids"].to(device)
    score = pseudo_log_likelihood(model, ids, tokenizer.mask_token_id)
    print(f"{score:7.1f}, {score / (ids.shape[1] - 2):5.2f} for each piece: {text}")
""",
    IGN,
)
md(
    "pll-read",
    r"""
The same six pieces, in order and not: -31.2 against -47.0. So even this model uses what stands beside a blank, and where. The long sentence has the lowest sum of all, -56.4, for its length alone: each piece adds a number below zero. For each piece it reads nearly as well as the first, -5.64 against -5.20. Compare sentences of one length, or divide by the number of pieces, and say which.
""",
)
solution(
    5,
    "`F.cosine_similarity` scales both sides to length 1 and compares the query with all examples at once.",
    r"""
def same_sense(query, examples, labels):
    cosine = F.cosine_similarity(query[None], examples, dim=1)  # (1, D) and (N, D) give (N,)
    return labels[cosine.argmax().item()]
""",
)
md(
    "senses-text",
    "The lesson's words: their sentences, and the function that takes the hidden states of a word out of the model.",
)
code(
    "senses",
    r"""
SENSES = '''
court: The court found the minister guilty of theft. | A court in Lagos ordered the firm to pay.
court: She left the court after losing the final set. | The players returned to the court after the rain.
bank: The bank raised its interest rates. | He borrowed the money from the bank.
bank: They walked along the bank of the river. | The boat was tied to the muddy bank.
match: The team lost the match in extra time. | Rain delayed the match on Sunday.
match: He lit the candle with a match. | She struck a match in the dark.
strike: Workers began the strike over pay. | The union called off the strike.
strike: The air strike destroyed a bridge. | A missile strike killed the three soldiers.
plant: The plant builds engines for cars. | Six hundred workers at the plant lost their jobs.
plant: The plant needs water and light. | A rare plant flowers in the desert.
'''
senses = defaultdict(list)  # for each word two sentences with one sense, then two with the other
for line in SENSES.strip().splitlines():
    word, _, sentences = line.partition(": ")
    senses[word] += sentences.split(" | ")
body = BertModel.from_pretrained(model_name, use_safetensors=True).to(device).eval()


@torch.inference_mode()
def word_vectors(word, sentences):
    batch = tokenizer(sentences, padding=True, return_tensors="pt").to(device)
    places = (batch["input_ids"] == tokenizer.convert_tokens_to_ids(word)).int().argmax(dim=1)  # (B,)
    states = torch.stack(body(**batch, output_hidden_states=True).hidden_states)  # (L + 1, B, T, D)
    return states[:, torch.arange(len(sentences)), places]
""",
)
md(
    "leave-one-out-text",
    "Each of the 20 sentences is left out once. The three that remain of its word are the examples: one has its sense, two have the other. The same with *the* and with the full stop in its place.",
)
code(
    "leave-one-out",
    r"""
labels = ["first", "first", "second", "second"]
for token in ("the word", "the", "."):
    right = Counter()
    for word, sentences in senses.items():
        vectors = word_vectors(word if token == "the word" else token, sentences)  # (L + 1, 4, D)
        half = vectors[len(vectors) // 2]
        for name, layer in (("before the blocks", vectors[0]), ("half-way up", half), ("after the last", vectors[-1])):
            for left_out in range(4):
                others = [i for i in range(4) if i != left_out]
                found = same_sense(layer[left_out], layer[others], [labels[i] for i in others])
                right[name] += found == labels[left_out]
    print(f"{token:9}", dict(right), "of 20 right")
""",
    IGN,
)
md(
    "leave-one-out-read",
    r"""
Guessing among the three is right once in three times. After the last block the word's vector finds its sense 19 times of 20, but *the* does so 13 times and the full stop 15: there the topic of the sentence is enough. Half-way up it is 18 against 4 and 10. So the vectors in the middle of the model say more of the word, as the lesson's gaps did. (Before the blocks the vectors of one token differ by their positions alone, and so these numbers say nothing of a sense.)
""",
)
solution(
    6,
    "Where the piece stands, the mask is multiplied by 0. Multiplying makes a new tensor, and padding stays 0.",
    r"""
def hide(attention_mask, input_ids, piece):
    return attention_mask * (input_ids != piece)  # (B, T)
""",
)
md(
    "hide-text",
    "How much do the hidden states of all other places move when one kind of token is hidden? As a control, as many places drawn at random.",
)
code(
    "hide-moves",
    r"""
texts = [text for _, text in test_dataset[:64]]
batch = tokenizer(texts, **settings)
ids, usual = batch["input_ids"], batch["attention_mask"]


@torch.inference_mode()
def states_with(mask):
    return body(ids.to(device), attention_mask=mask.to(device)).last_hidden_state  # (B, T, D)


torchnlp.set_seed(0)
for token in ("[CLS]", ".", "the"):
    hidden = hide(usual, ids, tokenizer.convert_tokens_to_ids(token))  # (B, T)
    drawn = torch.rand(ids.shape).masked_fill(usual == 0, 2.0).argsort(dim=1).argsort(dim=1)  # rank within the text
    control = usual * (drawn >= (usual - hidden).sum(dim=1, keepdim=True))
    for name, mask in ((token, hidden), ("as many at random", control)):
        moved = F.cosine_similarity(states_with(usual), states_with(mask), dim=2).tolist()
        seen = [x for row, keep in zip(moved, mask.tolist(), strict=True) for x, k in zip(row, keep, strict=True) if k]
        print(f"{name:18} hidden: mean cosine with the usual hidden state {sum(seen) / len(seen):.3f}")
""",
    IGN,
)
md(
    "hide-read",
    r"""
Without `[CLS]` the states of all other tokens turn a good way, 0.745; without as many places at random hardly, 0.989. So the model uses `[CLS]`, although no single head that looks at it mattered in the lesson. Ablating a head leaves all other heads their `[CLS]`; hiding the token takes it from all heads at once, and what they gave to it must go elsewhere. The full stop and *the* are no more needed than places at random. (Blanks should stay visible: hidden from itself, a place would have to be filled from its neighbours alone, which is another question.)
""",
)
solution(
    7,
    "`split` gives the words, `isalpha` tells which hold letters only. A place is drawn, not a word, so a second copy of the answer stays.",
    r"""
def my_quiz(texts, dice):
    quiz = []
    for text in texts:
        words = text.split()
        place = dice.choice([i for i, word in enumerate(words) if len(word) >= 4 and word.isalpha()])
        question = [*words[:place], "[MASK]", *words[place + 1 :]]
        quiz.append((" ".join(question), words[place]))
    return quiz

""",
)
md("quiz-text", "Two questions:")
code(
    "quiz-look",
    r"""
some = ["Rain stopped the second set of the match .", "Oil prices rose on Monday ."]
for question, answer in my_quiz(some, random.Random(1)):
    print(f"{question}   ({answer})")
""",
)
md("end", 'Each check above says "right".')
code("time", 'print(f"This lesson took {time.perf_counter() - started:.0f} s.")', IGN)
write(ROOT / "notebooks" / "solutions" / "3-bert.ipynb")

# ------------------------------------------------------------------------------------------- for benchmarks/record.py
# Record in this order, and set RATES and SMOOTHING by the first before the others: a changed tagged cell voids all.
# Seconds a seed with one thread are estimates (a quarter to a third of a second a step), nothing was run.
#
# THREE = [["loaded", "both"], ["random layers", "both"], ["all random", "both"]]
# WITH_LEFT = [["loaded", "both"], ["all random", "both"], ["all random", "left"]]
# FEWER = ["fewer blocks", "frozen word vectors", "bias from frequencies", "two rates"]
# "blanks-rates": Experiment("3-bert", "rates",
#     {"bodies": ["loaded", "random layers", "all random"], "values": [1e-4, 4e-4, 1.6e-3], "steps": 360},
#     small={"bodies": ["loaded"], "values": [4e-4], "steps": 2}),                                       # 950 s
# "blanks-tricks": Experiment("3-bert", "tricks", {"without": FEWER, "steps": 360},
#     small={"without": ["two rates"], "steps": 2}),                                                     # 550 s
# "blanks": Experiment("3-bert", "blanks", {"runs": THREE, "steps": [360]},
#     small={"runs": WITH_LEFT, "steps": [2]}),                                                          # 350 s
# "blanks-ag-news": Experiment("3-bert", "blanks", {"runs": WITH_LEFT, "steps": [90, 360, 1440, 5760]},
#     small={"runs": WITH_LEFT, "steps": [2]}, on_ag_news=True),                                         # 7300 s
#     without 5760: 1800 s. STEPS (360) must be among the steps, since the live run on AG News is compared with it.
#
# The lesson draws all four; the trial recordings may be made with the small parameters, "blanks" and "blanks-ag-news"
# with 360 in "steps".
