"""The settings under which the suite runs: the sample, two threads, no network; and room for slow machines."""

import os

os.environ.setdefault("TORCHNLP_DATA", "sample")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
# Kernels inherit it, and a warning that it shows would be an output that the notebook does not have.
os.environ.pop("PYTHONWARNINGS", None)

OUTPUT_SECONDS = 120.0


def pytest_collection_modifyitems(items):
    """Wait long enough for the outputs of a cell that has finished: nbval 0.11 gives up after 5 seconds."""
    for item in items:
        if hasattr(item, "output_timeout"):  # a cell of a notebook; nbval has no option for it
            item.output_timeout = OUTPUT_SECONDS
