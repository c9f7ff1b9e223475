"""Build lesson 6 and its solutions: python build_l6.py [LESSON.ipynb SOLUTIONS.ipynb]. Removed at the merge.

What stands in capitals, such as LADDER-READ, is a sentence that depends on a run; the comment above it says which
outputs it reads and what it should say. Every other number in the prose stands in code. The experiments for
benchmarks/record.py, the guessed thresholds and what to measure first stand in notes_l6.md.
"""
# ruff: noqa: E501 - markdown lines may be long

import re
import sys
import textwrap
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent
FOLDER = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
IGNORED, CLAIM, RECORDED = "nbval-ignore-output", "claim", "recorded"
lesson, solutions = [], []
cells = lesson


def md(name: str, text: str) -> None:
    """Add a markdown cell; a Deeper section is collapsed."""
    text = text.strip("\n")
    metadata = {"jp-MarkdownHeadingCollapsed": True} if re.match(r"#+ Deeper:", text) else {}
    cell = nbformat.v4.new_markdown_cell(text, metadata=metadata)
    cell["id"] = name
    cells.append(cell)


def wrapped(match: re.Match) -> str:
    """ALT{...} as an assignment within the length of a line."""
    lines = textwrap.wrap(" ".join(match.group(1).split()), 108)
    if len(lines) == 1:
        return f'alt = "{lines[0]}"'
    parts = [line + " " * (i < len(lines) - 1) for i, line in enumerate(lines)]
    return "alt = (\n" + "\n".join(f'    "{part}"' for part in parts) + "\n)"


def code(name: str, text: str, *tags: str) -> None:
    """Add a code cell; three single quotes stand for a docstring's double ones."""
    text = re.sub(r"^ALT\{(.*?)\}$", wrapped, text, flags=re.DOTALL | re.MULTILINE).replace("'''", '"""')
    cell = nbformat.v4.new_code_cell(text.strip("\n"), metadata={"tags": sorted(tags)} if tags else {})
    cell["id"] = name
    cells.append(cell)


# ------------------------------------------------------------------------------------------------------------ opening
md(
    "title",
    r"""
# Lesson 6: Faster and bigger

Lesson 4 taught BERT to sort news. Now you make that training **faster**, one change at a time, and let a measurement decide which changes stay. Then you make it **bigger**: number formats of half the size, batches that memory does not hold, two processes instead of one, and a plan for sixty-four GPUs.

You need no GPU. The whole lesson runs in about two and a half minutes on two cores. The last cell prints how long it took you; `benchmarks/README.md` lists what we measured, and on which machines.
""",
)
md(
    "goals",
    r"""
## What you will learn

1. How to make a training faster: profile, predict, change one thing, measure in turn with the state before, and reject what does not beat the noise.
2. What mixed precision computes in which number format, and what training keeps in memory.
3. How data parallel training works, how to start it on one machine or many, how it survives a kill, and how far it scales.

**What you need:** lesson 4, or to know word pieces, padding, the attention mask, dropout, the parts of a transformer layer, the head at `[CLS]`, AdamW, a learning rate and fine-tuning.

Sections whose heading begins with "Deeper" are folded. Nothing else needs them; open those that you are curious about.
""",
)
code(
    "setup",
    r"""
import contextlib
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import transformers
from torch import nn

import torchnlp
from torchnlp import COLOURS, device

SEED = 0
""",
    RECORDED,
)
md(
    "predict-first",
    r"""
## Before you run anything

Here are five changes to a training loop of BERT. None of them needs another machine. Which one saves most of the time, which one nothing?

- **Tokenise together**: give the tokenizer all texts of a batch at once, instead of one by one.
- **Group lengths**: put texts of like length into one batch, so that little is padded.
- **No dropout**: stop drawing random numbers.
- **Fused optimizer**: update all weights in one walk through memory.
- **One token in the last layer**: the head reads the vector of `[CLS]` only, so let the last layer compute no other.

Write your order down; the section *Measure* will answer. And a harder question: somebody says that a change made a program 3 % faster. What would you have to see before you believe it?
""",
)
md(
    "big-picture",
    r"""
## The big picture

![One training step as a timeline, in three rows. The CPU tokenises and copies. The GPU, or whatever computes, does the forward pass, then the backward pass through the layers from the last to the first and the word vectors, then the optimizer. The network row, used by several processes only, exchanges gradients in four buckets, each as soon as its part of the backward pass is done; three of them travel while the backward pass goes on, the last one is waited for. Below, five changes and what each shortens: group by length, forward and backward; a larger batch, exchange and optimizer, once for more texts; bfloat16, the products in forward and backward; a fused optimizer, the optimizer; only words that occur, the last part of the backward pass, the last bucket and the optimizer. The widths are made up.](figures/step-timeline.svg)

One training step has four regions on every machine. It tokenises the texts of a batch. The **forward pass** computes the loss. The **backward pass** computes the gradient of each weight. The **optimizer** updates the weights. With several processes an exchange of gradients comes in between, in the drawing in four bundles (buckets); that is the second half of this lesson.

Each change shortens some regions and leaves the others alone. So its gain can be predicted, once you know how long each region is. That is what you measure first, on your machine, in place of these made-up widths.
""",
)

# ---------------------------------------------------------------------------------------------------------------- toy
md(
    "toy-text",
    r"""
## The idea by hand: what padding costs

A batch is a table, as wide as its longest text. The model computes every **position** of it, whether a word piece stands there or padding. So count positions. Six texts of one to six pieces come in batches of two, in the order in which they were drawn.

**Predict:** how many positions do the three tables have? And if you sort the texts by length first?

The cell counts by a loop, one by one. The course's own `LengthGroupedBatches` shuffles the texts, sorts large pools of them by length, cuts the pools into batches, and shuffles the batches.
""",
)
code(
    "toy",
    r"""
drawn = [6, 1, 5, 2, 4, 3]  # word pieces of six texts


def positions_by_loop(batches):
    return sum(1 for batch in batches for _ in batch for _ in range(max(batch)))


def positions(batches):
    return sum(len(batch) * max(batch) for batch in batches)


toy = {"as drawn": drawn, "sorted": sorted(drawn)}
toy = {name: [row[i : i + 2] for i in range(0, 6, 2)] for name, row in toy.items()}
grouped = torchnlp.LengthGroupedBatches(drawn, batch_size=2, seed=SEED)
toy["grouped"] = [[drawn[i] for i in batch] for batch in grouped]
toy_positions = {name: positions_by_loop(batches) for name, batches in toy.items()}
print(f"{sum(drawn)} pieces; positions:", toy_positions)
""",
)
md(
    "toy-read",
    r"""
There are 21 pieces. The texts as drawn take 30 positions, the sorted ones 24: a fifth of the work is gone, and the texts are the same. Grouping finds the same batches, in some order. The risk: texts of like length may be alike in other ways. If all short ones were of one class, a batch would show the model that class only. Pools and shuffled batches soften this. The folded section *What did not help* counts how one-sided the batches of these news become; whether it harms is a question of accuracy, which would have to be measured before one keeps it. On the ladder below, the clock decides first.

## The job

The news of lesson 4, its model (6 layers of width 384, 22.7 million weights) and its tokenizer. A hundred of the training texts are **held out**: the validation split, on which the learning rates of this lesson were chosen. (The rungs of the ladder are chosen by the clock.) The test items are looked at once, at the end of a training.

(The lesson runs on texts of your own, too; the README says how. Then what is claimed about news is left out.)
""",
)
code(
    "load",
    r"""
TIMED = 16  # texts of one measurement
started = time.perf_counter()
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
train_dataset, test_dataset, classes, _ = torchnlp.load_dataset()
on_sample = classes == torchnlp.CLASSES and 1000 <= len(train_dataset) < 4000
model_name = torchnlp.model_folder()
tokenizer = transformers.BertTokenizer.from_pretrained(model_name)
MAX_LENGTH = 128

shuffled = random.Random(SEED).sample(train_dataset, len(train_dataset))
size = max(1, min(100, len(shuffled) // 5))
held_out, train_items, test_items = shuffled[:size], shuffled[size:], test_dataset[:200]


def pieces_of(items):
    return tokenizer([text for _, text in items], truncation=True, max_length=MAX_LENGTH)["input_ids"]


def draw(size, seed):
    '''So many training items in random order; where there are too few, they come again.'''
    order = random.Random(seed).sample(train_items, len(train_items))
    return list(itertools.islice(itertools.cycle(order), size))
""",
    RECORDED,
)
md(
    "rungs-text",
    r"""
## A ladder of changes

The bottom of the ladder is a loop as old courses have it: it tokenises texts one by one, forms random batches of 8, uses dropout, and lets a simple AdamW update all weights. Each **rung** changes one setting. The first "change" changes nothing: it will show what the noise alone does (elsewhere called an A/A test).

Two rungs depend on the machine. `bfloat16` computes matrix products in a format of half the size, where the hardware has instructions for it (with `autocast`, which the section on precision explains). `chosen attention` takes the form of attention that the course's helper `torchnlp` recommends for your device and format: `eager` is written out, product by product; with `sdpa` PyTorch chooses, a fused form where it has one. Where a rung changes nothing on your machine, it is left out.
""",
)
code(
    "rungs",
    r"""
OLD_LOOP = {
    "together": False,  # tokenise the texts of a batch in one call?
    "grouped": False,  # batches of like length?
    "dropout": 0.1,
    "fused": False,  # AdamW in one walk through memory?
    "autocast": False,  # matrix products in bfloat16?
    "attention": "sdpa",  # PyTorch's fused form, which transformers takes unless told otherwise
    "first_token": False,  # does the last layer compute one token only?
    "occurring": False,  # are only those word vectors trained that occur in the texts?
    "batch": 8,
    "rate": 2e-5,
}
probe, _ = torchnlp.prepare_optimizer(nn.Linear(1, 1).to(device), lr=1e-4, iterations=1)
CHANGES = {
    "the same again": {},
    "tokenised together": {"together": True},
    "lengths grouped": {"grouped": True},
    "no dropout": {"dropout": 0.0},
    "fused AdamW": {"fused": probe.defaults["fused"]},  # where the device has one
    "bfloat16": {"autocast": torchnlp.precision() == "bfloat16"},
    "chosen attention": {"attention": torchnlp.attention_implementation()},
    "last layer: one token": {"first_token": True},
    "words that occur": {"occurring": True},
}
""",
    RECORDED,
)
md(
    "batches-text",
    r"""
Three pieces of code make a rung run. First, the batches, and two ways to tokenise them. They must give the same tensors.
""",
)
code(
    "batches",
    r"""
def batches_of(items, settings, seed=SEED):
    '''The items in batches. To group them, their lengths must be known, and finding them takes time, too.'''
    if settings["grouped"]:
        groups = torchnlp.LengthGroupedBatches(map(len, pieces_of(items)), settings["batch"], seed=seed)
    else:
        order = random.Random(seed).sample(range(len(items)), len(items))
        groups = [order[i : i + settings["batch"]] for i in range(0, len(order), settings["batch"])]
    return [[items[i] for i in group] for group in groups]


def collate_singly(items):
    rows = [torch.tensor(tokenizer.encode(text, truncation=True, max_length=MAX_LENGTH)) for _, text in items]
    ones = [torch.ones_like(row) for row in rows]
    ids, mask = (nn.utils.rnn.pad_sequence(part, batch_first=True) for part in (rows, ones))  # (B, T), (B, T)
    return {"input_ids": ids, "attention_mask": mask, "labels": torchnlp.targets(items)}


collate_together = torchnlp.BertCollate(tokenizer, MAX_LENGTH)
singly, together = collate_singly(train_items[:8]), collate_together(train_items[:8])
print({name: tuple(tensor.shape) for name, tensor in together.items()})
""",
    RECORDED,
)
code(
    "batches-claim",
    r"""
assert toy_positions == {name: positions(batches) for name, batches in toy.items()}
assert toy_positions["grouped"] == toy_positions["sorted"] < toy_positions["as drawn"]
for name, tensor in singly.items():
    torch.testing.assert_close(together[name], tensor)
""",
    CLAIM,
)
md(
    "build-text",
    r"""
Loop, formula and helper count alike, and both ways to tokenise give the same tensors. Throughout the course, assertions say so; they would stop the notebook if it were not true.

Second, the model and its optimizer, built anew for each rung from the same weights. `read_first_token_only` replaces the last layer, and `occurring_rows` is a block within which only those word vectors are trained that the texts look up. Both give the same result as the full computation; the proofs stand in a folded section below.
""",
)
code(
    "build",
    r"""
@contextlib.contextmanager
def training(settings, items, seed=SEED):
    '''Model and optimizer, made to be trained on these items within the block.'''
    torchnlp.set_seed(seed)  # the same new head each time
    dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), settings["dropout"])
    options = {"num_labels": len(classes), "attn_implementation": settings["attention"], **dropout}
    model = transformers.BertForSequenceClassification.from_pretrained(
        model_name, use_safetensors=True, ignore_mismatched_sizes=True, **options
    )
    model = torchnlp.new_head(model, classes).to(device)
    if settings["first_token"]:
        torchnlp.read_first_token_only(model)
    with torchnlp.occurring_rows(model, pieces_of(items)) if settings["occurring"] else contextlib.nullcontext():
        form = {"fused": settings["fused"], "foreach": False}
        yield model, torch.optim.AdamW(model.parameters(), settings["rate"], weight_decay=0.01, **form)
""",
    RECORDED,
)
md(
    "step-text",
    r"""
Third, the loop itself, with its four regions. A GPU works on while Python runs ahead, so a clock that is read at once measures nothing. Asking for a number with `.item()` waits until the GPU is done.
""",
)
code(
    "step",
    r"""
@contextlib.contextmanager
def region(name, parts):
    begin = time.perf_counter()
    yield
    if parts is not None:
        torch.zeros(1, device=device).item()  # waits for the device
        parts[name] = parts.get(name, 0) + time.perf_counter() - begin


def train_on(run, items, settings, parts=None):
    '''One pass through the items; parts, a dict, collects the seconds of each region.'''
    model, optimizer = run
    collate = collate_together if settings["together"] else collate_singly
    for batch in batches_of(items, settings):
        with region("tokenise", parts):
            inputs = {name: tensor.to(device) for name, tensor in collate(batch).items()}
        with region("forward", parts), torchnlp.autocast() if settings["autocast"] else contextlib.nullcontext():
            loss = model.train()(**inputs).loss
        with region("backward", parts):
            optimizer.zero_grad()
            loss.backward()
        with region("optimizer", parts):
            optimizer.step()
    loss.item()  # waits for the device
""",
    RECORDED,
)

