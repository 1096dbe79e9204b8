#!/bin/sh
# clip search, and embeddings in and out: queries, filters, outputs, and faults.
# usage: tests/cli/test_search.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL KITTY_WINDOW_ID TERM_PROGRAM TMUX
export XDG_STATE_HOME="$T/state" XDG_DATA_HOME="$T/data" TERM=dumb TZ=UTC CLIP_INDEX="$T/index"
. "$root/tests/cli/harness.sh"

first() { same "$(head -1 out)" "$1"; }
lines() { same "$(grep -c '' out)" "$1"; }

it "an index that is not there, or empty"
want 1 "$clip" search castle
says 'clip index'
mkdir none
"$clip" index --index "$T/hollow" none >log 2>&1
want 1 "$clip" search --index "$T/hollow" castle
says 'the index is empty'

cp -r "$root/models/samples" pictures
touch -d '2023-05-17 12:00' pictures/castle.png
touch -d '2023-06-01 00:00' pictures/swan.png
P=$(realpath pictures)
it "the index of the samples, with their captions"
want 0 "$clip" index pictures/samples.tsv

it "words"
want 0 "$clip" search -k 3 castle
first "$P/castle.png"
lines 3
silent err
want 0 "$clip" search -k 1 a christmas tree
first "$P/christmas-tree.png"
want 0 "$clip" search -k 1 -0 castle
same "$(tr '\0' '!' <out)" "$P/castle.png!"
want 0 "$clip" search --table -k 2 castle
prints '   1   0.'
prints '   2   0.'
want 0 "$clip" search -k 100000 castle
lines 36

it "JSON"
want 0 "$clip" search --json -k 2 "a christmas tree"
same "$(json query)" "a christmas tree"
same "$(json hits.0.path)" "$P/christmas-tree.png"
same "$(json hits.0.kind)" picture
same "$(json hits.1.rank)" 2

it "pictures, from a file and from standard input"
want 0 "$clip" search -k 1 pictures/swan.png
first "$P/swan.png"
"$clip" search -k 1 - <pictures/swan.png >out
first "$P/swan.png"
cp pictures/swan.png swan
want 0 "$clip" search -k 1 swan
first "$P/swan.png"
want 0 "$clip" search -k 1 '"swan"'
for gone in ./nowhere.png nowhere.jpg 2:./nowhere.png; do # no words, though no file
    want 1 "$clip" search "$gone"
    says 'nowhere.'
    says 'No such file'
done
for words in 'no swan.png' '"swan.png"' '"and/or"'; do
    want 0 "$clip" search -k 1 "$words"
done
echo "this is no picture" >broken.png
want 1 "$clip" search broken.png
says 'broken.png'

it "sums"
want 0 "$clip" search -k 2 key + Christmas tree
same "$(sort out | tr '\n' ' ')" "$P/christmas-tree.png $P/golden-key.png "
want 0 "$clip" search -k 3 key - Christmas tree + ./pictures/sailboat.png
first "$P/sailboat.png"
want 0 "$clip" search -k 1 '5:castle' + swan
first "$P/castle.png"
want 0 "$clip" search -k 1 castle + 5:./pictures/swan.png
first "$P/swan.png"
want 0 "$clip" search -k 1 5:pictures/castle.png + swan
first "$P/castle.png"
cp pictures/bee.png 2:bee.png
want 0 "$clip" search -k 1 2:bee.png
first "$P/bee.png"
want 0 "$clip" search --json -k 1 ./pictures/swan.png - castle
same "$(json hits.0.path)" "$P/swan.png"
want 0 "$clip" search --json -k 1 '3:30'
same "$(json query)" '3:30'
want 1 "$clip" search castle - castle
says 'cancel each other out'
for wrong in 'castle +' 'castle -' '+ castle' 'castle + + swan' './pictures/swan.png castle' 'a ./pictures/swan.png'; do
    want 2 "$clip" search $wrong
done
want 2 "$clip" search ''
want 2 "$clip" search
says 'a query is missing'

