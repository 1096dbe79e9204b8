#!/bin/sh
# Train the reference's own recipe (its README.md) from nothing with `clip train`, and print the
# scores of the result beside the reference's. Started again with the same OUTPUT, it goes on from
# there. 984 steps of 256 pairs take an hour on two cores.
# usage: [CLIP=build/cli/clip] tools/reference_recipe.sh REFERENCE_DIRECTORY OUTPUT [f32|amp_bf16]
set -eu
reference=$1 output=$2 precision=${3:-f32} here=$(dirname "$0")
export CLIP="${CLIP:-$here/../build/cli/clip}"

if [ -d "$output" ]; then
    "$CLIP" train --resume "$output"
else
    "$CLIP" train --train-data "$reference/pairs/train-{000..002}.tar" --output "$output" \
        --model "$reference/emoji-clip/open_clip_config.json" --tokenizer-vocab 4096 \
        --precision "$precision" --batch-size 256 --epochs 24 --lr 1e-3 --warmup 200 --wd 0.2 --grad-clip-norm 1 \
        --aug-cfg '{"affine": {"zoom": [0.6, 1.05], "aspect": 0.1, "shift": 0.15},
                    "contrast": 0.2, "channel_shift": 0.05}'
fi
awk '{
        if (match($0, /"train\/batch_time":[0-9.]+/)) {
            time = substr($0, RSTART + 19, RLENGTH - 19)
            all += time
            n++
        }
    }
    END { printf "%d steps, %.0f s, %.2f s a step\n\n", n, all, all / n }' "$output/metrics.jsonl"
"$here/reference_scores.sh" "$reference" "$output/checkpoint"
