#!/bin/sh
# Checkpoints with weights in 8 bits, as a user meets them.
# usage: tests/cli/test_int8.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"
shipped=$root/models/emoji-clip samples=$root/models/samples vit=$root/tests/model/golden/tiny-vit
size() { wc -c <"$1"; }

it 'convert: a third of the size of f32, and the same everywhere'
want 0 "$clip" convert -m "$shipped" --dtype f32 wide
want 0 "$clip" convert -m "$shipped" --dtype int8 small
[ $((3 * $(size small/clip_int8.safetensors))) -lt "$(size wide/open_clip_model.safetensors)" ] || fault 'too large'
want 0 "$clip" convert -m wide --dtype int8 wide-small
want 0 "$clip" convert -m "$shipped" --dtype int8 again
cmp -s small/clip_int8.safetensors again/clip_int8.safetensors || fault 'two files of the same weights differ'

it 'info'
want 0 "$clip" info -m small
prints 'small/clip_int8.safetensors, OpenCLIP'\''s layout, int8'
prints ', products in int8'
want 0 "$clip" info -m small --json
same "$(json precision)" int8
same "$(json weights_type)" int8

it 'every command, with the embeddings of the weights that it was made of'
want 0 "$clip" embed -m "$shipped" --precision int8 "$samples" --text 'a bee'
cp out all
want 0 "$clip" embed -m small "$samples" --text 'a bee'
same "$(cat out)" "$(cat all)"
want 0 "$clip" embed -m small/clip_int8.safetensors "$samples" --text 'a bee'
same "$(cat out)" "$(cat all)"
want 0 "$clip" embed -m small --precision int8 "$samples/bee.png"
want 0 "$clip" classify -m small -l bee,castle,swan -k 1 "$samples/bee.png"
prints bee
want 0 "$clip" match -m small "$samples/bee.png" 'a bee'
want 0 "$clip" convert -m "$vit" --dtype int8 small-vit
want 0 "$clip" explain -m small-vit "$samples/bee.png" apple -o heat.png
[ -s heat.png ] || fault 'no heat map'

it 'what needs other weights is refused'
want 1 "$clip" embed -m small --precision f32 "$samples/bee.png"
says 'small/clip_int8.safetensors: its weights are in 8 bits, so its precision is int8, not f32'
want 1 "$clip" convert -m small --dtype f32 x
says 'small/clip_int8.safetensors: its weights are in 8 bits, for inference alone'
want 1 "$clip" convert -m "$shipped" --average small x
says 'small/clip_int8.safetensors: its weights are in 8 bits, for inference alone'
[ ! -e x ] || fault 'something was written'
printf 'path\tcaption\n%s\ta bee\n%s\ta swan\n' "$samples/bee.png" "$samples/swan.png" >pairs.tsv
want 1 "$clip" train --pretrained small --train-data pairs.tsv --output run
says 'small/clip_int8.safetensors: its weights are in 8 bits, for inference alone'

it 'an index belongs to one file of weights'
want 0 "$clip" index --index of-shipped -m "$shipped" "$samples"
want 1 "$clip" search --index of-shipped -m small bee
says 'another model'
want 0 "$clip" index --index of-small -m small "$samples"
want 0 "$clip" search --index of-small -m small -k 1 "$samples/bee.png"
prints bee.png
want 1 "$clip" search --index of-small -m "$shipped" 'a bee'
says 'another model'

echo "$tests tests, $faults faults"
[ $faults -eq 0 ]
