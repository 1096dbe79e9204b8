#!/bin/sh
# Install the Debian packages that building and testing need and this machine lacks. Says what it does;
# does nothing if all are there.
# usage: tools/setup.sh [build|test]      test: also what only the tests need
set -eu

needed="gcc make meson ninja-build pkg-config libc6-dev libjpeg62-turbo-dev libpng-dev libcjson-dev libutf8proc-dev
zlib1g-dev  libarchive-dev libsqlite3-dev libxxhash-dev"
# more picture formats, and clip pull; the build leaves out what is missing
formats="libwebp-dev libtiff-dev libgif-dev libheif-dev libraw-dev libjxl-dev libopenjp2-7-dev"
fetching="libcurl4-openssl-dev libssl-dev" # for clip pull
tests="clang libclang-rt-dev libcmocka-dev"
drawings="librsvg2-dev" # for SVG: with its dependencies as large as everything else
if [ "${1:-build}" = test ]; then
    needed="$needed $tests" formats="$formats $drawings"
fi
formats="$formats $fetching"

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "setup: not a Debian machine. Needed are these packages or their like:" $needed \
        "For more picture formats, and for clip pull:" \
        $formats >&2
    exit 0
fi

# missing PACKAGE... : prints the packages that are not installed
missing() {
    for p; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || printf ' %s' "$p"
    done
}
must=$(missing $needed) may=$(missing $formats)
[ -n "$must$may" ] || exit 0

# Nothing can be installed here: name the packages. Only missing formats are not an error.
name_them() {
    if [ -n "$must" ]; then
        echo "setup: packages are missing. Install them as root:  apt-get install$must$may" >&2
        exit 1
    fi
    echo "setup: some picture formats, or clip pull, are left out. For them, install as root:  apt-get install$may" >&2
    exit 0
}

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || name_them
    as_root=sudo
fi

log=$(mktemp) && trap 'rm -f "$log"' EXIT
# quietly COMMAND... : shows its output only if it fails
quietly() {
    "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "setup: failed: $*" >&2; name_them; }
}
quietly $as_root apt-get update
all=$must
for p in $may; do
    apt-cache show "$p" >/dev/null 2>&1 && all="$all $p" || echo "setup: this Debian has no $p: left out" >&2
done
# From Debian 13 on, the decoder for HEIC is a package of its own.
case $all in *libheif-dev*) apt-cache show libheif-plugin-libde265 >/dev/null 2>&1 &&
    all="$all libheif-plugin-libde265" ;; esac
[ -n "$all" ] || exit 0
echo "setup: installing$all" >&2
quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $all
