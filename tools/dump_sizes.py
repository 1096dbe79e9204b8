#!/usr/bin/env python3
"""Golden embeddings of small image towers for pictures of other sizes than their weights', for
tests/model/test_image_size.c.

    dump_sizes.py > tests/model/golden_sizes.h

Each tower is given another size by the program that it belongs to: OpenCLIP's resize_pos_embed(),
timm's set_input_size(), transformers' interpolate_pos_encoding. Weights and pixels are made from
their names, as those of dump_towers.py. Needs: torch, timm, open_clip_torch, transformers.
"""

from functools import partial
from types import SimpleNamespace

import torch
from open_clip.model import resize_pos_embed
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from timm.models.vision_transformer import VisionTransformer as TimmViT
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from dump_towers import D, N, TOWERS, Outer, uniform, weight


def named(model, before="visual."):
    return {
        k: v if k.endswith("num_batches_tracked") else weight(before + k, tuple(v.shape))
        for k, v in model.state_dict().items()
    }


def openclip(make, table, grid):
    """OpenCLIP resizes a state before it is loaded. It looks for a ViT's table alone; a ResNet's is
    put in its place."""

    def run(old, new, pixels):
        model = make(new)
        state = named(make(old))
        resized = {"visual.positional_embedding": state[table]}
        resize_pos_embed(resized, SimpleNamespace(visual=SimpleNamespace(grid_size=grid(new))))
        state[table] = resized["visual.positional_embedding"]
        model.load_state_dict(state)
        return model.eval().double()(pixels)

    return run


def timm(make):
    def run(old, new, pixels):
        model = make()
        model.load_state_dict(named(model))
        if hasattr(model.trunk, "set_input_size"):
            model.trunk.set_input_size((new, new))
        return model.eval().double()(pixels)

    return run


def transformers(old, new, pixels):
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=old,
            patch_size=8,
            projection_dim=D,
        )
    )
    model.load_state_dict(named(model, ""), strict=False)
    return model.eval().double()(pixels, interpolate_pos_encoding=True).image_embeds


vit = openclip(
    lambda size: VisionTransformer(size, 8, width=32, layers=2, heads=2, mlp_ratio=2.0, output_dim=D),
    "positional_embedding",
    lambda size: size // 8,
)
resnet = openclip(
    lambda size: ModifiedResNet((1, 1, 1, 1), output_dim=D, heads=4, image_size=size, width=8),
    "attnpool.positional_embedding",
    lambda size: size // 32,
)
siglip = timm(
    lambda: Outer(
        TimmViT(
            img_size=32,
            patch_size=8,
            embed_dim=D,
            depth=2,
            num_heads=2,
            mlp_ratio=4.0,
            class_token=False,
            global_pool="map",
            num_classes=0,
            act_layer=partial(torch.nn.GELU, approximate="tanh"),
        ),
        0,
    )
)
CASES = {
    "vit_larger": (vit, 32, 56),
    "vit_smaller": (vit, 56, 24),
    "hf_larger": (transformers, 32, 56),
    "hf_smaller": (transformers, 56, 24),
    "siglip_larger": (siglip, 32, 48),
    "siglip_smaller": (siglip, 32, 16),
    "resnet_larger": (resnet, 64, 96),
    "resnet_smaller": (resnet, 96, 64),
    **{
        f"{name}_larger": (timm(lambda make=TOWERS[name]: make()[0]), old, new)
        for name, old, new in (
            ("eva", 32, 48),
            ("eva02", 32, 48),
            ("pe", 32, 48),
            ("mci", 64, 96),
            ("vitamin", 64, 96),
            ("convnext", 64, 96),
            ("fastvit", 64, 96),
        )
    },
}


@torch.inference_mode()
def main():
    print("/* Made by tools/dump_sizes.py. */")
    for name, (run, old, new) in CASES.items():
        pixels = torch.from_numpy(uniform("pixels", N * 3 * new * new).reshape(N, 3, new, new)).double()
        y = run(old, new, pixels).flatten().tolist()
        print(f"static const float {name}_golden[] = {{")
        for i in range(0, len(y), D):
            print("    " + ", ".join(f"{v:.8g}f" if "." in f"{v:.8g}" else f"{v:.8g}.0f" for v in y[i : i + D]) + ",")
        print("};")


if __name__ == "__main__":
    main()
