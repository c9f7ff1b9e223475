"""A folder of a learner's own texts: what loads, what is refused and why, and that the lessons run on it."""

import csv
import http.server
import io
import json
import re
import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_texts import REVIEWS, TESTED, TOPICS, TRAINING, seven_classes, two_classes
from shortened import SMALLER, execute, shortened, tiny_model

import torchnlp

MAKERS = [two_classes, seven_classes]


def write(
    folder: Path, train: str | bytes, test: str | bytes | None = None, classes: str | bytes | None = None, kind="csv"
):
    """Write a folder; without another, the test part is the training part."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"train.{kind}": train, f"test.{kind}": train if test is None else test, "classes.txt": classes}
    for name, content in contents.items():
        if content is not None:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def load(folder: Path):
    """Both parts and the classes of a folder."""
    return torchnlp.load_dataset(source=folder)[:3]


def refusal(folder: Path) -> str:
    """Why a folder is refused."""
    with pytest.raises(torchnlp.DataError) as caught:
        load(folder)
    message = str(caught.value)
    assert "TORCHNLP_DATA=sample" in message
    return message


# -------------------------------------------------------------------------------------------------- the two folders


def test_two_classes_of_a_spreadsheet(tmp_path, capsys):
    train, test, classes = load(two_classes(tmp_path / "reviews"))
    assert classes == sorted(REVIEWS) == ["bad", "good"]
    assert (len(train), len(test)) == (TRAINING, TESTED)
    assert {label for label, _ in train} == {label for label, _ in test} == {1, 2}
    for label, text in train + test:
        assert text.startswith("The ") and text.endswith(" nights.") and ";" in text
        assert any(word in text for word in REVIEWS[classes[label - 1]])
    assert capsys.readouterr().out == (
        "Loaded 30 training and 10 test items: the folder reviews, without the header row 'Label', "
        "classes from the labels: bad, good.\n"
    )


def test_seven_classes_of_json_lines(tmp_path, capsys):
    train, test, classes = load(seven_classes(tmp_path / "notes"))
    assert classes == list(TOPICS)
    assert (len(train), len(test)) == (TRAINING, TESTED)
    assert {label for label, _ in train} == {label for label, _ in test} == set(range(1, 8))
    assert all(sum(word in text for word in TOPICS[classes[label - 1]]) == 3 for label, text in train + test)
    assert capsys.readouterr().out == "Loaded 30 training and 10 test items: the folder notes.\n"


# ------------------------------------------------------------------------------------------------------- the classes

NUMBERED = "1,a red one\n2,a blue one\n"
NAMED = "Red,a red one\nBlue,a blue one\n"


@pytest.mark.parametrize("classes", ["Red\nBlue", "Red\nBlue\n", "\ufeffRed\r\nBlue\r\n\r\n \r\n", " Red \n\tBlue\n"])
@pytest.mark.parametrize("rows", [NUMBERED, NAMED])
def test_labels_are_numbers_or_names(tmp_path, classes, rows):
    train, test, names = load(write(tmp_path, rows, classes=classes))
    assert names == ["Red", "Blue"] and train == test == [(1, "a red one"), (2, "a blue one")]


def test_one_file_may_have_numbers_and_the_other_names(tmp_path):
    train, test, _ = load(write(tmp_path, NUMBERED, NAMED, "Red\nBlue"))
    assert train == test


def test_without_classes_txt_the_names_come_from_training_in_sorted_order(tmp_path, capsys):
    train, test, classes = load(write(tmp_path, NAMED, "Blue,sky\n"))
    assert classes == ["Blue", "Red"] and train[0][0] == 2 and test == [(1, "sky")]
    assert "classes from the labels: Blue, Red." in capsys.readouterr().out


def test_a_hundred_classes(tmp_path):
    rows = "".join(f"{i},text {i}\n" for i in range(100, 0, -1))
    train, _, classes = load(write(tmp_path, rows, classes="\n".join(f"class {i}" for i in range(1, 101))))
    assert len(classes) == 100 and train[0] == (100, "text 100") and classes[99] == "class 100"


def test_accents_are_compared_as_one_letter(tmp_path):
    """A Mac may write é as two characters, e and its accent."""
    train, _, classes = load(write(tmp_path, "Cafe\u0301,cake\nBar,beer\n", classes="Caf\u00e9\nBar"))
    assert classes[0] == "Caf\u00e9" and train[0][0] == 1


@pytest.mark.parametrize("label", ["1", 1, " 1"])
def test_json_labels_are_whole_numbers_or_text(tmp_path, label):
    rows = "".join(json.dumps({"label": value, "text": "a"}) + "\n" for value in (label, "2"))
    train, _, _ = load(write(tmp_path, rows, classes="Red\nBlue", kind="jsonl"))
    assert train == [(1, "a"), (2, "a")]


def test_json_title_may_be_missing_in_some_lines(tmp_path):
    rows = '{"label": "a", "text": "x"}\n\n{"label": "b", "title": "T", "text": "y"}\n'
    assert load(write(tmp_path, rows, kind="jsonl"))[0] == [(1, "x"), (2, "T y")]


@pytest.mark.parametrize("classes", ["2019\n2020", "-1\n+1", "1\n2", "4.5 stars\n5 stars"])
def test_names_that_are_numerals_but_no_other_number(tmp_path, classes):
    first, second = classes.split("\n")
    train, _, names = load(write(tmp_path, f"{second},x\n{first},y\n", classes=classes))
    assert names == [first, second] and [label for label, _ in train] == [2, 1]


FOUR = "1,a\n2,b\n3,c\n4,d\n"


def test_four_numbers_without_names_are_those_of_ag_news(tmp_path):
    assert load(write(tmp_path, FOUR, "2,b\n"))[2] == torchnlp.CLASSES
    assert load(write(tmp_path, FOUR, classes="N\nE\nS\nW"))[2] == ["N", "E", "S", "W"]


REFUSED = {
    "two numbers without names": (
        (NUMBERED,),
        "train.csv, row 1: label '1' has no name: write the names of the classes",
    ),
    "three of AG News' four": (("1,a\n2,b\n3,c\n",), "train.csv, row 1: label '1' has no name"),
    "five numbers without names": ((FOUR + "5,e\n",), "has no name: write the names of the classes into classes.txt"),
    "a fifth number in the test part": ((FOUR, "5,e\n"), "test.csv, row 1: label '5' has no name"),
    "from 0, no names": (("1,a\n0,b\n",), "train.csv, row 2: label '0' is no class: labels count from 1: add 1"),
    "from 0": (("1,a\n0,b\n", None, "Red\nBlue"), "train.csv, row 2: label '0' is no class: labels count from 1"),
    "no name": (("1,a\n2,b\n3,c\n", None, "Red\nBlue"), "train.csv, row 3: label '3' has no name: write the names"),
    "no name in the test part": ((NUMBERED, "2,a\n3,b\n", "Red\nBlue"), "test.csv, row 2: label '3' has no name"),
    "a float": (("1,a\n2.0,b\n", None, "Red\nBlue"), "train.csv, row 2: label '2.0' is no whole number from 1"),
    "a minus": (("1,a\n-1,b\n", None, "Red\nBlue"), "train.csv, row 2: label '-1' is no whole number"),
    "a leading zero": (("1,a\n02,b\n", None, "Red\nBlue"), "train.csv, row 2: label '02' is no whole number"),
    "other digits": (("1,a\n٢,b\n", None, "Red\nBlue"), "train.csv, row 2: label '٢' is no whole number"),
    "unknown name": (
        (NAMED + "Green,c\n", None, "Red\nBlue"),
        "train.csv, row 3: label 'Green' is none of the classes Red",
    ),
    "misspelt": (
        (NAMED + "blue,c\n", None, "Red\nBlue"),
        "row 3: label 'blue' is none of the classes Red, Blue, but nearly 'Blue'",
    ),
    "misspelt at the top": (
        ("Bluu,c\n" + NAMED, None, "Red\nBlue"),
        "row 1: label 'Bluu' is none of the classes Red, Blue, but",
    ),
    "in other letters": (
        (NAMED + "blue,c\n",),
        "train.csv, row 3: label 'blue' is 'Blue' in other letters: write it one",
    ),
    "name twice": ((NAMED, None, "Red\nBlue\n Red\n"), "classes.txt, row 3: 'Red' stands in row 1, too: give each"),
    "blank name": ((NUMBERED, None, "Red\n\nBlue"), "classes.txt, row 2: a blank line above a name: take it out"),
    "one name": ((NUMBERED, None, "Red\n"), "classes.txt, row 1: there is only one class: write two or more"),
    "no names": ((NUMBERED, None, "\n"), "classes.txt is empty"),
    "one class": (("Red,a\nRed,b\n",), "train.csv, row 1: label 'Red' is the only class: add rows of another"),
    "numbers swapped": (
        (NUMBERED, None, "2\n1"),
        "classes.txt, row 1: '2' names class 1, but is the number of another",
    ),
    "from 0 by name": (
        ("0,a\n1,b\n", None, "0\n1"),
        "classes.txt, row 2: '1' names class 2, but is the number of another",
    ),
    "mixed": (
        ("1,a\nBlue,b\n", None, "Red\nBlue"),
        "row 2: label 'Blue' is a name, but '1' in row 1 is a number: write",
    ),
    "mixed the other way": (("Red,a\n\n2,b\n", None, "Red\nBlue"), "row 3: label '2' is a number, but 'Red' in row 1"),
    "mixed, no names": ((NAMED + "3,b\n",), "train.csv, row 3: label '3' is a number, but 'Red' in row 1 is a name"),
    "mixed in the test part": ((NUMBERED, "1,a\nBlue,b\n", "Red\nBlue"), "test.csv, row 2: label 'Blue' is a name"),
    "only in the test part": (
        (NUMBERED, "3,c\n", "Red\nBlue\nGreen"),
        "test.csv, row 1: label '3' is a class without a row",
    ),
    "only in the test part, no names": (
        (NAMED, "Red,a\nGreen,b\n"),
        "test.csv, row 2: label 'Green' is none of the classes",
    ),
    "a class without a text": (
        (NUMBERED, None, "Red\nBlue\nGreen"),
        "classes.txt, row 3: the class 'Green' has no row in train",
    ),
    "no label": (("1,a\n,b\n",), "train.csv, row 2: a text without a label"),
    "no text": (("1,a\n2,\n",), "train.csv, row 2: a label without a text"),
    "text before label": (
        ("a red one,Red\na blue one,Blue\n", "a green one,Red\n"),
        "test.csv, row 1: label 'a green one'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_leaves_a_doubt_is_refused(tmp_path, name):
    contents, reason = REFUSED[name]
    message = refusal(write(tmp_path, *contents))
    assert reason in message and str(tmp_path) in message


@pytest.mark.parametrize("label", ["true", "false", "1.0", "null", "[1]", '{"a": 1}', "NaN"])
@pytest.mark.parametrize("classes", ["Red\nBlue", None])
def test_json_labels_that_are_neither(tmp_path, label, classes):
    rows = f'{{"label": 2, "text": "a"}}\n{{"label": {label}, "text": "a"}}\n'
    message = refusal(write(tmp_path, rows, classes=classes, kind="jsonl"))
    assert f"train.jsonl, row 2: label {label} instead of a whole number from 1 or a class name" in message


# ------------------------------------------------------------------------------------------------------ spreadsheets


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_blank_lines_do_not_count_but_rows_keep_their_numbers(tmp_path, kind):
    rows = [
        ["", "1,a", "", " ", "2,b", ",", ""],
        ["", '{"label": 1, "text": "a"}', "", " \t", '{"label": 2, "text": "b"}', ""],
    ]
    lines = rows[kind == "jsonl"]
    text = "\ufeff" + "\r\n".join(lines)
    assert load(write(tmp_path, text, classes="Red\nBlue", kind=kind))[0] == [(1, "a"), (2, "b")]
    bad = text + "\r\n" + lines[1].replace("1", "7")
    assert f"row {len(lines) + 1}: label '7' has no name" in refusal(write(tmp_path, text, bad, kind=kind))


HEADERS = ["label,text", "Class,Text", " CATEGORY ,Review", '"topic","text"']
FOREIGN = ["Klasse,Text", "sentiment,review of the film", "étiquette,texte"]


@pytest.mark.parametrize("header", HEADERS + FOREIGN)
@pytest.mark.parametrize("rows", [NUMBERED, NAMED])
def test_a_header_row_is_left_out(tmp_path, capsys, header, rows):
    folder = write(tmp_path, f"\n{header}\n{rows}", rows, classes="Red\nBlue")
    assert load(folder)[0] == [(1, "a red one"), (2, "a blue one")]
    assert "without the header row '" in capsys.readouterr().out
    assert "train.csv, row 3: label 'x7' is none" in refusal(write(tmp_path, f"\n{header}\nx7,a\n{rows}"))


@pytest.mark.parametrize("header", HEADERS)
def test_without_names_only_known_words_are_a_header(tmp_path, header):
    assert load(write(tmp_path, f"{header}\n{NAMED}", NAMED))[2] == ["Blue", "Red"]


def test_other_words_are_no_header_without_names(tmp_path):
    train, _, classes = load(write(tmp_path, f"Klasse,Text\n{NAMED}"))
    assert len(train) == 3 and classes == ["Blue", "Klasse", "Red"], (
        "Klasse may be a class, and the printed line says so"
    )


@pytest.mark.parametrize(
    ("train", "classes", "reason"),
    [
        ("Green,a text of more than four words\n" + NAMED, "Red\nBlue", "row 1: label 'Green' is none of the classes"),
        ("Green,a text\n" + NAMED + "Green,another\n", "Red\nBlue", "row 4: label 'Green' is the title of its column"),
        (
            "Bleu,a text\n" + NAMED,
            "Red\nBlue",
            "row 1: label 'Bleu' is none of the classes Red, Blue, but nearly 'Blue'",
        ),
        ("column 1,text\n" + NAMED, "Red\nBlue", "row 1: label 'column 1' is none of the classes"),
        ("label,text\n", "Red\nBlue", "train.csv holds a header row only"),
        ("label,text\nlabel,a\nother,b\n", None, "row 2: label 'label' is the title of its column, too"),
        ("7,text\n" + NUMBERED, "Red\nBlue", "row 1: label '7' has no name"),
    ],
)
def test_what_may_be_no_header_is_refused(tmp_path, train, classes, reason):
    assert reason in refusal(write(tmp_path, train, NAMED, classes))


def test_a_class_may_be_called_topic(tmp_path):
    train, _, classes = load(write(tmp_path, "Topic,a\nOther,b\n", classes="Topic\nOther"))
    assert len(train) == 2 and classes == ["Topic", "Other"]


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("columns", [2, 3])
def test_a_separator_is_found_over_the_file(tmp_path, separator, columns):
    """Unquoted texts hold the other separators, but not the same number of them in each row."""
    others = {";", "\t", ","} - {separator}
    texts = ["plain", "".join(others), "and ".join(others) * 2, "last"]
    rows = [separator.join(["1" if i % 2 else "2", text, "end"][:columns]) for i, text in enumerate(texts)]
    train, _, _ = load(write(tmp_path, "\n".join(rows), classes="Red\nBlue"))
    assert [text for _, text in train] == [" ".join([text, "end"][: columns - 1]) for text in texts]


def test_two_separators_that_fit_are_refused(tmp_path):
    message = refusal(write(tmp_path, "Red;one, two\nBlue;three, four\n"))
    assert "commas and semicolons cut every row into columns: put a first row with the titles label and text" in message
    titled = "label;text\nRed;one, two\nBlue;three, four\n"
    assert load(write(tmp_path, titled))[0] == [(2, "one, two"), (1, "three, four")], "the remedy works"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("1;a\n2;b;c\n", "row 2: 3 columns instead of 2"),
        ("1,a,b\n2,c\n", "row 2: 2 columns instead of 3"),
        ("1;a\n2,b\n", "row 2: 1 columns instead of 2"),
        ("1,a,b,c\n", "row 1: 4 columns instead of 3 (label, title, description) or 2 (label, text)"),
        ("1\n2\n", "row 1: 1 columns instead of 3"),
        ('1,"a"b\n2,c\n', "row 1: "),
        ('1,a\n2,"b\n', "row 2: unexpected end of data"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path, rows, reason):
    message = refusal(write(tmp_path, rows, classes="Red\nBlue"))
    assert f"train.csv, {reason}" in message and "label, title, description or label, text" in message


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_long_fields(tmp_path, kind):
    long = "word " * 60_000
    rows = [(1, long), (2, "b")]
    text = f'1,"{long}"\n2,b\n' if kind == "csv" else "\n".join(json.dumps({"label": n, "text": t}) for n, t in rows)
    assert load(write(tmp_path, text, classes="Red\nBlue", kind=kind))[0] == rows


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("file", ["train.csv", "test.csv", "classes.txt"])
def test_other_encodings_are_refused_with_the_way_to_save(tmp_path, encoding, file):
    folder = write(tmp_path, "1\tCafé\n2\tBar\n", classes="Café\nBar\n")
    (folder / file).write_bytes((folder / file).read_bytes().decode().encode(encoding))
    message = refusal(folder)
    assert f"{file}, row 1: " in message and "save the file as UTF-8 (Excel: Save As, type 'CSV UTF-8'" in message
    assert ("UTF-16" in message) == encoding.startswith("utf-16")


def test_nul_bytes_are_refused(tmp_path):
    assert "train.csv, row 2: a NUL byte" in refusal(write(tmp_path, "1,a\n2,b\0\n", classes="Red\nBlue"))
    assert "classes.txt, row 2: a NUL byte" in refusal(write(tmp_path, NUMBERED, classes="Red\nBl\0ue"))


# Every character but the NUL byte, which is refused, and halves of pairs, which no UTF-8 file holds.
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
ROWS = st.lists(st.tuples(st.integers(1, 3), TEXTS, TEXTS), max_size=6)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    rows=ROWS,
    columns=st.sampled_from([2, 3]),
    names=st.booleans(),
    separator=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    header=st.booleans(),
    blank=st.booleans(),
)
def test_what_pythons_csv_module_writes_is_read(
    tmp_path_factory, rows, columns, names, separator, quoting, line_end, mark, header, blank
):
    classes = ["Red", "Café", "7 up"]
    if quoting == csv.QUOTE_MINIMAL:  # then it writes a lone carriage return without quotes, as a line end
        rows = [(label, title.replace("\r", ""), text.replace("\r", "")) for label, title, text in rows]
    rows = [row for row in rows if "".join(row[1:columns]).strip()]
    rows += [(1, "first", "one"), (2, "second", "one"), (3, "third", "one")]  # no class without a row
    written = [(classes[label - 1] if names else label, *texts[: columns - 1]) for label, *texts in rows]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=line_end)
    writer.writerows([("label", "title", "description")[:columns]] * header + written)
    content = ("\ufeff" if mark else "") + line_end * (3 * blank) + file.getvalue() + line_end * blank
    folder = write(tmp_path_factory.mktemp("own"), content, classes="\n".join(classes))
    wanted = [(label, " ".join(texts[: columns - 1])) for label, *texts in rows]
    assert load(folder) == (wanted, wanted, classes)


# -------------------------------------------------------------------------------------------------- data/README.md

PAGE = (torchnlp.ROOT / "data" / "README.md").read_text(encoding="utf-8")


def test_the_page_shows_what_is_printed(tmp_path, capsys):
    load(two_classes(tmp_path / "reviews"))
    assert capsys.readouterr().out.replace("Label", "label") in PAGE


@pytest.mark.parametrize(
    ("row", "rows"),
    [
        (1, ("good;Café\nbad;Bar\n".encode("cp1252"),)),
        (7, ("good;a\nbad;b\n", "good;a\nbad;b\n" * 3 + "goood;c\n")),
        (2, ("good;a\n0;b\n", None, "good\nbad")),
    ],
)
def test_the_page_shows_what_errors_say(tmp_path, row, rows):
    shown = re.findall(r"^DataError: \.\.\.(/\w+\.csv, row \d+: .*?) ?\.\.\.$", PAGE, flags=re.MULTILINE)
    message = refusal(write(tmp_path / "reviews", *rows))
    assert len(shown) == 3 and f", row {row}: " in message
    assert any(message.removeprefix(str(tmp_path / "reviews")).startswith(line) for line in shown)


# --------------------------------------------------------------------------------------- why AG News is not at hand


class Server:
    """A web server on this machine that answers every question with one status, by SSL where it has a certificate."""

    def __init__(self, status: int, certificate: Path | None = None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.send_response(status)
                self.end_headers()

            def do_CONNECT(self):  # what a browser asks a proxy for, before it speaks SSL through it
                self.do_HEAD()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def without_proxy(monkeypatch, tmp_path):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torchnlp, "AG_NEWS_FOLDER", tmp_path / "ag_news")
    monkeypatch.setattr(torchnlp, "CONNECT_SECONDS", 1.0)


def reason_of(monkeypatch, capsys, url: str) -> str:
    """The reason that ``auto`` prints for a server."""
    monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", url)
    assert len(torchnlp.load_dataset(source="auto")[0]) == 1000
    (line,) = capsys.readouterr().out.splitlines()
    return line.partition("because AG News is not at hand (")[2].partition("). To get it: ")[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no program that makes a certificate")
def test_a_certificate_that_nobody_knows(monkeypatch, capsys, tmp_path, without_proxy):
    file = tmp_path / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "c")]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text((tmp_path / "key").read_text() + (tmp_path / "c").read_text())
    with Server(404, file) as server:
        reason = reason_of(monkeypatch, capsys, f"https://{server.address}")
        assert reason.startswith("SSL: the certificate ") and "set REQUESTS_CA_BUNDLE to" in reason
        with pytest.raises(torchnlp.DataError, match=r"could not be had: SSL: the certificate .*REQUESTS_CA_BUNDLE"):
            torchnlp.load_dataset(source="ag_news")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "c"))
        assert reason_of(monkeypatch, capsys, f"https://{server.address}").startswith("404 "), "the remedy works"


def test_a_server_without_ssl(monkeypatch, capsys, without_proxy):
    with Server(200) as server:
        assert reason_of(monkeypatch, capsys, f"https://{server.address}").startswith("SSL: ")


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_server_that_refuses(monkeypatch, capsys, without_proxy, status):
    with Server(status) as server:
        assert reason_of(monkeypatch, capsys, f"http://{server.address}").startswith(f"{status} ")


@pytest.mark.parametrize("status", [200, 405, 501])
def test_a_server_that_has_files_is_at_hand(without_proxy, status):
    with Server(status) as server:
        assert torchnlp._why_unreachable(f"http://{server.address}/test.csv") is None


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password(monkeypatch, capsys, without_proxy, scheme):
    with Server(407) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://{proxy.address}")
        reason = reason_of(monkeypatch, capsys, f"{scheme}://news.invalid")
    assert reason.startswith("the proxy wants a password: set HTTPS_PROXY to http://name:password@")


def test_a_proxy_that_refuses_or_is_not_there(monkeypatch, capsys, without_proxy):
    with Server(403) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
        assert "the proxy that HTTPS_PROXY" in reason_of(monkeypatch, capsys, "https://news.invalid")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    assert "the proxy that HTTPS_PROXY" in reason_of(monkeypatch, capsys, "https://news.invalid")


def test_no_server_of_this_name(monkeypatch, capsys, without_proxy):
    assert reason_of(monkeypatch, capsys, "http://news.invalid") == "no network, or no server of this name"


def test_nobody_listens(monkeypatch, capsys, without_proxy):
    assert reason_of(monkeypatch, capsys, "http://127.0.0.1:9") == "no network, or the server takes no connection"


# -------------------------------------------------------------------------------------------------------- the lessons


@pytest.mark.parametrize("lesson", SMALLER)
def test_every_lesson_can_be_shortened(lesson):
    whole, without_claims = shortened(lesson, claims=True), shortened(lesson)
    claims = {cell.id for cell in whole.cells if "claim" in cell.metadata.get("tags", [])}
    assert claims == {cell.id for cell in whole.cells} - {cell.id for cell in without_claims.cells} and claims


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    """The folder of a model that is quick."""
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("lesson", ["2-transformers", "3-bert", "4-bert-classification", "6-faster-and-bigger"])
def test_a_lesson_runs_on_own_texts(tmp_path, tiny, lesson, make):
    execute(shortened(lesson), TORCHNLP_DATA=str(make(tmp_path / "own texts")), TORCHNLP_MODEL=tiny)
