# make setup   set up everything that deepfer needs, in .venv (runs by itself before the others)
# make demo    faces and expressions from a webcam or the built-in sample; ARGS="--source FILE"
# make test    set up the tests too and run them; ARGS="-k tracker"
# make check   formatting, lint and types
# make bench-peers   compare the speed with that of similar programs; ARGS="--quick"
# make clean   remove all that these made
#
# PYTHON=python3.12 chooses the Python, 3.10 to 3.13.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench-peers clean
export PYTHON

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

setup:
	@scripts/setup.sh

demo: setup
	@. scripts/env.sh && exec deepfer demo $(ARGS)

test:
	@scripts/setup.sh --test
	@. scripts/env.sh && exec python -m pytest $(ARGS)

check:
	@scripts/setup.sh --test
	@. scripts/env.sh && ruff format --check . && ruff check . && mypy

bench-peers: setup
	@. scripts/env.sh && exec python scripts/bench_peers.py $(ARGS)

clean:
	rm -rf .venv .venv-peers .venv.lock log
