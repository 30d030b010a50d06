"""Pictures as tensors."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pipeline.arrays import Images


def to_tensor(images: Images) -> UInt8[Tensor, "N 3 S S"]:
    """Return the pictures with channels first in shape and last in memory, values still in [0, 255].

    Nothing moves: the tensor looks at the array, unless that cannot be written to or has gaps.
    """
    return torch.from_numpy(np.require(images, requirements=("C", "W"))).permute(0, 3, 1, 2)
