"""Fine-tune BERT on news in several ways, in turn, in one process: the way of old courses, the Trainer's, the lessons'.

    python benchmarks/finetuning.py [FOLDER] [--examples N] [--seeds 0 1 2] [--ways WAY ...] [--both-formats] [--save]

FOLDER holds ``train.csv`` and ``test.csv`` in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. Each
way starts from the same weights, sees the same number of training items, 4,000 unless told, and is tested on the first
808 test items, as the course that this one descends from did. The seconds of training begin with the texts as strings,
so tokenizing counts. With several seeds the ways of ``EVERY_SEED`` go round once a seed, every other time backwards;
the others take the first. On a GPU, which small batches leave idle, lesson 6 runs with large ones, too.

With ``--both-formats`` each way runs in float32 and in bfloat16, in turn, and is compared with itself. On a machine
without instructions for bfloat16 that format is slower; what is learned does not depend on the machine.
"""

import contextlib
import functools
import io
import itertools
import math
import os
import random
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import torch
from limit import FORMATS, best_rate, forward_arithmetic
from measure import MAX_LENGTH, Items, in_turn, lengths_of, quiet
from report import Report, median_and_spread, options, show_mib
from torch import nn
from torch.utils.benchmark import timer
from torch.utils.data import DataLoader
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

import torchnlp

TESTED = 808


@dataclass
class Run:
    """What one way cost, and what it gave."""

    train_seconds: float
    test_seconds: float
    accuracy: float
    lengths: list[int]  # word pieces of each item that was trained on
    mib: float | None = None  # peak memory
    rate: float = math.nan  # operations a second of the best matrix product, before and after on average


def load_tokenizer():
    return AutoTokenizer.from_pretrained(torchnlp.model_folder())


def load_model(dropout: float = 0.1, attention: str | None = None) -> BertForSequenceClassification:
    """The course's model with a new head; 0.1 is the dropout that BERT was trained with."""
    return BertForSequenceClassification.from_pretrained(
        torchnlp.model_folder(),
        num_labels=len(torchnlp.CLASSES),
        use_safetensors=True,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation=attention,
    ).to(torchnlp.device)


def old_loop(train: Items, test: Items, seed: int) -> Run:
    """One ``encode`` a text, no attention mask, random batches of 8, Adam at 2e-5: as it stands in old courses."""
    tokenizer, model = load_tokenizer(), load_model()

    def pad_bert(batch):
        ids = [tokenizer.encode(text, truncation=True, max_length=512) for _, text in batch]
        longest = max(map(len, ids))
        rows = [nn.functional.pad(torch.tensor(row), (0, longest - len(row))) for row in ids]
        return torchnlp.targets(batch), torch.stack(rows)

    begin = timer()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-5)
    model.train()
    for labels, texts in DataLoader(train, batch_size=8, shuffle=True, collate_fn=pad_bert):
        labels, texts = labels.to(torchnlp.device), texts.to(torchnlp.device)
        loss = model(texts, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trained = timer()
    model.eval()
    right = 0
    with torch.no_grad():
        for labels, texts in DataLoader(test, batch_size=8, collate_fn=pad_bert):
            predicted = model(texts.to(torchnlp.device)).logits.argmax(dim=1)
            right += (predicted == labels.to(torchnlp.device)).sum().item()
    return Run(trained - begin, timer() - trained, right / len(test), lengths_of(train))


def trainer(
    train: Items, test: Items, seed: int, dropout: float = 0.1, best: bool = True, attention: str | None = None
) -> Run:
    """The Trainer with padding by batch, as it comes or with its best settings for speed."""
    tokenizer, model = load_tokenizer(), load_model(dropout, attention)
    settings = {
        "train_sampling_strategy": "group_by_length",
        "optim": "adamw_torch_fused",
        "learning_rate": 1e-4,
        "bf16": torchnlp.precision() == "bfloat16",
        "per_device_eval_batch_size": 32,
    }

    def tokenize(items: Items) -> list[dict]:
        rows = tokenizer([text for _, text in items], truncation=True, max_length=MAX_LENGTH)["input_ids"]
        labels = torchnlp.targets(items).tolist()
        return [{"input_ids": ids, "labels": label} for ids, label in zip(rows, labels, strict=True)]

    with tempfile.TemporaryDirectory() as folder:
        begin = timer()
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=torchnlp.device.type == "cpu",
            **(settings if best else {}),
        )
        runner = Trainer(
            model, arguments, train_dataset=tokenize(train), data_collator=DataCollatorWithPadding(tokenizer)
        )
        with contextlib.redirect_stdout(io.StringIO()):
            runner.train()
        trained = timer()
        predicted = runner.predict(tokenize(test))  # grouped by length: with labels in the same order
    share = torchnlp.accuracy(torch.from_numpy(predicted.predictions), torch.from_numpy(predicted.label_ids))
    return Run(trained - begin, timer() - trained, share, lengths_of(train))


