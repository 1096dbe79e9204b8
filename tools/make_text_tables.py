#!/usr/bin/env python3
"""Write the data files of src/text from Python, regex, ftfy and Hugging Face's tokenizers.

    python3 tools/make_text_tables.py src/text

Run again when the peers' versions of Unicode change. tools/parity_tokens.py then says whether the
ids still agree.

    unicode.inc    differences between the peers' Unicode and utf8proc's
    entities.inc   HTML's named characters
    mojibake.inc   the characters that appear when UTF-8 is read in another encoding

Needs: regex, ftfy, tokenizers.
"""
import html.entities
import re
import sys
import textwrap
import unicodedata

import ftfy
import ftfy.badness
import ftfy.bad_codecs
import ftfy.chardata
import regex
import tokenizers
from tokenizers import normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(points, key):
    """[(first, last, key(point))] over `points`, neighbours with equal keys joined."""
    out = []
    for c in points:
        k = key(c)
        if out and out[-1][1] == c - 1 and out[-1][2] == k:
            out[-1][1] = c
        else:
            out.append([c, c, k])
    return out


def rows(cells, width=120):
    """Lines of cells, each as full as possible."""
    lines = [""]
    for cell in cells:
        if len(lines[-1]) + len(cell) + 5 > width:
            lines.append("")
        lines[-1] += " " + cell
    return "".join("   " + line + "\n" for line in lines)


# ---- unicode.inc ---------------------------------------------------------------------------------

def onig(pattern):
    """The points that `pattern` matches in the regular expressions of Hugging Face's tokenizers."""
    split = pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="removed", invert=True)
    return {c for c in POINTS if split.pre_tokenize_str(chr(c))}


def python_re(pattern):
    """The same for OpenCLIP's: module regex, ignoring case."""
    compiled = regex.compile(pattern, regex.IGNORECASE)
    return {c for c in POINTS if compiled.fullmatch(chr(c))}


def kinds(letters, numbers):
    return lambda c: "LETTER" if c in letters else "NUMBER" if c in numbers else "OTHER"


def classes():
    """Points that a peer calls a letter or a number although they are unassigned in Python's
    Unicode."""
    by_openclip = kinds(python_re(r"[\p{L}]"), python_re(r"[\p{N}]"))
    by_hf = kinds(onig(r"[\p{L}]"), onig(r"[\p{N}]"))
    out = []
    for c in POINTS:
        category = unicodedata.category(chr(c))
        by_python = "LETTER" if category[0] == "L" else "NUMBER" if category[0] == "N" else "OTHER"
        if (by_openclip(c), by_hf(c)) != (by_python, by_python):
            assert category == "Cn", hex(c)
            out.append(c)
    return ranges(out, lambda c: (by_openclip(c), by_hf(c)))


def odd_marks():
    """Points that a peer does not normalise, because its Unicode does not have them yet."""
    nfd, nfc = normalizers.NFD(), normalizers.NFC()
    starter = regex.compile(r"\p{ccc=0}")
    python, hf = set(), set()
    for c in POINTS:
        s = chr(c)
        if starter.match(s):
            continue
        if unicodedata.combining(s) == 0:
            python.add(c)
        if unicodedata.decomposition(s) == "" and nfd.normalize_str("x\u0345" + s) == "x\u0345" + s \
                and nfd.normalize_str("x" + s + "\u0334") == "x" + s + "\u0334":
            hf.add(c)
    for c in POINTS:
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) == 2 and parts[0][0] != "<":
            pair = "".join(chr(int(p, 16)) for p in parts)
            if nfc.normalize_str(pair) != unicodedata.normalize("NFC", pair):
                hf.add(int(parts[1], 16))
    return ranges(sorted(python | hf), lambda c: (int(c in python), int(c in hf)))


def late_capitals():
    """Capitals that Hugging Face lower-cases and Python does not: (first, last, offset)."""
    lower = normalizers.Lowercase()
    late = {}
    for c in POINTS:
        ours, theirs = chr(c).lower(), lower.normalize_str(chr(c))
        if ours != theirs:
            assert ours == chr(c) and len(theirs) == 1, hex(c)
            late[c] = ord(theirs) - c
    return ranges(sorted(late), lambda c: late[c])


