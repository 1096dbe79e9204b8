#!/bin/sh
# clip explain; clip classify and clip eval zeroshot beyond the best label.
# usage: tests/cli/test_understand.sh CLIP CHECK_OUTPUT SOURCE_ROOT
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
mkdir same
want 0 "$clip" explain -m "$model" pictures/red/a.ppm 'a cat' 'A cat!' '?!' -o same
same "$(ls same | tr '\n' ' ')" 'a-3.png a-A-cat-2.png a-a-cat.png '

it 'explain: what is wrong'
want 2 "$clip" explain -m "$model" pictures/red/a.ppm
says 'the text is missing'
want 1 "$clip" explain -m "$model" pictures/red/a.ppm x ' '
says 'no words'
want 2 "$clip" explain -m "$model" pictures/red/a.ppm x y -o one.png
says 'is not a folder'
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
says "line 3: 'red' occurs twice"
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

it 'zeroshot: a fit that does not help says so'
want 0 "$clip" eval zeroshot -m "$model" pictures --labels 'blue,red' --calibrate --json
before=$(json ece_before) after=$(json ece_after)
want 0 "$clip" eval zeroshot -m "$model" pictures --labels 'blue,red' --calibrate
case $(awk -v a="$after" -v b="$before" 'BEGIN { print a > b }') in
1) prints 'larger error' ;;
*) ! grep -q 'larger error' "$T/out" || fault 'it says so though it helps' ;;
esac

it 'labels without words'
want 1 "$clip" classify -m "$model" --labels "$(printf 'red,\302\240')" pictures/red/a.ppm
says 'has no words in it'
want 1 "$clip" eval zeroshot -m "$model" pictures --labels "$(printf 'red,blue,\302\240')"
says 'has no words in it'

it 'classify --hierarchy: a parent has the sum of its leaves'
printf 'warm\n  red\n  orange\ncold\n  blue\n  beasts\n    elephant\ngrey\n' >tree
want 0 "$clip" classify -m "$model" --hierarchy tree -k 9 --json pictures/red/a.ppm
same "$(json labels)" 5
names=$(for i in 0 1 2 3 4 5 6 7; do json pictures.0.tree.$i.name; done | sort | tr '\n' ' ')
same "$names" 'beasts blue cold elephant grey orange red warm '
same "$(json pictures.0.tree.0.name)" warm
same "$(json pictures.0.tree.0.parent)" 0 # null
same "$(json pictures.0.tree.1.parent)" warm
sum=$(for i in 0 1 2 3 4; do json pictures.0.labels.$i.label; json pictures.0.labels.$i.probability; done | paste - - |
    awk '$1 == "red" || $1 == "orange" { sum += $2 } END { printf "%.5f", sum }')
same "$(printf %.5f "$(json pictures.0.tree.0.probability)")" "$sum"
want 0 "$clip" classify -m "$model" --hierarchy tree -k 1 pictures/red/a.ppm
same "$(sed 1d "$T/out" | sed 's/.*%//; s/ *-*[0-9.]* //' | awk '{ print $1 }' | tr '\n' ' ')" 'warm red '
want 1 "$clip" classify -m "$model" --hierarchy tree --labels red,blue pictures/red/a.ppm
says 'is not on the list of labels'
want 2 "$clip" classify -m "$model" pictures/red/a.ppm
says '--labels is missing'

it 'classify --multi-label'
printf 'red\t-1\nblue\t1\ngreen\t-0.999\n' >thresholds
want 0 "$clip" classify -m "$model" --labels thresholds --multi-label --scale 4 --json pictures/red/a.ppm
grep -q '"label":"red"' "$T/out" || fault 'red is missing'
! grep -q '"label":"blue"' "$T/out" || fault 'blue is there'
same "$(json pictures.0.labels.0.threshold)" -1
c=$(json pictures.0.labels.0.cosine) p=$(json pictures.0.labels.0.probability)
same "$(printf %.5f "$p")" "$(awk -v c="$c" 'BEGIN { printf "%.5f", 1 / (1 + exp(-4 * (c + 1))) }')"
want 0 "$clip" classify -m "$model" --labels red,blue --multi-label --threshold 1 pictures/red/a.ppm
prints 'none of the labels'
want 0 "$clip" classify -m "$model" --labels red,blue --multi-label --threshold -1 -k 1 --html several.html \
    pictures/red/a.ppm
same "$(wc -l <"$T/out")" 2
grep -q 'each with its probability' several.html || fault 'the page does not say what probabilities are'
want 1 "$clip" classify -m "$model" --labels red,blue --multi-label pictures/red/a.ppm
says "label 'red' has no threshold"
want 2 "$clip" classify -m "$model" --labels red,blue --threshold 0.2 pictures/red/a.ppm
want 2 "$clip" classify -m "$model" --labels red,blue --multi-label --threshold 2 pictures/red/a.ppm
want 2 "$clip" classify -m "$model" --labels red --multi-label --hierarchy tree pictures/red/a.ppm
for line in 'red\t2' 'red\tx' 'red\tnan' 'red\t0.1\nred \t0.2'; do
    printf "$line\n" >thresholds
    want 1 "$clip" classify -m "$model" --labels thresholds --multi-label --threshold 0 pictures/red/a.ppm
