"""What the benchmarks compute, without measuring anything that depends on the machine's speed."""

import contextlib
import datetime
import importlib
import itertools
import json
import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import torch
from nbclient.exceptions import DeadKernelError
from transformers import BertConfig, BertForSequenceClassification

import torchnlp

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
on_linux_cpu = pytest.mark.skipif(
    sys.platform != "linux" or torchnlp.device.type != "cpu", reason="measures resident memory on Linux"
)


@pytest.fixture
def load(monkeypatch):
    """Imports a benchmark by name."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def import_benchmark(name: str) -> ModuleType:
        return importlib.import_module(name)

    return import_benchmark


@pytest.fixture
def report(load, monkeypatch, tmp_path):
    """The module that writes results, told to write them elsewhere, on a machine of one kind."""
    module = load("report")
    monkeypatch.setattr(torchnlp, "device", torch.device(type="cpu"))
    monkeypatch.setenv("TORCHNLP_PRECISION", "float32")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(sys, "argv", [str(BENCHMARKS / "growth.py"), "--save", "--steps", "2"])
    return module


def save(report: ModuleType, name: str, text: str) -> str:
    """Save a part of one paragraph and one table; return the whole file."""
    part = report.Report(name, f"About {name}")
    part.say(text)
    part.table("batch | seconds", [[8, "0.50"], ["a | b", ""]])
    part.save()
    return report.RESULTS.read_text(encoding="utf-8")


def tiny_config(**settings) -> BertConfig:
    sizes = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}
    return BertConfig(**{"vocab_size": 50, "max_position_embeddings": 32, "num_labels": 5, **sizes, **settings})


# ------------------------------------------------------------------------------------------------------------- report


def test_a_part_is_replaced_and_the_others_are_left_alone(report):
    for name in ("scaling", "growth", "made-up"):
        save(report, name, f"old {name}")
    mark = "<!-- cpu float32: scaling -->"
    by_hand = report.RESULTS.read_text(encoding="utf-8").replace(mark, f"By hand.\n\n{mark}")
    report.RESULTS.write_text(by_hand, encoding="utf-8")
    text = save(report, "growth", "new")
    assert text == by_hand.replace("old growth", "new")
    assert text.count("<!-- cpu float32: growth -->") == text.count("<!-- end of cpu float32: growth -->") == 1
    assert text.index("### About growth") < text.index("### About scaling") < text.index("### About made-up")
    assert text.startswith(report.HEADER)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in text.splitlines() if "| 8" in line]
    assert cells == [["", "8", "0.50", ""]] * 3, "a number stays as it was written"
    assert "| a \\| b " in text, "a bar in a cell does not end it"


def test_each_kind_of_machine_has_its_section(report, monkeypatch):
    save(report, "growth", "on the CPU, float32")
    for device, number_format in (("cuda", "bfloat16"), ("cpu", "bfloat16"), ("cuda", "float32")):
        before = report.RESULTS.read_text(encoding="utf-8")
        monkeypatch.setattr(torchnlp, "device", torch.device(device))
        monkeypatch.setenv("TORCHNLP_PRECISION", number_format)
        with monkeypatch.context() as quick:
            quick.setattr(report, "machine", lambda: "a GPU that is not here")
            text = save(report, "growth", f"on {device}, {number_format}")
            assert save(report, "growth", f"on {device}, {number_format}") == text
        start, end = (f"<!-- {mark}{device} {number_format} -->\n" for mark in ("", "end of "))
        first, last = text.index(start), text.index(end) + len(end)
        without = text[:first].rstrip("\n") + "\n" * bool(text[last:]) + text[last:]
        assert without.strip("\n") == before.strip("\n"), "the sections of other kinds stay as they are"
    headings = [line for line in text.splitlines() if line.startswith("#")]
    kinds = ["CPU, bfloat16", "CPU, float32", "GPU, bfloat16", "GPU, float32"]
    assert headings == ["# Measured results", *(line for kind in kinds for line in (f"## {kind}", "### About growth"))]


def test_a_part_without_end_is_not_guessed(report):
    save(report, "growth", "old")
    torn = report.RESULTS.read_text(encoding="utf-8").replace("<!-- end of cpu float32: growth -->", "")
    report.RESULTS.write_text(torn, encoding="utf-8")
    with pytest.raises(ValueError, match="end of cpu float32: growth"):
        save(report, "growth", "new")
    assert report.RESULTS.read_text(encoding="utf-8") == torn


def test_a_failing_write_leaves_the_old_file_and_nothing_else(report, monkeypatch):
    old = save(report, "growth", "old")

    def full(self: Path, target: Path) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="no space"):
            save(report, "growth", "new")
    assert report.RESULTS.read_text(encoding="utf-8") == old
    assert [path.name for path in report.RESULTS.parent.iterdir()] == ["RESULTS.md"]


def test_a_section_names_command_machine_and_versions(report, monkeypatch):
    monkeypatch.setenv("TORCHNLP_DATA", "sample")
    (line,) = [line for line in save(report, "growth", "text").splitlines() if " · " in line]
    assert line.startswith(f"{datetime.date.today()} · `")
    for part in (
        "TORCHNLP_DATA=sample ",
        "python benchmarks/growth.py --save --steps 2`",
        f"torch {torch.__version__}",
        "transformers ",
        "accelerate ",
        f"Python {sys.version.split()[0]}",
        report.processor(),
        " core",
        f"torch on {torch.get_num_threads()} thread",
        "fast bfloat16",
    ):
        assert part in line, f"{part!r} is missing in {line!r}"


def test_a_section_names_no_place_and_no_host(report, monkeypatch, tmp_path):
    outside = tmp_path / "inner" / "news"
    words = [str(outside), f"--html={outside}", "../inner/news", str(BENCHMARKS / "loading.py"), "lesson 4", "1.ipynb"]
    monkeypatch.setattr(sys, "argv", [str(BENCHMARKS / "growth.py"), *words])
    monkeypatch.setenv("TORCHNLP_DATA", str(outside))
    text = save(report, "growth", "text")
    assert 'growth.py news --html=news news benchmarks/loading.py "lesson 4" 1.ipynb`' in text
    for secret in (str(BENCHMARKS.parent), str(tmp_path), "inner", str(Path.home()) + "/"):
        assert secret not in text
    assert len(socket.gethostname()) < 4 or socket.gethostname() not in text


@pytest.mark.parametrize("words", [["--steps", "5", "news"], ["--save", "--compile"]])
def test_a_benchmark_gets_its_options_and_is_saved_only_where_asked(report, monkeypatch, words):
    seen = []
    monkeypatch.setattr(sys, "argv", ["growth.py", *words])
    filled = report.Report("growth", "About growth")
    report.run(filled, lambda *given, **options: seen.append((*given, options)), "A doc.", steps=3, compile=False)
    saved = "--save" in words
    assert seen == [(filled, {"folder": None if saved else "news", "steps": 3 if saved else 5, "compile": saved})]
    assert report.RESULTS.exists() == saved


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([13.04, 11.93, 12.34], "12.3 (11.9 to 13.0)"),
        ([0.01234, 0.5], "0.256 (0.012 to 0.500)"),
        ([0.01234, 0.01, 0.02], "0.0123 (0.0100 to 0.0200)"),
        ([1234.5], "1234 (1234 to 1234)"),
        ([0.0, 0.0], "0 (0 to 0)"),
    ],
)
def test_median_and_spread(load, values, shown):
    assert load("report").median_and_spread(values) == shown


# ------------------------------------------------------------------------------------------------------------- measure


def test_cases_take_turns_after_a_round_to_warm_up(load, monkeypatch):
    measure = load("measure")
    clock, order = [0.0], []
    monkeypatch.setattr(measure, "timer", lambda: clock[0])

    def case(name: str, seconds: float) -> Callable[[], str]:
        def work() -> str:
            order.append(name)
            clock[0] += seconds * len(order)
            return f"{name}{len(order)}"

        return work

    def keep(result: str) -> str:
        clock[0] += 1000  # not counted
        return result.upper()

    measured = measure.in_turn({"a": case("a", 1), "b": case("b", 10)}, rounds=2, keep=keep)
    assert order == ["a", "b"] * 3
    assert (measured["a"].seconds, measured["b"].seconds) == ([3, 5], [40, 60])
    assert (measured["a"].results, measured["b"].results) == (["A3", "A5"], ["B4", "B6"])
    assert measured["a"].mib is None


@on_linux_cpu
def test_peak_memory_sees_a_tensor_that_is_gone_again(load):
    def take(mib: int) -> Callable[[], None]:
        return lambda: [torch.ones(mib * 2**18), None][1]

    measured = load("measure").in_turn({"large": take(200), "small": take(10)}, rounds=1, memory="cpu")
    large, small = measured.values()
    assert 195 < large.above_mib < 230
    assert 5 < small.above_mib < 40, "an earlier peak was counted"
    assert large.mib > 195 + small.mib - 50


@on_linux_cpu
def test_what_is_kept_of_a_result_is_no_memory_of_the_case(load):
    def keep(_: object) -> int:
        return len(torch.ones(200 * 2**18))

    (case,) = load("measure").in_turn({"small": list}, rounds=1, memory="cpu", keep=keep).values()
    assert case.above_mib < 40


def test_a_rate_counts_what_is_done(load, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("timeit.default_timer", lambda: clock[0])

    def work() -> None:
        clock[0] += 0.03

    assert load("measure").rates({"work": (work, 6.0)}, rounds=2)["work"] == pytest.approx([200, 200])


def test_a_step_trains_as_fine_tune_does(load):
    measure = load("measure")
    model = BertForSequenceClassification(tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    trainer = measure.Trainer(model)
    batch = measure.made_up_batch(4, 8, vocabulary=2_000)
    batch["input_ids"] %= 50
    before = [parameter.detach().clone() for parameter in model.parameters()]
    trainer.steps({"a step": batch})["a step"]()
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
    assert all(parameter.grad is not None for parameter in model.parameters())


# ------------------------------------------------------------------------------------------------------------- lessons


def two_cells() -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)", id=f"cell-{i}") for i in (1, 2)])


def test_the_memory_cell_leaves_no_trace(load, tmp_path):
    lessons = load("lessons")
    notebook = two_cells()
    seconds, memory = lessons.execute_and_measure(notebook, tmp_path)
    assert [cell.id for cell in notebook.cells] == ["cell-1", "cell-2"]
    assert [cell.source for cell in notebook.cells] == ["print(6 * 7)"] * 2
    assert [cell.outputs[0].text for cell in notebook.cells] == ["42\n"] * 2
    assert seconds > 0
    if sys.platform in ("linux", "darwin"):
        assert 20 < memory["peak"] < 200  # MiB of a bare kernel; this process, with torch, has more


@pytest.fixture
def measure_two(load, report, monkeypatch, tmp_path):
    """Measures two made-up lessons with ``--save``, of which the first so many fail; returns the exit status."""
    lessons, seen = load("lessons"), []
    names = [str(tmp_path / f"{name}.ipynb") for name in ("1-attention", "2-transformers")]
    for name in names:
        nbformat.write(two_cells(), name)
    monkeypatch.setattr(sys, "argv", [str(BENCHMARKS / "lessons.py"), "--save", *names])
    monkeypatch.setenv("TORCHNLP_DATA", str(tmp_path / "news"))

    def measure(failing: int) -> int:
        def execute(notebook: nbformat.NotebookNode, folder: Path) -> float:
            seen.append(notebook)
            if len(seen) <= failing:
                raise DeadKernelError("killed")
            notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text='{"peak": 512.4}\n')]
            return 7.0

        monkeypatch.setattr(lessons, "execute", execute)
        status = lessons.main()
        assert [len(notebook.cells) for notebook in seen] == [2, 2]
        return status

    return measure


def test_measured_lessons_are_saved(measure_two, report, capsys):
    assert measure_two(failing=0) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 0 failed"
    text = report.RESULTS.read_text(encoding="utf-8")
    assert "<!-- cpu float32: lessons-ag-news -->" in text and "TORCHNLP_DATA=news" in text
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if "|" in line]
    rows = {row[1]: row[2:] for row in cells}
    assert rows["1-attention"][:3] == ["7", "120", "512"]
    assert rows["2-transformers"][:3] == ["7", "120", "512"]


def test_nothing_is_saved_when_a_lesson_failed(measure_two, report, capsys):
    save(report, "growth", "of earlier")
    before = report.RESULTS.read_bytes()
    assert measure_two(failing=1) == 1
    *_, remedy, last = capsys.readouterr().out.splitlines()
    assert last == "1 passed, 1 failed" and "nothing was saved" in remedy
    assert report.RESULTS.read_bytes() == before


def test_the_committed_results_hold_nothing_failed():
    assert "failed" not in (BENCHMARKS / "RESULTS.md").read_text(encoding="utf-8").lower()


# ------------------------------------------------------------------------------------------------------------- loading


@pytest.mark.parametrize("name", ["torchnlp", "datasets"])
def test_the_contestants_load_the_same(load, tmp_path, name):
    if name == "datasets":
        pytest.importorskip("datasets", reason="pip install -r benchmarks/requirements.txt")
    loading = load("loading")
    rows = [
        (3, 'Oil up Traders said "buy", and bought.'),
        (4, "NA A chip, smaller than a grain of rice"),
        (1, " Talks open; envoys met."),  # without a title
        (2, "Goal"),
    ]
    loading.write_rows(rows, tmp_path / "train.csv", 10)
    loading.write_rows(rows[::-1], tmp_path / "test.csv", 10)
    train, test, vocab = loading.plain_loop(tmp_path)
    found_train, found_test, found_vocab = loading.contestants()[name](tmp_path)
    assert (found_train, found_test) == (train, test)
    assert len(train) == 10 and train[:3] == rows[:3]
    assert found_vocab.freqs == vocab.freqs and found_vocab.itos == vocab.itos
    assert vocab.freqs["oil"] == 3 and vocab.freqs["na"] == 3


# -------------------------------------------------------------------------------------------------------------- growth


def test_the_line_goes_through_the_points(load):
    fit_line = load("growth").fit_line
    assert fit_line([1, 2, 4], [5, 7, 11]) == pytest.approx((2, 3, 1))
    # By hand: slope 1/2, intercept 5/6; of the spread 2/3 the line leaves 1/6.
    assert fit_line([0, 1, 2], [1, 1, 2]) == pytest.approx((1 / 2, 5 / 6, 3 / 4))
    assert fit_line([0, 1, 2], [3, 2, 1]) == pytest.approx((-1, 3, 1))


# --------------------------------------------------------------------------------------------------------------- limit


@pytest.mark.parametrize("first_token_only", [False, True])
@pytest.mark.parametrize(("texts", "length"), [(1, 7), (3, 16)])
def test_the_arithmetic_is_that_of_pytorchs_counter(load, monkeypatch, texts, length, first_token_only):
    limit = load("limit")
    config = tiny_config(attn_implementation="eager")
    model = BertForSequenceClassification(config)
    if first_token_only:
        torchnlp.read_first_token_only(model)
        monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", by_matrix_products)
    batch = {
        "input_ids": torch.ones(texts, length, dtype=torch.long),
        "attention_mask": torch.ones(texts, length, dtype=torch.long),
        "labels": torch.zeros(texts, dtype=torch.long),
    }
    counted = limit.counted_arithmetic(model, batch)
    assert limit.training_arithmetic(config, texts, length, first_token_only) == counted


def by_matrix_products(query, key, value, attn_mask=None, dropout_p=0.0):
    """Attention in the operations that PyTorch's counter knows."""
    scores = query @ key.transpose(-1, -2)
    return scores.softmax(dim=-1) @ value


