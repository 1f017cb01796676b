"""What two processes train together; run by `launch` in test_train_selfsup.py.

The first one writes the hashes of what each ended up with.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch.distributed as dist

from mmcl.selfsup import train
from mmcl.training.launch import joined


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(job.pop("folder"))
    with joined() as processes:
        for what, build in (("pretrain", "build_pretrainer"), ("student", "build_distiller")):
            nets, plain = [], getattr(train, build)

            def keep(*arguments, nets=nets, plain=plain):
                nets.append(plain(*arguments))
                return nets[-1]

            setattr(train, build, keep)
            more = {"teachers": str(folder / "pretrain/model.pt")} if what == "student" else {}
            train._train(processes, output=str(folder / what / "model.pt"), **more, **job)
            digest = hashlib.sha256()
            for value in nets[0][0].state_dict().values():
                digest.update(value.numpy().tobytes())
            hashes: list[str] = [""] * processes.world
            dist.all_gather_object(hashes, digest.hexdigest())
            if processes.first:
                (folder / f"{what}.json").write_text(json.dumps(hashes))


if __name__ == "__main__":
    main()
