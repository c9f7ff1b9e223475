"""What every public function does with odd input: the right result where there is one, else an error with the remedy.

Properties that hold for any input are tried on many random ones.
"""

import datetime
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from torch import nn
from torch.utils.data import DataLoader
from torchtext.vocab import Vocab
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertTokenizer

import torchnlp

# Random inputs, but the same in each run, and no time limit: a busy machine is slow.
many = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = [(1, "Talks open"), (2, "A late goal wins the cup"), (3, "Shares fall"), (4, "New chip")]
some_text = st.text(max_size=40)
some_word = st.text("abcdefgh", min_size=1, max_size=5)
some_batch = st.lists(st.tuples(st.integers(1, 9), some_text), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def bert_tokenizer() -> BertTokenizer:
    return BertTokenizer.from_pretrained(torchnlp.model_folder())


@pytest.fixture(scope="module")
def vocabulary() -> Vocab:
    return torchnlp.build_vocab([text for _, text in TEXTS])


def tiny(kind: type, **more) -> nn.Module:
    torch.manual_seed(0)
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, **more)
    return kind(config).to(torchnlp.device).eval()


@pytest.fixture(scope="module")
def classifier() -> BertForSequenceClassification:
    return tiny(BertForSequenceClassification, num_labels=4)


class Mean(nn.Module):
    """The smallest net that train_epoch takes: 4 logits from the mean of the token numbers."""

    def __init__(self):
        super().__init__()
        self.answer = nn.Linear(1, 4)

    def forward(self, features: torch.Tensor, offsets: torch.Tensor | None = None) -> torch.Tensor:
        rows = features if offsets is None else features[: len(offsets), None]
        return self.answer(rows.float().mean(dim=1, keepdim=True))


# ------------------------------------------------------------------------------------------------------------ refusals