# ------------------------------------------------------------------------------------------------------------ profile
md(
    "profile-text",
    r"""
## Profile first

Where does the time go? Do not guess: a **profile** says which part of a program takes how long. One batch goes first and is not counted, since everything is new then.

**Predict:** how much of a step is tokenising, how much the optimizer?
""",
)
code(
    "profile",
    r"""
timed_items, parts = draw(TIMED, SEED), {}
with training(OLD_LOOP, timed_items) as run:
    train_on(run, timed_items[:8], OLD_LOOP)  # not counted
    train_on(run, timed_items, OLD_LOOP, parts)
for name, seconds in parts.items():
    share = seconds / sum(parts.values())
    print(f"{name:10}{1000 * seconds / TIMED:8.2f} ms for each text {share:5.0%} {'#' * round(50 * share)}")
""",
    IGNORED,
)
md(
    "profile-read",
    r"""
Tokenising hardly shows. Forward and backward pass take most of the time. The optimizer has a share that one notices, although it computes little: it walks through all weights once for each batch, however few texts that has.

A change can save no more than the share of the region that it shortens. That is **Amdahl's law**, and it is why one profiles first. So what is the most that tokenising together can bring? (Measured savings stray around this bound like all measurements.)

(On a GPU the cell waits for the device after each region, which makes a step a little slower than it is. There the optimizer and the many small operations weigh more.)
""",
)
md(
    "rates-text",
    r"""
### What the predictions rest on

Some predictions are counts: positions, weights, numbers that move through memory. Others need a rate of your machine: how fast are its matrix products in each format, how long does a random number take?
""",
)
code(
    "rates",
    r"""
def seconds_of(work, *inputs, duration=0.2):
    '''The seconds of one call.'''
    work(*inputs).sum().item()  # not counted
    begin, calls = time.perf_counter(), 0
    while time.perf_counter() - begin < duration:
        for _ in range(5):
            result = work(*inputs)
        result.sum().item()  # waits for the device
        calls += 5
    return (time.perf_counter() - begin) / calls


rates = {}
for dtype in (torch.float32, torch.bfloat16):
    left, right = (torch.randn(shape, device=device).to(dtype) for shape in ((512, 384), (384, 1536)))
    rates[dtype] = 2 * 512 * 384 * 1536 / seconds_of(torch.matmul, left, right)  # operations a second
    print(f"products in {str(dtype)[6:]:8} {rates[dtype] / 1e9:9,.0f} GFLOP/s")
hidden = torch.randn(8, 64, 384, device=device)
per_random_number = seconds_of(F.dropout, hidden, 0.1) / hidden.numel()
config, all_weights = run[0].config, sum(weight.numel() for weight in run[0].parameters())
L, D, H = config.num_hidden_layers, config.hidden_size, config.num_attention_heads
absent = config.vocab_size - len({tokenizer.pad_token_id}.union(*pieces_of(timed_items)))
print(f"dropout {1e9 * per_random_number:.2f} ns a number; {absent:,} of {config.vocab_size:,} words do not occur")
""",
    IGNORED,
)
md(
    "rates-read",
    r"""
GFLOP/s are billions of floating-point operations a second, where a multiplication and an addition are two. The processor of the stored run has instructions for bfloat16, and multiplies more than twice as fast in it. Without such instructions bfloat16 is slower than float32, since each number is converted there and back. So `precision()` asks the hardware first, and where it says no, that rung is left out.

### The prediction, before the run

A prediction is a factor for each region that a change shortens. It is one small function; the factors are the thought:

- *tokenised together*: at best the region vanishes.
- *lengths grouped*: forward and backward shrink with the positions. Your run will time eight texts, which make one batch: there is nothing to sort.
- *no dropout*: count the numbers drawn, in the embeddings, twice in each layer and once for each attention weight.
- *fused AdamW*: the simple form moves 20 numbers through memory for each weight, the fused one 7 (the first folded section counts them).
- *bfloat16*: forward and backward shrink as if they were products and nothing else: the most it can be.
- *chosen attention*: both forms do nearly the same arithmetic, so no factor.
- *last layer*: count the weights of a layer in squares of $D \times D$. Queries, keys, values and output are one each; the two matrices of the feed-forward part, four times as wide, are four each: 12. Keys and values are still needed for all tokens; the other 10 for one only.
- *words that occur*: the optimizer walks through fewer weights. (The end of the backward pass fills fewer numbers, too; not counted.)
""",
)
code(
    "predicted",
    r"""
def predict(parts, factors):
    '''The seconds of each region after a change.'''
    return {name: seconds * factors.get(name, 1) for name, seconds in parts.items()}


def widths(items, grouped=False):
    return [list(map(len, pieces_of(batch))) for batch in batches_of(items, OLD_LOOP | {"grouped": grouped})]


both, drawn, eight = ("forward", "backward"), widths(timed_items), timed_items[:8]
random_numbers = (2 * L + 1) * D * positions(drawn)  # after the embeddings, and twice in each layer
random_numbers += L * H * sum(len(batch) * max(batch) ** 2 for batch in drawn)  # for each attention weight
factors = {
    "tokenised together": {"tokenise": 0},
    "lengths grouped": dict.fromkeys(both, positions(widths(eight, True)) / positions(widths(eight))),
    "no dropout": {"forward": max(0, 1 - random_numbers * per_random_number / parts["forward"])},
    "fused AdamW": {"optimizer": 7 / 20},
    "bfloat16": dict.fromkeys(both, min(1, rates[torch.float32] / rates[torch.bfloat16])),
    "last layer: one token": dict.fromkeys(both, 1 - 10 / 12 / L),
    "words that occur": {"optimizer": 1 - absent * D / all_weights},
}
regions = parts
for name, change in factors.items():
    before, regions = regions, predict(regions, change)
    print(f"{name:22}{sum(regions.values()) / sum(before.values()):5.2f} of the time before it")
""",
    IGNORED,
)
md(
    "predicted-read",
    r"""
Each line supposes that all changes before it were kept (the table after the measurement supposes only those that were): the same factor means less where its region has become short. (About half of all weights are word vectors, also called token embeddings, and few texts look up few of them.) A prediction that is written down can be wrong in public. That is its use: where it misses, there is something to learn.

## Measure

Three rules make a time comparable. First, both settings take **the same texts**, in turn, every second time in reverse order: before, after, after, before. What disturbs the machine for long then disturbs both. Second, each measurement builds its model anew. Where in memory code and numbers happen to lie can change a time by some percent ([Mytkowicz et al. 2009](https://doi.org/10.1145/1508244.1508275)); one pair of models, measured ever so often, would only repeat that accident. (A new model moves some of it, not all: the process stays the same. So what is measured holds for this process, on this day.) Third, the result is the median of many ratios of two neighbours, since a short disturbance may hit one of them only; and their range is shown with it.
""",
)
code(
    "alternate",
    r"""
def alternate(old, new, items, repeats):
    '''The seconds for each text with two settings, in turn on the same items, each time with a new model: two lists.'''
    seconds = [], []
    for repeat in range(repeats):
        turns = [(old, seconds[0]), (new, seconds[1])]
        for settings, noted in turns[:: (-1) ** repeat]:
            with training(settings, items) as run:
                train_on(run, items[:2], settings)  # not counted
                begin = time.perf_counter()
                train_on(run, items, settings)
                noted.append((time.perf_counter() - begin) / len(items))
    return seconds


def noise_band(ratios):
    '''What a median of so many ratios does by chance: draw them anew, and see how far from 1 it lies in 95 %.'''
    chance = random.Random(SEED)
    far = [abs(statistics.median(chance.choices(ratios, k=len(ratios))) - 1) for _ in range(1000)]
    return sorted(far)[949]
""",
    RECORDED,
)
md(
    "ladder-text",
    r"""
How much does a time differ when nothing differs? The first rung is *the same again*: its ratios would all be 1 on a perfect machine. The median of many ratios strays less than a single ratio does. `noise_band` asks how far: it draws as many of these ratios with replacement, takes the median, and does so a thousand times (this is called the bootstrap). The distance from 1 within which 95 % of these medians lie is the **noise band**. It is measured at the bottom and taken for all rungs, which supposes that ratios stray there as they do higher up. A change is kept if its median ratio is below the band, else rejected; and what is rejected is not built upon. (If the band is wide, something else keeps your machine busy. End that, and run the cell again.)
""",
)
code(
    "ladder",
    r"""
def ladder(repeats, size, seeds):
    '''Time each change in turn with the best settings so far, and keep what beats the noise: a row for each.'''
    rows = []
    for seed in seeds:
        items, settings, band = draw(size, seed), OLD_LOOP, 0.0
        for name, change in CHANGES.items():
            changed = {**settings, **change}
            if change and changed == settings:
                continue  # this machine has nothing to change here
            before, after = alternate(settings, changed, items, repeats)
            ratios = [b / a for a, b in zip(before, after, strict=True)]
            if not change:
                band = noise_band(ratios)
            kept = statistics.median(ratios) < 1 - band
            row = {"seed": seed, "change": name, "ratio": statistics.median(ratios), "band": band, "kept": kept}
            row |= {"low": min(ratios), "high": max(ratios)}
            rows.append(row | {"before": statistics.median(before), "after": statistics.median(after)})
            settings = changed if kept else settings
    return rows
""",
    RECORDED,
)
code(
    "climb",
    r"""
climbed, regions = ladder(repeats=6, size=8, seeds=[SEED]), parts
print("time after / before       predicted    measured (range)")
predicted, saved, left, top = {}, {}, 1.0, OLD_LOOP
for row in climbed:
    name, ratio = row["change"], row["ratio"]
    after = predict(regions, factors.get(name, {}))
    predicted[name] = sum(after.values()) / sum(regions.values())
    measured = f"{ratio:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    print(f"{name:26}{predicted[name]:8.2f}    {measured}  {'keep' if row['kept'] else 'reject'}")
    if row["kept"]:
        saved[name], left = left * (1 - ratio), left * ratio
        regions, top = after, top | CHANGES[name]
print(f"noise band 1 ± {climbed[0]['band']:.2f}")
shares = ", ".join(f"{name} {saved[name]:.2f}" for name in sorted(saved, key=saved.get, reverse=True))
print("saved, of the time at the bottom:", shares or "nothing that beats the noise")
old, new = alternate(OLD_LOOP, top, draw(8, SEED), repeats=2)
ends = [statistics.mean(seconds) for seconds in (old, new)]
print(f"bottom and top in turn: {1000 * ends[0]:.0f} and {1000 * ends[1]:.0f} ms for each text, ", end="")
print(f"ratio {ends[1] / ends[0]:.2f}; kept ratios multiplied: {left:.2f}")
""",
    IGNORED,
)
md(
    "ladder-read",
    r"""
The first row says how much you may believe. Nothing was changed there, and its median strays all the same; the noise band says how far a median of so few measurements may stray by chance. It is itself uncertain, since the bootstrap has six ratios to draw from and no more. One or two disturbed measurements make it wide, and then changes are rejected which sixteen measurements find again and again, as the figure below shows. Six that happen to agree make it narrow, and then too much is kept. So a rejection is no proof that a change does nothing. It says that this measurement cannot tell; and what one cannot tell, one does not build upon.

A ratio is one of the time *before that rung*. The line below the band counts from the bottom, and is the answer to your list: which of the kept changes saved most of the old loop's time. (In another order of the rungs the shares would differ a little.) The last line compares bottom and top directly, twice. If the kept ratios multiplied promise more than that, one reason may be the choice: of many ratios one keeps those that came out small, and some of them were lucky. But two comparisons are few, so the difference may be chance.
""",
)
code(
    "ladder-plot",
    r"""
ladder_record, names, left = torchnlp.recorded("ladder"), list(CHANGES), 1.0
print(ladder_record)
for name in names:
    rows = [row for row in ladder_record.rows if row["change"] == name]
    medians = " ".join(f"{row['ratio']:.2f} (± {row['band']:.2f})" for row in rows)
    ratio = statistics.mean(row["ratio"] if row["kept"] else 1 for row in rows)
    print(f"{name:22} {medians}  kept in {sum(row['kept'] for row in rows)} of 3, saves {left * (1 - ratio):.2f}")
    left *= ratio
fig, ax = plt.subplots(figsize=(9, 4.4), layout="constrained")
for rows, colour, up, label in ((ladder_record.rows, "blue", 0.1, "recorded"), (climbed, "orange", -0.2, "your run")):
    for i, row in enumerate(rows):
        y = names.index(row["change"]) + up + 0.12 * row["seed"]
        ax.plot([row["low"], row["high"]], [y, y], color=COLOURS[colour], linewidth=2, alpha=0.6)
        ax.plot(row["ratio"], y, "o", color=COLOURS[colour], markersize=5, label=None if i else label)
narrow = max(row["band"] for row in ladder_record.rows)
ax.axvspan(1 - narrow, 1 + narrow, color="gray", alpha=0.35, label="widest recorded band")
edges = [1 - climbed[0]["band"], 1 + climbed[0]["band"]]
ax.vlines(edges, -0.5, len(names) - 0.5, COLOURS["orange"], "dashed", label="your noise band")
ax.plot([*predicted.values()], [names.index(name) for name in predicted], "kD", fillstyle="none", label="predicted")
ax.set_yticks(range(len(names)), names)
ax.invert_yaxis()
ax.set(xlabel="time after the change / time before it")
fig.legend(loc="outside upper center", ncols=5)
alt = "Ratios of times with ranges, yours and recorded. Six changes lie left of the grey recorded noise band."
torchnlp.show(fig, alt)
""",
    IGNORED,
)
md(
    "ladder-plot-read",
    r"""
The recorded runs have sixteen measurements where yours has six, so their bands, 0.04 to 0.05, rest on more. (Yours may be wider or narrower: machines differ, and six ratios may agree by chance.) There even sixteen measurements could not confirm that a program is 3 % faster. Six changes were kept in each of the three runs, and their medians differ by a few hundredths from seed to seed. Which gave most, and which nothing? The last number of each line counts from the bottom, as above: *bfloat16* saved most, about a fifth of the time there; *no dropout*, *fused AdamW* and *chosen attention* about an eighth each; the last two rungs less than a twentieth each. *Tokenised together* was kept in none, as Amdahl's law said. So of the five on your list: *no dropout* and *fused AdamW*, then *one token in the last layer*, tokenising nothing, and grouping cannot be told here.

That row is a second test of the band, since its region is next to nothing. Once it came out at 1.05 with a band of 0.04: noise, outside of the band. Downward, one would have kept it. So the band is a little too narrow; and it is asked eight times in each run, where even a perfect one errs now and then. Believe what was kept in all runs, and doubt what was kept once.

*Lengths grouped* is such a case: 1.03, 0.93 and 0.97, kept in one of three. What sorting can save depends on the texts, and sixteen make two batches. So this rung was hardly tested, and what is not kept in most runs is not built upon here. It does not mean that grouping is useless: larger pools save more, as the folded section *What did not help* counts. A measurement answers the question that it asked.

Where measurements lie far from the prediction, a thought was wrong. *bfloat16* gains less than predicted, and *chosen attention*, which had no factor at all, gains: the fused form must be slow in this format, so that bfloat16 loses there what the next rung wins back; count the two as one change, which leaves little more than half of the time. That is a finding, and the section on precision follows it up. And *no dropout* gains more: on a CPU it also lets PyTorch's fused form of attention run. (Without bfloat16 instructions both are left out. The folded section *Reading the ladder closely* has the other misses.)

A ratio of times says nothing of what was learned. Most rungs cannot change that, apart from rounding: the folded proofs show it. Three can: grouping changes which texts meet in a batch, dropout adds noise, bfloat16 rounds. And other changes were left out of the ladder because they are all about learning: the learning rate and the size of a batch. These need another ruler.
""",
)

