#!/bin/sh
# Do two builds of the command make the same embeddings, bit for bit, on this machine?
#
#     tools/same_bits.sh OLD_CLIP NEW_CLIP [PRECISION...]
#
# PRECISION: f32, bf16 (default: f32, and bf16 where the processor has it). Checkpoints with random
# weights (ViT-B-32, RN50) are made by tools/make_checkpoints.py with $PYTHON, once, in
# $CHECKPOINTS. The shipped model is compared too, and every directory in $MODELS (separated by
# blanks). Needs: torch, open_clip_torch, transformers, safetensors in $PYTHON.
set -eu
[ $# -ge 2 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
old=$1 new=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
kept=${CHECKPOINTS:-${TMPDIR:-/tmp}/clip-same-bits}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$kept"
for name in ViT-B-32 RN50; do
    [ -d "$kept/$name" ] || "${PYTHON:-python3}" "$root/tools/make_checkpoints.py" "$kept" "$name"
done
if [ $# -eq 0 ]; then
    set -- f32
    "$old" embed -m "$root/models/emoji-clip" --precision bf16 --text a >/dev/null 2>&1 && set -- f32 bf16
fi

printf '%s\n' 'a photo of a cat' 'two dogs on a beach' 'x' \
    'a very long text about nothing at all, which goes on and on, and does not end where the context ends' \
    >"$work/texts"

# embed COMMAND OUTPUT MODEL PRECISION
embed() {
    "$1" embed -m "$3" --precision "$4" -o "$work/$2.npy" --texts-from "$work/texts" "$root/models/samples" \
        2>"$work/$2.log" || { cat "$work/$2.log" >&2; exit 1; }
}

faults=0
for model in "$root/models/emoji-clip" "$kept/ViT-B-32" "$kept/RN50" ${MODELS:-}; do
    for precision; do
        embed "$old" old "$model" "$precision"
        embed "$new" new "$model" "$precision"
        if cmp -s "$work/old.npy" "$work/new.npy"; then
            echo "same: $model, $precision"
        else
            echo "DIFFERENT: $model, $precision"
            faults=$((faults + 1))
        fi
    done
done
[ "$faults" -eq 0 ]
