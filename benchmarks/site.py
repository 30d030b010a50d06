"""Where and how long the benchmarks measure."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.material import Material
from pipeline.params.masks import SamArchitectureName


@dataclass(frozen=True)
class Site:
    """What every benchmark is given."""

    material: Material
    """Photos, masks and shards."""
    scratch: Path
    """Folder for whatever a benchmark writes; removed at the end."""
    rounds: int
    """How often the contenders take turns."""
    device: str
    """`cpu` or `cuda`."""
    sam: SamArchitectureName
    """SAM whose encoder is timed on a CPU; its weights are random."""
