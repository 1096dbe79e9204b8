#!/bin/sh
# The widths of CONTRIBUTING.md: code has at most 120 columns, comments and documents have 100.
# A comment behind code on the same line counts as code. Scripts have 120 throughout. In documents
# tables, code blocks, and lines with a link may be wider. The texts of tools/dump_tokens.py are a
# line each.
# usage: tests/width.sh SOURCE_ROOT
set -eu
cd "$1"
export LC_ALL=C # bytes; those that continue a character of UTF-8 are not counted

{
    find src include cli tests bench examples -name '*.[ch]' | sort | xargs awk '
        function columns(s) { gsub(/[\200-\277]/, "", s); return length(s) }
        FNR == 1 { inside = 0 }
        {
            comment = inside || /^[ \t]*\/[*\/]/
            rest = $0
            while (match(rest, inside ? "[*]/" : "/[*]|//|\"([^\"\\\\]|\\\\.)*\"|\047[^\047\\\\]\047|\047\\\\.\047")) {
                mark = substr(rest, RSTART, RLENGTH)
                rest = substr(rest, RSTART + RLENGTH)
                if (mark == "//")
                    break
                if (mark == "/*" || mark == "*/")
                    inside = !inside
            }
            n = columns($0)
            if (n > (comment ? 100 : 120))
                printf "%s:%d: %d columns, %s\n", FILENAME, FNR, n,
                       comment ? "a comment has at most 100" : "code has at most 120"
        }'
    find tests tools bench examples -name '*.py' ! -name dump_tokens.py -o -name '*.sh' | sort | xargs awk '
        function columns(s) { gsub(/[\200-\277]/, "", s); return length(s) }
        columns($0) > 120 { printf "%s:%d: %d columns, a script has at most 120\n", FILENAME, FNR, columns($0) }'
    find docs README.md CONTRIBUTING.md -name '*.md' | sort | xargs awk '
        function columns(s) { gsub(/[\200-\277]/, "", s); return length(s) }
        FNR == 1 { block = 0 }
        /^ *```/ { block = !block }
        !block && !/^ *\|/ && !/^    / && !/\]\(/ && !/https?:/ && columns($0) > 100 {
            printf "%s:%d: %d columns, a document has at most 100\n", FILENAME, FNR, columns($0)
        }'
} | if grep .; then exit 1; fi