# A call for each, the kind of error, and what the message must name. `it` holds the fixtures.
REFUSED: dict[str, tuple[Callable, type[Exception], str]] = {
    "set_seed: below zero": (lambda it: torchnlp.set_seed(-1), ValueError, "0 to 2"),
    "set_seed: a word": (lambda it: torchnlp.set_seed("a"), ValueError, "0 to 2"),
    "set_seed: None": (lambda it: torchnlp.set_seed(None), ValueError, "0 to 2"),
    "load_texts: no folder": (
        lambda it: torchnlp.load_texts("nowhere"),
        torchnlp.DataError,
        "not a folder.*TORCHNLP_DATA",
    ),
    "load_dataset: half a gram": (lambda it: torchnlp.load_dataset(ngrams=1.5), ValueError, "ngrams.*whole number"),
    "build_vocab: one string": (lambda it: torchnlp.build_vocab("news"), TypeError, "into a list"),
    "build_vocab: None": (lambda it: torchnlp.build_vocab(None), TypeError, "give a list of strings"),
    "build_vocab: None inside": (lambda it: torchnlp.build_vocab(["a", None]), TypeError, "text 1 .*leave it out"),
    "build_vocab: no gram": (lambda it: torchnlp.build_vocab(["a"], ngrams=0), ValueError, "ngrams.*count from 1"),
    "encode: None": (lambda it: torchnlp.encode(None, it.vocabulary), TypeError, "no text: give one string"),
    "encode: a list": (lambda it: torchnlp.encode(["a"], it.vocabulary), TypeError, "call encode for each"),
    "targets: from 0": (lambda it: torchnlp.targets([(0, "a"), (5, "b")]), ValueError, "item 0.*add 1 to each"),
    "targets: a name": (lambda it: torchnlp.targets([("World", "a")]), TypeError, "item 0.*whole number"),
    "targets: True": (lambda it: torchnlp.targets([(True, "a")]), TypeError, "item 0.*whole number"),
    "targets: half a label": (lambda it: torchnlp.targets([(1, "a"), (1.5, "b")]), TypeError, "item 1.*whole number"),
    "targets: no pair": (lambda it: torchnlp.targets(["a"]), TypeError, r"give \(label, text\)"),
    "padify: empty": (lambda it: torchnlp.padify([], it.vocabulary), ValueError, "at least one"),
    "padify: None inside": (lambda it: torchnlp.padify([(1, None)], it.vocabulary), TypeError, "text 0.*leave it out"),
    "padify: no text": (lambda it: torchnlp.padify([(1,)], it.vocabulary), TypeError, "text 0.*leave it out"),
    "padify: label 0": (lambda it: torchnlp.padify([(0, "a")], it.vocabulary), ValueError, "count from 1"),
    "offsetify: empty": (lambda it: torchnlp.offsetify([], it.vocabulary), ValueError, "at least one"),
    "offsetify: None inside": (lambda it: torchnlp.offsetify([(1, None)], it.vocabulary), TypeError, "leave it out"),
    "BertCollate: empty": (lambda it: torchnlp.BertCollate(it.tokenizer)([]), ValueError, "at least one"),
    "BertCollate: None inside": (lambda it: torchnlp.BertCollate(it.tokenizer)([(1, None)]), TypeError, "leave it out"),
    "BertCollate: too long": (lambda it: torchnlp.BertCollate(it.tokenizer, 1000), ValueError, "at most 512"),
    "BertCollate: too short": (lambda it: torchnlp.BertCollate(it.tokenizer, 2), ValueError, "at least 3"),
    "BertCollate: a word": (lambda it: torchnlp.BertCollate(it.tokenizer, "128"), ValueError, "at least 3"),
    "batches: a word": (lambda it: torchnlp.LengthGroupedBatches([1], "8"), ValueError, "batch_size.*count from 1"),
    "batches: texts": (lambda it: torchnlp.LengthGroupedBatches(["a"], 8), ValueError, "length of each item"),
    "load_entities: nowhere": (lambda it: torchnlp.load_entities("no/where"), torchnlp.DataError, "or sample"),
    "load_questions: a number": (lambda it: torchnlp.load_questions(5), TypeError, "int"),
    "date_sentence: empty": (lambda it: torchnlp.date_sentence([], "en"), ValueError, "at least one"),
    "date_sentence: words": (lambda it: torchnlp.date_sentence(["2031-09-14"], "en"), ValueError, "datetime.date"),
    "date_sentences: half": (lambda it: torchnlp.date_sentences(2.5), ValueError, "whole numbers"),
    "date_sentences: no count": (lambda it: torchnlp.date_sentences(2, counts=()), ValueError, "at least one count"),
    "model_folder: a number": (lambda it: torchnlp.model_folder(5), TypeError, "int"),
    "new_head: a layer": (
        lambda it: torchnlp.new_head(nn.Linear(2, 2), "ab"),
        TypeError,
        "BertForSequenceClassification",
    ),
    "new_head: too few": (lambda it: torchnlp.new_head(it.classifier, "ab"), ValueError, "4 outputs for 2 classes"),
    "train_epoch: label 4": (
        lambda it: torchnlp.train_epoch(Mean().to(torchnlp.device), [(torch.tensor([4]), torch.ones(1, 3))]),
        ValueError,
        "4 classes.*torchnlp.targets",
    ),
    "train_epoch: report never": (
        lambda it: torchnlp.train_epoch(Mean().to(torchnlp.device), it.padded, report_freq=0),
        ValueError,
        "report_freq.*count from 1",
    ),
    "train_epoch_emb: label -1": (
        lambda it: torchnlp.train_epoch_emb(
            Mean().to(torchnlp.device), [(torch.tensor([-1]), torch.ones(3), torch.tensor([0]))]
        ),
        ValueError,
        "4 classes.*torchnlp.targets",
    ),
    "fine_tune: a generator": (
        lambda it: torchnlp.fine_tune(it.classifier, iter(it.batches), iterations=1),
        TypeError,
        "give a DataLoader or a list",
    ),
    "fine_tune: None": (lambda it: torchnlp.fine_tune(it.classifier, None), TypeError, "give a DataLoader or a list"),
    "fine_tune: report never": (
        lambda it: torchnlp.fine_tune(it.classifier, it.batches, report_freq=0),
        ValueError,
        "report_freq.*count from 1",
    ),
    "fine_tune: label 4": (
        lambda it: torchnlp.fine_tune(it.classifier, [it.batches[0] | {"labels": torch.tensor([4] * 4)}]),
        ValueError,
        "4 classes.*torchnlp.targets",
    ),
    "fine_tune: too long": (
        lambda it: torchnlp.fine_tune(
            it.classifier,
            [{"input_ids": torch.ones(1, 600, dtype=torch.long), "labels": torch.tensor([0])}],
        ),
        ValueError,
        "at most 512",
    ),
    "prepare_optimizer: no step": (
        lambda it: torchnlp.prepare_optimizer(it.classifier, 1e-4, 0),
        ValueError,
        "nothing to train",
    ),
    "occurring_rows: one text": (
        lambda it: torchnlp.occurring_rows(it.classifier, [101, 102]).__enter__(),
        TypeError,
        "those of all training texts, a list of lists",
    ),
    "occurring_rows: another model's pieces": (
        lambda it: torchnlp.occurring_rows(it.classifier, [[101, 999_999]]).__enter__(),
        ValueError,
        "take the model's own tokenizer",
    ),
    "occurring_rows: blanks": (
        lambda it: torchnlp.occurring_rows(tiny(BertForMaskedLM), [[101, 102]]).__enter__(),
        ValueError,
        "train it without this",
    ),
    "read_first_token_only: blanks": (
        lambda it: torchnlp.read_first_token_only(tiny(BertForMaskedLM)),
        TypeError,
        "give a BertForSequenceClassification",
    ),
    "predict: one string": (
        lambda it: torchnlp.predict(it.classifier, it.tokenizer, "news"),
        TypeError,
        "into a list",
    ),
    "predict: None": (lambda it: torchnlp.predict(it.classifier, it.tokenizer, None), TypeError, "list of strings"),
    "predict: None inside": (
        lambda it: torchnlp.predict(it.classifier, it.tokenizer, ["a", None]),
        TypeError,
        "text 1.*leave it out",
    ),
    "predict: too long": (
        lambda it: torchnlp.predict(it.classifier, it.tokenizer, ["a"], max_length=1000),
        ValueError,
        "at most 512",
    ),
    "predict: no batch": (
        lambda it: torchnlp.predict(it.classifier, it.tokenizer, ["a"], batch_size=0),
        ValueError,
        "batch_size.*count from 1",
    ),
    "accuracy: no columns": (
        lambda it: torchnlp.accuracy(torch.ones(2), torch.tensor([0, 1])),
        ValueError,
        "rows of logits",
    ),
    "accuracy: label 4": (
        lambda it: torchnlp.accuracy(torch.ones(1, 4), torch.tensor([4])),
        ValueError,
        "torchnlp.targets",
    ),
    "interval: more right than there are": (lambda it: torchnlp.interval(3, 2), ValueError, "give a count from 0 to n"),
    "recorded: unknown": (lambda it: torchnlp.recorded("nothing"), torchnlp.DataError, "record.py nothing"),
    "show: None": (lambda it: torchnlp.show(None, "nothing"), TypeError, "give a figure"),
    "plot_history: empty": (lambda it: torchnlp.plot_history({}), ValueError, "see fine_tune"),
    "plot_history: uneven": (
        lambda it: torchnlp.plot_history({"iteration": [1], "loss": [1.0, 2.0], "accuracy": [0.5]}),
        ValueError,
        "as many of each",
    ),
    "plot_confusion_matrix: one too many": (
        lambda it: torchnlp.plot_confusion_matrix(torch.tensor([0, 1]), torch.tensor([0]), "ab"),
        ValueError,
        "one for each",
    ),
    "plot_confusion_matrix: no name": (
        lambda it: torchnlp.plot_confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 1]), "ab"),
        ValueError,
        "a name of its own",
    ),
    "plot_attention: a batch": (
        lambda it: torchnlp.plot_attention(torch.ones(1, 2, 2), "ab", "ab"),
        ValueError,
        "one head of one example",
    ),
}


