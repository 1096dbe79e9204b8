#!/bin/sh
# The command as people and scripts meet it: exit codes, messages, files, lists, JSON, and the
# numbers of the model that ships.
# usage: tests/cli/test_cli.sh CLIP CHECK_OUTPUT EXAMPLE_EMBED SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") example=$(realpath "$3") root=$(realpath "$4")
golden=$root/tests/cli/golden
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"

no_temporaries() { [ -z "$(ls -A "$1" | grep '\.......$')" ] || fault "temporary files left in $1"; }

# picture FILE SEED: a small one, each seed another
picture() {
    awk -v s="$2" 'BEGIN { print "P3 5 4 255"
        for (i = 0; i < 60; i++) printf "%d ", (i * (37 + 11 * s) + s * s * 19) % 256; print "" }' >"$1"
}

picture one.ppm 1
picture two.ppm 2
echo "this is no picture" >broken.png
mkdir many empty
for i in $(seq 10 49); do picture many/$i.ppm $i; done

it "help and version"
want 0 "$clip" --help
prints 'classify'
for c in info embed classify explain match vqa index search eval 'eval retrieval' 'eval zeroshot' probe train convert \
    bench; do
    want 0 "$clip" $c --help
    prints "usage: clip $c"
    silent err
done
want 0 "$clip" --version
prints 'clip 0'

it "usage errors"
want 2 "$clip"
says 'usage: clip COMMAND'
want 2 "$clip" embde
says "did you mean 'embed'?"
want 2 "$clip" eval retreival
says "did you mean 'retrieval'?"
want 2 "$clip" --model x info
says 'options follow the command'
want 2 "$clip" embed --txet hi
says "did you mean '--text'?"
says 'usage: clip embed'
want 2 "$clip" embed -x
says "unknown option '-x'"
want 2 "$clip" embed --json=yes
says 'takes no value'
want 2 "$clip" embed --text
says 'needs a value'
want 2 "$clip" embed
says 'nothing to embed'
want 2 "$clip" classify one.ppm
says '--labels is missing'
want 2 "$clip" classify -l a,b
says 'no picture'
want 2 "$clip" classify -l ' , ' one.ppm
says 'the list is empty'
want 2 "$clip" classify -l a,b -k 0 one.ppm
says 'not a whole number'
want 2 "$clip" classify -l a,b --templates photo one.ppm
says 'not a file, nor a text with {}'
want 2 "$clip" embed -t many one.ppm
want 2 "$clip" embed --files-from a - </dev/null
want 2 "$clip" embed - --texts-from - </dev/null
says 'only once'
want 2 "$clip" eval zeroshot
want 2 "$clip" eval zeroshot a b
want 2 "$clip" eval zeroshot many --captions all
want 2 "$clip" bench x
silent out

it "models that are not there"
want 1 "$clip" info -m nowhere
says 'clip: nowhere'
want 1 env CLIP_MODEL="$T/empty" "$clip" info
says "clip: $T/empty"
want 1 "$clip" info one.ppm
silent out

it "info"
want 0 "$clip" info
prints 'ModifiedResNet'
want 0 "$clip" info --json "$root/models/emoji-clip"
same "$("$check" lines <out)" 1
same "$(json embed_dim)" 256
same "$(json image.size)" 64
same "$(json text.context_length)" 32

it "numbers of the model that ships, as OpenCLIP computes them"
want 0 "$clip" embed "$golden/picture.png" \
    --text 'grinning face, cheerful, cheery, face, grin, grinning, happy, laugh, nice, smile, smiling, teeth' \
    --text 'grinning face with smiling eyes, eye, eyes, face, grin, grinning, happy, laugh, lol, mouth, open, smile, '\
'smiling' \
    --text 'beaming face with smiling eyes, beaming, eye, eyes, face, grin, grinning, happy, nice, smile, smiling, '\
'teeth'
"$check" near "$golden/embeddings.jsonl" <out || fault 'other numbers'

