"""Makes notebooks/2-transformers.ipynb from the cells below; exercise cells are taken from the present notebook."""

import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PATH = Path(sys.argv[1] if len(sys.argv) > 1 else "notebooks/2-transformers.ipynb")
cells = []
IGN, CLAIM, REC = "nbval-ignore-output", "claim", "recorded"


def md(id, text, collapsed=False):
    cell = new_markdown_cell(text.strip("\n"))
    cell["id"] = id
    if collapsed:
        cell["metadata"]["jp-MarkdownHeadingCollapsed"] = True
    cells.append(cell)


def code(id, text, *tags):
    cell = new_code_cell(text.strip("\n"))
    cell["id"] = id
    if tags:
        cell["metadata"]["tags"] = list(tags)
    cells.append(cell)


# ------------------------------------------------------------------------------------------------------------ opening

md("title", r"""
# Lesson 2: The transformer, from one attention to BERT and GPT

In lesson 1 a recurrent network read, and attention helped it. Now the recurrent network goes, and attention does all the work. You build a transformer part by part, check
each part on random inputs against PyTorch's, and take four parts away to see what each was for. Then you train the three usual kinds: one that writes headlines, one that sorts
news and, in a section that you may skip, one that translates dates. The whole lesson runs in about two minutes on a laptop. The last cell prints how long it took you; the README lists what we measured.
""")

md("goals", r"""
## What you will learn

1. **Self-attention**: queries, keys and values of one text, its masks, its positions and its heads, and what breaks when one of them is missing.
2. The **block** of which every transformer is made, and what turns it into BERT (a reader, lessons 3 to 6), into GPT (a writer) or into a translator: the mask, what it is trained to say and, for a translator, a second attention.
3. What it costs: when a transformer is faster than a recurrent network, when it is slower, and what is gained on news.

**What you need:** lesson 1, or to know what scores, softmax and a weighted mean of vectors are; PyTorch as far as `nn.Module`, a loss and an optimizer.
""")

code("setup", r"""
import datetime
import functools
import itertools
import math
import random
import statistics
import time
from collections import Counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torchtext.vocab import Vocab

import torchnlp
from torchnlp import COLOURS, device

SEED = 0
started = time.perf_counter()
torchnlp.set_seed(SEED)
""", REC)

md("predict-first", r"""
## Before you run anything

Two sentences:

> the dog bit the old man
>
> the old man bit the dog

They hold the same words. Who is bitten, you know from the order alone. Now think of lesson 1's attention: a score for each pair of vectors, a softmax, a weighted mean. If each
word of the sentence looks at all words of the sentence in this way, does *dog* get the same vector in both sentences, or another? Note your guess, and why. You will check it
below.
""")

md("big-picture", r"""
## The big picture

![The whole transformer. Left, the encoder: token numbers become vectors, positions are added, and N blocks of self-attention and feed-forward follow. Right, the decoder: the same, with a causal mask and with cross-attention to the encoder's output, and a linear layer to the vocabulary on top.](figures/transformer.svg)

This is the whole network of [Vaswani et al. (2017)](https://arxiv.org/abs/1706.03762). Read it from bottom to top. On the left the **encoder** reads $T$ tokens, on the right the
**decoder** writes $S$ tokens. The **embedding** is a table with one learned vector of width $D$ for each token of the vocabulary. Then comes a pile of blocks. "× N" means N blocks of the same shape, one on the other; each has weights of its own. In a block, tokens
look at each other (attention, in several **heads** side by side), and then a small network works on each token by itself (feed-forward). The decoder also looks at what the encoder gives (cross-attention). On top, a linear layer gives the **logits**: one number for each token of the vocabulary, which softmax turns into probabilities.

You will build it from the inside: first one attention, then order, heads, the block, and at last the whole. Come back to this drawing whenever a part is done.
""")

# --------------------------------------------------------------------------------------------------------- attention

md("toy", r"""
## Attention alone, by hand: a sentence looks at itself

In lesson 1 the decoder asked, and the states that it asked were the encoder's. In **self-attention** the tokens of one text ask each other. Each token $i$ plays three parts, for which it has three vectors:

- its **query** $q_i = W_q x_i$ says what it looks for,
- its **key** $k_i = W_k x_i$ says what it offers to those who look,
- its **value** $v_i = W_v x_i$ is what they get.

$x_i$ is the token's own vector, and the three matrices are learned. Token $i$ gives token $j$ a score, softmax turns the scores of a row into weights, and the weighted mean of the values is the output:

$$e_{ij} = \frac{q_i \cdot k_j}{\sqrt d}, \qquad \alpha_{ij} = \frac{\exp e_{ij}}{\sum_{j'} \exp e_{ij'}}, \qquad o_i = \sum_j \alpha_{ij} v_j$$

Why divide by $\sqrt d$, the root of the size of a key? A product of two vectors is a sum of $d$ terms. If the elements are independent with mean 0 and variance 1, the sum has variance $d$: its typical size grows like $\sqrt d$. If so, and if $d$ is large,
softmax gives nearly everything to one place before anything is learned, and then hardly any gradient reaches the scores. Divided by $\sqrt d$, they have variance 1 again, whatever $d$ is. (Lesson 1 measures it, and you can in exercise 1.)

Take six tokens with vectors of two numbers. The first says how much the token is a creature, the second how much it is a deed. To compute by hand, let $W_k$ and $W_v$ be identity matrices. $W_q$ swaps the two
numbers, so creatures look for deeds and deeds for creatures. What will *bit* look at?

### The same in code: a loop

Every token asks every token. For *bit*, each step is printed.
""")

code("toy-loop", r"""
tokens = ["the", "dog", "bit", "the", "old", "man"]
x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.5, 0.0], [2.0, 0.0]])  # (T, D), T = 6, D = 2
W_q, W_k, W_v = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.eye(2), torch.eye(2)

outputs = []
for i in range(6):
    query = W_q @ x[i]  # (d,)
    scores = torch.stack([query @ (W_k @ x[j]) for j in range(6)]) / math.sqrt(2)  # (T,)
    weights = scores.exp() / scores.exp().sum()  # (T,)
    outputs.append(sum(weights[j] * (W_v @ x[j]) for j in range(6)))  # (d,)
    if tokens[i] == "bit":
        for j in range(6):
            print(f"bit asks {tokens[j]}: score {scores[j]:.2f}, exp {scores[j].exp():.2f}, weight {weights[j]:.2f}")
output_by_loop = torch.stack(outputs)  # (T, d)
print("bit becomes", output_by_loop[2].numpy().round(2))
""")

md("toy-loop-read", r"""
Check one line by hand. *bit* is $(0, 2)$, so its query is $(2, 0)$. The key of *dog* is $(2, 0)$. The product is 4, divided by $\sqrt 2$ it is 2.83. The exps of a row have a sum, and each divided by it is a weight. *dog* and *man* get most of the attention, each the same share. So the
verb, which asked for creatures, becomes nearly the vector of a creature. In a real network this vector is added to the verb's own.

### The same with matrices

One product scores all pairs. It wants all queries in one matrix, a row for each token: `x @ W_q.T`, whose row `i` is `W_q @ x[i]`. Keys and values likewise. A mask says which places a query may look at; masks are next.
""")

code("toy-matrix", r'''
def attend(queries, keys, values, mask=None):
    """Scaled dot-product attention, Vaswani et al. 2017, section 3.2.1: outputs (..., S, d) and weights (..., S, T)."""
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])  # (..., S, T)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)  # True where a query may look
    weights = scores.softmax(dim=-1)  # (..., S, T)
    return weights @ values, weights
''', REC)

md("masks-text", r"""
### Masks: what must not be looked at

A **mask** hides places from a query: their scores become minus infinity, so their weights become exactly 0, and the other weights still have the sum 1. There are two reasons to hide a place, and so two masks.

- **Padding** is no text. Texts of a batch are filled up to one length. The **padding mask** hides the same *columns* from every row. It comes from the lengths of the texts.
- **The future** is not there yet when a model writes from left to right. The **causal mask** lets token $i$ look at tokens up to $i$ only. It comes from the places alone; it is the same for every text.

Below, a shorter sentence is padded to six places. What stands at a `<pad>` is arbitrary; here, ones. Predict: which weights are 0 if both masks are used at once?
""")

code("masks", r"""
words = ["the", "dog", "bit", "<pad>", "<pad>", "<pad>"]
padded, places = torch.cat([x[:3], torch.ones(3, 2)]), torch.arange(6)  # (T, D), (T,)
masks = {
    "no mask": torch.ones(6, 6, dtype=torch.bool),
    "padding mask": (places < 3).expand(6, 6),  # (T, T): the text has length 3
    "causal mask": places <= places[:, None],  # (T, T), True on the diagonal and to the left of it
}
masks["both masks"] = masks["padding mask"] & masks["causal mask"]
views = padded @ W_q.T, padded @ W_k.T, padded @ W_v.T  # queries, keys, values: (T, d) each
masked = {name: attend(*views, mask)[1] for name, mask in masks.items()}

fig, axes = plt.subplots(2, 2, figsize=(9.6, 7.2), layout="constrained")
for ax, (name, weights) in zip(axes.flat, masked.items(), strict=True):
    torchnlp.plot_attention(weights, words, words, ax).set_title(name)
    for i, j in itertools.product(range(6), repeat=2):
        text = f"{weights[i, j]:.2f}" if masks[name][i, j] else "x"
        ax.text(j, i, text, ha="center", va="center", color="white" if weights[i, j] > 0.5 else "k")
torchnlp.show(fig, "Four heat maps with numbers, six words by six. An x is what a mask hides: columns, or a triangle.")
""")

md("masks-read", r"""
An x is a hidden place. Without a mask, *bit* gives part of its attention to padding. With the padding mask nobody does. The rows of the padding still have weights, but what comes out of them is never used: losses and means leave it out. With the causal mask the first word can look at
itself only, and each word sees one place more than the word before. With both, a place must be allowed by both.

## Order

Now your guess from the beginning. Compute the toy with matrices, and with PyTorch's own function. Then put the words into another order, and look at what *dog* becomes, without a mask and with the causal mask.
""")

