#!/usr/bin/env python3
"""Write tests/model/golden: tiny checkpoints, inputs, and PyTorch's embeddings in f32.

    dump_golden.py [DIRECTORY [NAME...]]       without a NAME, all

PyTorch runs OpenCLIP and transformers.
Needs: the packages of make_checkpoints.py.
"""
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

import make_checkpoints
import references

GOLDEN = ("tiny-vit", "tiny-vit-eos", "tiny-coca", "tiny-scaled",
          "tiny-resnet", "tiny-openai", "tiny-longclip", "tiny-hf", "tiny-hf-eos",
          "tiny-chinese-clip", "tiny-chinese-clip-own", "tiny-xlm-roberta", "tiny-nllb", "tiny-altclip",
          "tiny-altclip-5", "tiny-metaclip-2", "tiny-clipseg", "tiny-owlvit", "tiny-dual-vit", "tiny-dual-clip",
          "tiny-dual-clip-4", "tiny-flava", "tiny-aimv2", "tiny-naflex", "tiny-cls-pooler",
          "tiny-mt5")

README = f"""# Golden values of the towers

Made by `tools/dump_golden.py` with torch {torch.__version__.split('+')[0]}, open_clip \
{references.open_clip.__version__}, \
transformers {references.transformers.__version__}; weights are random (`tools/make_checkpoints.py`).
Each directory is a checkpoint as those programs save it, and beside it

| file | |
|---|---|
| pixels.npy | [3, 3, S, S] f32, what clip_encode_pixels() takes |
| image.npy | [3, D] f32, their unit embeddings |
| ids.npy, offsets.npy | i32, ragged texts: the shortest, the longest, one with ids behind its end token, one \
without an end token |
| text.npy | [N, D] f32, their unit embeddings |
| logit_scale.npy | [1] f32, exp() of the parameter |

| checkpoint | holds |
|---|---|
| tiny-vit | OpenCLIP, f32, GELU, ln_pre, argmax |
| tiny-vit-eos | OpenCLIP, f16, no_ln_pre, mlp_ratio 7.3637, pool_type eos |
| tiny-coca | OpenCLIP, f16, CoCa: attentional pooler, class token; id 0, its padding, within texts |
| tiny-scaled | OpenCLIP, f16, layer scale in both encoders |
| tiny-resnet | OpenCLIP, f16, modified ResNet with odd numbers of channels |
| tiny-openai | one bare file, f16 and f32 mixed, OpenAI's extra tensors, QuickGELU, sizes from shapes |
| tiny-longclip | OpenCLIP, f16, QuickGELU, Long-CLIP's two tables of positions, `_orig_mod.` before every name |
| tiny-hf | Hugging Face, f16, QuickGELU, eos_token_id 2 (argmax) |
| tiny-hf-eos | Hugging Face, bf16 in shards, GELU, pooled at eos_token_id, tokenizer.json |
| tiny-chinese-clip | Hugging Face's ChineseCLIPModel, f16 |
| tiny-chinese-clip-own | Chinese-CLIP's own names behind `module.`, f16, a pooler that is not used, sizes from shapes |
| tiny-altclip | Hugging Face's AltCLIPModel, f16, with the names of BAAI/AltCLIP |
| tiny-altclip-5 | the same, with the names that transformers 5 writes |
| tiny-metaclip-2 | Hugging Face's MetaClip2Model, f16, pooled at eos_token_id 2 |
| tiny-clipseg | Hugging Face's CLIPSegForImageSegmentation, f16: its CLIP, with positions for 4x4 patches and \
pictures of 6x6 |
| tiny-owlvit | Hugging Face's OwlViTForObjectDetection, f16: its CLIP |
| tiny-dual-vit | Hugging Face's VisionTextDualEncoderModel, f16: ViT and BERT, both with a pooler |
| tiny-dual-clip, tiny-dual-clip-4 | the same: a CLIP's image encoder and XLM-R, with the names of transformers 5, 4 |
| tiny-flava | Hugging Face's FlavaModel, f16: its two contrastive encoders |
| tiny-aimv2 | Hugging Face's Aimv2Model, f16: RMSNorm, SwiGLU, a query that is pooled with |
| tiny-naflex | Hugging Face's Siglip2Model, f16. Its pixels are [N, picture_floats], of N.png; grids.npy \
is what its processor makes of sizes |
| tiny-cls-pooler | OpenCLIP, f16, BERT with `cls_pooler` and two projections |
| tiny-xlm-roberta | OpenCLIP, f16, XLM-R: mean of the tokens, two projections |
| tiny-nllb | OpenCLIP, f16, NLLB's encoder: sines as positions, first token, linear projection |
| tiny-mt5 | OpenCLIP, f16, mT5's encoder: distances of tokens, mean of the tokens, two projections |
"""


