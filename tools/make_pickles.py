#!/usr/bin/env python3
"""Write tests/model/pickles: small files of torch.save() and torch.jit.save(), and the same tensors as
safetensors.

    make_pickles.py [DIRECTORY]

twin.safetensors has the tensors of the .pt files. epoch_1.pt is tests/model/golden/tiny-vit-eos as OpenCLIP's
training saves it. hostile.pt calls os.system when Python opens it.
Needs: torch, safetensors, numpy.
"""
import argparse
import os
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

TESTS = Path(__file__).resolve().parent.parent / "tests/model"


def tensors():
    g = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(shape, generator=g)
    whole = draw(4, 6)
    return OrderedDict(weight=draw(3, 4), f16=draw(5).half(), bf16=draw(2, 3).bfloat16(), f64=draw(2).double(),
                       i64=torch.tensor(7), mask=torch.tensor([True, False]), empty=torch.zeros(0, 3),
                       turned=draw(3, 5).t(), swapped=draw(2, 3, 4).permute(2, 0, 1), part=whole[1:3],
                       columns=whole[:, 1:4], one=draw(6)[::6])


def tied(t):
    """The same tensor under two names, and one storage under two."""
    return OrderedDict(t, tied=t["weight"], row=t["weight"][1])


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/opened-by-a-pickle",)


class Inner(torch.nn.Module):
    def __init__(self, t):
        super().__init__()
        for k, v in t.items():
            self.register_buffer(k, v)

    def forward(self, x):
        return x


class Outer(torch.nn.Module):
    """Attributes that are not tensors, and modules within modules: "inner.0.weight"."""

    def __init__(self, t):
        super().__init__()
        self.size = 3
        self.inner = torch.nn.Sequential(Inner(t))
        self.scale = torch.nn.Parameter(t["weight"][0].clone())

    def forward(self, x):
        return self.inner(x) * self.size


def trained(state, tensor):
    """A checkpoint of OpenCLIP's training, with what stands beside the weights."""
    p = torch.nn.Parameter(tensor.clone().float())
    optimizer = torch.optim.AdamW([p])
    p.sum().backward()
    optimizer.step()
    return {"epoch": np.int64(1), "name": "run", "args": argparse.Namespace(lr=1e-3), "best": np.float32(0.5),
            "state_dict": OrderedDict(("module." + k, v) for k, v in state.items()),
            "optimizer": optimizer.state_dict()}


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else TESTS / "pickles"
    out.mkdir(parents=True, exist_ok=True)
    t = tied(tensors())
    save_file({k: v.clone().contiguous() for k, v in t.items()}, out / "twin.safetensors")
    torch.save(t, out / "zip.pt")
    torch.save(dict(t), out / "protocol-5.pt", pickle_protocol=5)
    torch.save(dict(t), out / "protocol-4.pt", pickle_protocol=4)
    torch.save(t, out / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(t, out / "legacy-5.pt", _use_new_zipfile_serialization=False, pickle_protocol=5)
    torch.save({k: torch.nn.Parameter(v, requires_grad=False) for k, v in t.items()}, out / "parameters.pt")
    torch.save(trained(t, t["weight"]), out / "training.pt")
    torch.jit.save(torch.jit.script(Outer(t)), out / "script.pt")
    torch.save({"weight": t["weight"], "visual.proj": Hostile()}, out / "hostile.pt")
    torch.save(Outer(t), out / "model.pt")
    golden = load_file(TESTS / "golden/tiny-vit-eos/open_clip_model.safetensors")
    torch.save(trained(golden, golden["ln_final.weight"]), out / "epoch_1.pt")


if __name__ == "__main__":
    main()
