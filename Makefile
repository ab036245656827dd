# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
#   make demo          bring up a small model on this computer and talk to it
#   make demo-down     stop it and remove its services (MODEL=owner/repo:QUANT make demo: a real model)
#   make panel         the fleet of INVENTORY (inventory.example/demo.yml) in a browser, on this computer
#   make panel-user    let somebody in: NAME=ann make panel-user
#   make test          every test level; or one of: make static unit integration lab
#   make clean         remove what these commands made in the checkout

PYTHON ?= python3
VENV := .venv
CONTROLLER := .build/controller
PANEL := .build/panel
INVENTORY ?= inventory.example/demo.yml
COLLECTION := .build/collections/ansible_collections/llamaops/llama_cpp
REQUIREMENTS := $(wildcard requirements/*.txt roles/llama_runtime/files/requirements-*.txt)

export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.build/collections
export ANSIBLE_HOME ?= $(CURDIR)/.build/ansible
unexport ANSIBLE_CONFIG

LEVELS := static unit integration lab
.PHONY: venv $(LEVELS) test demo demo-down panel panel-user pictures clean
.DEFAULT_GOAL := test

# ---- tests
$(VENV)/.stamp: $(REQUIREMENTS)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	touch $@

venv: $(VENV)/.stamp $(COLLECTION)

$(LEVELS) test pictures: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
$(LEVELS) test pictures: export PYTHONPATH := $(CURDIR)/.build/collections
$(LEVELS): venv
	@tests/levels.sh $@

test: venv
	@tests/levels.sh $(LEVELS)

# what a browser shows of the panel, as the pictures of the README
pictures: venv
	PANEL_PICTURES=$(CURDIR)/docs pytest --basetemp=/tmp/panel-pictures tests/integration/panel/test_browser.py

# ---- demonstration
$(CONTROLLER)/.stamp: requirements/controller.txt
	$(PYTHON) -m venv $(CONTROLLER)
	$(CONTROLLER)/bin/pip install --quiet --disable-pip-version-check -r requirements/controller.txt
	touch $@

DEMO := $(CONTROLLER)/bin/ansible-playbook -i inventory.example/demo.yml $(if $(MODEL),-e llama_demo_model=$(MODEL))

demo demo-down: export ANSIBLE_CALLBACK_RESULT_FORMAT := yaml
demo: $(CONTROLLER)/.stamp $(COLLECTION)
	$(DEMO) playbooks/demo.yml

demo-down: $(CONTROLLER)/.stamp $(COLLECTION)
	$(DEMO) playbooks/remove.yml

# ---- the panel of this computer
$(PANEL)/venv/.stamp: requirements/panel.txt requirements/controller.txt
	$(PYTHON) -m venv $(PANEL)/venv
	$(PANEL)/venv/bin/pip install --quiet --disable-pip-version-check -r requirements/panel.txt
	touch $@

panel panel-user: export PYTHONPATH := $(CURDIR)/.build/collections:$(CURDIR)/panel
panel panel-user: $(PANEL)/venv/.stamp $(COLLECTION)
panel:
	@echo 'The first user is made by: NAME=ann make panel-user (it asks for a password; the first one is an admin)'
	@$(PANEL)/venv/bin/python -m llamaops_panel serve --inventory $(INVENTORY) --state $(PANEL)/state

panel-user:
	@$(PANEL)/venv/bin/python -m llamaops_panel user add $(or $(NAME),$(USER)) --state $(PANEL)/state

# ---- the checkout, where Ansible looks for a collection
$(COLLECTION):
	mkdir -p $(@D)
	ln -sfn $(CURDIR) $@

clean:
	rm -rf .build .venv .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache
