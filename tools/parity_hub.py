#!/usr/bin/env python3
"""Does huggingface_hub find what `clip pull` has fetched, and clip what huggingface_hub has?

    python3 tools/parity_hub.py BUILD

BUILD is a build directory with its tests. The hub is the server of tests/hub, on loopback; it
serves a small checkpoint of tests/model/golden. Each program fetches into a cache of its own, and
the other one then reads that cache offline.

Needs: huggingface_hub.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = "org/name"
CHECK = """
import sys
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
cache, served = sys.argv[1], sys.argv[2:]
folder = snapshot_download("org/name", cache_dir=cache, local_files_only=True)
for file in served:
    path = hf_hub_download("org/name", file, cache_dir=cache, local_files_only=True)
    assert path == try_to_load_from_cache("org/name", file, cache_dir=cache), path
    assert path == f"{folder}/{file}", path
info = scan_cache_dir(cache)
assert not info.warnings, info.warnings
(repo,) = info.repos
(revision,) = repo.revisions
assert repo.repo_id == "org/name" and revision.refs == {"main"}, repo
assert sorted(f.file_name for f in revision.files) == sorted(served), revision.files
"""
FETCH = """
import sys
from huggingface_hub import hf_hub_download
for file in sys.argv[2:]:
    hf_hub_download("org/name", file, cache_dir=sys.argv[1])
"""


def run(command, **variables):
    done = subprocess.run([str(c) for c in command], env={**os.environ, **variables}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command[:3]))}: {done.stderr.strip()}")
    return done.stdout


def main(build):
    root = Path(__file__).resolve().parent.parent
    clip = build / "cli/clip"
    picture = root / "tests/cli/golden/picture.png"
    with tempfile.TemporaryDirectory() as temporary:
        served, ours, theirs = (Path(temporary) / name for name in ("served", "ours", "theirs"))
        shutil.copytree(root / "tests/model/golden/tiny-vit", served, ignore=shutil.ignore_patterns("*.npy"))
        files = sorted(f.name for f in served.iterdir())
        server = subprocess.Popen([build / "tests/hub/serve", served, REPO], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        endpoint = server.stdout.readline().strip()

        run([clip, "pull", REPO], HF_ENDPOINT=endpoint, HF_HUB_CACHE=str(ours))
        run([sys.executable, "-c", CHECK, ours, *files], HF_HUB_OFFLINE="1")
        print(f"huggingface_hub finds the {len(files)} files that clip has fetched, and nothing else")

        run([sys.executable, "-c", FETCH, theirs, *files], HF_ENDPOINT=endpoint, HF_HUB_DISABLE_XET="1")
        said = run([clip, "pull", REPO], HF_ENDPOINT=endpoint, HF_HUB_CACHE=str(theirs))
        assert "all here already" in said, said
        server.stdin.close()
        embeddings = [run([clip, "embed", "-m", REPO, picture], HF_HUB_CACHE=str(c)) for c in (ours, theirs)]
        assert embeddings[0] == embeddings[1]
        print("clip finds what huggingface_hub has fetched, and fetches none of it again")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
