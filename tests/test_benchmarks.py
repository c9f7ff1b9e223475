"""What the benchmarks compute, without measuring anything that depends on the machine's speed."""

import datetime
import importlib
import json
import math
import os
import socket
import sys
from argparse import ArgumentParser
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
    """The module that writes results, told to write them elsewhere."""
    module = load("report")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(sys, "argv", [str(BENCHMARKS / "growth.py"), "--save", "--steps", "2"])
    return module


def save(report: ModuleType, name: str, text: str) -> str:
    """Save a section of one paragraph and one table; return the whole file."""
    section = report.Report(name, f"About {name}")
    section.say(text)
    section.table(["batch", "seconds"], [[8, "0.5"]])
    section.save()
    return report.RESULTS.read_text(encoding="utf-8")


def tiny_config(**settings) -> BertConfig:
    sizes = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}
    return BertConfig(vocab_size=50, max_position_embeddings=32, num_labels=5, **sizes, **settings)


# ------------------------------------------------------------------------------------------------------------- report


def test_a_section_is_replaced_and_the_others_are_left_alone(report):
    for name in ("scaling", "growth", "made-up"):
        save(report, name, f"old {name}")
    by_hand = report.RESULTS.read_text(encoding="utf-8").replace("<!-- scaling -->", "By hand.\n\n<!-- scaling -->")
    report.RESULTS.write_text(by_hand, encoding="utf-8")
    text = save(report, "growth", "new")
    assert text == by_hand.replace("old growth", "new")
    assert text.count("<!-- growth -->") == text.count("<!-- end of growth -->") == 1
    assert text.index("About growth") < text.index("About scaling") < text.index("About made-up")
    assert text.startswith(report.HEADER)
    assert "| 8     | 0.5     |" in text


def test_a_section_without_end_is_not_guessed(report):
    save(report, "growth", "old")
    torn = report.RESULTS.read_text(encoding="utf-8").replace("<!-- end of growth -->", "")
    report.RESULTS.write_text(torn, encoding="utf-8")
    with pytest.raises(ValueError, match="end of growth"):
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
    words = [str(outside), f"--html={outside}", "../inner/news", str(BENCHMARKS / "loading.py"), "notebooks/1.ipynb"]
    monkeypatch.setattr(sys, "argv", [str(BENCHMARKS / "growth.py"), *words])
    monkeypatch.setenv("TORCHNLP_DATA", str(outside))
    text = save(report, "growth", "text")
    assert "growth.py news --html=news news benchmarks/loading.py notebooks/1.ipynb`" in text
    for secret in (str(BENCHMARKS.parent), str(tmp_path), "inner", str(Path.home()) + "/"):
        assert secret not in text
    assert len(socket.gethostname()) < 4 or socket.gethostname() not in text


def test_save_is_an_option(report):
    parser = ArgumentParser()
    report.add_save(parser)
    assert parser.parse_args([]).save is False
    assert parser.parse_args(["--save"]).save is True


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


@on_linux_cpu
def test_peak_memory_sees_a_tensor_that_is_gone_again(load):
    peak_memory = load("report").peak_memory
    with peak_memory() as large:
        tensor = torch.ones(200 * 2**18)  # 200 MiB
        del tensor
    with peak_memory() as small:
        tensor = torch.ones(10 * 2**18)
        del tensor
    assert 195 < large.above_mib < 230
    assert 5 < small.above_mib < 40, "an earlier peak was counted"
    assert large.mib > 195 + small.mib - 50


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
    assert "<!-- lessons-ag-news -->" in text and "TORCHNLP_DATA=news" in text
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
        ("3", "Oil up", 'Traders said "buy", and bought.'),
        ("4", "NA", "A chip, smaller than a grain of rice"),
        ("1", "", "Talks open; envoys met."),
        ("2", "Late goal", "The cup is won."),
    ]
    loading.write_rows(rows, tmp_path / "train.csv", 10)
    loading.write_rows(rows[::-1], tmp_path / "test.csv", 10)
    train, test, vocab = loading.plain_loop(tmp_path)
    found_train, found_test, found_vocab = loading.contestants()[name](tmp_path)
    assert (found_train, found_test) == (train, test)
    assert len(train) == 10 and train[1] == (4, "NA A chip, smaller than a grain of rice")
    assert found_vocab.freqs == vocab.freqs and found_vocab.itos == vocab.itos
    assert vocab.freqs["oil"] == 3 and vocab.freqs["na"] == 3


# -------------------------------------------------------------------------------------------------------------- growth


def test_the_line_goes_through_the_points(load):
    fit_line = load("growth").fit_line
    assert fit_line([1, 2, 4], [5, 7, 11]) == pytest.approx((2, 3, 1))
    # By hand: slope 1/2, intercept 5/6; of the spread 2/3 the line leaves 1/6.
    assert fit_line([0, 1, 2], [1, 1, 2]) == pytest.approx((1 / 2, 5 / 6, 3 / 4))
    assert fit_line([1, 2], [3, 3]) == pytest.approx((0, 3, 1))
    with pytest.raises(ValueError, match="two points"):
        fit_line([5, 5], [1, 2])


