#!/bin/sh
# clip index, on the pictures that ship: what is embedded, not embedded again, removed or refused,
# and kills.
# usage: tests/cli/test_index.sh CLIP CHECK_OUTPUT SAME_INDEX STOP_LISTING SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") same=$(realpath "$3") stop=$(realpath "$4") root=$(realpath "$5")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_MODEL CLIP_INDEX XDG_DATA_HOME
. "$root/tests/cli/harness.sh"

index() { "$clip" index --index ix "$@"; }
# counts NAME=N...: of the last report in JSON
counts() {
    for pair in "$@"; do
        same "${pair%=*} $(json "${pair%=*}")" "${pair%=*} ${pair#*=}"
    done
}
equal() { want 0 "$same" "$1" "$2"; }
mkdir photos
for p in bee books castle cloud swan guitar; do cp "$root/models/samples/$p.png" photos/; done

it "help, and what is not taken"
want 0 "$clip" index --help
prints '--captions'
want 2 index --stats photos
want 2 index --stats --verify
want 2 index --remove
want 2 index --commit-every soon photos
want 2 index --captions
want 2 index --exclude drafts
says 'go with folders'
want 1 index
says "no index; 'clip index FOLDER' makes one"

it "of what fails at once nothing stays"
echo 'no picture' >notes.txt && mkdir broken hollow && echo 'no picture' >broken/1.png
for what in nowhere notes.txt broken; do
    want 1 index photos nowhere
    want 1 index --captions "$what"
    says "$what"
    want 1 test -e ix
    want 1 "$clip" index --index hollow/ "$what"
    same "$(ls -A hollow)" ''
done
want 1 index -m nowhere photos
want 1 test -e ix
want 1 sh -c 'ulimit -f 8; trap "" XFSZ; "$1" index --index ix photos' - "$clip"
want 1 test -e ix
rm -r broken notes.txt

it "a folder, and again"
want 0 index photos
prints '6 pictures: 6 new; '
want 0 index photos
prints '6 pictures: nothing new'
want 0 index --json
counts seen=6 embedded=0 moved=0 copied=0 removed=0 unreadable=0 pictures=6

it "moved, copied, touched, changed, gone"
mkdir photos/sub
mv photos/bee.png photos/sub/insect.png
cp photos/castle.png photos/castle-copy.png
touch -d 2001-02-03 photos/cloud.png
cp "$root/models/samples/lizard.png" photos/swan.png
rm photos/books.png
want 0 index --json
counts seen=6 embedded=1 moved=1 copied=1 removed=1 unreadable=0 pictures=6
want 0 "$clip" index --index fresh photos
equal ix fresh

it "two that change places, and one that takes another's"
mv photos/swan.png x && mv photos/guitar.png photos/swan.png && mv x photos/guitar.png
mv photos/sub/insect.png photos/cloud.png
want 0 index
rm -r fresh
want 0 "$clip" index --index fresh photos
equal ix fresh

it "stopped while a folder is listed"
mkdir crowd && cp photos/castle.png photos/cloud.png crowd/
want 0 "$clip" index --index crowded crowd
rm crowd/castle.png && (cd crowd && seq 600 | xargs touch)
want 0 "$stop" crowded "$root/models/emoji-clip" crowd
prints 'stopped after 256 names: 0 pictures seen, 0 removed'
want 0 "$clip" index --index crowded --verify
prints '2 items: all'
want 0 "$clip" index --index crowded --json
counts seen=1 embedded=0 removed=1 pictures=1

it "broken, hidden, excluded, linked"
head -c 100 photos/swan.png >photos/torn.png
cp photos/swan.png photos/.hidden.png
ln -s .. photos/sub/loop
mkdir photos/drafts && cp "$root/models/samples/sailboat.png" photos/drafts/
want 1 index --exclude drafts/ --json photos
says 'torn.png: PNG: the file is truncated'
counts seen=6 embedded=0 unreadable=1 pictures=5
rm photos/torn.png
want 0 index --json
counts seen=5 embedded=0 unreadable=0
want 0 index --json photos
counts seen=6 embedded=1
want 0 index --exclude 'draft*' --json photos
counts seen=5 removed=1 pictures=5