def test_the_arithmetic_by_hand(load):
    limit = load("limit")
    config = BertConfig(hidden_size=2, num_hidden_layers=1, intermediate_size=3, num_attention_heads=1, num_labels=4)
    # A layer has 4 x 2 x 2 + 2 x 2 x 3 = 28 weights; 5 tokens; attention 4 x 25 x 2; head 2 x 2 x (2 + 4).
    assert limit.forward_arithmetic(config, 1, 5) == 2 * 28 * 5 + 200 + 24
    assert limit.training_arithmetic(config, 6, 5) == 3 * 6 * 504
    # Four tokens need 2 x 2 x 2 weights for key and value of the 28, and no attention, which is 4 x 5 x 2 for a token.
    assert limit.forward_arithmetic(config, 1, 5, first_token_only=True) == 504 - 4 * (2 * 20 + 40)


def test_kinds_of_operations(load):
    kind_of = load("limit").kind_of
    wanted = {
        "aten::addmm": "matrix products",
        "aten::mm": "matrix products",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward": "attention",
        "aten::_softmax": "attention",
        "aten::_log_softmax": "other",
        "aten::_fused_adamw_": "optimizer",
        "aten::gelu_backward": "activation",
        "aten::native_layer_norm": "norms",
        "aten::copy_": "fills, copies, change of format",
        "aten::add": "other",
    }
    assert {name: kind_of(name) for name in wanted} == wanted


