#!/usr/bin/env python3
"""Questions about the validation pictures of data/make_pairs.py, for `clip vqa --eval`.

    tools/make_questions.py PAIRS OUT

Turns PAIRS/{style_val,concept_val}.tar into OUT/*.png and OUT/questions.tsv (filepath, question,
answer). A picture gets the questions that its name answers: "dog face" is asked "what animal is
this?", "is this a dog?", and "is this a horse?" or another animal that it is not. "blue circle" is
asked "what color is the circle?". The words are the shipped ones (src/heads/question_words.c).
"""
import json
import random
import re
import sys
import tarfile
from pathlib import Path

KINDS = {
    "animal": "animals", "fruit": "fruits", "vegetable": "vegetables", "food": "foods", "drink": "drinks",
    "vehicle": "vehicles", "instrument": "instruments", "flower": "flowers", "clothing": "clothes"
}


def shipped_words(source):
    text = source.read_text()
    return {
        name: re.findall(r'"([^"]+)"', body)
        for name, body in re.findall(r"static const char \*const (\w+)\[\] = \{(.*?)\};", text, re.S)
    }


def questions(name, words, rng):
    """(question, answer) pairs about a picture of this name."""
    colored = re.fullmatch(r"(%s) (heart|circle|square|book|apple)" % "|".join(words["colors"]), name)
    if colored:
        yield f"what color is the {colored[2]}?", colored[1]
    bare = re.sub(r" face$", "", name)
    for kind, table in KINDS.items():
        if bare in words[table]:
            other = rng.choice([w for w in words[table] if w != bare])
            yield f"what {kind} is this?", bare
            yield f"is this a {bare}?", "yes"
            yield f"is this a {other}?", "no"
            return


def main():
    pairs, out = map(Path, sys.argv[1:3])
    words = shipped_words(Path(__file__).parent.parent / "src" / "tasks" / "question_words.c")
    rng = random.Random(1)
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "questions.tsv", "w") as table:
        print("filepath", "question", "answer", sep="\t", file=table)
        for split in "style_val", "concept_val":
            with tarfile.open(pairs / f"{split}.tar") as tar:
                for member in tar:
                    if not member.name.endswith(".json"):
                        continue
                    name = json.load(tar.extractfile(member))["captions"][0]
                    for question, answer in questions(name, words, rng):
                        picture = member.name.replace(".json", ".png")
                        (out / picture).write_bytes(tar.extractfile(picture).read())
                        print(picture, question, answer, sep="\t", file=table)


if __name__ == "__main__":
    main()