code("permute", r"""
queries, keys, values = x @ W_q.T, x @ W_k.T, x @ W_v.T  # (T, d) each
output_by_matrix, _ = attend(queries, keys, values)
output_by_library = F.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]

order = [3, 4, 5, 2, 0, 1]  # where each word of the second sentence stands in the first
print(" ".join(tokens), "->", " ".join(tokens[i] for i in order))
first, second = {}, {}
for name in ("no mask", "causal mask"):
    first[name], _ = attend(queries, keys, values, masks[name])
    second[name], _ = attend(queries[order], keys[order], values[order], masks[name])
    bites, bitten = first[name][1], second[name][5]  # dog is word 1 of the first sentence and word 5 of the second
    print(f"{name}: dog becomes {bites.numpy().round(2)} when it bites, {bitten.numpy().round(2)} when bitten")
""")

md("permute-read", r"""
Loop, matrices and library agree to five digits; a claim below asserts it. (Throughout the lesson such assertions stop the notebook if they fail.) Without a mask *dog* gets exactly the same vector, whether it bites or is bitten: attention sees a bag of words. (Not so with a causal mask: a later word sees more words, and from that alone a model can learn where it stands, as
[Haviv et al. (2022)](https://arxiv.org/abs/2203.16634) show for language models.) A recurrent network has order for free; here order must be put into the vectors.

### Positions as vectors

Vaswani et al. add to each token a vector that depends on its position $p$ only. It has $D/2$ pairs of elements, and pair $i$ (counted from 0) has its own speed $\omega_i$:

$$\text{PE}(p)_{2i} = \sin(\omega_i\, p), \qquad \text{PE}(p)_{2i+1} = \cos(\omega_i\, p), \qquad \omega_i = 10000^{-2i/D}$$

Each pair is a clock hand. The first turns once in about six tokens, the last once in tens of thousands. To move on by three places is to turn each hand by a fixed angle, wherever you stand. So a head can look at a fixed distance; a *Deeper* section below derives such a head and builds it. (BERT uses the other common way: a vector for each position that is learned like a word's.)
""")

code("positions", r'''
def positions(length, width):
    """Sinusoidal positions (length, width): Vaswani et al. 2017, section 3.5."""
    speeds = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)  # (width / 2,)
    angles = torch.arange(length)[:, None] * speeds  # (length, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).float()  # sine and cosine take turns
''', REC)

code("attention-claim", r"""
torch.testing.assert_close(output_by_matrix, output_by_loop, rtol=1e-5, atol=1e-5)
torch.testing.assert_close(output_by_library, output_by_loop, rtol=1e-5, atol=1e-5)
assert all((masked[name][~mask] == 0).all() for name, mask in masks.items())
torch.testing.assert_close(second["no mask"], first["no mask"][order], rtol=1e-5, atol=1e-5)
assert (second["causal mask"] - first["causal mask"][order]).abs().max() > 0.1
""", CLAIM)

md("three-left-text", r"""
### Deeper: Three places to the left, derived and built

Why sines and cosines? Vaswani et al. hoped that with them a model easily learns to look at a place relative to its own, because a fixed matrix can then say "three places to the left". The addition theorems give, for each pair and any shift $k$,

$$\begin{pmatrix} \sin \omega (p + k) \\ \cos \omega (p + k) \end{pmatrix} = \begin{pmatrix} \cos \omega k & \sin \omega k \\ -\sin \omega k & \cos \omega k \end{pmatrix} \begin{pmatrix} \sin \omega p \\ \cos \omega p \end{pmatrix}$$

The matrix does not contain $p$: to move on by $k$ places is to turn every hand by a fixed angle. Put these small matrices on the diagonal of a large one, $R_k$, and $R_k\,\text{PE}(p) = \text{PE}(p + k)$ for every $p$. Now let an attention have $W_q = R_{-3}$ (times a factor that makes softmax decide) and $W_k$ = identity. Then the query of
token $p$ *is* the position vector of $p - 3$. Its product with key $j$ is $\sum_i \cos \omega_i (p - 3 - j)$, which is largest where all cosines are 1: at $j = p - 3$. Build these weights, and predict what the first three rows will do.
""", collapsed=True)

code("three-left", r'''
def turn(shift, width):
    """The matrix (width, width) that takes the position vector of p to that of p + shift, for every p."""
    angles = shift * 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)  # (width / 2,)
    pairs = torch.stack([angles.cos(), angles.sin(), -angles.sin(), angles.cos()], dim=1)  # (width / 2, 4)
    return torch.block_diag(*pairs.view(-1, 2, 2)).float()


table = positions(16, 64)  # (T, D)
turned = table @ turn(-3, 64).T  # (T, D): what W_q = R makes of each position
_, left_weights = attend(40 * turned, table, table)
peaks = left_weights.argmax(dim=1)  # (T,)

numbers = [str(p) for p in range(16)]
ax = torchnlp.plot_attention(left_weights, numbers, numbers)
ax.set(xlabel="position looked at", ylabel="position looking")
torchnlp.show(ax, "Heat map of 16 positions by 16. From row 3 on, each row is dark three places to the left of itself.")
''')

code("three-left-claim", r"""
torch.testing.assert_close(turned[3:], table[:-3], rtol=1e-5, atol=1e-5)
assert peaks.tolist() == [0, 0, 0, *range(13)]
""", CLAIM)

md("three-left-read", r"""
From the fourth row on, each row peaks exactly three places to the left, wherever it stands. The first three have no such place, and peak at the first position. Nothing was learned here: it shows that a head of full width *can* look at a fixed distance, where the vectors hold positions alone.
In a network a token's vector is its word's plus its position's, and a head sees only a few numbers of it. So its matrices must learn which directions belong to positions, and disregard the others. Whether a trained head does, you will see below.
""")

md("empty-row-text", r"""
### Deeper: A row with nothing to look at, and padding on the left

What if a mask hides every place of a row? It happens: some tokenizers pad on the left, and then the first rows of a causal mask see nothing but padding. Take the sentence with its three `<pad>` in front.
""", collapsed=True)

code("empty-row", r"""
left = torch.cat([padded[3:], padded[:3]])  # (T, D): three <pad>, then the dog bit
left_mask = (places >= 3) & masks["causal mask"]  # (T, T): padding and future are hidden
views = left @ W_q.T, left @ W_k.T, left @ W_v.T
left_output, left_weighted = attend(*views, left_mask)
library_left = F.scaled_dot_product_attention(*(view[None] for view in views), attn_mask=left_mask[None])[0]
empty = ~left_mask.any(dim=1)  # (T,), rows that may look at nothing
print("rows that may look at nothing:", places[empty].tolist())
print("by the formula:", left_output[0].tolist(), " by the library:", library_left[0].tolist())
""", IGN)

code("empty-row-claim", r"""
assert left_output[empty].isnan().all()
torch.testing.assert_close(left_weighted[3:, 3:], masked["both masks"][:3, :3], rtol=1e-5, atol=1e-5)
torch.testing.assert_close(library_left[3:], left_output[3:], rtol=1e-5, atol=1e-5)
""", CLAIM)

md("empty-row-read", r"""
For the text itself nothing changes: its weights are those of before. (Its positions must be counted from its first token, not from the padding.) But the empty rows divide zero by zero: not a number, and the next layer would spread it to every token. What the library's function gives for such a row stands in the last line; early versions returned not a number, later ones zeros; `nn.MultiheadAttention` asked
for its weights still gives not a number. None of these is an answer. Build masks so that it cannot happen: pad on the right, or let padding look at itself.
""")

# --------------------------------------------------------------------------------------------------- heads, the block

md("heads-text", r"""
## Several heads

![Multi-head attention. A token's vectors X become queries, keys and values of width D; each is cut into H slices of size d = D/H; each head attends for itself; the results are joined and go through a last matrix.](figures/heads.svg)

One attention gives each token one weighted mean. From one mean of two vectors you cannot always tell which was which. **Multi-head attention** makes queries, keys and values of width $D$ from the whole token, cuts *these* into $H$ slices of size $d = D/H$, and lets each slice, a **head**, attend for itself, with a softmax of its own. A last matrix, the **output projection**, joins the results.
Read the shapes line by line. A mask has size 1 where it is the same for all texts, heads or queries; PyTorch repeats it there, which is called **broadcasting**.
""")

code("heads", r'''
class MultiHeadAttention(nn.Module):
    """Attention in several heads: Vaswani et al. 2017, section 3.2.2."""

    def __init__(self, width, heads, dropout=0.0):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.dropout, self.heads = nn.Dropout(dropout), heads

    def split(self, x):  # (B, T, D)
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, T, H, d) -> (B, H, T, d)

    def join(self, x):  # (B, H, S, d)
        return self.dropout(self.out(x.transpose(1, 2).flatten(2)))  # (B, S, D)

    def forward(self, x, mask=None, memory=None):  # (B, S, D), bool that broadcasts to (B, H, S, T), (B, T, D)
        memory = x if memory is None else memory  # self-attention: a text looks at itself
        queries, keys, values = self.split(self.query(x)), self.split(self.key(memory)), self.split(self.value(memory))
        output, weights = attend(queries, keys, values, mask)  # (B, H, S, d), (B, H, S, T)
        self.weights = weights.detach()  # of the last call, to be looked at
        return self.join(output)
''', REC)

md("heads-read", r"""
`x` asks and `memory` is looked at. With two texts it is lesson 1's attention between decoder and encoder. With one head the module has exactly as many parameters as with four: heads only cut the same queries, keys and values. What more heads buy is shown by an experiment, after the block. That this module gives the outputs and the weights of
`nn.MultiheadAttention` is checked in a *Deeper* section. You may skip such sections: nothing on the path needs them.
""")

md("block-text", r"""
## The block

A transformer is a pile of blocks. Each has two parts: attention, where tokens exchange what they know, and a **feed-forward** network, two linear layers with a ReLU between them, which works on each token by itself. Two things help a pile to train (both are usual; this lesson does not take them away):

- **Residual:** each part adds to its input instead of replacing it, $x + f(x)$.
- **LayerNorm:** each token's vector is brought to mean 0 and variance 1, then scaled and shifted by learned numbers.

A third, **dropout**, is against learning by heart: while training, random elements are set to zero, so that nothing can rely on a single one.

Below, the norm stands before each part (**pre-norm**), as in most models since GPT-2. Then the gradient reaches every block along a path on which nothing is multiplied: the sums. The paper of 2017 normalises after each sum (**post-norm**), as do BERT and the first GPT. The two lines of `forward` that every block has are the whole idea. The third, **cross-attention**, is there only in a decoder that has an encoder to look at.
""")

