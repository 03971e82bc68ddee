# The commands a person types. Everything real is in meson.build and tools/.
PACKAGES = $(shell awk '!/^\#/ && $$1 ~ /^($(1))$$/ {print $$2}' tools/packages.txt)
PREFIX ?= /usr/local
APT = DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends

# installs the packages of these tags that are missing
install = missing=$$(for p in $(call PACKAGES,$(1)); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update && $(APT) $$missing; }
SECONDS ?= 60

.PHONY: help deps build up test lint tsan fuzz bench differential
help:
	@echo 'make up      installs what is needed, builds, installs knarr into $(PREFIX)/bin and starts the cluster'
	@echo 'make build   installs what the build needs (Debian 12, root) and builds into build/'
	@echo 'make bench   measures the budgets of the design on a cluster of its own'
	@echo 'make test    installs what the tests need and runs them: N passed, N failed'
	@echo 'make lint    the checkers, clang, clang-tidy and cppcheck; minutes'
	@echo 'make tsan    the unit and suite levels under the thread sanitizer'
	@echo 'make fuzz TARGET=json [SECONDS=60]   one fuzz target under ASan and UBSan'

deps:
	@$(call install,build|run)

# The cluster: the executable without tests and symbols, the two images of the tour, and `knarr up`.
up: deps
	@command -v kubectl >/dev/null || { apt-get update && $(APT) kubernetes-client; }
	@[ -e build-release/build.ninja ] || meson setup build-release --buildtype=release -Dtests=false -Dbench=false
	ninja -C build-release
	install -D -m 755 -s build-release/src/cmd/knarr $(PREFIX)/bin/knarr
	@for image in busybox nginx; do \
	    $(PREFIX)/bin/knarr image list | grep -q "/$$image:latest" || $(PREFIX)/bin/knarr image build images/$$image || exit 1; \
	done
	$(PREFIX)/bin/knarr up

build: deps
	@[ -e build/build.ninja ] || meson setup build
	ninja -C build

test:
	@$(call install,build|run|test)
	tools/run_tests.sh

lint:
	@$(call install,build|run|test|lint)
	tools/run_tests.sh lint

tsan:
	@$(call install,build|run|test)
	tools/run_tests.sh tsan

# What it finds is written into the folder; new inputs worth keeping go to tests/corpus/$(TARGET).
fuzz:
	@$(call install,build|run|test|lint)
	@[ -n "$(TARGET)" ] || { echo 'make fuzz TARGET=json [SECONDS=60]; the targets are the folders of tests/corpus'; exit 2; }
	@[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true -Dtests=false -Dbench=false \
	    -Db_sanitize=address,undefined -Db_lundef=false
	ninja -C build-fuzz tests/fuzz_$(TARGET)
	@mkdir -p build-fuzz/found/$(TARGET)
	build-fuzz/tests/fuzz_$(TARGET) -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=build-fuzz/$(TARGET)- build-fuzz/found/$(TARGET) tests/corpus/$(TARGET)

# Upstream's API server beside ours; needs Go (once, to build it), etcd and openssl.
differential: build
	python3 tests/differential/run.py

# The peers are optional: what is not installed is not compared with.
bench: deps
	@$(call install,bench)
	@[ -e build-bench/build.ninja ] || meson setup build-bench --buildtype=release -Dtests=false -Dbench=true
	ninja -C build-bench
	KNARR_BUILD=$(CURDIR)/build-bench bench/bench.py
