#!/usr/bin/env python3
"""Golden embeddings of small image towers of timm, for tests/model/test_timm_towers.c.

    dump_towers.py > tests/model/golden_towers.h

Weights and pixels are made from their names by a formula that the test has as well, so no weights
are stored. Needs: torch, timm.
"""

from functools import partial

import numpy as np
import torch
from timm.layers import HybridEmbed, LayerNorm, LayerNorm2d
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.fastvit import FastVit, RepConditionalPosEnc
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from timm.models.vitamin import GeGluMlp, MbConvStages, VitCfg, VitConvCfg

D, N = 8, 2


def uniform(name, n):
    """n numbers of -1 .. 1 that belong to the name."""
    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 & 0xFFFFFFFF
    with np.errstate(over="ignore"):
        x = np.uint32(h) + np.arange(n, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
        x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def weight(name, shape):
    u = uniform(name, int(np.prod(shape)))
    if any(s in name for s in ("cls_token", "pos_embed", "latent")):
        u = u * np.float32(0.4)
    elif "gamma" in name:
        u = np.float32(0.2) + np.float32(0.04) * u
    elif len(shape) > 1:
        u = u * np.float32(1.4) / np.sqrt(np.float32(np.prod(shape[1:])))
    elif name.endswith(("bias", "running_mean")):
        u = u * np.float32(0.1)
    else:
        u = np.float32(1) + np.float32(0.2) * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


class Outer(torch.nn.Module):
    """OpenCLIP's projection behind a trunk, as TimmModel has it."""

    def __init__(self, trunk, width, mlp=False):
        super().__init__()
        self.trunk = trunk
        self.head = torch.nn.Sequential()
        if mlp:
            from timm.layers import Mlp

            self.head.add_module("mlp", Mlp(width, 2 * D, D, bias=(True, False)))
        elif width:
            self.head.add_module("proj", torch.nn.Linear(width, D, bias=False))

    def forward(self, x):
        return self.head(self.trunk(x))


eva = partial(Eva, img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=D)
pe = partial(
    eva,
    global_pool="map",
    attn_type="rope",
    use_pre_transformer_norm=True,
    use_rot_pos_emb=True,
    ref_feat_shape=(4, 4),
    rope_grid_indexing="xy",
    attn_pool_num_heads=4,
    attn_pool_mlp_ratio=4.0,
    norm_layer=partial(LayerNorm, eps=1e-5),
    mlp_ratio=2.0,
)
fastvit = partial(FastVit, num_classes=D, lkc_use_act=True)
positions = partial(RepConditionalPosEnc, spatial_shape=(7, 7))


def hybrid(backbone, **more):
    return VisionTransformer(
        img_size=64,
        patch_size=1,
        embed_dim=32,
        depth=2,
        num_heads=2,
        embed_layer=partial(HybridEmbed, backbone=backbone, proj=False),
        **more,
    )


TOWERS = {
    "eva": lambda: (Outer(eva(mlp_ratio=2.0, global_pool="token"), 0), 32),
    "eva02": lambda: (
        Outer(
            eva(
                mlp_ratio=1.5,
                qkv_fused=False,
                swiglu_mlp=True,
                scale_mlp=True,
                scale_attn_inner=True,
                use_rot_pos_emb=True,
                ref_feat_shape=(16, 16),
                global_pool="token",
            ),
            0,
        ),
        32,
    ),
    "eva02_e": lambda: (Outer(eva(mlp_ratio=2.0, use_post_norm=True, global_pool="token"), 0), 32),
    "pe": lambda: (Outer(pe(rope_grid_offset=1.0), 0), 32),
    "pe_g": lambda: (Outer(pe(class_token=False), 0), 32),
    "mci": lambda: (
        Outer(
            hybrid(
                ConvStem(
                    channels=(8, 8, 32), stride=(4, 2, 2), kernel_size=(4, 2, 2), padding=0, act_layer=torch.nn.GELU
                ),
                mlp_ratio=2.0,
                no_embed_class=True,
                num_classes=D,
            ),
            0,
        ),
        64,
    ),
    "vitamin": lambda: (
        Outer(
            hybrid(
                MbConvStages(
                    VitCfg(
                        embed_dim=(8, 16, 32),
                        depths=(2, 4, 1),
                        stem_width=8,
                        conv_cfg=VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6),
                        head_type="1d",
                    )
                ),
                mlp_layer=GeGluMlp,
                mlp_ratio=2.0,
                class_token=False,
                global_pool="avg",
                num_classes=0,
            ),
            32,
        ),
        64,
    ),
    "convnext": lambda: (Outer(ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 16, 32, 64), num_classes=0), 64), 64),
    "convnext_mlp": lambda: (
        Outer(ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 16, 32, 64), num_classes=0), 64, mlp=True),
        64,
    ),
    "fastvit": lambda: (
        Outer(
            fastvit(
                layers=(1, 1, 2, 1),
                embed_dims=(8, 16, 32, 64),
                mlp_ratios=(3,) * 4,
                se_downsamples=(False, False, True, True),
                token_mixers=("repmixer",) * 3 + ("attention",),
                pos_embs=(None,) * 3 + (positions,),
            ),
            0,
        ),
        64,
    ),
    "fastvit_5": lambda: (
        Outer(
            fastvit(
                layers=(1, 1, 2, 1, 1),
                embed_dims=(8, 16, 32, 64, 128),
                mlp_ratios=(4,) * 5,
                downsamples=(False,) + (True,) * 4,
                se_downsamples=(False,) * 5,
                token_mixers=("repmixer",) * 3 + ("attention",) * 2,
                pos_embs=(None,) * 3 + (positions,) * 2,
                stem_use_scale_branch=False,
                norm_layer=partial(LayerNorm2d, eps=1e-5),
            ),
            0,
        ),
        64,
    ),
}


@torch.inference_mode()
def main():
    print("/* Made by tools/dump_towers.py. */")
    for name, make in TOWERS.items():
        model, size = make()
        model.eval()
        state = {
            k: v if k.endswith("num_batches_tracked") else weight("visual." + k, tuple(v.shape))
            for k, v in model.state_dict().items()
        }
        model.load_state_dict(state)
        pixels = torch.from_numpy(uniform("pixels", N * 3 * size * size).reshape(N, 3, size, size))
        y = model.double()(pixels.double()).flatten().tolist()
        print(f"static const float {name}_golden[] = {{")
        for i in range(0, len(y), D):
            print("    " + ", ".join(f"{v:.8g}f" if "." in f"{v:.8g}" else f"{v:.8g}.0f" for v in y[i : i + D]) + ",")
        print("};")


if __name__ == "__main__":
    main()
