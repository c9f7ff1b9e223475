"""scripts/finetune.py: the same result however the work is dealt out, and after any kill."""

import csv
import importlib.util
import itertools
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from own_texts import seven_classes, two_classes
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel, BertTokenizer, pipeline

import torchnlp

SCRIPT = torchnlp.ROOT / "scripts" / "finetune.py"
specification = importlib.util.spec_from_file_location("finetune", SCRIPT)
finetune = importlib.util.module_from_spec(specification)
sys.modules["finetune"] = finetune
specification.loader.exec_module(finetune)

TRAINING, TESTED = 96, 21  # a pass of 12 batches of 8; an odd number of test items, so that processes get unequal parts

LEFT = ["history.json", "model"], [".lock", "history.json", "model"]  # the lock stays on some systems


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict[str, str]:
    """The environment of a small job: some rows of the sample, and a model of two narrow layers, on the CPU."""
    folder = tmp_path_factory.mktemp("job")
    train, test, _, vocab = torchnlp.load_dataset(source="sample")
    (folder / "news").mkdir()
    for name, rows in (("train", train[:: len(train) // TRAINING][:TRAINING]), ("test", test[:TESTED])):
        with open(folder / "news" / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows((label, "", text) for label, text in rows)
    words = [word for word, _ in vocab.freqs.most_common(500) if word.isalpha()]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder / "model")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder / "model")
    return {
        "TORCHNLP_DATA": str(folder / "news"),
        "TORCHNLP_MODEL": str(folder / "model"),
        "TORCHNLP_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def run(settings, monkeypatch, tmp_path):
    """Run the script in this process, by its name of output and its options; return what it wrote."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torchnlp, "device", torch.zeros(1).device)
    state = torch.get_rng_state()
    precision = os.environ.get("TORCHNLP_PRECISION", "auto")

    def run(output: str, *options: object) -> dict:
        monkeypatch.setenv("TORCHNLP_PRECISION", precision)  # a run with --precision sets it for its process
        for shared in (AcceleratorState, PartialState, GradientState):
            shared._reset_state()
        finetune.main([str(tmp_path / output), *map(str, options)])
        return results(tmp_path / output)

    yield run
    torch.set_rng_state(state)


def results(output: Path) -> dict:
    """What a run wrote: its history, and its weights with their hash."""
    weights = output / "model" / "model.safetensors"
    written = json.loads((output / "history.json").read_text(encoding="utf-8"))
    return {**written, "weights": load_file(weights), "hash": sha256(weights.read_bytes()).hexdigest()}


def command(output: Path, *options: object, torchrun: int = 0) -> list[str]:
    """The command of a run; where torchrun is to start its processes, with their number."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={torchrun}"] if torchrun else []
    return [sys.executable, *launcher, str(SCRIPT), str(output), *map(str, options)]


def launch(settings: dict[str, str], *arguments, **named) -> subprocess.CompletedProcess:
    environment = {**os.environ, **settings}
    done = subprocess.run(command(*arguments, **named), env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


# ------------------------------------------------------------------------------------------------------ dealing out


def shares_of(lengths, batch_size, shares, mine, start=0, stop=5):
    batches = torchnlp.LengthGroupedBatches(lengths, batch_size, pool=2, seed=3)
    return list(finetune.Shares(batches, shares, mine, start, stop))


@pytest.mark.parametrize("shares", [1, 2, 3, 6])
def test_all_shares_together_are_the_batches_whatever_their_number(shares):
    lengths = [random.Random(0).randint(1, 40) for _ in range(40)]
    whole = shares_of(lengths, 12, 1, [0])
    dealt = [shares_of(lengths, 12, shares, [number]) for number in range(shares)]
    assert {len(share) for parts in dealt for share in parts} == {12 // shares}
    for batch, *parts in zip(whole, *dealt, strict=True):
        assert sorted(batch) == sorted(itertools.chain(*parts))


def test_each_share_holds_short_and_long_ones():
    lengths = list(range(64))
    first, second = (shares_of(lengths, 64, 2, [number], stop=1)[0] for number in (0, 1))
    assert abs(sum(lengths[item] for item in first) - sum(lengths[item] for item in second)) <= 32
    assert max(first) >= 62 and max(second) >= 62


def test_a_process_with_two_turns_takes_both_before_the_next_iteration():
    lengths = list(range(40))
    assert shares_of(lengths, 8, 4, [1, 3]) == [
        share
        for pair in zip(shares_of(lengths, 8, 4, [1]), shares_of(lengths, 8, 4, [3]), strict=True)
        for share in pair
    ]


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5])
def test_going_on_gives_what_an_unbroken_walk_would_have_given(start):
    lengths = [random.Random(1).randint(1, 40) for _ in range(30)]  # two full batches a pass: passes are crossed
    assert shares_of(lengths, 12, 2, [1], start=start) == shares_of(lengths, 12, 2, [1])[start:]


def test_no_pass_is_like_the_one_before_and_none_repeats_an_item():
    batches = shares_of(list(range(48)), 12, 1, [0], stop=8)
    first, second = batches[:4], batches[4:]
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == list(range(48))
    assert set(map(frozenset, first)) != set(map(frozenset, second))


def test_shares_know_their_number():
    batches = torchnlp.LengthGroupedBatches([1] * 40, 8)
    sampler = finetune.Shares(batches, 4, [0, 2], 3, 10)
    assert len(sampler) == len(list(sampler)) == 14


@pytest.mark.parametrize(("size", "shares", "items", "remedy"), [(8, 3, 40, "equal shares"), (8, 2, 7, "--batch-size")])
def test_work_that_cannot_be_dealt_out_is_refused(size, shares, items, remedy):
    with pytest.raises(finetune.RunError, match=remedy):
        finetune.Shares(torchnlp.LengthGroupedBatches([1] * items, size), shares, [0], 0, 1)


# ------------------------------------------------------------------------------------------------------- one process


def test_it_learns_what_the_helper_learns(run, settings):
    """The same weights, batches and schedule as torchnlp.fine_tune gives the same losses."""
    history = run("script", "--iterations", 9, "--report-freq", 1, "--seed", 4)["history"]
    tokenizer = AutoTokenizer.from_pretrained(settings["TORCHNLP_MODEL"])
    train, _, _, _ = torchnlp.load_dataset()
    torchnlp.set_seed(4)
    model = BertForSequenceClassification.from_pretrained(
        settings["TORCHNLP_MODEL"], num_labels=4, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    lengths = [len(ids) for ids in tokenizer([text for _, text in train])["input_ids"]]
    batches = torchnlp.LengthGroupedBatches(lengths, 8, seed=4)
    loader = DataLoader(train, batch_sampler=batches, collate_fn=torchnlp.BertCollate(tokenizer))
    expected = torchnlp.fine_tune(model, loader, lr=1e-4, iterations=9, report_freq=1)
    assert history["iteration"] == list(range(1, 10))
    torch.testing.assert_close(torch.tensor(history["loss"]), torch.tensor(expected["loss"]), rtol=0, atol=1e-5)
    assert history["accuracy"] == pytest.approx(expected["accuracy"])


def test_the_final_folder_is_a_model_that_answers_as_reported(run, tmp_path):
    written = run("out", "--iterations", 5)
    folder = torchnlp.model_folder(tmp_path / "out" / "model")  # lesson 4 asks so, with TORCHNLP_MODEL
    model = BertForSequenceClassification.from_pretrained(folder, num_labels=4)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    _, test, _, _ = torchnlp.load_dataset()
    logits = torchnlp.predict(model, tokenizer, [text for _, text in test])
    assert written["answered"] == TESTED
    assert torchnlp.accuracy(logits, torchnlp.targets(test)) == pytest.approx(written["right"] / TESTED)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) in LEFT


def test_the_final_folder_answers_with_the_names_of_the_classes(run, settings, tmp_path):
    run("out", "--iterations", 2)
    folder = tmp_path / "out" / "model"
    _, _, classes, _ = torchnlp.load_dataset()
    config = BertConfig.from_pretrained(folder)
    assert [config.id2label[number] for number in range(len(classes))] == classes
    assert [config.label2id[name] for name in classes] == list(range(len(classes)))
    classify = pipeline("text-classification", model=str(folder), device=torchnlp.device)
    answers = classify(["The cup final was won in the last minute.", "Banks raise their rates."])
    assert {answer["label"] for answer in answers} <= set(classes)


@pytest.mark.parametrize("make", [two_classes, seven_classes])
def test_any_number_of_classes(run, monkeypatch, tmp_path, make):
    monkeypatch.setenv("TORCHNLP_DATA", str(make(tmp_path / "texts")))
    written = run("out", "--iterations", 3)
    _, test, classes, _ = torchnlp.load_dataset()
    assert written["settings"]["classes"] == classes and written["answered"] == len(test)
    classify = pipeline(
        "text-classification", model=str(tmp_path / "out" / "model"), device=torchnlp.device, top_k=None
    )
    (answer,) = classify(["It was lovely."])
    assert sorted(row["label"] for row in answer) == sorted(classes)


def test_a_fine_tuned_model_is_trained_on_with_new_outputs(run, monkeypatch, tmp_path, capsys):
    first = run("first", "--iterations", 3)
    assert "fine-tuned before" not in capsys.readouterr().out
    monkeypatch.setenv("TORCHNLP_MODEL", str(tmp_path / "first" / "model"))
    second = run("second", "--iterations", 3, "--lr", 1e-9)  # so low that nothing moves
    assert capsys.readouterr().out.count("was fine-tuned before (World, Sports, Business, Sci/Tech)") == 1
    for name, weight in first["weights"].items():
        assert torch.allclose(second["weights"][name], weight, atol=1e-6) == ("classifier" not in name), name


def test_a_model_of_other_classes_is_refused(run, monkeypatch, tmp_path):
    run("first", "--iterations", 1)
    monkeypatch.setenv("TORCHNLP_MODEL", str(tmp_path / "first" / "model"))
    monkeypatch.setenv("TORCHNLP_DATA", str(two_classes(tmp_path / "texts")))
    with pytest.raises(torchnlp.ModelError, match=r"classes World, .* the texts are of bad, good: set TORCHNLP_DATA"):
        run("second", "--iterations", 1)


@pytest.mark.skipif(os.name != "posix", reason="Windows has rights of another kind")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_results_have_the_rights_of_any_new_file(run, tmp_path, monkeypatch, umask):
    before = os.umask(umask)
    try:
        break_off(monkeypatch, 2)
        with pytest.raises(Killed):
            run("out", "--iterations", 3, "--checkpoint-freq", 2)
        rights = {tmp_path / "out" / "checkpoint.safetensors": stat_of(tmp_path / "out" / "checkpoint.safetensors")}
        run("out", "--iterations", 3, "--checkpoint-freq", 2, "--resume")
    finally:
        os.umask(before)
    rights |= {path: stat_of(path) for path in (tmp_path / "out").rglob("*") if path.name != ".lock"}
    folders = {path for path in rights if path.is_dir()}
    assert {path.name for path in folders} == {"model"} and len(rights) >= 5
    for path, mode in rights.items():
        assert mode == (0o777 if path in folders else 0o666) & ~umask, f"{path.name} has {mode:o}"


def stat_of(path: Path) -> int:
    """The rights of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_test_runs_in_the_number_format_of_the_training(run, monkeypatch, precision):
    predict, seen = torchnlp.predict, []

    def note(*arguments, **named):
        seen.append(torchnlp.precision())
        return predict(*arguments, **named)

    monkeypatch.setattr(torchnlp, "predict", note)
    written = run("out", "--iterations", 1, "--precision", precision)
    assert [written["settings"]["precision"]] == seen == [precision]


@pytest.mark.parametrize("cut", [(4, 2), (2, 4), (1, 8)])
def test_accumulated_gradients_are_those_of_the_whole_batch(run, cut):
    """In float32; in bfloat16 the sums of rounded parts differ more."""
    options = ("--iterations", 6, "--report-freq", 1, "--precision", "float32")
    whole = run("whole", *options)
    parts = run("parts", *options, "--batch-size", cut[0], "--accumulate", cut[1])
    torch.testing.assert_close(parts["history"], whole["history"], rtol=0, atol=1e-5)
    torch.testing.assert_close(parts["weights"], whole["weights"], rtol=0, atol=1e-5)


def test_recomputing_changes_nothing_but_memory(run):
    usual = run("usual", "--iterations", 4, "--report-freq", 1, "--dropout", 0.1)
    again = run("again", "--iterations", 4, "--report-freq", 1, "--dropout", 0.1, "--recompute")
    torch.testing.assert_close(again["history"], usual["history"], rtol=0, atol=1e-5)


def test_seed_and_dropout_reach_the_training(run):
    hashes = {
        run(name, "--iterations", 3, *options)["hash"]
        for name, options in {"a": (), "b": ("--seed", 1), "c": ("--dropout", 0.1), "d": ("--lr", 1e-3)}.items()
    }
    assert len(hashes) == 4
    assert run("again", "--iterations", 3)["hash"] in hashes


# ------------------------------------------------------------------------------------------------- broken off, resumed


class Killed(BaseException):
    """Stands for a kill, in this process."""


def break_off(monkeypatch, iteration: int) -> None:
    """Let the next run end right after its checkpoint of this iteration."""
    save = finetune.save_checkpoint

    def save_and_die(path, model, optimizer, scheduler, states, progress, settings):
        save(path, model, optimizer, scheduler, states, progress, settings)
        if progress.iteration == iteration:
            monkeypatch.setattr(finetune, "save_checkpoint", save)
            raise Killed

    monkeypatch.setattr(finetune, "save_checkpoint", save_and_die)


@pytest.mark.parametrize("options", [(), ("--batch-size", "4", "--accumulate", "2")])
def test_a_resumed_run_ends_bit_for_bit_like_an_unbroken_one(run, monkeypatch, options):
    options = ("--iterations", 30, "--report-freq", 7, "--checkpoint-freq", 5, "--dropout", 0.1, *options)
    unbroken = run("unbroken", *options)
    for iteration in (5, 20):  # within the first pass, and after a pass was crossed
        break_off(monkeypatch, iteration)
        with pytest.raises(Killed):
            run("broken", *options, "--resume")
    resumed = run("broken", *options, "--resume")
    assert resumed["hash"] == unbroken["hash"]
    assert resumed["history"] == unbroken["history"]


def test_what_was_trained_is_not_lost_when_the_testing_fails(run, monkeypatch):
    unbroken = run("unbroken", "--iterations", 3)
    test = finetune.test

    def fail(*_):
        monkeypatch.setattr(finetune, "test", test)
        raise Killed

    monkeypatch.setattr(finetune, "test", fail)
    with pytest.raises(Killed):
        run("out", "--iterations", 3)

    def step(*_):
        raise AssertionError("trained a second time")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    assert run("out", "--iterations", 3, "--resume")["hash"] == unbroken["hash"]


def test_resume_does_without_a_checkpoint_and_leaves_a_finished_run_alone(run, capsys):
    first = run("out", "--iterations", 3, "--resume")
    assert run("out", "--iterations", 3, "--resume")["hash"] == first["hash"]
    assert "nothing is left to do" in capsys.readouterr().out


def test_results_are_never_overwritten_unasked(run):
    run("out", "--iterations", 2)
    with pytest.raises(finetune.RunError, match="--resume, or choose a new folder"):
        run("out", "--iterations", 2)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--lr", 1e-3, "lr"),
        ("--seed", 5, "seed"),
        ("--iterations", 50, "iterations"),
        ("--batch-size", 4, "batch_size"),
    ],
)
def test_other_settings_are_no_continuation(run, monkeypatch, option, value, named):
    break_off(monkeypatch, 2)
    with pytest.raises(Killed):
        run("out", "--iterations", 9, "--checkpoint-freq", 2)
    with pytest.raises(finetune.RunError, match=f"made with {named}="):
        run("out", "--iterations", 9, "--checkpoint-freq", 2, "--resume", option, value)


def test_other_news_is_no_continuation(run, monkeypatch):
    break_off(monkeypatch, 2)
    with pytest.raises(Killed):
        run("out", "--iterations", 9, "--checkpoint-freq", 2)
    monkeypatch.setenv("TORCHNLP_DATA", "sample")
    with pytest.raises(finetune.RunError, match="made with news="):
        run("out", "--iterations", 9, "--checkpoint-freq", 2, "--resume")


def test_other_names_of_the_classes_are_no_continuation(run, monkeypatch, tmp_path):
    texts = seven_classes(tmp_path / "texts")
    monkeypatch.setenv("TORCHNLP_DATA", str(texts))
    break_off(monkeypatch, 2)
    with pytest.raises(Killed):
        run("out", "--iterations", 9, "--checkpoint-freq", 2)
    names = (texts / "classes.txt").read_text(encoding="utf-8").replace("Music", "Concerts")
    (texts / "classes.txt").write_text(names, encoding="utf-8")
    with pytest.raises(finetune.RunError, match=r"made with classes=\['Weather', 'Cooking', 'Music'"):
        run("out", "--iterations", 9, "--checkpoint-freq", 2, "--resume")


@pytest.mark.parametrize("damage", ["cut", "weights only", "text"])
def test_a_damaged_checkpoint_is_named(run, tmp_path, monkeypatch, damage):
    break_off(monkeypatch, 2)
    with pytest.raises(Killed):
        run("out", "--iterations", 9, "--checkpoint-freq", 2)
    checkpoint = tmp_path / "out" / "checkpoint.safetensors"
    if damage == "cut":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    elif damage == "text":
        checkpoint.write_text("no weights at all", encoding="utf-8")
    else:
        save_file({"weight": torch.zeros(2)}, checkpoint)
    with pytest.raises(finetune.RunError, match="delete it to start again"):
        run("out", "--iterations", 9, "--checkpoint-freq", 2, "--resume")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "checkpoint.safetensors"
    target.write_text("old")

    def half(path: Path) -> None:
        path.write_text("ha")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        finetune.write_in_one_step(target, half)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    finetune.write_in_one_step(target, lambda path: path.write_text("new"))
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_two_runs_never_write_to_one_folder(run, tmp_path):
    (tmp_path / "out").mkdir()
    with finetune.FileLock(tmp_path / "out" / ".lock"), pytest.raises(finetune.RunError, match="another run"):
        run("out", "--iterations", 2, "--resume")
    run("out", "--iterations", 2)


def test_what_a_killed_write_left_is_cleared_away(run, tmp_path):
    (tmp_path / "out" / ".checkpoint.safetensors.x1").mkdir(parents=True)
    (tmp_path / "out" / ".checkpoint.safetensors.x1" / "checkpoint.safetensors").write_text("half")
    run("out", "--iterations", 2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) in LEFT


# --------------------------------------------------------------------------------------------------- testing, settings


@pytest.mark.parametrize("processes", [1, 2, 3, 40])
def test_each_test_item_counts_once(settings, processes):
    model = BertForSequenceClassification.from_pretrained(settings["TORCHNLP_MODEL"], num_labels=4)
    tokenizer = AutoTokenizer.from_pretrained(settings["TORCHNLP_MODEL"])
    _, items, _, _ = torchnlp.load_dataset(source=settings["TORCHNLP_DATA"])
    counts = torch.zeros(2, dtype=torch.long)
    for index in range(processes):
        process = SimpleNamespace(
            process_index=index, num_processes=processes, device=torch.zeros(1).device, reduce=lambda tensor: tensor
        )
        counts += torch.tensor(finetune.test(process, model, tokenizer, items))
    logits = torchnlp.predict(model, tokenizer, [text for _, text in items])
    assert counts.tolist() == [(logits.argmax(dim=1) == torchnlp.targets(items)).sum(), TESTED]


@pytest.mark.parametrize(
    "options",
    [
        ["--iterations", "0"],
        ["--batch-size", "-1"],
        ["--batch-size", "1.5"],
        ["--dropout", "1"],
        ["--lr", "0"],
        ["--lr", "2"],
    ],
)
def test_a_wrong_setting_is_named(options, capsys):
    with pytest.raises(SystemExit):
        finetune.read_arguments(["out", *options])
    assert options[0] in capsys.readouterr().err


def test_texts_longer_than_the_model_can_read_are_refused_before_the_training(run, monkeypatch, tmp_path):
    monkeypatch.setattr(finetune, "train", lambda *_: pytest.fail("it trains"))
    with pytest.raises(finetune.RunError, match=r"--max-length 600 .* 512 positions .* at most --max-length 512"):
        run("out", "--iterations", 1, "--max-length", 600)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name != ".lock"] == []


def test_a_text_may_be_as_long_as_the_model_can_read(run):
    run("out", "--iterations", 1, "--max-length", 512)


def test_too_little_news_for_one_iteration_is_refused(run):
    with pytest.raises(finetune.RunError, match="do not fill one iteration"):
        run("out", "--iterations", 1, "--batch-size", TRAINING + 1)


# ---------------------------------------------------------------------------------------- real processes, real kills


def test_two_processes_learn_what_one_learns_from_the_doubled_batch(run, settings, tmp_path):
    options = ("--iterations", 8, "--report-freq", 1, "--precision", "float32")
    one = run("one", *options, "--batch-size", 8)
    launched = launch(settings, tmp_path / "launched", *options, "--batch-size", 4, torchrun=2)
    forked = launch(settings, tmp_path / "forked", *options, "--batch-size", 4, "--processes", 2)
    two = results(tmp_path / "launched")
    torch.testing.assert_close(two["history"], one["history"], rtol=0, atol=1e-4)
    torch.testing.assert_close(two["weights"], one["weights"], rtol=0, atol=1e-4)
    assert (two["right"], two["answered"]) == (one["right"], TESTED)
    assert_same_results(tmp_path / "forked", tmp_path / "launched")
    for done in (launched, forked):
        assert done.stdout.count("2 processes on cpu") == 1
        assert done.stdout.count("Loaded") == 1  # one process tells, the others are silent


def test_where_one_of_two_processes_finds_a_fault_both_end_and_it_is_named(settings, tmp_path):
    words = command(tmp_path / "out", "--processes", 2, "--iterations", 1)
    settings = {**os.environ, **settings, "TORCHNLP_DATA": str(tmp_path / "nowhere")}  # the other one waits for news
    done = subprocess.run(words, env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "finetune: " in done.stderr and "nowhere is not a folder" in done.stderr


def test_more_processes_than_gpus_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(torchnlp, "device", SimpleNamespace(type="cuda", index=None))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(finetune.RunError, match="2 processes for 1 GPU here: let --nproc_per_node be at most 1"):
        finetune.main([str(tmp_path / "out")])


def test_a_run_on_the_cpu_leaves_gpus_alone(settings):
    """Else the barrier of two processes asks for two GPUs, and fails on a machine that has one."""
    source = f"import runpy, os; runpy.run_path({str(SCRIPT)!r}); print(os.environ['CUDA_VISIBLE_DEVICES'] or 'none')"
    environment = {**os.environ, **settings, "CUDA_VISIBLE_DEVICES": "0"}
    done = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["none"]


@pytest.mark.parametrize(("variable", "value"), [("LOCAL_RANK", "0"), ("TORCHNLP_DEVICE", "meta")])
def test_processes_are_for_the_cpu_and_without_torchrun(run, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(torchnlp, "device", torchnlp._choose_device())
    with pytest.raises(finetune.RunError, match="--processes starts them on the CPU"):
        run("out", "--iterations", 1, "--processes", 2)


def test_a_run_imports_nothing_for_plots_dates_and_downloads(settings, tmp_path):
    words = [str(SCRIPT), str(tmp_path / "out"), "--iterations", "1"]
    source = f"import runpy, sys; sys.argv = {words}; runpy.run_path({words[0]!r}, run_name='__main__')"
    source += "; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", source], env={**os.environ, **settings}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.split())
    assert "torchnlp" in modules
    assert modules.isdisjoint({"matplotlib", "babel", "IPython", "pooch", "sklearn", "pandas"})


def start_and_wait_for_a_random_moment(settings: dict[str, str], words: list[str], output: Path) -> subprocess.Popen:
    """Start a run, wait for its first new checkpoint and then up to a second; the run goes on."""
    checkpoint, log = output / "checkpoint.safetensors", output.with_suffix(".log")
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    with open(log, "w") as file:
        process = subprocess.Popen(words, env={**os.environ, **settings}, stdout=file, stderr=file)
    while process.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
        time.sleep(0.01)
    assert process.poll() is None, log.read_text()
    moment = random.SystemRandom().uniform(0, 1)
    time.sleep(moment)
    print(f"{moment:.3f} s after the first checkpoint")  # shown when the test fails
    return process


TO_KILL = ("--checkpoint-freq", 10, "--dropout", 0.1, "--batch-size", 4)


def assert_same_results(output: Path, unbroken: Path) -> None:
    one, other = results(output), results(unbroken)
    assert one["hash"] == other["hash"]
    assert (one["history"], one["right"], one["answered"]) == (other["history"], other["right"], other["answered"])


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_after_three_kills_at_random_moments_the_weights_are_those_of_an_unbroken_run(settings, tmp_path):
    options = ("--iterations", 400, *TO_KILL)
    launch(settings, tmp_path / "unbroken", *options)
    words = command(tmp_path / "killed", *options, "--resume")
    for _ in range(3):
        process = start_and_wait_for_a_random_moment(settings, words, tmp_path / "killed")
        process.kill()  # SIGKILL
        assert process.wait() == -signal.SIGKILL, "the run ended before the kill: give it more iterations"
    launch(settings, tmp_path / "killed", *options, "--resume")
    assert_same_results(tmp_path / "killed", tmp_path / "unbroken")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_after_the_kill_of_one_of_two_processes_both_end_and_the_run_goes_on(settings, tmp_path):
    """What torchrun began and ended unbroken, and what it takes over from a run without it, ends with the same."""
    options = ("--iterations", 200, *TO_KILL)
    launch(settings, tmp_path / "unbroken", *options, torchrun=2)
    words = command(tmp_path / "killed", *options, "--resume", "--processes", 2)
    launcher = start_and_wait_for_a_random_moment(settings, words, tmp_path / "killed")
    random.choice(psutil.Process(launcher.pid).children()).kill()  # then the other is ended
    assert launcher.wait(timeout=300) > 0, (tmp_path / "killed.log").read_text()
    assert "terminated with signal SIGKILL" in (tmp_path / "killed.log").read_text()
    done = launch(settings, tmp_path / "killed", *options, "--resume", torchrun=2)
    assert "going on after iteration" in done.stdout
    assert_same_results(tmp_path / "killed", tmp_path / "unbroken")