def test_the_best_rate_is_that_of_the_fastest_shape(load, monkeypatch):
    limit = load("limit")
    wide = ((2, 3, 4), "float32")
    monkeypatch.setattr(limit, "rates", lambda cases, rounds: {case: [1.0, 5.0, 2.0] for case in cases} | {wide: [3.0]})
    assert limit.best_rate(tiny_config(), "float32") == 3


# --------------------------------------------------------------------------------------- attention, tried, starting


SIZES_OF_TEXTS = {"vocab_size": 30_522, "max_position_embeddings": 128}


@pytest.fixture
def tiny_course_model(load, monkeypatch):
    """Lets measure.course_model make a small model in place of the course's."""

    def make(attention: str | None = None) -> BertForSequenceClassification:
        torch.manual_seed(0)
        config = tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **SIZES_OF_TEXTS)
        config._attn_implementation = attention or "sdpa"
        return BertForSequenceClassification(config)

    for name in ("measure", "attention", "tried"):
        monkeypatch.setattr(load(name), "course_model", make)
    return make


def test_both_forms_of_attention_are_timed_on_the_same_work(load, tiny_course_model):
    module, results = load("attention"), []
    for form in module.FORMS:
        layer = tiny_course_model(form).bert.encoder.layer[0].attention.self.to(torchnlp.device)
        torch.manual_seed(1)
        work = module.attention_case(layer, width=24, length=64, number_format=torch.float32, train=True)
        results.append((work(), layer.query.weight.grad.clone()))
    (context, gradient), (fused_context, fused_gradient) = results
    assert context.shape == (16, 64, 24) and gradient.any()
    torch.testing.assert_close(fused_context, context, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fused_gradient, gradient, rtol=1e-3, atol=1e-4)


