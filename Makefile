# Every target sets up what it needs: Node 24 and the libraries through npm, the control plane through Go.
# A fresh machine needs git, make, npm and Go 1.26.

.DEFAULT_GOAL := help
.PHONY: help demo test e2e e2e-all lint format generate bench faults build images setup clean dependencies
MAKEFLAGS += --no-print-directory

# Node 24 is a dependency like the others: the machine's own may be older.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
NODE := node

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## Start a cluster with simulated nodes and tell the story; KEEP=1 leaves it running, REAL=1 adds a real node
	@$(NODE) test/demo/demo.ts $(if $(KEEP),--keep) $(if $(REAL),--real) $(ARGS)

test: setup ## Lint, type check, unit, property and integration tests; ends with "N passed, N failed"
	@$(NODE) hack/test.ts $(ARGS)

e2e: setup ## Run the product on virtual machines with real kernels; ONLY=scenario runs one, KEEP=1 leaves them up
	@$(NODE) test/e2e/e2e.ts $(if $(BED),--bed $(BED)) $(ONLY) $(ARGS)

e2e-all: setup ## The same with images built on the nodes, and the operator as pods
	@$(NODE) test/e2e/e2e.ts --all $(ARGS)

lint: dependencies ## Check format, lint rules, layers, types, unused code and generated files
	@$(NODE) hack/test.ts --lint

format: dependencies ## Format the sources and sort their imports
	@biome check --write

generate: setup ## Regenerate CRD, RBAC and reference docs
	@$(NODE) hack/generate.ts $(ARGS)

bench: setup ## Measure the operator on 100 and 1,000 simulated nodes (ARGS=--large: 5,000 too)
	@$(NODE) test/bench/bench.ts $(ARGS)

faults: setup ## Long fault tests: outages, floods, a soak, 10^5 random histories (MINUTES=1 shortens them)
	@$(NODE) hack/faults.ts $(ARGS)

build: dependencies ## Bundle the operator into dist/
	@$(NODE) hack/bundle.ts

images: dependencies ## Build the images of operator and builder into out/images/ (ARGS=--help: options, ARGS='--push HOST')
	@$(NODE) hack/images.ts $(ARGS)

setup: dependencies ## Install the libraries and find or build the control plane
	@$(NODE) hack/setup.ts --quiet

clean: ## Remove what was built (node_modules and the control plane's cache stay)
	@rm -rf dist out coverage

dependencies: node_modules/.package-lock.json

# npm writes this file last, so it exists only after an installation that was not interrupted. The lock is for two
# runs in one checkout; the second finds the work done.
node_modules/.package-lock.json: package-lock.json
	@mkdir -p out
	@flock out/.npm.lock sh -c 'test -e $@ -a ! package-lock.json -nt $@ || { \
	  echo "Installing Node 24 and the libraries with npm (about half a minute) ..."; \
	  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; }'
