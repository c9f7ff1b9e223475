"""What makes training faster may not change what it gives: the form of attention, and word vectors left out."""

import contextlib
import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertTokenizer

import torchnlp

WORDS = 50  # rows of the small model's table
TEXTS = [[2, 7, 9, 3], [2, 9, 9, 40, 3], [2, 11, 3]]  # word pieces; 0 is padding


def small_bert(attention: str = "sdpa", **settings) -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    no_dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    config = BertConfig(vocab_size=WORDS, num_labels=3, initializer_range=0.2, **sizes, **no_dropout)
    config._attn_implementation = attention
    return BertForSequenceClassification(config).to(torchnlp.device)


def batch_of(texts: list[list[int]]) -> dict[str, torch.Tensor]:
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": torch.arange(len(texts)) % 3}


def word_vectors(model: nn.Module) -> torch.Tensor:
    return model.get_input_embeddings().weight.detach().clone()


def train(model: nn.Module, texts: list[list[int]], rows: bool, iterations: int = 6, lr: float = 0.01) -> None:
    with torchnlp.occurring_rows(model, texts) if rows else contextlib.nullcontext():
        torchnlp.fine_tune(model, [batch_of(texts), batch_of(texts[::-1][:2])], lr=lr, iterations=iterations)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Compared are two ways to one result, so take the format in which they differ least."""
    monkeypatch.setenv("TORCHNLP_PRECISION", "float32")


# --------------------------------------------------------------------------------------------------------- attention


@pytest.mark.parametrize(
    ("device", "precision", "chosen"),
    [
        ("cpu", "bfloat16", "eager"),
        ("cpu", "float32", "sdpa"),
        ("cuda", "bfloat16", "sdpa"),
        ("cuda", "float32", "sdpa"),
        ("mps", "float32", "sdpa"),
    ],
)
def test_attention_is_chosen_by_device_and_format(monkeypatch, device, precision, chosen):
    monkeypatch.setattr(torchnlp, "device", torch.device(device))
    monkeypatch.setenv("TORCHNLP_PRECISION", precision)
    assert torchnlp.attention_implementation() == chosen


def test_cudnn_plans_no_attention():
    """On a GPU it would plan anew for each length of a batch."""
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_both_forms_of_attention_train_alike(monkeypatch, precision, tolerance):
    monkeypatch.setenv("TORCHNLP_PRECISION", precision)
    trained = []
    for attention in ("eager", "sdpa"):
        model = small_bert(attention)
        assert model.config._attn_implementation == attention
        train(model, TEXTS, rows=False)
        model.eval()
        batch = {name: part.to(torchnlp.device) for name, part in batch_of(TEXTS).items()}
        trained.append(model(**batch).logits.detach())
    torch.testing.assert_close(*trained, rtol=0, atol=tolerance)
    assert (trained[0] - trained[0].mean(dim=0)).abs().max() > 4 * tolerance, "the texts differ by more than rounding"


def test_both_forms_of_attention_predict_alike_with_the_course_model():
    tokenizer = BertTokenizer.from_pretrained(torchnlp.model_folder())
    texts = ["Oil prices rise", "The home team won the final by two goals after a penalty in the last minute"]
    logits = []
    for attention in ("eager", "sdpa"):
        torchnlp.set_seed(0)
        model = BertForSequenceClassification.from_pretrained(
            torchnlp.model_folder(), num_labels=4, attn_implementation=attention
        )
        logits.append(torchnlp.predict(model.to(torchnlp.device), tokenizer, texts))
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)


# ------------------------------------------------------------------------------------------------------ word vectors


def test_training_the_rows_that_occur_equals_training_the_whole_table():
    whole, rows, before = small_bert(), small_bert(), small_bert()
    train(whole, TEXTS, rows=False)
    train(rows, TEXTS, rows=True)
    torch.testing.assert_close(dict(rows.named_parameters()), dict(whole.named_parameters()), rtol=1e-5, atol=1e-6)
    moved = (word_vectors(rows) - word_vectors(before)).abs().amax(dim=1).cpu()
    assert all(moved[word] > 1e-3 for text in TEXTS for word in text), "words that occur are trained"
    absent = sorted(set(range(WORDS)) - {0} - {word for text in TEXTS for word in text})
    ratio = (word_vectors(rows) / word_vectors(before))[absent]
    assert ratio.max() < 1 - 1e-5 and ratio.max() - ratio.min() < 1e-5, "the others have decayed, all by the same share"


@given(
    texts=st.lists(st.lists(st.integers(1, WORDS - 1), min_size=1, max_size=8), min_size=1, max_size=6),
    lr=st.floats(1e-4, 0.1),
    iterations=st.integers(1, 4),
)
def test_any_texts_and_rates_give_the_whole_table(texts, lr, iterations):
    whole, rows = small_bert(), small_bert()
    for model in (whole, rows):
        train(model, texts, rows=model is rows, lr=lr, iterations=iterations)
    # A gradient that is nothing but rounding still moves a weight by the whole rate, so compare where it is more.
    differing = (word_vectors(whole) - word_vectors(rows)).abs() > 1e-4 + 1e-3 * word_vectors(whole).abs()
    assert differing.float().mean() < 0.02


@pytest.mark.parametrize(
    "make",
    [
        lambda weights: torch.optim.AdamW(weights, lr=0.05, weight_decay=0.5),
        lambda weights: torch.optim.SGD(weights, lr=0.05, weight_decay=0.5, momentum=0.9),
        lambda weights: torch.optim.AdamW(weights, lr=0.05, weight_decay=0.0),
    ],
    ids=["AdamW", "SGD with momentum", "no decay"],
)
def test_weight_decay_of_the_rows_left_out_is_that_of_the_optimizer(make):
    results = []
    for rows in (False, True):
        model = small_bert()
        with torchnlp.occurring_rows(model, TEXTS) if rows else contextlib.nullcontext():
            optimizer = make(model.parameters())
            for _ in range(5):
                batch = {name: part.to(torchnlp.device) for name, part in batch_of(TEXTS).items()}
                del batch["attention_mask"]  # then padding has a gradient, which its row does not take
                optimizer.zero_grad()
                model(**batch).loss.backward()
                optimizer.step()
        results.append(word_vectors(model))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_the_optimizer_holds_only_rows_that_occur():
    model = small_bert()
    sizes = []
    for block in (contextlib.nullcontext(), torchnlp.occurring_rows(model, TEXTS)):
        with block:
            optimizer, _ = torchnlp.prepare_optimizer(model, 1e-3, 1)
            sizes.append(sum(weight.numel() for weight in optimizer.param_groups[0]["params"]))
    occurring = len({word for text in TEXTS for word in text} | {0})
    assert sizes[0] - sizes[1] == (WORDS - occurring - 1) * model.config.hidden_size  # one row more counts the decay


def test_inside_the_block_predictions_and_saving_see_the_whole_table(tmp_path):
    model, whole = small_bert(), small_bert()
    names = list(model.state_dict())
    every_word = {name: part.to(torchnlp.device) for name, part in batch_of([list(range(1, WORDS))]).items()}
    train(whole, TEXTS, rows=False)
    with torchnlp.occurring_rows(model, TEXTS):
        torchnlp.fine_tune(model, [batch_of(TEXTS), batch_of(TEXTS[::-1][:2])], lr=0.01, iterations=6)
        model.eval(), whole.eval()
        with torch.no_grad():
            torch.testing.assert_close(model(**every_word).logits, whole(**every_word).logits, rtol=1e-4, atol=1e-5)
        assert list(model.state_dict()) == names
        model.save_pretrained(tmp_path)
    loaded = BertForSequenceClassification.from_pretrained(tmp_path).to(torchnlp.device)
    torch.testing.assert_close(dict(loaded.named_parameters()), dict(model.named_parameters()), rtol=0, atol=0)


def test_the_block_gives_back_the_same_table():
    model = small_bert()
    table = model.get_input_embeddings()
    weight, names = table.weight, list(model.state_dict())
    with torchnlp.occurring_rows(model, TEXTS):
        assert model.get_input_embeddings() is not table
    assert model.get_input_embeddings() is table and table.weight is weight and list(model.state_dict()) == names
    torch.testing.assert_close(word_vectors(model), word_vectors(small_bert()), rtol=0, atol=0)


def test_a_training_that_breaks_off_loses_nothing():
    whole, model = small_bert(), small_bert()
    train(whole, TEXTS, rows=False)
    with pytest.raises(KeyboardInterrupt), torchnlp.occurring_rows(model, TEXTS):
        torchnlp.fine_tune(model, [batch_of(TEXTS), batch_of(TEXTS[::-1][:2])], lr=0.01, iterations=6)
        raise KeyboardInterrupt
    torch.testing.assert_close(word_vectors(model), word_vectors(whole), rtol=1e-5, atol=1e-6)


def test_a_model_that_is_cast_inside_the_block_gets_its_rows_back():
    model, whole = small_bert(), small_bert()
    train(whole, TEXTS, rows=False)
    with torchnlp.occurring_rows(model, TEXTS):
        torchnlp.fine_tune(model, [batch_of(TEXTS), batch_of(TEXTS[::-1][:2])], lr=0.01, iterations=6)
        model.to(torch.bfloat16)
    torch.testing.assert_close(word_vectors(model), word_vectors(whole), rtol=0.01, atol=1e-3)


def test_a_frozen_table_stays_as_it_is():
    model = small_bert()
    model.bert.embeddings.requires_grad_(False)
    before = word_vectors(model)
    train(model, TEXTS, rows=True)
    assert torch.equal(word_vectors(model), before) and not model.get_input_embeddings().weight.requires_grad


def test_texts_may_come_as_tensors_or_from_a_generator():
    expected = small_bert()
    train(expected, TEXTS, rows=True)
    for texts in ([torch.tensor(text) for text in TEXTS], (text for text in TEXTS)):
        model = small_bert()
        with torchnlp.occurring_rows(model, texts):
            torchnlp.fine_tune(model, [batch_of(TEXTS), batch_of(TEXTS[::-1][:2])], lr=0.01, iterations=6)
        assert torch.equal(word_vectors(model), word_vectors(expected))


def test_a_word_that_was_not_announced_is_named():
    model = small_bert()
    before = copy.deepcopy(model.state_dict())
    if torchnlp.device.type != "cpu":
        pytest.skip("a GPU is not waited for")
    unknown = pytest.raises(ValueError, match="word piece 33 is not among those of occurring_rows")
    with unknown, torchnlp.occurring_rows(model, TEXTS):
        torchnlp.fine_tune(model, [batch_of([[2, 7, 33, 3]])])
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)


def test_a_table_shared_with_the_output_layer_is_refused():
    model = BertForMaskedLM(small_bert().config)
    shared = pytest.raises(ValueError, match="BertForMaskedLM shares its word vectors with its output layer")
    with shared, torchnlp.occurring_rows(model, TEXTS):
        pass


@pytest.mark.parametrize(
    ("input_ids", "error", "message"),
    [
        ([2, 7, 3], TypeError, "a list of lists"),
        ([[2, WORDS]], ValueError, "take the model's own tokenizer"),
        ([[-1, 2]], ValueError, "word pieces -1 to 2 for 50 rows"),
    ],
)
def test_wrong_word_pieces_are_refused(input_ids, error, message):
    with pytest.raises(error, match=message), torchnlp.occurring_rows(small_bert(), input_ids):
        pass
