#!/bin/sh
# Kill an indexing run at random moments (kill -9) and go on each time with the same command.
# Compare the result with an uninterrupted run: the same items with the same vectors, and no
# committed item was embedded again.
# usage: tools/survival_index.sh CLIP SAME_INDEX [KILLS] [PICTURES] [SEED]
#        SAME_INDEX  of tests/cli, in the build directory
set -u
clip=$(realpath "$1") same=$(realpath "$2") kills=${3:-100} pictures=${4:-300} seed=${5:-$$}
root=$(realpath "$(dirname "$0")/..")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL CLIP_INDEX

# Different pictures with a caption each: samples with bytes behind their ends, which decoders
# ignore.
mkdir photos
i=0
while [ $i -lt "$pictures" ]; do
    for p in "$root"/models/samples/*.png; do
        [ $i -lt "$pictures" ] || break
        mkdir -p photos/$((i % 7))
        { cat "$p" && echo $i; } >photos/$((i % 7))/$i.png
        echo "picture number $i" >photos/$((i % 7))/$i.txt
        i=$((i + 1))
    done
done

now() { date +%s.%N; }
fill() { exec "$clip" index --captions --commit-every 0.05 --index "$1" --json photos; } # in a process of its own
value() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$2"; }
differ() {
    echo "after $landed kills (seed $seed): $*"
    tail -20 log
    exit 1
}

start=$(now)
(fill whole) >whole.json 2>log || { cat log; exit 1; }
seconds=$(echo "$start $(now)" | awk '{print $2 - $1}')

landed=0 runs=0 draw=0
while [ $landed -lt "$kills" ] || [ -e run ]; do
    # while kills remain, each attempt gets a random share of the time of a whole run
    draw=$((draw + 1))
    before=0
    if [ -e run/catalogue.db ] && "$clip" index --index run --stats --json >stats.json 2>log; then
        before=$(value pictures stats.json)
    fi
    (fill run) >run.json 2>log &
    pid=$!
    if [ $landed -lt "$kills" ]; then
        sleep "$(awk -v s="$seed" -v n=$draw -v t="$seconds" \
            'BEGIN { srand(s * 1000 + n); rand(); print t * 0.6 * rand() }')"
        kill -9 $pid 2>/dev/null
    fi
    wait $pid 2>/dev/null
    code=$?
    case $code in
    0)
        "$same" whole run || differ 'the indexes differ'
        "$clip" index --index run --verify >/dev/null 2>log || differ 'the index is damaged'
        "$clip" index --index run --stats --json >stats.json
        # nothing that had been committed was embedded again: it would have left a gap among the rows
        [ "$(value embedded run.json)" = $((pictures - before)) ] ||
            differ "$(value embedded run.json) embedded in the end, $before were there"
        [ "$(value rows stats.json)" = $((2 * pictures)) ] ||
            differ "$(value rows stats.json) rows for $((2 * pictures)) items"
        runs=$((runs + 1))
        rm -rf run ;;
    137) landed=$((landed + 1)) ;;
    *) differ "it did not go on, exit code $code" ;;
    esac
done
[ $runs -gt 0 ] || differ 'no run came to its end'
echo "$landed kills, $runs indexes completed: all equal to an uninterrupted one, no committed item embedded again"
