"""Masks from prompts by SAM: the photo is encoded once, then every prompt costs little.

Reference:
    Kirillov et al., Segment Anything, arXiv 2304.02643; arXiv 2407.08257, section 3.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling import Sam as SamModel
from segment_anything.modeling.image_encoder import Attention, ImageEncoderViT, get_rel_pos
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn import functional

from pipeline.arrays import AnyImage, Image
from pipeline.datasets.prompts import Prompt
from pipeline.models.device import seeded
from pipeline.models.state_dicts import READ_ERRORS, load_checkpoint_file, write_tensors
from pipeline.params.masks import SamArchitectureName, SamDecoding
from pipeline.runtime.errors import WeightsError, raise_if_machine_error
from pipeline.segmentation.source import MaskPrediction
from pipeline.segmentation.weights import SAM_FILES

# SAM's attention with relative positions by torch's fused kernel instead of one matrix after the other.


HALVES = (torch.bfloat16, torch.float16)
MULTIPLE = 8
"""Of numbers a head, which the flash kernels ask for."""


class FusedAttention(Attention):  # type: ignore[misc]
    """The same function of the same parameters; relative error 1e-6, a fifth less time on a CPU."""

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        """Attend over all H x W places."""
        batch, height, width, dim = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        rows, columns = self._positions(q, height, width)
        # Flash attention, which a GPU has for half precision alone, takes no bias.
        flash = q.is_cuda and q.dtype in HALVES
        attended = attend_in_product(q, k, v, rows, columns) if flash else attend_with_bias(q, k, v, rows, columns)
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, height, width, dim))
        return projected

    def _positions(
        self, q: Float[Tensor, "B N P C"], height: int, width: int
    ) -> tuple[Float[Tensor, "B N H W H"], Float[Tensor, "B N H W W"]]:
        """Return what a place adds to its similarity with all places of each row, and of each column."""
        placed = q.reshape(*q.shape[:2], height, width, -1)
        rows = torch.einsum("bnhwc,hkc->bnhwk", placed, get_rel_pos(height, height, self.rel_pos_h).to(q.dtype))
        columns = torch.einsum("bnhwc,wkc->bnhwk", placed, get_rel_pos(width, width, self.rel_pos_w).to(q.dtype))
        return rows, columns


def attend_with_bias(
    q: Float[Tensor, "B N P C"],
    k: Float[Tensor, "B N P C"],
    v: Float[Tensor, "B N P C"],
    rows: Float[Tensor, "B N H W H"],
    columns: Float[Tensor, "B N H W W"],
) -> Float[Tensor, "B N P C"]:
    """Attend with the sum of both position terms laid out for all pairs of the P = H x W places."""
    bias = (rows[..., :, None] + columns[..., None, :]).flatten(4).flatten(2, 3)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def attend_in_product(
    q: Float[Tensor, "B N P C"],
    k: Float[Tensor, "B N P C"],
    v: Float[Tensor, "B N P C"],
    rows: Float[Tensor, "B N H W H"],
    columns: Float[Tensor, "B N H W W"],
) -> Float[Tensor, "B N P C"]:
    """Attend with both position terms inside the product of queries and keys, so that no P x P table is made.

    A key says in which row and column it lies by a one among zeros, and a query's further numbers are what it adds for
    each row and column. For 4096 places and 12 heads that spares 400 MB a photo and layer.
    """
    height, width, channels = rows.shape[-1], columns.shape[-1], q.shape[-1]
    missing = -(channels + height + width) % MULTIPLE
    place = torch.arange(height * width, device=q.device)
    row_of, column_of = (
        functional.one_hot(at, side) for at, side in ((place // width, height), (place % width, width))
    )
    where = functional.pad(torch.cat((row_of, column_of), dim=1), (0, missing)).to(k.dtype).expand(*k.shape[:3], -1)
    asked = functional.pad(torch.cat((rows.flatten(2, 3), columns.flatten(2, 3)), dim=-1), (0, missing))
    wide_q, wide_k = torch.cat((q * channels**-0.5, asked), dim=-1), torch.cat((k, where), dim=-1)
    wide_v = functional.pad(v, (0, wide_k.shape[-1] - channels))
    return functional.scaled_dot_product_attention(wide_q, wide_k, wide_v, scale=1.0)[..., :channels]


def fuse_attention(encoder: ImageEncoderViT) -> None:
    """Let every block of an encoder attend by the fused kernel, in place; names of parameters stay."""
    for block in encoder.blocks:
        # The blocks build their attention themselves; only its method differs.
        block.attn.__class__ = FusedAttention


# The architectures of segment-anything, and one small enough for trials.


PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of RGB in [0, 255]: what SAM was trained with."""
MASKS_PER_POINT = 3
"""Whole, part and subpart."""


@dataclass(frozen=True, slots=True)
class SamArchitecture:
    """What distinguishes one SAM from another; the defaults are those of the official ones."""

    embed_dim: int
    """Width of the image encoder."""
    depth: int
    """Blocks of the image encoder."""
    heads: int
    """Attention heads of a block."""
    global_blocks: tuple[int, ...]
    """Blocks that attend over the whole photo; the others attend within windows."""
    image_size: int = 1024
    """Side in pixels to which photos are fitted."""
    window: int = 14
    """Side of a window in patches."""
    decoder_dim: int = 256
    """Width of image features, prompts and decoder."""
    decoder_mlp: int = 2048
    """Hidden units of the decoder's blocks."""
    decoder_heads: int = 8
    """Attention heads of the decoder."""
    patch: int = 16
    """Side of a patch in pixels."""


