#!/bin/sh
# Files that another program changes while they are read: the command names the file and ends with
# exit code 1, never by a signal.
# usage: tests/cli/test_cut.sh CLIP CUTTING_CLIP CHECK_OUTPUT SOURCE_ROOT
set -u
clip=$(realpath "$1") cutting=$(realpath "$2") check=$(realpath "$3") root=$(realpath "$4")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
export CLIP_MODEL="$root/models/emoji-clip"
export XDG_STATE_HOME="$T/state" XDG_DATA_HOME="$T/data" CLIP_INDEX="$T/index" TZ=UTC
. "$root/tests/cli/harness.sh"

evil=$(printf 'mo\033[31m\ndel')
fresh() {
    rm -rf "$evil" index data cache
    cp -r "$root/models/emoji-clip" "$evil"
    cp "$root"/models/samples/[bc]*.png .
    "$clip" index -m "$evil" bee.png castle.png >log 2>&1 || fault "no index"
}

it "weights that are cut short while they are loaded"
for command in "info" "embed --text castle" "embed bee.png" "convert --dtype f16 converted" \
    "train --output run --train-data $root/models/samples/samples.tsv --pretrained"; do
    fresh
    case $command in *--pretrained) set -- $command "$evil" ;; *) set -- $command -m "$evil" ;; esac
    case $command in convert*) set -- convert --dtype f16 -m "$evil" converted ;; esac
    want 1 env CUT=.safetensors "$cutting" "$@"
    same "$(grep -c '' err)" 1
    says 'mo?[31m?del/open_clip_model.safetensors: has been'
    [ ! -e converted ] && [ ! -e run/checkpoint ] || fault "something was written"
done

it "the arrays of an index"
for array in vectors heads tails head_bounds tail_bounds; do
    fresh
    want 1 env CUT="$array.npy" "$cutting" search castle
    says "$array.npy: "
done

it "a long conversation, whose weights and arrays are written to between two lines"
mkfifo in
for file in index/vectors.npy "$evil/open_clip_model.safetensors"; do
    for how in cut written; do
        fresh
        timeout 120 "$clip" search -m "$evil" -k 1 --queries - <in >out 2>err &
        pid=$!
        exec 3>in
        echo castle >&3
        for i in $(seq 600); do
            grep -q query out && break
            [ "$i" -lt 600 ] || fault "no answer"
            sleep 0.1
        done
        case $how$file in
        cut*) truncate -s 200 "$file" ;;
        writtenindex*) touch "$file" ;; # a writer appends to arrays
        *) printf x | dd of="$file" bs=1 seek=200000 conv=notrunc 2>/dev/null ;;
        esac
        echo bee >&3
        exec 3>&-
        wait "$pid"
        code=$?
        tests=$((tests + 1))
        case $how$file in
        writtenindex*)
            same "$code" 0
            grep -q '"query":"bee"' out || fault "a sound index is refused"
            ;;
        cutindex*)
            same "$code" 1
            says 'vectors.npy: has been cut short'
            ;;
        *)
            same "$code" 1
            says 'a file cannot be read'
            ! grep -q '"query":"bee"' out || fault "answered by weights that are mixed"
            ;;
        esac
    done
done

it "a reader that has gone away wants no message"
"$clip" embed bee.png castle.png butterfly.png 2>err | head -c 1 >out
silent err
(trap '' PIPE && "$clip" embed bee.png castle.png butterfly.png 2>err; echo $? >code) | head -c 0 >out
sleep 1
silent err

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
