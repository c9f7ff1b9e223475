"""Execute the lessons from a clean kernel, one line of progress each: seconds, and whether that is within the budget.

    python benchmarks/lessons.py [--html FOLDER] [--save] [NOTEBOOK ...]

The news is that of ``TORCHNLP_DATA``; the budgets are for the sample on two CPU cores. The peak memory is that of the
lesson's kernel, and on CUDA that of its tensors, too. With ``--html`` the executed lessons are written to a folder. If
a cell of a lesson raised an error, the exit status is 1, and ``--save`` saves nothing.
"""

import json
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter
from report import Report, options, short, show_mib

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
BUDGETS = {"1": 120, "2": 120, "3": 180, "4": 90, "5": 180, "6": 150}  # seconds, by the first character of the name
# On Linux, a process starts with the ru_maxrss of the one that started it; VmHWM is its own.
MEMORY_CELL = """
import json, pathlib, sys
memory, status = {}, pathlib.Path("/proc/self/status")
if status.exists():
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    memory["peak"] = int(line.split()[1]) / 2**10
elif sys.platform == "darwin":
    import resource
    memory["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
    memory["gpu"] = sys.modules["torch"].cuda.max_memory_allocated() / 2**20
print(json.dumps(memory))
"""


def execute(notebook: nbformat.NotebookNode, folder: Path, allow_errors: bool = False) -> float:
    """Execute a notebook in a folder, which gives it its outputs; return the seconds that took."""
    client = NotebookClient(
        notebook,
        timeout=None,
        allow_errors=allow_errors,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
    )
    begin = time.perf_counter()
    client.execute()
    return time.perf_counter() - begin


def execute_and_measure(notebook: nbformat.NotebookNode, folder: Path) -> tuple[float, dict[str, float]]:
    """Execute a notebook; return the seconds, and the MiB of its kernel as ``"peak"`` and of its tensors as ``"gpu"``.

    A last cell asks the kernel for them. It is taken away again, even if a cell before it failed.
    """
    cell = nbformat.v4.new_code_cell(MEMORY_CELL, id="memory")
    notebook.cells.append(cell)
    try:
        seconds = execute(notebook, folder)
    finally:
        notebook.cells.pop()
    return seconds, json.loads("".join(output.get("text", "") for output in cell.outputs))


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("*.ipynb")))
    parser.add_argument("--html", type=Path, help="write the executed lessons to this folder")
    arguments = parser.parse_args()

    source = os.environ.get("TORCHNLP_DATA", "auto")
    on_sample = source == "sample"
    name, title = ("lessons-sample", "the sample") if on_sample else ("lessons-ag-news", "AG News")
    report = Report(name, f"The lessons on {title}")
    failures = 0
    rows = []
    print(f"news: {source}", flush=True)
    for path in arguments.notebooks:
        print(f"{path.stem:28}", end=" ", flush=True)
        notebook = nbformat.read(path, as_version=4)
        budget = BUDGETS[path.stem[0]]
        try:
            seconds, memory = execute_and_measure(notebook, path.parent)
        except (CellExecutionError, DeadKernelError) as error:
            failures += 1
            print(f"failed\n{error}", flush=True)
            continue
        peak, gpu = show_mib(memory.get("peak")), show_mib(memory["gpu"]) if "gpu" in memory else "no CUDA"
        rows.append([path.stem, f"{seconds:.0f}", budget, peak, gpu])
        within = "within" if seconds <= budget else "over"
        on_gpu = f", {gpu} MiB on the GPU" if "gpu" in memory else ""
        print(f"{seconds:5.0f} s, {within} the budget of {budget} s, peak {peak} MiB{on_gpu}", flush=True)
        if arguments.html:
            arguments.html.mkdir(parents=True, exist_ok=True)
            page, _ = HTMLExporter().from_notebook_node(notebook)
            (arguments.html / f"{path.stem}.html").write_text(page, encoding="utf-8")
    if arguments.save and failures:
        print("nothing was saved: mend what failed, then measure all of them again")
    elif arguments.save:
        for_sample = "" if on_sample else " The budgets are for the sample, on two CPU cores."
        report.say(f"News: `TORCHNLP_DATA={short(source)}`.{for_sample}")
        report.table("lesson | seconds | budget | peak MiB of the kernel | peak MiB of its tensors on CUDA", rows)
        report.save()
    print(f"{len(arguments.notebooks) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
