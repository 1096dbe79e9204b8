#!/usr/bin/env python3
"""Which models load, and do their embeddings agree with the packages they come from?

    parity_families.py --lib build/src/api/libclip.so --work DIRECTORY [--results FILE]
                       [--image-size N] [NAME...]

NAME: a configuration of OpenCLIP's ("ViT-B-16-SigLIP2"; "MobileCLIP-S1+folded": its branches
joined), or "hf:" and a model type of transformers ("hf:siglip"), or "own:" and files as the authors
of a model name their tensors ("own:chinese_clip"). Without a NAME, all of them. Each model has the
real configuration, with fewer layers and a smaller vocabulary where the configuration allows it,
and lively random weights. Text encoders of transformers are small as well, with a configuration of
their own. "full:" before a name of OpenCLIP's keeps its depth and vocabulary; beside a text encoder
of transformers, only that encoder's. --image-size gives pictures that size, on both sides. Pictures
are noise, texts are random ids. A line for each: loaded, the smallest cosine of pictures and of
texts.
Needs: torch, open_clip_torch, timm, transformers, safetensors.
"""
import argparse
import copy
import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import timm.utils
import torch
from safetensors.torch import load_file, save_file

import libclip
from make_checkpoints import PREPROCESS, OwnChineseCLIP, save_altclip, settle_batchnorm, smooth_pictures

SIZE = 0  # of pictures; 0: the models' own
VOCABULARY = 1200  # ids; the rows of a table are all alike
LAYERS = 3
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def is_embedding(name):
    return any(s in name for s in ("embed", "latent", "probe", "cls")) and "proj" not in name and "patch" not in name


@torch.no_grad()
def enliven(model, seed):
    """As in make_checkpoints.py, for towers of any kind."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if "logit" in name:
            p.fill_(-9.5 if "bias" in name else 4.2)
        elif "gamma" in name:  # layer scales
            p.copy_(0.2 + 0.04 * torch.randn(p.shape, generator=g))
        elif p.ndim >= 2 and is_embedding(name):
            p.copy_(torch.randn(p.shape, generator=g) * 0.4)
        elif p.ndim >= 2:
            fan_in = p.shape[0] if name in ("text_projection", "visual.proj", "text.text_projection") else p[0].numel()
            scale = 1.3 if any(s in name for s in ("in_proj", "q_proj", "k_proj", "qkv", "query", "key")) else 0.8
            p.copy_(torch.randn(p.shape, generator=g) * scale * fan_in**-0.5)
        elif name.endswith("bias") or ("embed" in name and "norm" not in name.lower()):
            p.copy_(torch.randn(p.shape, generator=g) * 0.1)
        else:
            p.copy_(1 + 0.2 * torch.randn(p.shape, generator=g))
    for name, b in model.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(torch.randn(b.shape, generator=g) * 0.1)
        elif name.endswith("running_var"):
            b.copy_((1 + 0.2 * torch.randn(b.shape, generator=g)).abs() + 0.1)
    return model


def random_ids(n, vocabulary, context, end, generator):
    """Texts of all lengths, each with `end` as its last id."""
    lengths = torch.randint(2, context + 1, (n,), generator=generator).tolist()
    return [torch.randint(5, vocabulary - 2, (k - 1,), generator=generator).tolist() + [end] for k in lengths]


def unit(x):
    return torch.nn.functional.normalize(x, dim=-1).float().numpy()


def resize(model, at_the_size):
    """As create_model(force_image_size=...). OpenCLIP cannot load its ResNets so: their positions
    are resampled here as those of its ViTs."""
    visual = model.visual
    if hasattr(visual, "trunk"):
        visual.set_input_size(SIZE)
        return
    other = at_the_size().eval()
    state = model.state_dict()
    if hasattr(visual, "attnpool"):
        side = SIZE // 32
        table = {"visual.positional_embedding": state["visual.attnpool.positional_embedding"]}
        other.visual.grid_size = (side, side)
        open_clip.model.resize_pos_embed(table, other)
        state["visual.attnpool.positional_embedding"] = table["visual.positional_embedding"]
    open_clip.model.resize_pos_embed(state, other)
    other.load_state_dict(state)
    model.visual = other.visual


class Peer:
    """A model of a package: its directory is written, and it embeds."""

    def __init__(self, model, size, context, vocabulary, end, pad, image, text):
        self.model, self.size, self.context = model, size, context
        self.vocabulary, self.end, self.pad, self.image, self.text = vocabulary, end, pad, image, text


def hf_configuration(name):
    """The text encoders that OpenCLIP takes from the hub, where their configurations are."""
    from transformers import BertConfig, M2M100Config, MT5Config, RobertaConfig, XLMRobertaConfig
    roberta = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    large = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    known = {
        "sentence-transformers/LaBSE": lambda: BertConfig(vocab_size=501153),
        "roberta-base": lambda: RobertaConfig(vocab_size=50265, **roberta),
        "xlm-roberta-base": lambda: XLMRobertaConfig(vocab_size=250002, **roberta),
        "xlm-roberta-large": lambda: XLMRobertaConfig(vocab_size=250002, **roberta, **large),
        "facebook/nllb-200-distilled-600M": lambda: M2M100Config(vocab_size=256206),
        "facebook/nllb-200-distilled-1.3B": lambda: M2M100Config(
            vocab_size=256206, encoder_layers=24, encoder_ffn_dim=8192),
        "google/mt5-base": lambda: MT5Config(d_model=768, d_ff=2048, num_layers=12, num_heads=12, vocab_size=250112),
        "google/mt5-xl": lambda: MT5Config(d_model=2048, d_ff=5120, num_layers=24, num_heads=32, vocab_size=250112),
    }
    return known[name]()


def make_openclip(cfg, kinds):
    """CLIP, CustomTextCLIP or CoCa, as OpenCLIP chooses. CoCa's decoder is not read, so one layer of it will do."""
    parts = copy.deepcopy(cfg)
    if "multimodal_cfg" in kinds:
        kinds["multimodal_cfg"] |= {"layers": 1, "vocab_size": VOCABULARY}
        return open_clip.CoCa(**parts, multimodal_cfg=dict(kinds["multimodal_cfg"])).eval()
    custom = kinds.get("custom_text") or "hf_model_name" in cfg["text_cfg"]
    return (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**parts).eval()


