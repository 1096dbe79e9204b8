#!/bin/sh
# Install the Debian packages that building and testing need and this machine lacks. Says what it does; does nothing if all are there.
# usage: tools/setup.sh [build|test]      test: also what only the tests need
set -eu

build="gcc make meson ninja-build pkg-config libc6-dev libjpeg62-turbo-dev libpng-dev libwebp-dev libtiff-dev libgif-dev
 libheif-dev libraw-dev libjxl-dev libopenjp2-7-dev libcjson-dev libutf8proc-dev zlib1g-dev libarchive-dev libsqlite3-dev libxxhash-dev"
test="clang libclang-rt-14-dev libcmocka-dev librsvg2-dev"

[ "${1:-build}" = test ] && wanted="$build $test" || wanted=$build

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "setup: not a Debian machine: these packages (or their like) are needed:" $wanted >&2
    exit 0
fi
missing=
for p in $wanted; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "setup: missing packages:$missing" >&2
    echo "setup: install them as root:  apt-get install$missing" >&2
    exit 1
fi
echo "setup: installing$missing" >&2
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
