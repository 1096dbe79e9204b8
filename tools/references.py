"""The reference programs, OpenCLIP and transformers in f32, behind one interface.

    ref = references.load(directory)
    ref.encode_image(ref.pixels(pictures))      [n, D] f32, unit length; pictures are PIL's
    ref.encode_text(ref.ids(texts))             ids: a list of lists, the model's input unpadded

A module for the other scripts.
Needs: torch, open_clip_torch, transformers, safetensors.
"""
import contextlib
import json
import logging
import re
import unicodedata
from pathlib import Path

import numpy as np
import open_clip
import torch
import transformers
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import load_file
from transformers import AltCLIPModel, ChineseCLIPModel, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from make_checkpoints import OWN_BERT, OWN_VISION, OwnChineseCLIP

OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")


def padded(ids, length):
    """Zeros behind each text: attention is causal, so no row that is read sees them, and no pooling
    looks for 0."""
    out = torch.zeros(len(ids), length, dtype=torch.long)
    for row, i in zip(out, ids):
        row[: len(i)] = torch.tensor(i)
    return out


def on_white(path):
    """A picture as `clip embed --background white` sees it. Peers drop transparency, each in its
    own way."""
    picture = Image.open(path).convert("RGBA")
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def unit(x):
    return torch.nn.functional.normalize(x, dim=-1).numpy()


class OpenClip:
    def __init__(self, model, preprocess, tokenizer):
        self.model, self.preprocess, self.tokenizer = model.eval(), preprocess, tokenizer
        self.image_size, self.context_length = model.visual.image_size, model.context_length
        if isinstance(self.image_size, tuple):
            self.image_size = self.image_size[0]
        self.vocab_size = (model.text if isinstance(model, open_clip.CoCa) else model).vocab_size
        self.logit_scale = model.logit_scale.exp().item()

    def pixels(self, pictures):
        return torch.stack([self.preprocess(p) for p in pictures])

    def ids(self, texts):
        """SimpleTokenizer's rows end with the end token and zeros."""
        rows = self.tokenizer(texts).tolist()
        return [r[: max(i for i, t in enumerate(r) if t == self.tokenizer.eot_token_id) + 1] for r in rows]

    @torch.inference_mode()
    def encode_image(self, pixels):
        return unit(self.model.encode_image(pixels))

    @torch.inference_mode()
    def encode_text(self, ids):
        return unit(self.model.encode_text(padded(ids, self.context_length)))


class Masked:
    """A model that masks the padding of its texts. It has no tokenizer here."""

    def __init__(self, model, image_size, context_length, vocab_size, pad):
        self.model, self.image_size, self.context_length = model.eval(), image_size, context_length
        self.vocab_size, self.logit_scale, self.pad = vocab_size, model.logit_scale.exp().item(), pad
        self.special = 3  # the lowest ids are special

    @torch.inference_mode()
    def encode_image(self, pixels):
        return unit(self.model.encode_image(pixels))

    @torch.inference_mode()
    def encode_text(self, ids):
        rows = [i + [self.pad] * (self.context_length - len(i)) for i in ids]
        return unit(self.model.encode_text(torch.tensor(rows)))


class HuggingFace:
    def __init__(self, model, preprocess, tokenizer):
        self.model, self.preprocess, self.tokenizer = model.eval(), preprocess, tokenizer
        text = model.config.text_config
        self.image_size, self.context_length = model.config.vision_config.image_size, text.max_position_embeddings
        self.vocab_size, self.logit_scale = text.vocab_size, model.logit_scale.exp().item()

    def pixels(self, pictures):
        return torch.from_numpy(np.stack(self.preprocess([p.convert("RGB") for p in pictures]).pixel_values))

    def ids(self, texts):
        return self.tokenizer(texts, truncation=True, max_length=self.context_length).input_ids

    @torch.inference_mode()
    def encode_image(self, pixels):
        return unit(self.model.get_image_features(pixels).pooler_output)

    @torch.inference_mode()
    def encode_text(self, ids):
        return unit(self.model.get_text_features(padded(ids, self.context_length)).pooler_output)


