#!/bin/sh
# clip pull, clip models and --pull, against the server of tests/hub.
# usage: tests/cli/test_pull.sh CLIP CHECK_OUTPUT SERVE SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") serve=$(realpath "$3") root=$(realpath "$4")
T=$(mktemp -d) && trap 'exec 9>&-; rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_TOKEN HUGGING_FACE_HUB_TOKEN HF_HUB_OFFLINE \
    TRANSFORMERS_OFFLINE http_proxy all_proxy
. "$root/tests/cli/harness.sh"
export HF_HOME="$T/home" HF_TOKEN=hf_secret
golden=$root/tests/model/golden picture=$root/tests/cli/golden/picture.png
commit=0123456789abcdef0123456789abcdef01234567
repo=home/hub/models--timm--vit_base_patch32_clip_224.openai

# serve_model [BYTES_A_MS]: the endpoint of a server; it ends when descriptor 9 is closed
mkdir served
cp "$golden"/tiny-vit/*.* served/
rm served/*.npy
serve_model() {
    exec 9>&-
    rm -f hold port
    mkfifo hold
    "$serve" served timm/vit_base_patch32_clip_224.openai "${1:-0}" <hold >port &
    server=$!
    exec 9>hold
    while [ ! -s port ]; do sleep 0.05; done
    HF_ENDPOINT=$(cat port)
    export HF_ENDPOINT
}
stop_server() {
    exec 9>&-
    wait $server || fault "the token has been sent to another server"
}

it "a model that is not there"
serve_model
want 1 "$clip" embed -m ViT-B-32/openai "$picture"
says "is neither a file or folder here nor a model in $T/home/hub; 'clip pull ViT-B-32/openai' fetches it (151 million"
[ ! -e home ] || fault "something was made"
want 0 "$clip" models
prints 'none'
prints 'clip pull ViT-B-32/datacomp_xl_s13b_b90k  (151 M parameters, about 605 MB)'

it "clip pull"
want 0 "$clip" pull ViT-B-32/openai
silent err
prints 'ViT-B-32/openai: 479 kB in 4 files, 479 kB of them fetched now'
prints "$T/$repo/snapshots/$commit"
want 0 "$clip" pull ViT-B-32__openai --json
same "$(json fetched)" 0
same "$(json files)" 4
want 0 "$clip" embed -m "$golden/tiny-vit" "$picture" --text 'a red apple'
cp out should
for model in ViT-B-32/openai ViT-B-32__openai timm/vit_base_patch32_clip_224.openai "$repo"; do
    want 0 env HF_ENDPOINT=http://127.0.0.1:1 "$clip" embed -m "$model" "$picture" --text 'a red apple'
    silent err
    cmp -s out should || fault "other embeddings from $model"
done
want 0 env CLIP_MODEL=ViT-B-32/openai "$clip" embed "$picture" --text 'a red apple'
cmp -s out should || fault "other embeddings by CLIP_MODEL"
want 0 "$clip" convert -m ViT-B-32/openai --to hf converted
want 0 "$clip" models
prints 'whole    timm/vit_base_patch32_clip_224.openai  (ViT-B-32/openai)'
want 0 "$clip" models --json
same "$(json cached.0.bytes)" 478707
want 1 "$clip" pull timm/other
says "has no repository timm/other, or the token may not read it"
want 2 "$clip" pull
want 1 "$clip" pull served
says 'there is nothing to fetch'

it "an index made with a name finds its model again"
mkdir pictures
cp "$picture" pictures/
want 0 "$clip" index pictures --index made -m ViT-B-32/openai
want 0 "$clip" search --index made 'a red apple'
want 0 sh -c "cd / && '$clip' search --index '$T/made' 'a red apple'"

it "--pull"
rm -rf home
want 1 env HF_HUB_OFFLINE=1 "$clip" info --pull -m ViT-B-32/openai
says 'HF_HUB_OFFLINE forbids to fetch it'
want 0 "$clip" embed --pull -m ViT-B-32/openai "$picture" --text 'a red apple'
cmp -s out should || fault "other embeddings with --pull"
rm -rf home
tune() {
    "$clip" train --train-data "$root/models/samples/samples.tsv" --batch-size 4 --epochs 1 --lr 1e-5 "$@"
}
want 1 tune --pretrained ViT-B-32/openai --output tuned
says "'clip pull ViT-B-32/openai' fetches it"
want 0 tune --pretrained ViT-B-32/openai --pull --output tuned
want 2 tune --pull --output other
says '--pull: there is no --pretrained to fetch'
stop_server
want 0 "$clip" embed --pull -m ViT-B-32/openai "$picture" --text 'a red apple'
cmp -s out should || fault "what is there is asked for again"
want 0 "$clip" info --pull -m "$golden/tiny-vit"

it "Ctrl-C loses nothing"
rm -rf home
serve_model 200
"$clip" pull ViT-B-32/openai >out 2>err &
puller=$!
n=0
while [ $n -lt 200 ] && ! [ "$(cat $repo/blobs/*.clip-part 2>/dev/null | wc -c)" -gt 50000 ]; do
    n=$((n + 1))
    sleep 0.05
done
kill -TERM $puller # a shell lets its background ignore SIGINT
wait $puller
same $? 130
says "stopped; what has come is kept"
part=$(cat $repo/blobs/*.clip-part | wc -c)
[ "$part" -gt 50000 ] || fault "only $part bytes are kept"
want 0 "$clip" models
prints 'partial  timm/vit_base_patch32_clip_224.openai'

it "a second puller waits"
"$clip" pull ViT-B-32/openai >out1 2>err1 &
first=$!
"$clip" pull ViT-B-32/openai >out2 2>err2 &
second=$!
wait $first || fault "the first fails"
wait $second || fault "the second fails"
cat err1 err2 >err
says "waiting for process "
cat out1 out2 >out
prints "fetched now"
want 0 "$clip" embed -m ViT-B-32/openai "$picture" --text 'a red apple'
cmp -s out should || fault "other embeddings after all this"
stop_server

echo "$tests commands, $faults faults"
[ "$faults" -eq 0 ]
