"""Execute the lessons from a clean kernel, one line of progress each: seconds, and whether that is within the budget.

    python benchmarks/lessons.py [--html FOLDER] [NOTEBOOK ...]

The news is that of ``TORCHNLP_DATA``; the budgets are for the sample on two CPU cores. With ``--html`` the executed
lessons are written to a folder. The exit status is 1 if a cell of a lesson raised an error.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
BUDGETS = {"1": 120, "2": 120, "3": 180, "4": 90, "5": 180, "6": 150}  # seconds, by the first character of the name


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("*.ipynb")))
    parser.add_argument("--html", type=Path, help="write the executed lessons to this folder")
    arguments = parser.parse_args()

    failures = 0
    print(f"news: {os.environ.get('TORCHNLP_DATA', 'auto')}", flush=True)
    for path in arguments.notebooks:
        print(f"{path.stem:28}", end=" ", flush=True)
        notebook = nbformat.read(path, as_version=4)
        try:
            seconds = execute(notebook, path.parent)
        except (CellExecutionError, DeadKernelError) as error:
            failures += 1
            print(f"failed\n{error}", flush=True)
            continue
        budget = BUDGETS[path.stem[0]]
        print(f"{seconds:5.0f} s, {'within' if seconds <= budget else 'over'} the budget of {budget} s", flush=True)
        if arguments.html:
            arguments.html.mkdir(parents=True, exist_ok=True)
            page, _ = HTMLExporter().from_notebook_node(notebook)
            (arguments.html / f"{path.stem}.html").write_text(page, encoding="utf-8")
    print(f"{len(arguments.notebooks) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