it "products in bf16 and int8: near, and bf16 only where the processor can"
want 2 "$clip" embed --precision f16 one.ppm
says "'f16' is none of f32, bf16, int8"
want 2 "$clip" convert --precision bf16
says "unknown option '--precision'"
want 2 "$clip" train --precision bf16
says "--precision: 'bf16' is none of f32|amp_bf16"
want 0 "$clip" embed one.ppm --text hello
cp out f32
want 0 "$clip" embed --precision f32 one.ppm --text hello
cmp -s out f32 || fault 'f32 is not what is computed without a word'
if "$clip" --version | grep -q 'with bf16'; then
    want 0 "$clip" embed --precision bf16 one.ppm --text hello
    ! cmp -s out f32 || fault 'bf16 makes no difference'
    want 0 "$clip" info --precision bf16 --json
    same "$(json precision)" bf16
    want 0 "$clip" bench --precision bf16 --json
    same "$(json precision)" bf16
else
    want 1 "$clip" embed --precision bf16 one.ppm -o none.npy
    says 'clip: precision bf16 needs AVX512_BF16'
    [ ! -e none.npy ] || fault 'an array of nothing'
fi
want 0 "$clip" embed --precision int8 one.ppm --text hello
! cmp -s out f32 || fault 'int8 makes no difference'
want 0 "$clip" info --precision int8 --json
same "$(json precision)" int8

it "pictures of another size than the model's"
want 0 "$clip" info --image-size 96
prints 'size         96 x 96, instead of 64 x 64'
want 0 "$clip" info --image-size 96 --json
same "$(json image.size)" 96
same "$(json image.stored_size)" 64
want 0 "$clip" embed one.ppm
cp out own
want 0 "$clip" embed --image-size 64 one.ppm
cmp -s out own || fault "the model's own size changes something"
want 0 "$clip" embed --image-size 96 one.ppm
! cmp -s out own || fault 'the size makes no difference'
want 1 "$clip" embed --image-size 100 one.ppm
says 'pictures of 100 pixels do not fit this ModifiedResNet'
says 'sizes must be multiples of 32'
want 2 "$clip" embed --image-size 0 one.ppm
for c in train convert; do
    want 2 "$clip" $c --image-size 96
    says "unknown option '--image-size'"
done

it "a batch is its pictures one by one, for any number of threads"
want 0 "$clip" embed -t 1 many
cp out batch
same "$(wc -l <batch)" 40
want 0 "$clip" embed -t 3 many
cmp -s out batch || fault 'threads make a difference'
for i in 10 41 42 49; do
    want 0 "$clip" embed many/$i.ppm
    grep -q -x -F "$(cat out)" batch || fault "picture $i differs alone"
done

it "broken pictures are skipped and said"
want 1 "$clip" embed one.ppm broken.png missing.png two.ppm
same "$("$check" lines <out)" 2
says 'clip: broken.png: '
says 'clip: missing.png: No such file'
want 1 "$clip" embed broken.png -o none.npy
[ ! -e none.npy ] || fault 'an array of nothing'
want 1 "$clip" embed empty
says 'empty'

it "arrays"
want 0 "$clip" embed many --text hello -o a.npy --names a.txt --json
same "$(json rows)" 41
same "$("$check" npy a.npy)" '41 256'
same "$(wc -l <a.txt)" 41
same "$(tail -1 a.txt)" hello
same "$(head -1 a.txt)" many/10.ppm
want 0 "$clip" embed one.ppm -o b.NPY
silent out
want 1 "$clip" embed one.ppm broken.png -o c.npy
same "$("$check" npy c.npy)" '1 256'
says '--names'
want 0 "$clip" embed one.ppm -o c.jsonl
same "$("$check" lines <c.jsonl)" 1

it "where an output goes: '-', descriptors, pipes and devices are written to and never replaced"
for to in - /dev/stdout /dev/fd/1 /proc/self/fd/1 onelink; do
    ln -sf /dev/stdout onelink
    (echo before; "$clip" embed one.ppm -o d.npy --names "$to"; echo after) >stream 2>err
    same "$(cat stream)" "$(printf 'before\none.ppm\nafter')"
