#!/bin/sh
# Holds the include table of docs/design.md: a room includes only itself and the rooms named here.
# Also finds circles between headers (A includes B, and B includes A, directly or through others).
# usage: tests/include_table.sh SOURCE_ROOT
set -eu
cd "$1"
faults=0

# allow ROOM "ROOMS IT MAY INCLUDE": every #include "room/file.h" under src/ROOM
allow() {
    for f in $(find "src/$1" -name '*.[ch]'); do
        for inc in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$f"); do
            room=${inc%%/*}
            case " $1 $2 " in
            *" $room "*) ;;
            *)
                echo "$f includes $inc: src/$1 may include only: $1 $2"
                faults=$((faults + 1))
                ;;
            esac
        done
    done
}

allow base "clip.h"
allow kernels "base"
allow hub "base clip.h"
allow nn "base kernels"
allow text "base clip.h"
allow image "base clip.h"
allow data "base image clip.h"
allow model "base kernels nn clip.h"
allow train "base kernels nn text image data model clip.h"
allow index "base kernels clip.h"
allow tasks "base kernels clip.h"
allow engine "base hub kernels nn text image data model train tasks clip.h"
allow heads "base kernels nn text image data model train tasks engine clip.h"
allow collection "base kernels nn text image data model index engine clip.h"
allow api "base hub kernels nn text image data model train index tasks engine heads collection clip.h"

# Programs see the public header and their own files.
for f in $(find cli examples -name '*.[ch]'); do
    for inc in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$f"); do
        case $inc in
        */*) echo "$f includes $inc: programs see only clip.h" && faults=$((faults + 1)) ;;
        *)
            [ "$inc" = clip.h ] || [ -f "$(dirname "$f")/$inc" ] ||
                { echo "$f includes $inc" && faults=$((faults + 1)); }
            ;;
        esac
    done
done

# tsort(1) names the members of every circle in "A B" pairs: header A includes header B.
circles=$(find src -name '*.h' | while read -r f; do
    sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\/[^"]*\)".*/\1/p' "$f" | sed "s|^|${f#src/} |"
done | tsort 2>&1 >/dev/null | sed 's/^tsort: *//; s/^-: *//') || true
[ -z "$circles" ] || { echo "headers include each other in a circle:" && echo "$circles" && faults=$((faults + 1)); }

[ "$faults" -eq 0 ]
