"""The versions of packages, as they are written beside results."""

from importlib.metadata import PackageNotFoundError, version

from mmcl import __version__


def versions(*packages: str) -> dict[str, str]:
    """Package → version; mmcl's own is known also where it is used from its source tree and not installed."""
    return {package: _version(package) for package in packages}


def installed(package: str) -> str:
    """The version of a package; "" if it is not installed."""
    try:
        return version(package) or "unknown"
    except PackageNotFoundError:
        return ""
    except Exception:  # a damaged installation: no result is lost for the want of a version
        return "unknown"


def _version(package: str) -> str:
    return __version__ if package == "mmcl" else installed(package) or "not installed"