code("block", r'''
class Block(nn.Module):
    """One layer of a transformer: Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020."""

    def __init__(self, width, heads, hidden, dropout=0.0, cross=False):
        super().__init__()
        self.attn = MultiHeadAttention(width, heads, dropout)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Dropout(dropout))
        if cross:
            self.cross, self.ln_cross = MultiHeadAttention(width, heads, dropout), nn.LayerNorm(width)

    def forward(self, x, mask=None, memory=None, memory_mask=None):  # (B, S, D), ..., (B, T, D), (B, 1, 1, T)
        x = x + self.attn(self.ln1(x), mask)
        if memory is not None:
            x = x + self.cross(self.ln_cross(x), memory_mask, memory)
        x = x + self.mlp(self.ln2(x))
        return x  # (B, S, D)
''', REC)

md("transformer-text", r"""
And the pile: an embedding of the tokens plus their positions, N blocks, a last norm (pre-norm never normalises the sum itself), and a linear layer for whatever is asked. Every network of this lesson is this class. The tokens' vectors and the positions begin with numbers of like size, so that neither drowns the other.
""")

code("transformer", r'''
class Transformer(nn.Module):
    """Embedding and positions, a pile of blocks, a norm and a linear layer."""

    def __init__(self, tokens, outputs, width=64, heads=4, layers=2, dropout=0.0, scale=0.3, block=Block, **options):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(tokens, width), nn.Dropout(dropout)
        nn.init.normal_(self.embedding.weight, std=scale)
        self.register_buffer("table", scale * positions(1024, width))
        self.blocks = nn.ModuleList(block(width, heads, 4 * width, dropout, **options) for _ in range(layers))
        self.norm, self.answer = nn.LayerNorm(width), nn.Linear(width, outputs)

    def read(self, ids, *context):  # (B, T), then mask, memory, memory_mask as in Block
        x = self.dropout(self.embedding(ids) + self.table[: ids.shape[1]])  # (B, T, D)
        for block in self.blocks:
            x = block(x, *context)
        return self.norm(x)  # (B, T, D)

    def forward(self, ids, *context):
        return self.answer(self.read(ids, *context))  # (B, T, outputs)
''', REC)

md("block-library-text", r"""
### Deeper: The module and the blocks are the library's, and how many parameters a block has

With one head and the toy's matrices our module must give the toy's outputs. With random weights, copied into PyTorch's modules, it must give the same outputs and weights as `nn.MultiheadAttention`, and the blocks those of `nn.TransformerEncoderLayer` and, with cross-attention, `nn.TransformerDecoderLayer`. All must be in `eval()`: in training the library drops random
*weights of attention*, if told to, and our module random *outputs*. (Without the copy they would differ in any case, since the library begins with other random numbers.) Post-norm needs a `forward` of its own: the norms move behind the sums.
""", collapsed=True)

code("post-norm", r'''
class PostNormBlock(Block):
    """The block of 2017, and of BERT: each norm stands behind a sum."""

    def forward(self, x, mask=None):
        x = self.ln1(x + self.attn(x, mask))
        return self.ln2(x + self.mlp(x))
''', REC)

code("copy-attention", r'''
def copy_attention(ours, theirs):
    """Copy the weights of a MultiHeadAttention into an nn.MultiheadAttention, which has three matrices in one."""
    parts = [ours.query, ours.key, ours.value]
    theirs.in_proj_weight.data.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.data.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
''')

code("copy-block", r'''
def copy_block(ours, theirs):
    """Copy the weights of a Block into an nn.TransformerEncoderLayer or, with cross-attention, a decoder's."""
    copy_attention(ours.attn, theirs.self_attn)
    pairs = [(ours.mlp[0], theirs.linear1), (ours.mlp[2], theirs.linear2), (ours.ln1, theirs.norm1)]
    if hasattr(ours, "cross"):
        copy_attention(ours.cross, theirs.multihead_attn)
        pairs += [(ours.ln_cross, theirs.norm2), (ours.ln2, theirs.norm3)]
    else:
        pairs += [(ours.ln2, theirs.norm2)]
    for mine, yours in pairs:
        yours.load_state_dict(mine.state_dict())
''')

code("block-compare", r"""
torchnlp.set_seed(SEED)
settings = {"d_model": 16, "nhead": 4, "dim_feedforward": 32, "batch_first": True}
attention, library_attention = MultiHeadAttention(16, 4).eval(), nn.MultiheadAttention(16, 4, batch_first=True).eval()
pre, post, writing = Block(16, 4, 32).eval(), PostNormBlock(16, 4, 32).eval(), Block(16, 4, 32, cross=True).eval()
library_pre = nn.TransformerEncoderLayer(**settings, norm_first=True).eval()
library_post = nn.TransformerEncoderLayer(**settings).eval()
library_writing = nn.TransformerDecoderLayer(**settings, norm_first=True).eval()
copy_attention(attention, library_attention)
for mine, yours in ((pre, library_pre), (post, library_post), (writing, library_writing)):
    copy_block(mine, yours)
""")

md("block-outputs-text", r"""
The library's masks say where *not* to look, so they get a `~`. A row of padding may differ, so it is left out.
""")

code("block-outputs", r"""
one_head = MultiHeadAttention(2, heads=1).eval()  # the toy's matrices, and no biases
for layer, weight in zip(one_head.children(), (W_q, W_k, W_v, torch.eye(2)), strict=False):
    layer.load_state_dict({"weight": weight, "bias": torch.zeros(2)})

read, written = torch.randn(2, 6, 16), torch.randn(2, 5, 16)  # (B, T, D), (B, S, D)
is_text = torch.arange(6) < torch.tensor([6, 4])[:, None]  # (B, T), from the lengths 6 and 4
mask, past = is_text[:, None, None], torch.ones(5, 5, dtype=torch.bool).tril()  # (B, 1, 1, T), (S, S)
library_output, library_weights = library_attention(read, read, read, ~is_text, average_attn_weights=False)
equal = {
    "the toy": (one_head(x[None])[0], output_by_loop),
    "attention": (attention(read, mask), library_output),
    "its weights": (attention.weights, library_weights),
    "pre-norm": (pre(read, mask)[is_text], library_pre(read, src_key_padding_mask=~is_text)[is_text]),
    "post-norm": (post(read, mask)[is_text], library_post(read, src_key_padding_mask=~is_text)[is_text]),
    "with cross-attention": (
        writing(written, past, read, mask),
        library_writing(written, read, tgt_mask=~past, memory_key_padding_mask=~is_text),
    ),
}
""")

code("block-claim", r"""
for mine, yours in equal.values():
    torch.testing.assert_close(mine, yours, rtol=1e-5, atol=1e-5)
""", CLAIM)

md("parameters-text", r"""
All six pairs are equal. How many parameters has a block of width $D$ and feed-forward width $F$? Attention has four matrices $D \times D$ with biases. The feed-forward network has $D \times F$ and $F \times D$ with biases. Each of the two norms has a scale and a shift:

$$4 (D^2 + D) + (2DF + F + D) + 4D$$

Take the width of BERT-base, 768, with a feed-forward width four times that, and work it out before you run the cell.
""")

code("parameters-count", r"""
counted = sum(parameter.numel() for parameter in Block(768, heads=12, hidden=3072).parameters())
predicted = 4 * (768**2 + 768) + (2 * 768 * 3072 + 3072 + 768) + 4 * 768
print(f"{counted:,} counted, {predicted:,} predicted")
""")

code("parameters-claim", r"""
assert counted == predicted
""", CLAIM)

md("parameters-read", r"""
Seven million parameters a block, a third of them in attention and two thirds in the feed-forward network. BERT-base has twelve blocks of this size (post-norm, and with GELU, a smooth curve like ReLU's, in place of ReLU).
""")

# ---------------------------------------------------------------------------------------------------------- ablations

md("task-text", r"""
## What is each part for? Take it away

A claim "this part does that" needs a network in which this part alone is missing. So here is a task which needs other tokens, and in which you know where the answer stands: for each place of a string, write four letters of it, those that stand three and one place to the left, and one and two to the right.
One block reads the whole string, without a mask. (`roll` shifts a string, so that the letter three places to the left comes to stand at the place itself. What it carries round the ends is cut off.)
""")

code("task", r'''
LETTERS, LOOKS = "abcdefgh", (-3, -1, 1, 2)  # where to look, from each place


def strings(size, length=12):
    """Random strings (B, T), and for each place that has all neighbours the four letters to write (B, T - 5, 4)."""
    ids = torch.randint(len(LETTERS), (size, length), device=device)
    around = torch.stack([ids.roll(-look, dims=1) for look in LOOKS], dim=2)  # (B, T, 4)
    return ids, around[:, 3:-2]


def string_logits(model, ids):
    """What the model says for these places, (B, T - 5, 4, 8)."""
    return model(ids)[:, 3:-2].unflatten(2, (len(LOOKS), len(LETTERS)))


ids, wanted = strings(1)
print("".join(LETTERS[i] for i in ids[0]), "->", " ".join("".join(LETTERS[i] for i in row) for row in wanted[0]))
''', REC)

md("fit-text", r"""
The first answer belongs to the fourth place: find its four letters in the string. Guessing gives one letter in eight right.

One loop trains every network of this lesson. Two of its lines need a word; the reasons are the usual ones and are not tested here. **Warm-up:** Adam divides each gradient by its recent size, which it hardly knows in its first steps. So the learning rate climbs during the first tenth of the steps; then it falls to zero, both in a straight line.
**Clipping:** if the gradient of a batch is longer than 1, it is shortened to 1, so that no single batch can throw the weights far.
""")

code("fit", r'''
def fit(model, loss_of, steps, lr, watch=None):
    """Minimise loss_of(model), a new batch each time; return the losses and, every tenth part, what watch() says."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
    )
    losses, watched = [], []
    for step in range(1, steps + 1):
        loss = loss_of(model.train())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if watch and step % max(1, steps // 10) == 0:
            watched.append((step, watch()))
    return losses, watched
''', REC)

