"""Fine-tune BERT on news in several ways, in turn, in one process: the way of old courses, the Trainer's, the lessons'.

    python benchmarks/finetuning.py [FOLDER] [--examples 4000] [--seeds 0 1 2] [--ways NAME ...] [--save]

FOLDER holds ``train.csv`` and ``test.csv`` in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. Each
way starts from the same weights, sees the same number of training items, 4,000 unless told, and is tested on the first
808 test items, as the course that this one descends from did. The seconds of training begin with the texts as strings,
so tokenizing counts. With several seeds the ways of ``EVERY_SEED`` go round once a seed; the others take the first.
"""

import argparse
import contextlib
import io
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from report import Report, add_save, median_and_spread, peak_memory
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    AutoTokenizer,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

import torchnlp

TESTED = 808
MAX_LENGTH = 128
Items = list[tuple[int, str]]


@dataclass
class Run:
    """What one way cost, and what it gave."""

    train_seconds: float
    test_seconds: float
    accuracy: float
    tokens: int  # real word pieces that were trained on
    mib: float | None = None  # peak memory


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


def wait() -> None:
    """Let a GPU finish, so that the clock sees its work."""
    if torchnlp.device.type == "cuda":
        torch.cuda.synchronize()


def count_tokens(tokenizer, items: Items) -> int:
    return sum(map(len, tokenizer([text for _, text in items], truncation=True, max_length=MAX_LENGTH)["input_ids"]))


def old_loop(train: Items, test: Items, seed: int) -> Run:
    """One ``encode`` a text, no attention mask, random batches of 8, Adam at 2e-5: as it stands in old courses."""
    tokenizer, model = load_tokenizer(), load_model()

    def pad_bert(batch):
        ids = [tokenizer.encode(text, truncation=True, max_length=512) for _, text in batch]
        longest = max(map(len, ids))
        rows = [nn.functional.pad(torch.tensor(row), (0, longest - len(row))) for row in ids]
        return torchnlp.targets(batch), torch.stack(rows)

    begin = time.perf_counter()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-5)
    model.train()
    for labels, texts in DataLoader(train, batch_size=8, shuffle=True, collate_fn=pad_bert):
        labels, texts = labels.to(torchnlp.device), texts.to(torchnlp.device)
        loss = model(texts, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wait()
    trained = time.perf_counter()
    model.eval()
    right = 0
    with torch.no_grad():
        for labels, texts in DataLoader(test, batch_size=8, collate_fn=pad_bert):
            predicted = model(texts.to(torchnlp.device)).logits.argmax(dim=1)
            right += (predicted == labels.to(torchnlp.device)).sum().item()
    return Run(trained - begin, time.perf_counter() - trained, right / len(test), count_tokens(tokenizer, train))


def trainer(train: Items, test: Items, seed: int, dropout: float = 0.1, **settings) -> Run:
    """The Trainer with padding by batch, and with these settings."""
    tokenizer, model = load_tokenizer(), load_model(dropout)

    def tokenize(items: Items) -> list[dict]:
        encoding = tokenizer([text for _, text in items], truncation=True, max_length=MAX_LENGTH)
        return [
            {"input_ids": ids, "attention_mask": mask, "labels": label}
            for ids, mask, label in zip(
                encoding["input_ids"], encoding["attention_mask"], torchnlp.targets(items).tolist(), strict=True
            )
        ]

    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=torchnlp.device.type == "cpu",
            **settings,
        )
        runner = Trainer(
            model, arguments, train_dataset=tokenize(train), data_collator=DataCollatorWithPadding(tokenizer)
        )
        with contextlib.redirect_stdout(io.StringIO()):
            runner.train()
        wait()
        trained = time.perf_counter()
        predicted = runner.predict(tokenize(test))  # grouped by length: with labels in the same order
    share = torchnlp.accuracy(torch.from_numpy(predicted.predictions), torch.from_numpy(predicted.label_ids))
    return Run(trained - begin, time.perf_counter() - trained, share, count_tokens(tokenizer, train))


def trainer_defaults(train: Items, test: Items, seed: int) -> Run:
    """The Trainer as it comes: batches of 8 at random, AdamW at 5e-5, float32."""
    return trainer(train, test, seed)