# --------------------------------------------------------------------------------------------------- seconds to 90 %
md(
    "until-text",
    r"""
## The ruler that counts: seconds until 90 %

Train until 90 % of the held-out texts are right, in two looks in a row: one look may be luck. (Both looks are at the same hundred texts, so a part of the luck they share.) Look every 48 texts, and stop the clock while you look. This measures speed and learning together; elsewhere it is called **time to accuracy** ([Coleman et al. 2017](https://dawn.cs.stanford.edu/benchmark/papers/nips17-dawnbench.pdf)).

A fair comparison tunes all sides alike. So each way was recorded with four learning rates (5e-5, for the old loop 2e-5; 1e-4, 2e-4, 3e-4) and three seeds, and the rate that needed the fewest texts is taken: the old loop, too, gets its best one. But whoever takes the best of four is a little lucky. So each way was run **again**, with that rate and five new seeds. Choose on some runs, believe the others.

The *ladder* is the old loop with all rungs that gained in the recorded runs. Two variants of it change what is learned: dropout again; and batches of 16, which need half as many updates for the same texts.

**Predict:** how many times as long as the ladder does the tuned old loop take? And the old loop with 2e-5, the rate of many an old course? Which way is quickest where the rates were chosen, and is it with new seeds?
""",
)
code(
    "ways",
    r"""
NOT_KEPT = "the same again", "tokenised together", "lengths grouped"  # in most of the recorded runs
GAINED = [change for name, change in CHANGES.items() if name not in NOT_KEPT]
TOP = OLD_LOOP | {setting: value for change in GAINED for setting, value in change.items()}
WAYS = {"old loop": OLD_LOOP, "ladder": TOP, "ladder, with dropout": TOP | {"dropout": 0.1}}
WAYS |= {"ladder, batches of 16": TOP | {"batch": 16}}


def accuracy_on(items, model):
    logits = torchnlp.predict(model, tokenizer, [text for _, text in items], max_length=MAX_LENGTH)  # (N, C)
    return torchnlp.accuracy(logits, torchnlp.targets(items))
""",
    RECORDED,
)
code(
    "until",
    r"""
def until(ways, most, seeds):
    '''Train each way by each of its rates until two looks in a row find 90 %, or most texts are seen: rows.'''
    rows, runs = [], [(seed, way, rate) for seed in seeds for way, rates in ways.items() for rate in rates]
    for seed, way, rate in runs:
        settings, items, seconds, seen, looks = WAYS[way] | {"rate": rate}, draw(most, seed), 0.0, 0, [0.0]
        with training(settings, items, seed) as run:
            while min(looks[-2:]) < 0.9 and seen < most:
                begin = time.perf_counter()
                train_on(run, items[seen : seen + 48], settings)
                seconds, seen = seconds + time.perf_counter() - begin, seen + 48
                looks.append(accuracy_on(held_out, run[0]))
        row = {"seed": seed, "way": way, "rate": rate, "texts": seen, "seconds": seconds}
        rows.append(row | {"held out": min(looks[-2:]), "test": accuracy_on(test_items, run[0])})
    return rows
""",
    RECORDED,
)
code(
    "until-chart",
    r"""
until_record, again_record, MOST = torchnlp.recorded("until"), torchnlp.recorded("until_again"), 768
print(until_record, again_record, sep="\n\n")
chart, smallest, again = {}, {}, {}  # of each way: the runs of the best rate, of the smallest, those with new seeds
for way in WAYS:
    rows = [row for row in until_record.rows if row["way"] == way]
    groups = [[row for row in rows if row["rate"] == rate] for rate in sorted({row["rate"] for row in rows})]
    chart[way], smallest[way] = min(groups, key=lambda group: sum(row["texts"] for row in group)), groups[0]
    again[way] = [row for row in again_record.rows if row["way"] == way]
quickest = min(again, key=lambda way: sum(row["seconds"] for row in again[way]))
(live,) = until({quickest: [chart[quickest][0]["rate"]]}, MOST, [SEED])
fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
lines = {"old loop, old rate": [smallest["old loop"]], **{way: [chart[way], again[way]] for way in WAYS}}
for i, (way, runs) in enumerate(lines.items()):
    for rows, shift, inside in zip(runs, (-0.15, 0.15), ("none", "full"), strict=False):
        for row in rows:
            look = "o" if row["held out"] >= 0.9 else ">"
            ax.plot(row["seconds"], i + shift, look, color=COLOURS["blue"], fillstyle=inside, alpha=0.7)
        texts, rate = [row["texts"] for row in rows], rows[0]["rate"]
        seconds, test = (statistics.mean(row[name] for row in rows) for name in ("seconds", "test"))
        print(f"{way}, rate {rate:.0e}, {len(rows)} seeds: {texts} texts, {seconds:.1f} s, test {test:.2f}")
ax.plot(live["seconds"], [*lines].index(quickest), "*", color=COLOURS["orange"], markersize=14)
alt = "Seconds until 90 %. Open: they chose the rate; full: new seeds; triangle: not there; star: you."
ax.set(xlabel=alt, xlim=(0, None), ylim=(4.5, -0.5), yticks=range(5), yticklabels=[*lines])
torchnlp.show(fig, alt)
print(f"{quickest}, your run: {live['texts']} texts, {live['seconds']:.1f} s, test {live['test']:.2f}")
""",
    IGNORED,
)
code(
    "faster-claim",
    r"""
assert all(row["kept"] == (row["ratio"] < 1 - row["band"]) for row in [*climbed, *ladder_record.rows])
nothing, much = NOT_KEPT[:2], ("no dropout", "fused AdamW")
assert not any(row["kept"] for row in ladder_record.rows if row["change"] in nothing)
assert all(row["ratio"] < 1 - 2 * row["band"] for row in ladder_record.rows if row["change"] in much)
votes = {name: sum(row["kept"] for row in ladder_record.rows if row["change"] == name) for name in CHANGES}
assert [name for name, vote in votes.items() if vote < 2] == [*NOT_KEPT]
taken, chosen = ({way: statistics.mean(row["seconds"] for row in rows[way]) for way in WAYS} for rows in (again, chart))
assert taken["ladder"] < taken["old loop"] / 2
assert statistics.mean(row["seconds"] for row in smallest["old loop"]) > 2 * chosen["old loop"]
assert taken["ladder, batches of 16"] > chosen["ladder, batches of 16"]
if on_sample:
    assert live["test"] > 0.6
""",
    CLAIM,
)
md(
    "until-read",
    r"""
Believe the full dots. There the old loop at its best rate takes 31.9 s, the ladder 13.4 s: nearly two and a half times as long, and both have 0.93 of the test items right. At 2e-5 it takes at least 71.4 s, since one of three runs is not there after 768 texts, where it was stopped; in the same recording the ladder takes 11.6 s. So against the untuned baseline one could have claimed six times. Whoever reads of a gain should ask whether the baseline was tuned, too.

Tuned, old loop and ladder need about as many texts, 240 to 432. So all of the ladder's gain is time for each text, as it should be: its rungs were chosen by the clock.

Now compare open and full dots. Batches of 16 won where the rates were chosen: 240 texts in all three runs, and all of them left of the ladder's. With five new seeds three runs are there even sooner, one needs 384 texts, and one is not there after 768 (so its 11.3 s are a lower bound). Three runs had not shown that spread, and the win looked safer than it was. The best of several is, on average, less good when one looks again.

Dropout, which the clock threw out, does better here: with new seeds it needs 192 to 336 texts, and four of its five dots lie left of all those of the ladder. Each text takes longer, and fewer are needed. With five runs each, and seen after looking, it is a hint that is worth an experiment of its own. And it shows why the clock of the ladder is not the ruler that counts.

The limits:

- All runs look at the same hundred held-out texts, and one looks every 48 texts. Two looks must agree, so 240 means that 90 % was there at 192 and again at 240, and not twice in a row before.
- For the ladder the best rate is the smallest that was tried, and for the batches of 16 the largest; better ones may lie beyond. And 5e-5 was not tried for the old loop.
- Your star and the two recordings are three occasions. Compare seconds within one only; texts can be compared.
- The same goal is not the same model: with new seeds the variants have 0.92 and 0.91 of the test items right. A hundredth is two texts, and no verdict.
""",
)

# ---------------------------------------------------------------------------------------------------------- precision
md(
    "precision-text",
    r"""
## Precision: what half of the bits can hold

![Three number formats, bit by bit. float32 has 4 bytes: 1 sign, 8 exponent and 23 fraction bits. bfloat16 has 2 bytes: 1 sign, 8 exponent and 7 fraction bits, the upper half of float32. float16 has 2 bytes: 1 sign, 5 exponent and 10 fraction bits. Bars on a logarithmic scale show the range: that of bfloat16 is as wide as that of float32, that of float16 ends at 65,504; below 6.1e-5 it loses digits, and smaller numbers become 0. The step from 1 to the next number is 1.2e-7 for float32, 7.8e-3 for bfloat16 and 9.8e-4 for float16.](figures/number-formats.svg)

A number in half of the bytes is read in half of the time, and hardware made for it multiplies several times as fast. The price is either **range**, how large and how small a number may be, or **precision**, how close the next number is. A number beyond the range **overflows** to infinity; one too small becomes 0.

**Predict:** what becomes of 1.001, 257, 70,000 and `1e-8` in each format? And of a weight of 1 to which you add 0.0001, a thousand times?
""",
)
code(
    "formats",
    r"""
numbers = torch.tensor([1.001, 257.0, 70_000.0, 1e-8])
held, grown = {}, {}
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    held[dtype] = numbers.to(dtype).tolist()
    weight = torch.tensor(1.0, dtype=dtype)
    for _ in range(1000):
        weight = weight + 0.0001
    grown[dtype] = weight.item()
    print(f"{str(dtype)[6:]:9}", *(f"{number:12.6g}" for number in held[dtype]), f"   the weight: {grown[dtype]:.3f}")
""",
)
md(
    "formats-read",
    r"""
bfloat16 has the range of float32: nothing overflows, but 1.001 becomes 1, and 257 becomes 256. float16 is finer, but 70,000 overflows to `inf`, and 1e-8 becomes 0: so small can gradients be. The remedy for float16 is **loss scaling**: multiply the loss, and with it all gradients, by a large number, and divide again before the step. bfloat16 needs none.

And the weight: in float32 it grows to 1.1. In both short formats it stays 1 for ever, because each single step is smaller than half the distance to the next number. A learning rate makes steps just like these. So the weights (in the literature, master weights), and the averages of the optimizer, are kept in float32. This is **mixed precision** ([Micikevicius et al. 2018](https://arxiv.org/abs/1710.03740), with float16): products in the short format, what adds up over many steps in the long one.

`torch.autocast` does that for you. A small layer shows what it changes; it runs on the CPU whatever your device is, and on any CPU.
""",
)
code(
    "autocast",
    r"""
torchnlp.set_seed(SEED)
x, layer, norm = torch.randn(4, 8), nn.Linear(8, 8), nn.LayerNorm(8)
optimizer = torch.optim.AdamW(layer.parameters())
with torch.autocast(x.device.type, dtype=torch.bfloat16):
    product = layer(x)  # (4, 8)
    residual = x + product
    normed = norm(residual)
    loss = F.cross_entropy(layer(normed), torch.arange(4))
loss.backward()
optimizer.step()
tensors = {"product": product, "residual sum": residual, "layer norm of it": normed, "loss": loss}
tensors |= {"weight": layer.weight, "its gradient": layer.weight.grad}
tensors |= {"AdamW's averages": optimizer.state[layer.weight]["exp_avg"]}
dtypes = {name: tensor.dtype for name, tensor in tensors.items()}
for name, dtype in dtypes.items():
    print(f"{name:17}{str(dtype)[6:]}")
""",
)
code(
    "precision-claim",
    r"""
assert held[torch.float16][2] == math.inf and held[torch.float16][3] == 0
assert held[torch.bfloat16][:2] == [1, 256]
assert grown[torch.bfloat16] == grown[torch.float16] == 1
assert grown[torch.float32] > 1.09
assert dtypes["product"] == torch.bfloat16
assert all(dtype == torch.float32 for name, dtype in dtypes.items() if name != "product")
""",
    CLAIM,
)
md(
    "autocast-read",
    r"""
Under autocast matrix products run in bfloat16: it casts their inputs, and each weight once in a block of autocast, that is, once in each forward pass. Functions that keep the format of their input, such as GELU, follow. Everything else here is float32, and for different reasons:

- the **weight** and the optimizer's **averages**, because small steps add up in them;
- the **gradient**, because its weight is float32. A bfloat16 product computed it, so it is no more precise than that;
- the **residual sum**, because one of its terms is float32; and the norm of it, because on a CPU a norm keeps the format of its input;
- the **loss**, because autocast has a list of operations that it computes in float32, since they add up many numbers or make very large ones. Each device has its own. On CUDA softmax, norms, exponentials and sums are on it, too ([the list](https://docs.pytorch.org/docs/stable/amp.html#autocast-op-reference)); on a CPU softmax keeps the format of its input.

So autocast saves time in the products, and memory for the activations that are kept in bfloat16, but none for weights and optimizer.

### A bottleneck, found by measuring

On one CPU with bfloat16 instructions this training once ran at little more than a quarter of the speed that its matrix products allow. Nobody could say why, until a profile of the operations, sorted by time, found one function that took a third of the step: PyTorch's fused attention, forward and above all backward. It had not been noticed in float32. Both forms of attention do nearly the same arithmetic (in its backward pass the fused one computes one product once more). `eager` writes out the product, the softmax and the second product, each a function of its own. `sdpa` chooses among several forms, called backends. The fused ones do all of it in one, and never hold the whole matrix of attention weights ([Dao et al. 2022](https://arxiv.org/abs/2205.14135), FlashAttention). Where none fits the device, the format or the dropout, it takes a plain one that does hold it; on a CPU with dropout, as at the bottom of the ladder, that is what runs.

Time all four combinations: one layer without dropout, 8 texts of 64 pieces, forward and backward.
""",
)
code(
    "attention-times",
    r"""
def written_out(query, key, value):
    weights = (query @ key.transpose(2, 3) / math.sqrt(query.shape[3])).softmax(dim=3)  # (B, H, T, T)
    return weights @ value  # (B, H, T, D / H)


def forward_and_backward(form, *inputs):
    output = form(*inputs)
    return torch.autograd.grad(output, inputs, torch.ones_like(output))[0]


FORMS = {"eager": written_out, "sdpa": F.scaled_dot_product_attention}
for dtype in (torch.float32, torch.bfloat16):
    qkv = [torch.randn(8, H, 64, D // H, device=device).to(dtype).requires_grad_() for _ in range(3)]
    ms = {name: 1000 * seconds_of(forward_and_backward, form, *qkv) for name, form in FORMS.items()}
    ratio = ms["sdpa"] / ms["eager"]
    print(f"{str(dtype)[6:]:9} eager {ms['eager']:7.2f} ms, sdpa {ms['sdpa']:7.2f} ms, ratio {ratio:.2f}")
print("the helper takes", torchnlp.attention_implementation(), "here, in", torchnlp.precision())
""",
    IGNORED,
)
md(
    "attention-times-read",
    r"""
On the CPU of the stored run the two forms are not far apart in float32, and each was timed once, so read no more from it. In bfloat16 the fused one takes several times as long as the other, and as in float32; that is no noise. In the folded section *Which operations a step is made of* its backward pass stands at or near the top. Why that pass is slow in this format, nobody here took apart. The function is the same, and the arithmetic nearly. Nobody would have guessed it, and nobody had to. So the helper takes `eager` on a CPU in bfloat16. Everywhere else it takes `sdpa`, which is as fast or nearly so, and keeps less.

A rule for one machine is none for another: another processor or release of PyTorch may have another order, and the lines above tell you. On a large GPU the same function had a different trouble, told in the folded section *On a large GPU*, and for long texts the form that is written out needs several times the memory, as you will see next. Measure on yours.
""",
)

