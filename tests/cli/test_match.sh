#!/bin/sh
# clip match: one pair, sets, matrices; fitting and its file; refusals.
# usage: tests/cli/test_match.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"

# drawn FILE KIND: a red disc, a blue square, .. on white. The model that ships knows their names.
drawn() {
    awk -v kind="$2" 'BEGIN { print "P3 32 32 255"; split(kind, k, " ")
        for (y = 0; y < 32; y++) for (x = 0; x < 32; x++) {
            if (k[2] == "circle") in_it = (x - 16) ^ 2 + (y - 16) ^ 2 < 150
            else if (k[2] == "square") in_it = x > 5 && x < 26 && y > 5 && y < 26
            else in_it = y > 5 && y < 26 && (x - 16) ^ 2 < (y - 4) ^ 2 / 4
            if (!in_it) print "255 255 255"
            else print k[1] == "red" ? "220 30 40" : k[1] == "blue" ? "30 90 220" : \
                       k[1] == "green" ? "40 170 60" : "240 200 40" } }' >"$1"
}
printf 'filepath\ttitle\n' >pairs.tsv
i=0
for color in red blue green yellow; do
    for shape in circle square triangle; do
        i=$((i + 1))
        drawn $i.ppm "$color $shape"
        printf '%s.ppm\t%s %s\n' $i $color $shape >>pairs.tsv
    done
done
cp -r "$root/models/emoji-clip" model && rm -f model/match.json
echo "no picture" >broken.png

it "one pair"
want 0 "$clip" match -m model --json 1.ppm 'red circle'
prints '"probability":null'
own=$(json cosine)
want 0 "$clip" match -m model --json 1.ppm 'an aeroplane over the sea'
same "$(awk -v a="$own" -v b="$(json cosine)" 'BEGIN { print (a > b) }')" 1
want 0 "$clip" match -m model 1.ppm 'red circle'
prints '1.ppm  red circle'

it "pairs, and the same numbers whatever the threads"
want 0 "$clip" match -m model -t 1 --json pairs.tsv
"$check" lines <out >lines && same "$(cat lines)" 12
cp out first
want 0 "$clip" match -m model -t 3 --json pairs.tsv
cmp -s out first || fault "differs by threads"

it "matrices"
want 0 "$clip" match -m model --json --texts 'red circle,blue square' 1.ppm 5.ppm
same "$("$check" lines <out)" 4
want 0 "$clip" match -m model --json --matrix pairs.tsv
same "$("$check" lines <out)" 144

it "the hardest"
want 0 "$clip" match -m model --json --hardest 3 pairs.tsv
same "$("$check" lines <out)" 3
want 0 "$clip" match -m model --hardest 100 pairs.tsv

it "fitting, and what was fitted"
want 1 "$clip" match -m model --eval pairs.tsv
says "clip match --fit"
want 0 "$clip" match -m model --fit --json pairs.tsv
same "$(json pairs)" 12
[ -s model/match.json ] || fault "no match.json"
same "$(ls model | grep -c tmp)" 0
want 0 "$clip" match -m model --json 1.ppm 'red circle'
same "$(awk -v p="$(json probability)" 'BEGIN { print (p > 0 && p < 1) }')" 1
silent err
want 0 "$clip" match -m model --eval --json pairs.tsv
same "$(awk -v a="$(json auc)" 'BEGIN { print (a > 0.5) }')" 1
want 0 "$clip" match -m model --fit -o elsewhere.json pairs.tsv
cmp -s elsewhere.json model/match.json || fault "elsewhere.json differs"

it "a fit that is not this model's, or damaged"
sed 's/"weights":[[:space:]]*"./"weights": "x/' elsewhere.json >other.json
want 1 "$clip" match -m model --fitted other.json 1.ppm 'red circle'
says 'fitted on other weights or settings'
cp other.json model/match.json
want 0 "$clip" match -m model --json 1.ppm 'red circle'
says 'fitted on other weights or settings'
prints '"probability":null'
rm model/match.json
for broken in '' '[]' '{' '{"slope": 1}' '{"slope": "x"}' \
    '{"knot": 1, "slope": -1, "intercept": 0, "batch": 16, "pairs": 3}' '{"knot": 1, "slope": 1e99, "intercept": 0}'; do
    echo "$broken" >broken.json
    want 1 "$clip" match -m model --fitted broken.json 1.ppm 'red circle'
    says broken.json
done
want 1 "$clip" match -m model --fit -o nowhere/match.json pairs.tsv
says 'nowhere/match.json'

it "Winoground"
printf 'image_0\timage_1\tcaption_0\tcaption_1\n'\
'1.ppm\t5.ppm\tred circle\tblue square\n4.ppm\t9.ppm\tblue circle\tgreen triangle\n' >w.tsv
want 0 "$clip" match -m model --winoground --json w.tsv
same "$(json rows)" 2
same "$(awk -v t="$(json text)" -v i="$(json image)" -v g="$(json group)" \
    'BEGIN { print (g <= t && g <= i && t <= 1) }')" 1
printf 'image_0\timage_1\tcaption_0\tcaption_1\n'\
'1.ppm\t5.ppm\tred circle\t\n4.ppm\t9.ppm\tblue circle\tgreen triangle\n' >w.tsv
want 1 "$clip" match -m model --winoground w.tsv
says 'every row must be readable'
mkdir pairs && cp 1.ppm pairs && echo 'red circle' >pairs/1.txt
want 1 "$clip" match -m model --winoground pairs
says 'needs a table'

it "refusals"
want 2 "$clip" match -m model
says 'missing'
want 1 "$clip" match -m model 1.ppm ' '
says 'no words'
want 1 "$clip" match -m model broken.png 'red circle'
want 1 "$clip" match -m model nowhere.png 'red circle'
want 2 "$clip" match -m model a b c
want 2 "$clip" match -m model --fit --eval pairs.tsv
says 'do not go together'
want 2 "$clip" match -m model --fit --batch 1 pairs.tsv
want 2 "$clip" match -m model -o x pairs.tsv
want 2 "$clip" match -m model --batch 4 pairs.tsv
says '--batch goes with'
want 2 "$clip" match -m model --fitted elsewhere.json --hardest 3 pairs.tsv
says '--fitted does not go with'
want 1 "$clip" match -m model 1.ppm
head -1 pairs.tsv >none.tsv
want 1 "$clip" match -m model --fit none.tsv
head -2 pairs.tsv >one.tsv
want 1 "$clip" match -m model --fit one.tsv
says 'two pairs'
want 1 "$clip" match -m model --hardest 3 one.tsv
says 'a single pair'

echo "$tests tests, $faults faults"
[ $faults -eq 0 ]