class Fixtures:
    """What the calls above work on."""

    def __init__(self, vocabulary, tokenizer, classifier):
        self.vocabulary, self.tokenizer, self.classifier = vocabulary, tokenizer, classifier
        self.padded = [torchnlp.padify(TEXTS, vocabulary)]
        self.batches = [torchnlp.BertCollate(tokenizer)(TEXTS)]


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_remedy(case, vocabulary, bert_tokenizer, classifier):
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=f"(?s){message}"):
        call(Fixtures(vocabulary, bert_tokenizer, classifier))


def test_every_public_function_is_tried_here():
    tried = Path(__file__).read_text(encoding="utf-8")
    for name in torchnlp.__all__:
        thing = getattr(torchnlp, name)
        if inspect.isfunction(thing) and thing.__module__ == "torchnlp" and inspect.signature(thing).parameters:
            assert f"torchnlp.{name}" in tried, f"try {name} with odd input"


def test_labels_are_refused_before_a_device_sees_them(classifier, bert_tokenizer):
    """On CUDA a wrong label would end the process: it must be found while it is a number on the CPU."""
    weights = [parameter.clone() for parameter in classifier.parameters()]
    batch = torchnlp.BertCollate(bert_tokenizer)([(5, "a")])
    with pytest.raises(ValueError, match="4 classes"):
        torchnlp.fine_tune(classifier, [batch], iterations=1)
    assert all(torch.equal(old, new) for old, new in zip(weights, classifier.parameters(), strict=True))


