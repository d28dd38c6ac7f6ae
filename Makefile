# `make` and `make help` say what there is. What needs the virtual environment makes it first.
# PYTHON names the interpreter, TORCH_ARGS gives pip further arguments for torch, such as another index.
PYTHON ?= python3
TORCH_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= 2
CONFIG ?= config/demo.yaml

.DEFAULT_GOAL := help
.PHONY: help doctor demo rolling compare seeds grid test test-all mutants test-slurm chaos benchmark-data benchmark-evaluation benchmark-inference benchmark-rewards benchmark-overhead benchmark-sec demo-sec download-sec docs pictures install install-gpu lock settings format lint clean-demo

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22
	@echo
	@echo "Needs Python 3.11, 3.12 or 3.13 (make PYTHON=python3.12 ... names one) and git."

install: $(STAMP) ## the virtual environment .venv with the versions of requirements.lock

# The interpreter is looked at before anything is fetched. torch comes first: what depends on it must find it there, or a
# larger build is fetched.
$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python %d.%d is not supported: name a 3.11, 3.12 or 3.13, as in make PYTHON=python3.12 install" % v)'
	@echo "Fetching the packages of requirements.lock into $(VENV): about 2.3 GB on disk with torch for the CPU, 6 GB with"
	@echo "torch for CUDA. Most of the time goes into torch and what it needs. README.md says how to get the CPU build on Linux."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install $(TORCH_ARGS) $$(grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	touch $(STAMP)

# vLLM for Linux with NVIDIA GPUs; in a .venv of its own Python, because its packages go together on 3.13 alone.
install-gpu: requirements-gpu.lock ## .venv with vLLM beside the rest, for NVIDIA GPUs (Linux, Python 3.13)
	@for python in $(PYTHON) $(wildcard $(BIN)/python); do $$python -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 13) else "%s is Python %d.%d, and the packages of vLLM go together on 3.13 alone: delete $(VENV), then make PYTHON=python3.13 install-gpu" % (sys.executable, *v))' || exit 1; done
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install $(TORCH_ARGS) $$(grep '^torch==' requirements-gpu.lock)
	$(BIN)/python -m pip install -r requirements-gpu.lock
	touch $(STAMP)

# Without the virtual environment it says so, and makes none.
doctor: ## is this machine ready for a run of CONFIG? a line per check, with the remedy
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m workflow_scripts.settings.doctor --configfile $(CONFIG)

demo: $(STAMP) ## the whole workflow on this machine, without a GPU, in some minutes
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

# Another training for each of the test years, on all that came before; ARGS go to Snakemake, such as "--profile slurm".
YEARS ?= 2021 2022
ARGS ?= --cores $(CORES)
rolling: $(STAMP) ## rolling origin: train for each of YEARS anew, evaluate all together
	$(BIN)/python -m workflow_scripts.settings.roll_origins --configfile $(CONFIG) --years $(YEARS) $(ARGS)

# AGAINST names the run that the others are compared with, else the first; OUT the folder of the page.
compare: $(STAMP) ## set finished runs side by side: make compare RUNS="a b c"
	$(BIN)/python -m workflow_scripts.settings.compare_runs --runs $(RUNS) $(if $(AGAINST),--against $(AGAINST)) $(if $(OUT),--out $(OUT))

# A run of each of the seeds that CONFIG names, and the mean over them.
seeds: $(STAMP) ## train the run of CONFIG with each of its seeds
	$(BIN)/python -m workflow_scripts.settings.make_seeds --configfile $(CONFIG) $(ARGS)

# The runs of a grid, each only as far as it differs, and a page that compares them.
GRID ?= config/grids/demo_scaling.yaml
grid: $(STAMP) ## the runs of a grid file and their comparison: make grid GRID=... CONFIG=...
	$(BIN)/python -m workflow_scripts.settings.make_grid --grid $(GRID) --configfile $(CONFIG) $(ARGS)

demo-sec: $(STAMP) ## a panel from zips in the SEC's layout, which it writes itself: zips, slices, windows, datasets
	$(BIN)/python -m tests.sec_zips --folder data/raw/demo_sec
	$(BIN)/snakemake panel datasets --cores $(CORES) --configfile config/demo_sec.yaml
	@echo
	@cat results/demo_sec/sec/filings.txt results/demo_sec/sec/panel.txt results/demo_sec/summary/panel.txt

test: $(STAMP) ## unit tests, one whole tiny run, what reruns when: some minutes
	$(BIN)/python -m pytest -m "not slow" --numprocesses $(CORES) --dist loadfile

