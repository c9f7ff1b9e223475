"""The settings under which the suite runs: the sample, two threads, no network."""

import os

os.environ.setdefault("TORCHNLP_DATA", "sample")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
