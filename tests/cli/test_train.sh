#!/bin/sh
# clip train, on the pictures that ship and a small model: what a run leaves, what it refuses, and
# all the ways in which it can end.
# usage: tests/cli/test_train.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"

samples=$root/models/samples/samples.tsv
cat >tiny.json <<'END'
{"model_cfg": {"embed_dim": 32,
               "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
               "text_cfg": {"context_length": 16, "vocab_size": 560, "width": 64, "heads": 2, "layers": 2}}}
END
echo '{"model": "tiny.json", "tokenizer-vocab": 550, "batch-size": 12, "epochs": 2, "lr": 2e-3, "warmup": 2}' \
    >tiny-run.json

# train OUT OPTION...: a new run with the settings of the file
train() {
    to=$1
    shift
    "$clip" train --config tiny-run.json --train-data "$samples" --output "$to" "$@"
}
# without the times
metrics() { sed 's/"train.samples_per_second.*//; s/"time".*//' "$1/metrics.jsonl"; }
last_step() { sed -n '$s/.*"step":\([0-9]*\).*/\1/p' "$1/metrics.jsonl"; }
equals() {
    for f in open_clip_model.safetensors optimizer.safetensors; do
        cmp -s "$1/checkpoint/$f" "$2/checkpoint/$f" || fault "$1 and $2: $f differs"
    done
    metrics "$1" >a && metrics "$2" >b && cmp -s a b || fault "$1 and $2: the metrics differ"
}
whole() { want 0 "$clip" info -m "$1/checkpoint"; }

it "help"
want 0 "$clip" train --help
prints 'Optimization:'
prints '(default: 5e-4)'
prints '--threads N'

it "a run"
want 0 train whole --val-data "$samples" --json
same "$(json steps)" 6
same "$(json model)" whole/checkpoint
json 'text_to_image_R@1' >/dev/null || fault 'no score'
says '36 pairs, 2 epochs of 3 steps'
says 'epoch 2/2  validation: loss'
same "$(ls -A whole | tr '\n' ' ')" 'checkpoint metrics.jsonl report.html run.json '
same "$("$check" lines <whole/metrics.jsonl)" 8
same "$(grep -c '"train/loss"' whole/metrics.jsonl)" 6
head -1 whole/metrics.jsonl >out
same "$(json step)" 1
same "$(json train/lr)" 0.001
tail -1 whole/metrics.jsonl >out
same "$(json epoch)" 2
same "$(json val/num_samples)" 36
json 'val/image_to_text_median_rank' >/dev/null || fault 'no rank'
recall=$(json 'val/text_to_image_R@5')

it "a SigLIP: trained from transformers' configuration, saved in its layout"
cat >sig.json <<'END'
{"model_type": "siglip",
 "text_config": {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
                 "max_position_embeddings": 16, "projection_size": 96},
 "vision_config": {"hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 6,
                   "image_size": 32, "patch_size": 8}}
END
want 0 train sig --model sig.json --loss siglip --epochs 60 --lr 1e-3
for f in config.json preprocessor_config.json model.safetensors vocab.json; do
    [ -f "sig/checkpoint/$f" ] || fault "no $f"
done
want 0 "$clip" info --json -m sig/checkpoint
same "$(json score)" sigmoid
same "$(json text.pooling)" last
want 0 "$clip" classify --json -m sig/checkpoint --labels bee,castle "$root/models/samples/bee.png"
same "$(json score)" sigmoid
want 0 "$clip" eval retrieval "$samples" --json -m sig/checkpoint
[ "$(json text_to_image.median_rank | cut -d. -f1)" -le 6 ] || fault "it has not learned"
want 0 "$clip" convert sig-f16 -m sig/checkpoint --dtype f16
want 1 "$clip" convert sig-openclip -m sig/checkpoint --to openclip
says "OpenCLIP's layout is not written for such a ViT"