done
[ ! -e ./- ] || fault "a file called '-'"
[ -L onelink ] || fault 'a link to /dev/stdout was replaced'
(echo before; "$clip" embed one.ppm -o d.npy --names stream) >>stream 2>err
same "$(tail -2 stream)" "$(printf 'before\none.ppm')"
("$clip" embed one.ppm -o d.npy --names /dev/fd/3; echo after >&3) 3>third 2>err
same "$(cat third)" "$(printf 'one.ppm\nafter')"
mkfifo fifo && (cat fifo >piped &) && want 0 "$clip" embed one.ppm -o d.npy --names fifo
[ -p fifo ] || fault 'a FIFO was replaced'
want 0 "$clip" embed one.ppm -o - --names e.txt
same "$("$check" lines <out)" 1
want 0 "$clip" embed one.ppm -o e.npy --names /dev/null
[ -c /dev/null ] || fault '/dev/null was replaced'
want 2 "$clip" embed one.ppm --names -
says "--names: '-' is standard output, where the rows go"
want 2 "$clip" embed one.ppm -o f.npy --json --names /dev/stdout
says 'where the summary of --json goes'
want 2 "$clip" classify -l a,b --html - one.ppm
says "--html: '-' is standard output, where the results go"
want 2 "$clip" explain one.ppm a -o /dev/stdout
want 2 "$clip" explain one.ppm a --raw -
want 2 "$clip" eval zeroshot x.tsv -l a,b --confusion -
want 2 "$clip" eval zeroshot x.tsv -l a,b --fit-thresholds -
want 2 "$clip" search --html - cat
want 2 "$clip" match --fit x.tsv -o /dev/stderr
says "'/dev/stderr' is not a file that can be replaced"
want 2 "$clip" convert --to hf -
says "'-' is not a folder"
for option in 'index --index' 'index --export' 'search --index' 'probe --output' 'probe --apply' 'vqa --head' \
    'train --output' 'train --resume' 'info --model'; do
    want 2 "$clip" $option -
    says "'-' is not a folder"
done

it "encoders alone"
hidden=$root/tests/model/golden/hidden
want 0 "$clip" info "$hidden/text"
prints 'the text encoder alone'
prints 'none, because there is no projection'
want 1 "$clip" info "$hidden/two.safetensors"
says 'holds several encoders'
want 0 "$clip" info --json "$hidden/two.safetensors:conditioner.embedders.1"
same "$(json prefix)" conditioner.embedders.1.model.
same "$(json text.pad_id)" 0
want 1 "$clip" classify -m "$hidden/text" -l a,b one.ppm
says 'holds no image encoder'
want 0 "$clip" embed -m "$hidden/vision" one.ppm two.ppm --tokens --layer -2 -o h.npy --json
same "$(json tokens)" 5
same "$(json width)" 32
same "$(head -c 128 h.npy | grep -a -o '(2, 5, 32)')" '(2, 5, 32)'
same "$(wc -c <h.npy)" $((128 + 2 * 5 * 32 * 4))
want 0 "$clip" embed -m "$hidden/vision" one.ppm --pooled
prints '"pooled":['
want 1 "$clip" embed -m "$hidden/vision" one.ppm --tokens --layer 4
says '3 layers'
want 1 "$clip" embed one.ppm --tokens
says 'a ModifiedResNet has no tokens'
want 2 "$clip" embed one.ppm --layer -2
says 'go with --tokens'
want 2 "$clip" embed one.ppm --tokens --pooled
says 'one at a time'
want 2 "$clip" embed one.ppm --text hi --tokens
says 'only one kind'
want 2 "$clip" embed --text hi --tokens --final-norm maybe
says 'is not on or off'
want 0 "$clip" embed --text hi --tokens --layer 0
prints '"states":[['

it "a file is replaced only by a whole one"
echo precious >keep.npy
chmod 640 keep.npy
want 1 "$clip" embed broken.png -o keep.npy
same "$(cat keep.npy)" precious
ln -s keep.npy link.npy
want 0 "$clip" embed one.ppm -o link.npy
[ -L link.npy ] || fault 'the link is gone'
same "$("$check" npy keep.npy)" '1 256'
same "$(stat -c %a keep.npy)" 640
want 1 "$clip" embed one.ppm -o nowhere/x.npy
says 'nowhere/x.npy: No such file'
want 1 "$clip" embed one.ppm -o a.npy -o /dev/full
says 'No space left'
mkfifo fifo
"$clip" embed --files-from fifo -o half.npy 2>/dev/null &
pid=$!
exec 3<>fifo
sleep 1
ls | grep -q 'half.npy.......$' || fault 'nothing was begun'
kill "$pid"
wait "$pid" 2>/dev/null
exec 3>&-
no_temporaries .
[ ! -e half.npy ] || fault 'half a file'