def test_the_table_of_attention_says_which_form_is_faster(load, report, tiny_course_model, monkeypatch):
    module = load("attention")
    measured = load("measure").Measured

    def known_times(cases: dict, rounds: int, warm_up: int) -> dict:
        return {case: measured([0.001 if "eager" in case else 0.002] * rounds) for case in cases}

    monkeypatch.setattr(module, "in_turn", known_times)
    lines = report.Report("attention", "Attention")
    module.measure(lines, rounds=2)
    assert sum("| 16 x 64" in block for block in lines.blocks) == 2, "a table for each number format"
    assert all("2.00 (2.00 to 2.00)" in block for block in lines.blocks if "16 x 64" in block)
    forms = [line.split("|")[1].strip() for line in lines.blocks[-2].splitlines()[2:]]
    assert forms[:2] == ["eager", "sdpa"], "the first and second calls of each form on this device"
    assert lines.blocks[-1].endswith("in float32: sdpa.")


def test_what_was_tried_computes_what_the_path_computes(load, tiny_course_model, monkeypatch):
    monkeypatch.setenv("TORCHNLP_PRECISION", "float32")
    tried, batch = load("tried"), load("measure").made_up_batch(3, 9)
    path = tried.path_model()
    together = tried.one_product(tried.path_model("eager"))
    assert not hasattr(together.bert.encoder.layer[0].attention.self, "query")
    torch.testing.assert_close(together(**batch).logits, path(**batch).logits, rtol=1e-4, atol=1e-5)
    assert tried.short_residual(tried.path_model()).bert.embeddings(batch["input_ids"]).dtype == torch.bfloat16
    trainer = tried.keep_gradients(load("measure").Trainer(tried.path_model()))
    trainer.step(batch)
    trainer.optimizer.zero_grad()
    assert all(weight.grad is not None and not weight.grad.any() for weight in trainer.model.parameters())
    model = tried.path_model()
    before = model.bert.encoder.layer[0].intermediate.dense.weight.detach().to(torch.bfloat16)
    step = tried.cast_once(model)
    for _ in range(3):
        step(batch)
    after = model.bert.encoder.layer[0].intermediate.dense.weight
    assert after.dtype == torch.bfloat16 and not torch.equal(after, before)