def case_exceptions():
    """For the final sigma: points that str.lower() calls case-ignorable or cased, beyond the
    general categories."""
    def final(s):
        return s.lower()[-1] == "\u03c2"
    categories = {c: unicodedata.category(chr(c)) for c in POINTS}
    cased = {c for c in POINTS if final(chr(c) + "\u03a3")}
    ignorable = {c for c in POINTS if final("A" + chr(c) + "\u03a3")} - cased
    by_category_cased = {c for c in POINTS if categories[c] in ("Lu", "Ll", "Lt")}
    by_category_ignorable = {c for c in POINTS if categories[c] in ("Mn", "Me", "Cf", "Lm", "Sk")}
    assert by_category_cased <= cased and by_category_ignorable <= ignorable
    return (ranges(sorted(ignorable - by_category_ignorable), lambda c: 0),
            ranges(sorted(cased - by_category_cased), lambda c: 0))


def bert():
    """What transformers' BERT tokenizer drops as controls, drops as accents, and takes for punctuation."""
    clean = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    strip = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    split = pre_tokenizers.BertPreTokenizer()
    dropped = {c for c in POINTS if clean.normalize_str("a" + chr(c)) == "a"}
    marks = {c for c in POINTS if strip.normalize_str("a" + chr(c)) == "a"}
    punctuation = {c for c in POINTS if len(split.pre_tokenize_str("a" + chr(c) + "a")) == 3}
    return (ranges(sorted(points), lambda c: 0) for points in (dropped, marks, punctuation))


def unicode_inc():
    ignorable, cased = case_exceptions()
    dropped, accents, punctuation = bert()
    return f"""/* Made by tools/make_text_tables.py from Python {sys.version.split()[0]}
 * (Unicode {unicodedata.unidata_version}), regex {regex.__version__}, tokenizers {tokenizers.__version__}. */

/* {{first, last, {{kind for OpenCLIP, kind for Hugging Face}}}}: letters and numbers that came after
 * Unicode {unicodedata.unidata_version}. */
static const struct late_class {{
    uint32_t first, last;
    unsigned char kind[2];
}} late_classes[] = {{
{rows((f"{{0x{a:X}, 0x{b:X}, {{CLIPTOK_{k[0]}, CLIPTOK_{k[1]}}}}}," for a, b, k in classes()))}}};

/* {{first, last, {{Python, Hugging Face}}}}: 1 where that program does not know the mark, so that it
 * neither reorders nor composes it. */
static const struct odd_mark {{
    uint32_t first, last;
    unsigned char unknown[2];
}} odd_marks[] = {{
{rows((f"{{0x{a:X}, 0x{b:X}, {{{k[0]}, {k[1]}}}}}," for a, b, k in odd_marks()))}}};

/* {{first, last, add}}: capitals that only Hugging Face lower-cases. */
static const struct late_capital {{
    uint32_t first, last;
    int32_t add;
}} late_capitals[] = {{
{rows((f"{{0x{a:X}, 0x{b:X}, {k}}}," for a, b, k in late_capitals()))}}};

/* Case-ignorable besides Mn, Me, Cf, Lm, Sk; cased besides Lu, Ll, Lt. */
static const uint32_t more_ignorable[][2] = {{
{rows((f"{{0x{a:X}, 0x{b:X}}}," for a, b, _ in ignorable))}}};
static const uint32_t more_cased[][2] = {{
{rows((f"{{0x{a:X}, 0x{b:X}}}," for a, b, _ in cased))}}};

/* Hugging Face's BERT: characters that are dropped; accents that are stripped, as one character and
 * with what they decompose into; punctuation. */
static const uint32_t bert_dropped[][2] = {{
{rows((f"{{0x{a:X}, 0x{b:X}}}," for a, b, _ in dropped))}}};
static const uint32_t bert_accents[][2] = {{
{rows((f"{{0x{a:X}, 0x{b:X}}}," for a, b, _ in accents))}}};
static const uint32_t bert_punctuation[][2] = {{
{rows((f"{{0x{a:X}, 0x{b:X}}}," for a, b, _ in punctuation))}}};
"""


# ---- entities.inc --------------------------------------------------------------------------------