def lesson(
    train: Items,
    test: Items,
    seed: int,
    batch_size: int = 8,
    share: float = 1.0,
    prepare: Callable[[BertForSequenceClassification], object] = lambda model: model,
) -> Run:
    """The helper's loop: lengths grouped, no dropout, fused AdamW, bfloat16 where it is fast.

    Args:
        batch_size: the learning rate is 1e-4 for 8, and grows with the square root.
        share: how much of the training items to take.
        prepare: what is done to the model before the training.
    """
    tokenizer, model = load_tokenizer(), load_model(dropout=0.0, attention=torchnlp.attention_implementation())
    prepare(model)
    train = train[: int(share * len(train))]
    begin = timer()
    input_ids = tokenizer([text for _, text in train], truncation=True, max_length=MAX_LENGTH)["input_ids"]
    lengths = list(map(len, input_ids))
    batches = torchnlp.LengthGroupedBatches(lengths, batch_size, seed=seed)
    loader = DataLoader(train, batch_sampler=batches, collate_fn=torchnlp.BertCollate(tokenizer, MAX_LENGTH))
    with contextlib.redirect_stdout(io.StringIO()), torchnlp.occurring_rows(model, input_ids):
        torchnlp.fine_tune(model, loader, lr=1e-4 * math.sqrt(batch_size / 8))
    trained = timer()
    logits = torchnlp.predict(model, tokenizer, [text for _, text in test])
    right = torchnlp.accuracy(logits, torchnlp.targets(test))
    return Run(trained - begin, timer() - trained, right, lengths)