def hf_text(cfg, out, full):
    """The peer with a text encoder of transformers."""
    text = cfg["text_cfg"]
    config = hf_configuration(text["hf_model_name"])
    if config.is_encoder_decoder:
        config.decoder_layers = config.num_decoder_layers = 1
    if not full:  # OpenCLIP takes a directory with a config.json as well
        config.vocab_size = VOCABULARY
        for key in ("num_layers", "encoder_layers", "num_hidden_layers"):
            if hasattr(config, key):
                setattr(config, key, LAYERS)
        config.save_pretrained(out / "text")
        text["hf_model_name"] = "text"
    text["hf_model_pretrained"] = False
    from_hub = open_clip.hf_model.AutoConfig
    open_clip.hf_model.AutoConfig = type("", (), {"from_pretrained": staticmethod(lambda name: config)})
    kinds = {k: cfg.pop(k) for k in ("custom_text", "multimodal_cfg") if k in cfg}
    model = enliven(make_openclip(cfg, kinds), 7)
    open_clip.hf_model.AutoConfig = from_hub
    cfg.update(kinds)
    return model, config


def openclip_hf(cfg, out, full):
    model, config = hf_text(cfg, out, full)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": PREPROCESS}))
    size = cfg["vision_cfg"]["image_size"]
    return Peer(model, size, 77, config.vocab_size, 2, config.pad_token_id, model.encode_image, model.encode_text)


def openclip(name, out):
    name, _, folded = name.partition("+")
    cfg = copy.deepcopy(open_clip.get_model_config(name.removeprefix("full:")))
    vision, text = cfg["vision_cfg"], cfg["text_cfg"]
    if "hf_model_name" in text:
        if "timm_model_name" not in vision:
            vision["layers"] = LAYERS
        return openclip_hf(cfg, out, name.startswith("full:"))
    if not name.startswith("full:"):
        if "timm_model_name" not in vision and isinstance(vision["layers"], int):
            vision["layers"] = LAYERS
        text["layers"], text["vocab_size"] = LAYERS, VOCABULARY
    kinds = {k: cfg.pop(k) for k in ("custom_text", "multimodal_cfg") if k in cfg}
    model = enliven(make_openclip(cfg, kinds), 7)
    if folded:
        model.visual.trunk = timm.utils.reparameterize_model(model.visual.trunk)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, out / "open_clip_model.safetensors")
    if SIZE:
        resize(model, lambda: make_openclip(cfg | {"vision_cfg": vision | {"image_size": SIZE}}, kinds))
    preprocess = HALF if "SigLIP" in name else PREPROCESS
    (out / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg | kinds, "preprocess_cfg": preprocess}))
    size = vision.get("image_size", 224)
    vocabulary = text.get("vocab_size", 49408)
    end = text.get("eos_id", 2) if text.get("pool_type") == "eos" else vocabulary - 1
    return Peer(model, size if isinstance(size, int) else size[0], text.get("context_length", 77), vocabulary, end, 0,
                model.encode_image, model.encode_text)


