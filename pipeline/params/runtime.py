"""Section `runtime`: where and how fast.

No stage depends on it but by two values that decide digits and that `configure` copies into section `train`: `devices`,
and `device` where `train.precision` is auto.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params.base import Section, check_secrets, refusal_of_schema
from pipeline.runtime.errors import ParamsError
from pipeline.runtime.vector_width import core_count


class RuntimeParams(Section):
    """Section `runtime`."""

    workers: int = Field(ge=0)  # processes of index, segment and pair; 0 means one a core
    device: Literal["auto", "cpu", "cuda", "mps"]
    """Where models run; auto takes a GPU where there is one. With cuda, `train.precision: auto` means bf16."""
    devices: int = Field(default=1, ge=1)
    """Processes that train a run together, a GPU each; on a CPU more than one gives other digits. Part of the sums."""
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    """Training time between two checkpoints inside an epoch, in minutes; 0 writes one after every step."""
    live_after: float = Field(default=60.0, ge=0)
    """Training time before DVCLive is started, in seconds; a run that is over sooner spares itself the import."""
    memory_gigabytes: float = Field(default=0.0, ge=0)
    """Memory for the pixels of a run in training, in 10^9 bytes; more goes to a file; 0 is half of the free."""
    engine: Literal["local", "ray"] = "local"
    """Who does the work of segment and pair: processes of this machine, or a Ray cluster; the bytes are the same."""
    ray_address: str | None = None  # cluster to join, `auto` or `host:port`; none starts one here, with `workers` CPUs
    mirror: str | None = None  # URL of a copy of `data`: segment and pair read there, later stages without shards here

    def worker_count(self) -> int:
        """Return the number of processes, at least 1."""
        return self.workers or core_count()


def load_runtime(path: Path = Path("params.yaml")) -> RuntimeParams:
    """Read section `runtime` straight from `params.yaml`.

    Raises:
        ParamsError: If the section is absent or does not fit the schema.
    """
    try:
        section = YAML(typ="safe").load(path)["runtime"]
        check_secrets(section, path, ("runtime",))
        return RuntimeParams.model_validate_json(json.dumps(section))
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: absent; run from the root of the checkout") from error
    except (YAMLError, RecursionError, KeyError, TypeError) as error:
        raise ParamsError(f"{path}: section runtime is absent or no valid YAML; run `dvc repro configure`") from error
    except ValidationError as error:
        raise refusal_of_schema(error, path, ("runtime",)) from error
