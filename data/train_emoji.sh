#!/bin/sh
# The model that ships, from nothing: pairs, 64 epochs, two fine-tunings from there on captions of more kinds, and the mean of those two.
# An hour of two cores, and 450 MB in DIRECTORY. Needs what data/make_pairs.py needs.
# usage: [CLIP=build/cli/clip] data/train_emoji.sh DIRECTORY
set -eu
out=$1 here=$(dirname "$0")
clip=${CLIP:-$here/../build/cli/clip}

for vary in tags words; do
    "$here/make_pairs.py" "$out/$vary" --vary $vary --packages "$out/packages"
done

# train RUN CAPTIONS OPTION...
train() {
    run=$out/$1 captions=$2
    shift 2
    "$clip" train --output "$run" --train-data "$out/$captions/pairs/train-{000..002}.tar" --val-data "$out/$captions/pairs/clipart_val.tar" "$@"
}
train first tags --config "$here/emoji-clip.json"
train second words --config "$here/emoji-clip-tune.json" --pretrained "$out/first/checkpoint" --epochs 16 --lr 5e-4 --warmup 60
train third words --config "$here/emoji-clip-tune.json" --pretrained "$out/first/checkpoint" --epochs 24 --lr 1e-3 --warmup 100
"$clip" convert -m "$out/second/checkpoint" --average "$out/third/checkpoint" --dtype f16 "$out/emoji-clip"