ARCHITECTURES: dict[SamArchitectureName, SamArchitecture] = {
    "vit_b": SamArchitecture(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": SamArchitecture(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": SamArchitecture(1280, 32, 16, (7, 15, 23, 31)),
    "tiny": SamArchitecture(32, 2, 2, (1,), image_size=256, window=7, decoder_dim=32, decoder_mlp=64, decoder_heads=2),
}


def build_sam(architecture: SamArchitecture) -> SamModel:
    """Return a SAM in eval mode, initialised at random, whose encoder attends by fused kernels."""
    side = architecture.image_size // architecture.patch
    dim = architecture.decoder_dim
    model = SamModel(
        image_encoder=_image_encoder(architecture),
        prompt_encoder=PromptEncoder(
            embed_dim=dim,
            image_embedding_size=(side, side),
            input_image_size=(architecture.image_size, architecture.image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=MASKS_PER_POINT,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=dim, mlp_dim=architecture.decoder_mlp, num_heads=architecture.decoder_heads
            ),
            transformer_dim=dim,
            iou_head_depth=3,
            iou_head_hidden_dim=dim,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    fuse_attention(model.image_encoder)
    return model.eval().requires_grad_(requires_grad=False)


def _image_encoder(architecture: SamArchitecture) -> ImageEncoderViT:
    return ImageEncoderViT(
        depth=architecture.depth,
        embed_dim=architecture.embed_dim,
        img_size=architecture.image_size,
        mlp_ratio=4,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=architecture.heads,
        patch_size=architecture.patch,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=architecture.global_blocks,
        window_size=architecture.window,
        out_chans=architecture.decoder_dim,
    )


# Weights of SAM: read from a file without running code of it, or drawn at random for trials.


SEED = 0
"""Of random weights."""


def random_tensors(architecture: SamArchitectureName) -> dict[str, Tensor]:
    """Return the state dict of an untrained SAM, the same every time; its masks mean nothing."""
    with seeded(SEED, "sam", architecture):
        return dict(build_sam(ARCHITECTURES[architecture]).state_dict())


def load_sam(path: Path, architecture: SamArchitectureName) -> SamModel:
    """Return a SAM with the weights of a .pth or .safetensors file, on the CPU.

    Raises:
        WeightsError: If the file is absent, damaged, wants to run code, or holds another network.
    """
    return with_tensors(read_sam_tensors(path, architecture), architecture, path)


def read_sam_tensors(path: Path, architecture: SamArchitectureName) -> dict[str, Tensor]:
    """Read a state dict; pickles are read with `weights_only`, so that no code of theirs runs.

    Raises:
        WeightsError: If the file is absent, damaged, or holds other things than named tensors.
    """
    try:
        tensors = (
            safetensors.torch.load_file(path)
            if path.suffix == ".safetensors"
            else load_checkpoint_file(path, mmap=True)
        )
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file; {wanted(architecture)}") from error
    except READ_ERRORS as error:
        raise_if_machine_error(path, error)
        text = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: not a readable state dict ({text}); {wanted(architecture)}") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise WeightsError(f"{path}: holds other things than named tensors; {wanted(architecture)}")
    return tensors


def write_sam(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a state dict as safetensors."""
    write_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def with_tensors(tensors: dict[str, Tensor], architecture: SamArchitectureName, path: Path) -> SamModel:
    """Return a SAM that holds these very tensors.

    Raises:
        WeightsError: If they are those of another network.
    """
    with torch.device("meta"):  # no time goes into random numbers that are replaced at once
        model = build_sam(ARCHITECTURES[architecture])
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        wrong = sorted(shapes.keys() ^ tensors.keys()) or sorted(n for n in shapes if shapes[n] != tensors[n].shape)
        raise WeightsError(
            f"{path}: not the weights of SAM {architecture}: {len(wrong)} tensors differ, first {wrong[0]}; "
            f"{wanted(architecture)}, or correct masks.sam.architecture"
        )
    model.load_state_dict(tensors, assign=True)
    return model


def wanted(architecture: SamArchitectureName) -> str:
    """Say which file would do."""
    file = SAM_FILES.get(architecture)
    if file is None:
        return f"SAM {architecture} has no official weights: set masks.sam.weights to random"
    return f"fetch {file.url} ({file.size / 1e6:.0f} MB) and set masks.sam.weights to its path"


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

    def answer(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return one answer per prompt; the score is SAM's estimate of its mask's IoU."""
        return self.answer_batch([photo], [prompts])[0]

    @torch.inference_mode()
    def answer_batch(
        self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[MaskPrediction]]:
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

    def _decode(self, photo: Encoded, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        answers: dict[int, MaskPrediction] = {}
        # Prompts of different kinds have different numbers of points; padding to one length would move the masks.
        for kind in sorted({prompt.kind for prompt in prompts}):
            places = [place for place, prompt in enumerate(prompts) if prompt.kind == kind]
            for first in range(0, len(places), self.decoding.prompts_per_chunk):
                chunk = places[first : first + self.decoding.prompts_per_chunk]
                answers |= zip(chunk, self._decode_chunk(photo, [prompts[place] for place in chunk]), strict=True)
        return [answers[place] for place in range(len(prompts))]

    def _decode_chunk(self, photo: Encoded, prompts: Sequence[Prompt]) -> Iterator[MaskPrediction]:
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
            yield MaskPrediction(mask, score if mask.any() else 0.0)

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