done
printf 'red\t0.1\nblue\n' >thresholds
want 0 "$clip" classify -m "$model" --labels thresholds --json pictures/red/a.ppm
grep -q '"label":"red"' "$T/out" || fault 'a threshold that is not asked for stays in the label'

it 'zeroshot --multi-label: a table names a picture once for each of its labels'
printf 'filepath\ttitle\n' >several.tsv
for f in red/a red/c blue/b blue/d; do
    printf 'pictures/%s.ppm\t%s\npictures/%s.ppm\tdisc\n' $f ${f%/*} $f >>several.tsv
done
want 0 "$clip" eval zeroshot -m "$model" several.tsv --fit-thresholds fitted --json
same "$(json pictures)" 4
same "$(json labels)" 3
same "$(json fitted_on)" 2
same "$(cut -f 1 fitted | tr '\n' ' ')" 'blue disc red '
want 0 "$clip" eval zeroshot -m "$model" several.tsv --fit-thresholds fitted
prints 'one for each label'
want 0 "$clip" eval zeroshot -m "$model" several.tsv --multi-label --labels fitted --json
same "$(json fitted_on)" 0
want 0 "$clip" classify -m "$model" --multi-label --labels fitted pictures/red/a.ppm
printf 'red\t-1\nblue\t-1\ndisc\t-1\n' >all
want 0 "$clip" eval zeroshot -m "$model" several.tsv --multi-label --labels all --json
same "$(json each.recall)" 1
same "$(printf %.4f "$(json each.precision)")" 0.6667
printf 'red\t-1\nblue\t-1\n' >all
want 1 "$clip" eval zeroshot -m "$model" several.tsv --multi-label --labels all --json
same "$(json unlisted)" 4
says "'disc', a label of a picture, is not on the list"
want 2 "$clip" eval zeroshot -m "$model" several.tsv --multi-label
says 'need thresholds'
want 2 "$clip" eval zeroshot -m "$model" several.tsv --fit-thresholds fitted --calibrate
want 1 "$clip" eval zeroshot -m "$model" several.tsv --fit-thresholds fitted --labels moon,sun
says 'has a label from the list'

it 'labels are kept for the next time'
seq 1 120 | sed 's/^/thing number /' >many
kept=$XDG_CACHE_HOME/clip/labels
[ ! -e "$kept" ] || fault 'few labels are kept too'
want 0 "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
cp "$T/out" first
file=$(ls "$kept"/*.npy)
same "$(stat -c %a "$kept")" 700
want 0 "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
cmp -s first "$T/out" || fault 'another answer from what was kept'
want 0 "$clip" classify -m "$model" --labels many --templates 'a {}' --json pictures/red/a.ppm
same "$(ls "$kept" | wc -l)" 2
# what was kept is used: exchanged rows (the first label's and the last's) show in the answer
size=$(stat -c %s "$file")
row=$(((size - 128) / 120))
cp "$file" good
{ head -c 128 good; tail -c $row good; tail -c +$((129 + row)) good; } >"$file"
want 0 "$clip" classify -m "$model" --labels many -k 120 --json pictures/red/a.ppm
cosine() { sed 's/{/\n/g' "$T/out" | grep "\"$1\"" | sed 's/.*cosine"://; s/}.*//'; }
same "$(cosine 'thing number 1')" "$(cosine 'thing number 120')"
# whatever else is there instead
for damage in 'head -c 4000' 'tr \000-\177 \200-\377' 'sed s/False/True\x20/' 'sed s/120/119/'; do
    $damage <good >"$file"
    want 0 "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
    cmp -s first "$T/out" || fault "another answer after $damage"
    cmp -s good "$file" || fault "not written anew after $damage"
done
{ head -c 128 good; head -c $((size - 128)) /dev/zero; } >"$file"
want 0 "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
cmp -s first "$T/out" || fault 'vectors of no length are taken'
rm "$file" && mkfifo "$file"
want 0 timeout 60 "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
cmp -s first "$T/out" || fault 'another answer beside a pipe'

it 'labels that are kept: 64 MB in all, the oldest go; a strange file stays'
rm -f "$kept"/*
touch "$kept/notes.txt"
for i in 1 2 3; do
    truncate -s 30M "$kept/0000000000000000000000000000000$i.npy"
    touch -d "2020-01-0$i" "$kept/0000000000000000000000000000000$i.npy"
done
want 0 "$clip" classify -m "$model" --labels many pictures/red/a.ppm
same "$(ls "$kept" | sed 's/^0*\([123]\).npy/\1/' | grep -v "$(basename "$file")" | tr '\n' ' ')" '2 3 notes.txt '
[ -s "$file" ] || fault 'the new one is missing'

it 'labels that cannot be kept'
: >nofolder
want 0 env XDG_CACHE_HOME="$T/nofolder" "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
silent err
want 0 env -u HOME XDG_CACHE_HOME=relative "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
[ ! -e relative ] || fault 'a relative $XDG_CACHE_HOME is used'
want 0 env HOME="$T/home" XDG_CACHE_HOME= "$clip" classify -m "$model" --labels many --json pictures/red/a.ppm
[ -s "home/.cache/clip/labels/$(basename "$file")" ] || fault 'not in ~/.cache'

echo "$tests commands, $faults faults"
[ "$faults" = 0 ]
