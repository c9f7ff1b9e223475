"""What else was tried to make a step of lesson 6's path faster: each change beside the path itself, in turn.

    python benchmarks/tried.py [--rounds 12] [--save] [FOLDER]

FOLDER holds news in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. A round is one batch of 16 texts,
the same for each case; the ratio is that of the seconds to the path's, below 1 where the change helps. What belongs to
the process as a whole (threads, pinned cores, the allocator) is tried by starting this with other settings, and
comparing its first line. ``limit.py --compile`` tries ``torch.compile``.
"""

import contextlib
import functools
import random
from collections.abc import Callable
from statistics import median

import torch
from measure import Batch, Items, Trainer, batches_of, course_model, in_turn, input_ids_of
from report import Report, median_and_spread, run
from torch import nn
from transformers import BertForSequenceClassification
from transformers.models.bert.modeling_bert import eager_attention_forward

import torchnlp

BATCH = 16
WARM_UP = 3  # rounds that do not count
Step = Callable[[Batch], object]


def path_model(attention: str | None = None, first_token: bool = True) -> BertForSequenceClassification:
    """The model of lesson 6's path, but for its word vectors."""
    model = course_model(attention).to(torchnlp.device)
    return torchnlp.read_first_token_only(model) if first_token else model


def one_product(model: BertForSequenceClassification) -> BertForSequenceClassification:
    """Compute queries, keys and values of all layers but the last by one product instead of three."""
    for layer in model.bert.encoder.layer[:-1]:
        attention = layer.attention.self
        parts = (attention.query, attention.key, attention.value)
        heads, width = attention.num_attention_heads, attention.query.in_features
        together = nn.Linear(width, 3 * width, device=torchnlp.device)
        with torch.no_grad():
            together.weight.copy_(torch.cat([part.weight for part in parts]))
            together.bias.copy_(torch.cat([part.bias for part in parts]))
        del attention.query, attention.key, attention.value
        attention.together = together

        def forward(hidden, attention_mask=None, *_, attention=attention, heads=heads, **__):
            parts = attention.together(hidden).chunk(3, dim=-1)
            query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
            context, weights = eager_attention_forward(
                attention, query, key, value, attention_mask, dropout=0.0, scaling=attention.scaling
            )
            return context.flatten(start_dim=2), weights

        attention.forward = forward
    return model


def short_residual(model: BertForSequenceClassification) -> BertForSequenceClassification:
    """Let the sums that run past the layers be bfloat16, so that no product's input needs to be cast."""
    model.bert.embeddings.register_forward_hook(lambda module, inputs, output: output.to(torch.bfloat16))
    return model


def keep_gradients(trainer: Trainer) -> Trainer:
    """Fill gradients with zeros instead of giving their memory back."""
    trainer.optimizer.zero_grad = functools.partial(trainer.optimizer.zero_grad, set_to_none=False)
    return trainer


def cast_once(model: BertForSequenceClassification) -> Step:
    """Train a model in bfloat16 beside its weights in float32, so that no product casts its weight by itself."""
    model = model.to(torch.bfloat16).train()
    short = list(model.parameters())
    master = nn.ParameterList(weight.detach().float() for weight in short)
    optimizer, scheduler = torchnlp.prepare_optimizer(master, 1e-4, iterations=1_000_000)

    def step(batch: Batch) -> None:
        batch = {name: tensor.to(torchnlp.device) for name, tensor in batch.items()}
        model.zero_grad()
        model(**batch).loss.backward()
        for weight, mine in zip(master, short, strict=True):
            weight.grad = mine.grad.float()
        optimizer.step()
        scheduler.step()
        with torch.no_grad():
            torch._foreach_copy_(short, list(master))

    return step


def cases(input_ids: list[list[int]], blocks: contextlib.ExitStack) -> dict[str, Step]:
    """The path and the changes to it. Within the blocks, the models have only the rows that occur."""

    def on_rows(model: nn.Module, make: Callable = Trainer) -> object:
        blocks.enter_context(torchnlp.occurring_rows(model, input_ids))
        return make(model)

    steps = {
        "lesson 6's path": on_rows(path_model()).step,
        "the other form of attention": on_rows(
            path_model("sdpa" if torchnlp.attention_implementation() == "eager" else "eager")
        ).step,
        "the whole table of word vectors": Trainer(path_model()).step,
        "all tokens in the last layer": on_rows(path_model(first_token=False)).step,
        "one product for query, key, value": on_rows(one_product(path_model("eager"))).step,
        "gradients kept and filled with zeros": keep_gradients(on_rows(path_model())).step,
    }
    if torchnlp.precision() == "bfloat16":
        steps["residual sums in bfloat16"] = on_rows(short_residual(path_model())).step
        steps["weights cast once a step"] = on_rows(path_model(), cast_once)
    return steps


def per_thousand(seconds: list[float], batches: list[Batch]) -> list[float]:
    """The seconds for 1,000 word pieces of each batch."""
    return [1000 * second / int(batch["attention_mask"].sum()) for second, batch in zip(seconds, batches, strict=True)]


def measure(report: Report, rounds: int, folder: str | None = None) -> None:
    """Run the cases in turn over the same batches, and print the ratio of each to the path."""
    items: Items = torchnlp.load_dataset(source=folder)[0]
    chosen = random.Random(0).sample(items, min(len(items), 4000))
    input_ids = input_ids_of(chosen)
    blocks = contextlib.ExitStack()
    steps = [(name, step, BATCH) for name, step in cases(input_ids, blocks).items()]
    path = steps[0][1]
    steps.insert(1, ("batches of 32", path, 2 * BATCH))
    steps.append(("lesson 6's path, once more", path, BATCH))  # how far the same thing differs from itself
    batches, works = {}, {}
    for size in (BATCH, 2 * BATCH):
        cut = torchnlp.LengthGroupedBatches(list(map(len, input_ids)), size)
        batches[size] = batches_of(chosen, list(cut)[: WARM_UP + rounds])
    for name, step, size in steps:
        coming = iter(batches[size])
        works[name] = lambda step=step, coming=coming: step(next(coming))
    with blocks:
        measured = in_turn(works, rounds, WARM_UP)
    seconds = {name: per_thousand(measured[name].seconds, batches[size][WARM_UP:]) for name, _, size in steps}
    first = seconds[steps[0][0]]
    rows = []
    for name, mine in seconds.items():
        ratios = [second / path for second, path in zip(mine, first, strict=True)]
        rows.append([name, f"{1000 * median(mine):.1f}", median_and_spread(ratios)])
    report.table("case | ms per 1,000 word pieces | times the path", rows)


if __name__ == "__main__":
    run(Report("tried", "What else was tried"), measure, __doc__, rounds=12)
