# Two commands: `make run` shows the lab, `make test` passes the tests. Both set up their own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What CI shows: how many branches of the engine the tests take, those in processes of their own left out.
COVER := $(if $(CI),--cov --cov-report= --cov-report=json:.coverage.json)
define SHOW_COVERAGE
import json
found = json.load(open(".coverage.json"))
for name, file in sorted(found["files"].items(), key=lambda item: item[1]["summary"]["missing_branches"])[-8:]:
    print(f"{file['summary']['missing_branches']:5} branches not taken in {name}")
print(f"{found['totals']['percent_branches_covered']:.1f} % of the branches of perturb/ taken, {found['totals']['percent_statements_covered']:.1f} % of its statements run")
endef
export SHOW_COVERAGE

.PHONY: run test test-long check docs screenshots mutants format lock train benchmark

run: $(VENV)/run.stamp
	$(BIN)/python -m perturb lab

# The browser tests by themselves, each file with a server of its own, so that waiting is not for the others' servers as well.
# They come last: where there is no browser, the end says what to do.
test: $(VENV)/dev.stamp
	$(BIN)/python -m tests.browser.chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --ignore tests/browser -n 2 $(COVER)
	$(if $(COVER),@$(BIN)/python -c "$$SHOW_COVERAGE")
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/browser -n 2 --dist loadfile

test-long: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m long

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deno lint
	$(BIN)/deno fmt --check
	$(BIN)/djlint --quiet --lint perturb --extension html.jinja

# The documentation site, strictly: a warning is an error. It needs no network.
docs: $(VENV)/dev.stamp
	$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --nitpicky docs docs/_build/html

# The images of README, documentation and gallery, from a real server in a real browser.
screenshots: $(VENV)/dev.stamp
	$(BIN)/python -m docs.labdocs.screenshots

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/deno fmt

# The app's full set at the versions that are installed here, which the tests were run with, each with the hashes of its files.
# It holds for every platform and names no server.
lock: $(VENV)/dev.stamp
	$(BIN)/python -m pip list --format freeze --exclude perturbation-lab > $(VENV)/tested.txt
	$(BIN)/uv pip compile requirements.txt --constraint $(VENV)/tested.txt --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

# Tests the tests: small changes of the code that no test notices. `make mutants PACKAGE=targets SAMPLE=60` takes minutes, all
# of them hours; AGAIN=1 tests only the survivors of the last run.
mutants: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants $(PACKAGE) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(AGAIN),--survivors)

# Makes the embedded segmenter's weights again; CAMVID is the folder of the photographs, which are not in this repository.
train: $(VENV)/dev.stamp
	$(BIN)/python -m training --camvid $(CAMVID)

# The lab against its peers. One of them is installed without its requirements; the file says why.
benchmark: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-benchmarks.txt
	$(BIN)/python -m benchmarks --limits --write docs/performance.md

$(VENV)/run.stamp: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m perturb.engine.warm_up
	touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	$(BIN)/python -m perturb.engine.warm_up
	touch $(VENV)/run.stamp $@