def test_generators_and_single_items_are_taken(vocabulary, bert_tokenizer, classifier):
    texts = [text for _, text in TEXTS]
    assert torch.equal(torchnlp.targets(iter(TEXTS)), torch.tensor([0, 1, 2, 3]))
    assert torch.equal(torchnlp.padify(iter(TEXTS), vocabulary)[1], torchnlp.padify(TEXTS, vocabulary)[1])
    assert torch.equal(torchnlp.offsetify(iter(TEXTS), vocabulary)[1], torchnlp.offsetify(TEXTS, vocabulary)[1])
    collate = torchnlp.BertCollate(bert_tokenizer)
    assert torch.equal(collate(iter(TEXTS))["input_ids"], collate(TEXTS)["input_ids"])
    assert torchnlp.build_vocab(iter(texts)).itos == vocabulary.itos
    by_generator = torchnlp.predict(classifier, bert_tokenizer, (text for text in texts))
    torch.testing.assert_close(by_generator, torchnlp.predict(classifier, bert_tokenizer, texts))
    assert torchnlp.predict(classifier, bert_tokenizer, ["Talks"]).shape == (1, 4)
    assert torchnlp.predict(classifier, bert_tokenizer, []).shape == (0, 4)
    assert torchnlp.date_sentence(iter([datetime.date(2031, 9, 14)]), "en").target == "2031-09-14"
    assert sorted(i for batch in torchnlp.LengthGroupedBatches(map(len, texts), 3) for i in batch) == [0, 1, 2, 3]
    assert len(torchnlp.LengthGroupedBatches([], 3)) == 0 and not list(torchnlp.LengthGroupedBatches([], 3))


def test_labels_of_other_libraries_are_whole_numbers_too():
    assert torchnlp.targets([(np.int64(2), "a"), [3, "b"]]).tolist() == [1, 2]


def test_fine_tune_of_another_head_knows_its_own_labels(bert_tokenizer):
    """A head that fills blanks has a label for each word of the vocabulary, whatever num_labels says."""
    model = tiny(BertForMaskedLM)
    batch = torchnlp.BertCollate(bert_tokenizer)(TEXTS)
    batch["labels"] = batch["input_ids"]
    assert len(torchnlp.fine_tune(model, [batch], iterations=1)["loss"]) == 1


