"""Any semantic segmentation model of the package transformers, which votes for a category inside masks.

Reference:
    FoodSAM: Lan et al., arXiv 2308.05938, whose SETR votes inside SAM's masks.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional

from pipeline.arrays import AnyImage, Mask
from pipeline.runtime.errors import WeightsError
from pipeline.segmentation.promptable import load_model


def plain_name(name: str) -> str:
    """Return a name by which labels and categories are compared: letters and digits, case-folded, single spaces."""
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def match_labels(labels: Mapping[int, str], categories: Sequence[str]) -> dict[int, int]:
    """Return the class index of every label whose plain name is that of a category; others have none."""
    index = {plain_name(name): place for place, name in reversed([*enumerate(categories)])}
    return {label: index[plain_name(name)] for label, name in sorted(labels.items()) if plain_name(name) in index}


class SemanticModel:
    """A model and the categories of a data set that its labels name; every pixel of a mask votes for one of them."""

    def __init__(self, folder: Path, categories: Sequence[str], *, device: torch.device, key: str) -> None:
        """Load a folder as transformers saves it; `key` is its place in `params.yaml`, for messages.

        Raises:
            WeightsError: If a file is absent or damaged, the model segments nothing, or no label names a category.
        """
        self.device, self.classes = device, len(categories)
        what = "semantic segmentation model of transformers"
        kinds = transformers.AutoModelForSemanticSegmentation, transformers.AutoImageProcessor
        loaded, self.processor = load_model(folder, *kinds, what=what)
        self.processor.do_center_crop = False  # the crop's labels would lie on the whole photo
        self.model = loaded.to(device)
        labels: dict[int, str] = {int(label): name for label, name in loaded.config.id2label.items()}
        self.targets = match_labels(labels, categories)
        self.unmatched = tuple(name for label, name in labels.items() if label not in self.targets)
        if not self.targets:
            theirs, ours = (", ".join([*names][:5]) for names in (labels.values(), categories))
            raise WeightsError(
                f"{key}.model: none of its {len(labels)} labels ({theirs}, ...) is a category of the data set ({ours}, "
                "...); choose a model of these categories, or name its labels so in id2label of its config.json"
            )

    @torch.inference_mode()
    def count_votes(self, photo: AnyImage, masks: Sequence[Mask]) -> Int64[np.ndarray, "N K"]:
        """Return the pixels of each mask of the photo that vote for each category.

        A pixel votes for the category of its highest logit among the labels that name one; logits are brought to the
        photo's size bilinearly, as transformers does.
        """
        pixels = self.processor(images=photo, return_tensors="pt")["pixel_values"].to(self.device)
        logits: Tensor = self.model(pixel_values=pixels).logits.float()
        best = torch.full(photo.shape[:2], -torch.inf, device=self.device)
        voted = torch.zeros(photo.shape[:2], dtype=torch.int64, device=self.device)
        # label by label: all at once take 5 GB of a photo of 12 megapixels
        for label, target in self.targets.items():
            size = tuple(photo.shape[:2])
            found = functional.interpolate(logits[:, [label]], size=size, mode="bilinear", align_corners=False)[0, 0]
            voted[found > best] = target
            best = torch.maximum(best, found)
        answers = voted.cpu().numpy()
        return np.stack([np.bincount(answers[mask], minlength=self.classes) for mask in masks])
