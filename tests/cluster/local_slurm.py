"""A Slurm of one node on loopback, with pretended GPUs and enforced memory, for as long as a process lives.

By hand: `python tests/cluster/local_slurm.py sinfo`. Debian and Ubuntu, as root:
`apt-get install --no-install-recommends slurmctld slurmd slurm-client munge`.
"""

import ctypes
import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun")
CPUS = 2
"""That Slurm gives out: so many jobs compute at once."""
GPUS = ("/dev/null", "/dev/zero")

CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort=17817
SlurmdPort=17818
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
# memory is measured every second, and a job that has more than it asked for is ended
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait=2
MinJobAge=3600
SlurmctldTimeout=10
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:{gpus}
PartitionName=cpu Nodes=localhost Default=YES State=UP
PartitionName=gpu Nodes=localhost State=UP
"""


def missing() -> list[str]:
    """The programs of Slurm that this machine lacks."""
    return [name for name in NEEDED if not shutil.which(name, path=_path())]


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin"


class LocalSlurm:
    """The cluster, from `start` to `stop`; its daemons end with the process that started them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mmcl-slurm-", dir="/tmp"))
        self.env = {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": f"{self.folder}/bin:{_path()}"}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Write the configuration and start the daemons.

        Raises:
            RuntimeError: the node is not ready within 30 s; with the daemons' last lines.
        """
        folder = self.folder
        folder.chmod(0o755)  # munge refuses others
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir()
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o400)
        text = CONF.format(folder=folder, user=getpass.getuser(), cpus=CPUS, gpus=len(GPUS))
        (folder / "slurm.conf").write_text(text)
        gpus = "".join(f"Name=gpu File={file}\n" for file in GPUS)
        (folder / "gres.conf").write_text(f"AutoDetect=off\n{gpus}")
        # the executor plugin takes SLURM_CONF out of srun's environment: on a cluster the file is in /etc
        srun = folder / "bin/srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        munge = ("--foreground", "--force", f"--socket={folder}/munge", f"--key-file={folder}/key")
        files = (
            f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/seed",
        )
        self._daemon("munged", *munge, *files)
        self._until(lambda: (folder / "munge").exists())
        self.start_controller("-c")
        self._daemon("slurmd", "-D", "-f", str(folder / "slurm.conf"), "-N", "localhost", "-c")
        self._until(lambda: set(self.run("sinfo", "-h", "-o", "%T").split()) == {"idle"})

    def start_controller(self, *options: str) -> None:
        """Start slurmctld; with `-c` it forgets all jobs."""
        self._daemon("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"), *options)

    def stop_controller(self) -> None:
        """End slurmctld, as for an update."""
        self.daemons["slurmctld"].terminate()
        self.daemons["slurmctld"].wait(20)

    def stop(self) -> None:
        """End all jobs and daemons and remove what they wrote."""
        with suppress(subprocess.SubprocessError, OSError):
            self.run("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
            self._until(lambda: not self.run("squeue", "-h"), 10)
        for name in ("slurmd", "slurmctld", "munged"):
            daemon = self.daemons.get(name)
            if daemon:
                daemon.terminate()
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(10)
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, env=os.environ | self.env, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs of the last minutes, the first first, with the keys of `scontrol show job`."""
        said = self.run("scontrol", "show", "job", "--oneliner")
        lines = [line for line in said.splitlines() if line.startswith("JobId=")]
        found = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def _daemon(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=_path())
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                [str(program), *arguments],
                env=os.environ | self.env,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                preexec_fn=_end_with_parent,
                start_new_session=True,
            )

    def _until(self, condition, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                said = "\n".join(
                    f"{file.name}: {file.read_text(errors='replace')[-800:]}"
                    for file in sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("*.out"))
                )
                raise RuntimeError(f"Slurm is not ready after {seconds} s\n{said}")
            time.sleep(0.05)


def _end_with_parent() -> None:
    """In a daemon: be ended when the process ends that started it, also by kill -9 (Linux: PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def main() -> int:
    """Run a command beside a cluster."""
    slurm = LocalSlurm()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        slurm.start()
        return subprocess.run(sys.argv[1:], env=os.environ | slurm.env, check=False).returncode
    finally:
        slurm.stop()


if __name__ == "__main__":
    sys.exit(main())
