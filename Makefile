# The two commands of the README: `make quickstart` and `make test`. Both need Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3
export NO_ALBUMENTATIONS_UPDATE ?= 1

.PHONY: help quickstart test lint format clean

help:
	@echo "make quickstart  train, evaluate, export and measure on a generated phantom (5 minutes)"
	@echo "make test        style, types and tests"
	@echo "make format      rewrite the code in the house style"
	@echo "make clean       remove the environment and what quickstart made"

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than Python 3.11; set PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[train,export,dev]"
	@touch $@

PHANTOM := quickstart/phantom_hc18
RUN := runs/quickstart

quickstart: .venv/ready
	$(BIN)/python -m tools.phantom hc18 --out $(PHANTOM) --count 240 --seed 7
	rm -rf $(RUN)                  # an earlier quickstart; train never overwrites a run by itself
	$(BIN)/python -m fetal_tf.train --config configs/quickstart.yaml
	$(BIN)/python -m fetal_tf.evaluate $(RUN) --split test
	$(BIN)/python -m export $(RUN)
	$(BIN)/python -m fetal_tf.evaluate $(RUN)/bundle --split test
	$(BIN)/python -m fetal_tf.predict $(RUN)/bundle $(PHANTOM)/training_set/000_HC.png \
	  --mm-per-pixel "$$(sed -n 's/^000_HC.png,\([^,]*\),.*/\1/p' $(PHANTOM)/training_set_pixel_size_and_HC.csv)" \
	  --out quickstart/predictions --overwrite
	@echo
	@echo "Made (from phantom images, which say nothing about patients):"
	@echo "  the run            $(RUN)"
	@echo "  its report         $(RUN)/evaluation/test-keras/report.html"
	@echo "  the bundle         $(RUN)/bundle/MODEL_CARD.md"
	@echo "  a measured head    quickstart/predictions/"
	@echo "  learning curves    $(BIN)/tensorboard --logdir runs"

test: .venv/ready lint
	$(BIN)/python -m pytest -n 2 --dist loadfile   # a file's fixtures are made once

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv quickstart runs/quickstart