# -------------------------------------------------------------------------------------------------------------- memory
md(
    "memory-text",
    r"""
## Memory: what training keeps

Time is one limit, memory the other. The results of the forward pass that the backward pass will need are called **activations**. PyTorch lets you watch: a **hook** is a function that it calls for each tensor that it keeps. Count the bytes, each piece of memory once (two tensors may share one; its address tells), and leave out the weights, which are there anyway.

**Predict:** attention on one text of 256 pieces keeps so many bytes. What does it keep for 512 pieces, written out? And fused?
""",
)
code(
    "kept",
    r"""
def kept_bytes(work, weights=()):
    '''Call work; return its result, and the bytes that are kept for the backward pass.'''
    known = {tensor.untyped_storage().data_ptr() for tensor in weights}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = work()
    return result, sum(kept.values())
""",
)
code(
    "attention-memory",
    r"""
text_lengths, kept = [32, 64, 128, 256, 512], {name: [] for name in FORMS}
for name, T in itertools.product(FORMS, text_lengths):
    qkv = [torch.randn(1, H, T, D // H, requires_grad=True) for _ in range(3)]  # on the CPU: bytes are bytes
    kept[name].append(kept_bytes(partial(FORMS[name], *qkv))[1])
fig, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for (name, sizes), look, colour in zip(kept.items(), ("s--", "o-"), ("orange", "blue"), strict=True):
    ax.plot(text_lengths, [size / 1e6 for size in sizes], look, color=COLOURS[colour], label=name)
    print(f"{name:6}", *(f"{T}: {size / 1e6:.2f} MB" for T, size in zip(text_lengths, sizes, strict=True)), sep="   ")
ax.set(xlabel="T, word pieces of the text", ylabel="MB kept by attention in a layer", xticks=text_lengths[1:])
ax.legend()
ALT{Megabytes that attention keeps for one text against its length: a straight line for the fused form, a parabola for
the one written out, nearly five times as high at 512 pieces.}
torchnlp.show(fig, alt)
""",
    IGNORED,
)
md(
    "attention-memory-read",
    r"""
From 256 to 512 pieces the form that is written out goes from 4.33 to 14.94 MB, more than three times as much: each of its $H$ matrices of $T \times T$ attention weights has four times as many numbers, while queries, keys and values have twice as many. The fused form goes from 1.59 to 3.17 MB, twice as much. It keeps queries, keys, values and outputs, and one number for each row of weights, from which the backward pass computes the row again.

For texts of 64 pieces, as here, they differ by a fifth. Where texts are long, the fused form decides whether a batch fits at all.
""",
)
md(
    "bar-text",
    r"""
### The whole bar

![Three bars of the memory of training. In each, four parts of the same size: parameters, gradients, and AdamW's two averages, which are the same for every batch. Then come the activations, which grow with the batch and the length of the texts. Plain: a long part for 32 texts. With gradient accumulation, 4 times 8 texts: a quarter of it. With recomputing: the inputs of all layers and the inside of one layer at a time. The sizes of the activations are made up.](figures/memory-bar.svg)

For each weight, training with AdamW keeps four numbers of 4 bytes: the **parameter**, its gradient, and two averages, the **optimizer state**. That is 16 bytes for each weight, whatever the batch. Activations grow with it. When a batch does not fit, there are two remedies:

- **Gradient accumulation.** `backward()` adds to the gradients that are there. So go forward and backward with parts of the batch (micro-batches), and step once at the end. The **effective batch size** is that of all parts together.
- **Activation checkpointing**, also called gradient checkpointing or recomputing ([Chen et al. 2016](https://arxiv.org/abs/1604.06174)). Keep the input of each layer only. In the backward pass, compute a layer's inside once more, use it, and forget it. (It has nothing to do with checkpoints on disk.)

Both give the same gradient; the folded section below proves it. Now fill the drawing with the bytes of this model.
""",
)
code(
    "activations",
    r"""
settings, texts = OLD_LOOP | {"dropout": 0.0}, collate_together(draw(32, SEED))
table, activations = {name: tensor.to(device) for name, tensor in texts.items()}, {}
with training(settings, timed_items) as (model, _):
    for name, count in (("8 texts", 8), ("32 texts", 32), ("32, recomputed", 32)):
        if name == "32, recomputed":
            (getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable)()
        batch = {key: tensor[:count] for key, tensor in table.items()}
        activations[name] = kept_bytes(partial(model.train(), **batch), model.parameters())[1]
one_layer = activations["32 texts"] / L  # while it is recomputed, its inside is there, too
print(f"{all_weights / 1e6:.1f} million weights with gradients and state {16 * all_weights / 1e6:5.0f} MB")
for name, size in activations.items():
    print(f"{name:15} {size / 1e6:5.0f} MB of activations")
""",
    IGNORED,
)
code(
    "memory-plot",
    r"""
bars = {"8 texts": (activations["8 texts"], 0), "32 texts": (activations["32 texts"], 0)}
bars |= {"32 as 4 x 8": (activations["8 texts"], 0), "32, recomputed": (activations["32, recomputed"], one_layer)}
colours, four_bytes = (COLOURS["blue"], COLOURS["orange"], "#009E73", "#CC79A7", "#999999"), 4 * all_weights
fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
for bar, (first, second) in bars.items():
    sizes = {"parameters": four_bytes, "gradients": four_bytes, "optimizer state": 2 * four_bytes}
    left, sizes = 0, sizes | {"activations": first, "one layer, recomputed": second}
    for colour, (part, size) in zip(colours, sizes.items(), strict=True):
        ax.barh(bar, size / 1e6, left=left / 1e6, color=colour, label=part if bar == "8 texts" else None)
        left += size
ax.invert_yaxis()
ax.set(xlabel="MB", xlim=(0, 1.05 * (16 * all_weights + activations["32 texts"]) / 1e6))
fig.legend(loc="outside upper center", ncols=5)
ALT{Four stacked bars of megabytes with the same parameters, gradients and optimizer state. The activations of 32 texts are
four times those of 8; in four parts they are those of 8; recomputed, the layers' inputs and one layer's inside.}
torchnlp.show(fig, alt)
""",
    IGNORED,
)
code(
    "memory-claim",
    r"""
assert kept["eager"][-1] > 3 * kept["eager"][-2]
assert kept["sdpa"][-1] < 2.2 * kept["sdpa"][-2]
assert 3.8 < activations["32 texts"] / activations["8 texts"] < 4.2
assert activations["32, recomputed"] + one_layer < activations["32 texts"]
""",
    CLAIM,
)
md(
    "memory-read",
    r"""
For 22.7 million weights, parameters, gradients and optimizer state take 363 MB after the first step, whatever the batch. Then come 103 MB of activations for 8 texts and 411 MB for 32, four times as much. In four parts, 32 texts need no more than 8. Recomputed, they need 33 MB for the inputs of the layers, and the inside of one layer at a time; the grey part of the bar is computed, not measured: a sixth of the activations, since there are six layers, and a little too much, since embeddings and head have theirs.

All of this fits anywhere. But bert-base has twice as many layers of twice the width, 110 million weights, and long texts need more. What do the two remedies cost? Accumulation does the same work in smaller pieces. Recomputing does the forward pass twice: if the backward pass takes twice as long as the forward pass, then 1 + 2 becomes 1 + 1 + 2, a third more. The folded section *The same gradient, in parts and recomputed* times one step of each kind; a single run each, so read no more from it than the order. Both end at about the same bar here. On a CPU take accumulation first, since it costs no extra work. On a GPU that small parts leave idle, recomputing with larger parts may be faster: measure both. Where a single text does not fit, only recomputing helps.
""",
)

# ------------------------------------------------------------------------------------------------------- data parallel
md(
    "parallel-text",
    r"""
## Data parallel: two processes, one model

Now let two processes work. In **data parallel** training each has a copy of the model and takes its share of the batch. After the backward pass they exchange gradients, so that all have the mean. Then all take the same step, and the copies stay equal.

Each process has a number, its **rank**, and knows how many there are, the **world size**. The exchange is called **all-reduce**: each brings numbers, and all get their sum. `gloo` is the library that does it between CPUs; between GPUs it is NCCL. Here is all of it, in a file of its own: each process starts it from its first line, which a cell of a notebook cannot do. Its task is invented: which of the first four of 64 numbers is the largest? PyTorch's command `torchrun` starts the processes and tells each its rank.
""",
)
code(
    "start",
    r"""
script = torchnlp.ROOT / "notebooks" / "two_processes.py"
folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def torchrun(processes):
    '''Start the file in so many processes of one thread each; return the seconds of a step for each exchange.'''
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *launcher, str(script), folder.name, "mean", "none", "sum"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


print(script.read_text(encoding="utf-8"))
""",
)
md(
    "start-read",
    r"""
The shell command for this is `torchrun --nproc_per_node 2 two_processes.py FOLDER mean none sum`; the function above runs the same. Three lines make it data parallel: the share `batch[rank::world_size]`, `all_reduce`, and the division by the world size. And one condition is hidden in the seed: all must start from the same weights. (PyTorch's own `DistributedDataParallel` sends them from rank 0.)

The file trains three times: with the mean of the gradients, without any exchange, and with the sum instead of the mean. The last two are controls. A comparison with one process is worth something only if mistakes would show.

**Predict:** 20 steps with an effective batch of 4,096. Which of the three ends with the weights of one process that takes all 4,096 by itself?
""",
)
code(
    "together",
    r"""
from safetensors.torch import load_file

seconds = {1: torchrun(1), 2: torchrun(2)}


def weights_of(exchange, processes, rank=0):
    tensors = load_file(Path(folder.name) / f"{exchange}-{processes}-{rank}.safetensors")
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


alone, apart, from_one = weights_of("mean", 1), {}, {}
for exchange in ("mean", "none", "sum"):
    ranks = [weights_of(exchange, 2, rank) for rank in (0, 1)]
    apart[exchange] = (ranks[0] - ranks[1]).abs().max().item()
    from_one[exchange] = (ranks[0] - alone).abs().max().item()
    print(f"{exchange}: the two ranks {apart[exchange]:.0e} apart, rank 0 and one process {from_one[exchange]:.0e}")
for processes, exchange in ((1, "none"), (1, "mean"), (2, "mean"), (2, "none")):
    print(f"{processes} process(es), {exchange}: {1000 * seconds[processes][exchange]:.1f} ms a step")
""",
    IGNORED,
)
md(
    "together-read",
    r"""
With the mean, both ranks end with the same bits, and, up to rounding, where one process ends. So **two processes of batch 8 must equal one process of batch 16**, on the same 16 texts a step, with the same learning rate. This needs the same weights at the start, equal shares, a loss that is a mean over texts, and no dropout, since each process would draw other random numbers. (Where a loss is a mean over tokens, each share counts with its tokens.)

Without the exchange each rank has learned from its own half, and they drift apart. With the sum the two ranks agree with each other to the last bit, too, and are wrong together: twice the gradient is twice the step. So agreement between ranks proves little; the comparison with one process does. (The controls use **SGD**, whose step is the rate times the gradient. AdamW divides each gradient by its own size, so twice the gradient gives nearly the same step, and the mistake hides: see the folded section *Why the controls use SGD*.)

And the time? Each of these lines is one run, not in turn, so by this lesson's own rules they are weak. One process has no partner, yet its two lines may differ: *mean* calls `all_reduce` all the same, it runs first, and there is noise. Where they differ much, the times decide nothing. Where they are steady, two processes without the exchange take about half of the time of one, as each computes half of the step, and the exchange takes a good part of that back. The gradient is small, so it is hardly the bytes: once for each of two weights and two biases the two must meet, and the quicker one waits for the other. (That is a guess; the cell does not measure the waiting.) What the cell proves is that the weights are equal. What two GPUs would gain, it does not show. (The assertions stand below the next experiment.)
""",
)
md(
    "ring-text",
    r"""
### How an all-reduce travels

If all sent everything to one of them, that one would be flooded. In a **ring** each sends to its neighbour only, one chunk at a time ([Patarasuk and Yuan 2009](https://doi.org/10.1016/j.jpdc.2008.09.002)).

![The ring all-reduce with four processes, turn by turn. Each process is a row and cuts its gradient into four chunks. In three turns of reduce-scatter each sends one chunk to the next process, which adds it to its own; in turn 1 process 0 sends chunk 1, process 1 chunk 2, and so on. Then each process holds one finished sum. In three turns of all-gather the finished sums travel on, each in the place of an unfinished one. At the end all processes hold all four sums, and each has sent 3 + 3 chunks of 4.](figures/ring.svg)

Follow chunk 1, the leftmost, from process 0 through the six turns. In the first three, **reduce-scatter**, it travels and grows. In the last three, **all-gather**, the finished sum travels on. Each of $N$ processes sends $2 (N - 1)$ chunks, each an $N$-th of the gradient: with $P$ numbers that is $2 \frac{N-1}{N} P$, $P$ for two processes, and less than $2P$ however many there are.
""",
)

