"""What two processes train together; run by `launch` in test_train_selfsup.py.

The first one writes the hashes of what each ended up with.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch.distributed as dist
from test_train_selfsup import without_student

from mmcl.engine.launch import joined
from mmcl.selfsup import train
from mmcl.settings.jobs import StudentTraining


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    folder, skeletons = Path(job["folder"]), Path(job["skeletons"])
    settings = StudentTraining.model_validate(job["settings"])
    trained, whole = [], train._train

    def keep(task, *arguments):
        trained.append(task.net)
        whole(task, *arguments)

    train._train = keep
    with joined() as processes:
        for what in ("pretrain", "student"):
            output, teachers = folder / what / "model.pt", folder / "pretrain/model.pt"
            if what == "pretrain":
                train._pretrain(processes, skeletons, output, without_student(settings), 1)
            else:
                train._distil(processes, skeletons, teachers, output, settings, 1)
            digest = hashlib.sha256()
            for value in trained[-1].state_dict().values():
                digest.update(value.numpy().tobytes())
            hashes: list[str] = [""] * processes.world
            dist.all_gather_object(hashes, digest.hexdigest())
            if processes.first:
                (folder / f"{what}.json").write_text(json.dumps(hashes))


if __name__ == "__main__":
    main()
