"""Weights of FastSAM: read without running code of the file, or drawn at random for trials."""

from pathlib import Path

import torch

from pipeline.errors import WeightsError, refuse_machine_fault
from pipeline.models.numerics import seeded
from pipeline.params.masks import FastSamArchitectureName
from pipeline.segmentation.contained_ultralytics import SAFE_LOAD, FastSAM, SegmentationModel, yaml_model_load
from pipeline.segmentation.official import FASTSAM_FILES

SEED = 0
"""Of random weights."""
NETWORKS: dict[FastSamArchitectureName, str] = {"s": "yolov8s-seg.yaml", "x": "yolov8x-seg.yaml"}
"""What FastSAM was trained as, with one class."""
TINY_WIDTH = 1 / 32
"""Channels of the stand-in, as a share of the widest network's."""


def write_random(architecture: FastSamArchitectureName, path: Path) -> None:
    """Write an untrained FastSAM, the same every time; its masks mean nothing, but it finds some."""
    description = yaml_model_load(NETWORKS.get(architecture, "yolov8n-seg.yaml"))
    if architecture == "tiny":
        description["scales"]["n"][1] = TINY_WIDTH
    with seeded(SEED, "fastsam", architecture):
        network = SegmentationModel(description, nc=1, verbose=False)
    for scores in network.model[-1].cv3:
        torch.nn.init.zeros_(scores[-1].bias)  # untrained, every place would otherwise be surely empty
    torch.save({"model": network.eval(), "train_args": {"task": "segment"}}, path)


def load_fastsam(path: Path) -> FastSAM:
    """Return the network of a .pt file that ultralytics wrote.

    Raises:
        WeightsError: If the file is absent, damaged, wants to run code, or holds another network.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; {wanted()}")
    if path.suffix != ".pt":  # it would look for such a file in the network
        raise WeightsError(
            f"{path}: FastSAM's weights are a file with the ending .pt; rename it if it is, or {wanted()}"
        )
    if not SAFE_LOAD:
        raise WeightsError("ultralytics was imported before it could be contained; start a new process")
    try:
        network = FastSAM(str(path))
    except Exception as error:  # it lets through whatever a damaged or hostile file makes torch raise
        refuse_machine_fault(path, error)
        text = " ".join(str(error).split())[:160]
        raise WeightsError(f"{path}: not a readable FastSAM file ({text}); {wanted()}") from error
    if network.task != "segment" or not isinstance(network.model, SegmentationModel):
        raise WeightsError(f"{path}: holds another network than FastSAM; {wanted()}")
    return network


def wanted() -> str:
    """Say which files would do."""
    files = " or ".join(f"{file.url} ({file.size / 1e6:.0f} MB)" for file in FASTSAM_FILES.values())
    return f"fetch {files} and set masks.fastsam.weights to its path"