it "the last answer, and examples from the index"
rm -r state
want 1 "$clip" search --like 1
says 'no last answer'
want 0 "$clip" search --table -k 3 castle
want 0 "$clip" search --json -k 40 --like 1
! grep -q castle.png out || fault "what is liked is its own answer"
same "$(json query)" 'like 1'
want 0 "$clip" search --table -k 3 castle
want 0 "$clip" search -k 1 --like 1 + swan
want 1 "$clip" search --like 4
says 'has no number 4'
want 2 "$clip" search --like 0
want 0 "$clip" search -k 2 --like pictures/swan.png
! grep -q swan.png out || fault "what is liked is its own answer"
want 1 "$clip" search --like nowhere.png
says 'not in the index'
want 1 "$clip" search --index "$T/hollow" --like 1
"$clip" index --index "$T/other" pictures >log
want 1 "$clip" search --index "$T/other" --like 1
says 'another index'

it "texts"
want 0 "$clip" search --kind text -k 1 pictures/golden-key.png
first key
want 0 "$clip" search --kind text -k 1 --table lizard
prints 'lizard  in'
cp -r pictures/swan.png "$(printf 'esc\033 nine\302\233 \303\244.png')"
want 0 "$clip" index --index "$T/odd" esc*
want 0 "$clip" search --index "$T/odd" --table swan
prints "$(printf 'esc? nine? \303\244.png')"
bytes=$(printf 'no \377 UTF-8.png')
cp pictures/swan.png "$bytes"
want 0 "$clip" index --index "$T/bytes" "$bytes"
want 0 "$clip" search --index "$T/bytes" -0 swan
same "$(tr -d '\0' <out)" "$(pwd -P)/$bytes"
want 0 "$clip" search --index "$T/bytes" --json swan
same "$(json hits.0.path_bytes | base64 -d)" "$(pwd -P)/$bytes"
same "$(json hits.0.path)" "$(pwd -P)/$(printf 'no \357\277\275 UTF-8.png')"
want 0 "$clip" search --kind all --json -k 2 lizard
same "$(json hits.0.kind)" text
want 1 "$clip" search --index "$T/other" --kind text castle
says 'nothing found'
want 2 "$clip" search --kind pictures castle
says "did you mean 'picture'?"

it "conditions"
want 0 "$clip" search --filter '*flag*' castle
lines 5
want 0 "$clip" search --filter '*/castle.png' --filter '*/swan.png' flag
lines 2
want 1 "$clip" search --filter '*.jpg' castle
says 'nothing found'
for month in '2023-05 --before 2023-05' '2023-05-17 --before 2023-05-17' '2023-05-17 --before 2023-05-31' \
    '2023 --before 2023-05'; do
    want 0 "$clip" search --after $month swan
    same "$(cat out)" "$P/castle.png"
done
want 0 "$clip" search --after 2023-06-01 --before 2023-06-02 castle
same "$(cat out)" "$P/swan.png"
want 0 "$clip" search --after 2023-06-01 --before 2023-06-01 castle
same "$(cat out)" "$P/swan.png"
want 0 "$clip" search --before 2023 castle
lines 2
want 1 "$clip" search --before 2022 castle
TZ=Asia/Tokyo want 0 "$clip" search --after 2023-06-01 --before 2023-06-01 castle # local time
same "$(cat out)" "$P/swan.png"
TZ=America/New_York want 0 "$clip" search --after 2023-05-31 --before 2023-05-31 castle
same "$(cat out)" "$P/swan.png"
for when in '2024 --before 2023' '2023-06 --before 2023-05' '2023-05-18 --before 2023-05-17'; do
    want 2 "$clip" search --after $when castle
    says 'later than'
done
want 0 "$clip" search --sort date -k 3 --before 2023 castle
same "$(cat out)" "$(printf '%s\n%s' "$P/swan.png" "$P/castle.png")"
want 0 "$clip" search --sort score --before 2023 castle
first "$P/castle.png"
want 0 "$clip" search --json --sort date --before 2023 castle
same "$(json hits.0.mtime)" '2023-06-01T00:00:00+00:00'
same "$(json hits.0.rank)" 1
TZ=Asia/Kolkata want 0 "$clip" search --json -k 1 castle
same "$(json hits.0.mtime)" '2023-05-17T17:30:00+05:30'
want 2 "$clip" search --sort name castle
mkdir -p 'odd/a[1]*' odd/a1 && cp pictures/castle.png 'odd/a[1]*/' &&
    cp pictures/castle.png pictures/swan.png odd/a1/ && ln -s a1 odd/link
