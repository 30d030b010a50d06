"""Masks from prompts by SAM: the photo is encoded once, then every prompt costs little.

Reference:
    Kirillov et al., Segment Anything, arXiv 2304.02643; arXiv 2407.08257, section 3.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from pipeline.arrays import AnyImage, Image
from pipeline.datasets.prompts import Prompt
from pipeline.params.masks import SamArchitectureName, SamDecoding
from pipeline.segmentation.sam_weights import load_sam
from pipeline.segmentation.source import Answer

DECODING = SamDecoding(prompts_per_chunk=16, photos_per_batch=8, threads=2)
"""Used where nobody says otherwise."""


class Encoded(NamedTuple):
    """One photo as the decoder sees it."""

    features: Float[Tensor, "1 C S S"]
    """Image embedding."""
    fitted: tuple[int, int]
    """Height and width in pixels of the photo inside the encoder's square."""
    size: tuple[int, int]
    """Height and width in pixels of the photo."""


class Sam:
    """Mask source of the package segment-anything."""

    name = "sam"

    def __init__(
        self,
        weights: Path,
        *,
        architecture: SamArchitectureName,
        device: torch.device | str,
        decoding: SamDecoding = DECODING,
    ) -> None:
        """Load weights.

        Args:
            weights: State dict, .pth or .safetensors.
            architecture: Whose weights they are.
            device: Where to run.
            decoding: How many photos and prompts go together.

        Raises:
            WeightsError: If the weights cannot be read or are those of another network.
        """
        self.device = torch.device(device)
        self.model = load_sam(weights, architecture).to(self.device)
        self.fit = ResizeLongestSide(self.model.image_encoder.img_size)
        self.decoding = decoding

    def answer(self, photo: Image, prompts: Sequence[Prompt]) -> list[Answer]:
        """Return one answer per prompt; the score is SAM's estimate of its mask's IoU."""
        return self.answer_batch([photo], [prompts])[0]

    @torch.inference_mode()
    def answer_batch(self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        """Return the answers of several photos; each photo passes the encoder once."""
        return [self._decode(photo, asked) for photo, asked in zip(self._encode(photos), prompts, strict=True)]

    def _encode(self, photos: Sequence[AnyImage]) -> Iterator[Encoded]:
        # On a CPU photos gain nothing from company, and alone their bytes do not depend on it.
        together = 1 if self.device.type == "cpu" else self.decoding.photos_per_batch
        for first in range(0, len(photos), together):
            group = photos[first : first + together]
            fitted = [self.fit.apply_image(photo) for photo in group]
            tensors = [torch.from_numpy(image).to(self.device).permute(2, 0, 1).float() for image in fitted]
            with self._half_precision():
                features = self.model.image_encoder(torch.stack([self.model.preprocess(each) for each in tensors]))
            for photo, image, own in zip(group, fitted, features.float(), strict=True):
                yield Encoded(own[None], image.shape[:2], photo.shape[:2])

    def _half_precision(self) -> AbstractContextManager[object]:
        """Let the encoder alone compute in bf16 where that is fast; on a CPU it is fifteen times slower."""
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()

    def _decode(self, photo: Encoded, prompts: Sequence[Prompt]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        # Prompts of different kinds have different numbers of points; padding to one length would move the masks.
        for kind in sorted({prompt.kind for prompt in prompts}):
            places = [place for place, prompt in enumerate(prompts) if prompt.kind == kind]
            for first in range(0, len(places), self.decoding.prompts_per_chunk):
                chunk = places[first : first + self.decoding.prompts_per_chunk]
                answers |= zip(chunk, self._decode_chunk(photo, [prompts[place] for place in chunk]), strict=True)
        return [answers[place] for place in range(len(prompts))]

    def _decode_chunk(self, photo: Encoded, prompts: Sequence[Prompt]) -> Iterator[Answer]:
        """Yield the answers to prompts of one kind, upsampling only the best mask of each."""
        points, boxes = self._points(photo, prompts), self._boxes(photo, prompts)
        sparse, dense = self.model.prompt_encoder(points=points, boxes=boxes, masks=None)
        logits, quality = self.model.mask_decoder(
            image_embeddings=photo.features,
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=prompts[0].kind == "point",  # a lone click may mean the whole, a part or a subpart
        )
        best = quality.argmax(dim=1, keepdim=True)
        logits = logits.take_along_dim(best[:, :, None, None], dim=1)
        masks = self.model.postprocess_masks(logits, photo.fitted, photo.size)[:, 0] > self.model.mask_threshold
        scores = quality.take_along_dim(best, dim=1)[:, 0].clamp(0, 1)
        for mask, score in zip(masks.cpu().numpy(), scores.tolist(), strict=True):
            yield Answer(mask, score if mask.any() else 0.0)

    def _points(self, photo: Encoded, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor] | None:
        points = [prompt.point for prompt in prompts if prompt.point]
        if not points:
            return None
        fitted = self._fitted(photo, np.array(points)[:, np.newaxis])
        return fitted, torch.ones(len(points), 1, dtype=torch.int, device=self.device)

    def _boxes(self, photo: Encoded, prompts: Sequence[Prompt]) -> Tensor | None:
        boxes = [prompt.box for prompt in prompts if prompt.box]
        return self._fitted(photo, np.array(boxes).reshape(-1, 2, 2)).flatten(1) if boxes else None

    def _fitted(self, photo: Encoded, corners: Float[np.ndarray, "P N 2"]) -> Float[Tensor, "P N 2"]:
        scaled = self.fit.apply_coords(corners, photo.size)
        return torch.as_tensor(scaled, dtype=torch.float, device=self.device)
