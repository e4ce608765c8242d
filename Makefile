# Everything that a person or CI runs. Each target does its own set-up; all that it makes lies under target/. Cargo decides what
# is stale, so most targets are phony. In one run of make each target is made once, in the order asked for.

PYTHON ?= python3
ADDRESS ?= 127.0.0.1:8443
CARGO_DENY := 0.20.2
MATURIN_VERSION := 1.16.0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

export CARGO_TARGET_DIR := $(CURDIR)/target
H2SPEC := target/tools/h2spec
DENY := target/tools/cargo-deny-$(CARGO_DENY)/bin/cargo-deny
MATURIN := target/tools/maturin-$(MATURIN_VERSION)/bin/maturin
VENV := target/venv/bin
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
WARNINGS := -Wall -Wextra -pedantic -Werror
PROBE := examples/c/probe.c $(wildcard examples/c/probe/*.c)

# Steps of `make test`. Cheap before dear, so that a slip in a format shows before anything long is built; then, side by side, what
# links a release once more and what does not; at last, and with the machine for themselves, those that watch a server.
FIRST := formatting languages library
LINKING := packaging demo-test python-tests reference h2spec
CHECKING := lints docs licences c-tests cpp-tests unit fuzz
SERVED := blackbox attacks foreign budgets
STEPS := $(FIRST) $(LINKING) $(CHECKING) $(SERVED)

# The first line of each step.
begin = echo "== $@, $$(date +%T)"

.NOTPARALLEL:
.PHONY: sanitizers endurance volume help demo hello check test probes c-probe rust-probe python-probe bench library probe-library \
	wheel clean build-tools python-tools test-tools go-tools node-tools java-tools luajit-tools foreign-programs go-programs \
	go-handlers ctypes-programs node-programs java-programs luajit-programs attacks-table bench-attack bench-modes \
	budgets-program $(STEPS)

help:
	@echo 'make demo      build the C library and a C program on it, serve https://$(ADDRESS) until Ctrl-C'
	@echo 'make test      everything that CI runs, with all its set-up'
	@echo 'make check     the quick part of it: formatting, lints, tests of the core'
	@echo 'make probes    target/probes/{c,rust,python}/probe: one small server in three languages'
	@echo 'make foreign-programs  target/foreign/{ctypes,go,java,luajit,node}: hello and probe of the foreign runtimes'
	@echo 'make bench     CPU and rate beside a bare hyper server on this machine; writes nothing'
	@echo 'make bench-modes  workers and queue beside inline: CPU and context switches per request'
	@echo 'make bench-attack  goodput, latency and memory beside thousands of hostile connections'
	@echo 'make fuzz-long  an hour of each fuzz target, two at a time; FUZZ="--seconds 60 head" chooses'
	@echo 'make mutate    each row of the settings acts as its default, and a test must fail; rewrites docs/mutation.md'
	@echo 'make fuzz-coverage  which lines the targets reach'
	@echo 'make attacks-table  what the attacks of tests/attacks do to the three probes, as docs/attacks.md'
	@echo 'make sanitizers  the C tests under ASAN and TSAN with the Rust side instrumented too; half an hour'
	@echo 'make volume    ten thousand MiB of content each way through the C API, with flat memory'
	@echo 'make python-newer  the Python suite with CPython 3.14'
	@echo 'make endurance a million requests through each kind of Python handler'
	@echo 'make reference target/reference/{c,python}: what each function and class promises, to read in a browser'
	@echo 'make library   target/lib: the shared and the static library; their headers are in include/'
	@echo 'make install   libraries, headers, pkg-config and CMake files; PREFIX=/usr/local LIBDIR= INCLUDEDIR= DESTDIR='
	@echo 'make deb       target/deb: the Debian packages libbartizan0 and libbartizan-dev'
	@echo 'make wheel     target/wheels: the wheel of this interpreter; make abi3-wheel: one for all from 3.10; make sdist'
	@echo 'make clean     remove target/'
	@echo 'Steps of make test, each a target too: $(STEPS)'

# ---- for people ----

demo: hello
	@exec target/demo/hello $(ADDRESS)

check: formatting lints
	cargo test --locked -p bartizan

INLINE := target/probes/c/probe --mode inline --set io_threads=1 --listen 127.0.0.1:0 --self-signed

test:
	@$(MAKE) --no-print-directory $(FIRST)
	@MAKE='$(MAKE)' sh tests/lanes '-o library $(LINKING) probes budgets-program foreign-programs' '-o library $(CHECKING)'
	@$(MAKE) --no-print-directory -o library -o probes -o budgets-program -o foreign-programs $(SERVED)
	@echo '$(words $(STEPS)) passed, 0 failed'

bench: probes
	cargo build --locked --release -p bartizan-bench
	target/release/compare

bench-modes: c-probe
	cargo build --locked --release -p bartizan-bench --bin compare
	for mode in workers queue; do target/release/compare --cases minimal --base '$(INLINE)' \
		--ours "$$(echo '$(INLINE)' | sed "s/inline/$$mode/")" || exit; done

bench-attack: c-probe
	$(call install,ss:iproute2)
	cargo build --locked --release -p bartizan-bench --bin attack
	target/release/attack

clean:
	rm -rf target

# ---- what is shipped ----

# $(call link_library,DIRECTORY,CARGO OPTIONS). Cargo makes the static library; the shared one is linked from it, with its
# version node.
define link_library
	cargo rustc --locked --release -p bartizan-ffi --lib --crate-type staticlib $(2)
	mkdir -p $(1)
	@cmp -s target/release/libbartizan.a $(1)/libbartizan.a && test -e $(1)/libbartizan.so && \
		test -z "$$(find ffi/link.sh ffi/libbartizan.map -newer $(1)/libbartizan.so.0)" || { set -ex; \
		cp target/release/libbartizan.a $(1)/; \
		sh ffi/link.sh $(1)/libbartizan.a $(1)/libbartizan.so.0; \
		ln -sf libbartizan.so.0 $(1)/libbartizan.so; }
endef

# $(call compile,PROGRAM,SOURCES,LIBRARY DIRECTORY): the library is found from where the program lies.
define compile
	mkdir -p $(dir $(1))
	$(CC) -std=c99 $(WARNINGS) -O2 -Iinclude $(2) -o $(1) -L$(dir $(1))$(3) -lbartizan -lpthread -Wl,-rpath,'$$ORIGIN/$(3)'
endef

library: build-tools
	@$(begin)
	$(call link_library,target/lib)

.PHONY: install deb
install: library
	PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' DESTDIR='$(DESTDIR)' \
		sh ffi/package/install target/lib $(VERSION)

deb: library
	sh ffi/package/deb target/lib $(VERSION) target/deb

hello: library
	$(call compile,target/demo/hello,examples/c/hello.c,../lib)

# The wheel of this interpreter, in a virtual environment from which everything older is gone.
wheel: $(MATURIN)
	rm -f target/wheels/bartizan-*-cp3*-cp3*.whl
	$(call maturin,build --release --locked --interpreter $(PYTHON))
	$(PYTHON) -m venv --clear target/venv
	$(VENV)/pip install target/wheels/bartizan-*-cp3*-cp3*.whl

# One wheel for every CPython from 3.10 on, and the sources of both.
.PHONY: abi3-wheel sdist
abi3-wheel: $(MATURIN)
	rm -f target/wheels/bartizan-*-abi3-*.whl
	$(call maturin,build --release --locked --interpreter $(PYTHON) --features abi3)

sdist: $(MATURIN)
	rm -f target/wheels/bartizan-*.tar.gz
	$(call maturin,sdist)

# Called by itself and not through pip, it names the oldest C library that a wheel runs with, and compiles nothing twice.
maturin = $(MATURIN) $(1) --manifest-path python/Cargo.toml --out target/wheels

# ---- the probes ----

# Those in C and Rust panic on request; the shipped library cannot.
PANIC := --features test-panic

probes: c-probe rust-probe python-probe

probe-library: build-tools
	$(call link_library,target/probes/lib,$(PANIC))

c-probe: probe-library
	$(call compile,target/probes/c/probe,$(PROBE),../lib)

rust-probe: build-tools
	cargo build --locked --release -p bartizan-examples --bin probe $(PANIC)
	mkdir -p target/probes/rust
	cp target/release/probe target/probes/rust/probe

python-probe: wheel
	mkdir -p target/probes/python
	printf '%s\n' '#!/bin/sh' 'root=$$(cd "$$(dirname "$$0")/../../.." && pwd)' \
		'exec "$$root/$(VENV)/python" "$$root/examples/python/probe.py" "$$@"' >target/probes/python/probe
	chmod +x target/probes/python/probe

# ---- foreign runtimes ----

# One folder for each language, with its hello, its probe and the program that errs.
FOREIGN := target/foreign
GO_ENV = GOFLAGS=-buildvcs=false GOCACHE=$(CURDIR)/$(FOREIGN)/go-cache CGO_CFLAGS=-I$(CURDIR)/include \
	CGO_LDFLAGS='-L$(CURDIR)/target/lib -Wl,-rpath,$(CURDIR)/target/lib'

# $(call launcher,FOLDER,PROGRAM,COMMAND): a program by name for what an interpreter runs; RUNTIME_FLAGS are the interpreter's.
define launcher
	mkdir -p $(FOREIGN)/$(1)
	printf '%s\n' '#!/bin/sh' 'cd "$$(dirname "$$0")/../../.." || exit' 'export LD_LIBRARY_PATH="$$PWD/target/lib"' \
		'exec $(3) "$$@"' >$(FOREIGN)/$(1)/$(2)
	chmod +x $(FOREIGN)/$(1)/$(2)
endef

foreign-programs: go-programs ctypes-programs node-programs java-programs luajit-programs

ctypes-programs: library python-tools
	$(call launcher,ctypes,hello,$(PYTHON) $$RUNTIME_FLAGS examples/ctypes/hello.py)
	$(call launcher,ctypes,probe,$(PYTHON) $$RUNTIME_FLAGS examples/ctypes/probe.py)
	$(call launcher,ctypes,misuse,$(PYTHON) $$RUNTIME_FLAGS tests/foreign/ctypes/misuse.py)
	$(call launcher,ctypes,callbacks,$(PYTHON) tests/foreign/ctypes/callbacks.py)
	$(call launcher,ctypes,layout,$(PYTHON) tests/foreign/ctypes/layout.py)

go-programs: library go-tools
	mkdir -p $(FOREIGN)/go
	test -z "$$(gofmt -l examples/go tests/foreign/go)"
	cd examples/go && $(GO_ENV) go vet ./bartizan ./hello ./probe && $(GO_ENV) go build -o $(CURDIR)/$(FOREIGN)/go/ ./hello ./probe
	cd tests/foreign/go && $(GO_ENV) go build -o $(CURDIR)/$(FOREIGN)/go/ .

# What stands between the library and net/http, against the client of net/http.
go-handlers: library go-tools
	cd examples/go && $(GO_ENV) go test -vet=off ./nethttp

# Beside its packages, since Node looks for them from where a module lies.
node-programs: library node-tools
	mkdir -p $(FOREIGN)/node/app
	cp examples/node/*.mjs examples/node/package.json examples/node/package-lock.json tests/foreign/node/*.mjs $(FOREIGN)/node/app/
	cd $(FOREIGN)/node/app && npm ci --ignore-scripts --no-audit --no-fund
	$(call launcher,node,hello,node $$RUNTIME_FLAGS $(FOREIGN)/node/app/hello.mjs)
	$(call launcher,node,probe,node $$RUNTIME_FLAGS $(FOREIGN)/node/app/probe.mjs)
	$(call launcher,node,misuse,node $$RUNTIME_FLAGS $(FOREIGN)/node/app/misuse.mjs)
	$(call launcher,node,layout,node $(FOREIGN)/node/app/layout.mjs)

# What Maven fetches stays here too. The compiler's goal alone: the phases around it would fetch four times as much.
JAVA := $(FOREIGN)/java
JVM := java $$RUNTIME_FLAGS -Djna.tmpdir=$(JAVA) -cp $(JAVA)/classes:$(JAVA)/jna.jar

java-programs: library java-tools
	mkdir -p $(JAVA)
	mvn -B -q -f examples/java/pom.xml -Dmaven.repo.local=$(CURDIR)/$(JAVA)/repository -Doutput=$(CURDIR)/$(JAVA) compiler:compile
	cp $(JAVA)/repository/net/java/dev/jna/jna/*/jna-*.jar $(JAVA)/jna.jar
	javac -d $(JAVA)/classes -cp $(JAVA)/classes:$(JAVA)/jna.jar tests/foreign/java/Misuse.java tests/foreign/java/bartizan/*.java
	$(call launcher,java,hello,$(JVM) example.Hello)
	$(call launcher,java,probe,$(JVM) example.Probe)
	$(call launcher,java,misuse,$(JVM) Misuse)
	$(call launcher,java,layout,$(JVM) bartizan.Layout)

luajit-programs: library luajit-tools
	$(call launcher,luajit,hello,luajit $$RUNTIME_FLAGS examples/luajit/hello.lua)
	$(call launcher,luajit,probe,luajit $$RUNTIME_FLAGS examples/luajit/probe.lua)
	$(call launcher,luajit,misuse,luajit $$RUNTIME_FLAGS tests/foreign/luajit/misuse.lua)

# ---- the steps of make test ----

formatting:
	@$(begin)
	cargo fmt --all --check

# Header and programs, in every language that may include them.
languages: test-tools python-tools
	@$(begin)
	mkdir -p target/c
	$(PYTHON) tests/c/walk.py include/bartizan.h >target/c/walk_calls.h
	set -e; for cc in gcc clang; do for std in c99 c11 c17 c2x; do \
		$$cc -std=$$std $(WARNINGS) -Wno-address -Iinclude -Itarget/c -fsyntax-only examples/c/hello.c $(PROBE) tests/c/*.c; \
	done; done
	set -e; for cxx in g++ clang++; do for std in c++11 c++17 c++20; do \
		$$cxx -x c++ -std=$$std $(WARNINGS) -Wno-address -Iinclude -fsyntax-only tests/c/surface.c; \
	done; done
	set -e; for cxx in g++ clang++; do for std in c++17 c++20; do \
		$$cxx -std=$$std $(WARNINGS) -Iinclude -fsyntax-only examples/cpp/hello.cpp; \
	done; done

lints:
	@$(begin)
	cargo clippy --locked --workspace --all-targets -- -D warnings

docs:
	@$(begin)
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

unit: library
	@$(begin)
	cargo test --locked --workspace

licences: $(DENY)
	@$(begin)
	$(DENY) --workspace --locked check bans licenses sources

c-tests: library test-tools python-tools
	@$(begin)
	PYTHON=$(PYTHON) sh tests/c/run include target/lib plain asan valgrind

cpp-tests: library test-tools
	@$(begin)
	sh tests/cpp/run include target/lib

packaging: library test-tools go-tools abi abi3-wheel
	@$(begin)
	sh tests/install/run
	$(PYTHON) tests/guides/run.py . docs/c.md docs/cpp.md docs/python.md docs/go.md

# The C ABI is the one that tests/abi keeps. BLESS=1 writes down what was added.
.PHONY: abi
abi: library test-tools
	$(call install,abidw:abigail-tools abidiff:abigail-tools)
	sh tests/abi/run include target/lib/libbartizan.so.0
	sh tests/abi/breaks include target/lib/libbartizan.so.0

demo-test: hello test-tools
	@$(begin)
	sh tests/demo.sh

python-tests: abi3-wheel sdist
	@$(begin)
	sh tests/wheel/run $(PYTHON) target/wheels/bartizan-*-abi3-*.whl target/wheels/bartizan-*.tar.gz

# The same with a CPython that Debian does not have yet, as Maven Central has it for programs in Java; no registry has a
# free-threaded one. Not a step of make test: it is fetched with sixty jars of Maven's own.
NEWER := 3.14.3-1.5.13
NEWER_PYTHON := target/tools/cpython-$(NEWER)/org/bytedeco/cpython/linux-x86_64/bin/python3.14
.PHONY: python-newer
python-newer: $(NEWER_PYTHON)
	$(MAKE) --no-print-directory python-tests PYTHON=$(CURDIR)/$(NEWER_PYTHON)
	$(call maturin,build --release --locked --interpreter $(NEWER_PYTHON))

$(NEWER_PYTHON): | java-tools python-tools
	mvn -B -q -Dmaven.repo.local=$(CURDIR)/target/tools/maven org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
		-Dartifact=org.bytedeco:cpython:$(NEWER):jar:linux-x86_64 -DoutputDirectory=$(CURDIR)/target/tools
	$(PYTHON) -m zipfile -e target/tools/cpython-$(NEWER)-linux-x86_64.jar target/tools/cpython-$(NEWER)
	chmod +x $(@D)/*

h2spec: c-probe $(H2SPEC)
	@$(begin)
	sh tests/h2spec/run $(H2SPEC) target/probes/c/probe

# A million requests through each kind of handler of the wheel: ten minutes.
endurance: wheel
	$(VENV)/pip install 'bartizan[test]'
	cd python && BARTIZAN_REQUESTS=1000000 ../$(VENV)/python -m pytest tests/test_endurance.py

# Ten thousand MiB of content each way, with flat memory.
volume: library test-tools python-tools
	PYTHON=$(PYTHON) sh tests/c/run include target/lib volume

# The C tests with the Rust side instrumented as well, std among it. Not a step of make test: it builds everything twice more.
SANITIZED := x86_64-unknown-linux-gnu/debug/libbartizan.a
sanitizers: build-tools test-tools python-tools
	test -d "$$(rustc --print sysroot)/lib/rustlib/src/rust/library" || rustup component add rust-src
	set -e; for sanitizer in thread address; do \
		RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=$$sanitizer CARGO_TARGET_DIR=target/sanitized/$$sanitizer \
		CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only cargo rustc --locked -p bartizan-ffi --lib \
			--crate-type staticlib -Zbuild-std --target x86_64-unknown-linux-gnu; \
		PYTHON=$(PYTHON) sh tests/c/sanitized include target/sanitized/$$sanitizer/$(SANITIZED) $$sanitizer; \
	done

# The C and the Python API for reading, in target/reference. A warning fails it.
reference: wheel
	@$(begin)
	$(call install,doxygen:doxygen)
	rm -rf target/reference
	mkdir -p target/reference/source
	doxygen docs/Doxyfile
	cp docs/python/* target/reference/source/
	$(VENV)/pip install -r docs/python/requirements.txt
	$(VENV)/python -m sphinx -W --keep-going -q target/reference/source target/reference/python
	rm -rf target/reference/source

# Tests that mostly wait, for a clock or for a program to start: more at a time than there are cores.
WAITING := $(VENV)/python -m pytest -n 4 --dist worksteal

blackbox: probes test-tools
	@$(begin)
	$(VENV)/pip install -r tests/blackbox/requirements.txt
	$(WAITING) tests/blackbox

ATTACK := $(WAITING) tests/attacks -n 6

attacks: probes test-tools
	@$(begin)
	$(VENV)/pip install -r tests/blackbox/requirements.txt
	$(ATTACK)

attacks-table: probes test-tools
	$(VENV)/pip install -r tests/blackbox/requirements.txt
	$(ATTACK) --table docs/attacks.md

foreign: foreign-programs go-handlers test-tools python-tools
	@$(begin)
	test -d target/venv || $(PYTHON) -m venv target/venv
	$(VENV)/pip install -r tests/blackbox/requirements.txt
	$(WAITING) tests/foreign

budgets: probes budgets-program test-tools
	@$(begin)
	target/release/budgets

budgets-program: build-tools
	cargo build --locked --release -p bartizan-bench --bin budgets

# Behind `unit`, whose dependencies it is built from.
fuzz: fuzz-python
	@$(begin)
	target/fuzz/venv/bin/python fuzz/run.py bounded

FUZZ ?= --seconds 3600

.PHONY: fuzz-long fuzz-coverage fuzz-python mutate

fuzz-long: fuzz-python
	target/fuzz/venv/bin/python fuzz/run.py long $(FUZZ)

mutate: python-tools
	$(PYTHON) tests/mutate.py

fuzz-coverage: fuzz-python
	rustup component add llvm-tools
	target/fuzz/venv/bin/python fuzz/run.py coverage

# ---- tools ----

$(MATURIN): | build-tools python-tools
	$(PYTHON) -m venv --clear $(patsubst %/bin/maturin,%,$@)
	$(@D)/pip install -q maturin==$(MATURIN_VERSION)

# Neither optimised nor with debug information: it builds in half the time, and runs for two seconds.
$(DENY):
	CARGO_TARGET_DIR=target/tools/build CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --debug --no-default-features \
		--version $(CARGO_DENY) --root target/tools/cargo-deny-$(CARGO_DENY) cargo-deny
	rm -rf target/tools/build

$(H2SPEC): tests/h2spec/go.mod tests/h2spec/go.sum
	@command -v go >/dev/null || { echo 'missing here: Go 1.26, from https://go.dev/dl' >&2; exit 1; }
	cd tests/h2spec && go build -mod=readonly -o ../../$@ github.com/summerwind/h2spec/cmd/h2spec

# What is missing of Debian's packages, $$missing, is installed by root; others are told what to ask root for.
define apt
	test -z "$$missing" && exit 0; \
	test "$$(id -u)" = 0 || { echo "missing here: sudo apt-get install$$missing" >&2; exit 1; }; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $$missing
endef

# $(call install,PROGRAM:PACKAGE...)
define install
	@missing=; for pair in $(1); do \
		command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; \
	done; \
	$(apt)
endef

build-tools:
	@command -v cargo >/dev/null || { echo 'missing here: Rust, from https://rustup.rs' >&2; exit 1; }
	$(call install,$(CC):gcc ld:binutils)

go-tools:
	@command -v go >/dev/null || { echo 'missing here: Go 1.24, from https://go.dev/dl' >&2; exit 1; }
	$(call install,gcc:gcc)

java-tools:
	$(call install,javac:openjdk-17-jdk-headless mvn:maven)

luajit-tools:
	$(call install,luajit:luajit)

node-tools:
	$(call install,node:nodejs npm:npm)

python-tools:
	$(call install,$(PYTHON):python3)
	@missing=; $(PYTHON) -c 'import ensurepip' 2>/dev/null || missing=' python3-venv'; \
	$(apt)

# hpack is what the reader of the corpora asks for.
fuzz-python: build-tools python-tools
	$(call install,$(CXX):g++)
	$(PYTHON) -m venv target/fuzz/venv
	target/fuzz/venv/bin/pip install -q "$$(grep '^hpack==' tests/blackbox/requirements.txt)"

test-tools:
	$(call install,gcc:gcc g++:g++ clang:clang clang++:clang curl:curl openssl:openssl valgrind:valgrind strace:strace \
		nghttp:nghttp2-client nm:binutils cmake:cmake pkg-config:pkg-config dpkg-deb:dpkg setsid:util-linux \
		prlimit:util-linux)
	@missing=; echo 'int main(void) { return 0; }' | clang -fsanitize=address -x c - -o /dev/null 2>/dev/null || \
		missing=' libclang-rt-dev'; \
	$(apt)
