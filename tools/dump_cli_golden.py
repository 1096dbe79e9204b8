#!/usr/bin/env python3
"""Write tests/cli/golden: a picture, texts, and OpenCLIP's embeddings by the shipped model.

    dump_cli_golden.py [DIRECTORY]

The model's vocabulary is not OpenCLIP's own: transformers' CLIPTokenizer reads it.
Needs: torch, open_clip, transformers, safetensors, Pillow.
"""
import json
import sys
from pathlib import Path

import open_clip
import torch
import transformers
from PIL import Image, ImageDraw
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "emoji-clip"
CAPTIONS = [
    "grinning face, cheerful, cheery, face, grin, grinning, happy, laugh, nice, smile, smiling, teeth",
    "grinning face with smiling eyes, eye, eyes, face, grin, grinning, happy, laugh, lol, mouth, open, smile, smiling",
    "beaming face with smiling eyes, beaming, eye, eyes, face, grin, grinning, happy, nice, smile, smiling, teeth"
]


def picture():
    """A smiling face in front of a slope. Not square, and larger than the model's input, so that
    every step of preparation counts."""
    img = Image.new("RGB", (150, 100))
    img.putdata([(255 - x // 10, 255 - y // 8, 255 - (x + y) // 16) for y in range(100) for x in range(150)])
    draw = ImageDraw.Draw(img)
    draw.ellipse((29, 4, 121, 96), fill=(255, 204, 77))
    draw.ellipse((54, 30, 64, 48), fill=(102, 69, 0))
    draw.ellipse((86, 30, 96, 48), fill=(102, 69, 0))
    draw.chord((46, 40, 104, 84), 10, 170, fill=(102, 69, 0))
    return img


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "cli" / "golden"
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((MODEL / "open_clip_config.json").read_text())
    model = open_clip.CLIP(**config["model_cfg"])
    weights = {k: v.float() for k, v in load_file(MODEL / "open_clip_model.safetensors").items()}
    print(model.load_state_dict(weights, strict=False), file=sys.stderr)
    model.eval()
    prepare = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=64, **config["preprocess_cfg"]), is_train=False)
    picture().save(out / "picture.png", optimize=True)
    with torch.no_grad():
        image = model.encode_image(prepare(Image.open(out / "picture.png"))[None], normalize=True)[0]
        tokenizer = transformers.CLIPTokenizer(str(MODEL / "vocab.json"), str(MODEL / "merges.txt"))
        rows = [tokenizer(c)["input_ids"] for c in CAPTIONS]
        ids = [row + [0] * (config["model_cfg"]["text_cfg"]["context_length"] - len(row)) for row in rows]
        text = model.encode_text(torch.tensor(ids), normalize=True)
    rows = [{"path": "picture.png", "embedding": [float(f"{v:.6g}") for v in image.tolist()]}]
    for caption, e in zip(CAPTIONS, text):
        rows.append({"text": caption, "embedding": [float(f"{v:.6g}") for v in e.tolist()]})
    (out / "embeddings.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


if __name__ == "__main__":
    main()
