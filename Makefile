# The front door. Each target sets up what is missing on this machine, then does its work; the work
# itself is in scripts/ and meson.build.

.PHONY: all run test demo check bench fuzz format clean help

all:
	@scripts/setup run
	@scripts/build release

run: all
	@exec build/trentd --dev

test:
	@scripts/setup test
	@scripts/run-tests

demo:
	@scripts/setup test
	@scripts/build release
	@scripts/demo

check:
	@scripts/setup check
	@scripts/check

bench:
	@scripts/setup bench
	@scripts/setup test
	@scripts/build release
	@scripts/build test tests/bench/fill
	@tests/bench/run

fuzz:
	@scripts/setup check
	@scripts/fuzz

format:
	@scripts/setup check
	@scripts/format

# Keeps what scripts/setup brought (build/deps and the package folders): rm -r build for all of it.
clean:
	@rm -rf build/release build/test build/gcc build/clang build/asan build/tsan build/fuzz
	@rm -rf build/bench/keys build/bench/load build/bench/sqlite_commits
	@rm -f build/trentd build/trent

help:
	@echo 'make         set up what is missing and build build/trentd and build/trent'
	@echo 'make run     build, and start trentd in development mode on http://127.0.0.1:8080'
	@echo 'make test    build, and run every test'
	@echo 'make demo    the imported-key story end to end with the AWS CLI'
	@echo 'make check   format check, lint, static analysis, tests with sanitizers'
	@echo 'make bench   the speed and memory figures, beside nginx, as a table and a picture in build/bench'
	@echo 'make fuzz    every fuzz target for a minute (scripts/fuzz SECONDS TARGET...)'
	@echo 'make format  lay out the C sources'
	@echo 'make clean   remove what was built, keep what was set up'
