"""Any model of the package transformers that answers clicks and boxes: SAM 2, SAM 3, SAM-HQ, EdgeTAM, SAM.

They share one interface: an image processor, `get_image_embeddings`, and a decoder that takes these and prompts. SAM 3
also finds what a text names, by another network of the same repository.

Reference:
    SAM 3: Segment Anything with Concepts, arXiv 2511.16719.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
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
from pipeline.runtime.errors import ParamsError, WeightsError, one_line, raise_if_machine_error
from pipeline.segmentation.mask_source import SAM_DECODING, MaskPrediction, NetworkSource, predict_in_chunks

Embeddings: TypeAlias = "Tensor | Sequence[Embeddings]"  # photos along the first axis; models nest them differently
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def load_promptable(folder: Path) -> tuple[Any, Any]:
    """Return a model that takes prompts, and its image processor; see `load_model`."""
    kinds = transformers.AutoModelForMaskGeneration, transformers.AutoImageProcessor
    return load_model(folder, *kinds, what="model of transformers that takes clicks and boxes")


def load_model(folder: Path, model_class: Any, processor_class: Any, *, what: str) -> tuple[Any, Any]:
    """Return model and processor of a folder as transformers saves them, on the CPU; no code of the folder runs.

    `what` says in messages what models of that class are.

    Raises:
        WeightsError: If a file is absent or damaged, the model is of another task, or tensors are missing.
    """
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = processor_class.from_pretrained(folder, **options)
        model, found = model_class.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
    except Exception as error:  # it lets through whatever a damaged file makes its parts raise
        raise_if_machine_error(folder, error)
        raise WeightsError(f"{folder}: no {what} ({one_line(error)})") from error
    if wrong := sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])}):
        missing = f"{len(wrong)} tensors are missing or of another shape, first {wrong[0]}"
        raise WeightsError(f"{folder}: not the weights of a {type(model).__name__}: {missing}")
    return model.eval().requires_grad_(requires_grad=False), processor


class Promptable(NetworkSource):
    """Mask source of the package transformers; the score is the model's estimate of its mask's IoU."""

    decoding: SamDecoding

    def __init__(
        self, folder: Path, *, name: str, device: torch.device | str, decoding: SamDecoding = SAM_DECODING
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
        for rows in self.micro_batches(photos):
            batch = photos[rows]
            inputs = self.processor(images=list(batch), return_tensors="pt")
            # The encoder alone computes in bf16, and on a GPU alone.
            with nullcontext() if self.device.type != "cuda" else torch.autocast("cuda", torch.bfloat16):
                embeddings = self.model.get_image_embeddings(inputs["pixel_values"].to(self.device))
            for row, (photo, asked) in enumerate(zip(batch, prompts[rows], strict=True)):
                # SAM's longer side fills the square; the others' photos are stretched to it.
                inner = {name: inputs[name][row : row + 1] for name in ("reshaped_input_sizes",) if name in inputs}
                resized = inner["reshaped_input_sizes"][0].tolist() if inner else inputs["pixel_values"].shape[-2:]
                decode = partial(self._decode, _of_photo(embeddings, row), photo.shape[:2], resized, inner)
                predictions.append(predict_in_chunks(asked, self.decoding.prompts_per_chunk, decode))
        return predictions

    def _decode(
        self,
        embeddings: Embeddings,
        size: tuple[int, ...],
        resized: Sequence[int],
        inner: dict[str, Tensor],
        prompts: Sequence[Prompt],
    ) -> Iterator[MaskPrediction]:
        """Yield the predictions of prompts of one kind, upsampling only the best mask of each."""
        scale = np.array([resized[1] / size[1], resized[0] / size[0]])
        clicks, corners = [prompt.point for prompt in prompts if prompt.point], [p.box for p in prompts if p.box]
        asked: dict[str, Any] = {"multimask_output": prompts[0].kind == "point"}  # it may mean whole, part, subpart
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
        masks = self.processor.post_process_masks([logits], [size], **inner)[0][:, 0].cpu().numpy()
        scores = quality.take_along_dim(best, dim=1)[:, 0].clamp(0, 1)
        for mask, score in zip(masks, scores.tolist(), strict=True):
            yield MaskPrediction(mask, score if mask.any() else 0.0)

    def _tensor(self, coordinates: Float[np.ndarray, "..."]) -> Tensor:
        return torch.as_tensor(coordinates, dtype=torch.float, device=self.device)


def _of_photo(embeddings: Embeddings, row: int) -> Embeddings:
    """Return the embeddings of one photo in fp32."""
    if isinstance(embeddings, Tensor):
        return embeddings[row : row + 1].float()
    return [_of_photo(part, row) for part in embeddings]


class TextSource:
    """SAM 3 as a source of candidates: what texts name, such as "food"; the score is its confidence."""

    name = "sam3"

    def __init__(self, folder: Path, texts: Sequence[str], *, device: torch.device | str, min_score: float) -> None:
        """Load a folder as transformers saves SAM 3, with its tokenizer.

        Args:
            folder: Repository facebook/sam3, or what `save_pretrained` wrote of a `Sam3Model` and a `Sam3Processor`.
            texts: Each a noun phrase, found on its own.
            device: Of the network.
            min_score: Confidence in [0, 1] below which nothing is found.

        Raises:
            ParamsError: If a text is empty or too long.
            WeightsError: If a file is absent or damaged, or tensors are missing.
        """
        self.device, self.min_score = torch.device(device), min_score
        kinds = transformers.Sam3Model, transformers.Sam3Processor
        model, self.processor = load_model(folder, *kinds, what="SAM 3 that finds what a text names")
        longest, self.tokens = model.config.text_config.max_position_embeddings, []
        for text in texts:
            tokens = self.processor.tokenizer(text, return_tensors="pt", padding="max_length", max_length=longest)
            if not text.strip() or tokens["input_ids"].shape[1] > longest:
                raise ParamsError(
                    f"--text {text[:40]!r}: name what is to be found in a few words, such as food or red rice"
                )
            self.tokens.append(tokens.to(self.device))
        self.model = model.to(self.device)

    @torch.inference_mode()
    def candidates(self, photo: AnyImage) -> list[MaskPrediction]:
        """Return what each text names in a photo, which passes the encoder once."""
        pixels = self.processor.image_processor(images=photo, return_tensors="pt")["pixel_values"].to(self.device)
        found = []
        # As its authors: bf16 on a GPU.
        with nullcontext() if self.device.type != "cuda" else torch.autocast("cuda", torch.bfloat16):
            features = self.model.get_vision_features(pixels)
            answers = [self.model(vision_embeds=features, **tokens) for tokens in self.tokens]
        for answer in answers:
            answer.pred_masks, answer.pred_logits = answer.pred_masks.float(), answer.pred_logits.float()
            (result,) = self.processor.post_process_instance_segmentation(
                answer, threshold=self.min_score, target_sizes=[photo.shape[:2]]
            )
            masks = result["masks"].cpu().numpy().astype(np.bool_)
            found += [MaskPrediction(*each) for each in zip(masks, result["scores"].tolist(), strict=True)]
        return found
