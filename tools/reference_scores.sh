#!/bin/sh
# Measure the scores of a model on the reference's three splits with `clip eval zeroshot`. Prints
# them beside the scores in the reference's README, which PyTorch and OpenCLIP computed for the
# reference checkpoint. Without MODEL, the reference checkpoint is measured; then the script fails
# if a score is off by more than 2 pictures (and the README's rounding to 0.1 %).
# usage: [CLIP=build/cli/clip] [PRECISION=f32] tools/reference_scores.sh REFERENCE_DIRECTORY [MODEL]
set -eu
reference=$1 model=${2:-$1/emoji-clip} clip=${CLIP:-$(dirname "$0")/../build/cli/clip}
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT

# Labels of style_val: the distinct first captions of the emoji (not the clip art) that were trained on.
awk -F'\t' '$3 == "train" && $1 !~ /^openclipart/ {split($2, c, "|"); if (!seen[c[1]]++) print c[1]}' \
    "$reference/pairs.tsv" >"$T/style"

# score SPLIT OPTION...
score() {
    split=$1
    shift
    "$clip" eval zeroshot "$reference/pairs/$split.tar" --model "$model" --precision "${PRECISION:-f32}" --json "$@" \
        >"$T/$split.json"
}
score style_val --labels "$T/style"
score concept_val
score clipart_val --captions last

echo "in per cent      pictures  labels      @1  reference      @5  reference     @10  reference"
for split in style_val concept_val clipart_val; do
    awk -v ours=$((2 - $#)) -v split_name="$split" -v json="$(cat "$T/$split.json")" '
        function value(key,   at) {
            at = match(json, "\"" key "\":[0-9.e+-]+")
            return at ? substr(json, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : -1
        }
        BEGIN { FS = " *[|] *" }
        $2 == split_name && !found++ {
            n = value("pictures")
            printf "%-16s%9d%8d", split_name, n, value("labels")
            bad = n != $3 || value("labels") != $4
            for (i = 0; i < 3; i++) {
                mine = 100 * value(i == 0 ? "top1" : i == 1 ? "top5" : "top10")
                off = (mine - $(5 + i)) * n / 100
                bad = bad || off > 2 + n / 2000 || off < -2 - n / 2000
                printf "%8.2f%11.1f", mine, $(5 + i)
            }
            print bad && ours ? "   off" : ""
        }
        END { exit bad || !found }' "$reference/README.md" || touch "$T/off"
done
[ $# -gt 1 ] || [ ! -e "$T/off" ]
