#!/usr/bin/env python3
"""Golden token ids for tests/text: small vocabularies of each kind, and what transformers makes of tricky lines.

    python3 tools/dump_pieces.py tests/text/golden/pieces

Trains the vocabularies itself, on the lines below. Writes a directory for each tokenizer: its files, and lines.txt with
two rows a line, the text with its control characters and invalid bytes as \\xHH, and the ids, cut to 24. Needs
transformers, sentencepiece and protobuf.
"""

import json
import os
import shutil
import sys
import tempfile

import sentencepiece
import transformers
from transformers import (
    BertTokenizer,
    GemmaTokenizer,
    NllbTokenizer,
    Siglip2Tokenizer,
    SiglipTokenizer,
    T5Tokenizer,
    XLMRobertaTokenizer,
)
from open_clip.tokenizer import get_clean_fn

from dump_tokens import escape

CONTEXT = 24
TEXT = """a photo of a cat
a photo of the small dog on a beach
two cats and a dog sleep on the red sofa
the quick brown fox jumps over the lazy dog
a drawing of a horse, a house and a tree
photographs of mountains in the morning light
an aerial photograph of the city at night
ein Foto von einer Katze und einem Hund
eine kleine Katze auf dem roten Sofa
une photo d'un chat sur un canap\u00e9 rouge
\u0444\u043e\u0442\u043e\u0433\u0440\u0430\u0444\u0438\u044f \
\u043a\u043e\u0448\u043a\u0438 \u0438 \u0441\u043e\u0431\u0430\u043a\u0438
\u732b\u306e\u5199\u771f \u72ac\u306e\u5199\u771f
\u4e00\u53ea\u732b\u7684\u7167\u7247 \u4e00\u53ea\u72d7\u7684\u7167\u7247
\u0635\u0648\u0631\u0629 \u0642\u0637\u0629 \u0648\u0643\u0644\u0628
""".splitlines() * 8
LINES = [
    "",
    " ",
    "a photo of a cat",
    "A Photo of two CATS!",
    "  the   dog \t\n jumps ",
    "cats,dogs;horses",
    "a_b don't",
    "caf\u00e9 cafe\u0301 CAF\u00c9",
    "\uff21\uff22\uff23 \ufb01ne \ufb01\u0301 \u2581x\u2581",
    "\u732b\u306e\u5199\u771f\u72ac",
    "\u4e00\u53ea\u732b\u7684\u7167\u7247\u3002",
    "\u0444\u043e\u0442\u043e \u0421\u041e\u0411\u0410\u041a\u0418",
    "\u0635\u0648\u0631\u0629 \u0642\u0637\u0629",
    "\U0001f600\U0001f468\u200d\U0001f469",
    "x\u0300\u0301y \u0958",
    "<unk> </s> <s> <mask> <pad> [CLS] [SEP] x",
    "a </s>",
    "<eos> <bos><pad>",
    "a\n\nb",
    "zzz qqq \u00df \u1e9e",
    "\u039f\u0394\u039f\u03a3 A\u03a3.\u03a3",
    "a photo of a dog and a cat and a dog and a cat and a dog and a cat and a dog and a cat",
    "abababababababababababababababababab",
    "&amp; &lt;b&gt; \u201cx\u201d",
    "\xad\u200b\u0007z",
    "\ud55c\uad6d\uc5b4",
    "eng_Latn deu_Latn",
    "<0x41> \u00e6",
    "a" * 120,
    "eine kleine Katze und ein Hund auf dem Sofa",
    "ein Foto der Gr\u00f6\u00dfe A",
    "\u72ac\u3068\u732b\u306e\u5199\u771f",
    "\u4e24\u53ea\u732b\u7684\u7167\u7247",
]
RULES = "\n".join(
    ["%X\t%X" % (0xFF21 + i, 0x41 + i) for i in range(26)]
    + ["FB01\t66 69", "65 301\tE9", "3000\t20", "9\t20", "A\t20", "D\t20", "7\t", "200B\t20", "AD\t"]
)


def train(where, name, **options):
    with open(f"{where}/rules.tsv", "w") as f:
        f.write(RULES + "\n")
    if options.pop("rules", True):
        options["normalization_rule_tsv"] = f"{where}/rules.tsv"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_prefix=f"{where}/{name}",
        hard_vocab_limit=False,
        minloglevel=2,
        character_coverage=0.999,
        **options,
    )
    return f"{where}/{name}.model"


def compact(directory):
    path = f"{directory}/tokenizer.json"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            data = json.load(f)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(data, f, ensure_ascii=False, separators=(",", ":"))


def settings(directory, **values):
    with open(f"{directory}/tokenizer_config.json", "w") as f:
        json.dump(values, f, indent=1)


