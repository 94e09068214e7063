# The commands of the repository; `make help` lists them. What each needs is set up by install.sh, when it is not yet.

.PHONY: help demo test lint setup clean
.NOTPARALLEL:

help:
	@echo "make demo    set up what is missing, replay a robot in a house through the node; pictures in out/demo"
	@echo "make test    set up what is missing, run every test"
	@echo "make lint    set up what is missing, run the linters alone"
	@echo "make setup   set up what is missing: system packages, .venv, .ws (install.sh)"
	@echo "make clean   remove what set-up and the commands made here: .venv, .ws, out"

setup:
	@./install.sh

demo: setup
	@./demo.sh

test: setup
	@test/run.sh

lint: setup
	@test/run.sh lint

clean:
	rm -rf .venv .ws out .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
