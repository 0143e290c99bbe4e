# make demo   train a track finder on simulated events, find tracks on an unseen one, score and draw them
# make test   the whole test suite          make lint   style and types          make bench   timings beside peers
# Each target makes its own virtual environment (.venv) first; DATA=FOLDER runs the demo on a raw TrackML event.
PYTHON ?= python3
BIN := .venv/bin
DATA ?=

.PHONY: demo test lint bench pages clean

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/.ready
	$(BIN)/python -m benchmarks.demo $(if $(DATA),--data "$(DATA)")

test: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/.ready
	$(BIN)/python -m benchmarks.scorer

pages: .venv/.ready
	$(BIN)/python -m docs.api
	$(BIN)/python -m benchmarks.figures

clean:
	rm -rf .venv build dist *.egg-info
