#!/bin/sh
# How every command reads its pictures: the background of transparent ones, and the largest size.
# usage: tests/cli/test_pictures.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL CLIP_INDEX
export XDG_DATA_HOME="$T/data" XDG_STATE_HOME="$T/state"
. "$root/tests/cli/harness.sh"
vit=$root/tests/model/golden/tiny-vit

# disc X Y COLOR GROUND: 24 x 24 pixels of RGB.
# clear X Y COLOR: the same disc on a transparent ground, as PAM. Transparent pixels are black.
drawing='{ split(color, c, ",")
    for (y = 0; y < 24; y++) for (x = 0; x < 24; x++) { in_it = (x - X) ^ 2 + (y - Y) ^ 2 < 60; draw() } }'
disc() {
    echo x | awk -v X="$1" -v Y="$2" -v color="$3" -v ground="$4" \
        "function draw() { print in_it ? c[1] \" \" c[2] \" \" c[3] : ground }
        BEGIN { print \"P3 24 24 255\" } $drawing"
}
clear() {
    printf 'P7\nWIDTH 24\nHEIGHT 24\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n'
    printf "$(echo x | awk -v X="$1" -v Y="$2" -v color="$3" "function draw() {
        if (in_it) printf \"\\\\%03o\\\\%03o\\\\%03o\\\\377\", c[1], c[2], c[3]
        else printf \"\\\\000\\\\000\\\\000\\\\000\" } $drawing")"
}
# four pictures in each of the folders clear, white, blue and black
draw() {
    mkdir -p clear/$1 white/$1 blue/$1 black/$1
    clear $3 $4 $5 >clear/$1/$2
    disc $3 $4 $5 '255 255 255' >white/$1/$2
    disc $3 $4 $5 '0 0 255' >blue/$1/$2
    disc $3 $4 $5 '0 0 0' >black/$1/$2
}
draw red a.ppm 8 9 220,30,40
draw red b.ppm 14 12 220,30,40
draw green c.ppm 9 14 30,200,40
draw green d.ppm 15 9 30,200,40
for d in clear white blue black; do
    printf 'filepath\ttitle\nred/a.ppm\tred circle\nred/b.ppm\tred\ngreen/c.ppm\tgreen circle\ngreen/d.ppm\tgreen\n' \
        >$d/pairs.tsv
    printf 'filepath\tquestion\tanswer\nred/a.ppm\twhat color is it?\tred\ngreen/c.ppm\twhat color is it?\tgreen\n' \
        >$d/asked.tsv
done

# alike GROUND OPTION... -- COMMAND...: in the folder clear, with the options, the command prints
# the same as in the folder GROUND without them. Folders' names are left out.
# and times it must be the same to the letter
alike() {
    ground=$1 given=
    shift
    while [ "$1" != -- ]; do
        given="$given $1"
        shift
    done
    shift
    (cd "$ground" && exec "$clip" "$@") >"$T/want" 2>"$T/want.err" || fault "$ground: $*: $(cat "$T/want.err")"
    command=$1
    shift
    tests=$((tests + 1))
    (cd clear && exec "$clip" "$command" $given "$@") >"$T/out" 2>"$T/err" || fault "$command$given $*"
    sed 's/"seconds".*//' "$T/want" >"$T/a" && sed 's/"seconds".*//' "$T/out" >"$T/b"
    cmp -s "$T/a" "$T/b" || fault "$command$given $*: not as on $ground"
}

it 'the model that ships lays pictures on white, others drop transparency; --background wins'
for c in 'embed red' 'classify -l red,green,blue red green' 'match red/a.ppm red,green' 'match --json pairs.tsv' \
    'vqa --json color? red/a.ppm' \
    'explain --json red/a.ppm circle' 'eval retrieval --json pairs.tsv' 'eval zeroshot --json .'; do
    alike white -- $c
done
alike blue --background 0000ff -- embed red
alike blue --background=#0000FF -- classify -l red,green red
alike black --background drop -- embed red
alike black -- embed -m "$vit" red
alike white --background white -- embed -m "$vit" red
alike black --background black -- embed red
want 0 "$clip" embed clear/red && cp out on_white
want 0 "$clip" embed --background drop clear/red
cmp -s out on_white && fault 'the pictures are not transparent at all'

it 'probes'
alike white -- probe --json . --test-data . -o ../p.probe
alike blue --background 0000ff -- probe --json . --test-data . -o ../p.probe

it 'pages show what the model saw'
want 0 "$clip" classify -l red,green clear/red --html clear.html &&
    want 0 "$clip" classify -l red,green white/red --html white.html
grep -o 'data:image/png[^)"]*' clear.html >a && grep -o 'data:image/png[^)"]*' white.html >b && [ -s a ] &&
    cmp -s a b || fault 'page of classify'

it 'an index keeps its ground, and lays what it is asked about on it'
want 0 "$clip" index --index i -m "$vit" --background white clear
want 0 "$clip" index --index i --stats --json
same "$(json background)" '#ffffff'
want 0 "$clip" index --index j -m "$vit" white
for p in red/a.ppm green/d.ppm; do
    want 0 "$clip" search --index i --json --queries - <<Q
clear/$p
Q
    json hits.0.score | awk '{ exit !($1 > 0.999) }' || fault "$p is not like itself"
    case $(json hits.0.path) in *"clear/$p") ;; *) fault "$p is not the nearest to itself" ;; esac