# ------------------------------------------------------------------------------------------------------ the real tool
md(
    "finetune-text",
    r"""
## The real tool, killed and resumed

`scripts/finetune.py` is lesson 4's training for any number of processes, GPUs and machines, built on the library [accelerate](https://huggingface.co/docs/accelerate). Long runs are cut off: by a time limit, a power cut, a colleague. So every so many steps it writes a **checkpoint**, and goes on from there. What must that file hold? All that decides how the training goes on:

- the weights;
- the optimizer state: both averages of AdamW, and how many steps they have seen;
- the schedule: how far the learning rate has come;
- the random states, of each process, or dropout would draw other numbers (and with float16 the loss scale of the moment);
- the place in the data: which texts come next;
- the settings, so that nobody goes on with others by mistake, and the history so far.

It is written beside the old checkpoint, flushed to the disk, and takes its name in one step, so that a kill in between leaves the old one whole. And now the test. Two runs with the same settings start side by side, with dropout, so that random numbers matter. One is killed (`kill -9`) as soon as its first checkpoint is there.

**Predict:** the killed run is resumed. How far apart are its weights from those of the run that nobody disturbed?
""",
)
code(
    "finetune",
    r"""
news = Path(folder.name) / "news"
news.mkdir(exist_ok=True)
(news / "classes.txt").write_text("\n".join(classes), encoding="utf-8")
of_each_class = list({label: (label, text) for label, text in train_dataset}.values())
for part, items in (("train", draw(40, SEED) + of_each_class), ("test", held_out[:16])):
    lines = [json.dumps({"label": label, "text": text}) for label, text in items]
    (news / f"{part}.jsonl").write_text("\n".join(lines), encoding="utf-8")
on_cpu = torch.zeros(1).device.type  # where a tensor lies unless you say otherwise
environment = {**os.environ, "TORCHNLP_DEVICE": on_cpu, "TORCHNLP_DATA": str(news), "OMP_NUM_THREADS": "1"}
RUN = ["--iterations", "6", "--checkpoint-freq", "2", "--report-freq", "2", "--dropout", "0.1"]


def finetune(output, *options):
    script = str(torchnlp.ROOT / "scripts" / "finetune.py")
    command = [sys.executable, script, str(output), *RUN, *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
""",
)
code(
    "resume",
    r"""
from concurrent.futures import ThreadPoolExecutor

import psutil

runs = Path(tempfile.mkdtemp(dir=folder.name))  # a new folder each time: the script keeps what is there
with ThreadPoolExecutor() as pool:
    unbroken, cut = (pool.submit(finetune, runs / name) for name in ("unbroken", "cut"))
    while not (runs / "cut" / "checkpoint.safetensors").exists() and not cut.done():
        time.sleep(0.002)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended by itself
            if str(runs / "cut") in child.cmdline():
                child.kill()
resumed, killed = finetune(runs / "cut", "--resume"), cut.result().returncode != 0
if unbroken.result().returncode or resumed.returncode:
    raise RuntimeError(unbroken.result().stderr[-3000:] + resumed.stderr[-3000:])
final = [load_file(runs / name / "model" / "model.safetensors") for name in ("unbroken", "cut")]
equal = [torch.equal(weight, final[1][name]) for name, weight in final[0].items()]
print("killed:", killed, "|", *(line for line in resumed.stdout.splitlines() if "going on" in line))
print(f"{sum(equal)} of {len(equal)} tensors are equal bit for bit")
""",
    IGNORED,
)
code(
    "parallel-claim",
    r"""
assert apart["mean"] == apart["sum"] == 0
assert apart["none"] > 1e-3
assert from_one["mean"] < 1e-4
assert min(from_one["none"], from_one["sum"]) > 1e-3
assert killed
assert "going on after iteration" in resumed.stdout
assert equal and all(equal)
""",
    CLAIM,
)
md(
    "resume-read",
    r"""
The distance is exactly 0: the killed run was resumed from its checkpoint, and all of its tensors equal those of the undisturbed run bit for bit. A checkpoint that lacks a part goes on without any error and ends elsewhere: the folded section *A checkpoint that lacks a part* shows it with a small network, leaving out one part at a time.

This is one process on one CPU, killed once; the test suite does it with two processes as well. The same bits need the same machine, versions and numbers of threads and processes, and operations that always add in the same order. On a GPU not all do: there, first compare two runs that nobody disturbed.

At the end the checkpoint is deleted, and a folder `model/` stays, which lesson 4 and `from_pretrained` load as any other. With other settings or other news the script refuses to resume and says what differs.
""",
)
md(
    "many-text",
    r"""
## Many GPUs

### How to start it

| where | command |
|---|---|
| one process | `python scripts/finetune.py runs/one --batch-size 16` |
| two processes on the CPU of one machine | `python scripts/finetune.py runs/two --batch-size 8 --processes 2` |
| eight GPUs of one machine | `torchrun --nproc_per_node 8 scripts/finetune.py runs/eight --batch-size 8` |

The first two take the same 16 texts a step; without dropout, its default, they learn the same, which the test suite checks. `--processes` is the script's own way to start several on a CPU; `torchrun` starts one for each GPU. Where 16 texts do not fit into memory, `--batch-size 4 --accumulate 4` makes one step of four parts. For **two machines of eight GPUs each**, do this:

1. On both machines: the project in the same place, `make setup`, the same versions, the news and the model already there (`TORCHNLP_DATA`, `TORCHNLP_MODEL`).
2. Choose one machine as the meeting point, by a name or address that the other can reach, and a free port; let no firewall stand between the two, since NCCL opens further ports.
3. Choose an output folder that both machines see.
4. On *each* of the two, start the same line:

```
torchrun --nnodes 2 --nproc_per_node 8 --rdzv_id news --rdzv_backend c10d --rdzv_endpoint FIRST_MACHINE:29500 \
         scripts/finetune.py /shared/runs/sixteen --batch-size 8 --iterations 500
```

`--batch-size` counts the texts of *each* process, `--iterations` the steps, and `--rdzv_...` describes the meeting, the rendezvous: any common name, PyTorch's own way to meet, and the address. `--nnodes` is the number of machines, `--nproc_per_node` that of processes on each, one for each GPU. Start the meeting point first: it waits some minutes for the other. (The other, if it comes first, gives up after a minute.) Nothing in the code changes. A checkpoint is written each 100 steps, or each `--checkpoint-freq`. After a kill, the same line with `--resume`, on both. If one machine fails, the other fails or waits; end it, and resume on both. If the machines have several networks, `NCCL_SOCKET_IFNAME` names the one to use.

The first line of the report counts the processes. Look at it: two separate runs of eight look healthy, too. Rehearse on one machine without GPUs: in two terminals the line above with `--nproc_per_node 1`, `--rdzv_endpoint localhost:29500`, `--iterations 2` and a folder of your own for the output. That is what we tried, and it says `2 processes on cpu`; on two machines with GPUs it was not tried here.

What you must think about is the learning: a step now takes 8 x 16 = 128 texts. With the same number of texts in all, that is fewer steps, and the learning rate should be chosen anew. The batch is 16 times that of one process with 8. With SGD one begins with 16 times the rate that suited that one, and a warm-up ([Goyal et al. 2017](https://arxiv.org/abs/1706.02677)); with Adam, many first try the square root, 4 times. Then tune. (`--lr` is the highest rate; the script warms up to it by itself.)
""",
)
md(
    "scale-text",
    r"""
### How far does it scale?

Nobody lends you 64 GPUs to try. So compute, with all assumptions in one place. The job: bert-base, three passes through AG News. The forward pass takes two operations for each weight and token, the backward pass four: 6 in all ([Kaplan et al. 2020](https://arxiv.org/abs/2001.08361), section 2.1). To it comes an all-reduce for each step, through the slowest link.

**Predict:** 64 GPUs in eight machines. How many times as fast as one, if each machine has one network card? And if it has eight, one for each GPU?
""",
)
code(
    "scale",
    r"""
EXAMPLES, PIECES, TEXTS = 3 * 120_000, 53, 32  # texts in all, pieces of each; texts for each GPU and step
LAYER_WEIGHTS, WEIGHTS = 85e6, 110e6  # bert-base: in the layers, and in all
INSIDE, CARD = 450e9, 50e9  # bytes a second: NVLink, one direction; a network card of 400 Gbit/s
RATES = {"47.8 TFLOP/s, measured on an H100": 47.8e12, "0.3 of its data sheet, 297 TFLOP/s": 0.3 * 989e12}


def seconds_of_training(gpus, rate, cards):
    link = INSIDE if gpus <= 8 else min(INSIDE, cards * CARD)
    gradient, steps = 4 * WEIGHTS, math.ceil(EXAMPLES / (gpus * TEXTS))
    return 6 * LAYER_WEIGHTS * PIECES * EXAMPLES / (gpus * rate) + steps * 2 * (gpus - 1) / gpus * gradient / link


fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), layout="constrained", sharey=True)
gpus = [1, 2, 4, 8, 16, 32, 64]
for (ax, (name, rate)), cards in itertools.product(zip(axes, RATES.items(), strict=True), (8, 1)):
    speed_ups = [seconds_of_training(1, rate, cards) / seconds_of_training(n, rate, cards) for n in gpus]
    colour, look = (COLOURS["blue"], "o-") if cards == 8 else (COLOURS["orange"], "s--")
    ax.plot(gpus, speed_ups, look, color=colour, label=f"network cards a machine: {cards}")
    print(f"{name}, cards {cards}:", *(f"{n}: {x:.1f}" for n, x in zip(gpus, speed_ups, strict=True)), sep="  ")
    ax.set(xlabel="GPUs", ylabel="times as fast as one", title=name)
for ax in axes:
    ax.plot(gpus, gpus, "k:", label="ideal")
    ax.legend()
alt = "Predicted speed-up on up to 64 GPUs. Measured rate: 57 with eight cards, 33 with one. Higher rate: 37 and 9."
torchnlp.show(fig, alt)
""",
)
md(
    "scale-read",
    r"""
With eight cards a machine, 64 GPUs are 57.2 times as fast as one, if a GPU computes at the rate that we measured, and 36.7 times at a rate nearer to what its data sheet promises. With one card a machine they are 32.7 and 9.2 times as fast. So the answer depends on the network as much as on the GPUs. With one card all eight GPUs of a machine wait for the same link; with eight, the gradient is cut up among eight rings, one over each card. And the faster a GPU computes, the sooner the exchange is what everybody waits for: with one card and the higher rate, two machines (16 GPUs, 2.4) are slower than one (5.0).

The measured rate comes from batches of 32 texts of 64 pieces on one H100 (`benchmarks/RESULTS.md`). What was left out works in both directions. The exchange hides behind the backward pass, bucket by bucket as in the first drawing ([Li et al. 2020](https://arxiv.org/abs/2006.15704)), which makes it better than this. And if each machine first adds up inside, less goes through its card than in one flat ring: for two machines, about half. Each turn of the ring has its latency (the time until the first byte arrives), everybody waits for the slowest, and in the right chart small operations do not run at the rate of large products (the measured rate on the left has them), which makes it worse. The batch of each GPU stays the same here, so that of all grows (weak scaling), and no curve says what 2,048 texts a step do to the learning.
""",
)
md(
    "zero-text",
    r"""
### When the model itself does not fit

Data parallel training (in the drawing DDP, distributed data parallel) keeps all of the model on each GPU. For a model of seven and a half billion parameters that alone is 120 GB.

![What each of N GPUs holds for each parameter, to scale for N = 64. DDP: 2 bytes for the parameter, 2 for its gradient, 12 for the optimizer state, all on each GPU; with seven and a half billion parameters 120 GB. ZeRO-1 shards the optimizer state, about 31 GB. ZeRO-2 shards the gradients, too, about 17 GB. ZeRO-3, which is FSDP, shards the parameters, too, about 2 GB. What a GPU does not hold lies on the others. Below, the 16 bytes in large: parameter and gradient in 16 bits, 2 bytes each; a copy of the parameter in float32 and Adam's two averages, 4 bytes each.](figures/zero.svg)

But why should 64 GPUs keep 64 copies of the same optimizer state? **ZeRO** ([Rajbhandari et al. 2020](https://arxiv.org/abs/1910.02054)) cuts it into parts, one for each GPU (to **shard**): stage 1 the optimizer state, stage 2 also the gradients, stage 3 also the parameters, of which a layer's worth is fetched when its turn comes, and forgotten afterwards. PyTorch has stage 3 as **FSDP**, fully sharded data parallel. Of what is cut up, all GPUs together hold one copy, and what is learned is the same. With seven and a half billion parameters on 64 GPUs, each holds about 31, 17 or 2 GB instead of 120. The price is more exchange: about half as much again for stage 3, the paper says. The drawing counts parameters and gradients in 2 bytes, and with the optimizer state another copy of the parameters in float32; autocast as you used it keeps 4 and 4 and 8, which is 16 as well.
""",
)