it "standard output that cannot be written"
want 1 sh -c '"$1" embed many >/dev/full' - "$clip"
says 'No space left'
want 1 sh -c '"$1" info >/dev/full' - "$clip"
says 'No space left'
want 1 sh -c '"$1" classify -l a,b --json many >/dev/full' - "$clip"
says 'No space left'
want 0 sh -c '"$1" embed many | head -n 1' - "$clip"
silent err
want 0 sh -c 'trap "" PIPE; "$1" embed many | head -n 1' - "$clip"
silent err

it "streams that are closed" # no file that is opened later takes their place
want 1 sh -c '"$1" embed - <&-' - "$clip"
says 'standard input: Bad file descriptor'
want 1 sh -c '"$1" classify -l - one.ppm <&-' - "$clip"
says 'standard input: Bad file descriptor'
want 1 sh -c '"$1" embed one.ppm >&-' - "$clip"
says 'standard output: Bad file descriptor'
want 1 sh -c '"$1" embed one.ppm nowhere.ppm -o closed.npy >&- 2>&-' - "$clip"
same "$("$check" npy closed.npy)" '1 256'
rm closed.npy

it "lists"
printf 'one.ppm\ntwo.ppm\n' >list
want 0 "$clip" embed --files-from list
same "$("$check" lines <out)" 2
want 0 sh -c '"$1" embed many/10.ppm - <list' - "$clip"
same "$("$check" lines <out)" 3
same "$(head -1 out | "$check" get path)" many/10.ppm
printf 'two.ppm' >list
want 0 sh -c '"$1" embed - <list' - "$clip"
same "$(json path)" two.ppm
want 1 sh -c '"$1" embed - </dev/null' - "$clip"
says 'the list is empty'
want 1 "$clip" embed --texts-from /dev/null
says 'no text'
want 1 "$clip" embed --files-from missing
says 'missing: No such file'
want 1 "$clip" embed --files-from empty
says 'empty: Is a directory'
head -c 2000000 /dev/zero | tr '\0' a >long
want 1 "$clip" embed --files-from long
says 'longer than'

it "odd names"
odd=$(printf 'a b\nc \377 "q".ppm')
cp one.ppm "$odd"
cp one.ppm "$(printf 'esc\033[31m.ppm')"
printf '%s\0one.ppm\0' "$odd" >list0
want 0 "$clip" embed -0 --files-from list0 --names names0
same "$("$check" lines <out)" 2
cmp -s names0 list0 || fault 'names have changed'
same "$(head -1 out | "$check" get path)" "$(printf 'a b\nc \357\277\275 "q".ppm')"
same "$(head -1 out | "$check" get path_bytes | base64 -d)" "$odd"
same "$(grep -c path_bytes out)" 1
want 1 "$clip" embed "$odd" --names names -o x.npy
says 'use -0'
[ ! -e x.npy ] || fault 'half a result'
want 1 "$clip" embed --files-from list0
says 'use -0'
want 0 "$clip" classify -l a,b "$(printf 'esc\033[31m.ppm')"
! grep -q "$(printf '\033')" out || fault 'an escape sequence reached the terminal'
want 0 "$clip" embed -- one.ppm
cp one.ppm ./-dash.ppm
want 0 "$clip" embed -- -dash.ppm

it "texts"
printf 'one\r\ntwo\nthree' >texts
want 0 "$clip" embed --texts-from texts
same "$("$check" lines <out)" 3
same "$(head -1 out | "$check" get text)" one
want 0 "$clip" embed --text ''
for i in $(seq 150); do echo "word $i"; done >texts
want 0 "$clip" embed --texts-from texts -o t.npy
same "$("$check" npy t.npy)" '150 256'