def frozen_features(train: Items, test: Items, seed: int) -> Run:
    """The whole of BERT frozen: each text's mean vector is computed once, and a linear layer learns from it."""
    model = load_model(dropout=0.0).eval()
    collate = torchnlp.BertCollate(load_tokenizer(), MAX_LENGTH)

    @torch.inference_mode()
    def features(items: Items) -> torch.Tensor:
        vectors = torch.zeros(len(items), model.config.hidden_size)
        for chosen in torchnlp.LengthGroupedBatches([len(text) for _, text in items], 32):
            batch = {name: part.to(torchnlp.device) for name, part in collate([items[i] for i in chosen]).items()}
            del batch["labels"]
            with torchnlp.autocast():
                hidden = model.bert(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None]
            vectors[chosen] = ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).float().cpu()
        return nn.functional.normalize(vectors, dim=1)

    begin = timer()
    inputs, labels = features(train), torchnlp.targets(train)
    head = nn.Linear(model.config.hidden_size, len(torchnlp.CLASSES))
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    for _ in range(20):
        for chosen in torch.randperm(len(labels)).split(64):
            loss = nn.functional.cross_entropy(head(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    trained = timer()
    with torch.no_grad():
        share = torchnlp.accuracy(head(features(test)), torchnlp.targets(test))
    return Run(trained - begin, timer() - trained, share, lengths_of(train))


def freeze_lower_half(model: BertForSequenceClassification) -> None:
    """Prepare lesson 6's model, and freeze the word vectors and the lower half of the layers."""
    torchnlp.read_first_token_only(model)
    layers = model.bert.encoder.layer
    for part in (model.bert.embeddings, *layers[: len(layers) // 2]):
        part.requires_grad_(False)


lesson_6 = functools.partial(lesson, batch_size=16, prepare=torchnlp.read_first_token_only)
half_frozen = functools.partial(lesson, batch_size=16, prepare=freeze_lower_half)

WAYS: dict[str, Callable[[Items, Items, int], Run]] = {
    "old loop": old_loop,
    "Trainer, best settings": trainer,
    "lesson 4": lesson,
    "lesson 6": lesson_6,
    "lesson 6, 3/4": functools.partial(lesson_6, share=3 / 4),
    "lesson 6, 1/2": functools.partial(lesson_6, share=1 / 2),
    "lesson 6, 1/4": functools.partial(lesson_6, share=1 / 4),
    "Trainer, defaults": functools.partial(trainer, best=False),
    "Trainer, best, no dropout": functools.partial(trainer, dropout=0.0),
    "Trainer, best, both": functools.partial(trainer, dropout=0.0, attention=torchnlp.attention_implementation()),
    "lesson 6, batches of 32": functools.partial(lesson_6, batch_size=32),
    "less work: half frozen": half_frozen,
    "less work: frozen features": frozen_features,
}
LARGE = {f"lesson 6, batches of {size}": functools.partial(lesson_6, batch_size=size) for size in (64, 128)}
if torchnlp.device.type == "cuda":  # a CPU gains nothing from them
    WAYS.update(LARGE)
WHAT = {
    "old loop": "one `encode` a text, no attention mask, random batches of 8, Adam at 2e-5, float32: as in old courses",
    "Trainer, best settings": "those for speed: lengths grouped, fused AdamW at 1e-4, bfloat16 where it is fast",
    "lesson 4": "batches of 8",
    "lesson 6": "batches of 16, and a last layer that computes the first token only; a number is a share of the items",
    "Trainer, defaults": "as it comes: batches of 8 at random, AdamW at 5e-5, float32",
    "Trainer, best, no dropout": "the best settings with a model without dropout",
    "Trainer, best, both": "the best settings, no dropout, and the attention that the helper chooses",
    "lesson 6, batches of 32": "the same with a learning rate of 2e-4, as the square root of the batch asks",
    "lesson 6, batches of 64": "the same with 2.8e-4",
    "lesson 6, batches of 128": "the same with 4e-4",
    "less work: half frozen": "lesson 6, word vectors and lower half of the layers frozen: less work, not faster work",
    "less work: frozen features": "all of BERT frozen: its mean vectors are computed once, and a linear layer learns",
}
PATHS = ("lesson 4", "lesson 6", *LARGE)  # which the course promises something about, against these:
OTHERS = (
    "old loop",
    "Trainer, best settings",
    "Trainer, defaults",
    "Trainer, best, no dropout",
    "Trainer, best, both",
    "lesson 4",
)
SHARES = ("lesson 6, 1/4", "lesson 6, 1/2", "lesson 6, 3/4", "lesson 6")  # growing shares of the items
EVERY_SEED = ("old loop", "Trainer, best settings", "lesson 4", *SHARES, *LARGE)
Key = tuple[str, str]  # way and number format


# ----------------------------------------------------------------------------------------------------------- measuring


def take(way: str, number_format: str, train: Items, test: Items, seed: int) -> Run:
    """Run one way in a number format, and print what came of it."""
    with mock.patch.dict(os.environ, TORCHNLP_PRECISION=number_format):
        torchnlp.set_seed(seed)
        run = WAYS[way](train, test, seed)
    print(
        f"seed {seed}  {way:27} {number_format:8}  train {run.train_seconds:6.1f} s  test {run.test_seconds:5.1f} s  "
        f"accuracy {run.accuracy:.4f}",
        flush=True,
    )
    return run


def compare(train: Items, test: Items, examples: int, seeds: list[int], keys: list[Key]) -> dict[Key, list[Run]]:
    """Run the ways in turn, seed by seed, in one order and then in the other; between them, time matrix products.

    The machine may share its processor with others, and be slower for minutes: the products, which are the limit, tell.
    """
    runs: dict[Key, list[Run]] = {key: [] for key in keys}
    if torchnlp.device.type == "cuda":  # the first call of each kernel loads it: that is no part of the training
        for way, number_format in keys:
            take(way, number_format, train[:256], test[:64], seed=0)
    for turn, seed in enumerate(seeds):
        chosen = random.Random(seed).sample(train, min(examples, len(train)))
        of_seed = [key for key in keys if turn == 0 or key[0] in EVERY_SEED]
        before = best_rate(course_config(), keys[0][1])
        for way, number_format in of_seed[:: -1 if turn % 2 else 1]:
            case = {"way": functools.partial(take, way, number_format, chosen, test, seed)}
            done = in_turn(case, 1, warm_up=0, memory=torchnlp.device.type)["way"]
            after = best_rate(course_config(), keys[0][1])
            (run,) = done.results
            run.mib, run.rate = done.mib, (before + after) / 2
            runs[way, number_format].append(run)
            before = after
    return runs


def course_config() -> BertConfig:
    """The sizes of the course's model."""
    return BertConfig.from_pretrained(torchnlp.model_folder(), num_labels=len(torchnlp.CLASSES))


# ------------------------------------------------------------------------------------------------------------- reports


def seconds(runs: list[Run], part: str = "train") -> list[float]:
    return [getattr(run, f"{part}_seconds") for run in runs]


def over(values: list[float], others: list[float]) -> str:
    """The ratio of two ways, seed by seed."""
    return median_and_spread([value / other for value, other in zip(values, others, strict=False)])


def gains(runs: list[Run], others: list[Run]) -> list[float]:
    """By how much a way is right more often than another one, seed by seed."""
    return [run.accuracy - other.accuracy for run, other in zip(runs, others, strict=False)]


def tell_runs(report: Report, runs: dict[tuple[str, ...], list[Run]]) -> None:
    """What each way cost and gave, and what it does. A key is the way, and the number format where there are two."""
    rows = []
    for key, done in runs.items():
        speed = statistics.median(sum(run.lengths) / run.train_seconds for run in done)
        mean = statistics.mean(run.accuracy for run in done)
        accuracies = ", ".join(f"{run.accuracy:.4f}" for run in done)
        mib = show_mib(max((run.mib for run in done if run.mib), default=None))
        spreads = (median_and_spread(seconds(done, part)) for part in ("train", "test"))
        rate = median_and_spread([run.rate / 1e9 for run in done])
        rows.append([", ".join(key), *spreads, f"{speed:.0f}", rate, f"{mean:.4f}", accuracies, mib])
    report.table(
        "way | training, s | testing, s | tokens/s in training | GFLOP/s beside it | accuracy, mean | accuracies | "
        "peak memory, MiB",
        rows,
    )
    report.say("\n".join(f"- {way}: {WHAT[way]}." for way in dict.fromkeys(key[0] for key in runs) if way in WHAT))


def tell_formats(report: Report, runs: dict[Key, list[Run]]) -> None:
    """Each way in bfloat16 against itself in float32."""
    for way in dict.fromkeys(way for way, _ in runs):
        found = gains(runs[way, "bfloat16"], runs[way, "float32"])
        deviation = f", standard deviation over the seeds {statistics.stdev(found):.4f}" if len(found) > 1 else ""
        report.say(
            f"{way}: accuracy in bfloat16 minus that in float32, by seed: {statistics.mean(found):+.4f} on "
            f"average{deviation}."
        )


def tell_ratios(report: Report, runs: dict[str, list[Run]]) -> None:
    """The lessons' paths against the other ways, each seed against itself."""
    rows = []
    for path, other in itertools.product(PATHS, OTHERS):
        if path != other and path in runs and other in runs:
            ratios = (over(seconds(runs[other], part), seconds(runs[path], part)) for part in ("train", "test"))
            work = ([run.rate * run.train_seconds for run in runs[way]] for way in (other, path))
            found = gains(runs[path], runs[other])
            rows.append([path, other, *ratios, over(*work), f"{statistics.mean(found):+.4f}", len(found)])
    report.table(
        "path | against | trains, times as fast | tests, times as fast | trains, at one rate of the machine | "
        "accuracy, mean difference | seeds",
        rows,
    )


def tell_limit(report: Report, runs: dict[str, list[Run]], tested: list[int]) -> None:
    """Which share of the machine's limit the lessons' paths reach, in training and in testing."""
    rows = []

    def least_seconds(path: str, part: str, first_token_only: bool) -> list[float]:
        """What the matrix products alone would take, for each run; training needs three times the forward pass."""
        needs = functools.partial(forward_arithmetic, course_config(), 1, first_token_only=first_token_only)
        if part == "test":
            return [sum(map(needs, tested)) / run.rate for run in runs[path]]
        return [3 * sum(map(needs, run.lengths)) / run.rate for run in runs[path]]

    for path, part in itertools.product(filter(runs.get, PATHS), ("train", "test")):
        taken, job = seconds(runs[path], part), least_seconds(path, part, first_token_only=False)
        computed = least_seconds(path, part, first_token_only=path.startswith("lesson 6"))
        shown = [median_and_spread(job), median_and_spread(taken), over(taken, job), over(job, taken)]
        rows.append([path, f"{part}ing", *shown, over(computed, taken)])
    if rows:
        report.say(
            "The limit is the arithmetic of the job, for the real tokens, at the best rate of matrix products that was "
            "measured before and after. The last column counts only what the path computes of it: lesson 6's last "
            "layer computes one token."
        )
        report.table(
            "path | part | seconds at the limit | seconds | times the limit | share of the limit | of what it computes",
            rows,
        )


def tell_shares(report: Report, runs: dict[str, list[Run]]) -> None:
    """After how much of the old loop's time its accuracy is reached."""
    old, rows, reached = runs.get("old loop", []), [], "is not reached on any share"
    for way in filter(runs.get, reversed(SHARES if old else ())):
        time, gain = over(seconds(runs[way]), seconds(old)), round(statistics.mean(gains(runs[way], old)), 6)
        rows.insert(0, [way, median_and_spread(seconds(runs[way])), time, f"{gain:+.4f}"])
        if gain >= 0:
            reached = f"is reached by {way}, in {time} of the old loop's time"
    if rows:
        report.table("way | training, s | share of the old loop's time | accuracy, mean difference", rows)
        wanted = statistics.mean(run.accuracy for run in old)
        report.say(f"The old loop's accuracy, {wanted:.4f} on average, {reached}.")


def main() -> None:
    parser = options(__doc__, examples=4000, both_formats=False)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="NAME", help=", ".join(WAYS))
    arguments = parser.parse_args()
    both = arguments.both_formats
    report = Report("formats", "Fine-tuning in two number formats") if both else Report("finetuning", "Fine-tuning")
    quiet()
    train, test, _, _ = torchnlp.load_dataset(source=arguments.folder)
    test = test[:TESTED]
    keys = list(itertools.product(arguments.ways, FORMATS if both else [torchnlp.precision()]))
    runs = compare(train, test, arguments.examples, arguments.seeds, keys)
    report.say(
        f"{min(arguments.examples, len(train)):,} training items, the first {len(test)} test items, "
        f"seeds {', '.join(map(str, arguments.seeds))}; median and spread over the seeds, each against itself."
    )
    if both:
        tell_runs(report, runs)
        tell_formats(report, runs)
    else:
        by_way = {way: done for (way, _), done in runs.items()}
        tell_runs(report, {(way,): done for way, done in by_way.items()})
        tell_ratios(report, by_way)
        tell_limit(report, by_way, lengths_of(test))
        tell_shares(report, by_way)
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
