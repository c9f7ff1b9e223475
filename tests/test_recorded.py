"""Recorded experiments: how they are made, kept and read, and that what is committed is what the lessons compute."""

import concurrent.futures
import functools
import importlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient.exceptions import CellExecutionError

import torchnlp

BENCHMARKS = torchnlp.ROOT / "benchmarks"
FILES = sorted(torchnlp.RECORDED_FOLDER.glob("*.json"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


# ---------------------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (10, 10, 0.7225, 1.0)],
)
def test_interval_against_published_values(right, n, low, high):
    """Newcombe 1998, table I, method 3, and the same formula by hand."""
    assert torchnlp.interval(right, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_share_and_shrinks(counts):
    right, n = counts
    low, high = torchnlp.interval(right, n)
    assert 0 <= low <= right / n + 1e-12 and right / n - 1e-12 <= high <= 1
    closer = torchnlp.interval(4 * right, 4 * n)
    assert closer[1] - closer[0] < high - low


@pytest.mark.parametrize(("right", "n"), [(1, 0), (-1, 3), (4, 3), (0.5, 3), (1, 2.0), (True, 3), ("1", 3)])
def test_interval_refuses_what_is_no_share(right, n):
    with pytest.raises(ValueError, match="give a count from 0 to n"):
        torchnlp.interval(right, n)


# ------------------------------------------------------------------------------------------------------------- reading

CONTENT = {
    "experiment": "made-up",
    "lesson": "1-attention",
    "command": "python benchmarks/record.py made-up",
    "date": "2026-11-26",
    "machine": "a machine, 2 cores",
    "versions": "torch 2.13.0",
    "code": "0123456789abcdef",
    "rows": [{"seed": 0, "size": 24, "exact": 0.5}],
}


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(torchnlp, "RECORDED_FOLDER", tmp_path)
    (tmp_path / "made-up.json").write_text(json.dumps(CONTENT), encoding="utf-8")
    return tmp_path


def test_a_record_says_where_it_comes_from(folder):
    record = torchnlp.recorded("made-up")
    assert record.rows == CONTENT["rows"] and record.lesson == "1-attention"
    for part in ("date", "command", "machine", "versions"):
        assert CONTENT[part] in str(record)
    assert "\n" not in str(record)


def test_an_unknown_record_is_named_with_the_remedy(folder):
    with pytest.raises(torchnlp.DataError, match=r"'bottle' was recorded \(there are: made-up\): .*record\.py bottle"):
        torchnlp.recorded("bottle")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({key: CONTENT[key] for key in ("rows", "date")})])
def test_a_broken_record_is_named_with_the_remedy(folder, content):
    (folder / "made-up.json").write_text(content, encoding="utf-8")
    with pytest.raises(torchnlp.DataError, match=r"made-up\.json is no recorded experiment .*record it anew"):
        torchnlp.recorded("made-up")


# ------------------------------------------------------------------------------------------------------------ recording


