# The commands a person types. Everything real is in meson.build and tools/.
PACKAGES = $(shell awk '!/^\#/ && $$1 ~ /^($(1))$$/ {print $$2}' tools/packages.txt)
PREFIX ?= /usr/local
APT = DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends

.PHONY: help deps build up test bench
help:
	@echo 'make up      installs what is needed, builds, installs knarr into $(PREFIX)/bin and starts the cluster'
	@echo 'make build   installs what the build needs (Debian 12, root) and builds into build/'
	@echo 'make bench   measures the budgets of the design on a cluster of its own'
	@echo 'make test    installs what the tests need and runs them: N passed, N failed'

deps:
	@missing=$$(for p in $(call PACKAGES,build|run); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update && $(APT) $$missing; }

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
	@missing=$$(for p in $(call PACKAGES,build|run|test); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update && $(APT) $$missing; }
	tools/run_tests.sh

# The peers are optional: what is not installed is not compared with.
bench: deps
	@missing=$$(for p in $(call PACKAGES,bench); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update && $(APT) $$missing; }
	@[ -e build-bench/build.ninja ] || meson setup build-bench --buildtype=release -Dtests=false -Dbench=true
	ninja -C build-bench
	KNARR_BUILD=$(CURDIR)/build-bench bench/bench.py