# ----------------------------------------------------------------------------------------------------------- takeaways
md(
    "takeaways",
    r"""
## Takeaways

- Profile, predict, change one thing, measure in turn with the state before. A part can save no more than its share.
- Run the same thing twice to see the noise. What does not beat it is rejected, and nothing is built on it.
- Tune the baseline, too. The ruler is the time until a given quality, over several seeds; and what was chosen is confirmed with new ones.
- Mixed precision: products in bfloat16; weights, their gradients, optimizer state, residual sums and losses in float32. float16 overflows above 65,504; bfloat16 is coarse.
- Memory: 16 bytes for each weight, and activations that grow with the batch. Accumulation and recomputing shrink these, with the same gradient.
- Data parallel: two processes of batch 8 learn what one learns from batch 16. Check it against one process, with SGD, and with controls that fail.
- A checkpoint holds weights, optimizer state, schedule, random states, place in the data, settings. Kill and resume to prove it.
- How far it scales is a question of bytes and bandwidth, and can be computed beforehand.

## What next

This was the last lesson. You know attention from its formula, transformers from their parts, BERT from its pre-training to its uses, and now what it all costs. Take your own texts and fine-tune on them: `TORCHNLP_DATA` names a folder with texts and classes of your own. Take a larger model: `TORCHNLP_MODEL=bert-base-uncased`. And read the code of a library that you use as you read `torchnlp.py`: from top to bottom, with a question.
""",
)

