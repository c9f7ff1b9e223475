"""Execute a lesson with other seeds, and print for each the numbers that its claims are about.

    python benchmarks/seeds.py 1-attention 1 2 3

The seed decides the first weights, the batches, and data that is made up. Every cell runs, the claims among them. The
exit status is 1 if a claim, or any other cell, failed.
"""

import argparse
import sys

import nbformat
from lessons import NOTEBOOKS, execute

SEED_LINE = "SEED = 0"
NUMBERS = {
    "1-attention": {
        "with, 3 dates": "with_exact[3]",
        "with, 4 dates": "with_exact[4]",
        "without, 1 date": "without_exact[1]",
        "without, 3 dates": "without_exact[3]",
        "mass / uniform, the least of year, month, day": "min(mass / baseline for mass, baseline in masses.values())",
        "most weight: influence": "heavy_effect",
        "most influence": "decisive_effect",
    },
    "2-transformers": {
        "order: no positions": "order['no positions']",
        "sinusoidal": "order['sinusoidal']",
        "learned": "order['learned']",
        "dates": "dates_exact",
        "bag": "bag_accuracy",
        "LSTM": "lstm_accuracy",
        "transformer": "transformer_accuracy",
    },
    "3-bert": {
        "before": "accuracy_before",
        "frequency alone": "accuracy_frequency",
        "after": "accuracy_after",
        "loss after": "loss_after",
        "of these at [MASK]": "shown_accuracy['[MASK]']",
        "at kept pieces": "shown_accuracy['kept']",
        "[MASK], 50 most frequent": "kind_accuracy['50 most frequent']",
        "[MASK], other first pieces": "kind_accuracy['other first pieces']",
    },
    "5-beyond-classification": {
        "names: always O, by token": "always_o",
        "names: untrained F1": "untrained_names_f1",
        "names: F1": "names_f1",
        "answers: nearest sentence F1": "baseline_f1",
        "answers: untrained F1": "untrained_answer_f1",
        "answers: EM": "answer_scores['fine-tuned']['EM']",
        "answers: F1": "answer_f1",
    },
    "6-faster-and-bigger": {
        "old loop": "accuracies['old loop']",
        "larger rate": "accuracies['larger rate, up and down']",
        "batches of 16": "accuracies['batches of 16']",
        "half frozen": "accuracies['lower half frozen']",
    },
}


def with_seed(notebook: nbformat.NotebookNode, seed: int) -> nbformat.NotebookNode:
    """The same lesson, with another seed in its set-up cell."""
    (setup,) = [cell for cell in notebook.cells if cell.cell_type == "code" and SEED_LINE in cell.source]
    setup.source = setup.source.replace(SEED_LINE, f"SEED = {seed}")
    return notebook


def lesson_with(lesson: str, seed: int) -> nbformat.NotebookNode:
    """The lesson with another seed, and a last cell that prints the numbers."""
    notebook = with_seed(nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4), seed)
    values = ", ".join(f'f"{{{expression}:.2f}}"' for expression in NUMBERS[lesson].values())
    notebook.cells.append(nbformat.v4.new_code_cell(f"print(*[{values}], sep=' | ')", id="numbers"))
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", choices=NUMBERS)
    parser.add_argument("seeds", nargs="+", type=int)
    arguments = parser.parse_args()
    names = NUMBERS[arguments.lesson]
    failures = 0
    print("| seed |", " | ".join(names), "| claims |")
    print("|---" * (len(names) + 2) + "|", flush=True)
    for seed in arguments.seeds:
        notebook = lesson_with(arguments.lesson, seed)
        execute(notebook, NOTEBOOKS, allow_errors=True)
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
