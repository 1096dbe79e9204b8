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
