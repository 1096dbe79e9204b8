#!/bin/sh
# clip vqa: questions to the model that ships; heads that are fitted, kept and refused; scores.
# usage: tests/cli/test_vqa.sh CLIP CHECK_OUTPUT MAKE_SCENES SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") scenes=$(realpath "$3") root=$(realpath "$4")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
. "$root/tests/cli/harness.sh"
samples=$root/models/samples

it "zero-shot"
want 0 "$clip" vqa 'what color is the balloon?' "$samples/green-balloon.png" --json
same "$(json type)" color
same "$(json statement)" '{} balloon'
same "$(json by)" zero-shot
same "$(json pictures.0.answers.0.answer)" green
want 0 "$clip" vqa 'is there a key?' "$samples/golden-key.png" --json
same "$(json pictures.0.answers.0.answer)" yes
want 0 "$clip" vqa 'is there a key?' "$samples/swan.png" --json -k 1
same "$(json pictures.0.answers.0.answer)" no
want 0 "$clip" vqa 'what is this?' --answers 'a pumpkin,a guitar,a castle' "$samples/guitar.png" "$samples/pumpkin.png"
same "$(sed -n '2p;6p' out | tr -s ' ' | cut -d' ' -f4- | tr '\n' ',')" 'a guitar,a pumpkin,'

it "answers from an index"
want 0 "$clip" index "$samples/samples.tsv" --index words
want 0 "$clip" vqa 'what is this?' --answers-from-index words "$samples/golden-key.png" -k 1000
same "$(sed -n '2s/.*%  //p' out)" key
same "$(sed 1d out | sort | uniq -d | wc -l)" 0
prints "rubik's"
! sed 1d out | grep -qw of || fault 'a word that answers nothing'
want 0 "$clip" vqa 'what flag of the world is it?' --answers-from-index words "$samples/flag-of-lebanon.png" -k 1000
! sed 1d out | grep -qw flag || fault 'a word of the question'
want 0 "$clip" vqa 'what animal is this?' --answers-from-index words "$samples/penguins.png" -k 1000
same "$(sed -n '2s/.*%  //p' out)" penguin
same "$(sed '1d;s/.*%  //' out | sort | tr '\n' ' ')" 'bee butterfly elephant lizard penguin swan '
want 0 "$clip" vqa 'what season is it?' --answers-from-index words "$samples/christmas-tree.png" -k 1000
same "$(sed 1d out | wc -l)" 4
want 0 "$clip" vqa 'is there a key?' --answers-from-index words "$samples/golden-key.png" --json
same "$(json pictures.0.answers.0.answer)" yes
want 1 "$clip" vqa 'what is this?' --answers-from-index nowhere "$samples/swan.png"
says 'nowhere: no index'
want 0 "$clip" index "$samples/swan.png" --index silent
want 1 "$clip" vqa 'what is this?' --answers-from-index silent "$samples/swan.png"
says 'silent: the index has no texts'
want 2 "$clip" vqa 'what is this?' --answers-from-index words --answers a,b "$samples/swan.png"
says 'does not go with --answers'
want 2 "$clip" vqa --fit a --answers-from-index words

it "what is not taken"
want 2 "$clip" vqa
says 'no question is asked'
want 2 "$clip" vqa 'what is this?'
says 'no picture is named'
want 2 "$clip" vqa --fit a --eval b
want 2 "$clip" vqa --eval a b
want 2 "$clip" vqa --zero-shot --fit a
want 2 "$clip" vqa --pooled --eval a
says '--pooled goes with --fit'
want 1 "$clip" vqa '?' "$samples/swan.png"
says 'the question is empty'
want 1 "$clip" vqa 'what is this?' nowhere.png
says nowhere.png
want 1 "$clip" vqa --head nowhere 'what is this?' "$samples/swan.png"
says nowhere/vqa.json
want 1 "$clip" vqa --eval "$samples/samples.tsv"
says "names no column 'question'"
printf 'filepath\tquestion\tanswer\nx.png\twhat is it?\t \n' >broken.tsv
want 1 "$clip" vqa --eval broken.tsv
says 'line 2'
printf 'filepath\tquestion\tanswer\n' >empty.tsv
want 1 "$clip" vqa --eval empty.tsv
says 'no question in it'