it "a Chinese-CLIP: trained from transformers' configuration, saved in its layout, and trained further"
cat >chinese.json <<'END'
{"model_type": "chinese_clip", "projection_dim": 64,
 "text_config": {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
                 "max_position_embeddings": 40},
 "vision_config": {"hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 6,
                   "image_size": 32, "patch_size": 8}}
END
want 0 train chinese --model chinese.json --epochs 60 --lr 1e-3
for f in config.json preprocessor_config.json model.safetensors vocab.json; do
    [ -f "chinese/checkpoint/$f" ] || fault "no $f"
done
want 0 "$clip" info --json -m chinese/checkpoint
same "$(json layout)" "Hugging Face Chinese-CLIP"
same "$(json text.pooling)" first
want 0 "$clip" eval retrieval "$samples" --json -m chinese/checkpoint
[ "$(json text_to_image.median_rank | cut -d. -f1)" -le 6 ] || fault "it has not learned"
want 1 train chinese-sigmoid --model chinese.json --loss siglip --epochs 1
says "the loss siglip learns a bias, for which the layout of Hugging Face Chinese-CLIP has no place"
want 0 "$clip" train --pretrained chinese/checkpoint --train-data "$samples" --batch-size 4 --epochs 1 \
    --output chinese-more
want 0 "$clip" info --json -m chinese-more/checkpoint
same "$(json layout)" "Hugging Face Chinese-CLIP"

it "a script without blanks: tokens are characters; the end of a phrase is embedded as the same character within"
{
    echo 'filepath	title'
    for picture in bee books castle; do
        echo "$root/models/samples/$picture.png	一只黑色的猫在桌子旁"
        echo "$root/models/samples/$picture.png	桌子旁有狗"
    done
} >phrases.tsv
want 0 "$clip" train --config tiny-run.json --tokenizer-vocab 559 --batch-size 3 --train-data phrases.tsv --output \
    phrases
! grep -q 'by heart' err || fault 'captions were learned by heart'
want 0 "$clip" embed -m phrases/checkpoint --tokens --layer 0 --text 猫
alone=$(json states.1.7)
want 0 "$clip" embed -m phrases/checkpoint --tokens --layer 0 --text 猫在
same "$(json states.1.7)" "$alone"
for picture in bee books; do
    echo "$root/models/samples/$picture.png	aredcircleonabluetable"
done | sed '1i filepath	title' >glued.tsv
want 0 "$clip" train --config tiny-run.json --batch-size 2 --train-data glued.tsv --output glued
says '2 of 2 captions have no blanks and became one token each, learned by heart'

it "its model is one, and scores what it said"
want 0 "$clip" eval retrieval -m whole/checkpoint "$samples" --json
same "$(json text_to_image.R@5)" "$recall"
want 0 "$clip" classify -m whole/checkpoint -l bee,book "$root/models/samples/bee.png"

it "its report"
for what in 'Learning rate' 'Median rank' 'data:image/png;base64,' 'Pictures for captions' 'tokenizer-vocab'; do
    grep -q -F "$what" whole/report.html || fault "no '$what' in it"
done
! grep -q -e '<script' -e 'https\{0,1\}:' -e '[( ">]nan' whole/report.html ||
    fault 'something in it is not in it, or no number'

it "the number of threads makes no difference"
want 0 train threads --val-data "$samples" -t 1 --workers 3
equals whole threads

it "without validation, with a checkpoint of each epoch"
want 0 train plain --save-frequency 1 --save-every 2
same "$(ls plain | tr '\n' ' ')" 'checkpoint epoch_1 epoch_2 metrics.jsonl report.html run.json '
cmp -s plain/epoch_2/open_clip_model.safetensors whole/checkpoint/open_clip_model.safetensors || fault 'another model'
! cmp -s plain/epoch_1/open_clip_model.safetensors plain/epoch_2/open_clip_model.safetensors ||
    fault 'the same model twice'

