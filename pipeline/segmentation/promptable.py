"""Any model of the package transformers that answers clicks and boxes: SAM 2, SAM 3, SAM-HQ, EdgeTAM, SAM.

They share one interface: an image processor, `get_image_embeddings`, and a decoder that takes these and prompts.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import transformers
from jaxtyping import Float
from torch import Tensor

from pipeline.arrays import AnyImage
from pipeline.datasets.prompts import Prompt
from pipeline.params.masks import SamDecoding
from pipeline.runtime.errors import WeightsError, one_line, raise_if_machine_error
from pipeline.segmentation.mask_source import MaskPrediction, NetworkSource

DECODING = SamDecoding(prompts_per_chunk=16, photos_per_batch=8, threads=2)
Embeddings: TypeAlias = "Tensor | Sequence[Embeddings]"  # photos along the first axis; models nest them differently
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def load_promptable(folder: Path) -> tuple[Any, Any]:
    """Return model and image processor of a folder as transformers saves them, on the CPU; no code of the folder runs.

    Raises:
        WeightsError: If a file is absent or damaged, the model takes no prompts, or tensors are missing.
    """
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(folder, **options)
        model, found = transformers.AutoModelForMaskGeneration.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
    except Exception as error:  # it lets through whatever a damaged file makes its parts raise
        raise_if_machine_error(folder, error)
        raise WeightsError(
            f"{folder}: no model of transformers that takes clicks and boxes ({one_line(error)})"
        ) from error
    if wrong := sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])}):
        what = f"{len(wrong)} tensors are missing or of another shape, first {wrong[0]}"
        raise WeightsError(f"{folder}: not the weights of a {type(model).__name__}: {what}")
    return model.eval().requires_grad_(requires_grad=False), processor


class Promptable(NetworkSource):
    """Mask source of the package transformers; the score is the model's estimate of its mask's IoU."""

    decoding: SamDecoding

    def __init__(
        self, folder: Path, *, name: str, device: torch.device | str, decoding: SamDecoding = DECODING
    ) -> None:
        """Load a folder; errors are those of `load_promptable`."""
        self.name, self.device, self.decoding = name, torch.device(device), decoding
        model, self.processor = load_promptable(folder)
        self.model = model.to(self.device)

    @torch.inference_mode()
    def predict_batch(
        self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[MaskPrediction]]:
        """Return the predictions of several photos; each photo passes the encoder once."""
        predictions = []
        for rows in self.passes(photos):
            batch = photos[rows]
            inputs = self.processor(images=list(batch), return_tensors="pt")
            # The encoder alone computes in bf16, and on a GPU alone.
            with nullcontext() if self.device.type != "cuda" else torch.autocast("cuda", torch.bfloat16):
                embeddings = self.model.get_image_embeddings(inputs["pixel_values"].to(self.device))
            for row, (photo, asked) in enumerate(zip(batch, prompts[rows], strict=True)):
                # SAM's longer side fills the square; the others' photos are stretched to it.
                inner = {name: inputs[name][row : row + 1] for name in ("reshaped_input_sizes",) if name in inputs}
                resized = inner["reshaped_input_sizes"][0].tolist() if inner else inputs["pixel_values"].shape[-2:]
                predictions.append(self._decode(_of_photo(embeddings, row), photo.shape[:2], resized, inner, asked))
        return predictions

    def _decode(
        self,
        embeddings: Embeddings,
        size: tuple[int, ...],
        resized: Sequence[int],
        inner: dict[str, Tensor],
        prompts: Sequence[Prompt],
    ) -> list[MaskPrediction]:
        predictions: dict[int, MaskPrediction] = {}
        scale = np.array([resized[1] / size[1], resized[0] / size[0]])
        # Prompts of different kinds have different numbers of points; padding to one length would move the masks.
        for kind in sorted({prompt.kind for prompt in prompts}):
            indices = [index for index, prompt in enumerate(prompts) if prompt.kind == kind]
            for first in range(0, len(indices), self.decoding.prompts_per_chunk):
                chunk = indices[first : first + self.decoding.prompts_per_chunk]
                logits, quality = self._mask_logits(embeddings, [prompts[index] for index in chunk], scale)
                masks = self.processor.post_process_masks([logits], [size], **inner)[0][:, 0].cpu().numpy()
                for index, mask, score in zip(chunk, masks, quality.tolist(), strict=True):
                    predictions[index] = MaskPrediction(mask, score if mask.any() else 0.0)
        return [predictions[index] for index in range(len(prompts))]

    def _mask_logits(
        self, embeddings: Embeddings, prompts: Sequence[Prompt], scale: Float[np.ndarray, "2"]
    ) -> tuple[Float[Tensor, "P 1 h w"], Float[Tensor, " P"]]:
        """Return the logits of the best mask of each prompt, all of one kind, and the IoU it is thought to have."""
        clicks, corners = [prompt.point for prompt in prompts if prompt.point], [p.box for p in prompts if p.box]
        asked: dict[str, Any] = {
            "multimask_output": prompts[0].kind == "point"
        }  # a click may mean whole, part, subpart
        if clicks:
            asked["input_points"] = self._tensor(np.array(clicks).reshape(1, -1, 1, 2) * scale)
            asked["input_labels"] = torch.ones(1, len(clicks), 1, dtype=torch.int, device=self.device)
        if corners:
            asked["input_boxes"] = self._tensor((np.array(corners).reshape(-1, 2, 2) * scale).reshape(1, -1, 4))
        if isinstance(embeddings, list) and isinstance(embeddings[-1], list):  # SAM-HQ's decoder sees early layers, too
            embeddings, asked["intermediate_embeddings"] = embeddings
        answer = self.model(image_embeddings=embeddings, **asked)
        logits, quality = answer.pred_masks[0], answer.iou_scores[0]
        best = quality.argmax(dim=1, keepdim=True)
        logits = logits.take_along_dim(best[:, :, None, None], dim=1)
        return logits, quality.take_along_dim(best, dim=1)[:, 0].clamp(0, 1)

    def _tensor(self, coordinates: Float[np.ndarray, "..."]) -> Tensor:
        return torch.as_tensor(coordinates, dtype=torch.float, device=self.device)


def _of_photo(embeddings: Embeddings, row: int) -> Embeddings:
    """Return the embeddings of one photo in fp32."""
    if isinstance(embeddings, Tensor):
        return embeddings[row : row + 1].float()
    return [_of_photo(part, row) for part in embeddings]