cp -p pictures/castle.png 'odd/a[1]*x.png'
want 0 "$clip" index --index "$T/odd-names" odd
for below in 'odd/a[1]*' 'odd/a[1]*/' './odd/../odd/a[1]*' "$T/odd/a[1]*" 'odd/a[1]*/castle.png'; do
    want 0 "$clip" search --index "$T/odd-names" --below "$below" castle
    same "$(cat out)" "$(realpath odd)/a[1]*/castle.png"
done
want 0 "$clip" search --index "$T/odd-names" --below odd/a1 --filter '*swan*' castle
lines 1
want 0 "$clip" search --index "$T/odd-names" --below odd/link castle # what it leads to
lines 2
want 0 "$clip" search --index "$T/odd-names" --below 'odd/a[1]*' --below odd/a1 castle
lines 3
cd odd && want 0 "$clip" search --index "$T/odd-names" --below . castle
cd "$T" && want 0 "$clip" search --index "$T/odd-names" --below odd castle
lines 4
want 1 "$clip" search --index "$T/odd-names" --below odd/a castle
want 2 "$clip" search --below '' castle
want 0 "$clip" search --index "$T/odd-names" --unique castle
lines 2
want 0 "$clip" search --index "$T/odd-names" --unique -k 1 swan
first "$(realpath odd)/a1/swan.png"
printf 'castle\nswan\n' >queries
want 0 "$clip" search --index "$T/odd-names" --unique --queries queries
same "$(sed -n 2p out | "$check" get hits.0.path)" "$(realpath odd)/a1/swan.png"
# in Berlin half past midnight on the second, but by winter time the first
touch -d 2023-06-01T22:30:00Z pictures/swan.png
want 0 "$clip" index pictures
want 0 env TZ=CET-1CEST,M3.5.0,M10.5.0/3 "$clip" search --after 2023-06-02 --before 2023-06-03 castle
same "$(cat out)" "$P/swan.png"
want 1 env TZ=CET-1 "$clip" search --after 2023-06-02 --before 2023-06-03 castle
want 1 "$clip" search --after 2023-06-02 --before 2023-06-03 castle
# half past midnight; at one, clocks in Havana go back, and it comes again
touch -d 2023-11-05T04:30:00Z pictures/swan.png
want 0 "$clip" index pictures
want 0 env TZ='CST5CDT,M3.2.0/0,M11.1.0/1' "$clip" search --after 2023-11-05 --before 2023-11-05 castle
same "$(cat out)" "$P/swan.png"
want 1 env TZ='CST5CDT,M3.2.0/0,M11.1.0/1' "$clip" search --after 2023-11-04 --before 2023-11-04 castle
touch -d 2023-06-01T12:00:00Z pictures/swan.png
want 0 "$clip" index pictures
for date in 2023-13 2023-02-29 23 2023-5 2023-05- today 2023-05-17x -1 ''; do
    want 2 "$clip" search --after="$date" castle
    says 'is not a date'
done
want 0 "$clip" search --min-score 0.4 castle
lines 1
want 1 "$clip" search --min-score 0.99 castle
for score in 2 x '' nan; do
    want 2 "$clip" search --min-score="$score" castle
done

it "prompts"
want 0 "$clip" search --prompt 'a photo of {}' -k 1 swan
first "$P/swan.png"
want 0 "$clip" search --prompt '{}' --prompt 'a {}' -k 1 swan
first "$P/swan.png"
want 2 "$clip" search --prompt 'a photo' castle
says 'has no {}'

it "many queries"
printf 'castle\n./pictures/swan.png\t+\tcastle\n2:swan\t-\tcastle\n' >queries
want 0 "$clip" search -k 2 --queries queries
same "$("$check" lines <out)" 3
same "$(sed -n 3p out | "$check" get hits.0.path)" "$P/swan.png"
yes castle | head -200 >queries
want 0 "$clip" search -k 1 --queries - <queries
same "$(grep -c castle.png out)" 200
printf 'castle\nswan\t+\n' >queries
want 1 "$clip" search --queries queries
says 'line 2'
want 2 "$clip" search --queries queries castle
want 2 "$clip" search --queries queries --html page.html
want 1 "$clip" search --queries nowhere