def simple_tokenizer(directory, context_length):
    """Over the directory's own merges. SimpleTokenizer reads only one format; with others, texts
    are cleaned as in transformers."""
    bpe = directory / "bpe_simple_vocab_16e6.txt.gz"
    if bpe.exists():
        return SimpleTokenizer(str(bpe), context_length=context_length)
    if (directory / "merges.txt").exists():
        lines = (directory / "merges.txt").read_text(encoding="utf-8").split("\n")[1:-1]
    else:
        merges = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]
        lines = [m if isinstance(m, str) else " ".join(m) for m in merges]
    tokenizer = SimpleTokenizer(context_length=context_length)
    if len(lines) + 514 != len(tokenizer.encoder):
        tokenizer.clean_fn = lambda text: re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip().lower()
    return retrained(tokenizer, [tuple(line.split()) for line in lines])


def retrained(tokenizer, merges):
    letters = list(tokenizer.byte_encoder.values())
    words = letters + [c + "</w>" for c in letters] + ["".join(m)
                                                       for m in merges] + ["<start_of_text>", "<end_of_text>"]
    tokenizer.encoder = {w: i for i, w in enumerate(words)}
    tokenizer.bpe_ranks = {m: i for i, m in enumerate(merges)}
    tokenizer.sot_token_id, tokenizer.eot_token_id = len(words) - 2, len(words) - 1
    return tokenizer


def load_openclip(directory):
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{directory}", precision="fp32")
    return OpenClip(model, preprocess, simple_tokenizer(directory, model.context_length))


def load_openai(directory):
    """A bare file: sizes come from its shapes. QuickGELU if OpenAI's extra tensors are there."""
    state = load_file(directory / "model.safetensors")
    quick = any(k in state for k in OPENAI_EXTRAS)
    model = open_clip.model.build_model_from_openai_state_dict(dict(state), quick_gelu=quick,
                                                               cast_dtype=torch.float32).float()
    preprocess = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=model.visual.image_size),
                                                        is_train=False)
    return OpenClip(model, preprocess, simple_tokenizer(directory, model.context_length))


def load_longclip(directory, state, prefix):
    """Long-CLIP's encode_text() adds positional_embedding * mask1 + positional_embedding_res * mask2
    (beichenzbc/Long-CLIP, model_longclip.py)."""
    config = json.loads((directory / "open_clip_config.json").read_text())["model_cfg"]
    state = {k.removeprefix(prefix): v.float() for k, v in state.items()}
    n = len(state["positional_embedding"])
    mask1, mask2 = torch.zeros(n, 1), torch.zeros(n, 1)
    mask1[:20], mask2[20:] = 1, 1
    state[
        "positional_embedding"] = state["positional_embedding"] * mask1 + state.pop("positional_embedding_res") * mask2
    model = open_clip.CLIP(**config)
    model.load_state_dict(state)
    preprocess = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=model.visual.image_size),
                                                        is_train=False)
    return OpenClip(model, preprocess, simple_tokenizer(directory, model.context_length))


def load_huggingface(directory):
    model = CLIPModel.from_pretrained(directory, dtype=torch.float32)
    return HuggingFace(model, CLIPImageProcessorPil.from_pretrained(directory),
                       CLIPTokenizer.from_pretrained(directory))


def load_openclip_hf(directory):
    with contextlib.chdir(directory):  # the text encoder's configuration is in a directory beside it
        model, _ = open_clip.create_model_from_pretrained("local-dir:.", precision="fp32")
    config = model.text.config
    return Masked(model, 32, 16, config.vocab_size, config.pad_token_id)


def load_chinese_clip(directory):
    model = ChineseCLIPModel.from_pretrained(directory, dtype=torch.float32)
    model.encode_image = lambda x: model.get_image_features(x).pooler_output
    model.encode_text = lambda x: model.get_text_features(x, attention_mask=(x != 0).long()).pooler_output
    text = model.config.text_config
    return Masked(model, model.config.vision_config.image_size, text.max_position_embeddings, text.vocab_size, 0)


def load_altclip(directory):
    model = AltCLIPModel.from_pretrained(directory, dtype=torch.float32)
    model.encode_image = lambda x: model.get_image_features(x).pooler_output
    model.encode_text = lambda x: model.get_text_features(x, attention_mask=(x != 1).long()).pooler_output
    return Masked(model, model.config.vision_config.image_size, 77, model.config.text_config.vocab_size, 1)


def naflex_picture(rows, columns, patches, most):
    """As clip_encode_pixels() takes it: rows, columns, the patches, and zeros."""
    out = np.zeros(2 + most * patches.shape[1], np.float32)
    out[:2] = rows, columns
    out[2: 2 + patches.size] = patches.ravel()
    return out