def texts(vocab_size, context_length, first):
    """Ragged ids: start, words from `first` on, end. The end token is the largest id."""
    rng = np.random.default_rng(7)
    start, end = vocab_size - 2, vocab_size - 1
    words = lambda n: rng.integers(first, start, n).tolist()
    rows = [[start] + words(n) + [end] for n in (0, 1, 5, 9, context_length - 2)]
    return rows + [[start] + words(3) + [end] + words(4) + [end], words(4)]


def pictures_of_any_shape(out):
    """Photographs' shapes, strips, one that is enlarged; and sides for which the search for the scale ends late."""
    g = torch.Generator().manual_seed(5)
    pictures = []
    for n, (width, height) in enumerate(((40, 30), (30, 40), (90, 11), (3, 70), (5, 5), (49, 65), (64, 24))):
        x = make_checkpoints.smooth_pictures(1, max(width, height), g)[0, :, :height, :width]
        rgb = (x * 40 + 128).clamp(0, 255).byte().permute(1, 2, 0).numpy()
        pictures.append(Image.fromarray(rgb))
        pictures[-1].save(out / f"{n}.png")
    return pictures


def grids():
    """[N, 6] width, height, the side of a patch, most patches -> rows, columns, as transformers finds them."""
    rng = np.random.default_rng(11)
    sides = np.exp(rng.uniform(0, np.log(9000), (400, 2))).astype(int)
    rows = [(w, h, int(rng.choice((8, 14, 16))), int(rng.choice((16, 24, 256, 1024)))) for w, h in sides]
    rows += [(256, 256, 16, 256), (1, 1, 16, 256), (1, 40000, 16, 256), (9000000, 1, 8, 9), (640, 480, 16, 256)]
    found = [get_image_size_for_max_num_patches(h, w, P, most) for w, h, P, most in rows]
    return np.array([r + (h // r[2], w // r[2]) for r, (h, w) in zip(rows, found)], np.int32)


def dump(out):
    ref = references.load(out)
    if out.name == "tiny-naflex":
        pixels = ref.pixels(pictures_of_any_shape(out))
        np.save(out / "grids.npy", grids())
    else:
        pixels = make_checkpoints.smooth_pictures(3, ref.image_size, torch.Generator().manual_seed(5))
    ids = texts(ref.vocab_size, ref.context_length, getattr(ref, "special", 0))
    if out.name == "tiny-coca":
        start = ref.vocab_size - 2
        ids += [[start, 0, 0, 7, 0, start + 1], [start, 9, 0, 0], [0]]
    arrays = {
        "pixels": pixels.numpy(),
        "image": ref.encode_image(pixels),
        "ids": np.array(sum(ids, []), np.int32),
        "offsets": np.cumsum([0] + [len(i) for i in ids]).astype(np.int32),
        "text": ref.encode_text(ids),
        "logit_scale": np.array([ref.logit_scale], np.float32),
    }
    for name, array in arrays.items():
        np.save(out / f"{name}.npy", np.ascontiguousarray(array))


def main():
    default = Path(__file__).resolve().parent.parent / "tests/model/golden"
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    directory.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or GOLDEN:
        out = make_checkpoints.make(directory, name)
        dump(out)
        print(f"{out}: {sum(f.stat().st_size for f in out.iterdir()) / 1e3:.0f} KB")
    (directory / "README.md").write_text(README)


if __name__ == "__main__":
    main()
