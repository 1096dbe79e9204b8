#!/bin/sh
# Are the results of `clip search` as good as the encoder? The pictures of the reference's
# validation tars are indexed with their captions. Every caption asks for its picture, and every
# picture for its captions. R@1, R@5 and R@10 have to equal those of `clip eval retrieval` on the
# same tar, which uses only plain f32 arithmetic.
#
# A few answers in a thousand may differ. Captions that several pictures share are ties, which eval
# resolves in favour of the query: a caption counts as right here if the picture has the same words.
# And the index keeps f16.
# usage: [CLIP=build/cli/clip] tools/search_scores.sh REFERENCE_DIRECTORY [MODEL]
set -eu
reference=$(realpath "$1") model=${2:-$reference/emoji-clip}
clip=$(realpath "${CLIP:-$(dirname "$0")/../build/cli/clip}")
T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
export CLIP_INDEX="$T/index"

# recall WANTED FOUND [METADATA]: each line of FOUND answers the same line of WANTED, which is the
# right path. With METADATA, any caption that it has for this path is right.
recall() {
    awk -v wanted="$1" -v metadata="${3-}" '
        BEGIN {
            while (metadata && (getline line <metadata) > 0) {
                at = index(line, "\",\"caption\":\"")
                caption[substr(line, 16, at - 16), substr(line, at + 13, length(line) - at - 14)]
            }
        }
        {
            getline right <wanted
            sub(/.*"hits":\[/, "")
            n = split($0, part, "\"path\":\"")
            for (i = 2; i <= n; i++) {
                path = text = part[i]
                sub(/".*/, "", path)
                sub(/^[^"]*","text":"/, "", text)
                sub(/"[,}].*/, "", text)
                if (metadata ? ((right, text) in caption) : path == right) {
                    one += i <= 2
                    five += i <= 6
                    ten++
                    break
                }
            }
        }
        END { printf "%.6f %.6f %.6f\n", one / NR, five / NR, ten / NR }' "$2"
}

# evaluated DIRECTION: the same three numbers of clip eval
evaluated() {
    sed "s/.*\"$1\":{\([^}]*\)}.*/\1/" "$T/eval.json" | tr ',' '\n' | sed -n 's/^"R@[0-9]*"://p' | tr '\n' ' '
}

# compare NAME OURS EVAL: prints a line of the table; a difference above 3 in a thousand is a fault
compare() {
    echo "$2 $3" | awk -v name="$1" '
        {
            for (i = 1; i <= 3; i++) {
                printf "%s%9.2f%9.2f", i == 1 ? sprintf("%-28s", name) : "", 100 * $i, 100 * $(i + 3)
                bad = bad || $i - $(i + 3) > 0.003 || $(i + 3) - $i > 0.003
            }
            print bad ? "   off" : ""
            exit bad
        }' || touch "$T/off"
}

printf '%-28s%9s%9s%9s%9s%9s%9s\n' "in per cent" "R@1" eval "R@5" eval "R@10" eval
for split in style_val concept_val clipart_val; do
    tar=$reference/pairs/$split.tar
    rm -rf "$T/index" "$T/pairs" "$T/files"
    "$clip" index -m "$model" "$tar" >"$T/log"
    "$clip" index --export "$T/pairs" >>"$T/log"
    "$clip" eval retrieval "$tar" -m "$model" --json >"$T/eval.json"

    # words to pictures: captions are queries, in quotes, so that they are read only as words
    metadata=$T/pairs/metadata/metadata_0.jsonl
    sed 's/.*"image_path":"\([^"]*\)".*/\1/' "$metadata" >"$T/wanted"
    sed 's/.*"caption":\(".*"\)}$/\1/; s/\\\(.\)/\1/g' "$metadata" >"$T/queries"
    "$clip" search -m "$model" -k 10 --queries "$T/queries" >"$T/found"
    compare "$split words->pictures" "$(recall "$T/wanted" "$T/found")" "$(evaluated text_to_image)"

    # pictures to words: the members of the tar as files
    mkdir "$T/files"
    tar xf "$tar" -C "$T/files"
    uniq "$T/wanted" >"$T/pictures"
    sed "s,^.*/,$T/files/," "$T/pictures" >"$T/queries"
    "$clip" search -m "$model" -k 10 --kind text --queries "$T/queries" >"$T/found"
    compare "$split pictures->words" "$(recall "$T/pictures" "$T/found" "$metadata")" "$(evaluated image_to_text)"
done
[ ! -e "$T/off" ]
