"""Pictures as tensors."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pipeline.arrays import Images


def to_tensor(images: Images) -> UInt8[Tensor, "N 3 S S"]:
    """Return the pictures with channels first, values still in [0, 255].

    The one copy makes rows contiguous, so that gathering a batch is fast.
    """
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
