# What one does with Florin from a clone. `make` alone lists the targets.

SHELL := /bin/bash
CARGO ?= cargo
FLORIN := target/release/florin

DEMO_DATA ?= florin-demo
BENCH_TRANSFERS ?= 10000000
BENCH_ACCOUNTS ?= 10000 1000000
FUZZ_SECONDS ?= 60
FAULT_ROUNDS ?= 20
NOTIFICATION_KILLS ?= 500
SIM_SEEDS ?= 20000

.PHONY: help demo test test-faults sim bench lint fuzz

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Take a real bank's year through the whole system, into florin-demo
	$(CARGO) build --release -p florin
	$(FLORIN) demo --data $(DEMO_DATA)
	$(FLORIN) statements make --data $(DEMO_DATA) --month 1993-01 --until 1993-12

test: ## Run every test; installs the tools they need under target/test-tools
	./xtask/install-test-tools.sh
	$(CARGO) test --workspace
	$(CARGO) test -p florin --features faults,kafka,s3,redis --bin florin --test kafka --test s3 --test redis -- --test-threads 2

test-faults: ## Break disks, processes, databases, Kafka and networks under a running bank, FAULT_ROUNDS (default 20) times
	$(CARGO) test -p florin --features faults --test faults -- --nocapture
	NOTIFICATION_KILLS=$(NOTIFICATION_KILLS) $(CARGO) test -p florin --test notifications crash
	FAULT_ROUNDS=$(FAULT_ROUNDS) $(CARGO) test -p florin --features faults,kafka --test postgres --test kafka -- --test-threads 2

sim: ## Run the whole bank in SIM_SEEDS (default 20000) simulated worlds, each twice
	$(CARGO) xtask sim --seeds $(SIM_SEEDS)

bench: ## Measure durable transfers per second of the engine, with few and with many accounts
	$(CARGO) build --release -p florin
	@for accounts in $(BENCH_ACCOUNTS); do \
		data="$$(mktemp -d target/bench.XXXXXX)"; \
		$(FLORIN) bench engine --transfers $(BENCH_TRANSFERS) --accounts $$accounts --data "$$data/florin"; \
		status=$$?; rm -rf "$$data"; [ $$status -eq 0 ] || exit $$status; \
	done

lint: ## Check format, clippy, tidy rules and documentation
	$(CARGO) xtask ci

fuzz: ## Run each fuzz target for FUZZ_SECONDS (default 60); needs cargo-fuzz
	@cd fuzz || exit; targets="$$($(CARGO) fuzz list)" || { echo "install it first: cargo install cargo-fuzz --locked" >&2; exit 1; }; \
	for target in $$targets; do \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) || exit; \
	done
