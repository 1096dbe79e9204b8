#!/usr/bin/env python3
"""Write src/hub/known.inc: OpenCLIP's names of models, and their repositories on the hub.

    python3 tools/make_model_names.py src/hub/known.inc

One row a pair of open_clip.list_pretrained(): ARCHITECTURE/TAG, repository, file, parameters. The
file is given where OpenCLIP names one. The parameters are counted on the architecture, which is
built without memory for its weights. They are 0 where building it needs files from the hub.

Needs: open_clip.
"""
import logging
import os
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg, list_pretrained

HEAD = """\
/* Written by tools/make_model_names.py from OpenCLIP {version}. Do not edit.
 * ARCHITECTURE/TAG, repository, file, parameters */
"""


def count(arch):
    """The number of parameters; 0: it cannot be built offline."""
    try:
        with torch.device("meta"):
            model = open_clip.create_model(arch, pretrained_hf=False, load_weights=False)
    except OSError:
        return 0
    return sum(p.numel() for p in model.parameters())


def main(path):
    logging.disable(logging.CRITICAL)
    torch.nn.Module.to = lambda self, *args, **kwargs: self  # there is nothing to move
    parameters, rows = {}, []
    for arch, tag in list_pretrained():
        if arch not in parameters:
            parameters[arch] = count(arch)
        org, name, file = get_pretrained_cfg(arch, tag)["hf_hub"].split("/", 2)
        file = f'"{file}"' if file else "NULL"
        rows.append(f'{{"{arch}/{tag}", "{org}/{name}", {file}, {parameters[arch]}}},\n')
    rows.sort(key=str.lower)
    with open(path, "w") as f:
        f.write(HEAD.format(version=open_clip.__version__))
        f.writelines(rows)
    print(f"{len(rows)} names, {sum(n > 0 for n in parameters.values())} of {len(parameters)} architectures counted")


if __name__ == "__main__":
    main(sys.argv[1])