def test_plots_take_lists_and_what_lies_on_the_device():
    here = torch.tensor([0, 1, 1], device=torchnlp.device)
    for labels in (here, [0, 1, 1]):
        ax = torchnlp.plot_confusion_matrix(labels, labels, ["no", "yes"])
        assert [text.get_text() for text in ax.texts] == ["1", "0", "0", "2"]
    torchnlp.plot_attention(torch.eye(2, device=torchnlp.device, requires_grad=True), "ab", "ab")
    plt.close("all")


# ---------------------------------------------------------------------------------------------------------- properties


@many
@given(st.lists(st.integers(1, 50)))
def test_labels_come_back_from_targets(labels):
    assert (torchnlp.targets([(label, "") for label in labels]) + 1).tolist() == labels


@many
@given(batch=some_batch)
def test_padify_loses_no_token_and_adds_only_padding(vocabulary, batch):
    labels, features = torchnlp.padify(batch, vocabulary)
    wanted = [torchnlp.encode(text, vocabulary) for _, text in batch]
    assert labels.tolist() == [label - 1 for label, _ in batch]
    assert features.shape == (len(batch), max(1, *map(len, wanted), 0))
    for row, tokens in zip(features.tolist(), wanted, strict=True):
        assert row == tokens + [torchnlp.PAD_INDEX] * (len(row) - len(tokens))


@many
@given(batch=some_batch)
def test_offsetify_holds_the_same_tokens_as_padify(vocabulary, batch):
    labels, text, offsets = torchnlp.offsetify(batch, vocabulary)
    pieces = torch.tensor_split(text, offsets[1:])
    assert [piece.tolist() for piece in pieces] == [torchnlp.encode(words, vocabulary) for _, words in batch]
    assert torch.equal(labels, torchnlp.padify(batch, vocabulary)[0])


@many
@given(batch=some_batch, max_length=st.integers(3, 20))
def test_the_mask_of_bert_collate_comes_from_the_lengths(bert_tokenizer, batch, max_length):
    together = torchnlp.BertCollate(bert_tokenizer, max_length)(batch)
    assert together["input_ids"].shape == together["attention_mask"].shape
    assert together["input_ids"].shape[1] <= max_length
    for (label, text), ids, mask, target in zip(batch, *together.values(), strict=True):
        alone = bert_tokenizer.encode(text, truncation=True, max_length=max_length)
        assert mask.tolist() == [1] * len(alone) + [0] * (len(mask) - len(alone))
        assert ids[: len(alone)].tolist() == alone and target == label - 1


@many
@given(texts=st.lists(some_text, max_size=7), batch_size=st.integers(1, 4))
def test_predictions_depend_on_neither_order_nor_neighbours(classifier, bert_tokenizer, texts, batch_size):
    tolerance = 1e-5 if torchnlp.precision() == "float32" else 2e-2
    together = torchnlp.predict(classifier, bert_tokenizer, texts, batch_size)
    backwards = torchnlp.predict(classifier, bert_tokenizer, texts[::-1], batch_size).flip(0)
    torch.testing.assert_close(backwards, together, rtol=0, atol=tolerance)
    for text, logits in zip(texts, together, strict=True):
        alone = torchnlp.predict(classifier, bert_tokenizer, [text])[0]
        torch.testing.assert_close(alone, logits, rtol=0, atol=tolerance)