@pytest.fixture
def record(monkeypatch, tmp_path, folder) -> ModuleType:
    """The benchmark, with a made-up lesson of its own and its results elsewhere."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("record")
    monkeypatch.setattr(module, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(module, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", [str(BENCHMARKS / "record.py"), "squares"])
    experiment = module.Experiment("made", "squares", {"numbers": [2, 3]}, {"numbers": [1]}, seeds=(0, 1, 5))
    monkeypatch.setattr(module, "EXPERIMENTS", {"squares": experiment})
    write_lesson(tmp_path)
    return module


def threads(jobs: int, context: object) -> concurrent.futures.ThreadPoolExecutor:
    """Threads in place of processes: these see what a test has put in place of something."""
    return concurrent.futures.ThreadPoolExecutor(jobs)


def write_lesson(folder: Path, body: str = "number**2 + seed + offset") -> None:
    """A lesson whose experiment needs two of its cells; the others would fail or take long."""
    rows = f"[{{'number': number, 'square': {body}}} for seed in seeds for number in numbers]"
    function = f"def squares(numbers, seeds):\n    print('running')\n    return {rows}"
    sources = [("offset = 100", ["recorded"]), ("raise RuntimeError", []), (function, ["recorded"])]
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, tags in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "made.ipynb")


def test_an_experiment_runs_the_tagged_cells_and_no_other(record):
    rows = record.rows_of(record.EXPERIMENTS["squares"], {"numbers": [2, 3]}, seed=7)
    assert rows == [{"seed": 7, "number": 2, "square": 111}, {"seed": 7, "number": 3, "square": 116}]


def test_what_was_kept_is_not_computed_again_until_the_code_changes(record, tmp_path):
    record.take("squares", 5, {"numbers": [2, 3]}, "sample")
    (kept,) = record.RUNS.iterdir()
    kept.write_text("{}", encoding="utf-8")
    record.take("squares", 5, {"numbers": [2, 3]}, "sample")
    assert kept.read_text(encoding="utf-8") == "{}"
    write_lesson(tmp_path, body="0")
    record.take("squares", 5, {"numbers": [2, 3]}, "sample")
    assert len(list(record.RUNS.iterdir())) == 2


def test_a_record_is_written_whole_and_read_back(record, tmp_path):
    for seed in (0, 1, 5):
        record.take("squares", seed, {"numbers": [2, 3]}, "sample")
    path = record.write("squares", "python benchmarks/record.py squares")
    read = torchnlp.recorded("squares")
    assert [row["seed"] for row in read.rows] == [0, 0, 1, 1, 5, 5] and path.parent == tmp_path
    assert json.loads(path.read_text(encoding="utf-8"))["code"] == record.code_hash(record.EXPERIMENTS["squares"])


def test_a_record_of_two_machines_names_both(record, monkeypatch):
    for seed, words in ((0, "a small one"), (1, "a large one"), (5, "a small one")):
        monkeypatch.setattr(record, "machine", lambda words=words: words)
        record.take("squares", seed, {"numbers": [2, 3]}, "sample")
    record.write("squares", "python benchmarks/record.py squares")
    assert torchnlp.recorded("squares").machine == "a large one and a small one"


def test_runs_apart_give_the_rows_of_one_run(record, monkeypatch):
    together = [
        row for seed in (0, 1, 5) for row in record.rows_of(record.EXPERIMENTS["squares"], {"numbers": [2, 3]}, seed)
    ]
    apart = replace(record.EXPERIMENTS["squares"], apart="numbers")
    monkeypatch.setattr(record, "EXPERIMENTS", {"squares": apart})
    monkeypatch.setattr(sys, "argv", ["record.py", "squares", "--jobs", "1"])
    monkeypatch.setattr(record.concurrent.futures, "ProcessPoolExecutor", threads)
    assert record.main() == 0
    assert torchnlp.recorded("squares").rows == together and len(list(record.RUNS.iterdir())) == 6


def test_the_hash_sees_numbers_and_not_layout(record, tmp_path):
    experiment = record.EXPERIMENTS["squares"]
    before = record.code_hash(experiment)
    write_lesson(tmp_path, body="(number ** 2 + seed + offset)  ")
    assert record.code_hash(experiment) == before
    write_lesson(tmp_path, body="number**3 + seed + offset")
    assert record.code_hash(experiment) != before


def test_the_hash_does_not_see_where_a_cell_ends(record, tmp_path):
    experiment = record.EXPERIMENTS["squares"]
    before = record.code_hash(experiment)
    notebook = nbformat.read(tmp_path / "made.ipynb", as_version=4)
    first, *others = [cell for cell in notebook.cells if "recorded" in cell.metadata.get("tags", [])]
    first.source = "\n".join([first.source, *(cell.source for cell in others)])
    notebook.cells = [first]
    nbformat.write(notebook, tmp_path / "made.ipynb")
    assert len(others) and record.code_hash(experiment) == before


def test_cells_below_the_function_do_not_count(record, tmp_path):
    experiment = record.EXPERIMENTS["squares"]
    before = record.code_hash(experiment)
    notebook = nbformat.read(tmp_path / "made.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("raise RuntimeError", metadata={"tags": ["recorded"]}))
    nbformat.write(notebook, tmp_path / "made.ipynb")
    assert record.code_hash(experiment) == before
    assert record.rows_of(experiment, {"numbers": [2]}, seed=0)
    with pytest.raises(ValueError, match="defines cubes"):
        record.code_hash(replace(experiment, function="cubes"))


def test_a_failing_experiment_writes_nothing(record, tmp_path):
    write_lesson(tmp_path, body="1 // 0")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        record.take("squares", 0, {"numbers": [2, 3]}, "sample")
    assert not record.RUNS.exists()


def test_rows_must_be_dicts(record, tmp_path):
    cell = nbformat.v4.new_code_cell("def squares(numbers, seeds): return [1]", metadata={"tags": ["recorded"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "made.ipynb")
    with pytest.raises(TypeError, match="should return a list of dicts"):
        record.rows_of(record.EXPERIMENTS["squares"], {"numbers": [1]}, seed=0)


def test_an_unknown_experiment_is_refused(record, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["record.py", "cubes"])
    with pytest.raises(SystemExit):
        record.main()
    assert "there is no experiment 'cubes': choose from squares" in capsys.readouterr().err


def test_what_measures_a_gpu_is_left_out_without_one(record, monkeypatch, capsys):
    squares = replace(record.EXPERIMENTS["squares"], seeds=(0,))
    monkeypatch.setattr(record, "EXPERIMENTS", {"squares": squares, "cubes": replace(squares, on_gpu=True)})
    monkeypatch.setattr(record.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(record.concurrent.futures, "ProcessPoolExecutor", threads)
    monkeypatch.setattr(sys, "argv", ["record.py", "--jobs", "1"])
    assert record.main() == 0
    assert "squares" in capsys.readouterr().out and not (torchnlp.RECORDED_FOLDER / "cubes.json").exists()
    monkeypatch.setattr(sys, "argv", ["record.py", "cubes"])
    with pytest.raises(SystemExit):
        record.main()
    assert "cubes measures a CUDA GPU, and PyTorch finds none" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------- what is committed


@pytest.fixture
def true_record(monkeypatch) -> ModuleType:
    """The benchmark as it is."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("record")