it "files that are gone"
mv pictures/castle.png away.png
want 0 "$clip" search --table -k 1 castle
prints 'no longer there'
want 0 "$clip" search --json -k 1 castle
prints '"gone":true'
want 0 "$clip" search --html page.html -k 1 castle
grep -q 'no longer there' page.html || fault "the page does not say that a file is gone"
mv away.png pictures/castle.png

it "the page"
want 0 "$clip" search --html page.html -k 4 "<castle>"
same "$(grep -c 'class="card' page.html)" 4
same "$(grep -c 'data:image/png' page.html)" 4
grep -q '&lt;castle&gt;' page.html || fault "the query is not escaped"
want 1 "$clip" search --html nowhere/page.html castle
cp pictures/castle.png "$(printf '<i>"&\047\n\001.png')"
want 0 "$clip" index --index "$T/hostile" '<i>'*
want 0 "$clip" search --index "$T/hostile" --html page.html '"<i>"'
grep -q '/%3Ci%3E%22%26%27%0A%01.png" title="[^"<>]*/&lt;i&gt;&quot;&amp;&#39; &#xfffd;.png">' page.html ||
    fault "the name is not escaped"
! grep -q '<i>' page.html || fault "something is not escaped"

it "links, pipes and devices in the place of files"
mkdir strange && for n in fifo zero folder; do cp pictures/castle.png strange/$n.png; done
want 0 "$clip" index --index "$T/strange.index" strange
rm strange/* && mkfifo strange/fifo.png && ln -s /dev/zero strange/zero.png && mkdir strange/folder.png
for how in '--html page.html' '--show kitty' '--duplicates' '--json'; do
    query=castle && [ "$how" = --duplicates ] && query=
    "$clip" search --index "$T/strange.index" $how $query >out 2>err &
    waits=0
    while kill -0 $! 2>err.kill && [ $waits -lt 200 ]; do sleep 0.1; waits=$((waits + 1)); done
    [ $waits -lt 200 ] || { fault "$how waits for a pipe"; kill $!; }
done
same "$(grep -c 'no longer there' page.html)" 3
printf 'strange/fifo.png\nstrange/zero.png\n' >list
want 1 "$clip" embed --files-from list
says 'strange/fifo.png: is not a regular file'
says 'strange/zero.png: is not a regular file'
printf './strange/fifo.png\n' >queries
want 1 "$clip" search --queries queries
says 'is not a regular file'
"$clip" search -k 1 /dev/stdin <pictures/swan.png >out 2>err # but a person may name one
first "$P/swan.png"
mkfifo pipe && { cat pictures/swan.png >pipe & } && want 0 "$clip" search -k 1 ./pipe
first "$P/swan.png"
{ cat pictures/swan.png >pipe & } && want 0 "$clip" embed pipe
echo old >target && ln -s target link.html && ln -s nowhere dangling.html
want 0 "$clip" search -k 1 --html link.html castle # what is behind a link is replaced, not the link
[ -h link.html ] && grep -q '<html' target || fault "a link is not followed"
want 1 "$clip" search -k 1 --html dangling.html castle
says 'broken symbolic link'
cp -r index copied && ln -sf "$T/target" copied/heads.npy
want 1 "$clip" index --index copied pictures
says 'heads.npy: is a symbolic link'
grep -q '<html' target || fault "a link in an index is written through"

it "pictures in a terminal"
want 0 "$clip" search --show kitty -k 2 castle
same "$(grep -a -o '_Ga=T' out | grep -c '')" 2
want 0 "$clip" search --show iterm -k 2 castle
same "$(grep -a -o ']1337;File=inline=1' out | grep -c '')" 2
want 0 "$clip" search --show sixel -k 2 castle
same "$(grep -a -o 'P0;1;0q' out | grep -c '')" 2
want 2 "$clip" search --show ascii castle

it "no cosine is above 1"
for picture in "$P"/*.png; do
    want 0 "$clip" search --json -k 2 "$picture"
    awk -F'"score":' '{ for (i = 2; i <= NF; i++) if ($i + 0 > 1) exit 1 }' "$T/out" ||
        fault "$picture: $(cat "$T/out")"
done

it "near duplicates"
want 1 "$clip" search --duplicates
cp pictures/castle.png pictures/copy.png
want 0 "$clip" index pictures
want 0 "$clip" search --duplicates
same "$(sort out)" "$(printf '%s\n%s' "$P/castle.png" "$P/copy.png")"
want 0 "$clip" search --duplicates --json
awk -F'"score":' '{ for (i = 2; i <= NF; i++) if ($i + 0 > 1) exit 1 }' "$T/out" || fault 'a cosine above 1'
same "$(json groups.0.1.rank)" 2
mkdir linked && cp pictures/castle.png linked/real.png && ln -s real.png linked/a.png &&
    cp pictures/swan.png linked/ && ln -s swan.png linked/link.png
cp pictures/bee.png linked/bee.png && cp pictures/bee.png linked/c.png && ln -s c.png linked/d.png
want 0 "$clip" index --index "$T/links" linked
# names of one file are no duplicates: who deletes one would lose it
want 0 "$clip" search --index "$T/links" --duplicates
same "$(cat out)" "$(printf '%s\n%s' "$T/linked/bee.png" "$T/linked/c.png")"
ln linked/bee.png linked/hard.png
mkdir linked/sub && ln -s ../bee.png linked/sub/z.png && ln -s sub linked/way
want 0 "$clip" index --index "$T/links" linked
want 0 "$clip" search --index "$T/links" --duplicates --group bytes
same "$(cat out)" "$(printf '%s\n%s' "$T/linked/bee.png" "$T/linked/c.png")"
mv linked/bee.png away.png && rm linked/hard.png # the first of the group has gone: the other is no duplicate any more
for how in first linked bytes; do
    want 1 "$clip" search --index "$T/links" --duplicates --group $how
    says 'no longer exist'
done
mv away.png linked/bee.png
want 0 "$clip" search --index "$T/links" --duplicates --json
same "$(json gone)" 1
same "$(json groups.0.0.path)" "$T/linked/bee.png"
printf x >>linked/bee.png
want 1 "$clip" search --index "$T/links" --duplicates
says 'have changed'
want 0 "$clip" search --index "$T/links" --json -k 20 bee
prints '"changed":true'
newline=$(printf 'one\ntwo.png') && cp pictures/swan.png "linked/$newline"
want 0 "$clip" index --index "$T/links" linked
want 1 "$clip" search --index "$T/links" --duplicates # a line is a name
says 'a name with a newline in it' && silent out
want 0 "$clip" search --index "$T/links" --duplicates -0
tr '\0\n' '\n ' <out | grep -qx "$T/linked/one two.png" || fault 'the name is not there'
rm -r "linked/$newline"
want 0 "$clip" index --export "$T/of-others"
sed "s,$P/castle,$T/later/castle,; s,$P/copy,$T/later/copy," of-others/metadata/metadata_0.jsonl >lines &&
    mv lines of-others/metadata/metadata_0.jsonl
want 0 "$clip" index --index "$T/imported" --import of-others
mkdir later && cp pictures/castle.png pictures/copy.png later # whatever they are: nobody has seen them
want 1 "$clip" search --index "$T/imported" --duplicates
says '2 pictures have changed' && silent out
want 2 "$clip" search --duplicates --group all
want 2 "$clip" search --duplicates --group bytes --min-score 0.9
want 2 "$clip" search --group bytes castle
want 2 "$clip" search --duplicates --unique
want 2 "$clip" search --duplicates --sort date
want 2 "$clip" search --duplicates castle
want 2 "$clip" search --duplicates -k 3
want 2 "$clip" search --duplicates --kind text

it "out and in again"
want 0 "$clip" search --json -k 5 castle
before=$(json hits)
want 0 "$clip" index --export pairs
prints 'rows written'
grep -a -q "'<f2'.*(37, 256)" pairs/img_emb/img_emb_0.npy || fault "img_emb_0.npy is no [37, 256] of f16"
want 1 "$clip" index --export pairs
says 'pairs'
export CLIP_INDEX="$T/again"
want 0 "$clip" index --import pairs --json
same "$(json pictures)" 37
same "$(json texts)" 36
want 0 "$clip" search --json -k 5 castle
same "$(json hits)" "$before"
says 'without the name of its model'
want 0 "$clip" index --index "$T/ours" -m "$root/models/emoji-clip" --import pairs
want 1 "$clip" index --index "$T/ours" --import pairs
says 'name the model of the embeddings'
want 1 "$clip" index --index "$T/theirs" -m "$root/models/emoji-clip" --image-size 128 --import pairs
says 'does not make these embeddings'
[ ! -e "$T/theirs" ] || fault 'an index was made'
want 0 "$clip" index --index "$T/theirs" -m "$root/models/emoji-clip" --import pairs --json
same "$(json compared_pictures)" 4
same "$(json compared_texts)" 4
want 2 "$clip" index --index "$T/sized" --image-size 128 --import pairs
says '--image-size goes with --model'
want 0 "$clip" search --index "$T/ours" -k 1 castle
silent err

it "embeddings that are damaged"
damage() { rm -rf bad again && cp -r pairs bad && "$@" && want 1 "$clip" index --import bad; }
damage truncate -s 1000 bad/img_emb/img_emb_0.npy
says 'img_emb_0.npy'
damage truncate -s 20 bad/img_emb/img_emb_0.npy
damage sed -i 's/<f2/<i4/' bad/text_emb/text_emb_0.npy
says '<i4'
damage sed -i '$d' bad/metadata/metadata_0.jsonl
says 'ends after'
damage sed -i '1p' bad/metadata/metadata_0.jsonl
says 'more lines'
damage sed -i '2s/{/[/' bad/metadata/metadata_0.jsonl
says 'line 2'
damage rm -r bad/text_emb bad/img_emb
says 'neither'
damage mv bad/metadata/metadata_0.jsonl bad/metadata/metadata_0.parquet
says 'Parquet'
want 1 "$clip" index --import nowhere
damage cp bad/img_emb/img_emb_0.npy bad/img_emb/img_emb_1.npy
says 'has 2 files'
damage mv bad/metadata/metadata_0.jsonl bad/metadata/metadata_1.jsonl
says 'has img_emb_0.npy'

it "nothing of what does not fit together is added, and what is empty is nobody's"
many() { # line and vector of the first picture, 300 times
    mkdir -p "$1/img_emb" "$1/metadata"
    { head -c 128 pairs/img_emb/img_emb_0.npy | sed 's/(37, 256), }/(300, 256),}/'; for i in $(seq 300); do tail -c \
        +129 pairs/img_emb/img_emb_0.npy | head -c 512; done; } >"$1/img_emb/img_emb_0.npy"
    seq -f '{"image_path": "p%g"}' 300 >"$1/metadata/metadata_0.jsonl"
}
many crooked
echo '{"image_path": "one more"}' >>crooked/metadata/metadata_0.jsonl
want 1 "$clip" index --index "$T/straight" --import crooked
says 'more lines'
want 1 test -e straight
sed -i '$d' crooked/metadata/metadata_0.jsonl
want 0 "$clip" index --index "$T/straight" -m "$root/models/emoji-clip" --import crooked
says 'none of its pictures is here'
want 0 "$clip" search --index "$T/straight" -k 1 castle
silent err
want 0 "$clip" index --index "$T/straight" --remove p1
prints '1 picture removed'
want 1 "$clip" search --index "$T/straight" --before 2100 castle

it "out, onto a full disk"
full() { want 1 sh -c 'ulimit -f 40; trap "" XFSZ; "$1" index --index straight --export "$2"' - "$clip" "$1"; }
full out_there
says 'out_there/img_emb/img_emb_0.npy: cannot be written'
want 1 test -e out_there
mkdir out_there
full out_there
same "$(ls -A out_there)" ''
want 1 "$clip" index --index straight --export nowhere/out
says 'nowhere/out: cannot be made'

it "another model"
want 1 "$clip" search --index "$T/index" -m "$T/nowhere" castle
says 'nowhere'

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