@many
@given(
    lengths=st.lists(st.integers(0, 500), max_size=80),
    batch_size=st.integers(1, 9),
    pool=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_length_grouped_batches_are_a_shuffle(lengths, batch_size, pool, seed):
    sampler = torchnlp.LengthGroupedBatches(lengths, batch_size, pool, seed)
    batches = list(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert len(batches) == len(sampler) and all(0 < len(batch) <= batch_size for batch in batches)
    assert batches == list(torchnlp.LengthGroupedBatches(lengths, batch_size, pool, seed))


@many
@given(st.lists(st.lists(some_word, max_size=8).map(" ".join), max_size=8), st.integers(1, 3), st.integers(1, 2))
def test_a_vocabulary_numbers_what_is_frequent_enough(texts, min_freq, ngrams):
    words = [word for text in texts for word in torchnlp.tokenizer(text)]
    vocabulary = torchnlp.build_vocab(texts, ngrams, min_freq)
    assert vocabulary.itos[:2] == ["<pad>", "<unk>"] and len(set(vocabulary.itos)) == len(vocabulary)
    for word in words:
        assert (word in vocabulary.stoi) == (words.count(word) >= min_freq)
        assert torchnlp.encode(word, vocabulary) == [vocabulary.stoi.get(word, 1)]


@many
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.integers(0, 1)), min_size=1))
def test_accuracy_is_the_plain_count(rows):
    logits, labels = torch.tensor([row[:2] for row in rows]), torch.tensor([row[2] for row in rows])
    right = sum(int(a < b) == label for a, b, label in zip(*logits.T.tolist(), labels.tolist(), strict=True))
    assert torchnlp.accuracy(logits, labels) == pytest.approx(right / len(rows))


# ------------------------------------------------------------------------------------------------------- number format


@pytest.mark.parametrize("chosen", ["float32", "bfloat16"])
def test_precision_is_what_was_chosen_on_any_machine(monkeypatch, chosen):
    monkeypatch.setenv("TORCHNLP_PRECISION", chosen)
    ones = torch.ones(2, 2, device=torchnlp.device)
    with torchnlp.autocast():
        product = ones @ ones
    assert torchnlp.precision() == chosen and str(product.dtype) == f"torch.{chosen}"


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("setting", ["auto", "", None])
def test_precision_follows_the_hardware_unless_told(monkeypatch, fast, setting):
    if setting is None:
        monkeypatch.delenv("TORCHNLP_PRECISION", raising=False)
    else:
        monkeypatch.setenv("TORCHNLP_PRECISION", setting)
    monkeypatch.setattr(torchnlp, "has_fast_bfloat16", lambda: fast)
    assert torchnlp.precision() == ("bfloat16" if fast else "float32")


def test_an_unknown_precision_names_the_choices(monkeypatch):
    monkeypatch.setenv("TORCHNLP_PRECISION", "float16")
    for call in (torchnlp.precision, torchnlp.autocast):
        with pytest.raises(RuntimeError, match=r"float16.*auto, bfloat16 or float32"):
            call()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_what_is_learned_does_not_depend_on_the_threads(threads):
    """Up to rounding, which in another order of summation is another one."""
    program = (
        "import torch, torchnlp; torch.set_num_threads(int(__import__('sys').argv[1])); torchnlp.set_seed(0);"
        "net = torch.nn.Sequential(torch.nn.Embedding(99, 8), torch.nn.Flatten(), torch.nn.Linear(32, 4));"
        "net.to(torchnlp.device); data = [(torch.arange(8) % 4, torch.randint(99, (8, 4))) for _ in range(20)];"
        "print('loss', torchnlp.train_epoch(net, data)[0])"
    )
    losses = []
    for count in (1, threads):
        done = subprocess.run([sys.executable, "-c", program, str(count)], capture_output=True, text=True, check=True)
        losses.append(float(re.search(r"loss (\S+)", done.stdout)[1]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_loaders_of_generators_train_once(vocabulary):
    """train_epoch walks through its data once, so a generator of batches will do."""
    loader = DataLoader(TEXTS, batch_size=2, collate_fn=lambda batch: torchnlp.padify(batch, vocabulary))
    loss, share = torchnlp.train_epoch(Mean().to(torchnlp.device), (batch for batch in loader))
    assert loss > 0 and 0 <= share <= 1
