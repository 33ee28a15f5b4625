PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo review test test-long fuzz lint docs peers clean

.venv/ready: pyproject.toml requirements.lock
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,docs]' -c requirements.lock
	touch $@

# Writes phantoms, trains five systems on them, compares them and prints the path of the report.
demo: .venv/ready runs/demo-fibres/properties.csv
	$(BIN)/veridical bench benchmarks/demo.toml --out runs/demo
	@printf '%s\n' '' 'The report: runs/demo/report.html (open it in a browser)' 'The same with a folder of yours, FOLDER:' \
	  '  $(BIN)/veridical train edm FOLDER --minutes 20 --out runs/mine' \
	  '  $(BIN)/veridical sample runs/mine -n 96 --out runs/mine-samples' \
	  '  $(BIN)/veridical audit runs/mine runs/mine-samples --html runs/mine-audit.html'

# Sections 6 and 7 of the review with truth: about twenty hours on two cores. Stop it at any moment and run it again.
review: .venv/ready
	$(BIN)/veridical bench benchmarks/review.toml --out runs/review

runs/demo-fibres/properties.csv: | .venv/ready
	rm -rf runs/demo-fibres
	$(BIN)/veridical phantom cmc -n 300 --size 256 --out runs/demo-fibres

# One process a core, with one thread each. Each begins with a part of the tests in a row, so that what the tests of a file share
# is made once, not once a process; whoever is done takes of what others have left.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test: .venv/ready
	$(PYTEST)

# All tests, those that take minutes as well.
test-long: .venv/ready
	$(PYTEST) -m ''

# Thousands of odd command lines, damaged runs, tables and benches, and files that are not what they say; a table by kind.
# About an hour on two cores. CASES=200 for fewer, SEED=1 for others; of one case: make fuzz ONLY=files:12
CASES ?= 2000
SEED ?= 0
ONLY ?=
fuzz: .venv/ready
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz.run --cases $(CASES) --seed $(SEED) $(if $(ONLY),--only $(ONLY))

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src/veridical

# The documentation in site/. Its tutorial trains for three minutes; VERIDICAL_TUTORIAL_MINUTES=0.1 for a few seconds.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@! grep -rlE '<(script|img|iframe|link)[^>]*(src|href)="https?:' site --include='*.html' # nothing comes from other hosts
	@echo site/index.html

# What benchmarks compare with, in an environment of its own (5.7 GB).
peers: .venv-peers/ready

.venv-peers/ready: benchmarks/peers.txt
	test -x .venv-peers/bin/pip || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	touch $@

clean:
	rm -rf .venv .venv-peers runs site dist
