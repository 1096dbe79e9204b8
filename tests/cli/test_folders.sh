#!/bin/sh
# Folders, in every command that walks them: which files are pictures, which are passed over, which
# cannot be looked at, and what an index keeps.
# usage: tests/cli/test_folders.sh CLIP CHECK_OUTPUT FAILING_DIRS SOURCE_ROOT
set -u
clip=$(realpath "$1") check=$(realpath "$2") failing=$(realpath "$3") root=$(realpath "$4")
T=$(mktemp -d) && trap 'chmod -R u+rwx "$T"; rm -rf "$T"' EXIT
cd "$T" || exit 1
unset CLIP_INDEX XDG_DATA_HOME
export CLIP_MODEL="$root/models/emoji-clip" # failing_dirs does not stand where the command does
. "$root/tests/cli/harness.sh"
samples=$root/models/samples

index() { "$clip" index --index ix "$@"; }
counts() {
    for pair in "$@"; do
        same "${pair%=*} $(json "${pair%=*}")" "${pair%=*} ${pair#*=}"
    done
}

mkdir -p zoo/bee zoo/swan zoo/.cache
cp "$samples/bee.png" zoo/bee/1.hif
cp "$samples/swan.png" zoo/swan/IMG_2
cp "$samples/swan.png" zoo/swan/3.png_large
cp "$samples/bee.png" zoo/.cache/
printf '8BPS\0\1' >zoo/layers.psd
echo x >zoo/notes.txt && echo x >zoo/sidecar.xmp && echo x >zoo/tool.py
all='passed over: 3 not pictures (.py 1, .txt 1, .xmp 1), '\
'1 of a format that this build does not read (Photoshop 1), 1 hidden'
some='passed over: 2 not pictures (.py 1, .xmp 1), 1 of a format that this build does not read (Photoshop 1), 1 hidden'

it "pictures are told by content, and what is passed over is said"
want 0 index zoo
prints '3 pictures: 2 new, 1 copied; '
prints "; 5 files $all"
want 0 index --exclude '*.psd' --json zoo
counts seen=3 embedded=0 unreadable=0 passed_over.files=5 passed_over.hidden=1 passed_over.excluded=1
grep -q '"passed_over":{"files":5,"not_pictures":{".py":1,".txt":1,".xmp":1},'\
'"formats_not_read":{},"hidden":1,"excluded":1,"special":0}' out || fault "$(cat out)"
want 0 "$clip" embed --json zoo -o x.npy
says "5 files $all"
counts rows=3 failed=0 passed_over.files=5
want 0 "$clip" classify -l 'a bee,a swan' --json zoo
says "$all"
grep -q '"failed":0,"passed_over":{"files":5,' out || fault "$(cat out)"
want 0 "$clip" eval zeroshot --json zoo
says "4 files $some" # NAME.txt holds captions
counts pictures=3 failed=0 passed_over.files=4
want 0 "$clip" eval retrieval --json zoo
counts passed_over.files=4
want 0 "$clip" probe zoo --test-data zoo --json
counts training=3 passed_over.files=4
want 0 "$clip" match --hardest 1 zoo
says "4 files $some"
want 0 "$clip" vqa --answers 'a bee,a swan' --json 'what is it?' zoo
grep -q '"passed_over":{"files":5,' out || fault "$(cat out)"

it "what lies beside pictures everywhere is not worth a line"
mkdir plain && cp "$samples/bee.png" plain/ && touch plain/.hidden plain/bee.json plain/Thumbs.db
want 0 "$clip" embed plain
silent err

it "what is called a picture and is not is broken, and named"
mkdir called && cp "$samples/bee.png" called/ && : >called/empty.png && echo '<html>' >called/page.jpg
want 1 "$clip" index --index called.ix --json called
says 'called/empty.png: is empty'
says 'called/page.jpg: not a picture of a known format'
counts embedded=1 unreadable=2 passed_over.files=0

it "what is not a picture is opened once"
opened() {
    rm -f "$T/opened"
    want 0 env NOTE_OPEN="$T/opened" "$failing" index --index ix
    same "$(grep -c 'tool.py$\|sidecar.xmp$\|IMG_2$' opened)" "$1"
}
opened 0
touch -d 2001-02-03 zoo/tool.py
opened 1
opened 0

it "a picture with an odd name that becomes something else leaves"
echo 'no picture' >zoo/swan/IMG_2
want 0 index --json
counts seen=2 removed=1 pictures=2
rm zoo/swan/IMG_2

cat >tiny.json <<'END'
{"model_cfg": {"embed_dim": 32,
               "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 32},
               "text_cfg": {"context_length": 16, "vocab_size": 516, "width": 32, "heads": 1, "layers": 1}}}
END
train() { "$1" train --model tiny.json --tokenizer-vocab 516 --train-data "$2" --batch-size 2 --epochs 1 --output run \
    --json; }
it "training takes them as well"
want 0 train "$clip" zoo
counts passed_over.files=4
says "4 files $some"
rm -r run

it "a listing that breaks off: named, counted, exit code 1"
mkdir -p torn/a torn/b
cp "$samples/bee.png" "$samples/swan.png" "$samples/castle.png" "$samples/guitar.png" torn/a/
cp "$samples/cloud.png" torn/b/
want 0 "$clip" index --index torn.ix torn
export FAIL_LIST=torn/a
want 1 "$failing" index --index torn.ix --json
says 'torn/a: Input/output error'
counts removed=0 unreadable=1 pictures=5
for n in 'embed torn' 'classify -l a,b torn' 'eval zeroshot torn' 'eval retrieval torn' 'match --hardest 2 torn' \
    'probe torn --test-data torn' 'vqa what? --answers a,b torn'; do
    want 1 "$failing" $n
    says 'torn/a: Input/output error'