# -------------------------------------------------------------------------------------------------------------- deeper
md(
    "adamw-text",
    r"""
## Deeper: What an optimizer does, and why fused is faster

For each weight $w$ with gradient $g$, **AdamW** keeps two running averages: $m$ of the gradient and $v$ of its square. In step $t$ PyTorch computes

$$w \leftarrow w - \eta\lambda w, \qquad m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad w \leftarrow w - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}.$$

Here $\eta$ is the learning rate. The first formula is the **weight decay**, which pulls each weight a little towards zero. PyTorch multiplies it by the learning rate; in the paper ([Loshchilov and Hutter 2019](https://arxiv.org/abs/1711.05101), algorithm 2) only the schedule multiplies it. The divisions by $1 - \beta^t$ correct the averages for their start at zero. Three weights, two steps, first as a loop over numbers, then for all weights at once, then by PyTorch, simple and fused:
""",
)
code(
    "adamw-loop",
    r"""
RATE, DECAY, BETA_1, BETA_2, EPSILON = 0.1, 0.01, 0.9, 0.999, 1e-8
toy_weights, toy_gradients = [1.0, -2.0, 0.5], [[0.1, -0.2, 0.3], [0.3, 0.1, -0.1]]  # one list of gradients a step

w, m, v = list(toy_weights), [0.0] * 3, [0.0] * 3
for t, gradient in enumerate(toy_gradients, start=1):
    for i, g in enumerate(gradient):
        w[i] -= RATE * DECAY * w[i]
        m[i] = BETA_1 * m[i] + (1 - BETA_1) * g
        v[i] = BETA_2 * v[i] + (1 - BETA_2) * g * g
        w[i] -= RATE * (m[i] / (1 - BETA_1**t)) / (math.sqrt(v[i] / (1 - BETA_2**t)) + EPSILON)
adamw_by_loop = torch.tensor(w)
print(" ".join(f"{weight:.4f}" for weight in w))
""",
)
code(
    "adamw-vector",
    r"""
w, m, v = torch.tensor(toy_weights), torch.zeros(3), torch.zeros(3)
for t, g in enumerate(torch.tensor(toy_gradients), start=1):
    w = w - RATE * DECAY * w
    m = BETA_1 * m + (1 - BETA_1) * g
    v = BETA_2 * v + (1 - BETA_2) * g**2
    w = w - RATE * (m / (1 - BETA_1**t)) / ((v / (1 - BETA_2**t)).sqrt() + EPSILON)
adamw_by_vector = w
""",
)
code(
    "adamw-library",
    r"""
def adamw_of_torch(fused):
    weights = torch.tensor(toy_weights, device=device, requires_grad=True)
    betas, form = (BETA_1, BETA_2), {"fused": fused, "foreach": False}
    optimizer = torch.optim.AdamW([weights], lr=RATE, betas=betas, eps=EPSILON, weight_decay=DECAY, **form)
    for gradient in toy_gradients:
        weights.grad = torch.tensor(gradient, device=device)
        optimizer.step()
    return weights.detach().to(adamw_by_loop.device)
""",
)
code(
    "adamw-both",
    r"""
adamw_simple, adamw_fused = adamw_of_torch(fused=False), adamw_of_torch(fused=probe.defaults["fused"])
""",
)
code(
    "adamw-claim",
    r"""
torch.testing.assert_close(adamw_by_vector, adamw_by_loop)
torch.testing.assert_close(adamw_simple, adamw_by_loop)
torch.testing.assert_close(adamw_fused, adamw_by_loop)
""",
    CLAIM,
)
md(
    "adamw-read",
    r"""
Four ways, one result. So why should one be faster? The arithmetic is tiny, but the numbers must come from memory and go back. PyTorch's simple form calls one function after another, and each walks through all weights: `mul_` for the decay moves 2 numbers for each weight, `lerp_` 3, `mul_` and `addcmul_` 2 and 3, `sqrt`, `div` and `add_` 2 each, `addcdiv_` 4. That is 20 in 8 walks. The fused form reads $w, g, m, v$ and writes $w, m, v$: 7 in one walk.

A fine theory. Does a profile agree? If moving numbers were all, `sqrt` should take 2 of 20 parts.
""",
)
code(
    "adamw-large",
    r"""
os.environ["KINETO_LOG_LEVEL"] = "6"  # keeps messages of the profiler's library out of the notebook
weights = nn.Parameter(torch.randn(4_000_000))  # on the CPU
weights.grad = torch.randn_like(weights)
optimizer = torch.optim.AdamW([weights], foreach=False, fused=False)
optimizer.step()  # not counted
""",
)
code(
    "adamw-profile",
    r"""
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
    for _ in range(3):
        optimizer.step()
spent = {event.key: event.self_cpu_time_total for event in profile.key_averages() if event.key.startswith("aten::")}
for name, microseconds in sorted(spent.items(), key=lambda pair: -pair[1])[:6]:
    print(f"{name:16}{microseconds / sum(spent.values()):5.0%}")
""",
    IGNORED,
)
md(
    "adamw-profile-read",
    r"""
The theory is wrong here: `div` moves 2 of 20 numbers, and takes a quarter of the time or more. Counting moves is not all. Is it the division? `addcdiv_` divides, too, and moves 4 numbers, but takes less. It works in place. `div` and `sqrt` ask for new memory in each step, which the system hands out page by page. Does that take longer than moving the numbers? The experiment: a root, written into memory that is kept.
""",
)
code(
    "adamw-memory",
    r"""
state = optimizer.state[weights]["exp_avg_sq"]
kept_memory = torch.empty_like(state)
for _ in range(3):
    into_new, into_kept = (seconds_of(root, state) for root in (torch.sqrt, partial(torch.sqrt, out=kept_memory)))
    print(f"root into new memory {1000 * into_new:.2f} ms, into memory that is kept {1000 * into_kept:.2f} ms")
""",
    IGNORED,
)
md(
    "adamw-memory-read",
    r"""
In our runs new memory sometimes took clearly longer and sometimes not, perhaps as the allocator hands the same piece out again or does not. That fits the guess, and does not prove it: `sqrt`, which asks for new memory, too, takes no more than its share in some profiles. Somebody who counted page faults would know more.
""",
)
md(
    "deeper-reading-the-ladder",
    r"""
## Deeper: Reading the ladder closely

**Ranges.** A single comparison may lie nearly anywhere in its range: with one measurement of *fused AdamW* in the recorded runs, one might have reported that it slows the training down. This is what repeating is for, and why it is the median that is held against the band. Where all six ratios of a row of yours lie below 1, that is a hint; but the rule was fixed beforehand, and six are few. (*The same again* cannot be kept: the band is made of its own ratios.)

**Misses.** *No dropout* saves more than its random numbers cost. It is not quite one change: the backward pass applies the masks as well, which the prediction left out, and on a CPU PyTorch takes its fused form of attention only without dropout. Of *bfloat16* a part of the miss is that norms, activation functions and changes of format stay as long as they were. *Fused AdamW* sometimes seems to save as much as its whole region has. Then it is noise, or the simple form slows the other regions, too, for instance by the memory that it asks for in each step; we have not found out. And the diamonds are computed from your profile, not from that of the recorded machine.

**Where it gains most.** *Words that occur* is measured there: sixteen texts look up few words, and finding the words stands outside of the clock.
""",
)
md(
    "proofs-text",
    r"""
## Deeper: Same result, less time, four proofs

Tokenising together gives the same tensors; you saw that above. Four other rungs claim to change nothing, and a claim wants a proof.

**Attention in two forms.** The same inputs, the outputs and the gradients of the queries. **Fused AdamW.** Two copies of BERT's weights get the same gradients for three steps; one is updated in the simple form, one fused.
""",
)
code(
    "proof-attention",
    r"""
qkv = [torch.randn(2, H, 16, D // H, device=device, requires_grad=True) for _ in range(3)]
outputs = {name: (form(*qkv), forward_and_backward(form, *qkv)) for name, form in FORMS.items()}
""",
)
code(
    "proof-copies",
    r"""
import copy

few = {name: tensor[:4] for name, tensor in table.items()}
with training(OLD_LOOP | {"dropout": 0.0}, timed_items) as (simple_model, _):
    start_model, fused_model = copy.deepcopy(simple_model), copy.deepcopy(simple_model)
simple = torch.optim.AdamW(simple_model.parameters(), 1e-4, foreach=False)
other = torch.optim.AdamW(fused_model.parameters(), 1e-4, fused=probe.defaults["fused"], foreach=False)
""",
)
code(
    "proof-fused",
    r"""
for _ in range(3):
    simple_model.zero_grad()
    simple_model.train()(**few).loss.backward()
    for mine, yours in zip(simple_model.parameters(), fused_model.parameters(), strict=True):
        yours.grad = mine.grad.clone()
    simple.step()
    other.step()
""",
)
code(
    "proof-weights",
    r"""
weights_before, weights_simple, weights_fused = (
    torch.cat([weight.detach().flatten() for weight in net.parameters()])
    for net in (start_model, simple_model, fused_model)
)
""",
)
md(
    "proof-first-text",
    r"""
**One token in the last layer.** The logits of four texts before and after, and the gradient of a weight far down, in the first layer.
""",
)
code(
    "logits-and-gradient",
    r"""
def logits_and_gradient(model):
    model.zero_grad()
    output = model.train()(**few)
    output.loss.backward()
    return output.logits.detach(), model.bert.encoder.layer[0].intermediate.dense.weight.grad.clone()
""",
)
code(
    "proof-first",
    r"""
logits_all, gradient_all = logits_and_gradient(fused_model)
logits_first, gradient_first = logits_and_gradient(torchnlp.read_first_token_only(copy.deepcopy(fused_model)))
""",
)
md(
    "proof-words-text",
    r"""
**Words that occur.** A word vector that no text looks up has no gradient, so $m$ and $v$ stay zero, and only the weight decay is left of AdamW's formula. `occurring_rows` trains a table of the other rows, keeps account of the decay, and puts everything together when its block ends. Three steps with four texts, and a hundred times the usual decay, so that it shows.
""",
)
code(
    "three-steps",
    r"""
def three_steps(model):
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=1, foreach=False)
    for _ in range(3):
        optimizer.zero_grad()
        model(**few).loss.backward()
        optimizer.step()
""",
)
code(
    "proof-words",
    r"""
rows_in_use = [row[mask.bool()].tolist() for row, mask in zip(few["input_ids"], few["attention_mask"], strict=True)]
all_rows, some_rows = copy.deepcopy(fused_model), copy.deepcopy(fused_model)
three_steps(all_rows)
with torchnlp.occurring_rows(some_rows, rows_in_use):
    three_steps(some_rows)
""",
)
code(
    "proof-rows",
    r"""
words_before, words_all, words_some = (
    net.get_input_embeddings().weight.detach() for net in (fused_model, all_rows, some_rows)
)
looked_up = torch.zeros(len(words_all), dtype=torch.bool)
looked_up[sorted({tokenizer.pad_token_id}.union(*rows_in_use))] = True
looked_up = looked_up.to(device)
words_decayed = words_before * (1 - 1e-4) ** 3  # rate times decay, three times
""",
)
code(
    "proofs-claim",
    r"""
for eager, sdpa in zip(*(outputs[name] for name in ("eager", "sdpa")), strict=True):
    torch.testing.assert_close(sdpa, eager, rtol=1e-4, atol=1e-4)
torch.testing.assert_close(weights_fused, weights_simple, rtol=1e-5, atol=1e-6)
assert (weights_simple - weights_before).abs().max() > 1e-4
torch.testing.assert_close(logits_first, logits_all, rtol=1e-4, atol=1e-4)
torch.testing.assert_close(gradient_first, gradient_all, rtol=1e-3, atol=1e-5)
assert gradient_all.any()
torch.testing.assert_close(words_some, words_all, rtol=1e-5, atol=1e-6)
torch.testing.assert_close(words_all[~looked_up], words_decayed[~looked_up], rtol=1e-5, atol=1e-6)
assert (words_all - words_decayed)[looked_up].abs().mean() > 5e-5
""",
    CLAIM,
)
md(
    "proofs-read",
    r"""
All four hold, up to rounding, in float32 and without dropout: three on these four texts, the two forms of attention on random numbers without padding. That is what was tested; in bfloat16 rounding is coarser. A classifier of whole texts may compute one token in its last layer. The models of lesson 5 may not, since they read every token.
""",
)
md(
    "deeper-which-operations-a-step",
    r"""
## Deeper: Which operations a step is made of

How was the slow function found? By a profile that goes one level deeper than regions. **Self time** leaves out the operations that an operation calls. Two batches, without dropout, in the format of your machine, with attention in the form `sdpa`:
""",
)
code(
    "operations",
    r"""
settings = OLD_LOOP | {"dropout": 0.0, "autocast": CHANGES["bfloat16"]["autocast"]}
with training(settings, timed_items) as run:
    train_on(run, timed_items[:8], settings)  # not counted
    with torch.profiler.profile(acc_events=True) as profile:
        train_on(run, timed_items, settings)
found = [event for event in profile.key_averages() if event.key.startswith("aten::")]
""",
)
code(
    "operations-show",
    r"""
clock = "self_device_time_total" if any(event.self_device_time_total for event in found) else "self_cpu_time_total"
spent = {event.key.removeprefix("aten::"): getattr(event, clock) for event in found}
for name, microseconds in sorted(spent.items(), key=lambda pair: -pair[1])[:10]:
    print(f"{name:52}{microseconds / sum(spent.values()):5.0%}")
""",
    IGNORED,
)
md(
    "operations-read",
    r"""
On a CPU in bfloat16 the backward pass of fused attention stands at or near the top. `mm` is the product of the backward pass, `addmm` that of the forward pass, with a bias added. `copy_` changes formats, and `sqrt`, `div`, `mul_` and `lerp_` are the optimizer's. In float32 `mm` and `addmm` are first.
""",
)
md(
    "limit-text",
    r"""
## Deeper: How near is the limit?

What would the machine need for the products alone? Each weight in a matrix of the layers costs 6 operations for each token. The word vectors are looked up, not multiplied. Divide by the rate of products in float32 that you measured.
""",
)
code(
    "limit",
    r"""
matrix_weights = sum(weight.numel() for weight in run[0].bert.encoder.parameters() if weight.dim() == 2)
least = 6 * matrix_weights * positions(drawn) / rates[torch.float32] / TIMED
print(f"{matrix_weights:,} weights in matrices of the layers")
print(f"products in float32 {1000 * least:.1f} ms for each text")
print(f"measured {1000 * ends[0]:.1f} ms at the bottom of the ladder, {1000 * ends[-1]:.1f} at the top")
""",
    IGNORED,
)
md(
    "limit-read",
    r"""
(It counts sixteen texts, and the last line of the ladder timed the first eight of them; so compare roughly.) The first number of milliseconds is what the old loop's products need at the rate of a large product. One gets below it in three ways only: fewer positions, less work for each, or another format or machine. Not everything between the numbers can be won: attention, norms, activation functions and the optimizer must run, too. `benchmarks/RESULTS.md` has such a bill for the whole training.
""",
)
md(
    "deeper-what-did-not-help",
    r"""
## Deeper: What did not help

**Grouping few texts.** The ladder was recorded with 16 texts, which make two batches. What was there to win, for each of the three seeds? How many positions are left if pools of so many texts are sorted and cut into batches of 8? And the risk: how large is the share of the most frequent class in a batch, on average, as drawn and grouped?
""",
)
code(
    "pools",
    r"""
for seed in range(3):
    before_sorting, after_sorting = (positions(widths(draw(16, seed), grouped)) for grouped in (False, True))
    print(f"recorded ladder, seed {seed}: {after_sorting / before_sorting:.2f} of the positions are left")


def in_batches(row):
    return [row[i : i + 8] for i in range(0, len(row), 8)]


all_lengths = list(map(len, pieces_of(train_items)))
for pool in sorted({min(pool, len(all_lengths)) for pool in (16, 48, len(all_lengths))}):
    cut_up = [all_lengths[i : i + pool] for i in range(0, len(all_lengths) + 1 - pool, pool)]
    before_sorting = sum(positions(in_batches(part)) for part in cut_up)
    after_sorting = sum(positions(in_batches(sorted(part))) for part in cut_up)
    print(f"pools of {pool:4} texts: {after_sorting / before_sorting:.2f} of the positions are left")
for name, grouped in (("as drawn", False), ("grouped", True)):
    batches = [[label for label, _ in batch] for batch in batches_of(train_items, OLD_LOOP | {"grouped": grouped})]
    largest = statistics.mean(max(map(batch.count, batch)) / len(batch) for batch in batches)
    print(f"{name}: the most frequent class has {largest:.2f} of a batch")
""",
)
md(
    "pools-read",
    r"""
On the recorded ladder sorting could save 3 to 6 hundredths, and 1.03, 0.93 and 0.97 of the time were measured: nothing that such a measurement can tell. From the whole training part, nearly a fifth of the positions goes. (Finding the lengths beforehand tokenises each text once more, which hardly shows.) And with these news the risk is small: batches become hardly more one-sided than they are by chance.

**More processes for loading data.** `DataLoader(..., num_workers=4)` tokenises ahead, in other processes. By Amdahl's law it can save the region `tokenise` at most, and you saw how small that is. On a CPU the workers would take processor time from the training.

**Compiling for a short training.** `torch.compile` joins small operations, as the fused optimizer does, but the translation takes time. It pays after $\text{seconds to compile} / \text{seconds saved in each step}$ steps, if it saves any. Numbers measured with `benchmarks/limit.py`, on two cores without bfloat16 instructions:
""",
)
code(
    "compile",
    r"""
compile_seconds, step_before, step_after = 116.1, 0.326, 0.350  # benchmarks/RESULTS.md
saved = step_before - step_after
print(f"a step: {step_before} s before, {step_after} s after; compiling: {compile_seconds} s")
print("pays after", math.ceil(compile_seconds / saved) if saved > 0 else "no number of", "steps")
""",
)
md(
    "compile-read",
    r"""
There it never paid: the step was no faster (one run each, without a noise band), and each new length may be translated anew. On a GPU, where small operations weigh more, the sum may be another one; it was not measured there.
""",
)
md(
    "deeper-on-a-large-gpu",
    r"""
## Deeper: On a large GPU

The same ladder was recorded on an H100, whose bfloat16 and memory are many times as fast as those of a laptop. Which rungs does it keep?
""",
)
code(
    "ladder-gpu",
    r"""
gpu_record = torchnlp.recorded("ladder_gpu")
print(gpu_record)
for name in CHANGES:
    of_rung = [row for row in gpu_record.rows if row["change"] == name]
    medians = " ".join(f"{row['ratio']:.2f} (± {row['band']:.2f})" for row in of_rung)
    print(f"{name:22} {medians}  kept in {sum(row['kept'] for row in of_rung)} of {len(of_rung)}" if of_rung else name)
""",
)
md(
    "ladder-gpu-read",
    r"""
One in all three runs: the fused AdamW leaves about two thirds of the time. (Two more were kept in one run each.) A likely reason: a batch of 8 short texts leaves such a GPU idle, and it waits for Python, which starts one small operation after another (it is **launch-bound**). So what counts is the number of operations, not their size. The fused AdamW needs few in place of many. (The bottom of the ladder updates tensor by tensor, `foreach=False`. On a CPU that is PyTorch's default; on a GPU today's default joins operations already. What the fused form gains over that was not measured: this baseline is not tuned.) bfloat16 makes a step *slower*, in all three runs: the products were not what took the time, and autocast adds operations that change formats. Grouping makes it no faster either, since a smaller batch is no less work for Python. (Attention is `sdpa` from the bottom, so *chosen attention* changes nothing there.) A ladder is an experiment on a machine, not a list of tricks.

What such a GPU wants is larger batches. It trained on 4,000 items of AG News, from one seed (`benchmarks/finetuning.py`). And what a length costs that attention has not seen before, in bfloat16 (`benchmarks/attention.py`):
""",
)
code(
    "h100",
    r"""
H100 = {"lesson 4, batches of 8": 12.0, "old loop, batches of 8": 8.8, "lesson 6, batches of 8": 5.9}
H100 |= {"lesson 6, batches of 64": 2.2, "lesson 6, batches of 128": 1.3}
for name, seconds_there in H100.items():
    print(f"{name:25}{seconds_there:5.1f} s {'#' * round(4 * seconds_there)}")
print("on another day: lesson 4 in bfloat16 14.0 s, in float32 11.9 s")
print("with cuDNN's attention: a new length 142 ms, lesson 4 19.8 s, old loop 8.4 s; without it: a new length 1.9 ms")
""",
)
md(
    "h100-read",
    r"""
From batches of 8 to 128 the time falls to less than a quarter. What larger batches learn from the same texts, these bars do not say.

Why is lesson 4 slower there than the old loop? Partly because of bfloat16: on another day, in turn on one machine, it took 14.0 s with it and 11.9 s in float32. The rest was not taken apart.

The last line is a second story of a bottleneck. In bfloat16 PyTorch may let cuDNN compute attention, and cuDNN makes a plan for each length that it has not seen. Lesson 4's loop, in bfloat16, paid for many plans: 19.8 s, and 12.0 without that attention. The old loop is in float32, where cuDNN's attention is not taken. Since then a line at the top of `torchnlp.py` forbids cuDNN's attention, and the bars were measured after that.
""",
)
md(
    "deeper-the-same-gradient-in-par",
    r"""
## Deeper: The same gradient, in parts and recomputed

A batch of 32 at once; in four parts of 8, each with its share of the loss; and at once, with recomputing.
""",
)
code(
    "accumulate",
    r"""
def gradient_in_parts(model, parts):
    '''The gradient of 32 texts in equal parts, and the most bytes kept after a forward pass.'''
    model.zero_grad()
    most = 0
    for part in range(parts):
        rows = {name: tensor.chunk(parts)[part] for name, tensor in table.items()}
        output, kept_now = kept_bytes(partial(model.train(), **rows), model.parameters())
        (output.loss / parts).backward()  # frees what was kept
        most = max(most, kept_now)
    return torch.cat([weight.grad.flatten() for weight in model.parameters()]), most
""",
)
code(
    "difference",
    r"""
def difference(gradient, wanted):
    '''The largest difference, measured by the largest number that there is.'''
    return ((gradient - wanted).abs().max() / wanted.abs().max()).item()
""",
)
code(
    "accumulate-run",
    r"""
gradients, most_kept, step_seconds = {}, {}, {}
with training(OLD_LOOP | {"dropout": 0.0}, timed_items) as (model, _):
    gradient_in_parts(model, 1)  # not counted
    for name, parts_of_batch in (("at once", 1), ("in parts", 4), ("recomputed", 1)):
        if name == "recomputed":
            (getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable)()
        begin = time.perf_counter()
        gradients[name], most_kept[name] = gradient_in_parts(model, parts_of_batch)
        gradients[name][0].item()  # waits for the device
        step_seconds[name] = time.perf_counter() - begin
        print(f"{name:11}{step_seconds[name]:6.2f} s, {most_kept[name] / 1e6:5.0f} MB kept")
differences = {name: difference(gradient, gradients["at once"]) for name, gradient in gradients.items()}
""",
    IGNORED,
)
code(
    "accumulate-claim",
    r"""
assert differences["in parts"] < 1e-4
assert differences["recomputed"] < 1e-4
assert most_kept["in parts"] < most_kept["at once"] / 3
assert most_kept["recomputed"] < most_kept["at once"] / 3
""",
    CLAIM,
)
md(
    "accumulate-read",
    r"""
The same gradient three times, up to rounding, from a third or less of the bytes that are kept after the forward pass. (Recomputing adds the inside of one layer during the backward pass, as in the bar.) Parts of equal size may each be weighted alike, because this loss is a mean over texts. Where it is a mean over *tokens*, as in lessons 3 and 5, equal numbers of texts are unequal numbers of tokens, and each part must count with its tokens.
""",
)
md(
    "deeper-the-ring-in-code",
    r"""
## Deeper: The ring in code

The drawing, as a loop: each row is a process with one number for each of the four chunks.
""",
)
code(
    "ring",
    r"""
def ring_all_reduce(numbers):
    '''Each row is a process with one number a chunk. Returns how many numbers each of them sent.'''
    count, sent = len(numbers), [0] * len(numbers)
    for turn in range(count - 1):  # reduce-scatter: the next one adds what it gets
        for p in range(count):
            numbers[(p + 1) % count][(p - turn) % count] += numbers[p][(p - turn) % count]
            sent[p] += 1
    for turn in range(count - 1):  # all-gather: the next one keeps the finished sum
        for p in range(count):
            numbers[(p + 1) % count][(p + 1 - turn) % count] = numbers[p][(p + 1 - turn) % count]
            sent[p] += 1
    return sent
""",
)
code(
    "ring-run",
    r"""
ring = [[1, 10, 100, 1000], [2, 20, 200, 2000], [3, 30, 300, 3000], [4, 40, 400, 4000]]
ring_sums = [sum(chunk) for chunk in zip(*ring, strict=True)]
sent_by_each = ring_all_reduce(ring)
print(ring[0], "in each process; numbers sent by each:", sent_by_each)
""",
)
code(
    "ring-claim",
    r"""
assert ring == [ring_sums] * 4
assert sent_by_each == [2 * (4 - 1)] * 4
""",
    CLAIM,
)
md(
    "ring-read",
    r"""
All four hold the four sums, and each sent 3 + 3 chunks.
""",
)
md(
    "deeper-why-the-controls-use-sgd",
    r"""
## Deeper: Why the controls use SGD

AdamW divides the average gradient by the root of the average square. A gradient that is twice as large everywhere divides out. Train a small layer with the gradient and with twice the gradient, as two processes would have it that forgot to divide. How far apart do the two end, in units of the way that was made?
""",
)
code(
    "trained-weight",
    r"""
def trained_weight(make, factor):
    '''The weights of a small layer after twenty steps with so many times the gradient; 0 makes no step.'''
    torchnlp.set_seed(SEED)
    small, rows = nn.Linear(8, 1), torch.randn(20, 16, 8)
    optimizer = make(small.parameters(), lr=0.01, weight_decay=0.0)
    for x in rows if factor else []:
        optimizer.zero_grad()
        (factor * (small(x) - x[:, :1]).square().mean()).backward()
        optimizer.step()
    return small.weight.detach()
""",
)
code(
    "scale-of-gradients",
    r"""
far = {}
for make in (torch.optim.SGD, torch.optim.AdamW):
    start, mean, total = (trained_weight(make, factor) for factor in (0, 1, 2))
    far[make.__name__] = ((total - mean).norm() / (mean - start).norm()).item()
    print(f"{make.__name__:6} {far[make.__name__]:.3f} of the way apart")
""",
    IGNORED,
)
code(
    "scale-of-gradients-claim",
    r"""
assert far["AdamW"] < 0.02
assert far["SGD"] > 0.2
""",
    CLAIM,
)
md(
    "scale-of-gradients-read",
    r"""
Under SGD the mistake shows, under AdamW it nearly vanishes. So two curves of loss that agree under AdamW prove little: the sum would draw the same.
""",
)
md(
    "deeper-a-checkpoint-that-lacks",
    r"""
## Deeper: A checkpoint that lacks a part

A small network with dropout, AdamW and a falling learning rate makes 20 steps. At step 10 its state is kept. Then it goes on from there, each time without one part of that state.
""",
)
code(
    "checkpoint",
    r"""
import copy


class Toy:
    def __init__(self):
        torchnlp.set_seed(SEED)
        self.weights = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 1))
        self.optimizer = torch.optim.AdamW(self.weights.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, 0.1, total_iters=20)
        self.place = 0  # in the data

    def train(self, steps):
        for x in toy_rows[self.place : self.place + steps]:
            loss = (self.weights(x) - x[:, :1]).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.place += 1
""",
)
code(
    "checkpoint-keep",
    r"""
toy_rows = torch.randn(20, 16, 8, generator=torch.Generator().manual_seed(SEED))
unbroken = Toy()
unbroken.train(10)
at_ten = {name: getattr(unbroken, name).state_dict() for name in ("weights", "optimizer", "schedule")}
at_ten = copy.deepcopy(at_ten) | {"place": unbroken.place, "random": torch.get_rng_state()}
unbroken.train(10)
""",
)
code(
    "resumed-without",
    r"""
def resumed_without(missing):
    '''A network that goes on from step 10 with all parts of the state but one.'''
    again = Toy()
    state = {name: copy.deepcopy(part) for name, part in at_ten.items() if name != missing}
    for name in state.keys() & {"weights", "optimizer", "schedule"}:
        getattr(again, name).load_state_dict(state[name])
    again.place = state.get("place", 0)
    if "random" in state:
        torch.set_rng_state(state["random"])
    again.train(10)
    return again
""",
)
code(
    "checkpoint-parts",
    r"""
lacking = {}
for missing in ("nothing", *at_ten):
    pairs = zip(resumed_without(missing).weights.parameters(), unbroken.weights.parameters(), strict=True)
    lacking[missing] = max((mine - wanted).abs().max().item() for mine, wanted in pairs)
    print(f"without {missing:10} {lacking[missing]:.1e} from the run that was not cut off")
""",
    IGNORED,
)
code(
    "checkpoint-claim",
    r"""
assert lacking["nothing"] == 0
assert min(distance for name, distance in lacking.items() if name != "nothing") > 1e-5
""",
    CLAIM,
)
md(
    "checkpoint-read",
    r"""
Only the whole state goes on bit for bit. Each single part that is missing leads elsewhere, and no error says so.
""",
)
md(
    "hood",
    r"""
## Deeper: What the helper did under the hood

Rungs, loop, ladder, memory and the data parallel file stand in this lesson. `torchnlp.py` and the script did the rest:

| call | what it does |
|---|---|
| `BertCollate` | gives the tokenizer all texts of a batch at once |
| `LengthGroupedBatches` | shuffles, then puts texts of like length into one batch |
| `new_head` | names the outputs after the classes; new outputs where the model brought trained ones |
| `prepare_optimizer` | lesson 4's optimizer; asked here only whether the device has a fused AdamW |
| `read_first_token_only` | a last layer that computes keys and values for all tokens, and everything else for `[CLS]` |
| `occurring_rows` | a block in which only the word vectors that occur are trained |
| `precision`, `autocast` | ask the hardware for bfloat16; a context that uses it for matrix products |
| `attention_implementation` | the form of attention that trains faster with this device and format |
| `predict`, `accuracy` | logits for a list of texts, in batches of like length; the share of right ones |
| `recorded` | the rows of a recorded experiment, and when and on what it ran |
| `scripts/finetune.py` | deals each step's texts out to the processes like cards; averages, writes checkpoints, resumes, counts each test item once |
""",
)

