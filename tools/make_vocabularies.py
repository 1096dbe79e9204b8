#!/usr/bin/env python3
"""Train vocabularies of the kinds that model families use, as directories for parity_pieces.py.

    python3 tools/make_vocabularies.py CORPUS OUT [NAME ...]

CORPUS is a text file, a sentence on each line, best of many languages. OUT/NAME gets the files that transformers reads:
siglip, t5, xlmr, nllb, gemma (from tokenizer.model), siglip2 (a tokenizer.json of 256,000 tokens), bert; with -json the
tokenizer.json that transformers makes of it. Needs transformers, sentencepiece, tokenizers and protobuf.
"""

import json
import os
import shutil
import sys
import tempfile

import sentencepiece
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertTokenizer,
    GemmaTokenizer,
    NllbTokenizer,
    Siglip2Tokenizer,
    T5Tokenizer,
    XLMRobertaTokenizer,
)
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES
from transformers.tokenization_utils_base import generate_merges

T5 = dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
FAIRSEQ = dict(unk_id=0, bos_id=1, eos_id=2)
GEMMA = dict(
    model_type="bpe",
    pad_id=0,
    eos_id=1,
    bos_id=2,
    unk_id=3,
    pad_piece="<pad>",
    eos_piece="<eos>",
    bos_piece="<bos>",
    byte_fallback=True,
    normalization_rule_name="identity",
    remove_extra_whitespaces=False,
    add_dummy_prefix=False,
    allow_whitespace_only_pieces=True,
    split_digits=True,
    user_defined_symbols=["<mask>", "\n", "\n\n", "\t", "<h1>"],
)
# name: class, its file, vocabulary, options of SentencePiece, settings
MODELS = {
    "siglip": (
        "SiglipTokenizer",
        "spiece.model",
        32000,
        T5,
        {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"},
    ),
    "t5": (T5Tokenizer, "spiece.model", 32000, dict(T5, byte_fallback=True), {"extra_ids": 0}),
    "xlmr": (XLMRobertaTokenizer, "sentencepiece.bpe.model", 60000, FAIRSEQ, {}),
    "nllb": (
        NllbTokenizer,
        "sentencepiece.bpe.model",
        16000,
        dict(FAIRSEQ, model_type="bpe"),
        {"extra_special_tokens": FAIRSEQ_LANGUAGE_CODES},
    ),
    "gemma": (GemmaTokenizer, "tokenizer.model", 16000, GEMMA, {"add_bos_token": False, "add_eos_token": True}),
}


def make_model(corpus, out, name):
    kind, file, size, options, settings = MODELS[name]
    os.makedirs(f"{out}/{name}")
    with tempfile.TemporaryDirectory() as scratch:
        sentencepiece.SentencePieceTrainer.train(
            input=corpus,
            model_prefix=f"{scratch}/m",
            vocab_size=size,
            hard_vocab_limit=False,
            minloglevel=2,
            input_sentence_size=200000,
            shuffle_input_sentence=True,
            **options,
        )
        shutil.copy(f"{scratch}/m.model", f"{out}/{name}/{file}")
    label = kind if isinstance(kind, str) else kind.__name__
    with open(f"{out}/{name}/tokenizer_config.json", "w") as f:
        json.dump(dict(settings, tokenizer_class=label), f)
    if kind is not label:
        kind.from_pretrained(f"{out}/{name}").save_pretrained(f"{out}/{name}-json")


def make_siglip2(corpus, out):
    """256,000 tokens, whose merges are all splits of a token into two, as in Gemma's tokenizer.json."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{i:02X}>" for i in range(256)]
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    t.train(
        [corpus],
        trainers.BpeTrainer(vocab_size=256000, special_tokens=specials, max_token_length=16, show_progress=False),
    )
    vocab = dict(sorted(t.get_vocab().items(), key=lambda item: item[1]))
    merges = generate_merges(vocab, skip_tokens=set(specials))
    Siglip2Tokenizer(
        vocab=vocab, merges=merges, add_bos_token=False, add_eos_token=True, padding_side="right"
    ).save_pretrained(f"{out}/siglip2-json")


def make_bert(corpus, out):
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train([corpus], trainers.WordPieceTrainer(vocab_size=21128, special_tokens=specials, show_progress=False))
    os.makedirs(f"{out}/bert")
    with open(f"{out}/bert/vocab.txt", "w", encoding="utf-8") as f:
        f.write("".join(k + "\n" for k, _ in sorted(t.get_vocab().items(), key=lambda item: item[1])))
    with open(f"{out}/bert/tokenizer_config.json", "w") as f:
        json.dump({"tokenizer_class": "BertTokenizer", "do_lower_case": True}, f)
    BertTokenizer.from_pretrained(f"{out}/bert").save_pretrained(f"{out}/bert-json")


def main():
    corpus, out = sys.argv[1:3]
    transformers.logging.set_verbosity_error()
    for name in sys.argv[3:] or [*MODELS, "siglip2", "bert"]:
        if name == "siglip2":
            make_siglip2(corpus, out)
        elif name == "bert":
            make_bert(corpus, out)
        else:
            make_model(corpus, out, name)


if __name__ == "__main__":
    main()