def write(out, name, tokenizer, clean=None):
    with open(f"{out}/{name}/lines.txt", "w", encoding="utf-8") as f:
        for line in LINES:
            text = clean(line) if clean else line
            ids = tokenizer(text, truncation=True, max_length=CONTEXT)["input_ids"]
            f.write(f"{escape(line.encode('utf-8'))}\n{' '.join(map(str, ids))}\n")


def main():
    out = sys.argv[1]
    transformers.logging.set_verbosity_error()
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        unigram = train(scratch, "unigram", vocab_size=220, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
        fairseq = train(scratch, "fairseq", vocab_size=220, unk_id=0, bos_id=1, eos_id=2)
        merged = train(scratch, "merged", vocab_size=200, model_type="bpe", unk_id=0, bos_id=1, eos_id=2)
        gemma = train(
            scratch,
            "gemma",
            vocab_size=460,
            model_type="bpe",
            pad_id=0,
            eos_id=1,
            bos_id=2,
            unk_id=3,
            byte_fallback=True,
            rules=False,
            normalization_rule_name="identity",
            eos_piece="<eos>",
            bos_piece="<bos>",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            user_defined_symbols=["<mask>", "\n\n", "<h1>"],
        )
        for name in (
            "siglip",
            "t5",
            "t5-json",
            "xlmr",
            "xlmr-json",
            "nllb-json",
            "gemma",
            "gemma-json",
            "siglip2-json",
            "bert",
            "bert-cased",
        ):
            os.makedirs(f"{out}/{name}")
        shutil.copy(unigram, f"{out}/siglip/spiece.model")
        settings(
            f"{out}/siglip", tokenizer_class="SiglipTokenizer", eos_token="</s>", pad_token="</s>", unk_token="<unk>"
        )
        write(out, "siglip", SiglipTokenizer.from_pretrained(f"{out}/siglip"))
        shutil.copy(unigram, f"{out}/t5/spiece.model")
        settings(f"{out}/t5", tokenizer_class="T5Tokenizer", extra_ids=3)
        t5 = T5Tokenizer.from_pretrained(f"{out}/t5")
        write(out, "t5", t5)
        t5.save_pretrained(f"{out}/t5-json")
        write(out, "t5-json", t5, get_clean_fn("canonicalize"))
        shutil.copy(fairseq, f"{out}/xlmr/sentencepiece.bpe.model")
        settings(f"{out}/xlmr", tokenizer_class="XLMRobertaTokenizer")
        xlmr = XLMRobertaTokenizer.from_pretrained(f"{out}/xlmr")
        write(out, "xlmr", xlmr)
        xlmr.save_pretrained(f"{out}/xlmr-json")
        write(out, "xlmr-json", xlmr, get_clean_fn("whitespace"))
        shutil.copy(merged, f"{out}/nllb-json/sentencepiece.bpe.model")
        nllb = NllbTokenizer.from_pretrained(f"{out}/nllb-json", extra_special_tokens=["eng_Latn", "deu_Latn"])
        os.remove(f"{out}/nllb-json/sentencepiece.bpe.model")
        nllb.save_pretrained(f"{out}/nllb-json")
        write(out, "nllb-json", nllb)
        shutil.copy(gemma, f"{out}/gemma/tokenizer.model")
        settings(f"{out}/gemma", tokenizer_class="GemmaTokenizer", add_bos_token=False, add_eos_token=True)
        tokenizer = GemmaTokenizer.from_pretrained(f"{out}/gemma")
        write(out, "gemma", tokenizer)
        tokenizer.save_pretrained(f"{out}/gemma-json")
        write(out, "gemma-json", tokenizer, get_clean_fn("canonicalize"))
        backend = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
        merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in backend["merges"]]
        siglip2 = Siglip2Tokenizer(
            vocab=backend["vocab"], merges=merges, add_bos_token=False, add_eos_token=True, padding_side="right"
        )
        siglip2.save_pretrained(f"{out}/siglip2-json")
        write(out, "siglip2-json", siglip2)
        words = sorted({w for line in TEXT for w in line.lower().replace(",", " ").split() if w.isascii()})
        letters = sorted({c for line in TEXT for c in line if c.isalnum() and not "A" <= c <= "Z"})
        pieces = (
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            + letters
            + ["##" + c for c in letters if c < "\u0600"]
            + words
            + ["##s", "##ing", "##ab", "!", ",", "'", "Photo", "A"]
        )
        for name, lower in (("bert", True), ("bert-cased", False)):
            with open(f"{out}/{name}/vocab.txt", "w", encoding="utf-8") as f:
                f.write("".join(p + "\n" for p in dict.fromkeys(pieces)))
            settings(f"{out}/{name}", tokenizer_class="BertTokenizer", do_lower_case=lower)
            write(
                out, name, BertTokenizer.from_pretrained(f"{out}/{name}"), get_clean_fn("whitespace") if lower else None
            )
    for name in os.listdir(out):
        compact(f"{out}/{name}")


if __name__ == "__main__":
    main()