# ------------------------------------------------------------------------------------------------------------ exercises
EXERCISES = {
    1: ("padding_positions", "def padding_positions(batches): ..."),
    2: ("verdict", "def verdict(before, after, band): ..."),
    3: ("accumulated_gradients", "def accumulated_gradients(model, inputs, labels, parts): ..."),
    4: ("loss_scale", "def loss_scale(gradients): ..."),
    5: ("data_parallel_step", "def data_parallel_step(models, shares, rate, exchange): ..."),
    6: ("plan", "def plan(examples, processes, fits): ..."),
    7: ("saved_by_sorting", "def saved_by_sorting(lengths, batch_size): ..."),
}
TASKS = {
    1: r"""
### 1. Recall: count the padding (5 minutes, difficulty 1 of 3)

Write `padding_positions(batches)`. `batches` is a list of batches, each a list of the lengths of its texts. Return how many positions are padding, as an int.
""",
    2: r"""
### 2. Recall: keep or reject (10 minutes, difficulty 2 of 3)

Write `verdict(before, after, band)`. `before` and `after` are lists of seconds, an odd number of each, measured in turn: those at the same place were measured side by side. The noise band reaches from `1 - band` to `1 + band`. Return `"keep"` if the median ratio of neighbours is below the band, else `"reject"`. The machine may have been busy now and then.
""",
    3: r"""
### 3. Modify: parts of different sizes (15 minutes, difficulty 2 of 3)

Write `accumulated_gradients(model, inputs, labels, parts)`. `model` maps inputs to logits, and `parts` lists the sizes of the parts, one after the other, such as `[32, 32, 8]`. Go forward and backward with each part on its own. Return a list with the gradient of each parameter: that of the mean cross-entropy of the *whole* batch. What was in `.grad` before must not count.
""",
    4: r"""
### 4. Modify: a scale for float16 (10 minutes, difficulty 2 of 3)

Write `loss_scale(gradients)` for a list of float32 tensors: the largest power of two, as a float, by which all of them can be multiplied so that none becomes infinite in float16. What does `torch.finfo(torch.float16).max` say?
""",
    5: r"""
### 5. An intervention: take the exchange away (15 minutes, difficulty 3 of 3)

Write `data_parallel_step(models, shares, rate, exchange)`: one step of SGD for several models in one process, as if each were a rank. `models` are equal at first, and `shares` has a pair `(inputs, labels)` for each. With `exchange="mean"` each model steps by the mean of all gradients, with `"sum"` by their sum, with `"none"` by its own. Update all parameters in place; return nothing. Gradients of earlier steps must not count. Then make a hundred steps with each on random inputs: how far apart do the models drift?
""",
    6: r"""
### 6. Extend: plan a run (10 minutes, difficulty 2 of 3)

You want an effective batch of `examples`, you have `processes` processes, and each can hold up to `fits` examples in memory. Write `plan(examples, processes, fits)`: the pair `(batch_size, accumulate)` for `scripts/finetune.py`, such that `batch_size` x `accumulate` x `processes` is `examples`, with the largest `batch_size` that fits. If there is no such pair, return None. Then use it: what must the two be on two machines of eight GPUs, if 128 texts are to make one step, and 16 fit?
""",
    7: r"""
### 7. Extend: would grouping help, on your own data? (20 minutes, difficulty 2 of 3)

Write `saved_by_sorting(lengths, batch_size)`: the texts in the order in which they stand are cut into batches; then they are sorted from short to long and cut again (the last batch may be smaller). Return, as a float, the share of the positions that sorting saves. Then put texts of your own into a folder (`data/README.md` has the layout), load them with `torchnlp.load_texts("my_folder")`, and give the function the lengths that `pieces_of` finds. At last start this lesson on them: `TORCHNLP_DATA=my_folder`. Is the rung *lengths grouped* kept?
""",
}
md(
    "exercises",
    "## Exercises\n\nEach has a cell for your answer and a cell that checks it on random inputs and says what is wrong. "
    "The solutions are in `solutions/6-faster-and-bigger.ipynb`; try first.\n" + TASKS[1],
)
for number, (name, scaffold) in EXERCISES.items():
    if number > 1:
        md(f"exercise-{number}-text", TASKS[number])
    code(f"exercise-{number}", scaffold)
    code(f"check-{number}", f"from checks import lesson_6 as check\n\ncheck.{name}({name})")

md(
    "check-yourself",
    r"""
## Check yourself

Answer in a sentence or two, then unfold.

<details><summary>Which change gave most here, which nothing, and how do you know that it is no noise?</summary>

On the recorded machine bfloat16 with the form of attention that suits it: each leaves 0.71 to 0.79 of the time before it, and the two together little more than half. *No dropout* and *fused AdamW* come next. Without bfloat16 instructions the first two are left out. Tokenising together gave nothing: its region is so short that nothing could be won. The same rung was measured twice, which gives a noise band; each change was timed in turn with the state before it, on the same texts, with models built anew, sixteen times in each recorded run; and only a change whose median ratio lies below the band was kept.

</details>

<details><summary>Why does grouping by length help, and what is its risk?</summary>

A batch is as wide as its longest text, and padding is computed like text. In batches of like length there is little of it. The risk: a batch is no longer a random sample. If length and class go together, batches show one class, and the gradient leans to it; so pools are shuffled. And with several processes, one that has long texts makes all others wait.

</details>

<details><summary>What does autocast leave in float32, and why?</summary>

The weights and the optimizer's averages, because a small step added to a large number would be rounded away; the gradients, because a gradient has the format of its weight. Sums with something in float32, such as the residual; losses; and on CUDA softmax, norms and other operations that add up many numbers or make large ones. The products are in bfloat16, and functions after them that keep the format of their input.

</details>

<details><summary>Two processes of batch 8 must equal which run of one process, and how would you test it?</summary>

One process with batch 16, from the same weights, on the same 16 texts a step, with the same learning rate, a loss that is a mean over texts, and without dropout: the mean of two means over 8 is the mean over 16. Compare the weights, not the curves, under SGD, and add controls that must fail: no exchange, and the sum in place of the mean.

</details>

<details><summary>What must a checkpoint hold so that a resumed run ends with the same bits?</summary>

The weights; the optimizer state with its count of steps; the state of the schedule; the random state of each process; the place in the data; and, to be safe, the settings. It must be written in one step, so that a kill never leaves half of it. The proof is to kill a run, resume it, and compare, on a machine that adds in the same order each time.

</details>

<details><summary>How do you start this on two machines of eight GPUs, and what changes for the learning?</summary>

The same `torchrun` line on each machine, with `--nnodes 2 --nproc_per_node 8`, a rendezvous backend and the address and port of one of them as its endpoint; project, news and model on both, and an output folder that both see. The code stays. The effective batch is sixteen times that of one process, so there are fewer steps for the same texts, and the learning rate is to be chosen anew. Look at the first line: it must count sixteen processes.

</details>
""",
)
code(
    "time",
    r"""
folder.cleanup()
print(f"This lesson took {time.perf_counter() - started:.0f} s.")
""",
    IGNORED,
)

# ------------------------------------------------------------------------------------------------------------ solutions
cells = solutions
md(
    "title",
    r"""
# Solutions to lesson 6: Faster and bigger

Each answer is followed by the check from the lesson. There are other right answers; the check is the judge. The tasks stand in [the lesson](../6-faster-and-bigger.ipynb).
""",
)
code(
    "setup",
    r"""
import math

import torch
import torch.nn.functional as F
""",
)
SOLUTIONS = {
    1: (
        r"""
## 1. Count the padding

A batch is as wide as its longest text. What a shorter text lacks is padding.
""",
        r"""
def padding_positions(batches):
    return sum(max(batch) - length for batch in batches for length in batch)
""",
    ),
    2: (
        r"""
## 2. Keep or reject

The ratio of neighbours is free of what disturbs both. The median is not moved by one run that was disturbed alone.
""",
        r"""
def verdict(before, after, band):
    ratios = sorted(b / a for a, b in zip(before, after, strict=True))
    return "keep" if ratios[len(ratios) // 2] < 1 - band else "reject"
""",
    ),
    3: (
        r"""
## 3. Parts of different sizes

Each part's mean counts with its share of the examples. `backward()` adds to the gradients, so they are set to zero once, before the first part.
""",
        r"""
def accumulated_gradients(model, inputs, labels, parts):
    model.zero_grad()
    for x, y in zip(inputs.split(parts), labels.split(parts), strict=True):
        (F.cross_entropy(model(x), y) * len(x) / len(inputs)).backward()
    return [weight.grad for weight in model.parameters()]
""",
    ),
    4: (
        r"""
## 4. A scale for float16

The gradient that is largest in size decides. The largest power of two that keeps it below the largest number of float16 is two to the rounded-down logarithm of their quotient.
""",
        r"""
def loss_scale(gradients):
    largest = max(part.abs().max().item() for part in gradients)
    return 2.0 ** math.floor(math.log2(torch.finfo(torch.float16).max / largest))
""",
    ),
    5: (
        r"""
## 5. Take the exchange away

All backward passes come first, as every rank has its own. Then the parameters of all models are taken side by side. The exchange is one line. With `"none"` the models drift apart with each step, since each learns its own share.
""",
        r"""
def data_parallel_step(models, shares, rate, exchange):
    for model, (inputs, labels) in zip(models, shares, strict=True):
        model.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
    with torch.no_grad():
        for ranks in zip(*(model.parameters() for model in models), strict=True):
            total = sum(weight.grad for weight in ranks)
            for weight in ranks:
                gradient = {"mean": total / len(models), "sum": total, "none": weight.grad}[exchange]
                weight -= rate * gradient
""",
    ),
    6: (
        r"""
## 6. Plan a run

What each process must do in a step is fixed. Try the batch sizes from the largest down; the first that divides it is the answer, and a batch of 1 always does. For 128 texts on sixteen GPUs: 8 texts each, so `(8, 1)`.
""",
        r"""
def plan(examples, processes, fits):
    each, left_over = divmod(examples, processes)
    if left_over:
        return None
    return next(((size, each // size) for size in range(min(fits, each), 0, -1) if each % size == 0), None)
""",
    ),
    7: (
        r"""
## 7. Would grouping help?

Count positions twice. `sorted` makes a new list, so the lengths stay as they were.
""",
        r"""
def saved_by_sorting(lengths, batch_size):
    def positions(row):
        batches = [row[i : i + batch_size] for i in range(0, len(row), batch_size)]
        return sum(len(batch) * max(batch) for batch in batches)

    return 1 - positions(sorted(lengths)) / positions(lengths)
""",
    ),
}
for number, (text, answer) in SOLUTIONS.items():
    name = EXERCISES[number][0]
    md(f"solution-{number}", text)
    code(f"exercise-{number}", answer)
    code(f"check-{number}", f"from checks import lesson_6 as check\n\ncheck.{name}({name})")


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]]
    paths = paths or [folder / "6-faster-and-bigger.ipynb" for folder in (FOLDER, FOLDER / "solutions")]
    for path, those in zip(paths, (lesson, solutions), strict=True):
        notebook = nbformat.v4.new_notebook(cells=those, metadata=METADATA)
        nbformat.validate(notebook)
        nbformat.write(notebook, path)
        print(path, len(those), "cells")


if __name__ == "__main__":
    main()
