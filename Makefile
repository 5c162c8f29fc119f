# Everything one runs in this repository. `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help demo demo-down demo-node demo-node-down test e2e soak bench lint format generate dist lock clean

# Test workers: tests wait for API servers more than they compute, so that few cores have more than one each.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? 4 : n)))
# The long forms mostly wait for deadlines: more of them than cores.
E2E_WORKERS ?= 5
# Where they are: a worker that reads all the others as well takes three times as long to begin.
E2E := $(sort $(shell grep -rl 'mark\.e2e' tests --include='test_*.py') \
  $(dir $(shell grep -rl 'mark\.e2e' tests --include=conftest.py)))
# Asked for together, `make test e2e` is one run: while the node's tests wait, which take longest, the others compute.
TOGETHER := $(and $(filter test,$(MAKECMDGOALS)),$(filter e2e,$(MAKECMDGOALS)))
# Machines have memory to spare and no processors: Go's programs collect when they have taken so much, not before.
PYTEST := GOGC=off GOMEMLIMIT=500MiB hack/python -m pytest --dist loadgroup

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: ## The main job on real input: a real API server, two YAML files, a pod that lists a bucket
	@hack/demo up

demo-down: ## Stop the demo and remove everything of it
	@hack/demo down

demo-node: ## The same with everything real: a node, pods, Helm, Vault, MinIO (needs root; half an hour of building, once)
	@hack/demo up --node

demo-node-down: ## Stop the demo on the node and remove everything of it
	@hack/demo down --node

test: ## Unit, golden, property and integration tests on real API servers
	@hack/testbed build
	@$(if $(TOGETHER),echo "tests: together with those of e2e",$(PYTEST) -n $(WORKERS) -m "not e2e and not soak")

e2e: ## The long forms: kills, outages, races, a real node, Vault, OpenBao, MinIO, Keycloak and Hydra, the demos end to end
	@hack/testbed build
	@hack/testbed build vault openbao minio mc
	-@hack/testbed build hydra keycloak hcp-caller
	-@hack/testbed build --node
	@$(PYTEST) -n $(E2E_WORKERS) --no-loadscope-reorder -m $(if $(TOGETHER),"not soak","e2e and not soak" $(E2E))

soak: ## Very long forms, not in CI
	@hack/testbed build
	@HYPOTHESIS_PROFILE=soak $(PYTEST) -n $(WORKERS) -m "soak or property" --timeout 7200

bench: ## Baseline and ours side by side in one run, as a table and as JSON
	@hack/testbed build
	@hack/bench

lint: ## Style, types, import contracts, generated files
	@hack/python -m ruff check .
	@hack/python -m ruff format --check --quiet .
	@hack/python -m mypy
	@hack/python -c 'import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())'
	@hack/generate --check

format: ## Bring the code into shape
	@hack/python -m ruff check --fix --quiet .
	@hack/python -m ruff format --quiet .

generate: ## Write what is generated from the code: kinds, reference pages
	@hack/generate

dist: ## Wheel, packaged chart and install.yaml into dist/
	@rm -rf dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) hack/python -m hatchling build -t wheel -d dist
	@"$$(hack/python -c 'from apostille_testbed import binaries; print(binaries.helm())')" package charts/apostille --destination dist
	@"$$(hack/python -c 'from apostille_testbed import binaries; print(binaries.kubectl())')" kustomize install > dist/install.yaml

lock: ## Pin the environments of development and of the image anew, keeping versions that still fit; needs uv
	@uv pip compile -q pyproject.toml --all-extras --group dev --generate-hashes --no-annotate --no-header --universal -o locks/dev.txt
	@uv pip compile -q pyproject.toml --extra controller --extra admission --extra cli --generate-hashes --no-annotate --no-header --universal -c locks/dev.txt -o locks/runtime.txt

clean: ## Remove what tools left in the checkout; the cache stays
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build out
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
