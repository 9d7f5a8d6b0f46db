# What a person calls; `make` alone lists it. Everything is set up on first use, and once.

SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

WAREHOUSE ?= $(or $(NIGHTREEL_WAREHOUSE),warehouse)
# For these alone: the tests have warehouses of their own.
nightly airflow: export NIGHTREEL_WAREHOUSE := $(WAREHOUSE)
# Read by conf/airflow/run_nightly.py; an empty one is as in conf.
export DATASET SOURCE DS PROFILE RANKS TOP_K USER_ID

# pip's warnings are for its maintainers; its errors are shown.
PIP_INSTALL := -m pip install -q -q --no-input --disable-pip-version-check
# Files whose digests stand in a lock, and what is built of them is built with what another lock has.
LOCKED := $(PIP_INSTALL) --require-hashes --no-build-isolation

.PHONY: help
help:
	@echo "make nightly       run the nightly pipeline once and show its result"
	@echo "                     DATASET=ml-1m       a release of MovieLens (default: a built-in sample),"
	@echo "                                         or a name for ratings of your own"
	@echo "                     SOURCE=ratings.csv  a zip, a file, a folder or a URL, not the download"
	@echo "                     WAREHOUSE=path      where everything is written (default: ./warehouse)"
	@echo "                     DS=2026-01-31 PROFILE=james-le RANKS=2 TOP_K=50"
	@echo "                     USER_ID=2000        the user whose recommendations are shown"
	@echo "make airflow       start Airflow: schedule, web interface, REST API"
	@echo "make test          the tests and checks"
	@echo "make lint          the checks alone: ruff, mypy, import-linter"
	@echo "make audit         known vulnerabilities of the pinned packages"
	@echo "make benchmark     speed and memory beside peers, into docs/performance.md (an hour)"
	@echo "                     ONLY=\"etl kernel\"  some of it: see tests/benchmarks/performance.py"
	@echo "make text          install what start_from: text needs (docs/training.md)"
	@echo "make environments  set up .venv and .venv-airflow (done by the others when needed)"
	@echo "make locks         write the digests of all packages anew, after a change of requirements"
	@echo "make clean         remove the environments, Airflow's database and caches; the warehouse stays"

.PHONY: nightly
nightly: environments
	@conf/airflow/prepare_database.sh
	@source conf/airflow/environment.sh && .venv-airflow/bin/python conf/airflow/run_nightly.py
	@.venv/bin/nightreel summary --warehouse "$$NIGHTREEL_WAREHOUSE" $${USER_ID:+--user "$$USER_ID"}

.PHONY: airflow
airflow: environments
	@conf/airflow/prepare_database.sh
	@source conf/airflow/environment.sh && exec .venv-airflow/bin/python conf/airflow/standalone.py

# The tests start Java dozens of times for seconds each, which its optimising compiler only delays.
# Whole files are dealt out, whole runs first: these take longest.
.PHONY: test
test: export SPARK_SUBMIT_OPTS = -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
test: environments lint
	@.venv-airflow/bin/pytest tests/dags
	@.venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: lint
lint: environments
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo --no-cache

# Without what they say they need: conf/requirements-text.txt tells why.
.PHONY: text
text: environments
	@.venv/bin/python $(PIP_INSTALL) --require-hashes --no-deps -r conf/locks/text.lock

# An environment is ready when its stamp is newer than what it was made from.
.PHONY: environments
environments: .venv/.ready .venv/.installed .venv-airflow/.ready .venv/class-data/classes.jsa

.venv/.ready: conf/locks/build.lock conf/locks/jobs.lock conf/locks/torch.lock \
        conf/install_torch.sh conf/horovod/build_wheel.sh conf/horovod/source.txt \
        $(wildcard conf/horovod/patches/*)
	@python="$$(conf/check_prerequisites.sh)" && \
	echo "Setting up .venv, the jobs environment (2.6 GB, some minutes):" && \
	{ .venv/bin/python -c '' 2>/dev/null || "$$python" -m venv --clear .venv; } && \
	echo "  Spark, petastorm, MLflow, Delta Lake and the rest ..." && \
	.venv/bin/python $(PIP_INSTALL) --require-hashes -r conf/locks/build.lock && \
	.venv/bin/python $(LOCKED) -r conf/locks/jobs.lock && \
	echo "  PyTorch ..." && \
	conf/install_torch.sh .venv/bin/python && \
	wheel="$$(conf/horovod/build_wheel.sh .venv/bin/python 2> >(sed 's/^/  /' >&2))" && \
	.venv/bin/python $(PIP_INSTALL) --no-deps --force-reinstall "$$wheel" && \
	.venv/bin/python -c 'import horovod.torch' && \
	touch $@

# Nightreel itself, with the loops of its training steps.
.venv/.installed: .venv/.ready setup.py model/training/kernels.c
	@CC="$${CC:-cc}" .venv/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation -e . && \
	.venv/bin/python -c 'from model.training.kernels import library; library()' && \
	touch $@

# What Java loads for an etl, as an archive: Spark starts in half the time.
.venv/class-data/classes.jsa: .venv/.ready conf/spark/archive_classes.sh
	@echo "  An archive of Spark's classes, from an etl of the sample ..." && \
	conf/spark/archive_classes.sh .venv/class-data

.venv-airflow/.ready: conf/locks/build.lock conf/locks/airflow.lock
	@python="$$(conf/check_prerequisites.sh)" && \
	echo "Setting up .venv-airflow, the Airflow environment (0.7 GB) ..." && \
	{ .venv-airflow/bin/python -c '' 2>/dev/null || "$$python" -m venv --clear .venv-airflow; } && \
	.venv-airflow/bin/python $(PIP_INSTALL) --require-hashes -r conf/locks/build.lock && \
	.venv-airflow/bin/python $(LOCKED) -r conf/locks/airflow.lock && \
	touch $@

# After a change of conf/requirements-*.txt: needs PyPI.
.PHONY: locks
locks:
	@conf/locks/write.sh "$$(conf/check_prerequisites.sh)"

.PHONY: audit
audit: .venv-audit/.ready
	@.venv-audit/bin/python conf/audit.py

.venv-audit/.ready: conf/locks/audit.lock
	@python="$$(conf/check_prerequisites.sh)" && \
	{ .venv-audit/bin/python -c '' 2>/dev/null || "$$python" -m venv --clear .venv-audit; } && \
	.venv-audit/bin/python $(PIP_INSTALL) --require-hashes -r conf/locks/audit.lock && \
	touch $@

# Peers lie beside the environment of the jobs, which never sees them. The locks pin the same
# versions of what both need.
.PHONY: benchmark
benchmark: environments .peers/.ready
	@PATH="$(CURDIR)/.venv/bin:$$PATH" PYTHONPATH="$(CURDIR):$(CURDIR)/.peers" \
	    .venv/bin/python tests/benchmarks/performance.py $(ONLY)

.peers/.ready: .venv/.ready conf/locks/benchmark.lock
	@echo "Installing the peers of the benchmarks ..." && \
	rm -rf .peers && \
	.venv/bin/python $(PIP_INSTALL) --require-hashes --target .peers -r conf/locks/benchmark.lock && \
	touch $@

.PHONY: clean
clean:
	rm -rf .venv .venv-airflow .venv-audit .peers .airflow build dist *.egg-info
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache spark-warehouse metastore_db derby.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find model -name '*.so' -delete