md("ablation-text", r"""
Now the **ablations**: the same network from the same initial weights, each time with one thing missing.

- *positions*: the table of positions is zero;
- *attention*: its output projection is zero and stays so; what is left is feed-forward;
- *choice*: the queries are zero and stay so; each place gets the plain mean of all values, and cannot choose;
- *heads*: one head of size $D$ in place of four of size $D/4$. The parameters are the same, to the last number; what differs is how queries, keys and values are cut, and with $d$ the root by which scores are divided.
""")

code("ablation-parts", r'''
def take(name, model):
    """Take one part of the network away: what is set to zero here stays zero."""
    attn = model.blocks[0].attn
    parts = {"positions": [model.table], "attention": attn.out.parameters(), "choice": attn.query.parameters()}
    for part in parts.get(name, []):
        part.requires_grad_(False).zero_()
    attn.heads = 1 if name == "heads" else attn.heads


def string_loss(model):
    ids, wanted = strings(64)
    return F.cross_entropy(string_logits(model, ids).flatten(0, 2), wanted.flatten())


@torch.no_grad()
def string_accuracy(model):
    """The share of right letters on fresh strings, for each of the four places looked at."""
    ids, wanted = strings(500)
    guesses = string_logits(model.eval(), ids).argmax(dim=3)  # (B, T - 5, 4)
    return (guesses == wanted).float().mean(dim=(0, 1)).tolist()
''', REC)

code("ablation", r'''
def without(name, seed, steps=400, lr=5e-3):
    """Train without one part; return the network, and a row with the sum of its initial weights and its accuracy."""
    torchnlp.set_seed(seed)
    model = Transformer(8, 4 * 8, layers=1).to(device)
    start = sum(parameter.double().sum().item() for parameter in model.parameters())
    take(name, model)
    fit(model, string_loss, steps, lr)
    shares = string_accuracy(model)
    by_place = {f"place {look:+d}": share for look, share in zip(LOOKS, shares, strict=True)}
    return model, {"without": name, "start": start, "accuracy": statistics.mean(shares), **by_place}


def ablation(names, seeds, **settings):
    return [{"seed": seed, **without(name, seed, **settings)[1]} for seed in seeds for name in names]
''', REC)

md("ablation-predict", r"""
Each batch of strings is new, and so are those that are counted: there is nothing to learn by heart. All five networks were recorded with several seeds; the complete one and the one with a single head are trained here, too.

Before you run it: which of the networks will guess, and which will get part of the letters? What can one head do that must look at four places at once?
""")

code("ablation-show", r"""
record = torchnlp.recorded("ablation")
print(record)
live, accuracies = {name: without(name, SEED) for name in ("nothing", "heads")}, {}
for name in ("nothing", "positions", "attention", "choice", "heads"):
    accuracies[name] = [row["accuracy"] for row in record.rows if row["without"] == name]
    here = f", here {live[name][1]['accuracy']:.2f}" if name in live else ""
    print(f"without {name:9} {min(accuracies[name]):.2f} to {max(accuracies[name]):.2f}{here}")

ids, wanted = strings(500)
letters = F.one_hot(ids, len(LETTERS))  # (B, T, 8)
others = letters.sum(dim=1, keepdim=True) - letters  # (B, T, 8): how often each letter stands elsewhere in the string
frequent = (others.argmax(dim=2)[:, 3:-2, None] == wanted).float().mean().item()
print(f"who always writes the most frequent of the other letters: {frequent:.2f}")
print("one head, by place:", {look: round(live["heads"][1][f"place {look:+d}"], 2) for look in LOOKS})
""", IGN)

md("ablation-read", r"""
Complete, the block writes every letter. Without attention no token learns anything of another: it guesses, one in eight. Without positions, or without choice, a token can know which letters the string has, but not where they stand; such networks get about as many letters as who always writes the most frequent one. With one head it is not helpless: the last line shows which of the four letters it gets, and which it gives up. (One weighted mean can carry several letters, if their weights differ and the feed-forward network takes the mixture apart.)
In this training of 400 steps, four heads do what one head with the same initial weights does not. The claim below asserts all this.

### What do the four heads look at?

One string, and the four maps of the complete network.
""")

code("head-maps", r"""
reader = live["nothing"][0].eval()
ids, _ = strings(1)
reader(ids)
text = [LETTERS[i] for i in ids[0]]
fig, axes = plt.subplots(2, 2, figsize=(9.6, 7.6), layout="constrained")
for head, ax in enumerate(axes.flat):
    torchnlp.plot_attention(reader.blocks[0].attn.weights[0, head], text, text, ax).set_title(f"head {head + 1}")
torchnlp.show(fig, "Heat maps of four heads over a string, each with a dark line at a distance from the diagonal.")
""", IGN)

md("head-maps-read", r"""
Dark lines beside the diagonal: each head looks at a fixed distance. (Where no such place exists, at the edges, they look at what is there: no answer was asked for these places.) Which head serves which distance is an accident of training. But a weight is not an explanation: it says where a vector was read, not why a model answers as it does. So **intervene**: replace what one head gives by its mean over all tokens, so that it is still there but says nothing of the string, and count again. What do you expect for the other three places?
""")

code("head-removed", r'''
def averaged(head, layer, inputs):
    """A hook for the output projection: what one head gives it becomes the mean over all tokens."""
    joined = inputs[0].clone()  # (B, T, D): the heads side by side
    given = joined[:, :, 16 * head : 16 * head + 16]  # (B, T, d)
    given[:] = given.mean(dim=(0, 1))
    return joined


print("place looked at", *LOOKS, sep="\t")
print("complete", *(f"{share:.2f}" for share in string_accuracy(reader)), sep="\t")
removed = []
for head in range(4):
    hook = reader.blocks[0].attn.out.register_forward_pre_hook(functools.partial(averaged, head))
    removed.append(string_accuracy(reader))
    hook.remove()
    print(f"without head {head + 1}", *(f"{share:.2f}" for share in removed[-1]), sep="\t")
''', IGN)

md("head-removed-read", r"""
The intervention says without any picture what a head is for. Without it one column, its own, falls below 0.7, in most cases near to guessing; the other three stay above 0.9. So here the maps and the intervention agree; in a network of many blocks they need not.
""")

code("ablation-claim", r"""
assert len({(row["seed"], row["start"]) for row in record.rows}) == len({row["seed"] for row in record.rows})
assert live["nothing"][1]["start"] == live["heads"][1]["start"]
assert min(accuracies["nothing"]) > 0.9
assert max(accuracies["attention"]) < 0.2
assert abs(statistics.mean(accuracies["positions"]) - frequent) < 0.05
assert abs(statistics.mean(accuracies["choice"]) - frequent) < 0.05
assert max(accuracies["heads"]) < min(accuracies["nothing"]) - 0.1
assert live["nothing"][1]["accuracy"] > 0.9
assert abs(live["heads"][1]["accuracy"] - statistics.mean(accuracies["heads"])) < 0.15
assert all(min(shares[place] for shares in removed) < 0.7 for place in range(4))
assert all(sorted(shares)[1] > 0.9 for shares in removed)
""", CLAIM)

md("depth-text", r"""
### Deeper: Pre-norm or post-norm, twelve blocks deep

Where should the norm stand? [Xiong et al. (2020)](https://arxiv.org/abs/2002.04745) find that with post-norm the gradients of the last blocks are large at the start, so that it cannot do without a long warm-up, and that with pre-norm it can. Take twelve blocks and the string task, both orders, from the same initial weights, each with three learning rates. Print the gradient norm of each block at the start; then look at the loss at the end of a recorded training.
""", collapsed=True)

code("depth", r'''
def depth(seeds, rates, steps=400):
    """Both orders with each rate: the gradient norm of each block at the start, and the mean of the last losses."""
    rows, blocks = [], {"pre-norm": Block, "post-norm": PostNormBlock}
    for seed, rate, order in itertools.product(seeds, rates, blocks):
        torchnlp.set_seed(seed)
        model = Transformer(8, 4 * 8, width=32, layers=12, block=blocks[order]).to(device)
        start = sum(parameter.double().sum().item() for parameter in model.parameters())
        string_loss(model).backward()
        gradients = [torch.cat([p.grad.flatten() for p in part.parameters()]).norm().item() for part in model.blocks]
        losses, _ = fit(model, string_loss, steps, rate)
        row = {"seed": seed, "order": order, "rate": rate, "start": start, "loss": statistics.mean(losses[-20:])}
        rows.append(row | {f"block {number}": norm for number, norm in enumerate(gradients, start=1)})
    return rows
''', REC)

code("depth-gradients", r"""
orders = {row["order"]: row for row in depth([SEED], rates=[3e-3], steps=10)}
for order, row in orders.items():
    print(f"{order:9}", " ".join(f"{row[f'block {number}']:.2f}" for number in range(1, 13)))
""", IGN)

code("depth-losses", r"""
record, losses = torchnlp.recorded("depth"), {}
print(record, f"guessing: {math.log(8):.2f}", sep="\n")
for order in orders:
    for rate in sorted({row["rate"] for row in record.rows}):
        of = [row["loss"] for row in record.rows if (row["order"], row["rate"]) == (order, rate)]
        losses[order, rate] = statistics.mean(of)
        print(f"{order:9} rate {rate:<6} loss at the end, by seed:", " ".join(f"{loss:.2f}" for loss in of))
least = {order: min(loss for (name, _), loss in losses.items() if name == order) for order in orders}
""", IGN)

code("depth-claim", r"""
assert orders["pre-norm"]["start"] == orders["post-norm"]["start"]
assert least["pre-norm"] < least["post-norm"]
""", CLAIM)

md("depth-read", r"""
Look at the gradients first: in post-norm they do not grow from block to block, as the paper's explanation would have it. At this size, and with these initial weights, we do not see its cause. The losses are another matter: if each order gets its best rate, the pre-norm pile has the smaller loss. Both can be trained, and both were given the same steps and the same warm-up. That is all that this experiment shows.
""")

# ------------------------------------------------------------------------------------------------------------- family

