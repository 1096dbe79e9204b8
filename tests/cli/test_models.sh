#!/bin/sh
# Checkpoints as people have them, through the command. A setting that is not supported is named,
# and no file is half-written.
# usage: tests/cli/test_models.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"
golden=$root/tests/model/golden picture=$root/tests/cli/golden/picture.png

it "where a model is"
mkdir -p hub/models--org--name/refs hub/models--org--name/snapshots/0a1b st/0_CLIPModel
cp "$golden"/tiny-hf/* hub/models--org--name/snapshots/0a1b/
cp "$golden"/tiny-hf/* st/0_CLIPModel/
printf 0a1b >hub/models--org--name/refs/main
echo '[{"path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]' >st/modules.json
want 0 "$clip" embed -m "$golden/tiny-hf" "$picture" --text 'a red apple'
cp out should
for place in hub/models--org--name st local-dir:st local-dir:hub/models--org--name "local-dir:$golden/tiny-hf" \
    hub/models--org--name/snapshots/0a1b; do
    want 0 "$clip" embed -m "$place" "$picture" --text 'a red apple'
    silent err
    cmp -s out should || fault "other embeddings from $place"
done
want 0 "$clip" info -m local-dir:st/0_CLIPModel/model.safetensors:vision_
want 0 "$clip" convert -m hub/models--org--name --to openclip converted
[ -f converted/vocab.json ] || fault "the tokenizer of the hub's folder is not there"
want 1 "$clip" info -m hf-hub:org/name
says "'clip pull hf-hub:org/name' fetches it"
export HF_HUB_CACHE=$T/hub
for place in org/name hf-hub:org/name org/name@main; do
    want 0 "$clip" embed -m $place "$picture" --text 'a red apple'
    cmp -s out should || fault "other embeddings from $place"
done
want 0 env CLIP_MODEL=org/name "$clip" info
want 1 "$clip" info -m org/name@v2
says 'this revision is not whole in the cache'
want 1 "$clip" info -m ViT-B-32/openai
says "'clip pull ViT-B-32/openai' fetches it (151 million parameters, about 605 MB)"
want 1 "$clip" info -m ViT-B-32
says 'which weights? The names are ViT-B-32/TAG, with one of these tags: '
unset HF_HUB_CACHE

it "encoders with an activation each"
mkdir mixed
cp "$golden"/tiny-hf/* mixed/
sed -i '1,/quick_gelu/s/quick_gelu/gelu/' mixed/config.json # the first is the texts'
want 0 "$clip" info -m mixed
prints 'activation   pictures quickgelu, texts gelu'
want 0 "$clip" info -m mixed --json
same "$(json activation 2>/dev/null) $(json image.activation) $(json text.activation)" ' quickgelu gelu'
want 0 "$clip" info -m "$golden/tiny-resnet" --json
same "$(json activation) $(json image.activation) $(json text.activation)" 'gelu relu gelu'

it "FLAVA: what it has beside its two encoders is named once"
want 0 "$clip" info -m "$golden/tiny-flava"
prints "not read     multimodal_model, FLAVA's encoder of a picture with its text, and poolers"
same "$(grep -c 'is ignored' err)" 0

it "CoCa: its decoder is not read, and nothing of it is saved or trained"
want 0 "$clip" info -m "$golden/tiny-coca"
prints 'not read     text_decoder, the decoder of CoCa: captions are not offered'
prints 'pooled at the last token'
silent err
want 0 "$clip" info -m "$golden/tiny-coca" --json
same "$(json not_read)" 'text_decoder, the decoder of CoCa: captions are not offered'
want 0 "$clip" explain -m "$golden/tiny-coca" "$picture" face -o coca.png
want 1 "$clip" embed -m "$golden/tiny-coca" "$picture" --tokens
says 'a ViT with an attentional pooler has no tokens'
want 1 "$clip" convert -m "$golden/tiny-coca" --to openclip made
says 'not written for such a text Transformer with a class token'
printf 'filepath\ttitle\n%s\ta face\n%s\tanother\n' "$picture" "$picture" >coca.tsv
for model in coca scaled; do
    want 1 "$clip" train --pretrained "$golden/tiny-$model" --train-data coca.tsv --batch-size 2 --epochs 1 \
        --output made
    says 'there is no layout to save such a model in (ViT with '
done
[ ! -e made ] || fault 'something was made'
it "the language of texts"
mkdir nllb
cp -r "$golden"/tiny-nllb/* "$root"/tests/text/golden/pieces/nllb-json/tokenizer* nllb/
want 0 "$clip" info -m nllb
prints 'language     eng_Latn, unless --language names another'
want 0 "$clip" info -m nllb --json
same "$(json text.language)" eng_Latn
want 0 "$clip" embed -m nllb --text 'two cats'
cp out plain
want 0 "$clip" embed -m nllb --language eng_Latn --text 'two cats'
cmp -s out plain || fault 'the language of the tokenizer is another one'
want 0 "$clip" embed -m nllb --language deu_Latn --text 'two cats'
cmp -s out plain && fault 'the language makes no difference'
cp out german
sed -i 's/"src_lang": "eng_Latn"/"src_lang": "deu_Latn"/' nllb/tokenizer_config.json
want 0 "$clip" embed -m nllb --text 'two cats'
cmp -s out german || fault "src_lang and --language differ"
want 0 "$clip" classify -m nllb --language eng_Latn --labels cats,dogs "$picture"
cp out english
want 0 "$clip" classify -m nllb --labels cats,dogs "$picture"
cmp -s out english && fault 'classify does not take the language'
for name in xxx_Latn cat eng_latn english '' '</s>' zho_Hans; do
    want 1 "$clip" embed -m nllb --language "$name" --text 'two cats'
    says "its tokenizer has no language '$name': they are written like eng_Latn, deu_Latn"
done
want 1 "$clip" embed --language deu_Latn --text 'two cats'
says 'its texts have no token that names their language'
want 2 "$clip" embed -m nllb --language deu_Latn "$picture"
says '--language: there is no text to encode'
for command in search classify match 'eval retrieval' 'eval zeroshot' explain index vqa probe; do
    want 0 "$clip" $command --help
    prints '--language NAME'
done
want 2 "$clip" index --language deu_Latn
sed -i 's/"legacy_behaviour": false/"legacy_behaviour": true/' nllb/tokenizer_config.json
want 1 "$clip" info -m nllb
says '"legacy_behaviour" is true'

it "settings that are not supported"
mkdir faulty
cp "$golden"/tiny-vit/* faulty/
sed -i 's/"vision_cfg": {/"vision_cfg": {"qk_norm": true,/' faulty/open_clip_config.json
for command in 'info' "embed $picture" "classify -l a,b $picture" "convert --to hf made"; do
    want 1 "$clip" ${command%% *} -m faulty $(echo "$command" | cut -s -d' ' -f2-)
    says 'model_cfg.vision_cfg.qk_norm is true'
    silent out
done
[ ! -e made ] || fault 'something was made'

it "NaN in the weights: every command fails and names the tensor"
mkdir nan pictures
cp "$golden"/tiny-vit/* nan/
# the last number of the file: of the tensor whose data is the last
file=nan/open_clip_model.safetensors
printf '\000\000\300\177' | dd of=$file bs=1 seek=$(($(wc -c <$file) - 4)) conv=notrunc 2>/dev/null
cp "$picture" pictures/a.png
printf 'filepath\ttitle\npictures/a.png\ta face\npictures/a.png\tanother\n' >pairs.tsv
for command in "embed $picture --text hello" "classify -l a,b $picture" "match $picture --text hello" \
    "index pictures --index made" \
    "convert --to hf made" "train --pretrained nan --train-data pairs.tsv --batch-size 2 --epochs 1 --output made" \
    "vqa what $picture" "explain $picture a" "eval retrieval pairs.tsv" bench; do
    case $command in
    train*) want 1 "$clip" $command ;;
    eval*) want 1 "$clip" $command -m nan ;;
    *) want 1 "$clip" ${command%% *} -m nan $(echo "$command" | cut -s -d' ' -f2-) ;;
    esac
    says "tensor '"
    ! grep -q -i -e 'nan,' -e '-nan' out || fault 'prints what is not a number'
done
[ ! -e made/checkpoint ] || fault 'something was made'
want 1 "$clip" embed -m nan "$picture"
says "$picture: picture 1 comes out as NaN or infinity"

it "a model's files as other programs write them"
mkdir onnx
echo x >onnx/model.onnx
want 1 "$clip" info -m onnx
says 'an ONNX graph'
want 1 "$clip" info -m onnx/model.onnx
says 'an ONNX graph'

it "a checkpoint of torch.save() is its twin in safetensors"
mkdir pickle
cp "$golden"/tiny-vit-eos/*.json "$golden"/tiny-vit-eos/merges.txt pickle/
cp "$golden"/../pickles/epoch_1.pt pickle/
want 0 "$clip" embed -m "$golden/tiny-vit-eos" "$picture" --text "a cat"
mv out should
for model in pickle pickle/epoch_1.pt; do
    want 0 "$clip" embed -m $model "$picture" --text "a cat"
    cmp -s out should || fault "other embeddings from $model"
done
want 0 "$clip" convert -m pickle --to openclip of-pickle
want 0 "$clip" convert -m "$golden/tiny-vit-eos" --to openclip of-twin
cmp -s of-pickle/open_clip_model.safetensors of-twin/open_clip_model.safetensors || fault 'converts to others'

it "a pickle that would run a program"
want 1 "$clip" info -m "$golden/../pickles/hostile.pt"
says "'visual.proj' among the weights is not a tensor: it is made by posix.system, which is not called here"

it "narrow encoders without a configuration: heads cannot be told"
mkdir narrow
cp "$golden"/tiny-vit/open_clip_model.safetensors narrow/
want 1 "$clip" info -m narrow
says 'shapes do not tell how many attention heads a vision encoder 40 wide has: its open_clip_config.json is needed'
rm -r narrow && mkdir narrow
cp "$golden"/tiny-hf/model.safetensors narrow/
want 1 "$clip" info -m narrow
says 'a vision encoder 40 wide has: its config.json is needed'

it "layouts that are only read"
for model in owlvit altclip flava dual-vit; do
    want 1 "$clip" convert --dtype f32 -m "$golden/tiny-$model" made
    says ' is read, but not written'
done
want 1 "$clip" convert --dtype f32 -m "$golden/tiny-aimv2" made
says 'the layout of Hugging Face AIMv2 is read, but not written'

it "OWL-ViT and OWLv2: where no file says how pictures are prepared, each has its own defaults"
want 0 "$clip" info -m "$golden/tiny-owlvit"
says "the defaults of transformers' OwlViTImageProcessor are assumed"
prints 'bicubic, squash'
cp -r "$golden/tiny-owlvit" owlv2
sed -i 's/"owlvit"/"owlv2"/; s/owlvit_/owlv2_/' owlv2/config.json
want 0 "$clip" info -m owlv2
says "the defaults of transformers' Owlv2ImageProcessor are assumed"
prints 'bilinear, corner'
sed 's/"owlvit"/"owlv2"/; s/owlvit_/owlv2_/' "$golden/tiny-owlvit/config.json" >owlv2/config.json
echo '{"do_pad": false}' >owlv2/preprocessor_config.json
want 1 "$clip" info -m owlv2
says 'do_pad is false'

it "CLIPSeg: the defaults of its processor"
cp -r "$golden/tiny-clipseg" clipseg
rm -f clipseg/preprocessor_config.json clipseg/processor_config.json
want 0 "$clip" info -m clipseg
says "the defaults of transformers' ViTImageProcessor are assumed"
prints 'bilinear, squash'

it "a norm behind the mean of the tokens is not one of the tokens"
cat >mean.json <<'END'
{"model_cfg": {"embed_dim": 64,
               "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 64, "layers": 1, "pool_type": "avg",
                              "final_ln_after_pool": true},
               "text_cfg": {"context_length": 8, "width": 64, "heads": 1, "layers": 1}}}
END
printf 'filepath\ttitle\n%s\ta face\n%s\tanother\n' pictures/a.png "$picture" >two.tsv
want 0 "$clip" train --model mean.json --tokenizer-vocab 600 --train-data two.tsv --batch-size 2 --epochs 1 --lr 0 \
    --output mean
want 1 "$clip" embed -m mean/checkpoint --tokens --final-norm on pictures/a.png
says '--final-norm on: the last norm of this ViT stands behind the mean of its tokens, so their states have none'
want 0 "$clip" embed -m mean/checkpoint --tokens --final-norm off pictures/a.png
want 0 "$clip" embed -m mean/checkpoint --tokens --final-norm on --text 'a face'

it "layers without end"
printf '{"model_cfg": {"embed_dim": 8, "vision_cfg": {"width": 64, "layers": 65536}, "text_cfg": {"layers": 65536}}}' \
    >endless.json
want 1 timeout 20 "$clip" train --model endless.json --tokenizer-vocab 600 --train-data pairs.tsv --output made
says '"layers" must be a whole number from 1 to 1000'

echo "$tests commands, $faults faults"
[ "$faults" -eq 0 ]