it "what is not taken"
want 2 "$clip" train
says '--output is missing'
want 2 "$clip" train --lrr 1 --output x
says "did you mean '--lr'?"
want 2 "$clip" train --lr fast --output x
says "--lr: 'fast'"
want 2 "$clip" train --output x --resume y
want 2 "$clip" train x
want 2 "$clip" train --resume whole --lr 1
says '--lr: --resume keeps'
want 2 "$clip" train --resume whole --val-data x
want 1 "$clip" train --resume nowhere
says 'nowhere: not the folder of a run'
want 1 train whole
says "holds a run already; 'clip train --resume whole' continues it"
want 1 "$clip" train --config nowhere.json --output x
says 'nowhere.json'
want 1 "$clip" train --config "$samples" --output x
want 1 train x --train-data nowhere.tsv
says 'nowhere.tsv: No such file'
want 1 train x --val-data nowhere.tar
says '--val-data: nowhere.tar'
want 1 train x --batch-size 40
[ ! -e x ] || fault 'a folder of nothing'
mkdir -p x/checkpoint
want 1 train x
says 'x/checkpoint: exists'
echo file >file
want 1 train file/x
says 'file'
rm -r x

it "a run at its end"
cp whole/metrics.jsonl before
want 0 "$clip" train --resume whole
prints '6 steps in'
cmp -s before whole/metrics.jsonl || fault 'the metrics have changed'

# interrupted OUT SIGNAL CODE: a longer run, sent SIGNAL once it has taken steps. Not INT, which the
# shell's background jobs ignore.
interrupted() {
    tests=$((tests + 1))
    (exec "$clip" train --config tiny-run.json --train-data "$samples" --epochs 12 --output "$1") >out 2>err &
    pid=$!
    while [ ! -s "$1/metrics.jsonl" ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill -"$2" $pid
    wait $pid 2>/dev/null
    same "$?" "$3"
    ! grep -q -e Sanitizer err || fault 'sanitizer'
}
it "told to stop, and on"
want 0 train long --epochs 12
interrupted stopped TERM 130
says "interrupted; 'clip train --resume stopped' continues after step $(last_step stopped) of 36"
whole stopped
want 0 "$clip" train --resume stopped --workers 2
equals long stopped

it "killed"
interrupted killed KILL 137
whole killed
want 0 "$clip" train --resume killed
equals long killed
want 0 sh "$root/tools/survival.sh" "$clip" 3

it "killed before its first checkpoint"
mkdir early
cp long/run.json early/
touch early/report.html.abcdef
want 0 "$clip" train --resume early
equals long early
same "$(ls -A early | tr '\n' ' ')" 'checkpoint metrics.jsonl report.html run.json '

it "metrics that a kill has torn"
cp -r long torn
head -c -30 long/metrics.jsonl >torn/metrics.jsonl
want 0 "$clip" train --resume torn
says 'ends before step 36'
same "$("$check" lines <torn/metrics.jsonl)" 35

it "killed while it was saving for the last time"
cp -r long late
cp -r late/checkpoint late/.checkpoint.tmp
want 0 "$clip" train --resume late
equals long late
[ ! -e late/.checkpoint.tmp ] || fault 'it is still there'

it "links and pipes in the place of a run's files"
cp -r late strange && echo mine >mine && mkdir kept && echo kept >kept/file
ln -s "$T/kept" strange/.checkpoint.tmp
for name in metrics.jsonl run.json; do
    mv strange/$name away && ln -s "$T/mine" strange/$name
    want 1 "$clip" train --resume strange
    says "$name: is a symbolic link"
    rm strange/$name && mkfifo strange/$name
    want 1 timeout 60 "$clip" train --resume strange
    says "$name: is not a regular file"
    rm strange/$name && mv away strange/$name
done
# which sweeps away what a killed run has left: the link, and not what is behind it
want 0 "$clip" train --resume strange
want 1 test -h strange/.checkpoint.tmp
same "$(cat mine kept/file)" "$(printf 'mine\nkept')"

# halves NAME OPTION...: a run, and the same run resumed after its first epoch, must end alike
halves() {
    name=$1
    shift
    want 0 train "$name" --save-frequency 1 "$@"
    mkdir "$name-half"
    cp "$name/run.json" "$name-half/"
    cp -r "$name/epoch_1" "$name-half/checkpoint"
    grep '"epoch":1,' "$name/metrics.jsonl" >"$name-half/metrics.jsonl"
    want 0 "$clip" train --resume "$name-half"
    equals "$name" "$name-half"
}
it "on, whatever is trained"
cat >resnet.json <<'END'
{"model_cfg": {"embed_dim": 32,
               "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": null,
                              "head_width": 32},
               "text_cfg": {"context_length": 16, "vocab_size": 560, "width": 64, "heads": 2, "layers": 1}}}