it "classify"
want 0 "$clip" classify -l 'a smiling face,red heart,house' "$golden/picture.png"
same "$(sed -n 2p out | sed 's/.*  //')" 'a smiling face'
same "$(wc -l <out)" 4
want 0 "$clip" classify -l 'a smiling face,red heart,house' --json -k 2 "$golden/picture.png" one.ppm
same "$("$check" lines <out)" 1
same "$(json pictures.0.labels)" 2
same "$(json pictures.0.labels.0.label)" 'a smiling face'
want 0 "$clip" classify -l 'x,y,z' --json one.ppm
for i in 0 1 2; do json pictures.0.labels.$i.probability; done |
    awk '{s += $1} END {exit !(s > 0.99999 && s < 1.00001)}' || fault 'probabilities'
printf '\357\273\277cat\r\n\n  dog \ncat\n' >labels
want 0 "$clip" classify --labels labels --json -k 9 one.ppm
same "$(json labels)" 2
want 0 "$clip" classify --labels labels --templates 'a photo of a {}.' one.ppm
cp out inline
echo 'a photo of a {}.' >templates
want 0 "$clip" classify --labels labels --templates templates one.ppm
cmp -s inline out || fault 'a template in a file is another'
want 0 "$clip" classify -l 'a photo of a cat.,a photo of a dog.' one.ppm
same "$(awk 'NR > 1 {print $1, $3}' out)" "$(awk 'NR > 1 {print $1, $3}' inline)"
want 1 "$clip" classify -l animals.txt one.ppm
says 'no such file'
(echo cat && head -c 65537 long && echo) >labels
want 1 "$clip" classify --labels labels one.ppm
says 'labels: line 2 has 65537 bytes; a label or template has at most 65536'
(echo '{}' && head -c 65537 long && echo) >templates
want 1 "$clip" classify -l a,b --templates templates one.ppm
says 'templates: line 2 has 65537 bytes'
yes '{}' | head -20000 | tr '\n' ' ' >templates && head -c 20000 long >labels
want 1 "$clip" classify --labels labels --templates templates one.ppm # 400 MB, filled
says 'which has {} 20000 times'
says '65536 are allowed'
want 1 "$clip" classify -l /dev/null one.ppm
want 1 "$clip" classify -l empty/x,y --json one.ppm broken.png
says 'broken.png'
same "$(json failed)" 1
same "$(json pictures.1.path)" broken.png

it "the same in any locale"
# where the languages' package is installed
mkdir locales && { localedef -i de_DE -f UTF-8 locales/de_DE.UTF-8 || true; } >/dev/null 2>&1
for options in "embed --text cat one.ppm" "classify -l a,b one.ppm" "classify -l a,b --json one.ppm" "info" \
    "classify -l a,b --html page.html one.ppm"; do
    want 0 "$clip" $options
    cat out page.html >plain 2>/dev/null
    want 0 env LOCPATH="$T/locales" LC_ALL=de_DE.UTF-8 "$clip" $options
    cat out page.html 2>/dev/null | cmp -s - plain || fault "$options: German"
done

it "the page"
cp one.ppm '<i>&"x.ppm'
want 0 "$clip" classify -l '<script>alert(1)</script>,cat' --html page.html '<i>&"x.ppm' many
grep -q 'data:image/png;base64,' page.html || fault 'no picture in it'
! grep -q -e '<script' -e '<i>&"' -e 'https\{0,1\}:' page.html || fault 'something in it is not escaped, or not in it'
same "$(grep -c '<article' page.html)" 41
same "$(grep -c '<section' page.html)" 2
want 1 "$clip" classify -l a,b --html nowhere/page.html one.ppm
says 'nowhere/page.html'

it "eval"
mkdir -p zoo/cat zoo/dog
for i in 1 2 3; do picture zoo/cat/$i.ppm $i; picture zoo/dog/$i.ppm $((i + 10)); done
want 0 "$clip" eval zeroshot zoo
prints '6 pictures, 2 labels'
want 0 "$clip" eval zeroshot zoo --json
same "$("$check" lines <out)" 1
same "$(json top5)" 1
top1=$(json top1)
want 0 "$clip" classify -l cat,dog --json -k 1 zoo
right=$(for i in 0 1 2 3 4 5; do json pictures.$i.labels.0.label; done |
    awk '{n += $1 == (NR < 4 ? "cat" : "dog")} END {printf "%.9g\n", n / 6}')