def entities_inc():
    names = html.entities.html5
    out = """/* Made by tools/make_text_tables.py from Python's html.entities: the named characters of HTML 5.
 * There is one string for each first letter, A to Z and then a to z. An entry is the rest of the
 * name, then ';' ('!' where HTML also takes the name without its semicolon), then the code points in
 * hexadecimal, then a blank. */
static const char *const entity_lists[52] = {
"""
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
        entries = []
        for name in sorted(n[:-1] for n in names if n[0] == letter and n.endswith(";")):
            assert name.isascii() and name.isalnum()
            value = ",".join(f"{ord(c):x}" for c in names[name + ";"])
            if name in names:
                assert names[name] == names[name + ";"]
            entries.append(name[1:] + ("!" if name in names else ";") + value + " ")
        assert sum(map(len, entries)) < 4095, "longer than ISO C wants a string to be"
        out += f"    /* {letter} */"
        line = ""
        for e in entries:
            if len(line) + len(e) > 112:
                out += f'\n    "{line}"'
                line = ""
            line += e
        out += f'\n    "{line}",\n'
    return out + "};\n"


# ---- mojibake.inc --------------------------------------------------------------------------------

CODINGS = ftfy.chardata.CHARMAP_ENCODINGS
SHORT = {"utf8_first_of_2": "lead2", "utf8_first_of_3": "lead3", "utf8_first_of_4": "lead4",
         "utf8_continuation": "tail", "utf8_continuation_strict": "tail_strict",
         "start_punctuation": "start", "end_punctuation": "end"}


def mojibake_inc():
    assert CODINGS[0] == "latin-1" and len(CODINGS) == 10
    groups = {**ftfy.badness.MOJIBAKE_CATEGORIES, **ftfy.chardata.UTF8_CLUES}
    bits = {SHORT.get(name, name).upper(): 1 << i for i, name in enumerate(groups)}
    tests = {SHORT.get(name, name).upper(): re.compile("[" + group + "]") for name, group in groups.items()}
    cells = []
    for c in range(0x80, 0x10000):
        if 0xD800 <= c < 0xE000:
            continue
        kinds = [name for name, test in tests.items() if test.match(chr(c))]
        coded = []
        for coding in CODINGS[1:]:
            try:
                byte = chr(c).encode(coding)[0]
            except UnicodeEncodeError:
                byte = 0
            assert bool(byte) == ftfy.chardata.possible_encoding(chr(c), coding)
            coded.append(byte)
        if kinds or any(coded):
            value = sum(bits[k] for k in kinds)
            cells.append(f"{{0x{c:04X}, 0x{value:05X}, {{{', '.join(map(str, coded))}}}}},")
    for c in range(0x80):
        kinds = [name for name, test in tests.items() if test.match(chr(c))]
        assert kinds == (["TAIL"] if c == 0x20 else []), hex(c)
    assert not any(test.match(chr(c)) for test in tests.values() for c in range(0x10000, 0x110000))
    enum = ", ".join(f"{name} = 0x{bit:X}" for name, bit in bits.items())
    lines, line = [], ""
    for word in enum.split(", "):
        if len(line) + len(word) > 110:
            lines.append(line)
            line = ""
        line += word + ", "
    lines.append(line)
    order = textwrap.fill(", ".join(CODINGS[1:]), 97, break_on_hyphens=False).replace("\n", "\n * ")
    return f"""/* Made by tools/make_text_tables.py. The kinds of characters come from ftfy {ftfy.__version__} \
(Robyn Speer;
 * Apache License 2.0), the bytes from Python's codecs. For windows-125x these are ftfy's sloppy
 * variants: a byte without a meaning is the control character of Latin-1, and 0x1A is U+FFFD. */
enum {{
    {(chr(10) + "    ").join(l.rstrip() for l in lines)}
}};

/* The single-byte encodings after Latin-1, in the order in which they are tried:
 * {order}. */
static const struct glyph {{
    uint16_t point;
    uint32_t kinds;
    unsigned char byte[9]; /* 0: not in that encoding */
}} glyphs[] = {{
{rows(cells)}}};
"""


def main():
    where = sys.argv[1]
    for name, make in (("unicode", unicode_inc), ("entities", entities_inc), ("mojibake", mojibake_inc)):
        with open(f"{where}/{name}.inc", "w", encoding="ascii") as f:
            f.write(make())


if __name__ == "__main__":
    main()