it "a head"
"$scenes" train 120 1 train && "$scenes" val 30 2 val && "$scenes" test 30 2 test || fault 'no scenes'
for part in val test; do # what they ask about occurs nowhere else
    other=$([ $part = val ] && echo test || echo val)
    sed -n 's/.*what shape [a-z]* the \([a-z]*\) things*?\t\(.*\)/\1 \2/p' $part/questions.tsv | sort -u >pairs
    [ -s pairs ] || fault "$part asks about nothing"
    ! grep -F -f pairs -q train/*.tsv $other/*.tsv || fault "a pair of $part is elsewhere"
done
want 0 "$clip" vqa --fit train/questions.tsv --head head --epochs 3 --hidden 32
says 'epoch 3'
same "$(ls head | tr '\n' ' ')" 'vqa.json vqa.safetensors '
want 0 "$clip" vqa --head head --eval test/questions.tsv --json
same "$(json by)" head
same "$(json all.questions)" "$(($(wc -l <test/questions.tsv) - 1))"
json all.question_alone >/dev/null || fault 'no baseline'
want 0 "$clip" vqa --head head --eval test/questions.tsv
prints 'question alone'
want 0 "$clip" vqa --head head 'what color is it?' -k 2 --answers 'red,The Blue' test/000001.png --json
case $(json pictures.0.answers.0.answer) in red | blue) ;; *) fault 'not one of the answers' ;; esac
want 1 "$clip" vqa --head head 'what color is it?' --answers nonsense test/000001.png
says 'none of the answers'
want 2 "$clip" vqa --head head 'what color is it?' --answers-from-index words test/000001.png
says 'a head chooses among its own answers'
want 0 "$clip" vqa --fit train/questions.tsv --head again --epochs 3 --hidden 32 -t 1
cmp -s head/vqa.safetensors again/vqa.safetensors || fault 'the threads make a difference'
want 0 "$clip" vqa --fit train/questions.tsv --head other --epochs 3 --hidden 32 --seed 1
! cmp -s head/vqa.safetensors other/vqa.safetensors || fault 'the seed makes none'
for kind in pooled unbiased; do
    want 0 "$clip" vqa --fit train/questions.tsv --head $kind --$kind --epochs 3 --hidden 32
    ! cmp -s head/vqa.safetensors $kind/vqa.safetensors || fault "--$kind makes no difference"
    want 0 "$clip" vqa --head $kind --eval test/questions.tsv --json
done
grep -q '"tokens":[[:space:]]*0' pooled/vqa.json || fault 'it looks at tokens'

it "a head that does not fit"
cp other/vqa.safetensors again/
want 1 "$clip" vqa --head again 'what color is it?' test/000001.png
says 'does not belong'
sed 's/"weights":.*"[0-9a-f]*"/"weights": "00000000000000000000000000000000"/' head/vqa.json >other/vqa.json
want 1 "$clip" vqa --head other 'what color is it?' test/000001.png
says 'other weights'
for text in '' '{' '{"weights": 3}' '[]'; do
    echo "$text" >head/vqa.json
    want 1 "$clip" vqa --head head 'what color is it?' test/000001.png
    says head/vqa.json
done

it "pictures that cannot be read are left out"
{ cat test/questions.tsv && printf 'gone.png\twhat is it?\tred\n'; } >test/more.tsv
want 1 "$clip" vqa --eval test/more.tsv --json
says gone.png
same "$(json failed)" 1
same "$(json all.questions)" "$(($(wc -l <test/questions.tsv) - 1))"

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
