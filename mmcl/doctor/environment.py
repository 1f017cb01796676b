"""Python, packages, Snakemake, and what the environment says."""

import getpass
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from mmcl import __version__
from mmcl.doctor.finding import Finding, fail, ok, warn
from mmcl.errors import UserError
from mmcl.naming import PACKAGE, PROJECT
from mmcl.start import check_names
from mmcl.versions import installed

OLDEST = (3, 11)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
TOLD = ("MMCL_DEVICE", "CUDA_VISIBLE_DEVICES", "HDF5_USE_FILE_LOCKING", "PYTHONPATH", "HF_HUB_OFFLINE")
"""Further variables that change what mmcl does."""


def python() -> Iterator[Finding]:
    """Python itself, and which mmcl it imports."""
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= OLDEST:
        yield ok("Python", found)
    else:
        yield fail("Python", found, f"mmcl needs Python {OLDEST[0]}.{OLDEST[1]} or later")
    yield ok("mmcl", f"{__version__} at {PACKAGE}")


def packages() -> Iterator[Finding]:
    """Versions against what mmcl declares, and which extras are there."""
    declared, source = _declared()
    if not declared:
        yield warn(
            "packages",
            "mmcl declares none: it is not installed",
            "pip install -e . in the clone, or a wheel (docs/install.md)",
        )
        return
    wrong: list[Finding] = []
    extras: dict[str, list[str]] = {}
    count = 0
    for text in declared:
        name, extra = _name(text), _extra(text)
        problem = _problem(text)
        if extra:
            extras.setdefault(extra, []).extend([name] if problem else [])
        else:
            count += 1
            if problem:
                wanted = text.split(";")[0].strip()
                wrong.append(fail(name, problem, f"pip install '{wanted}'"))
    yield from wrong
    if not wrong:
        differ = _differences(PROJECT / "requirements.lock", [_name(text) for text in declared])
        beside = f"; other than in requirements.lock: {', '.join(differ)}" if differ else ""
        yield ok("packages", f"all {count} in the versions that {source} asks for{beside}")
    there = [extra for extra, missing in extras.items() if not missing]
    missing = [f"{extra} ({', '.join(names)})" for extra, names in extras.items() if names]
    yield ok(
        "extras",
        f"installed: {', '.join(there) or 'none'}"
        + (f"; not: {', '.join(missing)}, by pip install 'mmcl[NAME]'" if missing else ""),
    )


def _declared() -> tuple[list[str], str]:
    """Requirements of mmcl as metadata has them, and where they are from."""
    import tomllib

    try:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, LookupError):
        try:
            return list(metadata.requires("mmcl") or ()), "mmcl"
        except metadata.PackageNotFoundError:
            return [], ""
    extras = project.get("optional-dependencies", {})
    optional = [f'{text}; extra == "{extra}"' for extra, texts in extras.items() for text in texts]
    return [*project.get("dependencies", ()), *optional], "pyproject.toml"


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else requirement


def _extra(requirement: str) -> str | None:
    found = re.search(r"extra\s*==\s*['\"]([\w-]+)", requirement)
    return found[1] if found else None


def _problem(requirement: str) -> str:
    """Why a requirement is not met; "" if it is, or is for another system."""
    name = _name(requirement)
    try:
        from packaging.markers import Marker
        from packaging.requirements import Requirement

        parsed = Requirement(requirement)
        marker: Marker | None = parsed.marker
        if marker and not marker.evaluate({"extra": _extra(requirement) or ""}):
            return ""
        found = metadata.version(name)
        return (
            "" if parsed.specifier.contains(found, prereleases=True) else f"{found}, needs {parsed.specifier}"
        )
    except metadata.PackageNotFoundError:
        return "not installed"
    except Exception as error:  # packaging is missing, or the package's metadata is damaged
        return f"its version cannot be read ({error})"


def _differences(lock: Path, names: Sequence[str]) -> list[str]:
    """`torch 2.15.0 (2.14.0)` for each package whose version is another than the lock's."""
    try:
        pins = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.M))
    except OSError:
        return []
    found = []
    for name in dict.fromkeys(names):
        there = installed(name)
        if there and pins.get(name, there).split("+")[0] != there.split("+")[0]:
            found.append(f"{name} {there} ({pins[name]})")
    return found


def snakemake() -> Iterator[Finding]:
    """Whether Snakemake runs by this Python, and finds the workflow and its profile here."""
    version = installed("snakemake")
    if not version:
        yield fail("Snakemake", "not installed", "pip install 'snakemake>=9.19,<10'")
        return
    program = Path(sys.executable).with_name("snakemake")
    in_path = shutil.which("snakemake")
    if in_path and program.exists() and Path(in_path).resolve() != program.resolve():
        yield warn(
            "Snakemake",
            f"{version}, but `snakemake` is {in_path} of another environment",
            f"activate this one, or run {program}",
        )
    elif not in_path:
        yield warn("Snakemake", f"{version}, not in PATH", f"activate the environment, or run {program}")
    else:
        yield ok("Snakemake", f"{version} at {in_path}")
    if not any(Path(name).is_file() for name in ("Snakefile", "workflow/Snakefile")):
        yield warn("workflow", f"no Snakefile in {Path.cwd()}", "run where it is, or `mmcl init FOLDER`")
    elif not any(Path("profiles/default").glob("*.yaml")):
        yield warn(
            "workflow",
            "there is no profiles/default beside the Snakefile: results are made anew by the times of files",
            "keep profiles/ of the project beside the Snakefile, or name it with --workflow-profile",
        )
    else:
        yield ok("workflow", f"Snakefile and profiles/default in {Path.cwd()}")


def variables() -> Iterator[Finding]:
    """The user's name, locale and the variables that matter."""
    try:
        getpass.getuser()
    except (OSError, KeyError):  # by the version of Python
        found = f"number {os.getuid()} has no name here, which Snakemake asks for"
        yield fail("user", found, "export USER=me")
    try:
        check_names()
        yield ok("locale", f"names of files are {sys.getfilesystemencoding()}")
    except UserError as error:
        yield fail("locale", str(error), "export PYTHONUTF8=1")
    threads = [f"{name}={os.environ[name]}" for name in THREADS if os.environ.get(name)]
    yield ok("threads", f"{', '.join(threads)}: jobs set their own" if threads else "set by the jobs")
    told = [f"{name}={os.environ[name]}" for name in TOLD if name in os.environ]
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        yield warn("variables", ", ".join(told), "unset CUDA_VISIBLE_DEVICES, which hides all GPUs")
    else:
        yield ok("variables", ", ".join(told) or f"none of {', '.join(TOLD)} is set")


def caches() -> Iterator[Finding]:
    """Whether home, caches and the temporary folder can be written."""
    home = Path.home()
    places = {
        "home": home,
        "cache": Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache"),
        "temporary files": Path(tempfile.gettempdir()),
    }
    remedies = {
        "home": "set HOME to a folder that can be written",
        "cache": "set XDG_CACHE_HOME to a folder that can be written",
        "temporary files": "set TMPDIR to a folder that can be written",
    }
    for name, place in places.items():
        there = next(path for path in (place, *place.parents) if path.exists())
        if os.access(there, os.W_OK | os.X_OK):
            yield ok(name, str(place))
        else:
            yield fail(name, f"{place} cannot be written", remedies[name])
