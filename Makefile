# make setup   set up everything that deepfer needs, in .venv (runs by itself before the others)
# make demo    faces and expressions from a webcam or the built-in sample; ARGS="--source FILE"
# make test    set up the tests too and run them; ARGS="-k tracker"
# make test-jazzy   build with ROS 2 Jazzy beside it, in .venv-jazzy, and run the tests of deepfer_ros
# make check   formatting, lint and types
# make docs    build the documentation, docs/_build/index.html
# make bench-peers   compare the speed with that of similar programs; ARGS="--quick"
# make clean   remove all that these made
#
# PYTHON=python3.12 chooses the Python, 3.10 to 3.13. ROS_WHEELS=jazzy chooses Jazzy for any of them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-jazzy check bench-peers docs clean
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

test-jazzy: export ROS_WHEELS = jazzy
test-jazzy:
	@scripts/setup.sh --test-ros
	@. scripts/env.sh && exec python -m pytest test/deepfer_ros test/launch test/underlay $(ARGS)

check:
	@scripts/setup.sh --test
	@. scripts/env.sh && ruff format --check . && ruff check . && mypy

bench-peers: setup
	@. scripts/env.sh && exec python scripts/bench_peers.py $(ARGS)

docs: setup
	@. scripts/env.sh && python -m pip --disable-pip-version-check install -q -r requirements/docs.txt \
	  && python -m sphinx -q -W --keep-going docs docs/_build && echo "docs/_build/index.html"

clean:
	rm -rf .venv .venv-* .venv*.lock docs/_build log
