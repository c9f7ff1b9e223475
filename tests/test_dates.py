"""The dates of lesson 1 and the plot of attention, both in the helper."""

import datetime
import itertools
import unicodedata

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.axes import Axes

import torchnlp

SOME_DATES = [datetime.date(2031, 9, 14), datetime.date(1990, 1, 1), datetime.date(2049, 12, 31)]
every_language = pytest.mark.parametrize("language", torchnlp.DATE_LANGUAGES)
every_style = pytest.mark.parametrize("style", torchnlp.DATE_STYLES)

# ------------------------------------------------------------------------------------------------------------- dates


def test_a_sentence_reads_as_people_write_it():
    sentence = torchnlp.date_sentence(SOME_DATES[:2], "sw")
    assert sentence.source == "14 Septemba 2031 na 1 Januari 1990"
    assert sentence.target == "2031-09-14 1990-01-01"
    assert torchnlp.date_sentence(SOME_DATES, "en", "medium").source == "Sep 14, 2031, Jan 1, 1990, and Dec 31, 2049"
    assert torchnlp.date_sentence(SOME_DATES[:1], "hu").source == "2031. szeptember 14."


def test_the_languages_the_lesson_promises():
    assert len(torchnlp.DATE_LANGUAGES) >= 12
    assert {"en", "fr", "de", "es", "pt", "it", "sw", "yo", "ha", "ig", "pcm"} <= set(torchnlp.DATE_LANGUAGES)
    scripts = {
        unicodedata.name(character).split()[0]
        for language in torchnlp.DATE_LANGUAGES
        for character in torchnlp.date_sentence(SOME_DATES, language).source
        if character.isalpha()
    }
    assert {"LATIN", "CYRILLIC"} <= scripts


@every_language
@every_style
def test_spans_point_at_year_month_and_day(language, style):
    for count in (1, 2, 3, 4):
        dates = list(itertools.islice(itertools.cycle(SOME_DATES), count))
        sentence = torchnlp.date_sentence(dates, language, style)
        assert sentence.target == " ".join(map(str, dates))
        assert len(sentence.spans) == count
        for date, spans in zip(dates, sentence.spans, strict=True):
            parts = {name: sentence.source[start:end] for name, (start, end) in spans.items()}
            assert parts.keys() == {"year", "month", "day"}
            assert parts["year"] == str(date.year)
            assert int(parts["day"]) == date.day
            assert parts["month"]


@every_language
@every_style
def test_text_is_composed_and_has_plain_spaces_only(language, style):
    source = torchnlp.date_sentence(SOME_DATES, language, style).source
    assert unicodedata.is_normalized("NFC", source)
    assert not any(character.isspace() and character != " " for character in source)
    assert not any(unicodedata.category(character) == "Co" for character in source), "a place holder is left"


def test_no_text_means_two_dates():
    meanings = {}
    first = datetime.date(2023, 1, 1)
    for day, language, style in itertools.product(range(365), torchnlp.DATE_LANGUAGES, torchnlp.DATE_STYLES):
        sentence = torchnlp.date_sentence([first + datetime.timedelta(day)], language, style)
        assert meanings.setdefault(sentence.source, sentence.target) == sentence.target


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], "en"), "at least one"),
        ((SOME_DATES, "tlh"), "choose one of en"),
        ((SOME_DATES, "en", "short"), "choose one of medium"),
    ],
)
def test_a_sentence_that_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        torchnlp.date_sentence(*arguments)


def dates_in(sentences):
    return {date for sentence in sentences for date in sentence.target.split()}


def test_training_and_test_share_no_date_whatever_the_seeds():
    train = dates_in(torchnlp.date_sentences(3000, part="train", seed=1))
    for seed in (1, 2):
        assert not train & dates_in(torchnlp.date_sentences(1000, part="test", seed=seed))


def test_the_two_parts_hold_all_dates():
    pool = torchnlp._date_pool()
    assert set(pool["train"]).isdisjoint(pool["test"])
    assert len(pool["train"]) + len(pool["test"]) == (torchnlp.LAST_DATE - torchnlp.FIRST_DATE).days + 1
    assert min(*pool["train"], *pool["test"]) == torchnlp.FIRST_DATE


def test_the_same_seed_gives_the_same_sentences():
    assert torchnlp.date_sentences(20, seed=5) == torchnlp.date_sentences(20, seed=5)
    assert torchnlp.date_sentences(20, seed=5) != torchnlp.date_sentences(20, seed=6)


def test_counts_and_languages_are_kept():
    sentences = torchnlp.date_sentences(9, counts=(1, 4, 2), languages=["ha", "yo"])
    assert [len(sentence.spans) for sentence in sentences] == [1, 4, 2] * 3
    assert {sentence.language for sentence in sentences} == {"ha", "yo"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 0},
        {"size": 3, "counts": ()},
        {"size": 3, "counts": (1, 0)},
        {"size": 3, "part": "dev"},
        {"size": 3, "languages": []},
        {"size": 3, "languages": ["tlh"]},
    ],
)
def test_sentences_that_cannot_be_made(arguments):
    with pytest.raises(ValueError, match=r"nothing to make|unknown"):
        torchnlp.date_sentences(**arguments)


# -------------------------------------------------------------------------------------------------------------- plot


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_plot_attention_labels_each_row_and_column():
    weights = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5]], requires_grad=True)
    ax = torchnlp.plot_attention(weights, "20", ["1", " ", "4"])
    assert isinstance(ax, Axes)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["2", "0"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "␣", "4"]
    assert ax.get_xlabel() and ax.get_ylabel()
    torch.testing.assert_close(torch.tensor(ax.images[0].get_array()), weights.detach())
    assert ax.images[0].get_clim() == (0, 1), "the same shade means the same weight in every plot"


def test_plot_attention_draws_where_it_is_told():
    _, ax = plt.subplots()
    assert torchnlp.plot_attention(torch.ones(1, 1, dtype=torch.bfloat16), "a", "b", ax) is ax


@pytest.mark.parametrize("shape", [(3, 2), (2, 4), (1, 2, 3)])
def test_plot_attention_refuses_weights_of_another_shape(shape):
    with pytest.raises(ValueError, match="cut off the padding"):
        torchnlp.plot_attention(torch.zeros(shape), ["a", "b"], ["c", "d", "e"])