done
want 1 train "$failing" torn
says 'torn/a: Input/output error'
want 1 test -e run
rm torn/a/* && mkdir gone && mv torn/a gone/ && mkdir torn/a
want 1 "$failing" index --index torn.ix --json
counts removed=0 kept=4 pictures=5
unset FAIL_LIST

it "a file behind a stale handle is not gone"
mkdir stale && cp "$samples/bee.png" "$samples/swan.png" stale/
want 0 "$clip" index --index stale.ix stale
want 1 env FAIL_STAT=stale/swan.png "$failing" index --index stale.ix --json
says 'swan.png: Stale file handle'
counts removed=0 unreadable=1 pictures=2
want 0 "$clip" index --index stale.ix stale/swan.png
want 1 env FAIL_STAT=stale "$failing" index --index stale.ix --json stale
want 0 env FAIL_STAT=stale/swan.png "$failing" index --index alone.ix stale/bee.png

it "a share below a folder, away: its empty place, at any depth, keeps what is known"
mkdir -p photos/trips/nas/2020 photos/trips/home
cp "$samples/bee.png" photos/trips/nas/2020/ && cp "$samples/swan.png" photos/trips/nas/ &&
    cp "$samples/castle.png" photos/trips/home/
want 0 "$clip" index --index share.ix photos
mv photos/trips/nas nas && mkdir photos/trips/nas
for given in '' photos; do
    want 0 "$clip" index --index share.ix --json $given
    says 'photos/trips/nas: is empty now; what the index has of it stays (2 pictures)'
    says "clip index --remove FOLDER"
    counts removed=0 kept=2 pictures=3
done
rmdir photos/trips/nas && mv nas photos/trips/
want 0 "$clip" index --index share.ix --json
counts embedded=0 removed=0 kept=0 pictures=3

it "a picture given by its name, on a share that is away"
mkdir drive && cp "$samples/swan.png" drive/
want 0 "$clip" index --index drive.ix drive/swan.png
mv drive/swan.png swan.away
want 0 "$clip" index --index drive.ix --json
says 'drive/swan.png: is not there now; what the index has of it stays'
counts removed=0 kept=1 pictures=1
touch drive/another
want 0 "$clip" index --index drive.ix --json
counts removed=1 pictures=0

it "a table of pictures on a share that is away"
mkdir lake && cp "$samples/swan.png" "$samples/bee.png" lake/
printf 'filepath\ttitle\nlake/swan.png\ta swan\nlake/bee.png\ta bee\n' >lake.tsv
want 0 "$clip" index --index lake.ix lake.tsv
mv lake lake.away && mkdir lake
want 0 "$clip" index --index lake.ix --json
says 'lake: is empty now; what the index has of it stays (2 pictures)'
counts removed=0 kept=2 pictures=2

it "a link to what is away"
mv photos/trips/nas . && ln -s ../../nas photos/trips/nas
want 0 "$clip" index --index share.ix --json
counts removed=0 pictures=3
mv nas elsewhere
want 1 "$clip" index --index share.ix --json
says 'photos/trips/nas: is a link that leads nowhere'
counts removed=0 kept=2 pictures=3
rm photos/trips/nas && mv elsewhere photos/trips/nas

it "a folder given by its own name, away, below another one"
want 0 "$clip" index --index share.ix photos/trips/nas
mv photos/trips/nas .
want 0 "$clip" index --index share.ix --json photos
says 'photos/trips/nas: is not there now; what the index has of it stays (2 pictures)'
counts removed=0 kept=2 pictures=3
want 0 "$clip" index --index share.ix --json
counts removed=0 kept=2 pictures=3
want 0 "$clip" index --index share.ix --remove photos/trips/nas
prints '2 pictures removed'

it "a folder that is gone has been deleted"
mv nas photos/trips/
want 0 "$clip" index --index share.ix
rm -r photos/trips/nas
want 0 "$clip" index --index share.ix --json
counts removed=2 kept=0 pictures=1

it "a picture that is too large for the memory is its own fault"
if sh -c 'ulimit -v 4000000; "$1" --version' - "$clip" >/dev/null 2>&1; then # not with AddressSanitizer
    mkdir large && cp "$samples/bee.png" large/
    printf 'P6 12000 12000 255\n' >large/a.ppm && truncate -s 432000020 large/a.ppm
    bounded() { (ulimit -v 700000 && exec "$@"); }
    want 1 bounded "$clip" index --threads 1 --index large.ix --json large
    says 'a.ppm: out of memory'
    counts embedded=1 unreadable=1 pictures=1
    want 1 bounded "$clip" embed --threads 1 large
    says 'a.ppm: out of memory'
    prints 'bee.png'
    cp "$samples/swan.png" large/
    want 1 bounded "$clip" eval retrieval --threads 1 --json large
    says 'a.ppm: out of memory'
    counts pictures=2 failed=1
    want 0 bounded "$clip" train --threads 1 --workers 1 --model tiny.json --tokenizer-vocab 516 --train-data large \
        --batch-size 2 --epochs 2 --output run --json
    says 'a.ppm: out of memory'
    counts broken=1
fi

echo "$tests runs, $faults faults"
[ "$faults" -eq 0 ]
