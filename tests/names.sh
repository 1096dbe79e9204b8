#!/bin/sh
# Names keep to their rooms (docs/design.md).
#   public   only functions of clip.h begin with clip_, and their bodies are in src/api
#            nothing below src/api calls them
#   sqlite   SQLite is called in one file
#   towers   only src/model compares the row of a tower
#   tests    their functions do not begin with test_
#   said     functions and files that comments and documents name exist
# usage: tests/names.sh SOURCE_ROOT
set -eu
cd "$1"
faults=0
list=${TMPDIR:-/tmp}/clip-names.$$
fault() { echo "$*"; faults=$((faults + 1)); }

public=$(grep -o 'clip_[a-z0-9_]*(' include/clip.h | tr -d '(' | sort -u)
# functions that are defined, not static: "file:name"
defined=$(grep -rnE '^[a-z][A-Za-z0-9_ *]*[ *]clip_[a-z0-9_]+\(' src --include='*.[ch]' |
    grep -vE ':[0-9]+:(static|typedef|extern) ' |
    sed -E 's/^([^:]*):[0-9]+:.*[ *](clip_[a-z0-9_]+)\(.*/\1:\2/')
for d in $defined; do
    file=${d%:*} name=${d#*:}
    case $file in
    src/api/*) ;;
    *) fault "$file: $name() is not in src/api, so its name may not begin with clip_" ;;
    esac
    echo "$public" | grep -qx "$name" || fault "$file: $name() is not in clip.h, so its name may not begin with clip_"
done

# calls: comments say clip_x(), so a bracket that closes at once does not count
grep -rnoE '\bclip_[a-z0-9_]+\([^)]' src --include='*.[ch]' | grep -v '^src/api/' |
    sed -E 's/:[0-9]+:/ /; s/\(.$//' | sort -u |
    while read -r file name; do
        echo "$public" | grep -qx "$name" && echo "$file calls $name() of src/api: call the function of its room"
    done >"$list" || :
while read -r line; do fault "$line"; done <"$list"

stores=$(grep -rl 'sqlite3_' src --include='*.c' | wc -l)
[ "$stores" -le 1 ] || fault "SQLite is called in $stores files:" $(grep -rl 'sqlite3_' src --include='*.c')

# extern const clipmdl_tower_kind clipmdl_vit, ...: "clipmdl_vit|.."
towers=$(sed -n 's/^extern const clipmdl_tower_kind \(.*\);.*/\1/p' src/model/tower.h |
    tr -d ' ' | tr ',' '\n' | sort -u | paste -sd'|')
[ -n "$towers" ] || fault "src/model/tower.h declares no row"
for f in $(grep -rlE "[=!]= *&($towers)\b|&($towers) *[=!]=" src cli --include='*.[ch]' | grep -v '^src/model/'); do
    fault "$f asks which row a tower is: use the fields of model/tower.h"
done

for f in $(grep -rlE '^static void test_' tests --include='*.[ch]'); do
    fault "$f: a test function is named by the statement that it checks, without test_"
done

# What comments and documents name exists: functions as "clip_x()", files as "src/x/y.c" or "y.c"
code=$(find src include cli tests examples bench -name '*.[ch]')
texts="$(find docs -name '*.md') README.md CONTRIBUTING.md"
grep -ohE '\bclip[a-z]*_[a-z0-9_]+\([^)]' $code | tr -d '(' | sed 's/.$//' | sort -u >"$list"
for name in $(grep -ohE '\bclip[a-z]*_[a-z0-9_]+\(\)' $code $texts | tr -d '()' | sort -u | grep -vxFf "$list"); do
    fault "$name() does not exist, but is named in" $(grep -lE "\b$name\(\)" $code $texts)
done
paths='\b(src|cli|tests|tools|bench|docs|include)/[A-Za-z0-9_./-]+\.(c|h|sh|py|md|inc)\b'
for path in $(grep -ohE "$paths" $code $texts | grep -v NAME | sort -u); do
    [ -e "$path" ] || fault "$path does not exist, but is named in" $(grep -lF "$path" $code $texts)
done
find . -name '*.[ch]' | sed 's|.*/||' | sort -u >"$list"
for name in $(grep -hE '^ *(/\*|\*)' $code | grep -oE '(^|[ (])[a-z0-9_]{3,}\.[ch]\b' | tr -d ' (' |
    sort -u | grep -vxFf "$list"); do
    case $name in
    clip.c | cmocka.h) ;;
    *) fault "$name does not exist, but is named in" $(grep -lE "[ (]$name\b" $code) ;;
    esac
done
rm -f "$list"

[ "$faults" -eq 0 ]
