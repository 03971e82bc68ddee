# The commands a person types. Everything real is in meson.build and tools/.
PACKAGES = $(shell awk '!/^\#/ && $$1 ~ /^($(1))$$/ {print $$2}' tools/packages.txt)
APT = DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends

.PHONY: help deps build test
help:
	@echo 'make build   installs what the build needs (Debian 12, root) and builds into build/'
	@echo 'make test    installs what the tests need and runs them: N passed, N failed'

deps:
	@missing=$$(for p in $(call PACKAGES,build|run); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update && $(APT) $$missing; }

build: deps
	@[ -e build/build.ninja ] || meson setup build
	ninja -C build

test:
	@missing=$$(for p in $(call PACKAGES,build|run|test); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update && $(APT) $$missing; }
	tools/run_tests.sh
