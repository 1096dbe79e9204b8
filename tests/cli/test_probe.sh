#!/bin/sh
# clip probe: the three kinds learn drawn shapes, are stored and applied; refusals.
# usage: tests/cli/test_probe.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"

# drawn FILE COLOUR SIZE: a disc
drawn() {
    awk -v color="$2" -v size="$3" 'BEGIN { print "P3 24 24 255"
        for (y = 0; y < 24; y++) for (x = 0; x < 24; x++)
            print (x - 12) ^ 2 + (y - 12) ^ 2 < size ^ 2 ? color : "255 255 255" }' >"$1"
}
mkdir -p zoo/red zoo/blue zoo/green test/red test/blue test/green
for i in $(seq 0 11); do
    drawn zoo/red/$i.ppm "$((200 + i * 4)) 30 $((40 + i))" $((4 + i % 6))
    drawn zoo/blue/$i.ppm "$((20 + i)) 60 $((190 + i * 4))" $((4 + i % 6))
    drawn zoo/green/$i.ppm "$((20 + i)) $((150 + i * 5)) 50" $((4 + i % 6))
done
for c in red blue green; do cp zoo/$c/0.ppm zoo/$c/5.ppm test/$c/; done

it "a linear probe"
want 0 "$clip" probe --json -t 1 zoo -o zoo.probe
same "$(json kind)" linear
same "$(json classes)" 3
same "$(json test)" 6
same "$(json top1)" 1
same "$(json per_class.0.label)" blue
"$check" get l2 <out >l2
want 0 "$clip" probe --json -t 3 zoo -o again.probe
same "$(json l2)" "$(cat l2)"
cmp -s zoo.probe/probe.safetensors again.probe/probe.safetensors || fault "differs by threads"
want 0 "$clip" probe --json zoo --val-data test --test-data test --l2 1
same "$(json validation)" 6
same "$(json validation_top1)" 1
want 0 "$clip" probe zoo --test-data test --l2 1 --per-class
prints ' red'
prints '100.00 %'

it "a few shots, neighbours"
want 0 "$clip" probe --json --shots 2 --templates 'a {} circle' zoo -o shots.probe
same "$(json training)" 6
same "$(json top1)" 1
want 0 "$clip" probe --json --knn 3 zoo -o knn.probe
same "$(json top1)" 1

it "a probe is stored and applied"
for p in zoo shots knn; do
    want 0 "$clip" probe --apply $p.probe -k 1 --json test/blue test/red/0.ppm
    same "$("$check" lines <out)" 3
    head -1 out >line && "$check" get labels.0.label <line >label && same "$(cat label)" blue
    tail -1 out >line && "$check" get labels.0.label <line >label && same "$(cat label)" red
done
want 0 "$clip" probe zoo -o zoo.probe
mkdir full && touch full/x
want 1 "$clip" probe zoo -o full
[ -f full/x ] || fault "what was in the way is gone"

it "a probe of an earlier version, whose words do not name the hash of its numbers"
cp -r zoo.probe earlier
sed -i 's/"network":/"other":/' earlier/probe.json
want 0 "$clip" probe --apply earlier test
cp out whole
want 0 "$clip" probe --apply zoo.probe test
same "$(cmp out whole)" ''

it "a probe of another size of pictures"
want 0 "$clip" probe --image-size 96 zoo -o larger.probe
want 0 "$clip" probe --image-size 96 --apply larger.probe test
want 1 "$clip" probe --apply larger.probe test
says 'was fitted with pictures of 96 pixels'
want 1 "$clip" probe --image-size 96 --apply zoo.probe test
says 'has pictures of 96'

it "a probe that is not this model's, or damaged"
cp -r zoo.probe bad
sed 's/"weights":[[:space:]]*"./"weights": "x/' zoo.probe/probe.json >bad/probe.json
want 1 "$clip" probe --apply bad test
says 'fitted on other weights or settings'
sed 's/"kind":[[:space:]]*"linear"/"kind": "cache"/' zoo.probe/probe.json >bad/probe.json
want 1 "$clip" probe --apply bad test
says 'missing or not of the shape'
cp knn.probe/probe.safetensors bad/
cp zoo.probe/probe.json bad/
want 1 "$clip" probe --apply bad test
says 'does not belong to'
sed 's/"pictures":[[:space:]]*[0-9]*$/"pictures": 2000000000/' knn.probe/probe.json >bad/probe.json
want 1 "$clip" probe --apply bad test
for broken in '' '[]' '{"kind": "linear"}' '{"kind": 3}' '{"kind": "cache", "alpha": -1}' \
    '{"kind": "cache", "beta": 1e99}'; do
    echo "$broken" >bad/probe.json
    want 1 "$clip" probe --apply bad test
    says bad/probe
done
cp zoo.probe/probe.json bad/ && head -c 100 zoo.probe/probe.safetensors >bad/probe.safetensors
want 1 "$clip" probe --apply bad test
want 1 "$clip" probe --apply nowhere test

it "refusals"
mkdir empty one one/red
cp zoo/red/*.ppm one/red/
want 2 "$clip" probe
want 2 "$clip" probe --apply zoo.probe
want 1 "$clip" probe empty
want 1 "$clip" probe one
says "all pictures have the label 'red'"
want 1 "$clip" probe zoo/red --test-data zoo
want 2 "$clip" probe zoo --shots 2 --knn 3
want 2 "$clip" probe zoo --l2 -1
want 2 "$clip" probe zoo --templates 'a {}'
want 2 "$clip" probe zoo --shots 2 --l2 1
says '--l2 goes with a linear probe'
want 2 "$clip" probe zoo --knn 2 --val-data test
says '--val-data does not go'
want 2 "$clip" probe zoo -k 3
says '--top goes with --apply'
want 2 "$clip" probe --apply zoo.probe --seed 3 test
says '--seed goes with learning'
want 1 "$clip" probe test
says 'no picture is left for the test'
cp -r test more && mkdir more/purple && cp zoo/red/1.ppm more/purple/
want 1 "$clip" probe zoo --test-data more
says 'has no training picture'
printf 'filepath\ttitle\nzoo/red/0.ppm\t-\n' >t.tsv
want 1 "$clip" probe t.tsv

echo "$tests tests, $faults faults"
[ $faults -eq 0 ]