def naflex_inputs(pixels, patch):
    """The inverse: what Siglip2Model takes."""
    pixels = torch.as_tensor(pixels)
    shapes = pixels[:, :2].long()
    values = pixels[:, 2:].reshape(len(pixels), -1, 3 * patch * patch)
    mask = torch.arange(values.shape[1])[None] < shapes.prod(1, keepdim=True)
    return {"pixel_values": values, "spatial_shapes": shapes, "pixel_attention_mask": mask.int()}


class NaFlex(Masked):
    """SigLIP 2 of any shape. Padding takes part in its texts."""

    def __init__(self, directory):
        model = transformers.Siglip2Model.from_pretrained(directory, dtype=torch.float32)
        text, patch = model.config.text_config, model.config.vision_config.patch_size
        model.encode_image = lambda x: model.get_image_features(**naflex_inputs(x, patch)).pooler_output
        model.encode_text = lambda x: model.get_text_features(x).pooler_output
        super().__init__(model, 0, text.max_position_embeddings, text.vocab_size, text.pad_token_id)
        self.preprocess = transformers.Siglip2ImageProcessorPil.from_pretrained(directory)

    def pixels(self, pictures):
        made = self.preprocess([p.convert("RGB") for p in pictures], return_tensors="np")
        most = self.preprocess.max_num_patches
        return torch.from_numpy(np.stack([naflex_picture(h, w, v[: h * w], most)
                                          for v, (h, w) in zip(made.pixel_values, made.spatial_shapes)]))


# Models of transformers: the class, the part of it that is a CLIP, and whether that masks the padding of texts.
OTHERS = {
    "metaclip_2": ("MetaClip2Model", None, False),
    "clipseg": ("CLIPSegForImageSegmentation", "clip", False),
    "owlvit": ("OwlViTForObjectDetection", "owlvit", False),
    "vision-text-dual-encoder": ("VisionTextDualEncoderModel", None, True),
    "flava": ("FlavaModel", None, True),
    "aimv2": ("Aimv2Model", None, True),  # without a mask it is not causal
}


def load_other(directory, kind):
    name, part, masks = OTHERS[kind]
    model = getattr(transformers, name).from_pretrained(directory, dtype=torch.float32)
    model = getattr(model, part) if part else model
    text = model.config.text_config
    vision = getattr(model.config, "vision_config", None) or model.config.image_config
    pad = getattr(text, "pad_token_id", None) or 0 if masks else 0
    first = (lambda x: x[:, 0]) if kind == "flava" else lambda x: x
    mask = (lambda x: {"attention_mask": (x != pad).long()}) if masks else lambda x: {}
    model.encode_image = lambda x: first(model.get_image_features(x).pooler_output)
    model.encode_text = lambda x: first(model.get_text_features(x, **mask(x)).pooler_output)
    pictures = directory / "preprocessor_config.json"
    size = json.loads(pictures.read_text())["size"]["height"] if pictures.exists() else vision.image_size
    context = text.max_position_embeddings - (pad + 1 if text.model_type == "xlm-roberta" else 0)
    ref = Masked(model, size, context, text.vocab_size, pad)
    ref.special = 3 if masks else 0
    return ref


def load_own_chinese_clip(state):
    model = OwnChineseCLIP(OWN_VISION, OWN_BERT, 40)
    model.load_state_dict({k.removeprefix("module."): v.float() for k, v in state.items()})
    return Masked(model, 32, OWN_BERT["max_position_embeddings"], OWN_BERT["vocab_size"], 0)


def load(directory):
    directory = Path(directory)
    logging.disable(logging.WARNING)
    transformers.logging.disable_progress_bar()
    if (directory / "open_clip_config.json").exists():
        state = load_file(directory / "open_clip_model.safetensors")
        prefix = next(
            (k.removesuffix("positional_embedding_res") for k in state if k.endswith("positional_embedding_res")), None)
        if prefix is not None:
            return load_longclip(directory, state, prefix)
        if (directory / "text").exists():
            return load_openclip_hf(directory)
        return load_openclip(directory)
    if (directory / "config.json").exists():
        kind = json.loads((directory / "config.json").read_text()).get("model_type")
        if kind in OTHERS:
            return load_other(directory, kind)
        others = {"chinese_clip": load_chinese_clip, "altclip": load_altclip, "siglip2": NaFlex}
        return others.get(kind, load_huggingface)(directory)
    state = load_file(directory / "model.safetensors")
    if "module.bert.embeddings.word_embeddings.weight" in state:
        return load_own_chinese_clip(state)
    return load_openai(directory)
