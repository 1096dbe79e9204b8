#!/bin/sh
# Searching in Chinese, Japanese, German and English, with models of random weights. Token ids are
# those of transformers. Words find the captions that they are, in each of the languages.
# usage: tests/cli/test_languages.sh CLIP CHECK_OUTPUT PRINT_TOKENS SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") tokens=$(realpath "$3") root=$(realpath "$4")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
export CLIP_INDEX="$T/index"
. "$root/tests/cli/harness.sh"
pieces=$root/tests/text/golden/pieces samples=$root/models/samples

cat >captions.tsv <<END
filepath	title
$samples/bee.png	一只猫的照片
$samples/books.png	犬と猫の写真
$samples/castle.png	eine kleine Katze auf dem roten Sofa
$samples/cloud.png	a photo of the small dog on a beach
END
sed 1d captions.tsv | cut -f 2 >queries
cat >config.json <<'END'
{"model_type": "siglip",
 "text_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "max_position_embeddings": 24, "projection_size": 32},
 "vision_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
                   "image_size": 32, "patch_size": 8}}
END

for kind in siglip siglip2-json; do
    it "a SigLIP with the vocabulary $kind"
    want 0 "$clip" train --model config.json --tokenizer "$pieces/$kind" --loss siglip --train-data captions.tsv \
        --batch-size 4 --epochs 1 --lr 0 --output "$kind"
    model=$T/$kind/checkpoint

    # pairs of a text and its ids; in texts with a backslash it stands for a byte
    sed -n 'N; s/\n/\t/p' "$pieces/$kind/lines.txt" | grep -v -F "\\" >golden
    cut -f 1 golden >texts
    cut -f 2 golden >should
    for words in 'eine kleine Katze' '一只猫' '犬と猫' 'a photo'; do
        grep -q "^$words" texts || fault "no golden ids of '$words'"
    done
    want 0 "$tokens" "$model" <texts
    cmp -s out should || fault 'other ids than transformers has'

    want 0 "$clip" convert "$kind-f16" -m "$model" --dtype f16
    want 0 "$tokens" "$kind-f16" <texts
    cmp -s out should || fault 'other ids from the converted model'

    rm -rf index
    want 0 "$clip" index -m "$model" captions.tsv
    while read -r query; do
        want 0 "$clip" search --json -k 4 "$query"
        same "$(grep -o '"kind":"picture"' out | grep -c '')" 4
        want 0 "$clip" search --json -k 4 --kind text "$query"
        same "$(json hits.0.text)" "$query"
        case $(json hits.0.score) in
        0.999* | 1*) ;;
        *) fault "the same words have a cosine of $(json hits.0.score)" ;;
        esac
    done <queries
    want 0 "$clip" search -k 1 --kind text --queries queries
    same "$(grep -c '' out)" 4
    cp out several
    for i in 1 2 3 4; do
        sed -n "${i}p" several >out
        same "$(json hits.0.text)" "$(sed -n "${i}p" queries)"
    done
done

it "an index remembers the language of each source's captions"
cp -r "$root/tests/model/golden/tiny-nllb" nllb
cp "$pieces"/nllb-json/*.json nllb/
mkdir german english
cp "$samples/bee.png" german/
echo 'two cats' >german/bee.txt
cp "$samples/castle.png" english/
echo 'two cats' >english/castle.txt
rm -rf index
want 0 "$clip" index -m nllb --captions --language deu_Latn german
want 0 "$clip" index -m nllb --captions english

# in LANGUAGE, PATH of the caption with the cosine 1
first() {
    want 0 "$clip" search -m nllb --json -k 1 --kind text --language "$1" 'two cats'
    case $(json hits.0.path) in
    *"$2") ;;
    *) fault "in $1 the first is $(json hits.0.path), not $2" ;;
    esac
    case $(json hits.0.score) in
    0.9999* | 1*) ;;
    *) fault "in $1 the same words have a cosine of $(json hits.0.score)" ;;
    esac
}
first deu_Latn german/bee.png
first eng_Latn english/castle.png
want 0 "$clip" search -m nllb --json -k 2 --kind text --language deu_Latn 'two cats'
case $(json hits.1.score) in
0.9999* | 1*) fault 'the language makes no difference' ;;
esac

cp "$samples/cloud.png" "$samples/books.png" .
mv cloud.png german/ && mv books.png english/
echo 'a dog' | tee german/cloud.txt >english/books.txt
want 0 "$clip" index -m nllb --json # all sources, each in its language
same "$(json embedded_texts)" 2
for query in deu_Latn:german/cloud.png eng_Latn:english/books.png; do
    want 0 "$clip" search -m nllb --json -k 1 --kind text --language "${query%%:*}" 'a dog'
    case $(json hits.0.path) in
    *"${query#*:}") ;;
    *) fault "${query%%:*} finds $(json hits.0.path)" ;;
    esac
done
want 1 "$clip" index -m nllb --captions german
says 'its captions are in the index in the language deu_Latn, not eng_Latn'
want 1 "$clip" index -m nllb --captions --language deu_Latn english
says 'its captions are in the index in the language eng_Latn, not deu_Latn'
want 0 "$clip" index -m nllb german # without captions: those that are there stay, and so does their language
want 1 "$clip" index -m nllb --captions german
says 'its captions are in the index in the language deu_Latn, not eng_Latn'
mkdir german/more && cp german/bee.png german/more/other.png && echo 'noch eine' >german/more/other.txt
want 1 "$clip" index -m nllb --captions --language eng_Latn german/more
says 'its captions are in the index in the language deu_Latn, not eng_Latn'
rm -r german/more
want 0 "$clip" index --remove english
want 0 "$clip" index -m nllb --captions --language deu_Latn english
want 2 "$clip" index -m nllb --language deu_Latn
says '--captions, --exclude and --language go with folders'
want 2 "$clip" index -m nllb --language deu_Latn german
says '--language: there is no text to encode'
want 2 "$clip" index --stats --language deu_Latn
says '--language: there is no text to encode'
want 1 "$clip" index -m siglip/checkpoint --index theirs --captions --language deu_Latn german
says 'have no token that names their language'

it "questions and probes in a language"
want 0 "$clip" vqa -m nllb --language deu_Latn --answers cat,dog 'what is this?' german/bee.png
cp out german-answer
want 0 "$clip" vqa -m nllb --answers cat,dog 'what is this?' german/bee.png
! cmp -s out german-answer || fault 'the language makes no difference to a question'
want 1 "$clip" vqa -m nllb --language xxx_Latn 'what is this?' german/bee.png
says "has no language 'xxx_Latn'"
mkdir -p classes/a classes/b
cp german/*.png classes/a && cp english/*.png classes/b
want 1 "$clip" probe -m nllb --shots 1 --language xxx_Latn classes
says "has no language 'xxx_Latn'"
want 2 "$clip" probe -m nllb --language deu_Latn classes
says '--language: there is no text to encode'

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