def trainer_best(train: Items, test: Items, seed: int, dropout: float = 0.1) -> Run:
    """The Trainer with its settings for speed: lengths grouped, fused AdamW at 1e-4, bfloat16 where it is fast."""
    return trainer(
        train,
        test,
        seed,
        dropout,
        train_sampling_strategy="group_by_length",
        optim="adamw_torch_fused",
        learning_rate=1e-4,
        bf16=torchnlp.precision() == "bfloat16",
        per_device_eval_batch_size=32,
    )


def trainer_best_no_dropout(train: Items, test: Items, seed: int) -> Run:
    """The same, with a model without dropout."""
    return trainer_best(train, test, seed, dropout=0.0)


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
    begin = time.perf_counter()
    input_ids = tokenizer([text for _, text in train], truncation=True, max_length=MAX_LENGTH)["input_ids"]
    lengths = list(map(len, input_ids))
    batches = torchnlp.LengthGroupedBatches(lengths, batch_size, seed=seed)
    loader = DataLoader(train, batch_sampler=batches, collate_fn=torchnlp.BertCollate(tokenizer, MAX_LENGTH))
    with contextlib.redirect_stdout(io.StringIO()), torchnlp.occurring_rows(model, input_ids):
        torchnlp.fine_tune(model, loader, lr=1e-4 * math.sqrt(batch_size / 8))
    wait()
    trained = time.perf_counter()
    logits = torchnlp.predict(model, tokenizer, [text for _, text in test])
    right = torchnlp.accuracy(logits, torchnlp.targets(test))
    return Run(trained - begin, time.perf_counter() - trained, right, sum(lengths))


def lesson_4(train: Items, test: Items, seed: int) -> Run:
    """Lesson 4's path: batches of 8."""
    return lesson(train, test, seed)


def lesson_6(train: Items, test: Items, seed: int, share: float = 1.0) -> Run:
    """Lesson 6's path: batches of 16, and a last layer that computes the first token only."""
    return lesson(train, test, seed, batch_size=16, share=share, prepare=torchnlp.read_first_token_only)


def lesson_6_half(train: Items, test: Items, seed: int) -> Run:
    """Lesson 6's path on half of the items."""
    return lesson_6(train, test, seed, share=1 / 2)


def lesson_6_quarter(train: Items, test: Items, seed: int) -> Run:
    """Lesson 6's path on a quarter of the items."""
    return lesson_6(train, test, seed, share=1 / 4)


