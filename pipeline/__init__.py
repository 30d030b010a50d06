"""The RveRNet pipeline. `from pipeline import load_run` and the other names of `pipeline.api`.

Names are fetched when asked for (PEP 562): stages import this module too, and must depend only on what they run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.api import *  # noqa: F403 - exactly the names below

__all__ = [  # noqa: F405 - see above
    "Guess",
    "MaskSource",
    "PipelineError",
    "Prediction",
    "Prompt",
    "Region",
    "Run",
    "SampleBatch",
    "ShardDataset",
    "ShardSample",
    "Shards",
    "arrow_tables",
    "box",
    "find_regions",
    "load_run",
    "open_masks",
    "open_shards",
    "point",
    "read_mask",
    "read_photo",
]


def __getattr__(name: str) -> Any:
    """Return a name of `pipeline.api`; submodules are found by the import system itself.

    Raises:
        AttributeError: If it has no such name.
    """
    if name not in __all__:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}; there are {', '.join(__all__)}")
    return getattr(import_module("pipeline.api"), name)