done
want 0 "$clip" search --index i --html page.html clear/red/a.ppm
grep -o 'data:image/png[^)"]*' page.html >a
want 0 "$clip" search --index j --html page.html white/red/a.ppm
grep -o 'data:image/png[^)"]*' page.html >b
[ -s a ] && cmp -s a b || fault 'page of search'
want 1 "$clip" index --index i --background black
says 'embedded with the background #ffffff; with #000000 they could not be compared'
draw red e.ppm 12 12 220,30,40
want 0 "$clip" index --index i
want 0 "$clip" index --index i --background '#ffffff'
want 0 "$clip" index --index i --stats
prints 'alpha     laid on #ffffff'
want 0 "$clip" index --index k -m "$vit" clear
want 0 "$clip" index --index k --stats
prints 'alpha     dropped'
want 0 "$clip" index --index l clear
want 0 "$clip" index --index l --stats --json
same "$(json background)" '#ffffff'

it 'conversion and training keep the ground'
cp -r "$vit" model && chmod -R u+w model
sed -i 's/"preprocess_cfg": *{/&"background": "#0000ff", /' model/open_clip_config.json
grep -q background model/open_clip_config.json || fault 'the test itself: no preprocess_cfg'
want 0 "$clip" info --json -m model
same "$(json image.background)" '#0000ff'
for layout in openclip hf openclip; do
    rm -rf next && want 0 "$clip" convert -m model --to $layout next
    rm -rf model && mv next model
    want 0 "$clip" info --json -m model
    same "$(json image.background)" '#0000ff'
    alike blue -- embed -m "$T/model" red
done
sed -i 's/#0000ff/bluish/' model/open_clip_config.json
want 1 "$clip" info -m model
says '"background": "bluish" is none of #rrggbb, white, black, drop'
cat >tiny.json <<E
{"model_cfg": {"embed_dim": 16,
               "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 32},
               "text_cfg": {"context_length": 16, "vocab_size": 560, "width": 32, "heads": 1, "layers": 1}},
 "preprocess_cfg": {"background": "#0000ff"}}
E
echo '{"model": "tiny.json", "tokenizer-vocab": 514, "batch-size": 2, "epochs": 1}' >run.json
weights() { cat "$1/checkpoint/open_clip_model.safetensors"; }
for d in clear blue white black; do
    want 0 "$clip" train --config run.json --train-data $d/pairs.tsv --val-data $d/pairs.tsv --output run-$d
done
weights run-clear >a && weights run-blue | cmp -s - a || fault 'not trained on the ground of the configuration'
want 0 "$clip" info --json -m run-clear/checkpoint
same "$(json image.background)" '#0000ff'
want 0 "$clip" train --config run.json --background white --train-data clear/pairs.tsv --output run-option
weights run-option >a && weights run-white | cmp -s - a || fault 'not trained on the ground of the option'
want 0 "$clip" info --json -m run-option/checkpoint
same "$(json image.background)" '#ffffff'
want 0 "$clip" train --pretrained run-clear/checkpoint --background drop --train-data clear/pairs.tsv --output \
    run-drop --batch-size 2 --epochs 1 --lr 1e-5
want 0 "$clip" info --json -m run-drop/checkpoint
same "$(json image.background)" drop
want 2 "$clip" train --config run.json --background pink --train-data clear/pairs.tsv --output run-x
says "--background: 'pink' is none of #rrggbb, white, black, drop"

it 'how large pictures may be'
for c in 'embed' 'classify -l red,green' match 'probe' 'eval zeroshot' 'explain' 'vqa' 'index --index m' \
    'search --index m'; do
    want 2 "$clip" $c --max-pixels 0 clear x
    says "--max-pixels: '0' is not a whole number from 1"
    want 2 "$clip" $c --background pink clear x
    says "--background: 'pink' is none of"
done
for c in 'embed clear/red/a.ppm' 'explain clear/red/a.ppm circle' 'vqa color? clear/red/a.ppm' \
    'classify -l red clear/red/a.ppm' 'index --index m clear/red/a.ppm' \
    'search --index i clear/red/a.ppm'; do
    want 1 "$clip" $c --max-pixels 575
    says '24 x 24 pixels are more than the 575 allowed'
    says '--max-pixels'
done
want 0 "$clip" embed clear/red/a.ppm --max-pixels 576
want 1 "$clip" train --config run.json --max-pixels 575 --train-data clear/pairs.tsv --output run-small
says '--max-pixels'
want 0 "$clip" train --config run.json --max-pixels 576 --train-data clear/pairs.tsv --val-data clear/pairs.tsv \
    --output run-fits

echo "$tests runs, $faults faults"
[ "$faults" = 0 ]
