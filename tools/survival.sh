#!/bin/sh
# Kill a training run at random moments (kill -9) and go on each time with --resume. Compare the
# result with an uninterrupted run: weights, optimizer and metrics (except times) must be the same
# bytes, and no half-written file may remain.
# usage: tools/survival.sh CLIP [KILLS] [SEED]
set -u
clip=$(realpath "$1") kills=${2:-50} seed=${3:-$$}
root=$(realpath "$(dirname "$0")/..")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1

cat >tiny.json <<'END'
{"model_cfg": {"embed_dim": 32,
               "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
               "text_cfg": {"context_length": 16, "vocab_size": 560, "width": 64, "heads": 2, "layers": 2}}}
END

now() { date +%s.%N; }
begin() { # in a process of its own
    exec "$clip" train --train-data "$root/models/samples/samples.tsv" --val-data "$root/models/samples/samples.tsv" \
        --output "$1" \
        --model tiny.json --tokenizer-vocab 560 --batch-size 8 --epochs 2 --save-every 1 --lr 1e-3
}
# without the times
metrics() { sed 's/"train.samples_per_second.*//; s/"time".*//' "$1/metrics.jsonl"; }

differ() {
    echo "after $landed kills (seed $seed): $*"
    tail -20 log
    exit 1
}
compare() {
    for f in open_clip_model.safetensors optimizer.safetensors vocab.json merges.txt; do
        cmp whole/checkpoint/$f run/checkpoint/$f || differ "$f differs"
    done
    metrics whole >a && metrics run >b && cmp a b || differ 'the metrics differ'
    [ "$(ls -A run)" = "$(ls -A whole)" ] || differ "left over: $(ls -A run | tr '\n' ' ')"
}

start=$(now)
(begin whole) >log 2>&1 || { cat log; exit 1; }
seconds=$(echo "$start $(now)" | awk '{print $2 - $1}')

landed=0 runs=0 draw=0
while [ $landed -lt "$kills" ] || [ -e run ]; do
    # while kills remain, each attempt gets a random share of the time of a whole run
    draw=$((draw + 1))
    if [ -e run/run.json ]; then "$clip" train --resume run >log 2>&1 & else begin run >log 2>&1 & fi
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
        compare
        runs=$((runs + 1))
        rm -rf run ;;
    137) landed=$((landed + 1)) ;;
    *) differ "it did not go on, exit code $code" ;;
    esac
done
[ $runs -gt 0 ] || differ 'no run came to its end'
echo "$landed kills, $runs runs completed: all equal to an uninterrupted run"
