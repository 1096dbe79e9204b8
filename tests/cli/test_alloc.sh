#!/bin/sh
# Any allocation of the command may fail: the command says "out of memory", ends with exit code 1,
# leaks nothing and leaves no new file. If the memory for one picture is missing, the command names
# that picture and goes on with the others.
# usage: tests/cli/test_alloc.sh FAILING_CLIP SOURCE_ROOT
set -u
clip=$(realpath "$1") root=$(realpath "$2") picture=$(realpath "$2")/tests/cli/golden/picture.png
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
export CLIP_MODEL="$root/models/emoji-clip"
mkdir -p zoo/cat zoo/dog out
cp "$picture" zoo/cat/ && cp "$picture" zoo/dog/
echo "$picture" >list
echo 'a cat' >texts
faults=0 runs=0

# every ARGUMENT...: the command with the first, second, ... allocation failing, until there are no
# more.
# $stride: only every so-many-th. $stays: unfinished files may stay.
stride=1 stays=
every() {
    n=0
    while n=$((n + stride)); do
        FAIL_ALLOC_AT=$n "$clip" "$@" >o 2>e
        code=$?
        runs=$((runs + 1))
        if [ -n "$stays" ] || grep -q '/\(picture\|[bc][a-z-]*\).png: .*out of memory' e; then rm -rf out/*; fi
        [ $code -ne 0 ] || break
        if [ $code -ne 1 ] || ! grep -q 'out of memory' e || grep -q -e Sanitizer -e 'runtime error' e ||
            { [ -z "$stays" ] && [ -n "$(ls -A out)" ]; } || [ $n -gt 500 ]; then
            echo "FAULT: allocation $n of: clip $*: exit code $code"
            head -30 e
            ls -A out
            faults=$((faults + 1))
            break
        fi
    done
    [ $n -gt $stride ] || { echo "FAULT: nothing was allocated by: clip $*"; faults=$((faults + 1)); }
    rm -rf out/*
}
every embed "$picture" zoo --files-from list --text hello --texts-from texts -o out/x.npy --names out/x.txt
every classify -l 'a cat,a dog,a cat' --templates 'a photo of {}' --html out/x.html zoo
every classify -l texts --json "$picture"
every eval retrieval zoo
every eval zeroshot zoo
printf 'animal\n  cat\n  dog\n' >tree
every eval zeroshot zoo --hierarchy tree --calibrate --confusion out/c.csv
every eval zeroshot zoo --fit-thresholds out/thresholds
every classify --hierarchy tree "$picture"
every classify -l 'a cat,a dog' --multi-label --threshold -1 --html out/x.html "$picture"
every bench --json

# Encoders alone, explaining, matching, probes
hidden=$root/tests/model/golden/hidden vit=$root/tests/model/golden/tiny-vit
printf 'filepath\ttitle\n' >pairs.tsv
for f in "$root"/models/samples/[bc]*.png; do
    printf '%s\t%s\n' "$f" "$(basename "$f" .png | tr - ' ')" >>pairs.tsv
done
"$clip" match --fit -o match.json pairs.tsv >/dev/null && "$clip" probe zoo --test-data zoo -o probe >/dev/null ||
    exit 1
every embed -m "$hidden/vision" "$picture" --tokens --layer -2 -o out/x.npy
every embed --text hello --tokens -o out/x.npy
every explain -m "$vit" "$picture" 'a b' -o out/x.png
every match --fit -o out/match.json pairs.tsv
every match --fitted match.json "$picture" 'a cat'
every match --hardest 3 pairs.tsv
every probe zoo --test-data zoo --val-data zoo -o out/probe
every probe zoo --test-data zoo --shots 1
every probe --apply probe "$picture"

# Searching
export XDG_STATE_HOME="$T/state"
"$clip" index --index ix --captions zoo >/dev/null || exit 1
every search --index ix -k 2 --table a cat
every search --index ix --like "$T/zoo/cat/picture.png" - a dog + "$picture" --html out/x.html
every search --index ix --duplicates --json
every search --index ix --queries texts --prompt 'a {}'
"$clip" index --index words pairs.tsv >/dev/null || exit 1
every vqa 'what is this?' --answers-from-index words "$picture"

cat >tiny.json <<'END'
{"model_cfg": {"embed_dim": 32,
               "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 32},
               "text_cfg": {"context_length": 16, "vocab_size": 516, "width": 32, "heads": 1, "layers": 1}}}
END
stride=9 stays=yes
every train --model tiny.json --tokenizer-vocab 516 --train-data zoo --val-data zoo --batch-size 2 --epochs 1 \
    --output out/run

echo "$runs runs, $faults faults"
[ $faults -eq 0 ]