md("family", r"""
## The map of the family

![The same block under three masks. Left, an encoder: every token sees every token; BERT stands here. Middle, a decoder with a causal mask: each token sees itself and those before it; GPT stands here. Right, encoder and decoder together, with cross-attention: the transformer of 2017, and T5.](figures/three-masks.svg)

You have the block. What becomes of it depends on the mask, on what it is trained to say and, for a translator, on a second attention with weights of its own.

| kind | who sees whom | trained to | where you meet it |
|---|---|---|---|
| **encoder** | every token sees all tokens; only padding is hidden | say something about a text, or about a hidden word of it | **BERT** (lessons 3 to 6): no mask but the padding mask |
| **decoder** | each token sees itself and those before it | say the next token | **GPT**: a causal mask |
| **encoder-decoder** | the encoder sees all of the source; the decoder sees its own past and, by cross-attention, all of the source | write a text about another text | the transformer of 2017; T5 ([Raffel et al. 2020](https://arxiv.org/abs/1910.10683)), which writes an answer to any text |

(In small things they differ from your class: BERT and the first GPT normalise after each sum, and both learn their positions and use GELU, a smooth curve like ReLU's.) Is the table true of *your* class? Replace one token, and see which outputs move. Do it for each token: a map of who depends on whom, for random weights and any number of blocks. It tests every place of a mask at once. Draw the maps on paper first.
""")

code("three-masks", r'''
def causal(size):
    """True on the diagonal and to the left of it, (T, T)."""
    return torch.ones(size, size, dtype=torch.bool, device=device).tril()


@torch.no_grad()
def moves(outputs_of, ids):
    """How far each output (row) moves when each token (column) is replaced by the next letter: (S, T)."""
    others = (ids + torch.eye(ids.shape[1], dtype=torch.long, device=device)) % len(LETTERS)  # in text i, token i
    return (outputs_of(others) - outputs_of(ids.expand_as(others))).abs().amax(dim=2).T


torchnlp.set_seed(SEED)
plain, crossing = (Transformer(8, 8, cross=cross).to(device).eval() for cross in (False, True))
(source, _), (written, _) = strings(1, length=6), strings(1, length=6)
moved = {
    "encoder": moves(plain, source),
    "decoder": moves(lambda ids: plain(ids, causal(6)), source),
    "encoder-decoder, source replaced": moves(lambda ids: crossing(written, causal(6), plain.read(ids)), source),
    "encoder-decoder, written replaced": moves(lambda ids: crossing(ids, causal(6), plain.read(source)), written),
}
for name, distances in moved.items():
    print(name, *("".join(".#"[distance > 0] for distance in row) for row in distances.tolist()), sep="\n")
''')

md("three-masks-read", r"""
A row is an output, a column the token that was replaced; `#` means: moved. The first and the second map come from *the same network with the same weights*: for random weights, the mask alone decides. No output moves for a token that its mask hides, not by the last digit. Now train one of each kind: the decoder on headlines; the encoder on news, at the end; the encoder-decoder on lesson 1's dates, in a *Deeper* section.
""")

md("news-text", r"""
### A decoder: a small GPT writes headlines

The news of this course, as pairs of label and text. A fifth of the training part is set aside as the **validation split**: for everything that reads news below, the learning rates and the lengths of the trainings were chosen there. The test part is for the numbers at the end, and nothing was chosen by it. (The lesson runs on texts of your own, too; the README says how. Then the claims about news are left out.)
""")

code("news-data", r"""
SPECIALS = ["<pad>", "<unk>", "<bos>", "<eos>"]
PAD, UNK, BOS, EOS = range(4)
train_texts, test_texts, classes = torchnlp.load_texts()
train_texts, test_texts = train_texts[:2_500], test_texts[:1_000]
is_news = classes == torchnlp.CLASSES and len(train_texts) >= 1_000  # what is claimed of news is claimed of these
random.Random(0).shuffle(train_texts)
fifth = len(train_texts) // 5
parts = {"learning": train_texts[fifth:], "validation": train_texts[:fifth], "test": test_texts}
print({name: len(texts) for name, texts in parts.items()})

vocab = torchnlp.build_vocab((text for _, text in parts["learning"]), min_freq=2)
news = {}  # pairs of a label, 0 to C - 1, and the numbers of at most 128 words; an empty text is one unknown word
for name, texts in parts.items():
    rows = [torch.tensor(torchnlp.encode(text, vocab)[:128] or [UNK]) for _, text in texts]
    news[name] = list(zip(torchnlp.targets(texts), rows, strict=True))
""", REC)

md("writer-text", r"""
A text here is its title and its description in one, so its first 60 characters are the headline and, if that is short, the beginning of what follows. A **language model** predicts the next token, here the next character: the outputs at place $t$ are the logits for the character at place $t + 1$. The causal mask makes it possible to train all places at once.

How good is a loss? Divided by $\ln 2$ it is **bits per character**: the number of yes-or-no questions that are still open before each character. Untrained, all $V$ characters are about equally likely, so expect about $\log_2 V$ bits, and a little more, since what it happens to prefer is wrong.
""")

code("writer-data", r'''
LONGEST = 60  # characters of a headline
counts = Counter("".join(text[:LONGEST].lower() for _, text in parts["learning"]))
characters = Vocab(counts, specials=SPECIALS, min_freq=5)


def beginnings(texts):
    """The first 60 characters of texts after <bos>, (N, 61); a shorter text is filled up with spaces."""
    lines = [f"{text.lower()[:LONGEST]:{LONGEST}}" for _, text in texts]
    return torch.tensor([[BOS, *torchnlp.encode(line, characters, tokenizer=list)] for line in lines], device=device)


def language_loss(model, ids, mask):
    """The mean cross-entropy of each token, given those before it: Radford et al. 2018, section 3.1."""
    logits = model(ids[:, :-1], mask)  # (B, T, V): for the token after each
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


@torch.no_grad()
def bits(model, ids, mask):
    return language_loss(model.eval(), ids, mask).item() / math.log(2)


learned, validated, tested = map(beginnings, parts.values())
print("".join(characters.itos[i] for i in learned[0]), tuple(learned.shape), f"{len(characters)} characters")
''')

md("writer-train-text", r"""
What is the use of looking back? That needs a **control**: the same network from the same initial weights, trained alike, under a mask that shows each token nothing but itself. It knows one character and its place, and must say the next.
""")

code("writer-train", r"""
def train_writer(mask):
    torchnlp.set_seed(SEED)
    model = Transformer(len(characters), len(characters), dropout=0.1).to(device)

    def loss_of(model):
        return language_loss(model, learned[torch.randint(len(learned), (32,), device=device)], mask)

    return model, *fit(model, loss_of, steps=400, lr=1e-2, watch=lambda: bits(model, validated, mask))


all_before, itself = causal(LONGEST), torch.eye(LONGEST, dtype=torch.bool, device=device)
writer, losses, watched = train_writer(all_before)
control, _, control_watched = train_writer(itself)

fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.plot([loss / math.log(2) for loss in losses], color=COLOURS["orange"], lw=0.8, label="training batch")
ax.plot(*zip(*watched, strict=True), "o-", color=COLOURS["blue"], label="validation split")
ax.plot(*zip(*control_watched, strict=True), "s--", color="gray", label="validation split, control")
ax.set(xlabel="training step", ylabel="bits per character", ylim=(0, None))
ax.legend()
torchnlp.show(ax, "Bits per character against the step, in training and validation; the control stays above both.")
""", IGN)

md("writer-train-read", r"""
The curves fall, first steeply, then slowly. At the end they are flat, which is also because the learning rate falls to zero. Where the training curve ends below that of the validation split, the network knows its own headlines better than others: it begins to learn them by heart. The control stays above.

Now the test part. Two cheap methods to beat: how often each character occurs (*letters*), and how often it follows the one before (*pairs*). Then let the network write: give it `<bos>`, draw the next character with the probability that the model gives it, append it, and ask again. Before you run it, guess: will it write words?
""")

code("write", r'''
@torch.no_grad()
def write(model, size):
    """Begin with <bos> and draw character after character, each with the probability that the model gives it."""
    ids = torch.full((size, 1), BOS, device=device)  # (B, T)
    while ids.shape[1] <= LONGEST:
        logits = model.eval()(ids, causal(ids.shape[1]))[:, -1]  # (B, V): the logits for the next character
        ids = torch.cat([ids, logits.softmax(dim=1).multinomial(1)], dim=1)
    return ["".join(characters.itos[i] for i in row[1:]) for row in ids.tolist()]


size, (before, after) = len(characters), (tested[:, :-1], tested[:, 1:])
pairs = size * learned[:, :-1] + learned[:, 1:]  # a number for each pair of characters
follows = 1 + pairs.flatten().bincount(minlength=size**2).view(size, size)  # from 1 on: nothing is impossible
in_bits = {
    "untrained": bits(Transformer(size, size).to(device), tested, all_before),
    "letters": -(follows.sum(dim=0) / follows.sum()).log2()[after].mean().item(),
    "pairs": -(follows / follows.sum(dim=1, keepdim=True)).log2()[before, after].mean().item(),
    "control": bits(control, tested, itself),
    "trained": bits(writer, tested, all_before),
}
print(f"log2 V is {math.log2(size):.2f};", {name: round(value, 2) for name, value in in_bits.items()})
print(*write(writer, 6), sep="\n")
''', IGN)

md("write-read", r"""
Untrained, the network needs about $\log_2 V$ bits, as expected. Letter counts need fewer, pairs fewer still. The control, which sees one character, needs about as many as the pairs. The network that sees all that stands before needs fewer than both, and the mask is the only difference to the control. What it writes looks like English from afar: endings, short words, and some real ones. It makes no sense: it has seen some hundreds of headlines for a few seconds, letter by letter. GPT-2 is this network, with up to forty-eight blocks, with **word pieces** (frequent words, and parts of rare ones) instead of letters, and eight million web pages to learn from.
Exercise 5 is about how to draw the next character.
""")

code("family-claim", r"""
assert min(moved["encoder"].min(), moved["encoder-decoder, source replaced"].min()) > 0
assert moved["decoder"].triu(1).max() == 0
assert moved["decoder"][causal(6)].min() > 0
assert moved["encoder-decoder, written replaced"].triu(1).max() == 0
assert in_bits["untrained"] > in_bits["letters"] + 0.5
assert in_bits["pairs"] < in_bits["letters"]
assert not is_news or abs(in_bits["control"] - in_bits["pairs"]) < 0.2
assert not is_news or in_bits["trained"] < in_bits["control"] - 0.1
assert not is_news or in_bits["trained"] < in_bits["pairs"] - 0.1
""", CLAIM)

