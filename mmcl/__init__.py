"""Multi-modality co-learning for skeleton-based action recognition (MMCL, ACM MM'24; IKEM, ICASSP'24).

`load` gives a trained model, `open_store` a store, `results` what a benchmark came to; see docs/python.md. They are
imported when they are first asked for, so that `import mmcl` alone is fast and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcl.api.model import Features, Model, Predictions, load
    from mmcl.api.results import Results, results
    from mmcl.api.stores import Store, open_store
    from mmcl.errors import UserError

__version__ = "0.1.0"

__all__ = [
    "Features",
    "Model",
    "Predictions",
    "Results",
    "Store",
    "UserError",
    "__version__",
    "load",
    "open_store",
    "results",
]

_PLACES = {
    **dict.fromkeys(("Features", "Model", "Predictions", "load"), "mmcl.api.model"),
    **dict.fromkeys(("Results", "results"), "mmcl.api.results"),
    **dict.fromkeys(("Store", "open_store"), "mmcl.api.stores"),
    "UserError": "mmcl.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'mmcl' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