it "a link to a picture is one of its own, and is not embedded again"
mkdir best && ln -s ../photos/castle.png best/
want 0 index --json best
counts seen=1 embedded=0 copied=1 pictures=6
want 0 "$clip" search --index ix --filter '*/best/*' castle
same "$(cat out)" "$T/best/castle.png"
cp photos/cloud.png best/ && mv photos/castle.png .
want 1 index --json best # where a link leads nowhere today it stays, and is named
says 'best/castle.png: No such file or directory'
counts seen=2 copied=1 removed=0 unreadable=1 pictures=7
mv castle.png photos/
want 0 index --remove best
prints '2 pictures removed'

it "what the index is, and was given"
want 0 index --stats
prints 'model     emoji-clip'
prints 'pictures  5'
prints "$T/photos"
want 0 index --verify
prints '5 items: all are intact'
want 0 env CLIP_INDEX=other XDG_DATA_HOME= HOME="$T/home" "$clip" index photos/swan.png
[ -s other/catalogue.db ] || fault 'not in $CLIP_INDEX'
want 0 env XDG_DATA_HOME="$T/data" "$clip" index photos/swan.png
[ -s data/clip/index/catalogue.db ] || fault 'not in $XDG_DATA_HOME'
want 0 env HOME="$T/home" "$clip" index photos/swan.png
[ -s home/.local/share/clip/index/catalogue.db ] || fault 'not at home'
want 0 index --remove photos/swan.png
prints '1 picture removed'
want 0 index --json
counts embedded=1 pictures=5
want 0 index --remove "$T/photos"
prints '5 pictures removed'
want 1 index
says 'has not been given any pictures yet'

it "what is gone, and what lies behind a link, is removed by its name"
mkdir -p behind linked && cp photos/swan.png behind/ && cp photos/castle.png photos/cloud.png linked/ &&
    ln -s ../behind linked/link
want 0 "$clip" index --index names linked
rm linked/castle.png linked/cloud.png
want 0 "$clip" index --index names --remove ./linked/../linked//castle.png
prints '1 picture removed'
cd photos
want 0 "$clip" index --index ../names --remove ../linked/cloud.png
prints '1 picture removed'
cd ..
want 0 "$clip" index --index names --remove linked/link/swan.png
prints '1 picture removed'
want 1 "$clip" index --index names --remove ''
says 'empty'

