"""A stunt double of the trainer: an image of a few kilobytes that ends as a test wants it to.

It has the commands that the operator starts, `uncensor-trainer` and `torchrun`, as shell scripts.
They run `<workspace>/stunts/<stage>` if a test has put a script there, and otherwise say that the
stage is done. So a test of the operator needs no model, and shows on real kubelets what exit codes,
signals and memory limits look like.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from cluster.images import (
    Archive,
    add_file,
    add_folders,
    add_link,
    archive,
    run,
    write_archive,
)
from cluster.programs import Programs, cached, digest

STUNT = "uncensor.test/stunt:1"
DOUBLE = b"""#!/bin/sh
# Arguments as the operator gives them; the last one is the stage.
for word in "$@"; do stage=$word; done
attempt=${UNCENSOR_ATTEMPT:-1}
rank=${RANK:-0}
workspace=/workspace
say() { echo "$1"; }
finish() { # code outcome-json
  printf '%s' "$2" > "$UNCENSOR_TERMINATION_MESSAGE"
  exit "$1"
}
mkdir -p "$workspace/seen"
echo "$stage $attempt $rank" >> "$workspace/seen/starts"
if [ -f "$workspace/stunts/$stage" ]; then . "$workspace/stunts/$stage"; fi
say '{"event":"progress","stage":"'$stage'","step":1,"total":1}'
finish 0 '{"outcome":"done","summary":{}}'
"""


def stunt_archive(programs: Programs) -> Archive:
    """The image as a docker-archive in the cache."""
    busybox = Path(programs.path("busybox"))
    program = busybox.read_bytes()

    def make(target: Path) -> None:
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tree:
            add_folders(tree)
            add_file(tree, "bin/busybox", program, mode=0o755)
            add_file(tree, "etc/passwd", b"double:x:65532:65532::/tmp:/bin/sh\n")
            for applet in sorted(set(run([busybox, "--list"]).split()) - {"busybox"}):
                add_link(tree, f"bin/{applet}", "busybox")
            for command in ("uncensor-trainer", "torchrun"):
                add_file(tree, f"bin/{command}", DOUBLE, mode=0o755)
        config = {"User": "65532:65532", "Env": ["PATH=/bin", "HOME=/tmp"]}
        write_archive(target, STUNT, layer.getvalue(), config)

    return Archive(cached(archive(digest("stunt", program, DOUBLE)), make))
