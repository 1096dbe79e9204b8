"""libclip through ctypes, for the scripts of tools/ and bench/: the part of clip.h that they need.

    lib = libclip.load("build/src/api/libclip.so")
    model = lib.model("checkpoint", towers=libclip.BOTH)
    ctx = model.context(threads=2)
    ctx.encode_pixels(pixels)           [N, 3, S, S] f32 -> [N, D] f32
    ctx.encode_tokens(list_of_ids)      ragged -> [N, D] f32
    model.tokenize("a cat")             -> ids

Needs: numpy.
"""
import ctypes as c

import numpy as np

IMAGE, TEXT, BOTH = 1, 2, 3

WARN = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p)
F32 = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
I32 = np.ctypeslib.ndpointer(np.int32, flags="C_CONTIGUOUS")


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 1024)]


class LoadOptions(c.Structure):
    _fields_ = [("towers", c.c_int), ("mapped", c.c_int), ("threads", c.c_int), ("isa", c.c_char_p), ("warn", WARN),
                ("warn_user", c.c_void_p), ("prefix", c.c_char_p), ("precision", c.c_char_p),
                ("image_size", c.c_int)]


class ModelInfo(c.Structure):
    _fields_ = [(s, c.c_char_p)
                for s in ("path", "layout", "weights_file", "prefix", "weights_type", "tokenizer", "isa", "precision")
                ] + [
                    ("towers", c.c_int),
                    ("embed_dim", c.c_int),
                    ("logit_scale", c.c_float), ("logit_bias", c.c_float), ("score", c.c_char_p),
                    ("parameters", c.c_int64),
                    ("image_parameters", c.c_int64),
                    ("text_parameters", c.c_int64),
                    ("vision_kind", c.c_char_p),
                    ("image_size", c.c_int),
                    ("vision_width", c.c_int),
                    ("vision_heads", c.c_int),
                    ("stored_image_size", c.c_int),
                    ("patch_size", c.c_int),
                    ("vision_layers", c.c_int * 5),
                    ("vision_tokens", c.c_int),
                    ("vision_activation", c.c_char_p),
                    ("mean", c.c_float * 3),
                    ("std", c.c_float * 3),
                    ("interpolation", c.c_char_p),
                    ("resize_mode", c.c_char_p),
                    ("background", c.c_int),
                    ("context_length", c.c_int),
                    ("vocab_size", c.c_int),
                    ("text_width", c.c_int),
                    ("text_heads", c.c_int),
                    ("text_layers", c.c_int),
                    ("text_tokens", c.c_int),
                    ("text_activation", c.c_char_p),
                    ("pooling", c.c_char_p),
                    ("pad_id", c.c_int),
                    ("language", c.c_char_p),
                    ("unread", c.c_char_p),
                ]


PROTOTYPES = {
    "clip_model_load": (c.c_int, [c.c_char_p, c.POINTER(LoadOptions), c.POINTER(c.c_void_p), c.POINTER(Error)]),
    "clip_model_free": (None, [c.c_void_p]),
    "clip_model_get_info": (None, [c.c_void_p, c.POINTER(ModelInfo)]),
    "clip_context_new": (c.c_int, [c.c_void_p, c.c_int, c.POINTER(c.c_void_p)]),
    "clip_context_free": (None, [c.c_void_p]),
    "clip_encode_pixels": (c.c_int, [c.c_void_p, F32, c.c_int, F32]),
    "clip_encode_tokens": (c.c_int, [c.c_void_p, I32, I32, c.c_int, F32]),
    "clip_tokenize": (c.c_int, [c.c_void_p, c.c_char_p, I32, c.POINTER(c.c_int)]),
    "clip_status_message": (c.c_char_p, [c.c_int]),
    "clip_version": (c.c_char_p, []),
    "clip_build_info": (c.c_char_p, []),
    "clip_precision_at": (c.c_char_p, [c.c_int]),
}


class Context:
    def __init__(self, model, threads):
        self.model, self.lib, self.p = model, model.lib, c.c_void_p()
        self.lib.check(self.lib.clip_context_new(model.p, threads, c.byref(self.p)))

    def __del__(self):
        if self.p:
            self.lib.clip_context_free(self.p)

    def encode_pixels(self, pixels):
        out = np.empty((len(pixels), self.model.info.embed_dim), np.float32)
        self.lib.check(self.lib.clip_encode_pixels(self.p, pixels, len(pixels), out))
        return out

    def encode_tokens(self, rows):
        ids = np.concatenate(rows).astype(np.int32)
        offsets = np.cumsum([0] + [len(r) for r in rows]).astype(np.int32)
        out = np.empty((len(rows), self.model.info.embed_dim), np.float32)
        self.lib.check(self.lib.clip_encode_tokens(self.p, ids, offsets, len(rows), out))
        return out


class Model:
    def __init__(self, lib, path, towers, isa, precision, image_size, threads):
        self.lib, self.p, err = lib, c.c_void_p(), Error()
        opt = LoadOptions(towers=towers, threads=threads, isa=isa and isa.encode(),
                          precision=precision and precision.encode(), image_size=image_size)
        if lib.clip_model_load(str(path).encode(), c.byref(opt), c.byref(self.p), c.byref(err)) < 0:
            raise RuntimeError(err.message.decode())
        self.info = ModelInfo()
        lib.clip_model_get_info(self.p, c.byref(self.info))

    def __del__(self):
        if self.p:
            self.lib.clip_model_free(self.p)

    def context(self, threads=0):
        return Context(self, threads)

    def tokenize(self, text):
        ids, n = np.empty(self.info.context_length, np.int32), c.c_int()
        self.lib.check(self.lib.clip_tokenize(self.p, text.encode(), ids, c.byref(n)))
        return ids[: n.value]


class Library:
    def __init__(self, path):
        so = c.CDLL(str(path))
        for name, (result, arguments) in PROTOTYPES.items():
            function = getattr(so, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def check(self, status):
        if status < 0:
            raise RuntimeError(self.clip_status_message(status).decode())

    def model(self, path, towers=BOTH, isa=None, precision=None, image_size=0, threads=0):
        return Model(self, path, towers, isa, precision, image_size, threads)

    def precisions(self):
        """Those that `precision` can name, on some machine."""
        found = []
        while name := self.clip_precision_at(len(found)):
            found.append(name.decode())
        return found


def load(path):
    return Library(path)
