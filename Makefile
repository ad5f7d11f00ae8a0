PYTHON ?= .venv/bin/python

help:  ## show this
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

build:  ## compile the core in place
	$(PYTHON) setup.py -q build_ext --inplace

debug:  ## compile a core that checks every index
	FASTBP_DEBUG=1 $(PYTHON) setup.py -q build_ext --inplace --force

test:  ## all tests but the published runs
	$(PYTHON) -m pytest

core:  ## the quick subset that judges one build of the core
	$(PYTHON) -m pytest -m core

published:  ## the author's result files (set FASTBP_DATA)
	$(PYTHON) -m pytest -m published

lint:  ## ruff, mypy, stubtest
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy.stubtest fastbp

bench:  ## compare speeds, and write the tables
	$(PYTHON) benchmarks/speed.py --write

.PHONY: help build debug test core published lint bench