md("dates-text", r"""
### Deeper: Encoder and decoder, on lesson 1's dates

The third kind, on single dates in thirteen languages, to be written as ISO 8601, with no recurrent network anywhere. The source is padded, so cross-attention and the encoder take the padding mask. An ISO date always has ten characters, so in *this* task the targets of a batch are equally long, and the decoder needs its causal mask only. (With targets of different lengths, padding
would stand on the right, where the causal mask hides it from the text; the loss would have to leave it out.)
""", collapsed=True)

code("dates-data", r'''
train_dates = torchnlp.date_sentences(6000, counts=(1,), part="train", seed=SEED)
test_dates = torchnlp.date_sentences(300, counts=(1,), part="test", seed=SEED)
source_vocab = Vocab(Counter("".join(sentence.source for sentence in train_dates)), specials=SPECIALS)
target_vocab = Vocab(Counter("".join(sentence.target for sentence in train_dates)), specials=SPECIALS)


def collate_dates(sentences):
    """Sentences as source (B, T), its mask (B, 1, 1, T) from the lengths, and target (B, S) from <bos> to <eos>."""
    sources = [torch.tensor(torchnlp.encode(s.source, source_vocab, tokenizer=list)) for s in sentences]
    targets = [[BOS, *torchnlp.encode(s.target, target_vocab, tokenizer=list), EOS] for s in sentences]
    lengths = torch.tensor([len(row) for row in sources])
    mask = torch.arange(lengths.max()) < lengths[:, None]  # (B, T)
    source, target = pad_sequence(sources, True), torch.tensor(targets)
    return source.to(device), mask[:, None, None].to(device), target.to(device)
''')

code("translator", r'''
class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Transformer(len(source_vocab), 1, layers=1)  # its last linear layer is not used
        self.decoder = Transformer(len(target_vocab), len(target_vocab), layers=1, cross=True)

    def forward(self, source, mask, before):  # (B, T), (B, 1, 1, T), (B, S)
        return self.decoder(before, causal(before.shape[1]), self.encoder.read(source, mask), mask)  # (B, S, V)


def date_loss(model):
    source, mask, target = collate_dates(random.sample(train_dates, 64))
    return F.cross_entropy(model(source, mask, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())
''')

md("dates-train-text", r"""
Training is **teacher forcing**, as in lesson 1: the decoder gets the right characters before each place, all places at once. Use is **greedy decoding**: it gets what it wrote itself, one character after the other. DATES-SETTINGS
""")

code("dates-train", r'''
@torch.no_grad()
def greedy(model, sentences, longest=11):
    """The most likely next character, again and again: the texts that the model writes."""
    source, mask, target = collate_dates(sentences)
    written = target[:, :1]  # <bos>
    for _ in range(longest):
        written = torch.cat([written, model.eval()(source, mask, written)[:, -1:].argmax(dim=2)], dim=1)
    return ["".join(target_vocab.itos[i] for i in row[1:]).partition("<eos>")[0] for row in written.tolist()]


torchnlp.set_seed(SEED)
translator, right = Translator().to(device), {}
for name in ("untrained", "trained"):
    if name == "trained":
        fit(translator, date_loss, steps=450, lr=5e-3)
    texts = greedy(translator, test_dates)
    right[name] = sum(text == sentence.target for text, sentence in zip(texts, test_dates, strict=True))
    low, high = torchnlp.interval(right[name], len(test_dates))
    print(f"{name}: {right[name] / len(test_dates):.2f} of {len(test_dates)} dates right ({low:.2f} to {high:.2f})")
''', IGN)

md("alignment-text", r"""
Nearly every unseen date is right in each digit. Brackets hold the 95-percent interval of such a share.

Where did the decoder look? The weights of cross-attention are an **alignment**, as in lesson 1. Here is lesson 1's date in the same three languages, the mean of the four heads.
""")

code("alignment", r'''
def alignment(sentences):
    """The weights of cross-attention while the right answer is written, the mean of all heads: (B, S, T)."""
    source, mask, target = collate_dates(sentences)
    translator.eval()(source, mask, target[:, :-1])
    return translator.decoder.blocks[0].cross.weights.mean(dim=1)


date = datetime.date.fromisoformat(torchnlp.date_sentences(1, counts=(1,), part="test", seed=9)[0].target)
fig, axes = plt.subplots(3, 1, figsize=(6.4, 10.5), layout="constrained")
for ax, language in zip(axes, ("en", "sw", "hu"), strict=True):
    sentence = torchnlp.date_sentence([date], language)
    torchnlp.plot_attention(alignment([sentence])[0, :10], sentence.target, sentence.source, ax)
    ax.set(title=torchnlp.DATE_LANGUAGES[language], xlabel="source", ylabel="written")
torchnlp.show(fig, "Cross-attention for one date in English, Swahili and Hungarian: each part looks at its own place.")
''', IGN)

md("alignment-read", r"""
As in lesson 1, the dark places move along: the year is found at the end in English and Swahili and at the front in Hungarian. What asked was a GRU there and a block here; the alignment is attention's work in both, learned from pairs of texts alone.

Now lesson 1's number for it, over the whole test part: how much attention lies on the characters of the year, the month and the day (rows) while each of the ten characters is written (columns). A model that looks everywhere equally would put the last number of a row there.
""")

code("alignment-shares", r"""
PARTS = {"year": [0, 1, 2, 3], "month": [5, 6], "day": [8, 9]}  # places in YYYY-MM-DD
weights, masses, uniform = alignment(test_dates), {}, {}
print("writing", *"YYYY-MM-DD", " uniform", sep="    ")
for part, digits in PARTS.items():
    spans = [sentence.spans[0][part] for sentence in test_dates]
    shares = [row[:10, a:b].sum(dim=1) for row, (a, b) in zip(weights, spans, strict=True)]  # (10,) each
    looks = torch.stack(shares).mean(dim=0).tolist()
    masses[part] = statistics.mean(looks[digit] for digit in digits)
    uniform[part] = statistics.mean((b - a) / len(s.source) for s, (a, b) in zip(test_dates, spans, strict=True))
    print(f"{part:8}", *(f"{share:.2f}" for share in looks), f"    {uniform[part]:.2f}")
""", IGN)

md("hidden-text", r"""
Read the columns. A hyphen needs nothing from the source, so where it looks is free. The first digit must choose between 1 and 2; given it, the second (9 or 0) needs nothing more. The other digits need their own part of the source. The numbers have the same measure as lesson 1's, but single dates are short, so the uniform share is larger here.

The picture says where vectors were read. What does the answer depend on? Hide the characters of one part from cross-attention (not from the encoder), and count for each part how often all its digits are still right, given the right characters before. If what the model knows of the year stood at the characters of the year alone, the year would be lost.
""")

code("hidden", r'''
@torch.no_grad()
def right_with_hidden(hidden):
    """How often each part is right while the characters of one part are hidden from cross-attention."""
    source, mask, target = collate_dates(test_dates)
    memory, seen = translator.eval().encoder.read(source, mask), mask.clone()
    for row, sentence in zip(seen if hidden else [], test_dates if hidden else [], strict=True):
        row[:, :, slice(*sentence.spans[0][hidden])] = False
    logits = translator.decoder(target[:, :-1], causal(11), memory, seen)
    same = logits.argmax(dim=2) == target[:, 1:]  # (B, S)
    return {part: same[:, digits].all(dim=1).float().mean().item() for part, digits in PARTS.items()}
''')

code("hidden-show", r"""
kept = {hidden: right_with_hidden(hidden) for hidden in (None, *PARTS)}
for hidden, shares in kept.items():
    print(f"hidden: {hidden or 'nothing':8}", "  ".join(f"{part} {share:.2f}" for part, share in shares.items()))
""", IGN)

code("dates-claim", r"""
assert right["untrained"] < 0.05 * len(test_dates)
assert right["trained"] > 0.85 * len(test_dates)
assert statistics.mean(masses.values()) > 2 * statistics.mean(uniform.values())
assert all(kept[part][part] < kept[None][part] - 0.2 for part in PARTS)
assert all(kept[part][other] > 0.9 for part in PARTS for other in PARTS if other != part)
""", CLAIM)

md("hidden-read", r"""
Hide a part, and this part is lost while the other two stay above 0.9. So here the picture tells the truth: the decoder depends on the characters that it looks at. Compare lesson 1's search for cases where it does not.
""")

# --------------------------------------------------------------------------------------------------------------- cost

md("cost-text", r"""
## What it costs

Why did this network take over? Vaswani et al. compare layers by three numbers (their table 1). $T$ is the length of the text, $D$ the width of the vectors, and the **work** of a layer is the number of multiplications in its forward pass over one text:

| layer | work | steps that must wait for each other | longest path from one token to another |
|---|---|---|---|
| self-attention, with its four matrices | $4 T D^2 + 2 T^2 D$ | 1 | 1 |
| LSTM | $8 T D^2$ | $T$ | $T$ |
| GRU | $6 T D^2$ | $T$ | $T$ |
| convolution, $k$ wide | $k\, T D^2$ | 1 | $T / k$, or $\log_k T$ if each layer's reach is a multiple of the last one's |

Attention wins two columns: no token waits for another, and any two tokens are one step apart. It can lose the first: the scores and the weighted means are $T^2 D$ each. By counting, attention has more work than an LSTM from $4 T D^2 + 2 T^2 D > 8 T D^2$ on, that is, $T > 2D$, and more than a GRU from $T > D$ on.

But work is not time: how long it takes depends, too, on how much a device can do side by side, and on how well a library has written the layer. Guess for your machine, for $D = 128$ and 4 texts: from which length on is attention slower than an LSTM? By counting it would be 256.
""")

code("cost", r'''
def cost(lengths, seeds, width=128, size=4, times=5):
    """The median time of forward and backward pass over a batch. What the seeds count is repeats: nothing is drawn."""
    gru, lstm = (kind(width, width, batch_first=True).to(device) for kind in (nn.GRU, nn.LSTM))
    theirs = nn.MultiheadAttention(width, 4, batch_first=True).to(device)
    layers = {  # from (B, T, D) to (B, T, D)
        "GRU": lambda x: gru(x)[0],
        "LSTM": lambda x: lstm(x)[0],
        "attention": MultiHeadAttention(width, heads=4).to(device),
        "PyTorch's attention": lambda x: theirs(x, x, x, need_weights=False)[0],
    }
    rows = []
    for repeat, name, length in itertools.product(seeds, layers, lengths):
        spent = []
        for _ in range(times):
            x, begin = torch.randn(size, length, width, device=device, requires_grad=True), time.perf_counter()
            layers[name](x).sum().backward()
            x.grad.sum().item()  # .item() waits until a GPU has finished
            spent.append(time.perf_counter() - begin)
        rows.append({"repeat": repeat, "layer": name, "length": length, "seconds": statistics.median(spent)})
    return rows
''', REC)