def test_a_step_trains_as_fine_tune_does(load):
    growth = load("growth")
    model = BertForSequenceClassification(tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    trainer = growth.Trainer(model)
    batch = growth.made_up_batch(4, 8, vocabulary=2_000)
    batch["input_ids"] %= 50
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert trainer.step(batch) > 0
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_cases_take_turns(load, monkeypatch):
    growth = load("growth")
    order = []

    class Recorder:
        def step(self, batch: dict[str, torch.Tensor]) -> float:
            order.append(tuple(batch["input_ids"].shape))
            return len(order)

    small, large = (growth.made_up_batch(1, length) for length in (4, 8))
    measured = growth.measure(Recorder(), [small, large], steps=2)
    assert order == [(1, 8), *[(1, 4), (1, 8)] * 3]
    assert [case.seconds for case in measured] == [[4, 6], [5, 7]]


# --------------------------------------------------------------------------------------------------------------- limit


@pytest.mark.parametrize(("texts", "length"), [(1, 7), (3, 16)])
def test_the_arithmetic_is_that_of_pytorchs_counter(load, texts, length):
    limit = load("limit")
    config = tiny_config(attn_implementation="eager")
    model = BertForSequenceClassification(config)
    batch = {
        "input_ids": torch.ones(texts, length, dtype=torch.long),
        "attention_mask": torch.ones(texts, length, dtype=torch.long),
        "labels": torch.zeros(texts, dtype=torch.long),
    }
    assert limit.training_arithmetic(config, texts, length) == limit.counted_arithmetic(model, batch)


def test_the_arithmetic_by_hand(load):
    limit = load("limit")
    config = BertConfig(hidden_size=2, num_hidden_layers=1, intermediate_size=3, num_attention_heads=1, num_labels=4)
    # A layer has 4 x 2 x 2 + 2 x 2 x 3 = 28 weights; 5 tokens; attention 4 x 25 x 2; head 2 x 2 x (2 + 4).
    assert limit.forward_arithmetic(config, 1, 5) == 2 * 28 * 5 + 200 + 24
    assert limit.training_arithmetic(config, 6, 5) == 3 * 6 * 504


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


def test_a_rate_counts_what_is_done(load, monkeypatch):
    limit = load("limit")
    clock = [0.0]
    monkeypatch.setattr(limit.time, "perf_counter", lambda: clock[0])

    def work() -> None:
        clock[0] += 0.03

    assert limit.per_second(work, 6.0) == pytest.approx(200)


def test_batches_are_taken_from_short_to_long(load):
    spread_out = load("limit").spread_out
    lengths = [9, 1, 5, 3, 7, 2]
    batches = [[i] for i in range(6)]
    assert spread_out(batches, lengths, 3) == [[5], [2], [0]]
    assert spread_out(batches, lengths, 9) == [[1], [5], [3], [2], [4], [0]]


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
    assert (alone.arithmetic, alone.exchange, alone.seconds) == (800, 0, 800)
    four = scaling.predict(8_000, 4, 10.0, 50, 600, network)
    assert four.seconds == pytest.approx(200 + 50 * 10.5)
    free = scaling.predict(8_000, 4, 10.0, 50, 600, scaling.Network(float("inf"), 0.0))
    assert free.seconds == 200


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


def test_seconds_of_an_iteration_are_those_of_the_process_that_runs_the_script(load, monkeypatch, tmp_path):
    scaling = load("scaling")
    asked = []

    def run(words: list[str], processes: int, **settings: str) -> float:
        asked.append((words[0], words[2:6], processes, settings))
        return 0.5

    monkeypatch.setattr(scaling, "run", run)
    assert scaling.iteration_seconds(tmp_path, 2, 8, 10) == 0.5
    options = ["--iterations", str(scaling.NEW + 10), "--batch-size", "8"]
    assert asked == [("--finetune", options, 2, {"TORCHNLP_DATA": str(tmp_path)})]


def test_an_iteration_lasts_from_one_update_to_the_next(load, monkeypatch, tmp_path, capsys):
    scaling = load("scaling")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "finetune.py").write_text(
        "import torch\n"
        "def main(words):\n"
        "    weight = torch.ones(1, requires_grad=True)\n"
        "    for _ in range(int(words[0])):\n"
        "        torch.optim.SGD([weight]).step()\n",
        encoding="utf-8",
    )
    moments = iter([3, 40, 41, 43, 47])  # the first two are new; then 1, 2 and 4 seconds
    monkeypatch.setattr(scaling, "ROOT", tmp_path)
    monkeypatch.setattr(scaling.time, "perf_counter", lambda: next(moments))
    scaling.timed_finetune(["5"])
    assert capsys.readouterr().out == "2\n"


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


# ----------------------------------------------------------------------------------------------------------- precision


def test_formats_take_turns_on_the_same_items(load, report, monkeypatch):
    precision = load("precision")
    seen = []

    def lesson_4(train, test, seed):
        seen.append((torchnlp.precision(), tuple(train), seed))
        return precision.Run(2.0, 1.0, 0.5 + 0.1 * len(seen), 7)

    monkeypatch.setattr(precision, "lesson_4", lesson_4)
    monkeypatch.setenv("TORCHNLP_PRECISION", "auto")
    runs = precision.compare([(1, "a"), (2, "b"), (3, "c")], [], 2, [0, 1])
    assert [name for name, _, _ in seen] == ["float32", "bfloat16"] * 2
    assert seen[0][1:] == seen[1][1:] and len(seen[0][1]) == 2
    assert os.environ["TORCHNLP_PRECISION"] == "auto"
    section = report.Report("precision", "Formats")
    precision.tell(section, runs)
    assert "+0.1000 on average, standard deviation over the seeds 0.0000" in section.blocks[-1]
    assert "0.7000, 0.9000" in section.blocks[0]