END
for p in bee castle cloud books; do cp "$root/models/samples/$p.png" . && echo "a $p" >$p.txt; done
tar -cf four.tar bee.png bee.txt castle.png castle.txt cloud.png cloud.txt books.png books.txt
halves resnet --model resnet.json
halves siglip --loss siglip --grad-clip-norm 1
halves chunks --chunk 5
halves dropout --force-patch-dropout 0.5
halves tars --train-data four.tar --batch-size 2

it "products in bf16, where the processor can; a run keeps its precision"
if "$clip" --version | grep -q 'with bf16'; then
    halves amp --precision amp_bf16 --val-data "$samples"
    halves amp-chunks --precision amp_bf16 --chunk 5
    halves amp-resnet --precision amp_bf16 --model resnet.json
    ! cmp -s amp/checkpoint/open_clip_model.safetensors whole/checkpoint/open_clip_model.safetensors ||
        fault 'bf16 makes no difference'
    grep -q '"precision":"amp_bf16"' amp-half/checkpoint/trainer.json || fault 'not in trainer.json'
    want 0 train amp-threads --precision amp_bf16 --val-data "$samples" -t 1 --workers 2
    equals amp amp-threads
    want 2 "$clip" train --resume amp --precision f32
    says '--precision: --resume keeps'
    tail -1 amp/metrics.jsonl >out
    recall=$(json 'val/text_to_image_R@5')
    want 0 "$clip" eval retrieval -m amp/checkpoint "$samples" --json
    same "$(json text_to_image.R@5)" "$recall"
else
    want 1 train amp --precision amp_bf16
    says 'precision bf16 needs AVX512_BF16'
    [ ! -e amp ] || fault 'a folder of nothing'
fi

it "data that have changed"
printf 'filepath\ttitle\n' >four.tsv
for p in bee castle cloud books; do printf '%s.png\ta %s\n' $p $p; done >>four.tsv
halves table --train-data four.tsv --batch-size 2
sed -i 's/a cloud/a white cloud/' four.tsv
want 1 "$clip" train --resume table-half
says 'the data have changed'

it "two in one folder"
if command -v flock >/dev/null; then
    want 1 flock long "$clip" train --resume long
    says "another 'clip train' is using it"
fi

it "broken samples"
mkdir some
for p in bee books castle cloud; do cp "$root/models/samples/$p.png" some/ && echo "a $p" >some/$p.txt; done
head -c 300 some/bee.png >some/torn.png && echo torn >some/torn.txt
echo nothing >some/none.png && echo none >some/none.txt
want 0 train some-run --train-data some --batch-size 2 --val-data some
says 'some/torn.png'
says 'some/none.png'
prints '2 broken samples skipped'
mkdir none
cp some/torn.* some/none.* none/
want 1 train none-run --train-data none --batch-size 2
says 'none'
want 1 train tar-run --train-data some/bee.png::some/x.tar
head -c 2000 /dev/urandom >torn.tar
want 1 train tar-run --train-data torn.tar
says 'torn.tar'