md("cost-show-text", r"""
"PyTorch's attention" is its own module, asked for no weights: it computes the same in one function that need not hold the $T \times T$ weights. The lines are recorded; the crosses are your machine, now.
""")

code("cost-show", r"""
record, here = torchnlp.recorded("cost"), cost([64, 256], seeds=[0])
print(record, "milliseconds:", sep="\n")
lengths, medians = sorted({row["length"] for row in record.rows}), {}
colours = {"GRU": "#56B4E9", "LSTM": "#E69F00", "attention": "#0072B2", "PyTorch's attention": "#009E73"}
fig, ax = plt.subplots(figsize=(7.6, 4.2), layout="constrained")
print(f"{'T':20}", *(f"{length:7}" for length in lengths))
for (name, colour), marker in zip(colours.items(), "s^oD", strict=True):
    of = [(row["length"], row["seconds"]) for row in record.rows if row["layer"] == name]
    medians[name] = [statistics.median(seconds for at, seconds in of if at == length) for length in lengths]
    print(f"{name:20}", *(f"{1000 * seconds:7.1f}" for seconds in medians[name]))
    ax.loglog(lengths, medians[name], marker + "-", color=colour, label=name)
    now = [(row["length"], row["seconds"]) for row in here if row["layer"] == name]
    ax.plot(*zip(*now, strict=True), "x", color=colour, markersize=9)
slower = [length for length, a, b in zip(lengths, medians["attention"], medians["LSTM"], strict=True) if a > b]
print("our attention is slower than the LSTM at the lengths", *slower)
ax.set(xlabel="tokens in the text, T", ylabel="seconds, forward and backward", xticks=lengths, xticklabels=lengths)
ax.minorticks_off()
ax.legend(fontsize=8)
torchnlp.show(fig, "Time against text length, both axes logarithmic, for GRU, LSTM and attention of two makes.")
""", IGN)

md("cost-read", r"""
Both axes are logarithmic. What doubles with the length climbs with one slope, that of the LSTM at the right end; attention bends up to a steeper one, towards four times the time for twice the length. On short texts it is faster than the LSTM, on long ones slower; the last printed line says from where on, on the machine that is named above. And the GRU has less work than the LSTM but takes longer: that is the library.

On a device that computes thousands of products side by side, one would expect the crossing at longer texts, since there the LSTM's $T$ steps are what counts. That is not measured here. Memory is another matter: as long as the weights are kept, twice the length takes four times the bytes.
""")

md("cached-text", r"""
### Deeper: Writing step by step, with and without a cache

![Step-by-step decoding. Above, without a cache: at each step all tokens so far go through the network again. Below, with a cache: only the new token goes through; its query meets the kept keys and values of the tokens before it.](figures/kv-cache.svg)

While it *trains*, a decoder computes all places at once. While it *writes*, it must wait for each character, like a recurrent network. `write` above puts the whole text so far through the network for every new character. But under a causal mask nothing that was computed for an earlier token ever changes. So keep each block's keys and values (the **KV cache**), put only the new token through,
and let its query meet what was kept. No mask is needed: what is kept is the past.
""", collapsed=True)

code("cached", r'''
@torch.no_grad()
def step(model, token, place, cache):
    """Logits (B, V) after one more token (B, 1); the cache, a dict, holds keys and values for each block."""
    x = model.embedding(token) + model.table[place]  # (B, 1, D)
    for number, block in enumerate(model.blocks):
        attn, looked = block.attn, block.ln1(x)
        new = attn.split(attn.key(looked)), attn.split(attn.value(looked))  # (B, H, 1, d) each
        if number in cache:
            new = tuple(torch.cat(pair, dim=2) for pair in zip(cache[number], new, strict=True))  # (B, H, T, d)
        cache[number] = new
        x = x + attn.join(attend(attn.split(attn.query(looked)), *new)[0])
        x = x + block.mlp(block.ln2(x))
    return model.answer(model.norm(x))[:, -1]


@torch.no_grad()
def decode(model, length, cached):
    """Write one text greedily: all logits (T, V)."""
    ids, cache, rows = torch.full((1, 1), BOS, device=device), {}, []
    for place in range(length):
        logits = step(model, ids[:, -1:], place, cache) if cached else model(ids, causal(place + 1))[:, -1]
        rows.append(logits)
        ids = torch.cat([ids, logits.argmax(dim=1)[None]], dim=1)
    return torch.cat(rows)
''')

code("cached-both", r"""
writer.eval()
with_cache, without_cache = decode(writer, 60, cached=True), decode(writer, 60, cached=False)
""")

code("cached-times", r"""
for length in (64, 128, 256, 512):
    spent = []
    for cached in (False, True):
        begin = time.perf_counter()
        decode(writer, length, cached).sum().item()
        spent.append(time.perf_counter() - begin)
    print(f"{length:4} characters: {spent[0]:5.2f} s without a cache, {spent[1]:5.2f} s with it")
""", IGN)

code("cached-claim", r"""
torch.testing.assert_close(with_cache, without_cache, rtol=1e-3, atol=1e-3)
assert with_cache.argmax(dim=1).tolist() == without_cache.argmax(dim=1).tolist()
""", CLAIM)

md("cached-read", r"""
The same logits, up to rounding, and the same text. With the cache the time grows here, roughly, like the length; without it, faster, since every step computes the whole past again. The price is memory: two vectors of width $D$ for each token and each block. An LSTM keeps only its last state, however long the text is.
""")

# --------------------------------------------------------------------------------------------------------------- news

md("news-kinds-text", r"""
## An encoder on news: a fair table

Is it worth it? Six networks sort news into topics. All are your class: the same embedding, the same dropout after it, the same norm and last layer, and `fit` trains them with the same steps. Only the learning rate is each one's own, the best of three on the validation split. They differ in what stands between embedding and norm, and in which output answers:

- a **bag of words**: nothing stands between, and the mean of the words' vectors answers;
- an **LSTM**: its *last* state answers, or the *mean* of its states;
- a **transformer** of one block: the mean of its outputs answers, or the output at the last place, and once more the mean, without positions.

Not alike is what an LSTM and a block are: the block has somewhat more weights, adds to its input, and sees both sides; the LSTM replaces its input, and sees the left side only. This table compares networks; the drawing above compared layers.
""")

code("news-kinds", r'''
class Recurrent(nn.LSTM):
    """An LSTM in the place of a block. It reads from left to right, and padding stands on the right: no mask."""

    def __init__(self, width, *_):
        super().__init__(width, width, batch_first=True)

    def forward(self, x, mask=None):
        return super().forward(x)[0]  # (B, T, D): the states


KINDS = {  # blocks, their class, with positions?, which output answers
    "bag of words": (0, Block, False, "mean"),
    "LSTM, last state": (1, Recurrent, False, "last"),
    "LSTM, mean of states": (1, Recurrent, False, "mean"),
    "transformer, last place": (1, Block, True, "last"),
    "transformer, mean": (1, Block, True, "mean"),
    "transformer, no positions": (1, Block, False, "mean"),
}
''', REC)

code("news-reader", r'''
class NewsReader(Transformer):
    """One of the kinds: from ids (B, T) and lengths (B,) to logits (B, C)."""

    def __init__(self, kind):
        layers, block, with_positions, answers = KINDS[kind]
        super().__init__(len(vocab), len(classes), layers=layers, block=block, scale=0.1)
        self.dropout, self.answers = nn.Dropout(0.1), answers
        self.table *= with_positions

    def forward(self, ids, lengths):
        is_text = torch.arange(ids.shape[1], device=device) < lengths[:, None]  # (B, T)
        x = self.read(ids, is_text[:, None, None])  # (B, T, D)
        weights = is_text / lengths[:, None] if self.answers == "mean" else F.one_hot(lengths - 1, ids.shape[1])
        return self.answer((weights[:, :, None] * x).sum(dim=1))  # (B, C)


def batch_of(items):
    """Pairs of a label and a text's numbers become labels (B,), ids (B, T) and lengths (B,)."""
    labels, rows = zip(*items, strict=True)
    parts = torch.stack(labels), pad_sequence(rows, True), torch.tensor([len(row) for row in rows])
    return [part.to(device) for part in parts]
''', REC)

md("news-learn-text", r"""
The loop is `fit`, as for all networks of this lesson; its batches hold texts of like length. The texts were cut into words and numbered before any timer starts.
""")

code("news-learn", r'''
def learn(kind, seed, rate, epochs):
    torchnlp.set_seed(seed)
    model = NewsReader(kind).to(device)
    batches = torchnlp.LengthGroupedBatches([len(ids) for _, ids in news["learning"]], 32, seed=seed)
    chosen = itertools.chain.from_iterable(batches for _ in range(epochs))  # one epoch after the other

    def loss_of(model):
        labels, ids, lengths = batch_of([news["learning"][i] for i in next(chosen)])
        return F.cross_entropy(model(ids, lengths), labels)

    fit(model, loss_of, epochs * len(batches), rate)
    return model


@torch.no_grad()
def right_of(model, part):
    """Which texts of a part get the right class: a 1 or a 0 for each, as one text."""
    batches = [batch_of(news[part][i : i + 100]) for i in range(0, len(news[part]), 100)]
    right = [model.eval()(ids, lengths).argmax(dim=1) == labels for labels, ids, lengths in batches]
    return "".join("01"[one] for one in torch.cat(right).tolist())
''', REC)

code("news-table", r'''
def share(right):
    return right.count("1") / len(right)


def best_of(kind, seed, rates, epochs):
    """Train with each rate; return the network that is best on the validation split, and a row about it."""
    begin = time.perf_counter()
    models = {rate: learn(kind, seed, rate, epochs) for rate in rates}
    seconds = (time.perf_counter() - begin) / len(rates)  # of one training, all its epochs
    validation = {rate: share(right_of(model, "validation")) for rate, model in models.items()}
    rate = max(rates, key=validation.get)
    row = {"model": kind, "rate": rate, "epochs": epochs, "seconds": round(seconds, 2)}
    row |= {"validation": validation[rate], "learning": share(right_of(models[rate], "learning"))}
    return models[rate], row | {"right": right_of(models[rate], "test")}


def news_table(kinds, seeds, rates, epochs):
    return [{"seed": seed, **best_of(kind, seed, rates, epochs)[1]} for seed in seeds for kind in kinds]
''', REC)

