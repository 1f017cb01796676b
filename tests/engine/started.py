"""Processes with a given behaviour, without torch; run by `launch` in test_launch.py."""

import json
import os
import signal
import sys
import time
from pathlib import Path

rank = int(os.environ["RANK"])
job = json.loads(Path(sys.argv[1]).read_text())
Path(job["folder"], f"pid-{rank}").write_text(str(os.getpid()))
match job["order"]:
    case "kill" if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    case "leave" if rank == 1:
        sys.exit(3)
    case "complain" | "break":
        # a lost connection is noticed after its cause was reported
        while rank == 0 and not Path(os.environ["MMCL_STARTER"], "failed-1.json").exists():
            time.sleep(0.01)
        left = {"known": rank == 1 and job["order"] == "complain", "text": f"{rank} complains"}
        Path(os.environ["MMCL_STARTER"], f"failed-{rank}.part").write_text(json.dumps(left))
        Path(os.environ["MMCL_STARTER"], f"failed-{rank}.part").rename(
            Path(os.environ["MMCL_STARTER"], f"failed-{rank}.json")
        )
    case "work":
        print(os.environ["MMCL_LOGS"])
        sys.exit()
time.sleep(60)
