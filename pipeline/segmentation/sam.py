"""SAM: the photo is encoded once, then every prompt costs little.

Reference:
    Kirillov et al., Segment Anything, arXiv 2304.02643; arXiv 2407.08257, section 3.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

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

from pipeline.arrays import AnyImage
from pipeline.datasets.prompts import Prompt
from pipeline.models.device import seeded
from pipeline.models.state_dicts import READ_ERRORS, load_checkpoint_file
from pipeline.params.masks import SamArchitectureName, SamDecoding
from pipeline.runtime.errors import WeightsError, raise_if_machine_error
from pipeline.segmentation.mask_source import SAM_DECODING, MaskPrediction, NetworkSource, predict_in_chunks
from pipeline.segmentation.weights import SAM_FILES

HALF_DTYPES = (torch.bfloat16, torch.float16)
HEAD_DIM_MULTIPLE = 8  # the flash kernels take head dimensions that are multiples of it
PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of RGB in [0, 255]
Device: TypeAlias = torch.device | str


class FusedAttention(Attention):  # type: ignore[misc]
    """Attention with relative positions by torch's fused kernel; relative error 1e-6, a fifth less time on a CPU."""

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        """Attend over all H x W places."""
        batch, height, width, dim = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        grid = q.reshape(*q.shape[:2], height, width, -1)
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, get_rel_pos(height, height, self.rel_pos_h).to(q.dtype))
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, get_rel_pos(width, width, self.rel_pos_w).to(q.dtype))
        # Flash attention, which a GPU has for half precision alone, takes no bias.
        flash = q.is_cuda and q.dtype in HALF_DTYPES
        attended = attend_in_product(q, k, v, rows, columns) if flash else attend_with_bias(q, k, v, rows, columns)
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, height, width, dim))
        return projected


PlaceFeatures: TypeAlias = Float[Tensor, "B N P C"]  # of N heads for P = H x W places
RowTerms: TypeAlias = Float[Tensor, "B N H W H"]
ColumnTerms: TypeAlias = Float[Tensor, "B N H W W"]