md("news-lines-text", r"""
Two recorded tables, five seeds each: the course's own sample, and 2,000 texts of AG News. How is a difference judged? All networks answer the same test texts. So count the texts that only one of two networks gets right: if both were equally good, each would get about half of these. By **McNemar's test**, counts $a$ and $b$ differ by more than chance (which stays inside 19 times of 20) if $|a - b| > 2 \sqrt{a + b}$.

Before you look: topics hardly depend on the order of words. What do you expect of the bag? And does it matter which output answers?
""")

code("news-lines", r'''
def only(one, other):
    """How many texts only the first network gets right, and how many only the second."""
    pairs = Counter(zip(one, other, strict=True))
    return pairs["1", "0"], pairs["0", "1"]


def line_of(rows, bags):
    """A line of the table, from the rows of one kind and those of the bag of words."""
    shares = [share(row["right"]) for row in rows]
    counts = [only(row["right"], bag["right"]) for row, bag in zip(rows, bags, strict=True)]
    alone = [statistics.mean(count) for count in zip(*counts, strict=True)]
    learned, rate, seconds = (statistics.median(row[key] for row in rows) for key in ("learning", "rate", "seconds"))
    text = f"{statistics.mean(shares):.3f} ± {statistics.stdev(shares):.3f} {alone[0]:7.1f} {alone[1]:7.1f}"
    return f"{text}   {learned:.2f}   {rate:<5} {seconds:5.1f} s"
''')

code("news-show", r"""
means = []
for record in (torchnlp.recorded("news_sample"), torchnlp.recorded("news_ag")):
    print(record, f"{record.rows[0]['epochs']} epochs, {len(record.rows[0]['right']):,} test texts", sep="\n")
    print(f"{'':26}right           only it, the bag learned rate   time")
    table = {kind: [row for row in record.rows if row["model"] == kind] for kind in KINDS}
    means.append({kind: statistics.mean(share(row["right"]) for row in rows) for kind, rows in table.items()})
    for kind, rows in table.items():
        print(f"{kind:25}", line_of(rows, table["bag of words"]))

here = {}
for kind, rate in {"bag of words": 1e-2, "transformer, mean": 3e-3}.items():
    news_model, here[kind] = best_of(kind, SEED, [rate], epochs=10)
    right, accuracy = here[kind]["right"], share(here[kind]["right"])
    low, high = torchnlp.interval(right.count("1"), len(right))
    print(f"here, {kind}: {accuracy:.3f} of {len(right)} ({low:.2f} to {high:.2f}), {here[kind]['seconds']:.1f} s")
print("only the bag, only the transformer:", *only(*(row["right"] for row in here.values())))
""", IGN)

md("news-read", r"""
NEWS-READ: to be written from the recordings.
""")

code("errors", r'''
@torch.no_grad()
def occlude(model, ids):
    """Probabilities (1 + T, C) of a text (T,): as it is, and with each of its words in turn replaced by <unk>."""
    versions, places = ids.repeat(len(ids) + 1, 1), torch.arange(len(ids))
    versions[places + 1, places] = UNK
    return model.eval()(versions, torch.full((len(versions),), len(ids), device=device)).softmax(dim=1)


wrong = [place for place, right in enumerate(here["transformer, mean"]["right"]) if right == "0"]
for label, ids in [news["test"][place] for place in wrong[:3]]:
    probabilities = occlude(news_model, ids.to(device))
    said = probabilities[0].argmax()
    least, place = probabilities[1:, said].min(dim=0)  # where the answer falls most
    print(" ".join(vocab.itos[i] for i in ids)[:400])
    print(f"    {classes[label]}; the model says {classes[said]} with {probabilities[0, said]:.2f}")
    print(f"    without {vocab.itos[ids[place]]!r}: {classes[said]} with {least:.2f}\n")
''', IGN)

md("errors-read", r"""
Look at the first number: a network can be wrong and quite sure. And look at the texts: every `<unk>` is the same to the model, however much the word tells you. The last line of each names the word on which the wrong answer depends most: with `<unk>` in its place, and all other words where they were, its probability falls most. Is it a word that speaks for this topic? Where the answer hardly falls, no single word decides: several may share it, or stand in for each other.
""")

code("news-claim", r"""
assert medians["attention"][-1] > medians["LSTM"][-1]
assert medians["attention"][0] < medians["LSTM"][0]
assert medians["GRU"][-1] > medians["LSTM"][-1]
assert all(table["LSTM, mean of states"] > table["LSTM, last state"] + 0.02 for table in means)
assert all(table["bag of words"] > table["LSTM, last state"] + 0.02 for table in means)
assert not is_news or abs(accuracy - means[len(train_texts) > 1_000]["transformer, mean"]) < 0.16
""", CLAIM)

md("takeaways", r"""
## Takeaways

- Self-attention lets each token ask all others. Queries, keys and values are three views of the same vectors; scores are divided by $\sqrt d$ so that their size does not grow with $d$.
- Without a causal mask it does not see order. Positions are added as vectors, and a head can learn to look at a fixed distance.
- A mask hides places: padding (from the lengths) and the future (from the places). No row may be masked whole.
- Heads cut the same parameters into several weighted means. In our task and its 400 steps one head got three of four letters, four heads all four.
- A block is $x + \text{attn}(\text{ln}(x))$, then $x + \text{mlp}(\text{ln}(x))$. Trained without a mask to say hidden words it makes BERT; with a causal mask to say the next token, GPT; with a second attention, a translator.
- All tokens at once: one step instead of $T$, for work that grows like $T^2$. On our machine faster than an LSTM on short texts, slower on long ones.
- With one or two thousand texts and nothing read before, TAKEAWAY-NEWS. Always train the simplest network, too.

## What next

Lesson 3 looks at an encoder that read a large part of the web before it ever saw your news: BERT, and what it learned.
""")

md("hood", r"""
## Deeper: What the helper did under the hood

Attention, masks, positions, blocks, networks and their training stand in this notebook. `torchnlp.py` did the rest:

| call | what it does |
|---|---|
| `load_texts()`, `build_vocab(..., min_freq=2)` | the news, and a vocabulary without words that occur once |
| `encode(text, vocab)`, `targets(items)` | the numbers of a text's tokens; labels 0 to C − 1 |
| `LengthGroupedBatches(...)` | batches of texts of like length, in random order |
| `date_sentences(...)` | lesson 1's dates |
| `interval(right, n)` | Wilson's 95-percent interval of a share |
| `recorded(name)` | the rows of an experiment that took longer than a lesson may, and where they come from |
| `plot_attention(...)`, `show(...)` | a heat map with labels; a figure with a text for those who cannot see it |

For instance, what a test part of 200 texts can tell, and what one of 1,000, as in the table on AG News:
""", collapsed=True)

code("hood-interval", r"""
for n in (200, 1_000):
    low, high = torchnlp.interval(round(0.85 * n), n)
    print(f"0.85 of {n:,}: the true share lies between {low:.3f} and {high:.3f}")
""")

old = nbformat.read("_main.ipynb", as_version=4)
ids = [cell.id for cell in old.cells]
exercises = old.cells[ids.index("exercises") : ids.index("takeaways")]
for cell in exercises:
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    cells.append(cell)

md("check-yourself", r"""
## Check yourself

Answer aloud before you open an answer.

<details><summary>Why are the scores divided by the root of d?</summary>

A score is a sum of d products. If the elements of query and key are independent with mean 0 and variance 1, the sum has variance d. If d is large, softmax then gives nearly everything to one place before anything is learned, and hardly any gradient reaches the scores. Divided by the root of d, the scores have variance 1, whatever d is.
</details>

<details><summary>Why does a transformer need positions, and which one can do without?</summary>

Without a mask, attention treats a text as a bag: put the tokens into another order, and you get the same vectors in that order. In the ablation, the network without positions could know which letters a string has, but not where they stand: it got about as many right as who always writes the most frequent one. With a causal mask each token sees one token more than the one before it, so such a model can learn where it is, even without positions.
</details>

<details><summary>What does a mask hide, and where does it come from?</summary>

It hides places from a query: their scores become minus infinity, so their weights are exactly 0. The padding mask hides places that are no text, the same columns for every row; it comes from the lengths of the texts. The causal mask hides the future, everything to the right of the diagonal; it comes from the places alone. Together, a place must be allowed by both.
</details>

<details><summary>What would change if there were only one head?</summary>

Not the number of parameters: heads only cut the same queries, keys and values. But each token would get one weighted mean instead of several. In the lesson's task, which needs four places at once, one head got three of four letters in 400 steps, and four heads, which began with the same weights, all four.
</details>

<details><summary>What makes a GPT of this block?</summary>

The causal mask, and training to predict the next token: each output is the logits for the token after it, and sees nothing to its right. With no mask but the padding mask, and trained to say hidden words, the same block is that of BERT. With a second attention, to an encoder's output, it becomes the decoder of a translator.
</details>

<details><summary>When is attention slower than a recurrent network?</summary>

When the text is long and the device has few cores. Its work grows with the square of the length, that of a recurrent layer in proportion to the length: by counting, attention has more than an LSTM once the text is longer than twice the width, and more than a GRU once it is longer than the width. But a recurrent layer must wait T times; one expects attention to stay ahead longer where a device can do much side by side. How well a library has written the layer counts, too. While writing, both must wait for each token.
</details>
""")

code("time", r"""
print(f"This lesson took {time.perf_counter() - started:.0f} s.")
""", IGN)

if __name__ == "__main__":
    notebook = new_notebook(cells=cells, metadata=old.metadata)
    nbformat.validate(notebook)
    nbformat.write(notebook, PATH)
    code_cells = [cell for cell in cells if cell.cell_type == "code"]
    for cell in code_cells:
        if len(cell.source.splitlines()) > 20:
            print(cell.id, len(cell.source.splitlines()), "lines")
    lengths = sorted(len(cell.source.splitlines()) for cell in code_cells)
    print(len(code_cells), "code cells, median", lengths[len(lengths) // 2])
