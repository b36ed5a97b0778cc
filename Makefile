# Two commands: `make table` measures, `make test` checks. Both make .venv from pinned versions first.
PYTHON ?= python3
# what to install beside the library: native is the LLVM backend, examples the digit images,
# dev the checkers; peers (torch, jax) are measured and tested against where they are installed
EXTRAS ?= native,examples,dev
BIN := .venv/bin
READY := .venv/.ready-$(subst $(comma),-,$(EXTRAS))
comma := ,

.PHONY: table test lint bench docs fuzz clean

table: $(READY)
	$(BIN)/sidebyside table

test: $(READY)
	$(BIN)/python -m pytest -q -n 2

lint: $(READY)
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m pytest bench -q -p no:xdist --benchmark-only --benchmark-group-by=group
	$(BIN)/python -m bench.ratios
	$(BIN)/python -m bench.peers

docs: $(READY)
	$(BIN)/python docs/generate.py

fuzz: $(READY)
	$(BIN)/python -m tests.staticgraph.fuzz --programs 10000

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@rm -f .venv/.ready-* && touch $@

clean:
	rm -rf .venv build src/*.egg-info