it "files named one by one: what is no picture is told once"
mkdir loose && cp photos/swan.png photos/cloud.png loose/ && echo 'no picture' >loose/notes.txt
want 1 "$clip" index --index loosely --json loose/*
counts embedded=2 unreadable=1 pictures=2
want 0 "$clip" index --index loosely --json
counts seen=2 embedded=0 unreadable=0 pictures=2

it "captions beside pictures"
printf 'a bird on the water\n\nwhite\n' >photos/swan.txt
want 0 index --captions --json photos
counts pictures=6 embedded=5 copied=1 embedded_texts=2 texts=2
printf 'a bird on the water\nvery white\n' >photos/swan.txt
want 0 index --json
counts embedded=0 embedded_texts=1 texts=2
mkdir photos/birds && mv photos/swan.* photos/birds/
want 0 index --json
counts moved=1 embedded_texts=0 texts=2
rm photos/birds/swan.txt
want 0 index --json
counts texts=0 embedded=0

it "tables and tars"
want 0 "$clip" index --index pairs --json "$root/models/samples/samples.tsv"
counts seen=36 pictures=36 texts=36
want 0 "$clip" index --index pairs --json
counts seen=36 embedded=0 embedded_texts=0
if command -v tar >/dev/null; then
    cp photos/castle.png 1.png && cp photos/cloud.png 2.png && echo 'a castle' >1.txt && echo 'a cloud' >2.txt
    tar cf some.tar 1.png 1.txt 2.png 2.txt
    want 0 "$clip" index --index tars --json some.tar
    counts pictures=2 texts=2 embedded=2
    want 0 "$clip" index --index tars --json .
    counts removed=0
    want 0 "$clip" index --index tars --remove "$T/photos" "$T/1.png" "$T/2.png"
    tar cf some.tar 2.png 2.txt
    want 0 "$clip" index --index tars --json some.tar
    counts embedded=0 removed=1
fi

it "a folder that is not there today"
want 0 "$clip" index --index away photos
mv photos elsewhere
want 0 "$clip" index --index away --json
says 'photos: is not there now; what the index has of it stays'
counts removed=0 kept=6 pictures=6
mv elsewhere photos

it "a folder that is empty today, as where a disk is mounted"
mkdir mounted && mv photos/* mounted/
want 0 "$clip" index --index away --json photos
says 'photos: holds no pictures any more; what the index has of it stays (6 pictures)'
says 'clip index --remove FOLDER'
counts seen=0 removed=0 kept=6 pictures=6
want 0 "$clip" index --index away --json --exclude '*.png' photos
counts removed=6 kept=0 pictures=0
want 0 "$clip" index --index away --json photos mounted
counts kept=0 pictures=6
mv mounted/* photos/ # all of them have moved: none is missed
want 0 "$clip" index --index away --json
counts moved=6 removed=0 kept=0 pictures=6
rmdir mounted

it "a picture that has become something else"
mkdir changing && cp photos/castle.png photos/cloud.png changing/
want 0 "$clip" index --index changed changing
echo 'no picture' >changing/cloud.png
want 1 "$clip" index --index changed --json
says 'cloud.png'
counts removed=1 unreadable=1 pictures=1

# Who may not read everything: root must become somebody else.
plain() {
    if [ "$(id -u)" != 0 ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        su -s /bin/sh -c 'exec "$@"' -- nobody sh "$@"
    fi
}
it "folders and pictures that may not be read"
chmod 711 "$T" && mkdir -p shut/sub && mkdir -m 777 anyone
if plain "$clip" --version >/dev/null 2>&1 && plain cat "$root/models/emoji-clip/merges.txt" >/dev/null 2>&1; then
    cp photos/castle.png photos/cloud.png shut/ && cp photos/guitar.png shut/sub/
    [ "$(id -u)" != 0 ] || chown -R 65534 shut
    shut() { want "$1" plain "$clip" index --index anyone/ix --json shut; }
    shut 0
    counts embedded=3
    touch -d 2001-02-03 shut/cloud.png && chmod 0 shut/sub shut/cloud.png
    shut 1
    says 'shut/sub: Permission denied'
    says 'cloud.png: Permission denied'
    counts removed=0 unreadable=2 kept=1 pictures=3
    chmod 0 shut
    shut 1
    says 'shut: Permission denied'
    counts removed=0 unreadable=1 kept=3 pictures=3
    chmod 755 shut shut/sub && chmod 644 shut/cloud.png
    shut 0
    counts embedded=0 removed=0 pictures=3
else
    echo "somebody else may not read $root: not tested as them" >&2
fi

it "another model"
cp -r "$root/models/emoji-clip" other-model
printf '\001' | dd of=other-model/open_clip_model.safetensors bs=1 \
    seek=$(($(stat -c %s other-model/open_clip_model.safetensors) - 4)) conv=notrunc 2>/dev/null
want 1 "$clip" index --index away -m other-model photos
says 'another model'
says 'make another index with --index DIR'

it "pictures of another size: the index knows it"
mkdir sized
cp "$root/models/samples/bee.png" sized
want 0 "$clip" index --index larger --image-size 96 sized
cp "$root/models/samples/castle.png" sized
want 0 "$clip" index --index larger --json
counts seen=2 embedded=1 pictures=2
want 0 "$clip" search --index larger -k 1 --min-score 0.999 ./sized/castle.png
prints castle.png
want 0 "$clip" index --index larger --stats
prints ', pictures of 96 x 96)'
want 0 "$clip" index --index larger --stats --json
same "$(json image_size)" 96
want 1 "$clip" index --index larger --image-size 128 sized
says 'pictures of 96 pixels); '
says ', pictures of 128 pixels'
want 1 "$clip" search --index away --image-size 96 bee
says 'another model'

it "the same weights with other settings are another model"
# FILE SED-COMMAND
for change in 'preprocessor_config.json s/"max_num_patches": 24/"max_num_patches": 12/' \
    'preprocessor_config.json s/"resample": 2/"resample": 3/' 'config.json s/gelu_pytorch_tanh/gelu/'; do
    rm -rf patches settings
    cp -r "$root/tests/model/golden/tiny-naflex" patches
    want 0 "$clip" index --index settings -m patches sized
    want 0 "$clip" index --index settings -m patches --json
    counts embedded=0
    sed -i "${change#* }" "patches/${change%% *}"
    ! cmp -s "patches/${change%% *}" "$root/tests/model/golden/tiny-naflex/${change%% *}" || fault "$change: no change"
    want 1 "$clip" index --index settings -m patches --json
    says 'another model'
    want 1 "$clip" search --index settings -m patches ./sized/bee.png
    says 'another model'
done

it "all precisions in one index"
precisions="f32 int8"
mkdir both
cp "$root/models/samples/bee.png" both
want 0 "$clip" index --index mixed both
cp "$root/models/samples/castle.png" both
want 0 "$clip" index --index mixed --precision int8 --json
counts seen=2 embedded=1 pictures=2
if "$clip" --version | grep -q 'with bf16'; then
    precisions="$precisions bf16"
fi
for p in $precisions; do
    for n in bee castle; do
        want 0 "$clip" search --index mixed --precision $p -k 1 --min-score 0.998 "./both/$n.png"
        prints "$n.png"
    done
done

it "the model that the index names, where nobody names one"
want 0 "$clip" index --index theirs -m other-model photos
want 0 "$clip" index --index theirs --json
counts embedded=0 unreadable=0
want 0 "$clip" search --index theirs -k 1 bee
mv other-model hidden-model
want 1 "$clip" search --index theirs -k 1 bee
says 'another model'
mv hidden-model other-model

it "damaged, cut off, and repaired"
printf '\021\042' | dd of=theirs/vectors.npy bs=1 seek=700 conv=notrunc 2>/dev/null
want 1 "$clip" index --index theirs --verify
says '--repair'
want 0 "$clip" index --index theirs --repair
want 0 "$clip" index --index theirs --verify
cp -r theirs unsound # a path that the table and its index have two spellings of
at=$(grep -abo 'photos/castle.png' unsound/catalogue.db | tail -1 | cut -d: -f1)
printf q | dd of=unsound/catalogue.db bs=1 seek="$at" conv=notrunc 2>/dev/null
want 1 "$clip" index --index unsound --repair
says 'cannot be repaired'
truncate -s 2000 theirs/vectors.npy
want 1 "$clip" search --index theirs bee
says 'repairs what can be repaired'
want 0 "$clip" index --index theirs
says 'has forgotten them'
want 0 "$clip" index --index theirs --verify

it "a place that is not its own"
mkdir foreign && echo mine >foreign/vectors.npy
want 1 "$clip" index --index foreign photos
says 'a directory of its own'
same "$(cat foreign/vectors.npy)" mine

it "two at once"
if command -v flock >/dev/null; then
    want 1 flock ix/lock "$clip" index --index ix photos
    says 'It can be searched meanwhile'
fi

it "a full disk"
want 1 sh -c 'ulimit -f 8; trap "" XFSZ; "$1" index --index full "$2"' - "$clip" "$root/models/samples"
want 0 "$clip" index --index full "$root/models/samples"
want 0 "$clip" index --index fresh2 "$root/models/samples"
equal full fresh2

it "a catalogue that is damaged"
dd if=/dev/zero of=full/catalogue.db bs=1 count=64 conv=notrunc 2>/dev/null
want 1 "$clip" index --index full "$root/models/samples"
says 'full/catalogue.db'

it "killed"
want 0 sh "$root/tools/survival_index.sh" "$clip" "$same" 5 100

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
