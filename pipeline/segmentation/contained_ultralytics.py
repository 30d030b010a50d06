# ruff: noqa: E402 - what it replaces is noted before it is imported
"""The only door to ultralytics (AGPL-3.0), which is kept to itself; imported only where FastSAM was chosen.

It reads these variables once, at import. Without them it writes settings under HOME, looks names up in the network,
reports usage, installs packages at run time, downloads weights into the working directory, and runs the code of a
crafted weights file.
"""

import atexit
import os
import shutil
import tempfile

import torch
from PIL import Image as Pillow

os.environ.update(
    YOLO_CONFIG_DIR=tempfile.mkdtemp(prefix="rvernet-ultralytics-"),  # it insists on writing a settings file
    YOLO_OFFLINE="true",
    YOLO_AUTOINSTALL="false",
    YOLO_VERBOSE="false",
    ULTRALYTICS_SAFE_LOAD="true",
)
os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # it would set 1 for every process started later

# It replaces these for the whole process: pictures that are none would send Pillow looking for a package to install.
ORIGINALS = ((Pillow, "open", Pillow.open), (torch, "save", torch.save))

from ultralytics import FastSAM
from ultralytics.nn.tasks import SegmentationModel, yaml_model_load
from ultralytics.utils import SAFE_LOAD

__all__ = ["SAFE_LOAD", "FastSAM", "SegmentationModel", "yaml_model_load"]

for module, name, original in ORIGINALS:
    setattr(module, name, original)

atexit.register(shutil.rmtree, os.environ["YOLO_CONFIG_DIR"], ignore_errors=True)