def hf_pictures(model, x):
    return model.get_image_features(x, interpolate_pos_encoding=SIZE > 0).pooler_output


def clip(out):
    from transformers import CLIPConfig, CLIPModel
    config = CLIPConfig(text_config={"vocab_size": VOCABULARY, "num_hidden_layers": LAYERS,
                                     "eos_token_id": VOCABULARY - 1},
                        vision_config={"num_hidden_layers": LAYERS})
    model = enliven(CLIPModel(config).eval(), 7)
    model.save_pretrained(out)
    return Peer(model, 224, 77, VOCABULARY, VOCABULARY - 1, 0,
                lambda x: hf_pictures(model, x),
                lambda t: model.get_text_features(t).pooler_output)


def siglip(out):
    from transformers import SiglipConfig, SiglipModel
    config = SiglipConfig(text_config={"vocab_size": VOCABULARY, "num_hidden_layers": LAYERS},
                          vision_config={"num_hidden_layers": LAYERS})
    model = enliven(SiglipModel(config).eval(), 7)
    model.save_pretrained(out)
    return Peer(model, 224, 64, VOCABULARY, 1, 1,
                lambda x: hf_pictures(model, x),
                lambda t: model.get_text_features(t).pooler_output)


def chinese_clip(out):
    from transformers import ChineseCLIPConfig, ChineseCLIPModel
    config = ChineseCLIPConfig(text_config={"vocab_size": VOCABULARY, "num_hidden_layers": LAYERS},
                               vision_config={"num_hidden_layers": LAYERS, "patch_size": 16})
    model = enliven(ChineseCLIPModel(config).eval(), 7)
    model.save_pretrained(out)
    return Peer(model, 224, 52, VOCABULARY, 102, 0, lambda x: hf_pictures(model, x),
                lambda t: model.get_text_features(t, attention_mask=(t != 0).long()).pooler_output)


def altclip(out):
    from transformers import AltCLIPConfig, AltCLIPModel
    config = AltCLIPConfig(text_config={"vocab_size": VOCABULARY, "num_hidden_layers": LAYERS},
                           vision_config={"num_hidden_layers": LAYERS}, projection_dim=512)
    model = enliven(AltCLIPModel(config).eval(), 7)
    save_altclip(model, out)
    return Peer(model, 224, 77, VOCABULARY, 2, 1, lambda x: hf_pictures(model, x),
                lambda t: model.get_text_features(t, attention_mask=(t != 1).long()).pooler_output)


class MultilingualCLIP(torch.nn.Module):
    """As multilingual_clip names its tensors."""

    def __init__(self, config, width, pad):
        from transformers import AutoModel
        super().__init__()
        self.transformer, self.pad = AutoModel.from_config(config), pad
        self.LinearTransformation = torch.nn.Linear(config.hidden_size, width)

    def encode_text(self, ids):
        mask = (ids != self.pad).long()
        x = self.transformer(input_ids=ids, attention_mask=mask)[0]
        return self.LinearTransformation((x * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1)[:, None])


def mclip(base, pad, out):
    config = hf_configuration(base)
    config.vocab_size, config.num_hidden_layers = VOCABULARY, LAYERS
    config.save_pretrained(out / "text")
    model = enliven(MultilingualCLIP(config, 640, pad).eval(), 7)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps({"modelBase": "text", "model_type": "M-CLIP", "numDims": 640,
                                                 "transformerDimensions": config.hidden_size}))
    return Peer(model, 0, 512, VOCABULARY, 2, pad, None, model.encode_text)


