"""Fine-tuned models: a new head for each, names of classes that are kept, and lesson 4 with such a model."""

import copy
import json
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient.exceptions import CellExecutionError
from own_texts import REVIEWS, TOPICS, seven_classes, two_classes
from shortened import execute, shortened
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, BertModel, BertTokenizer

import torchnlp

REVIEWS, TOPICS = list(REVIEWS), list(TOPICS)
NEWS = torchnlp.CLASSES
TINY = {
    "vocab_size": 30522,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def save(folder: Path, kind: type = BertForSequenceClassification, names: list[str] | None = None, **settings) -> Path:
    """Save a small model with its tokenizer, as if it had been fine-tuned: no output weight is near zero."""
    if names:
        settings |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    model = kind(BertConfig(**TINY, **settings))
    if hasattr(model, "classifier"):
        torch.nn.init.constant_(model.classifier.weight, 5.0)
        torch.nn.init.constant_(model.classifier.bias, 5.0)
    model.save_pretrained(folder)
    BertTokenizer.from_pretrained(torchnlp.model_folder()).save_pretrained(folder)
    return folder


def load(folder: Path, classes: list[str], **settings) -> BertForSequenceClassification:
    torchnlp.set_seed(0)
    model = BertForSequenceClassification.from_pretrained(
        folder, num_labels=len(classes), ignore_mismatched_sizes=True, **settings
    )
    return torchnlp.new_head(model, classes)


def names_of(model: BertForSequenceClassification) -> list[str]:
    names = [model.config.id2label[number] for number in range(model.config.num_labels)]
    assert model.config.label2id == {name: number for number, name in enumerate(names)}
    return names


# ----------------------------------------------------------------------------------------------------------- new_head


@pytest.mark.parametrize("classes", [REVIEWS, NEWS, TOPICS], ids=len)
def test_the_head_of_a_pretrained_model_gets_names_and_keeps_its_weights(tmp_path, capsys, classes):
    folder = save(tmp_path / "model", BertModel)
    torchnlp.set_seed(0)
    expected = BertForSequenceClassification.from_pretrained(folder, num_labels=len(classes)).classifier.weight
    capsys.readouterr()
    model = load(folder, classes)
    assert torch.equal(model.classifier.weight, expected)
    assert names_of(model) == classes
    assert capsys.readouterr().out == ""


def test_of_a_fine_tuned_model_the_body_is_kept_and_the_head_is_new(tmp_path, capsys):
    folder = save(tmp_path / "model", names=NEWS)
    body = BertModel.from_pretrained(folder)
    capsys.readouterr()
    model = load(folder, NEWS)
    assert model.classifier.weight.abs().max() < 0.2 and not model.classifier.bias.any()
    torch.testing.assert_close(model.bert.state_dict(), body.state_dict(), rtol=0, atol=0)
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert f"{folder} was fine-tuned before (World, Sports, Business, Sci/Tech)" in told and "new, untrained" in told
    assert torch.equal(load(folder, NEWS).classifier.weight, model.classifier.weight), "the seed decides"


def test_the_seed_of_the_training_does_not_bring_its_outputs_back(tmp_path):
    """The body would know them, and the untrained baseline would be as good as a trained model."""
    load(save(tmp_path / "pretrained", BertModel), NEWS).save_pretrained(tmp_path / "tuned")
    new = load(tmp_path / "tuned", NEWS)
    old = BertForSequenceClassification.from_pretrained(tmp_path / "tuned")
    new.save_pretrained(tmp_path / "tuned twice")
    newest = load(tmp_path / "tuned twice", NEWS)
    for one, other in ((old, new), (new, newest), (old, newest)):
        likeness = torch.cosine_similarity(one.classifier.weight.flatten(), other.classifier.weight.flatten(), dim=0)
        assert abs(likeness) < 0.6  # of 32 random numbers each


def test_classes_in_another_order_are_the_same_classes(tmp_path):
    folder = save(tmp_path / "model", names=NEWS[::-1])
    assert names_of(load(folder, NEWS)) == NEWS


@pytest.mark.parametrize("outputs", [2, 4, 7])
def test_an_old_model_without_names_gives_its_body(tmp_path, capsys, outputs):
    folder = save(tmp_path / "model", num_labels=outputs)
    capsys.readouterr()
    model = load(folder, NEWS)
    assert f"({outputs} classes without names)" in capsys.readouterr().out
    assert model.classifier.weight.shape == (4, 8) and model.classifier.weight.abs().max() < 0.2
    assert names_of(model) == NEWS


@pytest.mark.parametrize(
    ("kind", "names"), [(BertForSequenceClassification, REVIEWS), (BertForTokenClassification, ["O", "B-PER", "I-PER"])]
)
def test_a_model_of_other_classes_is_refused_with_the_remedy(tmp_path, kind, names):
    folder = save(tmp_path / "model", kind, names)
    with pytest.raises(torchnlp.ModelError) as caught:
        load(folder, NEWS)
    for part in (str(folder), ", ".join(names), ", ".join(NEWS), "TORCHNLP_DATA", "TORCHNLP_MODEL", "pre-trained"):
        assert part in str(caught.value)


def test_a_new_head_forgets_what_kind_of_answers_the_old_one_gave(tmp_path):
    folder = save(tmp_path / "model", num_labels=4, problem_type="multi_label_classification")
    model = load(folder, NEWS)
    loss = model(input_ids=torch.tensor([[101, 102]]), labels=torch.tensor([3])).loss
    assert loss.item() == pytest.approx(1.386, abs=0.1)


def test_names_are_saved_with_the_model(tmp_path):
    load(save(tmp_path / "model", BertModel), REVIEWS).save_pretrained(tmp_path / "mine")
    written = json.loads((tmp_path / "mine" / "config.json").read_text(encoding="utf-8"))
    assert written["id2label"] == {"0": "bad", "1": "good"} and written["label2id"] == {"bad": 0, "good": 1}


def test_what_has_no_such_head_is_refused(tmp_path):
    config = BertConfig(**TINY)
    with pytest.raises(TypeError, match="give a BertForSequenceClassification"):
        torchnlp.new_head(BertModel(config), REVIEWS)
    with pytest.raises(ValueError, match="2 outputs for 4 classes"):
        torchnlp.new_head(BertForSequenceClassification(config), NEWS)
    assert names_of(torchnlp.new_head(BertForSequenceClassification(config), REVIEWS)) == REVIEWS


# ----------------------------------------------------------------------------------------------------------- lesson 4


def lesson() -> nbformat.NotebookNode:
    """Lesson 4 with its claims, and trainings just long enough for the loss to fall between their reports."""
    notebook = shortened("4-bert-classification", claims=True)
    for name, short, longer in (("train", "else (3,", "else (24,"), ("overfit", "range(6)", "range(24)")):
        (cell,) = [cell for cell in notebook.cells if cell.id == name]
        assert short in cell.source
        cell.source = cell.source.replace(short, longer)
    return notebook


def printed(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What each cell printed, by its id."""
    return {
        cell.id: "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def fine_tuned(folder: Path, classes: list[str]) -> Path:
    """The course's own model with outputs that are far from new, saved as a classifier of these classes."""
    model = BertForSequenceClassification.from_pretrained(torchnlp.model_folder(), num_labels=len(classes))
    torchnlp.new_head(model, classes)
    torch.nn.init.normal_(model.classifier.weight, std=3.0)
    model.save_pretrained(folder)
    BertTokenizer.from_pretrained(torchnlp.model_folder()).save_pretrained(folder)
    return folder


def test_lesson_4_claims_what_holds_on_two_classes_and_runs_again_cell_by_cell(tmp_path):
    """Each cell runs a second time after all that follow it: from the last one back to the first."""
    notebook = lesson()
    again = [copy.deepcopy(cell) for cell in reversed(notebook.cells) if cell.cell_type == "code"]
    for cell in again:
        cell.id += "-again"
    notebook.cells += again
    outputs = printed(execute(notebook, TORCHNLP_DATA=str(two_classes(tmp_path / "reviews"))))
    assert "ln 2 is 0.693" in outputs["step-forward"] and "guessing:  0.500;" in outputs["baseline"]
    assert {line.split()[0] for line in outputs["keep-pipeline"].splitlines()} <= set(REVIEWS)
    for name in ("readout", "step-forward", "baseline"):
        assert outputs[f"{name}-again"] == outputs[name], "it is about the untrained model, whenever it runs"


def test_lesson_4_claims_what_holds_on_seven_classes_with_a_model_fine_tuned_to_them(tmp_path):
    folder, texts = fine_tuned(tmp_path / "model", TOPICS), seven_classes(tmp_path / "notes")
    outputs = printed(execute(lesson(), TORCHNLP_DATA=str(texts), TORCHNLP_MODEL=str(folder)))
    told = [name for name, text in outputs.items() if f"{folder} was fine-tuned before (Weather, Cooking," in text]
    assert told == ["model"]
    assert "ln 7 is 1.946" in outputs["step-forward"]
    loss = float(outputs["step-forward"].split("loss")[1].split(",")[0])
    assert 1.7 < loss < 2.2, "with the trained outputs it would be far from having no idea"
    answered = [line.partition(" 0.")[0] for line in outputs["keep-pipeline"].splitlines()]
    assert answered and set(answered) <= set(TOPICS)


def test_lesson_4_with_a_model_of_other_classes_names_the_remedy(tmp_path):
    folder = save(tmp_path / "model", names=REVIEWS)
    with pytest.raises(CellExecutionError, match=r"fine-tuned to the classes bad, good, .* set TORCHNLP_DATA"):
        execute(lesson(), TORCHNLP_DATA="sample", TORCHNLP_MODEL=str(folder))
