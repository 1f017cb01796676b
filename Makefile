# demo, test, lint, docs, bench: the five words a newcomer needs.
.DEFAULT_GOAL := demo
.PHONY: demo test test-cluster lint docs bench lock
# make demo CORES=8
CORES ?= 2
BIN := .venv/bin

# the environment: made once, and again when the pins change
.venv/ready: requirements.lock pyproject.toml
	@test -x $(BIN)/python || python3 -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# the whole pipeline on the drawn demo data
demo: .venv/ready
	$(BIN)/snakemake --cores $(CORES) --quiet rules
	@$(BIN)/python -m mmcl.report.summary demo_ikem demo_xsub

test: .venv/ready
	$(BIN)/python -m pytest -m "not slow and not cluster" -n $(CORES) --dist loadfile --no-loadscope-reorder

# the tiny workflow on a Slurm of one node that runs for as long (docs/cluster.md)
test-cluster: .venv/ready
	$(BIN)/python -m pytest -m cluster tests/cluster

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

# the documentation as a site that needs no network: site/index.html. --quiet would hide what --strict counts
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "site/index.html"

# for maintainers: resolve the pins anew, into both forms
lock:
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock
	@{ sed '/^      -/,$$d' environment.yml; \
	   sed -n 's/^\([a-z0-9][^ ]*==.*[^ ]\) *\\$$/      - "\1"/p' requirements.lock; } > environment.tmp
	@mv environment.tmp environment.yml

bench: .venv/ready
	@for script in $(filter-out benchmarks/reference_% benchmarks/interleaved.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done