it "a full disk"
want 1 sh -c 'ulimit -f 600; trap "" XFSZ; "$1" train --config tiny-run.json --train-data "$2" --output full' - \
    "$clip" "$samples"
says 'cannot be written'
interrupted filled TERM 130
step=$(last_step filled)
want 1 sh -c 'ulimit -f 600; trap "" XFSZ; "$1" train --resume filled' - "$clip"
says 'cannot be written'
says "filled/checkpoint is complete, from step $step; 'clip train --resume filled' continues from it"
whole filled
want 0 "$clip" train --resume filled
equals long filled

it "a loss that is not a number"
cp -r whole/checkpoint nan
# the largest number of f32 in a row of the first queries' weights: scores overflow
weights=nan/open_clip_model.safetensors
header=$(od -An -tu8 -N8 $weights | tr -d ' ')
at=$(head -c $((8 + header)) $weights | tail -c "$header" |
    sed 's/.*"visual.transformer.resblocks.0.attn.in_proj_weight":{[^}]*"data_offsets":\[\([0-9]*\),.*/\1/')
for i in $(seq 16); do printf '\377\377\177\177'; done |
    dd of=$weights bs=1 seek=$((8 + header + at)) conv=notrunc 2>/dev/null
want 1 "$clip" train --pretrained nan --train-data "$samples" --batch-size 12 --output nan-run
says 'diverged'
says 'nan-run/checkpoint is complete, from step 0'
[ -s nan-run/report.html ] || fault 'no report'

it "fine-tuning"
want 0 "$clip" train --pretrained whole/checkpoint --lock-image --train-data "$samples" --batch-size 12 --epochs 1 \
    --lr 1e-4 --output tuned
says 'of them trained'

it "fine-tuning with pictures of another size"
want 0 "$clip" train --pretrained whole/checkpoint --force-image-size 48 --train-data "$samples" --batch-size 12 \
    --epochs 2 --lr 1e-4 --output sized --save-frequency 1
want 0 "$clip" info -m sized/checkpoint --json
same "$(json image.size)" 48
same "$(json image.stored_size)" 48
want 0 "$clip" train --pretrained whole/checkpoint --force-image-size 48 --train-data "$samples" --batch-size 12 \
    --epochs 1 --lr 0 --output still
want 0 "$clip" embed -m whole/checkpoint --image-size 48 "$root/models/samples/bee.png"
cp out resampled
want 0 "$clip" embed -m still/checkpoint "$root/models/samples/bee.png"
cmp -s out resampled || fault 'positions of training and of inference differ'
want 0 train new-size --force-image-size 40 --epochs 1
want 0 "$clip" info -m new-size/checkpoint --json
same "$(json image.size)" 40
want 1 "$clip" train --pretrained whole/checkpoint --force-image-size 4 --train-data "$samples" --output none
says 'pictures of 4 pixels do not fit this ViT'

it "Ctrl-C, and the line of progress"
if command -v script >/dev/null; then
    want 0 script -qec "stty cols 60; '$clip' train --config tiny-run.json --train-data '$samples' --output seen" \
        /dev/null
    prints 'epoch 1/2  step '
    ! tr '\r' '\n' <out | grep -q 'epoch.*left' || fault 'the line is wider than the terminal'
    ctrl_c() {
        (for i in $(seq 1000); do [ ! -s typed/metrics.jsonl ] || break; sleep 0.01; done; printf '\003'; sleep 1) |
            script -qec "exec '$clip' train --config tiny-run.json --train-data '$samples' --epochs 12 --output typed" \
                /dev/null
    }
    case $(sed -n 's/SigIgn:.*\(.\)$/\1/p' /proc/self/status) in
    [2367abef]) ;; # whoever runs the tests has them ignore it
    *)
        want 130 ctrl_c
        prints "interrupted; 'clip train --resume typed' continues"
        want 0 "$clip" train --resume typed
        equals long typed ;;
    esac
fi

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
