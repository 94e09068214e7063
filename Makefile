# The commands of the repository; `make help` lists them. What each needs is set up by install.sh, when it is not yet.

SHELL := /bin/bash

# A house that no training has seen, and how long the robot drives through it.
demo_house := seed=10000000 seconds=32

free_port := python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'

.PHONY: help demo test lint setup clean python-3.10
.NOTPARALLEL:

help:
	@echo "make demo    set up what is missing, drive a robot through a house, by a bag and live; pictures in out/demo"
	@echo "make test    set up what is missing, run every test"
	@echo "make lint    set up what is missing, run the linters alone"
	@echo "make setup   set up what is missing: system packages, .venv, .ws (install.sh)"
	@echo "make clean   remove what set-up and the commands made here: .venv, .ws, out"

setup:
	@./install.sh

# On a master of its own, so that a roscore that runs already is left alone. roslaunch's status says nothing of its nodes:
# the reporters write report.json and drive.json if all went well.
demo: setup python-3.10
	@rm -rf out/demo && mkdir -p out/demo
	@source ./env.sh && export ROS_HOME=$(CURDIR)/out/demo/ros ROS_HOSTNAME=localhost && unset ROS_IP && \
	python -m training.make_bag out/demo/house.bag $(demo_house) && \
	roslaunch --port="$$($(free_port))" placenet_ros demo.launch bag:=$(CURDIR)/out/demo/house.bag out:=$(CURDIR)/out/demo && \
	test -f out/demo/report.json && \
	roslaunch --port="$$($(free_port))" placenet_ros demo_drive.launch out:=$(CURDIR)/out/demo && test -f out/demo/drive.json || \
	{ echo "make demo: failed: see the messages above" >&2; exit 1; }
	@echo "make demo: done; the red lines are how roslaunch ends; pictures: out/demo/views.png, path.png, revisit.png"

test: setup python-3.10
	@test/run.sh

# Houses and training need it; the node alone runs on the 3.8 of ROS Noetic.
python-3.10:
	@.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: demo and test need Python 3.10 (Debian 12); here the node alone works: source env.sh, roslaunch placenet_ros placenet.launch" >&2; exit 1; }

lint: setup
	@test/run.sh lint

clean:
	rm -rf .venv .ws out .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
