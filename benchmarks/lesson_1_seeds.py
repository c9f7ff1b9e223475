"""Execute lesson 1 with other seeds, and print for each the numbers that its claims are about.

    python benchmarks/lesson_1_seeds.py 1 2 3

The seed decides the sentences, the first weights and the batches. Every cell runs, the claims among them. The exit status
is 1 if a claim, or any other cell, failed.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

LESSON = Path(__file__).resolve().parent.parent / "notebooks" / "1-attention.ipynb"
SEED_LINE = "SEED = 0"
NUMBERS = {
    "with, 3 dates": "with_exact[3]",
    "without, 1 date": "without_exact[1]",
    "without, 3 dates": "without_exact[3]",
    "mass / uniform": "mean_mass / mean_uniform",
    "most weight: influence": "heavy_effect",
    "most influence": "decisive_effect",
    "seconds": "time.perf_counter() - started",
}


def lesson_with(seed: int) -> nbformat.NotebookNode:
    """The lesson with another seed, and a last cell that prints the numbers."""
    notebook = nbformat.read(LESSON, as_version=4)
    (setup,) = [cell for cell in notebook.cells if cell.cell_type == "code" and SEED_LINE in cell.source]
    setup.source = setup.source.replace(SEED_LINE, f"SEED = {seed}")
    values = ", ".join(f"f'{{{expression}:.2f}}'" for expression in NUMBERS.values())
    notebook.cells.append(nbformat.v4.new_code_cell(f"print(*[{values}], sep=' | ')", id="numbers"))
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="+", type=int)
    failures = 0
    print("| seed |", " | ".join(NUMBERS), "| claims |")
    print("|---" * (len(NUMBERS) + 2) + "|")
    for seed in parser.parse_args().seeds:
        notebook = lesson_with(seed)
        client = NotebookClient(notebook, timeout=None, allow_errors=True, kernel_name="python3")
        client.resources = {"metadata": {"path": str(LESSON.parent)}}
        begin = time.perf_counter()
        try:
            client.execute()
        except CellExecutionError as error:
            print(f"seed {seed} after {time.perf_counter() - begin:.0f} s: {error}", file=sys.stderr)
        broken = [
            cell.id
            for cell in notebook.cells
            if cell.cell_type == "code" and any(output.output_type == "error" for output in cell.outputs)
        ]
        failures += bool(broken)
        numbers = "".join(output.get("text", "") for output in notebook.cells[-1].outputs).strip()
        print(f"| {seed} | {numbers} | {'broken: ' + ', '.join(broken) if broken else 'hold'} |", flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