def own_chinese_clip(vision, out):
    bert = {"vocab_size": VOCABULARY, "num_hidden_layers": LAYERS}
    model = enliven(OwnChineseCLIP(vision, bert).eval(), 7)
    if hasattr(model.visual, "attnpool"):
        settle_batchnorm(model.visual, torch.Generator().manual_seed(1))
    save_file({"module." + k: v.contiguous() for k, v in model.state_dict().items()}, out / "model.safetensors")
    return Peer(model, 224, 52, VOCABULARY, 102, 0, model.visual, model.encode_text)


def transformers_model(name, size, context, end, pad, text=None, vision=None, top=None, masked=False):
    """A model of transformers with its default configuration, apart from depth and vocabulary.

    masked: texts come with the mask of their padding."""

    def make(out):
        import transformers
        depth = {"num_hidden_layers": LAYERS}
        config = getattr(transformers, name + "Config")(
            text_config=depth | {"vocab_size": VOCABULARY} | (text or {}), vision_config=depth | (vision or {}),
            **(top or {}))
        model = enliven(getattr(transformers, name + "Model")(config).eval(), 7)
        model.save_pretrained(out)
        kept = (lambda t: {"attention_mask": (t != pad).long()}) if masked else lambda t: {}
        return Peer(model, size, context, VOCABULARY, end, pad, lambda x: model.get_image_features(x).pooler_output,
                    lambda t: model.get_text_features(t, **kept(t)).pooler_output)

    return make


def dual_encoder(vision, text, pad, out):
    """VisionTextDualEncoder of any two encoders, by the names of their configurations."""
    import transformers
    vision = getattr(transformers, vision)(num_hidden_layers=LAYERS)
    text = getattr(transformers, text)(num_hidden_layers=LAYERS, vocab_size=VOCABULARY)
    config = transformers.VisionTextDualEncoderConfig(vision_config=vision.to_dict(), text_config=text.to_dict())
    model = enliven(transformers.VisionTextDualEncoderModel(config).eval(), 7)
    model.save_pretrained(out)
    return Peer(model, 224, 128, VOCABULARY, 2, pad, lambda x: model.get_image_features(x).pooler_output,
                lambda t: model.get_text_features(t, attention_mask=(t != pad).long()).pooler_output)


def clip_alone(name, out):
    """CLIPTextModelWithProjection, CLIPVisionModelWithProjection: the other encoder is compared with nothing."""
    import transformers
    side = name.removeprefix("CLIP").lower()
    text = {"vocab_size": VOCABULARY, "eos_token_id": 2} if side == "text" else {}
    config = getattr(transformers, name + "Config")(num_hidden_layers=LAYERS, **text)
    model = enliven(getattr(transformers, name + "ModelWithProjection")(config).eval(), 7)
    model.save_pretrained(out)
    if side == "text":
        return Peer(model, 0, 77, VOCABULARY, 2, 1, None, lambda t: model(t).text_embeds)
    return Peer(model, 224, 0, VOCABULARY, 2, 1, lambda x: model(x).image_embeds, None)


def flava(out):
    """Its contrastive loss compares the first of the projected tokens."""
    from transformers import FlavaConfig, FlavaModel
    depth = {"num_hidden_layers": LAYERS}
    config = FlavaConfig(image_config=depth, text_config=depth | {"vocab_size": VOCABULARY},
                         multimodal_config={"num_hidden_layers": 1})
    model = enliven(FlavaModel(config).eval(), 7)
    model.save_pretrained(out)
    return Peer(model, 224, 77, VOCABULARY, 102, 0, lambda x: model.get_image_features(x).pooler_output[:, 0],
                lambda t: model.get_text_features(t, attention_mask=(t != 0).long()).pooler_output[:, 0])


def doubled(tensors):
    """A CLIP's image encoder within a dual encoder, as transformers 4 names it."""
    return {("vision_model." + k if k.startswith("vision_model.") else k): v for k, v in tensors.items()}


def dual_encoder_4(out):
    peer = dual_encoder("CLIPVisionConfig", "BertConfig", 0, out)
    save_file(doubled(load_file(out / "model.safetensors")), out / "model.safetensors")
    return peer


def altclip_5(out):
    peer = altclip(out)
    peer.model.save_pretrained(out)
    return peer


