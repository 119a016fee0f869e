# SPDX-License-Identifier: GPL-2.0
#
# The front door. Every target is a script that can be run by itself; `make help` lists them.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export KDIR

debug := $(if $(filter 1 y yes,$(DEBUG)),--debug)
# Machines on the debug kernel take some three times as long.
machines := $(if $(debug),YOKE_DEBUG_KERNEL=1 YOKE_TIMEOUT_FACTOR=$${YOKE_TIMEOUT_FACTOR:-3}) scripts/test
# With KDIR= there is a kernel already.
kernel := $(if $(KDIR),bootstrap,kernel)

##@ Build
.PHONY: bootstrap kernel modules
bootstrap: ## install what is needed (Debian 12 or 13; apt packages need root)
	@scripts/bootstrap
kernel: bootstrap ## build the lab's kernel in the cache, once (DEBUG=1: with KASAN and lockdep)
	@scripts/kernel $(debug) build
modules: $(kernel) ## build the kernel modules into build/modules (KDIR=: against another 7.3 tree; DEBUG=1)
	@scripts/modules $(debug)

##@ Test
.PHONY: check test test-host test-miri test-kunit test-ntb test-lab fuzz soak soak-lab
check: $(kernel) ## formatting, clippy, dependency direction, unsafe placement, docs; each check tests itself
	@scripts/check
test: modules ## all tests
	@scripts/test
test-host: bootstrap ## cargo: unit, property, simulation
	@scripts/test host
test-miri: bootstrap ## the core's tests under Miri; skipped, and says so, without a nightly toolchain that has it
	@scripts/test miri
fuzz: bootstrap ## libFuzzer on every parser, a minute each (scripts/fuzz --seconds N TARGET...)
	@scripts/fuzz
test-kunit: $(kernel) ## KUnit: the tests of the modules, in a machine (DEBUG=1)
	@scripts/test kunit $(debug)
test-ntb: modules ## the kernel's own NTB clients and tests over the emulated bridge, between two machines (DEBUG=1)
	@$(machines) ntb
test-lab: modules ## scenarios between machines (DEBUG=1)
	@$(machines) lab
soak: bootstrap ## simulated appliances with seeds that were never used before (SEEDS=100000, SCENARIO=, MINUTES=, FROM=)
	@cargo run --quiet --profile soak -p yoke_sim -- soak --seeds $(or $(SEEDS),100000) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(FROM),--from $(FROM))
soak-lab: modules ## test-ntb and test-lab with all their turns and kinds (DEBUG=1)
	@YOKE_LONG=1 $(machines) ntb lab

##@ Other
.PHONY: demo lab bench format clean help
demo: modules ## mirror real files, kill their controller in mid-write, lose nothing: build/demo/report.json
	@scripts/demo --shelf
lab: modules ## start the virtual appliance: two controllers, two links, a shared disk (scripts/lab --help)
	@scripts/lab up
	@scripts/lab status
bench: modules ## measure yoke beside a RAM disk and DRBD: build/bench/report.json (scripts/bench --help)
	@scripts/bench
format: bootstrap ## format Rust and Python sources in place
	@scripts/format
clean: ## delete what was built in the tree (the cache stays)
	@rm -rf build target
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "%s%s\n", sep, substr($$0, 5); sep = "\n" } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
