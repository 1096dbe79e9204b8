#!/bin/sh
# What `make demo` shows: the shipped model on the shipped pictures.
# usage: tools/demo.sh BUILD_DIRECTORY PAGE.html
set -eu
cd "$(dirname "$0")/.."
clip=$1/cli/clip page=$2
samples=models/samples

echo "The model:"
"$clip" info
echo
echo "What is in these pictures? (best of $(wc -l <$samples/labels.txt) labels that the model may choose from)"
"$clip" classify -k 3 --labels $samples/labels.txt --html "$page" $samples/*.png
echo
echo "The same as a page, with the best pictures for each word: $page"

index=$(mktemp -d) gallery=${page%.html}-search.html
trap 'rm -rf "$index"' EXIT
export CLIP_INDEX="$index/samples" XDG_STATE_HOME="$index"
echo
echo "An index of these pictures, searched for a key and for a cloud:"
"$clip" index $samples
"$clip" search --table -k 3 --html "$gallery" key
echo
"$clip" search --table -k 3 cloud
echo
echo "More like the first of these:"
"$clip" search --table -k 3 --like 1
echo
echo "The first of the searches as a page: $gallery"