def test_only_one_case_trains_the_whole_table(load, tiny_course_model, monkeypatch):
    monkeypatch.setenv("TORCHNLP_PRECISION", "float32")
    with contextlib.ExitStack() as blocks:
        steps = load("tried").cases([[1, 2, 3]], blocks)
        rows = {name: len(step.__self__.model.get_input_embeddings().weight) for name, step in steps.items()}
    assert rows.pop("the whole table of word vectors") == SIZES_OF_TEXTS["vocab_size"]
    assert set(rows.values()) == {5}, "padding, three pieces, and the row that counts the decay"


def test_what_was_tried_is_told_beside_the_path(load, report, tiny_course_model, monkeypatch):
    monkeypatch.setenv("TORCHNLP_DATA", "sample")
    lines = report.Report("tried", "Tried")
    load("tried").measure(lines, rounds=2)
    (table,) = lines.blocks
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows[0] == "lesson 6's path" and rows[-1] == "lesson 6's path, once more" and len(rows) == 8


def test_starts_of_two_checkouts_take_turns(load, report, monkeypatch, tmp_path, capsys):
    module = load("starting")
    monkeypatch.setattr(module, "CASES", {"nothing": ["-c", "import sys"]})
    monkeypatch.setattr(sys, "argv", ["starting.py", "--rounds", "1", "--before", str(tmp_path), "--save"])
    module.main()
    row = report.RESULTS.read_text(encoding="utf-8").splitlines()[-3]
    assert re.match(r"\| nothing +\| 0\.\d+ \(.*\) \| 0\.\d+ \(.*\) \|", row), row


