#!/bin/sh
# clip explain, and clip eval zeroshot beyond ranks. test_understand.sh CLIP CHECK_OUTPUT SOURCE
set -u
clip=$(realpath "$1") check=$(realpath "$2") source=$(realpath "$3")
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
. "$source/tests/cli/harness.sh"
cd "$T" || exit 1
model=$source/models/emoji-clip vit=$source/tests/model/golden/tiny-vit

# Two pictures as PPM: a red disc on white in the upper left quarter, a blue one in the lower right.
disc() {
    awk -v cx="$1" -v cy="$2" -v r="$3" -v g="$4" -v b="$5" 'BEGIN {
        print "P3 96 64 255"
        for (y = 0; y < 64; y++) for (x = 0; x < 96; x++) {
            in_it = (x - cx) ^ 2 + (y - cy) ^ 2 < 144
            print in_it ? r : 255, in_it ? g : 255, in_it ? b : 255
        } }'
}
mkdir -p pictures/red pictures/blue heats
disc 20 18 220 30 40 >pictures/red/a.ppm
disc 70 44 40 70 220 >pictures/blue/b.ppm
disc 30 20 220 30 40 >pictures/red/c.ppm
disc 60 40 40 70 220 >pictures/blue/d.ppm

it 'explain: a ResNet: the peak lies on the only thing there is'
want 0 "$clip" explain -m "$model" pictures/red/a.ppm 'red circle' --json
x=$(json texts.0.peak.0) y=$(json texts.0.peak.1)
[ $(((x - 20) * (x - 20) + (y - 18) * (y - 18))) -lt 256 ] || fault "the peak is at $x,$y"
same "$(ls)" "$(printf 'err\nheats\nout\npictures')"

it 'explain: files'
want 0 "$clip" explain -m "$model" pictures/red/a.ppm 'red circle' 'a cat, asleep' -o heats --raw maps.npy
same "$(ls heats | tr '\n' ' ')" 'a-a-cat-asleep.png a-red-circle.png '
same "$(wc -c <maps.npy)" $((128 + 2 * 16 * 16 * 4))
want 0 "$clip" explain -m "$vit" pictures/red/a.ppm 'a b' -o vit.png
same "$(head -c 4 vit.png | tail -c 3)" PNG

it 'explain: what is wrong'
want 2 "$clip" explain -m "$model" pictures/red/a.ppm
says 'the words are missing'
want 2 "$clip" explain -m "$model" pictures/red/a.ppm ' '
says 'a text without words'
want 2 "$clip" explain -m "$model" pictures/red/a.ppm x y -o one.png
says 'is no folder'
want 1 "$clip" explain -m "$model" nowhere.png x
says nowhere.png

it 'zeroshot: levels, calibration, confusion'
printf 'warm\n  red\ncold\n  blue\n' >tree
want 0 "$clip" eval zeroshot -m "$model" pictures --hierarchy tree --calibrate --confusion c.csv --json
same "$(json labels)" 2
same "$(json levels.0)" "$(json levels.1)"
same "$(head -1 c.csv)" 'label,pictures,recall,precision,"red","blue"'
same "$(wc -l <c.csv)" 3
want 0 "$clip" eval zeroshot -m "$model" pictures --confusion c.html
grep -q '</html>' c.html || fault 'the page has no end'

it 'zeroshot: hierarchies that are none'
printf 'warm\n  red\n  red\n' >tree
want 1 "$clip" eval zeroshot -m "$model" pictures --hierarchy tree
says "line 3: 'red' is there twice"
printf 'warm\n  red\n' >tree
want 1 "$clip" eval zeroshot -m "$model" pictures --labels red,blue --hierarchy tree
says "'blue' is not among its leaves"
: >tree
want 1 "$clip" eval zeroshot -m "$model" pictures --hierarchy tree
says 'no label in it'

it 'classify: --scale'
want 0 "$clip" classify -m "$model" --labels red,blue --scale 0.001 --json pictures/red/a.ppm
same "$(json pictures.0.labels.0.probability | cut -c1-3)" 0.5
want 2 "$clip" classify -m "$model" --labels red,blue --scale x pictures/red/a.ppm
says 'is not a number'

echo "$tests commands, $faults faults"
[ "$faults" = 0 ]
