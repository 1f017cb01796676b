"""Where results are written: locks, space, memory and cores."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmcl import paths
from mmcl.doctor.finding import Finding, fail, ok, warn

SHARED = Path("/dev/shm")
GB = 1e9
CONTROL = Path("/sys/fs/cgroup")


def results() -> Iterator[Finding]:
    """Space where results are written, and whether files can be locked there."""
    folder = Path(paths.RESULTS) if Path(paths.RESULTS).is_dir() else Path.cwd()
    name = f"{folder.resolve()}"
    space = shutil.disk_usage(folder)
    said = f"{space.free / GB:,.1f} of {space.total / GB:,.0f} GB free at {name}"
    if space.free < 1 * GB:
        yield fail("disk", said, "free space; results/times and .snakemake/log may be deleted")
    elif space.free < 20 * GB:
        yield warn(
            "disk", said, "enough for the demo; NTU RGB+D 120 needs some 100 GB for pictures and answers"
        )
    else:
        yield ok("disk", said)
    status = os.statvfs(folder)
    if status.f_files and status.f_favail < 50_000:
        yield warn("inodes", f"{status.f_favail:,} files can still be made at {name}", "delete small files")
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as work:
            yield from _locks(Path(work))
    except OSError as error:
        yield fail("results", f"{name} cannot be written ({error.strerror})", "run in a folder of your own")


def _locks(work: Path) -> Iterator[Finding]:
    path = work / "lock"
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield ok("flock", "files can be locked")
        except OSError as error:
            yield warn(
                "flock",
                f"files cannot be locked on this file system ({error.strerror})",
                "never start the same work twice at the same time, or put results on another file system",
            )
    try:
        (work / "link").symlink_to("lock")
    except OSError as error:
        yield warn(
            "links", f"no symbolic links on this file system ({error.strerror})", "use another file system"
        )
    try:
        import h5py

        store = work / "tried.h5"
        with h5py.File(store, "w") as h5:
            h5["x"] = [1, 2, 3]
        with h5py.File(store, "r") as h5:
            right = h5["x"][:].tolist() == [1, 2, 3]
    except Exception as error:  # a damaged installation may raise anything
        yield fail(
            "HDF5",
            str(error).splitlines()[0],
            "export HDF5_USE_FILE_LOCKING=FALSE; if h5py itself cannot be loaded, pip install --force-reinstall h5py",
        )
        return
    if right:
        yield ok(
            "HDF5",
            f"h5py {h5py.version.version} with HDF5 {h5py.version.hdf5_version} writes, locks and reads",
        )
    else:
        yield fail("HDF5", "reads other numbers than it wrote", "pip install --force-reinstall h5py")


def machine() -> Iterator[Finding]:
    """Cores, memory and shared memory of this process, as a container or a job limits them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    said = f"{cores}" + (f", of which a limit leaves {quota:.1f}" if quota and quota < cores else "")
    yield ok("cores", f"{said}: snakemake --cores {max(1, int(min(cores, quota or cores)))}")
    memory = _memory()
    if memory is None:
        yield ok("memory", "not known")
    elif memory < 4 * GB:
        yield warn(
            "memory", f"{memory / GB:.1f} GB", "enough for the demo alone; use a larger machine or job"
        )
    else:
        yield ok("memory", f"{memory / GB:.1f} GB")
    if SHARED.is_dir():
        free = shutil.disk_usage(SHARED).free
        if free < 0.25 * GB:
            yield warn(
                str(SHARED),
                f"{free / GB:.2f} GB free, which the processes that read pictures share",
                "docker run --shm-size 2g …",
            )
        else:
            yield ok(str(SHARED), f"{free / GB:.1f} GB free")


def _quota() -> float | None:
    """Cores that a control group allows."""
    try:
        allowed, period = (CONTROL / "cpu.max").read_text().split()
        return None if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError):
        return None


def _memory() -> float | None:
    """Bytes that this process may use at most."""
    known = []
    with suppress(OSError, ValueError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # absent, or `max`
        known.append(int((CONTROL / "memory.max").read_text()))
    return min(known) if known else None