def test_a_start_that_fails_is_no_measurement(load, tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        load("starting").start(tmp_path, ["-c", "import nothing_of_this_name"], tmp_path)()


# ------------------------------------------------------------------------------------------------------------- scaling


def test_the_ring_by_hand(load):
    scaling = load("scaling")
    network = scaling.Network(bandwidth=100.0, latency=0.25)
    assert scaling.ring_seconds(1, 1e9, network) == 0
    assert scaling.ring_seconds(2, 600, network) == pytest.approx(2 * 1 / 2 * 6 + 2 * 0.25)
    assert scaling.ring_seconds(4, 600, network) == pytest.approx(2 * 3 / 4 * 6 + 6 * 0.25)
    # With ever more processes, each byte is sent twice by each of them.
    assert scaling.ring_seconds(10**6, 600, scaling.Network(100.0, 0.0)) == pytest.approx(12, rel=1e-5)


def test_the_prediction_by_hand(load):
    scaling = load("scaling")
    network = scaling.Network(bandwidth=100.0, latency=0.25)
    alone = scaling.predict(8_000, 1, 10.0, 50, 600, network)
    assert alone == (800, 0)
    four = scaling.predict(8_000, 4, 10.0, 50, 600, network)
    assert four == pytest.approx((200, 50 * 10.5))
    free = scaling.predict(8_000, 4, 10.0, 50, 600, scaling.Network(float("inf"), 0.0))
    assert free == (200, 0)


def test_steps_and_networks(load):
    scaling = load("scaling")
    assert scaling.steps_of(120_000, 3, 32, 1) == 11_250
    assert scaling.steps_of(120_000, 3, 32, 64) == 3 * 59  # 58.6 in each pass
    assert scaling.network_for(8) is scaling.INSIDE
    assert scaling.network_for(64) is scaling.BETWEEN


def test_parameters_are_counted_without_memory(load):
    scaling = load("scaling")
    config = tiny_config()
    real = sum(parameter.numel() for parameter in BertForSequenceClassification(config).parameters())
    assert scaling.count_parameters(config) == real
    # bert-base has 109,482,240 without a head; four classes add a matrix and four numbers.
    assert scaling.count_parameters(BertConfig(num_labels=4)) == 109_482_240 + 4 * 768 + 4


def test_a_process_leaves_the_median_of_each_part(load, monkeypatch, tmp_path):
    scaling, measure = load("scaling"), load("measure")

    class Recorder:
        def steps(self, batches: dict) -> dict:
            return {name: lambda batch=batch: batch for name, batch in batches.items()}

    def in_turn(cases: dict, rounds: int) -> dict:
        return {name: measure.Measured(seconds=[float(work())]) for name, work in cases.items()}

    monkeypatch.setattr(scaling, "Trainer", Recorder)
    monkeypatch.setattr(scaling, "in_turn", in_turn)
    scaling.take_steps(0, [{"16": [5, 1, 2], "8": [7]}], str(tmp_path))
    assert json.loads((tmp_path / "medians").read_text()) == {"16": 2, "8": 7}


# ------------------------------------------------------------------------------------------------------------- margins

DISTANCES = [
    ("assert 0.7 > x > y", {"0.7 > x": 0.2, "x > y": 0.4}),
    ("assert x - y <= 0.5 and not broken, 'a message'", {"x - y <= 0.5": 0.1, "not broken": math.inf}),
    ("assert all(low <= 1 for low in lows)", {"all((low <= 1 for low in lows))": -0.25}),
    ("assert any(low <= 1 for low in lows)", {"any((low <= 1 for low in lows))": 0.5}),
    ("assert all(low > 9 for low in [])", {"all((low > 9 for low in []))": math.inf}),
    ("assert x > 0.9 or old", {"x > 0.9 or old": math.inf}),
    ("assert x > 0.9 or broken", {"x > 0.9 or broken": -0.4}),
    ("assert x == y", {"x == y": -math.inf}),
    ("assert tensor < 3", {"tensor < 3": 1.0}),
    (
        "for row in rows:\n    torch.testing.assert_close(row, first, rtol=0, atol=0.5)",
        {"torch.testing.assert_close(row, first)": 0.25},
    ),
    ("torch.testing.assert_close(first, first)", {"torch.testing.assert_close(first, first)": 1e-5 + 1.3e-6}),
    ("torch.testing.assert_close(*two)", {"torch.testing.assert_close(*two)": -math.inf}),
]
NUMBERS = {
    "x": 0.5,
    "y": 0.1,
    "broken": False,
    "old": True,
    "lows": [0.5, 1.25],
    "tensor": torch.tensor(2.0),
    "first": torch.ones(2),
    "rows": [torch.ones(2), torch.tensor([1.0, 1.25])],
    "two": (torch.tensor([1]), torch.tensor([2])),
    "torch": torch,
}


@pytest.mark.parametrize(("source", "wanted"), DISTANCES)
def test_each_comparison_notes_its_distance_where_it_was_asserted(load, source, wanted):
    margins = load("margins")
    code, names = margins.noting("claim", source)
    namespace = dict(NUMBERS)
    exec(margins.KERNEL_CELL, namespace)
    exec(code, namespace)
    assert names == list(namespace["_notes"])
    assert {name.removeprefix("claim: "): value for name, value in namespace["_notes"].items()} == pytest.approx(wanted)


def test_the_room_is_counted_in_spreads(load):
    Row = load("margins").Row  # noqa: N806 - a class
    row = Row("claim", "a > b", {"bfloat16": [1.0, 3.0], "float32": [5.0, 7.0]})
    assert row.spread == pytest.approx(2**0.5), "of both formats, each around its own mean"
    assert row.room == pytest.approx(2 / 2**0.5), "the mean of the format that is nearer to failing"
    assert row.cells()[2:] == ["2", "6", "1.41", "1", "1.4"]
    assert Row("claim", "a > b", {"float32": [5.0, -0.1, 5.0]}).cells()[-1] == "failed"
    assert Row("claim", "a == b", {"float32": [math.inf] * 3}).cells()[2:] == [
        "not run",
        "exact",
        "0",
        "exact",
        "no spread",
    ]
    assert Row("claim", "a == b", {"float32": [math.inf, -math.inf]}).room == -math.inf
    assert Row("claim", "a > b", {"float32": [0.2, 0.2], "bfloat16": [0.3]}).room == math.inf


def lesson_with_a_claim(path: Path, claim: str) -> None:
    cells = [
        nbformat.v4.new_code_cell("import os\nimport torch\nSEED = 0\ncount = 1 + SEED", id="setup"),
        nbformat.v4.new_code_cell(claim, id="a-claim", metadata={"tags": ["claim"]}),
        nbformat.v4.new_code_cell("print(os.environ['TORCHNLP_PRECISION'])", id="after"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def test_margins_are_taken_once_and_again_after_a_change(load, monkeypatch, tmp_path, capsys):
    margins = load("margins")
    monkeypatch.setattr(margins, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(margins, "RUNS", tmp_path / "runs")
    path = tmp_path / "lesson.ipynb"
    lesson_with_a_claim(path, "assert count > 100\nassert count < 1000")
    run = margins.Run("lesson", "float32", 107)
    for name in ("TORCHNLP_PRECISION", "OMP_NUM_THREADS"):  # which take() sets for its process
        monkeypatch.setenv(name, "")
    assert not run.path().exists()
    margins.take(run)
    notes = json.loads(run.path().read_text())
    assert notes == {"a-claim: count > 100": 8, "a-claim: count < 1000": 892}
    lesson_with_a_claim(path, "assert count > 200\nassert count < 1000")
    assert not run.path().exists(), "another text of the lesson is another run"
    margins.take(run)
    assert json.loads(run.path().read_text()) == {"a-claim: count > 200": -92, "a-claim: count < 1000": 892}


def test_a_cell_that_fails_outside_of_claims_leaves_no_run(load, monkeypatch, tmp_path):
    margins = load("margins")
    monkeypatch.setattr(margins, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(margins, "RUNS", tmp_path / "runs")
    for name in ("TORCHNLP_PRECISION", "OMP_NUM_THREADS"):  # which take() sets for its process
        monkeypatch.setenv(name, "")
    lesson_with_a_claim(tmp_path / "lesson.ipynb", "assert nothing > 1")
    notebook = nbformat.read(tmp_path / "lesson.ipynb", as_version=4)
    notebook.cells[1].metadata["tags"] = []
    nbformat.write(notebook, tmp_path / "lesson.ipynb")
    with pytest.raises(RuntimeError, match=r"a-claim: NameError"):
        margins.take(margins.Run("lesson", "float32", 107))
    assert not (tmp_path / "runs").exists()


def test_the_table_of_margins_tells_what_has_too_little_room(load, report, monkeypatch, tmp_path, capsys):
    margins = load("margins")
    monkeypatch.setattr(margins, "TABLE", tmp_path / "margins.md")
    notes = {
        margins.Run("lesson", "bfloat16", seed): {"c: a > b": value, "c: a == b": math.inf, "d: a < 9": 8 + value}
        for seed, value in ((1, 1.0), (2, 2.0))
    }
    assert margins.report_lesson("lesson", notes, save=True) == 1
    text = (tmp_path / "margins.md").read_text(encoding="utf-8")
    assert text.startswith(margins.HEADER) and "1 with less than 4 spreads of room" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| c")]
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [("c", "`a > b`", "2.1"), ("c", "`a == b`", "no spread")]


def test_the_committed_table_covers_every_claim(load):
    """What stands in the repository is of these lessons, and no claim failed in any run."""
    margins = load("margins")
    text = (BENCHMARKS / "margins.md").read_text(encoding="utf-8")
    for path in sorted((torchnlp.ROOT / "notebooks").glob("*.ipynb")):
        section = text.partition(f"<!-- margins-{path.stem} -->")[2].partition("<!-- end of")[0]
        assert "failed" not in section
        for cell in nbformat.read(path, as_version=4).cells:
            if "claim" in cell.metadata.get("tags", []):
                _, names = margins.noting(cell.id, cell.source)
                for name in names:
                    comparison = " ".join(name.partition(": ")[2].split()).replace("|", "\\|")
                    assert f"| {cell.id} " in section and f"`{comparison}`" in section, f"measure again: {name}"


# ---------------------------------------------------------------------------------------------------------- finetuning


@pytest.fixture
def finetuning(load, report, monkeypatch):
    """The benchmark with made-up rates, and ways that note when they ran, and learn as much as their share allows."""
    module, rates = load("finetuning"), itertools.cycle([1e9, 2e9])
    module.seen = []

    def way(name: str) -> Callable:
        def train(train: list, test: list, seed: int):
            module.seen.append((name, torchnlp.precision(), tuple(train), seed))
            slow = {"old loop": 8, "lesson 4": 4}.get(name, 2)
            wrong = {"lesson 6, 1/4": 0.2, "lesson 6, 1/2": 0.1}.get(name, 0.0) * (torchnlp.precision() == "float32")
            return module.Run(slow * (seed + 1), slow / 2, 0.9 - wrong - seed / 100, [5, 7])

        return train

    monkeypatch.setattr(module, "WAYS", {name: way(name) for name in module.WAYS})
    monkeypatch.setattr(module, "best_rate", lambda config, number_format: module.seen.append("rate") or next(rates))
    return module


def table(report, number: int) -> list[list[str]]:
    """The cells of one of the report's tables, without the headers."""
    found = [block for block in report.blocks if block.startswith("|")][number]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in found.splitlines()[2:]]


def test_ways_take_turns_on_the_same_items(finetuning):
    keys = [(way, "float32") for way in ("old loop", "Trainer, defaults", "lesson 6")]
    runs = finetuning.compare([(1, "a"), (2, "b"), (3, "c")], [], 2, [0, 1], keys)
    names = [entry[0] if isinstance(entry, tuple) else entry for entry in finetuning.seen]
    assert names == [
        "rate",
        *("old loop", "rate", "Trainer, defaults", "rate", "lesson 6", "rate"),
        "rate",
        *("lesson 6", "rate", "old loop", "rate"),
    ]
    items = {entry[3]: entry[2] for entry in finetuning.seen if entry != "rate"}
    assert all(entry[2] == items[entry[3]] and len(entry[2]) == 2 for entry in finetuning.seen if entry != "rate")
    assert [len(done) for done in runs.values()] == [2, 1, 2]
    assert all(run.rate == 1.5e9 for done in runs.values() for run in done), "between the two beside it"


def test_the_tables_tell_ratios_limit_and_shares(finetuning, report):
    ways = ["old loop", "lesson 4", *finetuning.SHARES]
    runs = finetuning.compare([(1, "a")], [], 1, [0, 1, 2], [(way, "float32") for way in ways])
    by_way = {way: done for (way, _), done in runs.items()}
    told = report.Report("finetuning", "Fine-tuning")
    finetuning.tell_ratios(told, by_way)
    assert table(told, 0) == [
        ["lesson 4", "old loop", "2.00 (2.00 to 2.00)", "2.00 (2.00 to 2.00)", "2.00 (2.00 to 2.00)", "+0.0000", "3"],
        ["lesson 6", "old loop", "4.00 (4.00 to 4.00)", "4.00 (4.00 to 4.00)", "4.00 (4.00 to 4.00)", "+0.0000", "3"],
        ["lesson 6", "lesson 4", "2.00 (2.00 to 2.00)", "2.00 (2.00 to 2.00)", "2.00 (2.00 to 2.00)", "+0.0000", "3"],
    ]
    finetuning.tell_limit(told, by_way, [5])
    forward, config = finetuning.forward_arithmetic, finetuning.course_config()
    first, _, last, _ = table(told, 1)
    assert first[:2] == ["lesson 4", "training"] and last[:2] == ["lesson 6", "training"]
    for row, short, seconds in ((first, False, 8), (last, True, 4)):  # seconds of the second seed
        least = 3 * sum(forward(config, 1, length, short) for length in (5, 7)) / 1.5e9
        assert float(row[-1].split()[0]) == pytest.approx(least / seconds, rel=0.01)
    finetuning.tell_shares(told, by_way)
    rows = table(told, 2)
    assert [row[0] for row in rows] == list(finetuning.SHARES)
    assert [row[-1] for row in rows] == ["-0.2000", "-0.1000", "+0.0000", "+0.0000"]
    assert "0.8900 on average, is reached by lesson 6, 3/4, in 0.250 (" in told.blocks[-1]


def test_formats_take_turns_and_are_compared(finetuning, report, monkeypatch):
    keys = [("lesson 6, 1/2", number_format) for number_format in ("float32", "bfloat16")]
    runs = finetuning.compare([(1, "a"), (2, "b")], [], 2, [0, 1], keys)
    assert [entry[1] for entry in finetuning.seen if entry != "rate"] == ["float32", "bfloat16", "bfloat16", "float32"]
    assert os.environ["TORCHNLP_PRECISION"] == "float32", "as it was"
    told = report.Report("formats", "Formats")
    finetuning.tell_runs(told, runs)
    assert [row[0] for row in table(told, 0)] == ["lesson 6, 1/2, float32", "lesson 6, 1/2, bfloat16"]
    assert table(told, 0)[1][-2] == "0.9000, 0.8900"
    finetuning.tell_formats(told, runs)
    assert "+0.1000 on average, standard deviation over the seeds 0.0000" in told.blocks[-1]
