#!/bin/bash
# What weights in 8 bits save: the size of the file that `clip convert --dtype int8` writes, and the
# processor time of loading both encoders, which `clip info` does. The best of 5.
# usage: [CLIP=build/cli/clip] tools/int8_files.sh MODEL...
set -euo pipefail
clip=${CLIP:-$(dirname "$0")/../build/cli/clip}
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT

# load OPTION...: seconds
load() {
    for _ in 1 2 3 4 5; do
        { time -p "$clip" info --threads 1 "$@" >"$T/out" 2>&1; } 2>&1 | awk '$1 != "real" {s += $2} END {print s}'
    done | sort -n | head -1
}

printf '%-24s%10s%12s%8s%14s%14s\n' '' 'MB' 'int8, MB' '' 'load, s' 'int8 file, s'
for model; do
    "$clip" convert --model "$model" --dtype int8 "$T/int8" 2>"$T/err" || { cat "$T/err" >&2 && exit 1; }
    file=$("$clip" info --model "$model" --json 2>"$T/err" | sed 's/.*"weights_file":"\([^"]*\)".*/\1/')
    before=$(wc -c <"$file") after=$(wc -c <"$T/int8/clip_int8.safetensors")
    awk -v name="$(basename "$model")" -v before="$before" -v after="$after" \
        -v load="$(load --model "$model" --precision int8)" -v load_file="$(load --model "$T/int8")" 'BEGIN {
            printf "%-24s%10.1f%12.1f%6.0f %%%14.2f%14.2f\n", name, before / 1e6, after / 1e6, 100 * after / before,
                load, load_file
        }'
    rm -rf "$T/int8"
done
