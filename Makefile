# Two commands: `make table` measures, `make test` checks. Both make .venv from pinned versions first.
PYTHON ?= python3
VENV ?= .venv
# what to install beside the library: native is the LLVM backend, examples the digit images,
# dev the checkers, docs the generator of the site; peers (torch, jax) are measured and tested
# against where they are installed
EXTRAS ?= native,examples,dev
comma := ,
BIN := $(VENV)/bin
WANTED := $(EXTRAS)$(if $(filter site full,$(MAKECMDGOALS)),$(if $(findstring docs,$(EXTRAS)),,$(comma)docs))
READY := $(VENV)/.ready-$(subst $(comma),-,$(WANTED))
# other versions of Python that are supported and run here
OTHERS = $(strip $(foreach version,$(filter-out $(shell $(PYTHON) -c '$(VERSION)'),3.11 3.12 3.13), \
    $(shell python$(version) -c '$(VERSION)' 2>/dev/null)))
VERSION = import sys; print("%d.%d" % sys.version_info[:2])

# where it is set, each process that is started compiles all modules again: the tests start hundreds
unexport PYTHONDONTWRITEBYTECODE

.PHONY: table test lint bench docs site wheel fuzz standard mutants full others clean

table: $(READY)
	$(BIN)/sidebyside table

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check src tests bench examples docs
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m pytest bench -q -p no:xdist --benchmark-only --benchmark-group-by=group
	$(BIN)/python -m bench.ratios
	$(BIN)/python -m bench.peers
	$(BIN)/python -m bench.builds
	$(BIN)/python -m bench.dynamic

docs: $(READY)
	$(BIN)/python docs/generate_contents.py
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/generate_stubs.py

# the documentation as a site, in build/site; a warning is a failure
site: $(READY)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env -q docs build/site

# what an installation holds: built, unpacked elsewhere, and imported from there
wheel: $(READY)
	rm -rf build/wheel build/installed
	$(BIN)/python -m pip wheel --quiet --no-deps -w build/wheel .
	$(BIN)/python -m pip install --quiet --no-deps --target build/installed build/wheel/*.whl
	cd build/installed && PYTHONPATH=. ../../$(BIN)/python -c \
	    "import dyngraph, oplibrary, sidebyside, staticgraph as sg; \
	    assert all('installed' in each.__file__ for each in (dyngraph, oplibrary, sidebyside, sg)); \
	    print(sg.function(sg.tanh)(0.0))"

fuzz: $(READY)
	$(BIN)/python -m tests.staticgraph.fuzz --seeds 0:20000

# the test suite of the array API standard on both modes and on NumPy, which takes an hour or two:
# git clone --recurse-submodules https://github.com/data-apis/array-api-tests build/array-api-tests
SUITE ?= build/array-api-tests
standard: $(READY)
	@test -d $(SUITE) || { echo "clone the suite first: docs/standard.md says how"; exit 1; }
	$(BIN)/python -m pip install --quiet -r $(SUITE)/requirements.txt
	$(BIN)/python -m tests.standard.run_suite $(SUITE)

# are the tests any good? 200 changes of the code, one at a time; a run that was ended goes on
mutants: $(READY)
	$(BIN)/python -m tests.mutation.run

# everything, what is too long for each change included
full: lint site wheel test others fuzz

others:
	@test -n "$(OTHERS)" || echo "no other Python is installed here"
	set -e; for version in $(OTHERS); do \
	    $(MAKE) VENV=.venv-$$version PYTHON=python$$version test; done

# most modules of what is installed are never imported, and those that are get compiled then
$(READY): pyproject.toml constraints.txt src/sidebyside/__init__.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	    -c constraints.txt -e '.[$(WANTED)]'
	@rm -f $(VENV)/.ready-* && touch $@

clean:
	rm -rf .venv .venv-* build src/*.egg-info
