# make demo: the main job on built-in chest phantoms.   make test: every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install schemas demo test slow lint format bench bench-statistics bench-training bench-policies mutants clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/medgain study run recipes/chest-phantom-demo.yaml --out demo --resume

schemas: $(STAMP)
	$(BIN)/python tests/record_schemas.py

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not slow"

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-statistics bench-training bench-policies

bench-statistics: $(STAMP)
	$(BIN)/python benchmarks/statistics_simulation.py

bench-training: $(STAMP)
	$(BIN)/python benchmarks/dcgan_training.py
	$(BIN)/python benchmarks/classifier_step.py

# the peers (Keras, kornia, Albumentations) are only needed here; a missing one is named, not an error
bench-policies: $(STAMP)
	$(BIN)/python benchmarks/policy_throughput.py

# small faults in what a verdict rests on: does a test notice? An hour or two; MUTANTS="--share 0.25" samples
mutants: $(STAMP)
	$(BIN)/python benchmarks/mutation_score.py $(MUTANTS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache mutants
