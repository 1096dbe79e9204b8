#!/bin/sh
# Lists on standard input: lines that are there are answered when the input pauses, even if a batch
# is not full.
# usage: tests/cli/test_pipe.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
export XDG_STATE_HOME="$T/state" XDG_DATA_HOME="$T/data" CLIP_INDEX="$T/index" TZ=UTC
. "$root/tests/cli/harness.sh"

cp "$root/models/samples/castle.png" "$root/models/samples/swan.png" .
"$clip" index castle.png swan.png >log 2>&1 || fault "no index"
mkfifo in out.pipe

# talk TEXT PATTERN...: sends TEXT to the coprocess, and waits for an answer with PATTERN before the
# next one. An empty PATTERN: does not wait.
talk() {
    tests=$((tests + 1))
    while [ $# -gt 0 ]; do
        seen=$(wc -c <answers)
        printf "$1" >&3
        [ -n "$2" ] && for i in $(seq 600); do
            tail -c +$((seen + 1)) answers | grep -q -F -- "$2" && break
            [ "$i" -lt 600 ] || fault "no answer to '$1' before the next line"
            sleep 0.1
        done
        shift 2
    done
}
# coprocess CODE COMMAND...: starts a conversation, up to `over`. The command's output is a pipe.
coprocess() {
    wanted=$1
    shift
    : >answers
    cat out.pipe >>answers &
    reader=$!
    timeout 300 "$@" <in >out.pipe 2>err &
    pid=$!
    exec 3>in
}
over() {
    exec 3>&-
    wait "$pid"
    got=$?
    wait "$reader"
    [ "$got" = "$wanted" ] || fault "exit code $got, not $wanted"
    ! grep -q -e Sanitizer -e 'runtime error' err || fault sanitizer
}

it "a conversation with search"
coprocess 0 "$clip" search -k 1 --queries -
talk 'castle\n' '"query":"castle"' 'a swan\r\n' '"query":"a swan"' 'cas' '' 'tle\n' '"query":"castle"'
printf 'no newline' >&3
over
grep -q '"query":"no newline"' answers || fault "the last line is not answered"
coprocess 0 "$clip" search -k 1 -0 --queries -
talk 'castle\0' '"query":"castle"' 'two\nlines\0' '"query":"two\nlines"'
over

it "with embed"
coprocess 0 "$clip" embed -
talk 'castle.png\n' '"path":"castle.png"' '\n\nswan.png\r\n' '"path":"swan.png"'
over
coprocess 1 "$clip" embed castle.png -0 -
talk '' '"path":"castle.png"' 'swan.png\0' '"path":"swan.png"'
printf 'gone.png\0' >&3
over
grep -q 'gone.png' err || fault "the missing picture is not named"
coprocess 0 "$clip" embed --texts-from -
talk 'a\n' '"text":"a"' 'b\n' '"text":"b"' '\n' '"text":""'
over
mkfifo names
coprocess 0 "$clip" embed --files-from names
(sleep 1 && echo castle.png && sleep 30) >names &
writer=$!
talk '' '"path":"castle.png"'
kill "$writer"
over

it "with classify, match, vqa and probe"
coprocess 0 "$clip" classify --labels castle,swan -k 1 -
talk 'castle.png\n' '%' 'swan.png\n' '%'
over
coprocess 0 "$clip" classify --json --labels castle,swan -k 1 -
talk 'castle.png\n' '"path":"castle.png"' 'swan.png\n' '"path":"swan.png"'
over
coprocess 0 "$clip" match --texts castle,swan --files-from -
talk 'castle.png\n' 'castle.png  swan' 'swan.png\n' 'swan.png  swan'
over
coprocess 0 "$clip" vqa 'what animal is this?' -
talk 'castle.png\n' 'castle.png' 'swan.png\n' 'swan.png'
over

it "output in a file is there while input pauses, as it is in a pipe"
: >answers # of the conversation before
(echo castle && sleep 30) >in &
writer=$!
timeout 60 "$clip" search -k 1 --queries - <in >answers 2>err &
pid=$!
for i in $(seq 600); do
    [ -s answers ] && break
    [ "$i" -lt 600 ] || fault "nothing in the file"
    sleep 0.1
done
kill "$writer"
wait "$pid"

it "without a pause: in batches, in order, whole"
i=0
while [ $i -lt 150 ]; do
    echo "query $i"
    i=$((i + 1))
done >queries
want 0 "$clip" search -k 1 --queries queries
sed 's/.*"query":"\([^"]*\)".*/\1/' out | cmp -s - queries || fault "answers are not those of the queries"
cat queries | "$clip" search -k 1 --queries - >piped
cmp -s out piped || fault "a pipe is answered otherwise than a file"
want 0 "$clip" embed --texts-from queries --names names.txt -o rows.npy
cmp -s names.txt queries || fault "names of texts"

it "a byte order mark, carriage returns, a last line without an end"
printf '\357\273\277castle.png\r\nswan.png' >windows.txt
want 0 "$clip" embed --files-from windows.txt --names names.txt -o rows.npy
same "$(tr '\n' ' ' <names.txt)" "castle.png swan.png "
printf '\357\273\277castle\r\na swan\r\n' >windows.txt
want 0 "$clip" search -k 1 --queries windows.txt
prints '{"query":"castle"'
prints '{"query":"a swan"'

it "what stands in front of a fault is answered"
head -c 1100000 /dev/zero | tr '\0' x >long
(echo castle && cat long) >lines
want 1 "$clip" search -k 1 --queries lines
prints '"query":"castle"'
says 'line 2 is longer than'
want 1 "$clip" embed --texts-from lines
prints '"text":"castle"'
printf 'castle.png\nswan\0png\n' >lines
want 1 "$clip" embed --files-from lines
prints '"path":"castle.png"'
says 'line 2 contains a zero byte'
printf 'castle\n./gone.png\nswan\n' >lines
want 1 "$clip" search -k 1 --queries lines
prints '"query":"castle"'
says 'gone.png'

it "standard input is read once"
printf 'castle\n-\nswan\n' >lines
tests=$((tests + 1))
"$clip" search -k 1 --queries - <lines >out 2>err && fault "'-' in a list on standard input"
says "standard input ('-') can be read only once"
"$clip" search -k 1 - + - <castle.png >out 2>err && fault "standard input twice in a query"
says "standard input ('-') can be read only once"

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
