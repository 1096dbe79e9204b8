#!/usr/bin/env python3
"""Write tests/cli/golden: a picture, texts, and the embeddings that OpenCLIP computes for them with the model that ships.

    dump_cli_golden.py GOLDEN.json [DIRECTORY]

GOLDEN.json is the reference checkpoint's: captions with their token ids (the model's vocabulary is not OpenCLIP's own, so
its ids come from where it was trained). Needs torch, open_clip, safetensors and Pillow.
"""
import json
import sys
from pathlib import Path

import open_clip
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "emoji-clip"


def picture():
    """A smiling face in front of a slope. Not square, larger than the model's input: every step of preparing it counts."""
    img = Image.new("RGB", (150, 100))
    img.putdata([(255 - x // 10, 255 - y // 8, 255 - (x + y) // 16) for y in range(100) for x in range(150)])
    draw = ImageDraw.Draw(img)
    draw.ellipse((29, 4, 121, 96), fill=(255, 204, 77))
    draw.ellipse((54, 30, 64, 48), fill=(102, 69, 0))
    draw.ellipse((86, 30, 96, 48), fill=(102, 69, 0))
    draw.chord((46, 40, 104, 84), 10, 170, fill=(102, 69, 0))
    return img


def main():
    golden = json.loads(Path(sys.argv[1]).read_text())
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "tests" / "cli" / "golden"
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((MODEL / "open_clip_config.json").read_text())
    model = open_clip.CLIP(**config["model_cfg"])
    weights = {k: v.float() for k, v in load_file(MODEL / "open_clip_model.safetensors").items()}
    print(model.load_state_dict(weights, strict=False), file=sys.stderr)
    model.eval()
    prepare = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=64, **config["preprocess_cfg"]), is_train=False)
    picture().save(out / "picture.png", optimize=True)
    with torch.no_grad():
        image = model.encode_image(prepare(Image.open(out / "picture.png"))[None], normalize=True)[0]
        ids = [row + [0] * (config["model_cfg"]["text_cfg"]["context_length"] - len(row)) for row in golden["token_ids"]]
        text = model.encode_text(torch.tensor(ids), normalize=True)
    rows = [{"path": "picture.png", "embedding": [float(f"{v:.6g}") for v in image.tolist()]}]
    for caption, e in list(zip(golden["captions"], text))[:3]:
        rows.append({"text": caption, "embedding": [float(f"{v:.6g}") for v in e.tolist()]})
    (out / "embeddings.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


if __name__ == "__main__":
    main()
