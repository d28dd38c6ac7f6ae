# make demo: the whole workflow on this machine, without a GPU. make test: the whole suite.
# Both make a virtual environment first; PYTHON names the interpreter (3.11).
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= 2

.PHONY: demo test test-slurm chaos benchmark-data benchmark-overhead install lock format lint clean-demo

install: $(STAMP)

# torch first: what depends on it must find it there, or a larger build is fetched.
$(STAMP): requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml
	@echo
	@cat results/demo/logs/summarize_run.log
	@echo
	@echo "Worth opening:"
	@echo "  results/demo/summary/report.html                  tables and figures on one page"
	@echo "  results/demo/summary/skill.png                    skill against no-change"
	@echo "  results/demo/banks/prompts/test.jsonl             what the models were asked"
	@echo "  results/demo/banks/completions/grpo.jsonl         what they answered"
	@echo "  results/demo/banks/adapters/grpo/manifest.json    how an adapter was made"

test: $(STAMP)
	$(BIN)/python -m pytest

# The cluster command on a real SLURM that it brings up; part of `make test` where the machine is Debian and root.
test-slurm: $(STAMP)
	$(BIN)/python -m pytest tests/slurm -s

# Kill a run at random moments, KILLS times, and compare with an undisturbed one; a quarter of a minute each.
KILLS ?= 50
SEED ?= 1
chaos: $(STAMP)
	$(BIN)/python -m tests.chaos --kills $(KILLS) --seed $(SEED)

# Wall time and memory of the data stages beside peers; ROWS in millions, "0.2 5 20 100" for the largest.
ROWS ?= 0.2 5 20
benchmark-data: $(STAMP)
	$(BIN)/python -m pip install --quiet -r tests/benchmarks/requirements.txt
	$(BIN)/python tests/benchmarks/data_stages.py --rows $(ROWS) --shuffled

# Jobs, process starts and seconds of overhead in the demo.
benchmark-overhead: $(STAMP)
	$(BIN)/python -m tests.benchmarks.overhead

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile rules

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules

# Versions as installed now; local build tags (torch's +cpu) are cut, so that every machine finds them.
lock:
	$(BIN)/python -m pip freeze --exclude pip --exclude setuptools | sed 's/+cpu$$//' > requirements.lock

clean-demo:
	rm -rf results/demo
