"""The lessons with small numbers in place of those that take time: every cell runs, in seconds instead of minutes.

What is learned in so few steps is nothing, so the claims about it cannot hold: leave the claims out, or expect them to
fail. A lesson that changes one of these numbers changes the table below as well.
"""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from transformers import BertConfig, BertModel, BertTokenizer

import torchnlp

NOTEBOOKS = torchnlp.ROOT / "notebooks"
# Only the first texts are kept; a small folder keeps all.
LOAD = "train_dataset, test_dataset, classes, _ = torchnlp.load_dataset()"
FEWER = "\ntrain_dataset, test_dataset = train_dataset[:160], test_dataset[:48]"
LOAD_TEXTS = "train_dataset, test_dataset, classes = torchnlp.load_texts()"
LOAD_NAMES = "train_names, test_names, types = torchnlp.load_entities()"
LOAD_QUESTIONS = "train_questions, test_questions = torchnlp.load_questions()"
# For each lesson: what stands in the source of its code cells, and what replaces it.
SMALLER = {
    "1-attention": [
        ("date_sentences(3000,", "date_sentences(96,"),
        ("date_sentences(2400,", "date_sentences(96,"),
        ("date_sentences(150,", "date_sentences(12,"),
        ("date_sentences(300,", "date_sentences(12,"),
        ("SIZE, STEPS, RATE = 96, 420,", "SIZE, STEPS, RATE = 96, 3,"),
        # So short a training gets no date right, so let the search for a telling digit take any answer.
        ("    if answer == sentence.target:\n", "    if True:\n"),
        ("                if effects[digit].max() <= 0.1:\n", "                if False:\n"),
        ("                elif not sentence.source[weights.argmax()].isalnum():\n", "                elif False:\n"),
        ("token_counts = [32, 64, 128, 256, 512, 1024, 2048]", "token_counts = [32, 64]"),
    ],
    "2-transformers": [
        ("steps=600, lr=3e-3)", "steps=3, lr=3e-3)"),
        ("rates=[3e-3], steps=10)", "rates=[3e-3], steps=3)"),
        ("[:2_500], test_texts[:1_000]", "[:96], test_texts[:24]"),
        ("steps=400, lr=1e-2", "steps=3, lr=1e-2"),
        ("date_sentences(6000,", "date_sentences(96,"),
        ("date_sentences(300,", "date_sentences(12,"),
        ("steps=450", "steps=3"),
        ("cost([64, 256], seeds=[0])", "cost([16], seeds=[0])"),
        ("(64, 128, 256, 512)", "(4, 8)"),
        ('rows[0]["epochs"]', "1"),
        ("product(here, (1, 2, 5))", "product(here, (1,))"),
    ],
    "3-bert": [
        (LOAD_TEXTS, LOAD_TEXTS + FEWER),
        ("STEPS = 120", "STEPS = 8"),
    ],
    "4-bert-classification": [
        (LOAD, LOAD + FEWER),
        ("else (100,", "else (3,"),
        ("for _ in range(20):", "for _ in range(6):"),
    ],
    "5-beyond-classification": [
        (LOAD_NAMES, LOAD_NAMES + "\ntrain_names, test_names = train_names[:160], test_names[:48]"),
        (
            LOAD_QUESTIONS,
            LOAD_QUESTIONS + "\ntrain_questions, test_questions = train_questions[:160], test_questions[:48]",
        ),
        ("NAMES_STEPS, NAMES_RATE = 200,", "NAMES_STEPS, NAMES_RATE = 3,"),
        ("ANSWERS_STEPS, ANSWERS_RATE = 160,", "ANSWERS_STEPS, ANSWERS_RATE = 3,"),
        ("swapped_texts(SEED, count=60)", "swapped_texts(SEED, count=4)"),
        ("long_questions(test_questions[:40])", "long_questions(test_questions[:6])"),
    ],
    "6-faster-and-bigger": [
        ("TIMED = 16 ", "TIMED = 8 "),
        ("MAX_LENGTH = 128", "MAX_LENGTH = 24"),
        (LOAD, LOAD + FEWER),
        ("repeats=6,", "repeats=1,"),
        ("repeats=2)", "repeats=1)"),
        ("duration=0.2", "duration=0.01"),
        ('recorded("until_again"), 768', 'recorded("until_again"), 48'),
    ],
}


def shortened(lesson: str, claims: bool = False) -> nbformat.NotebookNode:
    """A lesson with small numbers in place of those that take time.

    Args:
        lesson: its name without the ending, such as ``"2-transformers"``.
        claims: keep the cells with the tag ``claim``; without this they are dropped.

    Returns:
        The notebook, to be executed; no file is written.

    Raises:
        AssertionError: the lesson holds one of the old numbers not exactly once.
    """
    notebook = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for old, new in SMALLER[lesson]:
        holders = [cell for cell in code if old in cell.source]
        assert len(holders) == 1, f"{lesson}: {old!r} stands in {len(holders)} cells; mend the table in {__file__}"
        holders[0].source = holders[0].source.replace(old, new)
    if not claims:
        notebook.cells = [cell for cell in notebook.cells if "claim" not in cell.metadata.get("tags", [])]
    return notebook


def execute(notebook: nbformat.NotebookNode, **environment: str) -> nbformat.NotebookNode:
    """Execute a notebook in a kernel of its own, in the folder of the lessons, and return it with its outputs.

    Args:
        notebook: what :func:`shortened` returns.
        environment: settings for the kernel beside those of this process, such as ``TORCHNLP_DATA``.

    Raises:
        CellExecutionError: a cell failed; the message holds the cell and its error.
    """
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": NOTEBOOKS}},
        extra_arguments=["--log-level=ERROR"],
    )
    return client.execute(env={**os.environ, **environment})


def tiny_model(folder: Path) -> str:
    """Save a BERT of four narrow layers with the default model's vocabulary; return its folder, for TORCHNLP_MODEL."""
    tokenizer = BertTokenizer.from_pretrained(torchnlp.model_folder())
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
