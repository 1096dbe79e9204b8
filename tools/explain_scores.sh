#!/bin/sh
# How often does the peak of `clip explain` lie on the thing that is named? Uses the scenes with two
# single things that tests/scenes/make_scenes.c draws. Each of the two is named by colour and shape.
# A peak is right if it lies within the thing's radius.
# usage: [CLIP=build/cli/clip] tools/explain_scores.sh MODEL SCENES [PICTURES]
set -eu
model=$1 scenes=$(realpath "$2") pictures=${3:-100} clip=$(realpath "${CLIP:-$(dirname "$0")/../build/cli/clip}")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT

# picture, then title, x, y and radius of either thing
awk -F '\t' -v most="$pictures" '
    function put() { if (n == 2 && title[1] != title[2] && found++ < most) print file, line[1], line[2] }
    BEGIN { OFS = "\t" }
    NR > 1 && $1 != file { put(); file = $1; n = 0 }
    NR > 1 { title[++n] = $2; line[n] = $2 OFS $3 OFS $4 OFS $5 }
    END { put() }' "$scenes/objects.tsv" >"$T/asked"

while IFS='	' read -r file a ax ay ar b bx by br; do
    "$clip" explain -m "$model" "$scenes/$file" "$a" "$b" -o "$T" | awk -v x="$ax $bx" -v y="$ay $by" -v r="$ar $br" '
        {
            split(x, cx); split(y, cy); split(r, radius)
            right = 0
            if (match($0, /peak at [0-9]+,[0-9]+/)) {
                split(substr($0, RSTART + 8, RLENGTH - 8), peak, ",")
                right = (peak[1] + 0.5 - cx[NR]) ^ 2 + (peak[2] + 0.5 - cy[NR]) ^ 2 <= radius[NR] ^ 2
            }
            print right
        }'
    rm -f "$T"/*.png
done <"$T/asked" | awk \
    '{ right += $1 } END { printf "%d things, the peak lies on %.1f %% of them\n", NR, 100 * right / NR }'
