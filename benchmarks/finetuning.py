"""Fine-tune BERT on news: the loop of old courses against the lesson's, in turn, in one process.

    python benchmarks/finetuning.py [--iterations 500] [--seeds 0] [FOLDER]

FOLDER holds ``train.csv`` and ``test.csv`` in AG News' layout; without it, ``TORCHNLP_DATA`` names the source. Each
run starts from the same weights, trains on batches of 8, and is tested on the first 808 test items. Prints seconds of
training, seconds of testing and accuracy, and the ratios.
"""

import argparse
import contextlib
import io
import random
import statistics
import time

import torch
import transformers
from torch.utils.data import DataLoader
from transformers import BertForSequenceClassification, BertTokenizer

import torchnlp

TESTED = 808  # as the ancestor did


def old_loop(train: list, test: list, iterations: int, seed: int) -> tuple[float, float, float]:
    """One ``encode`` a text, no attention mask, random batches, Adam, float32: as it stands in old courses."""
    torchnlp.set_seed(seed)
    tokenizer = BertTokenizer.from_pretrained(torchnlp.model_folder())
    model = BertForSequenceClassification.from_pretrained(torchnlp.model_folder(), num_labels=4, use_safetensors=True)
    model = model.to(torchnlp.device)

    def pad_bert(batch):
        ids = [tokenizer.encode(text, truncation=True, max_length=512) for _, text in batch]
        longest = max(map(len, ids))
        rows = [torch.nn.functional.pad(torch.tensor(row), (0, longest - len(row))) for row in ids]
        return torchnlp.targets(batch), torch.stack(rows)

    optimizer = torch.optim.Adam(model.parameters(), lr=2e-5)
    model.train()
    begin = time.perf_counter()
    done = 0
    while done < iterations:
        for labels, texts in DataLoader(train, batch_size=8, shuffle=True, collate_fn=pad_bert):
            labels, texts = labels.to(torchnlp.device), texts.to(torchnlp.device)
            loss = model(texts, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done == iterations:
                break
    trained = time.perf_counter()
    model.eval()
    right = 0
    with torch.no_grad():
        for labels, texts in DataLoader(test[:TESTED], batch_size=8, collate_fn=pad_bert):
            predicted = model(texts.to(torchnlp.device)).logits.argmax(dim=1)
            right += (predicted == labels.to(torchnlp.device)).sum().item()
    return trained - begin, time.perf_counter() - trained, right / len(test[:TESTED])


def lesson_loop(train: list, test: list, iterations: int, seed: int) -> tuple[float, float, float]:
    """Lesson 4's way: mask, batches of like length, no dropout, bfloat16 where the hardware has it, fused AdamW."""
    torchnlp.set_seed(seed)
    tokenizer = BertTokenizer.from_pretrained(torchnlp.model_folder())
    model = BertForSequenceClassification.from_pretrained(
        torchnlp.model_folder(),
        num_labels=4,
        use_safetensors=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ).to(torchnlp.device)
    begin = time.perf_counter()
    chosen = random.Random(seed).sample(train, min(8 * iterations, len(train)))
    lengths = [
        len(ids) for ids in tokenizer([text for _, text in chosen], truncation=True, max_length=128)["input_ids"]
    ]
    batches = torchnlp.LengthGroupedBatches(lengths, batch_size=8, seed=seed)
    loader = DataLoader(chosen, batch_sampler=batches, collate_fn=torchnlp.BertCollate(tokenizer))
    with contextlib.redirect_stdout(io.StringIO()):
        torchnlp.fine_tune(model, loader, lr=1e-4, iterations=iterations)
    trained = time.perf_counter()
    logits = torchnlp.predict(model, tokenizer, [text for _, text in test[:TESTED]])
    share = torchnlp.accuracy(logits, torchnlp.targets(test[:TESTED]))
    return trained - begin, time.perf_counter() - trained, share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="news in AG News' layout")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    train, test, _, _ = torchnlp.load_dataset(source=arguments.folder)
    print(
        f"torch {torch.__version__}, {torchnlp.device.type}, {torch.get_num_threads()} threads, {torchnlp.precision()}"
    )

    rows: dict[str, list[tuple[float, float, float]]] = {"old loop": [], "lesson": []}
    for seed in arguments.seeds:
        for name, run in (("old loop", old_loop), ("lesson", lesson_loop)):
            rows[name].append(run(train, test, arguments.iterations, seed))
            trained, tested, share = rows[name][-1]
            print(
                f"seed {seed} {name:8}  train {trained:6.1f} s  test {tested:5.1f} s  accuracy {share:.4f}", flush=True
            )
    for column, what in ((0, "training"), (1, "testing")):
        ratios = [old[column] / new[column] for old, new in zip(*rows.values(), strict=True)]
        print(f"{what}: the lesson is {statistics.median(ratios):.1f} times as fast (median of {len(ratios)})")
    old, new = (statistics.mean(share for _, _, share in runs) for runs in rows.values())
    print(f"mean accuracy: old loop {old:.4f}, lesson {new:.4f}")


if __name__ == "__main__":
    main()