def attend_with_bias(
    q: PlaceFeatures, k: PlaceFeatures, v: PlaceFeatures, rows: RowTerms, columns: ColumnTerms
) -> PlaceFeatures:
    """Attend with the sum of both position terms laid out for all pairs of the P = H x W places."""
    bias = (rows[..., :, None] + columns[..., None, :]).flatten(4).flatten(2, 3)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def attend_in_product(
    q: PlaceFeatures, k: PlaceFeatures, v: PlaceFeatures, rows: RowTerms, columns: ColumnTerms
) -> PlaceFeatures:
    """Attend with both position terms inside the product of queries and keys, without a P x P table.

    Keys are extended by one-hot codes of their row and column, queries by their terms of each row and column. With 4096
    places and 12 heads that saves 400 MB a photo and layer.
    """
    height, width, channels = rows.shape[-1], columns.shape[-1], q.shape[-1]
    padding = -(channels + height + width) % HEAD_DIM_MULTIPLE
    place = torch.arange(height * width, device=q.device)
    codes = torch.cat((functional.one_hot(place // width, height), functional.one_hot(place % width, width)), dim=1)
    one_hot = functional.pad(codes, (0, padding)).to(k.dtype).expand(*k.shape[:3], -1)
    terms = functional.pad(torch.cat((rows.flatten(2, 3), columns.flatten(2, 3)), dim=-1), (0, padding))
    wide_q, wide_k = torch.cat((q * channels**-0.5, terms), dim=-1), torch.cat((k, one_hot), dim=-1)
    wide_v = functional.pad(v, (0, wide_k.shape[-1] - channels))
    return functional.scaled_dot_product_attention(wide_q, wide_k, wide_v, scale=1.0)[..., :channels]


class SamArchitecture(NamedTuple):
    """What distinguishes one SAM from another; the defaults are those of the official ones."""

    embed_dim: int  # of the image encoder, as depth and heads
    depth: int
    heads: int
    global_blocks: tuple[int, ...]  # blocks that attend over the whole photo; the others attend within windows
    image_size: int = 1024  # side in pixels to which photos are fitted
    window: int = 14  # side of a window in patches
    decoder_dim: int = 256  # width of image features, prompts and decoder
    decoder_mlp: int = 2048  # hidden units of the decoder's blocks
    decoder_heads: int = 8
    patch: int = 16  # side of a patch in pixels


ARCHITECTURES: dict[SamArchitectureName, SamArchitecture] = {
    "vit_b": SamArchitecture(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": SamArchitecture(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": SamArchitecture(1280, 32, 16, (7, 15, 23, 31)),
    "tiny": SamArchitecture(32, 2, 2, (1,), image_size=256, window=7, decoder_dim=32, decoder_mlp=64, decoder_heads=2),
}


def build_sam(architecture: SamArchitecture) -> SamModel:
    """Return a SAM in eval mode, initialised at random, whose encoder attends by fused kernels."""
    size, dim = architecture.image_size, architecture.decoder_dim
    side = size // architecture.patch
    model = SamModel(
        image_encoder=ImageEncoderViT(
            depth=architecture.depth,
            embed_dim=architecture.embed_dim,
            img_size=size,
            mlp_ratio=4,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=architecture.heads,
            patch_size=architecture.patch,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=architecture.global_blocks,
            window_size=architecture.window,
            out_chans=dim,
        ),
        prompt_encoder=PromptEncoder(dim, (side, side), (size, size), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,  # whole, part and subpart
            transformer=TwoWayTransformer(2, dim, architecture.decoder_heads, architecture.decoder_mlp),
            transformer_dim=dim,
            iou_head_depth=3,
            iou_head_hidden_dim=dim,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    for block in model.image_encoder.blocks:
        block.attn.__class__ = FusedAttention  # the blocks build their attention themselves; only its method differs
    return model.eval().requires_grad_(requires_grad=False)


def random_tensors(architecture: SamArchitectureName) -> dict[str, Tensor]:
    """Return the state dict of an untrained SAM, the same every time; its masks mean nothing."""
    with seeded(0, "sam", architecture):
        return dict(build_sam(ARCHITECTURES[architecture]).state_dict())


def load_sam(path: Path, architecture: SamArchitectureName) -> SamModel:
    """Return a SAM that holds the very tensors of a .pth or .safetensors file, on the CPU; no code of a pickle runs.

    Raises:
        WeightsError: If the file is absent, damaged, no state dict, or that of another network.
    """
    hint = download_hint(architecture)
    try:
        safe = path.suffix == ".safetensors"
        tensors = safetensors.torch.load_file(path) if safe else load_checkpoint_file(path, mmap=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file; {hint}") from error
    except READ_ERRORS as error:
        raise_if_machine_error(path, error)
        text = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: not a readable state dict ({text}); {hint}") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise WeightsError(f"{path}: holds other things than named tensors; {hint}")
    with torch.device("meta"):  # no time goes into random numbers that are replaced at once
        model = build_sam(ARCHITECTURES[architecture])
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        wrong = sorted(shapes.keys() ^ tensors.keys()) or sorted(n for n in shapes if shapes[n] != tensors[n].shape)
        raise WeightsError(
            f"{path}: not the weights of SAM {architecture}: {len(wrong)} tensors differ, first {wrong[0]}; "
            f"{hint}, or correct masks.sam.architecture"
        )
    model.load_state_dict(tensors, assign=True)
    return model


def download_hint(architecture: SamArchitectureName) -> str:
    """Return a message that names the official file."""
    file = SAM_FILES.get(architecture)
    if file is None:
        return f"SAM {architecture} has no official weights: set masks.sam.weights to random"
    return f"fetch {file.url} ({file.size / 1e6:.0f} MB) and set masks.sam.weights to its path"


class EncodedPhoto(NamedTuple):
    """Input of the decoder; sizes are height and width in pixels."""

    features: Float[Tensor, "1 C S S"]
    resized: tuple[int, int]  # of the photo inside the encoder's square
    size: tuple[int, int]  # of the photo


class Sam(NetworkSource):
    """Mask source of the package segment-anything; the score is SAM's estimate of its mask's IoU."""

    name = "sam"
    decoding: SamDecoding

    def __init__(
        self, weights: Path, *, architecture: SamArchitectureName, device: Device, decoding: SamDecoding = SAM_DECODING
    ) -> None:
        """Load a state dict, .pth or .safetensors; errors are those of `load_sam`."""
        self.device, self.decoding = torch.device(device), decoding
        self.model = load_sam(weights, architecture).to(self.device)
        self.transform = ResizeLongestSide(self.model.image_encoder.img_size)

    @torch.inference_mode()
    def predict_batch(
        self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[MaskPrediction]]:
        """Return the predictions of several photos; each photo passes the encoder once."""
        size = self.decoding.prompts_per_chunk
        encoded = zip(self._encode(photos), prompts, strict=True)
        return [predict_in_chunks(asked, size, partial(self._decode, photo)) for photo, asked in encoded]

    def _encode(self, photos: Sequence[AnyImage]) -> Iterator[EncodedPhoto]:
        for rows in self.micro_batches(photos):
            batch = photos[rows]
            resized = [self.transform.apply_image(photo) for photo in batch]
            tensors = [torch.from_numpy(image).to(self.device).permute(2, 0, 1).float() for image in resized]
            pixels = torch.stack([self.model.preprocess(tensor) for tensor in tensors])
            # The encoder alone computes in bf16, and on a GPU alone: on a CPU that is fifteen times slower.
            with nullcontext() if self.device.type != "cuda" else torch.autocast("cuda", torch.bfloat16):
                features = self.model.image_encoder(pixels)
            for photo, image, own in zip(batch, resized, features.float(), strict=True):
                yield EncodedPhoto(own[None], image.shape[:2], photo.shape[:2])

    def _decode(self, photo: EncodedPhoto, prompts: Sequence[Prompt]) -> Iterator[MaskPrediction]:
        """Yield the predictions of prompts of one kind, upsampling only the best mask of each."""
        clicks, corners = [prompt.point for prompt in prompts if prompt.point], [p.box for p in prompts if p.box]
        points = boxes = None
        if clicks:
            labels = torch.ones(len(clicks), 1, dtype=torch.int, device=self.device)
            points = self._scale(photo, np.array(clicks)[:, np.newaxis]), labels
        if corners:
            boxes = self._scale(photo, np.array(corners).reshape(-1, 2, 2)).flatten(1)
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
        masks = self.model.postprocess_masks(logits, photo.resized, photo.size)[:, 0] > self.model.mask_threshold
        scores = quality.take_along_dim(best, dim=1)[:, 0].clamp(0, 1)
        for mask, score in zip(masks.cpu().numpy(), scores.tolist(), strict=True):
            yield MaskPrediction(mask, score if mask.any() else 0.0)

    def _scale(self, photo: EncodedPhoto, corners: Float[np.ndarray, "P N 2"]) -> Float[Tensor, "P N 2"]:
        """Return pixels of the photo as pixels of the encoder's square."""
        scaled = self.transform.apply_coords(corners, photo.size)
        return torch.as_tensor(scaled, dtype=torch.float, device=self.device)
