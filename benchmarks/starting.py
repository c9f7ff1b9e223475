"""How long a kernel or process takes until it can work: imports, and scripts/finetune.py with one iteration.

    python benchmarks/starting.py [--rounds 7] [--before CHECKOUT] [--save]

Each case is a new Python, all in turn, with one thread. The runs of finetune.py train on 16 texts of the sample and
test on 4, so that nearly all of their time is the start. ``--before`` names a checkout of an earlier commit, whose
cases take turns with those of this one.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import in_turn
from report import ROOT, Report, machine, median_and_spread, options

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
SCRIPT = "scripts/finetune.py"
CASES = {  # words between Python and its last ones, and what follows the output folder
    "import torch": ["-c", "import torch"],
    "import torchnlp": ["-c", "import torchnlp"],
    "finetune.py, one process": [SCRIPT],
    "finetune.py, two by torchrun": [*TORCHRUN, SCRIPT],
    "finetune.py, two by --processes 2": [SCRIPT, "--processes=2"],
}


def start(checkout: Path, words: list[str], news: Path) -> Callable[[], None]:
    """What to time: these words after Python, in a checkout."""
    settings = {"TORCHNLP_DATA": str(news), "OMP_NUM_THREADS": "1", "TORCHNLP_DEVICE": "cpu"}
    environment = os.environ | settings | {"PYTHONPATH": str(checkout)}  # this checkout's torchnlp

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            more = [f"{folder}/run", "--iterations=1"] if SCRIPT in words else []
            command = [sys.executable, *words, *more]
            subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True)

    return work


def main() -> None:
    parser = options(__doc__, rounds=7)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="of an earlier commit, set up as this one")
    arguments = parser.parse_args()
    report = Report("starting", "Imports and starts")
    print(machine())
    checkouts = {"now": ROOT, "before": arguments.before}
    with tempfile.TemporaryDirectory() as news:
        for part, count in (("train", 16), ("test", 4)):
            rows = (ROOT / "data" / "sample" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            Path(news, f"{part}.jsonl").write_text("".join(rows[:count]), encoding="utf-8")
        cases = {
            (when, name): start(checkout.resolve(), words, Path(news))
            for (when, checkout), (name, words) in itertools.product(checkouts.items(), CASES.items())
            if checkout and (when == "now" or "--processes=2" not in words)
        }
        seconds = {case: measured.seconds for case, measured in in_turn(cases, arguments.rounds).items()}
    shown = {case: median_and_spread(times) for case, times in seconds.items()}
    report.table(
        "case | seconds | before, s", [[name, shown["now", name], shown.get(("before", name), "")] for name in CASES]
    )
    if arguments.save:
        report.save()


if __name__ == "__main__":
    main()