test-all: test ## every test: also faults, kills, resuming, a real SLURM, and the mutants
	$(BIN)/python -m pytest -m slow --numprocesses $(CORES) --dist loadfile
	$(BIN)/python -m tests.mutants --cores $(CORES)

mutants: $(STAMP) ## break the code in known ways: do the unit tests notice?
	$(BIN)/python -m tests.mutants --cores $(CORES)

# The cluster command on a real SLURM that it brings up; part of `make test-all` where the machine is Debian and root.
test-slurm: $(STAMP) ## the cluster tests alone, on a SLURM that they bring up
	$(BIN)/python -m pytest tests/slurm -s

# Kill a run at random moments, KILLS times, and compare with an undisturbed one; a quarter of a minute each.
KILLS ?= 50
SEED ?= 1
chaos: $(STAMP) ## kill a run at random moments and compare with an undisturbed one
	$(BIN)/python -m tests.chaos --kills $(KILLS) --seed $(SEED)

# Wall time, CPU time and memory of the data stages beside peers; ROWS in millions, "0.2 5 20 100" for the largest.
ROWS ?= 0.2 5 20
benchmark-data: $(STAMP) ## time and memory of the data stages beside peers
	$(BIN)/python -m pip install --quiet -r tests/benchmarks/requirements.txt
	$(BIN)/python -m tests.benchmarks.data_stages --rows $(ROWS) --shuffled

# CPU seconds, wall time and memory of the evaluation of one firm type; WINDOWS may name several sizes.
WINDOWS ?= 100000
benchmark-evaluation: $(STAMP) ## time and memory of the evaluation at a hundred thousand windows
	$(BIN)/python -m tests.benchmarks.evaluation --windows $(WINDOWS)

# How often the comparisons reject what is true, and find what is there; DATASET may name a run's datasets/test.jsonl.
DATASET ?=
benchmark-inference: $(STAMP) ## size and power of the comparisons, simulated
	$(BIN)/python -m tests.benchmarks.inference $(if $(DATASET),--dataset $(DATASET))

# Dead groups, order and alignment of the rewards on the GRPO windows of a panel, a folder of slices or the demo's.
PANEL ?= simulated
TARGET ?= holding_delta
benchmark-rewards: $(STAMP) ## what the rewards teach, on the windows of a panel
	$(BIN)/python -m tests.benchmarks.rewards --panel $(PANEL) --target $(TARGET)

# From generated Form 13F data sets to a panel; SEC_ROWS rows in each of SEC_ZIPS zips.
SEC_ROWS ?= 4000000
SEC_ZIPS ?= 1
benchmark-sec: $(STAMP) ## time and memory from Form 13F data sets to a panel
	$(BIN)/python -m tests.benchmarks.sec --rows $(SEC_ROWS) --zips $(SEC_ZIPS)

# From the SEC, with SEC_USER_AGENT="name address" in the environment, as the SEC asks; gigabytes for all years.
FOLDER ?= data/raw/sec
SINCE ?= 2013-04-01
download-sec: $(STAMP) ## the SEC's files for panel: sec; it goes on where it broke off
	$(BIN)/python -m workflow_scripts.plumbing.sec_files --folder $(FOLDER) --since $(SINCE)

# Jobs, process starts and seconds of overhead in the demo.
benchmark-overhead: $(STAMP) ## seconds in which no stage computes
	$(BIN)/python -m tests.benchmarks.overhead

# Sphinx in an environment of its own; a warning, such as a link that leads nowhere, ends the build.
DOCS := .venv-docs
docs: ## these pages as a site: site/index.html
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet -r docs/site/requirements.txt
	$(DOCS)/bin/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs/site --doctree-dir $(DOCS)/doctrees . site
	@echo "Open site/index.html"

pictures: demo ## the README's pictures, prompt and answer, from the rules and from the demo
	$(BIN)/python -m docs.site.pictures

format: $(STAMP) ## format code and rules
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile rules

settings: $(STAMP) ## write config/config.schema.yaml and the table of settings anew from the code
	$(BIN)/python -m workflow_scripts.settings.pages

lint: $(STAMP) ## check formatting, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy

# Versions as installed now; local build tags (torch's +cpu) are cut, so that every machine finds them.
lock: ## pin the versions that are installed now
	$(BIN)/python -m pip freeze --exclude pip --exclude setuptools | sed 's/+cpu$$//' > requirements.lock

clean-demo: ## delete the demo's results
	rm -rf results/demo
