# The front door; Meson builds. On a fresh Debian 12 machine `make demo` and `make test` install what is missing (tools/setup.sh).
BUILD ?= build
PREFIX ?= /usr/local
DEMO ?= demo.html

.PHONY: all setup demo test bench install clean

all: setup
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --buildtype=release --prefix=$(PREFIX) >/dev/null
	@ninja -C $(BUILD) --quiet

setup:
	@tools/setup.sh build

# The main job on the pictures that ship: name them, rank them by words, and draw a page of it.
demo: all
	@tools/demo.sh $(BUILD) $(DEMO)

# Everything, twice: as it ships (gcc), and with clang under AddressSanitizer and UndefinedBehaviorSanitizer.
test:
	@tools/setup.sh test
	@tools/test.sh

bench: all
	@$(BUILD)/cli/clip bench

install: all
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-test build-sanitize
