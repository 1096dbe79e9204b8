#!/usr/bin/env python3
"""Write a checkpoint directory with its f32 tensors as f16: half.py FROM_DIRECTORY TO_DIRECTORY   (needs:
                                                                                                   safetensors,
                                                                                                   torch)"""
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

source, target = map(Path, sys.argv[1:])
target.mkdir(parents=True, exist_ok=True)
weights = source / "open_clip_model.safetensors"
tensors = {k: v.half() if v.dtype == torch.float32 and v.ndim else v for k, v in load_file(weights).items()}
save_file(tensors, target / weights.name)
for name in ("open_clip_config.json", "vocab.json", "merges.txt"):
    shutil.copyfile(source / name, target / name)
