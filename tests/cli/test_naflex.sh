#!/bin/sh
# Commands with SigLIP 2 NaFlex, whose pictures keep their shape.
# usage: tests/cli/test_naflex.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"
model=$root/tests/model/golden/tiny-naflex
mkdir pictures && cp "$model"/*.png pictures

it 'info'
want 0 "$clip" info -m "$model"
prints 'pictures       NaFlex ViT, width 40, 2 heads, 2 layers, patches of 8'
prints "  size         the picture's shape, at most 24 patches"
prints '  resize       bilinear, naflex'
want 0 "$clip" info -m "$model" --json
same "$(json image.max_patches)" 24

it 'embed: a batch, and one at a time'
want 0 "$clip" embed -m "$model" pictures
cp out all
for i in 0 1 2 3 4 5 6; do
    "$clip" embed -m "$model" pictures/$i.png
done >singles
same "$(cat singles)" "$(cat all)"

it 'embed: a broken picture among others'
head -c 100 pictures/5.png >broken.png
want 1 "$clip" embed -m "$model" pictures/0.png broken.png pictures/6.png
says 'broken.png'
same "$(cat out)" "$(sed -n '1p;7p' all)"

it 'embed: what there is not'
want 1 "$clip" embed -m "$model" --tokens pictures/0.png
says "the pictures of a NaFlex ViT differ in their number of tokens"
want 1 "$clip" embed -m "$model" --image-size 64 pictures/0.png
says 'its pictures keep their shape, and have no size to change'

it 'index and search'
want 0 "$clip" index -m "$model" --index index pictures
prints '7 pictures: 7 new'
for i in 0 1 2 3 4 5 6; do
    want 0 "$clip" search --index index pictures/$i.png -k 1
    prints "pictures/$i.png"
done

it 'explain: the whole picture'
want 0 "$clip" explain -m "$model" pictures/2.png 'a cat' -o heat.png --json
prints '"seen":[0,0,90,11]'
same "$(head -c 4 heat.png | tail -c 3)" PNG

it 'questions: a head reads the embedding'
{
    printf 'filepath\tquestion\tanswer\n'
    for i in 0 1 2 3 4 5 6; do
        printf 'pictures/%s.png\tis it large?\t%s\n' $i "$([ $i -gt 3 ] && echo yes || echo no)"
    done
} >asked.tsv
want 0 "$clip" vqa -m "$model" --fit asked.tsv --head head --epochs 2
want 0 "$clip" vqa -m "$model" --head head 'is it large?' pictures/0.png

it 'training'
printf 'filepath\ttitle\npictures/0.png\ta\npictures/1.png\tb\n' >pairs.tsv
want 1 "$clip" train --pretrained "$model" --train-data pairs.tsv --output run
says 'NaFlex ViT is for inference alone'
[ ! -e run ] || fault 'something is written'

it 'bench'
want 0 "$clip" bench -m "$model"

echo "$tests tests, $faults faults"
[ $faults -eq 0 ]