def less_work(train: Items, test: Items, seed: int) -> Run:
    """Lesson 6's path with the word vectors and the lower half of the layers frozen: less work, not faster work."""

    def freeze(model: BertForSequenceClassification) -> None:
        torchnlp.read_first_token_only(model)
        layers = model.bert.encoder.layer
        for part in (model.bert.embeddings, *layers[: len(layers) // 2]):
            part.requires_grad_(False)

    return lesson(train, test, seed, batch_size=16, prepare=freeze)


def frozen_features(train: Items, test: Items, seed: int) -> Run:
    """The whole of BERT frozen: each text's mean vector is computed once, and a linear layer learns from it."""
    tokenizer, model = load_tokenizer(), load_model(dropout=0.0)
    model.eval()

    @torch.inference_mode()
    def features(items: Items) -> torch.Tensor:
        vectors = torch.zeros(len(items), model.config.hidden_size)
        order = sorted(range(len(items)), key=lambda i: len(items[i][1]))
        collate = torchnlp.BertCollate(tokenizer, MAX_LENGTH)
        for start in range(0, len(items), 32):
            chosen = order[start : start + 32]
            batch = {name: part.to(torchnlp.device) for name, part in collate([items[i] for i in chosen]).items()}
            del batch["labels"]
            with torchnlp.autocast():
                hidden = model.bert(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None]
            vectors[chosen] = ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).float().cpu()
        return nn.functional.normalize(vectors, dim=1)

    begin = time.perf_counter()
    inputs, labels = features(train), torchnlp.targets(train)
    head = nn.Linear(model.config.hidden_size, len(torchnlp.CLASSES))
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    for _ in range(20):
        for chosen in torch.randperm(len(labels)).split(64):
            loss = nn.functional.cross_entropy(head(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    trained = time.perf_counter()
    with torch.no_grad():
        share = torchnlp.accuracy(head(features(test)), torchnlp.targets(test))
    return Run(trained - begin, time.perf_counter() - trained, share, count_tokens(tokenizer, train))


WAYS: dict[str, Callable[[Items, Items, int], Run]] = {
    "old loop": old_loop,
    "Trainer, best settings": trainer_best,
    "lesson 6": lesson_6,
    "lesson 6, half": lesson_6_half,
    "lesson 6, quarter": lesson_6_quarter,
    "Trainer, defaults": trainer_defaults,
    "Trainer, best, no dropout": trainer_best_no_dropout,
    "lesson 4": lesson_4,
    "less work: half frozen": less_work,
    "less work: frozen features": frozen_features,
}
EVERY_SEED = ("old loop", "Trainer, best settings", "lesson 6", "lesson 6, half", "lesson 6, quarter")


def compare(train: Items, test: Items, examples: int, seeds: list[int], ways: list[str]) -> dict[str, list[Run]]:
    """Run the ways in turn, seed by seed, and print each run as it ends."""
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    for seed in seeds:
        for way in ways:
            if seed != seeds[0] and way not in EVERY_SEED:
                continue
            torchnlp.set_seed(seed)
            chosen = random.Random(seed).sample(train, min(examples, len(train)))
            with peak_memory() as memory:
                run = WAYS[way](chosen, test, seed)
            run.mib = memory.mib
            runs[way].append(run)
            print(
                f"seed {seed}  {way:27} train {run.train_seconds:6.1f} s  test {run.test_seconds:5.1f} s  "
                f"accuracy {run.accuracy:.4f}",
                flush=True,
            )
    return runs


def tell(report: Report, runs: dict[str, list[Run]]) -> None:
    """Tables of the runs and the ratios that the course promises."""

    def spread(values) -> str:
        return median_and_spread(list(values))

    report.table(
        ["way", "training, s", "tokens/s", "testing, s", "accuracy, mean", "accuracies", "peak memory, MiB"],
        [
            [
                way,
                spread(run.train_seconds for run in done),
                f"{statistics.median(run.tokens / run.train_seconds for run in done):.0f}",
                spread(run.test_seconds for run in done),
                f"{statistics.mean(run.accuracy for run in done):.3f}",
                ", ".join(f"{run.accuracy:.3f}" for run in done),
                "not measured" if done[0].mib is None else f"{max(run.mib for run in done):.0f}",
            ]
            for way, done in runs.items()
        ],
    )
    for way in runs:
        report.say(f"- {way}: {WAYS[way].__doc__.strip().splitlines()[0]}")
    report.say("")
    for slow in ("old loop", "Trainer, defaults", "Trainer, best settings", "Trainer, best, no dropout", "lesson 4"):
        if slow in runs and "lesson 6" in runs:
            pairs = list(zip(runs[slow], runs["lesson 6"], strict=False))
            times = [a.train_seconds / b.train_seconds for a, b in pairs]
            gain = statistics.mean(b.accuracy - a.accuracy for a, b in pairs)
            report.say(
                f"Lesson 6 trains {spread(times)} times as fast as {slow}; accuracy {gain:+.3f} (mean of {len(pairs)})."
            )
    old = runs.get("old loop")
    for way in ("lesson 6", "lesson 6, half", "lesson 6, quarter"):
        if old and way in runs:
            share = statistics.median(b.train_seconds / a.train_seconds for a, b in zip(old, runs[way], strict=True))
            gain = statistics.mean(b.accuracy - a.accuracy for a, b in zip(old, runs[way], strict=True))
            report.say(f"{way}: {share:.2f} of the old loop's time, accuracy {gain:+.3f} against it.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    parser.add_argument("--examples", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="NAME", help=", ".join(WAYS))
    add_save(parser)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    train, test, _, _ = torchnlp.load_dataset(source=arguments.folder)
    report = Report("finetuning", "Fine-tuning, the job of lesson 4")
    runs = compare(train, test[:TESTED], arguments.examples, arguments.seeds, arguments.ways)
    report.say(
        f"{min(arguments.examples, len(train)):,} training items, the first {len(test[:TESTED])} test items, "
        f"seeds {', '.join(map(str, arguments.seeds))}; median and spread over the seeds. "
        f"Number format: {torchnlp.precision()}."
    )
    tell(report, runs)
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
