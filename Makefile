PYTHON ?= .venv/bin/python

help:  ## show this
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

build:  ## compile the core in place
	$(PYTHON) setup.py -q build_ext --inplace --force

debug:  ## compile a slow core for debuggers; 'make build' goes back
	rm -f fastbp/*.so
	FASTBP_DEBUG=1 $(PYTHON) setup.py -q build_ext --inplace --force

test:  ## all tests but the published runs; some seven minutes
	$(PYTHON) -m pytest

thorough:  ## the tests that take longer, or quote sources
	$(PYTHON) -m pytest -m thorough

core:  ## the quick subset that judges one build of the core; half a minute
	$(PYTHON) -m pytest -m core

levels:  ## the quick subset under each SIMD level of this processor
	for level in $$($(PYTHON) -c "from fastbp._dispatch import SUPPORTED; print(*SUPPORTED)"); do \
	    FASTBP_LEVEL=$$level $(PYTHON) -m pytest -q -m core || exit 1; done

published:  ## the author's result files (set FASTBP_DATA)
	$(PYTHON) -m pytest -m published

checks:  ## sanitizers, valgrind, faults, fuzz, soak, seeded bugs: all of tools/check.py
	$(PYTHON) tools/check.py all

lint:  ## ruff, mypy, stubtest
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/test_types.py
	$(PYTHON) -m mypy.stubtest fastbp --mypy-config-file pyproject.toml --allowlist tests/stubtest.txt

bench:  ## compare speeds, and write all tables; close other programs first
	for program in speed adam steps book growth chapter2 gradients estimators learning; do \
	    $(PYTHON) benchmarks/$$program.py --write || exit 1; done

.PHONY: help build debug test thorough core levels published checks lint bench
