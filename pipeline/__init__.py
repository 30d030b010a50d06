"""The RveRNet pipeline. `from pipeline import load_run` and the other names of `pipeline.api`.

Names are fetched when asked for (PEP 562): stages import this module too, and must depend only on what they run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.api import *  # noqa: F403 - exactly the names of its __all__


def __getattr__(name: str) -> Any:
    """Return a name of `pipeline.api`.

    Raises:
        AttributeError: If it has no such name.
    """
    if name.startswith("_"):
        raise AttributeError(name)
    api = import_module("pipeline.api")
    if name not in api.__all__:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}; there are {', '.join(api.__all__)}")
    return getattr(api, name)