same "$top1" "$right"
want 1 "$clip" eval zeroshot zoo --labels cat,mouse --json
says "'dog'"
same "$(json unlisted)" 3
same "$(json pictures)" 3
want 0 "$clip" eval retrieval zoo --json
same "$(json image_to_text.queries)" 6
same "$(json text_to_image.'R@10')" 1
printf 'a red heart\na house\n' >zoo/cat/1.txt
want 0 "$clip" eval retrieval zoo --json
same "$(json captions)" 7
want 0 "$clip" eval retrieval zoo --captions last --json
same "$(json captions)" 6
cp broken.png zoo/dog/
want 1 "$clip" eval retrieval zoo --json
says 'broken.png'
same "$(json failed)" 1
same "$(json pictures)" 6
want 1 "$clip" eval retrieval empty
want 1 "$clip" eval retrieval nowhere.tar
says 'nowhere.tar'

it "convert"
tiny=$root/tests/model/golden
want 2 "$clip" convert
says 'directory to write is missing'
want 2 "$clip" convert x
says 'say what to convert to'
want 2 "$clip" convert --to onnx x
says "layout 'onnx'"
want 2 "$clip" convert --dtype f8 x
says "type 'f8'"
want 1 "$clip" convert --model "$tiny/tiny-resnet" --to hf x
says "transformers' CLIP has no ResNet"
want 1 "$clip" convert --model "$tiny/tiny-vit" --to hf nowhere/x
says 'nowhere/x: cannot be made'
want 2 "$clip" convert --model "$tiny/tiny-vit" --to hf many
says 'many: is there already, and not empty'
want 1 sh -c 'ulimit -f 20; trap "" XFSZ; "$1" convert --model "$2" --to hf x' - "$clip" "$tiny/tiny-vit"
says 'cannot be written'
want 1 test -e x
want 1 test -e .x.tmp
for m in tiny-vit tiny-openai tiny-hf; do
    rm -rf a b c d e f
    want 0 "$clip" convert --model "$tiny/$m" --to openclip --dtype f32 a
    silent out
    want 0 "$clip" convert --model a --to hf b
    want 0 "$clip" convert --model b --to openclip c
    want 0 cmp a/open_clip_model.safetensors c/open_clip_model.safetensors
    # a and c read a vocabulary unlike CLIP's by different rules
    [ $m = tiny-openai ] || want 0 cmp a/open_clip_config.json c/open_clip_config.json
    want 0 "$clip" convert --model a --to hf --dtype f16 d
    want 0 "$clip" convert --model d --to openclip --dtype f32 e
    want 0 "$clip" convert --model e --to hf --dtype f16 f
    want 0 cmp d/model.safetensors f/model.safetensors
    want 0 "$clip" info --model d --json
    same "$(json weights_type) $(json layout)" 'f16 Hugging Face'
    for x in "$tiny/$m" b c; do
        want 0 "$clip" embed --model $x --text 'a small cat' one.ppm
        mv out got
        [ $x != "$tiny/$m" ] || cp got wanted
        want 0 cmp got wanted
    done
done
mkdir empty/there
want 0 "$clip" convert --model "$tiny/tiny-resnet" --to openclip empty/there
want 0 "$clip" embed --model empty/there one.ppm
rm -r empty/there

it "bench"
want 0 "$clip" bench --json
same "$("$check" lines <out)" 1
same "$(json text_tokens)" 12

it "the line of progress"
if command -v script >/dev/null; then
    want 0 script -qec "(echo one.ppm; sleep 1.5; for i in \$(seq 99); do echo two.ppm; done) |
        '$clip' embed - 2>&1 >/dev/null" /dev/null
    prints 'pictures, '
    want 0 script -qec "'$clip' embed one.ppm 2>&1 >/dev/null" /dev/null
    silent out
fi

it "the example"
want 0 "$example" "$root/models/emoji-clip" "$golden/picture.png" 'a smiling face' 'red heart' 'house'
prints 'a smiling face'
want 1 "$example" "$root/models/emoji-clip" broken.png a
says 'broken.png'
want 2 "$example"

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
