#!/bin/sh
# What must be true of what `make install` installs: it runs from anywhere, a program builds against
# it, nothing in it names the machine that built it, and a second build of the same tree gives the
# same bytes.
# usage: tests/install.sh        in a tree where `make` works; builds twice below a temporary
# directory
set -eu
cd "$(dirname "$0")/.."
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
fail() { echo "FAULT: $*" >&2; exit 1; }

for n in one two; do # beside the tree and below it: the way from the build to the source differs
    [ $n = one ] && build=$T/build dest=$T/one || build=build-$n dest=$(realpath --relative-to=. "$T")/two
    rm -rf "$build"
    make --no-print-directory install BUILD="$build" PREFIX=/opt/clip DESTDIR="$dest" >"$T/log" 2>&1 ||
        { cat "$T/log"; fail "make install"; }
    rm -rf "$build"
done
diff -r "$T/one" "$T/two" || fail "two builds of one tree differ"

P=$T/one/opt/clip
libs=$(dirname "$(find "$P" -name libclip.so)")
for f in "$P/bin/clip" "$libs/libclip.so"; do
    if readelf -d "$f" | grep -E 'R(UN)?PATH'; then fail "$f has a run path"; fi
    if grep -a -o -e "$PWD[ -~]*" -e "$T[ -~]*" "$f"; then fail "$f names the place where it was built"; fi
done
readelf -d "$libs/libclip.so" | grep -q 'SONAME.*\[libclip\.so\.0\]' || fail "the library has no SONAME"

cp -r models/samples "$T/pictures"
tree=$PWD
cd "$T"
mv "$P" elsewhere
elsewhere/bin/clip --version
elsewhere/bin/clip classify -k 1 --labels 'a tree,a key' pictures/golden-key.png | tee said
grep -q 'a key' said || fail "the installed command does not find its model"

libs=$(dirname "$(find elsewhere -name libclip.so)")
sed -i "s|^prefix=.*|prefix=$T/elsewhere|" "$libs/pkgconfig/clip.pc"
gcc -Wall -Werror "$tree/examples/embed.c" $(PKG_CONFIG_PATH=$libs/pkgconfig pkg-config --cflags --libs clip) -o embed
LD_LIBRARY_PATH=$libs ./embed elsewhere/share/clip/models/emoji-clip pictures/golden-key.png 'a tree' 'a key' | tee said
grep -q 'a key' said || fail "a program with the installed library"
echo "what is installed is sound"
