#!/bin/sh
# A small SigLIP for Chinese, Japanese, German and English, from nothing: pairs and a vocabulary, a
# training run, and how well clip search finds emoji of a style that it was not trained on.
# Minutes of two cores and 250 MB in DIRECTORY. What is there is not made again; a run that was
# stopped goes on. Needs what data/make_languages.py needs.
# usage: [CLIP=build/cli/clip] [THREADS=2] data/train_languages.sh DIRECTORY
set -eu
out=$1 here=$(dirname "$0") threads=${THREADS:-2}
clip=${CLIP:-$here/../build/cli/clip}

if [ ! -f "$out/done" ]; then
    "$here/make_languages.py" "$out"
    touch "$out/done"
fi

if [ -f "$out/run/run.json" ]; then
    "$clip" train --resume "$out/run" -t "$threads"
else
    "$clip" train --config "$here/languages.json" --tokenizer "$out/tokenizer" \
        --train-data "$out/pairs/train-{000..001}.tar" --output "$out/run" --save-every 100 -t "$threads"
fi
awk -F '"time":' 'END { sub(/}.*/, "", $2); printf "trained for %.0f minutes\n", $2 / 60 }' "$out/run/metrics.jsonl"

# found SET LANGUAGE: a row of the table. Each label is a query; right is the picture of its emoji.
found() {
    cut -f 2 "$out/$1-$2.tsv" | sed 's/.*/"&"/' >"$out/queries"
    "$clip" search -m "$out/run/checkpoint" --index "$out/index-$1" -k 5 --queries "$out/queries" -t "$threads" |
        awk -v wanted="$out/$1-$2.tsv" -v set="$1" -v language="$2" '
            {
                getline right <wanted
                sub(/\t.*/, "", right)
                n = split($0, part, "\"path\":\"")
                for (i = 2; i <= n; i++)
                    if (index(part[i], "/" right ".png\"")) {
                        one += i == 2
                        five++
                    }
            }
            END { printf "%-9s%-10s%8d%8.1f%8.1f\n", set, language, NR, 100 * one / NR, 100 * five / NR }'
}

printf '%-9s%-10s%8s%8s%8s\n' emoji language queries top-1 top-5
for set in known unseen; do
    rm -rf "$out/index-$set"
    "$clip" index -m "$out/run/checkpoint" --index "$out/index-$set" "$out/$set" -t "$threads" >"$out/log"
    for language in zh ja de en; do
        found "$set" "$language"
    done
done
