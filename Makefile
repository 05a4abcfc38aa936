# yikatong 一卡通. Logic lies in tools/; this file only names it. Start with `make` or `make help`.

PYTHON_VENV = .venv/bin/python
YKT = .venv/bin/ykt

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: system packages, .venv, MicroPython (as root on Debian 12)
	@sh tools/bootstrap/setup.sh

demo: setup ## the whole system on this machine: taps on real parts, cleared to the fen
	@$(YKT) demo

setup-board: # what `make setup` does, and MicroPython for the emulated ARM board
	@sh tools/bootstrap/setup.sh board

test: setup-board ## lint and every test, one verdict at the end
	@$(PYTHON_VENV) -m tools.testrun

lint: setup ## ruff, import and dialect guard, strict types, mpy-cross
	@$(PYTHON_VENV) -m tools.lint

bench: setup-board ## figures as ratios against a named reference
	@$(YKT) bench

soak: ## the long checks: power cuts in pairs, bit flips, coverage in MicroPython, 10 000 network schedules, a storm, 10 million TACs
	@sh tools/bootstrap/setup.sh settrace board
	@$(PYTHON_VENV) -m simulator.rig.cuts
	@$(PYTHON_VENV) -m simulator.rig.enrol_cuts
	@$(PYTHON_VENV) -m simulator.rig.flips
	@YKT_SOAK=1 $(PYTHON_VENV) -m pytest -q tools/tests/test_interpreters.py -k arm_board
	@$(PYTHON_VENV) -m tools.coverage_mp
	@$(YKT) firmware build --arch x64
	@$(PYTHON_VENV) -m simulator.rig.schedules --schedules 10000
	@$(PYTHON_VENV) -m simulator.rig.storm
	@$(PYTHON_VENV) -m tools.tac_soak

build: setup ## compile the firmware for every processor into build/firmware
	@$(YKT) firmware build

lock: ## resolve pyproject.toml into requirements.lock
	@sh tools/bootstrap/lock.sh

clean: ## remove everything that make made in this folder
	rm -rf build .venv

.PHONY: help setup setup-board demo test lint bench soak build lock clean
