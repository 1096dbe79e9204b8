#!/bin/sh
# Names, labels, captions and tensors with control characters, newlines, controls of the direction
# of text, and spreadsheet formulas: what people see is tame, what programs read is complete.
# usage: tests/cli/test_plain.sh CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") root=$(realpath "$3")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL
export XDG_STATE_HOME="$T/state" XDG_DATA_HOME="$T/data" CLIP_INDEX="$T/index" TERM=dumb TZ=UTC LC_ALL=C
. "$root/tests/cli/harness.sh"

# tame FILE: nothing in it moves a terminal's cursor or reverses a line
tame() {
    iconv -f UTF-8 -t UTF-8 <"$1" >iconv.out 2>&1 || fault "$1 is not UTF-8"
    wild='[\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xaf]'
    ! grep -a -q -P "$wild" "$1" ||
        fault "$1 is not tame"
}
# messages N: stderr holds so many, each on one line
messages() {
    same "$(grep -c '' err)" "$1"
    ! grep -q -v '^clip: ' err || fault "a message has lines"
}

# ESC [ as ESC, as C1 in UTF-8 and as C1 alone; a right-to-left override, an isolate, a mark; a
# newline, DEL, a line separator
evil=$(printf 'a\033[31m\302\2331m\2331m\342\200\256gpj\342\201\247\342\200\217\330\234\nb\177\342\200\250')
mkdir "$evil"
cp "$root/models/samples/castle.png" "$evil/$evil.png"
cp "$root/models/samples/swan.png" .

it "messages"
want 1 "$clip" classify --labels castle,swan "$evil.gone.png"
messages 1
tame err
says 'a?[31m?1m?1m?gpj????b??.gone.png: No such file'
echo "not a picture" >"$evil/broken.png"
want 1 "$clip" embed "$evil"
messages 1
tame err
rm "$evil/broken.png"
want 1 "$clip" info -m "$evil"
messages 1
tame err
want 2 "$clip" classify --labels castle -k "$evil" swan.png
tame err
want 2 "$clip" "--$evil"
tame err
want 2 "$clip" "$evil"
tame err
long=$(head -c 3000 /dev/zero | tr '\0' x)
want 1 "$clip" embed "$T/$long/$(printf 'e\nvil').png"
messages 1
says 'e?vil.png: File name too long'

it "tensors and settings"
mkdir model
printf '{"a\\u001b[31m\\nb\\u202e":{"dtype":"Q64","shape":[1],"data_offsets":[0,8]}}' >header
size=$(wc -c <header)
printf "\\$(printf %o "$size")\\0\\0\\0\\0\\0\\0\\0" >model/model.safetensors
cat header >>model/model.safetensors
printf 12345678 >>model/model.safetensors
want 1 "$clip" info -m model
messages 1
tame err
printf '{"a\\u001b[31m\\nb\\u202e":' >header
size=$(wc -c <header)
printf "\\$(printf %o "$size")\\0\\0\\0\\0\\0\\0\\0" >model/model.safetensors
cat header >>model/model.safetensors
want 1 "$clip" info -m model
messages 1
tame err

it "tables"
labels=$(printf 'cas\033[1mtle\302\233,s\342\200\256wan')
want 0 "$clip" classify --labels "$labels" "$evil/$evil.png"
tame out
same "$(grep -c '' out)" 3
want 0 "$clip" match "$evil/$evil.png" "$(printf 'a cas\033[1mtle')"
tame out
want 0 "$clip" vqa --answers "$labels" 'what is this?' "$evil/$evil.png"
tame out
want 0 "$clip" explain -o heat.png swan.png "$(printf 'a s\302\233wan')"
tame out
cp -r "$root/models/emoji-clip" "model$evil"
want 0 "$clip" info -m "model$evil"
tame out
printf 'filepath\ttitle\nswan.png\tswan\n%s/models/samples/castle.png\tcastle\n' "$root" >pairs.tsv
for kind in retrieval zeroshot; do
    want 0 "$clip" eval $kind -m "model$evil" pairs.tsv
    tame out
done

it "an index: a table is tame, paths are what they are"
want 0 "$clip" index "$evil"
tame err
want 0 "$clip" search --table castle
tame out
want 0 "$clip" search -0 castle
tr -d '\0' <out >path
printf '%s' "$(realpath "$evil")/$evil.png" | cmp -s - path || fault "the path is another"
want 0 "$clip" search --json castle
tame out
json hits.0.path >path
want 0 "$clip" search --html page.html castle
tame page.html
want 0 "$clip" index --stats
tame out
want 0 "$clip" classify --json --labels "$labels" swan.png
tame out
prints 'cas\u001b[1mtle\u009b'
prints 's\u202ewan'
want 0 "$clip" classify --html page.html --labels "$labels" "$evil/$evil.png"
tame page.html

it "a table for spreadsheets holds no formula"
for c in '=HYPERLINK(1)' '+1' '-1' '@SUM(1)' "$(printf '\357\274\2351')" 'a "quoted" = b'; do
    mkdir -p "zoo/$c"
    cp swan.png "zoo/$c/"
done
want 0 "$clip" eval zeroshot zoo --confusion table.csv
grep -q "^\"'=HYPERLINK(1)\"," table.csv || fault "="
grep -q "^\"'+1\"," table.csv || fault "+"
grep -q "^\"'-1\"," table.csv || fault "-"
grep -q "^\"'@SUM(1)\"," table.csv || fault "@"
grep -q "^\"'$(printf '\357\274\235')1\"," table.csv || fault "full-width ="
grep -q '^"a ""quoted"" = b",' table.csv || fault "a sound cell"
! grep -q '"[-=+@]' table.csv || fault "a formula in the head"

it "labels with thresholds come back as they went"
want 0 "$clip" eval zeroshot zoo --fit-thresholds thresholds.txt
grep -q "^=HYPERLINK(1)	" thresholds.txt || fault "the file of thresholds is for 'clip classify'"
want 0 "$clip" classify --multi-label --labels thresholds.txt swan.png
printf 'filepath\ttitle\nswan.png\t"a\nswan"\n%s/models/samples/castle.png\tcastle\n' "$root" >lines.tsv
want 1 "$clip" eval zeroshot lines.tsv --fit-thresholds thresholds.txt
says "contains a newline"
messages 1

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
