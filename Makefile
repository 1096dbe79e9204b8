# The front door; Meson builds. On a fresh Debian 12 machine `make demo` and `make test` install what is missing (tools/setup.sh).
BUILD ?= build
PREFIX ?= /usr/local
DEMO ?= demo.html

.PHONY: all setup configured demo test bench install clean
# on a terminal Ninja shows how far it is
NINJA = [ -t 1 ] && quiet= || quiet=--quiet; ninja -C $(BUILD) $$quiet

all: configured
	@$(NINJA)

setup:
	@tools/setup.sh build

# werror and tests are for developers: tools/test.sh
configured: setup
	@test -f $(BUILD)/build.ninja || { \
	    echo "building in $(BUILD)/ (a minute on two cores)"; mkdir -p $(BUILD); \
	    meson setup $(BUILD) --buildtype=release -Dtests=disabled --prefix=$(abspath $(PREFIX)) >$(BUILD)/setup.log 2>&1 || \
	    { cat $(BUILD)/setup.log >&2; exit 1; } }

# The main job on the pictures that ship: name them, rank them by words, and draw a page of it.
demo: configured
	@$(NINJA) cli/clip
	@tools/demo.sh $(BUILD) $(DEMO)

# Everything, twice: as it ships (gcc), and with clang under AddressSanitizer and UndefinedBehaviorSanitizer.
test:
	@tools/setup.sh test
	@tools/test.sh

bench: configured
	@$(NINJA) cli/clip
	@$(BUILD)/cli/clip bench

install: all
	@meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	@DESTDIR="$(abspath $(DESTDIR))" meson install -C $(BUILD)
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

clean:
	rm -rf $(BUILD) build-test build-sanitize
