#!/bin/sh
# Whichever allocation of the command fails: "out of memory", exit code 1, no leak, and no file that was not there before.
# usage: tests/cli/test_alloc.sh FAILING_CLIP SOURCE_ROOT
set -u
clip=$(realpath "$1") picture=$(realpath "$2")/tests/cli/golden/picture.png
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
mkdir -p zoo/cat zoo/dog out
cp "$picture" zoo/cat/ && cp "$picture" zoo/dog/
echo "$picture" >list
echo 'a cat' >texts
faults=0 runs=0

# every ARGUMENT...: the command with the first, second, ... allocation failing, until there are no more
every() {
    n=0
    while n=$((n + 1)); do
        FAIL_ALLOC_AT=$n "$clip" "$@" >o 2>e
        code=$?
        runs=$((runs + 1))
        [ $code -ne 0 ] || break
        if [ $code -ne 1 ] || ! grep -q 'out of memory' e || grep -q -e Sanitizer -e 'runtime error' e || [ -n "$(ls -A out)" ] || [ $n -gt 500 ]; then
            echo "FAULT: allocation $n of: clip $*: exit code $code"
            head -30 e
            ls -A out
            faults=$((faults + 1))
            break
        fi
    done
    [ $n -gt 1 ] || { echo "FAULT: nothing was allocated by: clip $*"; faults=$((faults + 1)); }
    rm -f out/*
}
every embed "$picture" zoo --files-from list --text hello --texts-from texts -o out/x.npy --names out/x.txt
every classify -l 'a cat,a dog,a cat' --templates 'a photo of {}' --html out/x.html zoo
every classify -l texts --json "$picture"
every eval retrieval zoo
every eval zeroshot zoo
every bench --json

echo "$runs runs, $faults faults"
[ $faults -eq 0 ]