MODELS = {
    "hf:clip": clip,
    "hf:siglip": siglip,
    "hf:altclip-saved-again": altclip_5,
    "hf:vision-text-dual-encoder": lambda out: dual_encoder("ViTConfig", "BertConfig", 0, out),
    "hf:vision-text-dual-encoder-clip": lambda out: dual_encoder("CLIPVisionConfig", "XLMRobertaConfig", 1, out),
    "hf:vision-text-dual-encoder-4": dual_encoder_4,
    "hf:flava": flava,
    "hf:clip_text_model": lambda out: clip_alone("CLIPText", out),
    "hf:clip_vision_model": lambda out: clip_alone("CLIPVision", out),
    "hf:metaclip_2": transformers_model("MetaClip2", 224, 77, 2, 1, {"eos_token_id": 2}),
    "hf:clipseg": transformers_model("CLIPSeg", 224, 77, VOCABULARY - 1, 1, {"eos_token_id": VOCABULARY - 1}),
    "hf:owlvit": transformers_model("OwlViT", 768, 16, VOCABULARY - 1, 0),
    "hf:owlv2": transformers_model("Owlv2", 768, 16, VOCABULARY - 1, 0),
    "hf:aimv2": transformers_model("Aimv2", 224, 77, VOCABULARY - 1, 0, {"eos_token_id": VOCABULARY - 1}, masked=True),
    "hf:chinese_clip": chinese_clip,
    "hf:altclip": altclip,
    "own:M-CLIP": lambda out: mclip("xlm-roberta-large", 1, out),
    "own:M-CLIP-LaBSE": lambda out: mclip("sentence-transformers/LaBSE", 0, out),
    "own:chinese_clip": lambda out: own_chinese_clip({"layers": LAYERS, "patch_size": 16}, out),
    "own:chinese_clip-RN50": lambda out: own_chinese_clip(
        {"layers": [1, 1, 2, 1], "width": 64, "patch_size": None}, out),
}


def compare(lib, name, out):
    peer = MODELS[name](out) if name in MODELS else openclip(name, out)
    g = torch.Generator().manual_seed(3)
    pixels = smooth_pictures(4, SIZE or peer.size, g) if peer.image else None
    rows = random_ids(5, peer.vocabulary, peer.context or 2, peer.end, g)
    ids = torch.full((len(rows), peer.context or 2), peer.pad)
    for row, i in zip(ids, rows):
        row[: len(i)] = torch.tensor(i)
    with torch.inference_mode():
        images, texts = unit(peer.image(pixels)) if peer.image else None, unit(peer.text(ids)) if peer.text else None
    del peer
    model = lib.model(out, image_size=SIZE)
    ctx = model.context()
    if images is None:  # a text encoder alone
        images = ours = np.eye(1, dtype=np.float32)
    else:
        ours = ctx.encode_pixels(np.ascontiguousarray(pixels.numpy()))
    if texts is None:  # an image encoder alone
        texts = theirs = np.eye(1, dtype=np.float32)
    else:
        theirs = ctx.encode_tokens([np.array(r) for r in rows])
    return ((ours * images).sum(1).min(), (theirs * texts).sum(1).min(),
            abs(ours - images).max(), abs(theirs - texts).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path, help="append the lines to this file, and pass over the names in it")
    parser.add_argument("--image-size", type=int, default=0)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    global SIZE
    SIZE = args.image_size
    lib = libclip.load(args.lib)
    names = args.names or open_clip.list_models() + list(MODELS)
    if args.results and args.results.exists():
        done = {line.split()[0] for line in args.results.read_text().splitlines()}
        names = [name for name in names if name not in done]
    good = 0
    for name in names:
        out = args.work / name.replace(":", "-")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        try:
            image, text, image_error, text_error = compare(lib, name, out)
            fits = image >= 0.9999 and text >= 0.9999
            line = (f"{name:40} {'yes' if fits else 'NO':4} pictures {image:.7f} ({image_error:.1e})"
                    f" texts {text:.7f} ({text_error:.1e})")
            good += fits
        except Exception as e:
            line = f"{name:40} NO   {type(e).__name__}: {str(e)[:200]}"
        print(line, flush=True)
        if args.results:
            with args.results.open("a") as f:
                print(line, file=f)
        shutil.rmtree(out, ignore_errors=True)
    print(f"{good} of {len(names)}")


if __name__ == "__main__":
    main()