def test_each_experiment_has_its_file_and_each_file_its_experiment(true_record):
    assert {path.stem for path in FILES} == set(true_record.EXPERIMENTS)


@every_file
def test_a_committed_record_is_of_the_lesson_as_it_is(path, true_record):
    content = json.loads(path.read_text(encoding="utf-8"))
    experiment = true_record.EXPERIMENTS[path.stem]
    assert content["lesson"] == experiment.lesson
    assert content["code"] == true_record.code_hash(experiment), f"record it anew: record.py {path.stem}"
    assert {row["seed"] for row in content["rows"]} == set(experiment.seeds)
    assert len(experiment.seeds) >= 3 or experiment.few_seeds
    assert path.stem in content["command"] and re.fullmatch(r"\d{4}-\d\d-\d\d", content["date"])


@every_file
def test_a_lesson_shows_its_record(path):
    lesson = torchnlp.recorded(path.stem).lesson
    notebook = nbformat.read(torchnlp.ROOT / "notebooks" / f"{lesson}.ipynb", as_version=4)
    assert any(f'torchnlp.recorded("{path.stem}")' in cell.source for cell in notebook.cells)


@functools.cache  # some experiments differ in their true parameters alone
def rows_with_small_parameters(record: ModuleType, lesson: str, function: str, small: str) -> list[dict]:
    experiment = record.Experiment(lesson, function, {}, json.loads(small))
    return record.rows_of(experiment, experiment.small, seed=11)


@every_file
def test_an_experiment_still_runs(path, true_record):
    """With parameters for which it takes seconds; the columns are those of the record."""
    experiment = true_record.EXPERIMENTS[path.stem]
    rows = rows_with_small_parameters(true_record, experiment.lesson, experiment.function, json.dumps(experiment.small))
    assert rows and rows[0].keys() == torchnlp.recorded(path.stem).rows[0].keys()
