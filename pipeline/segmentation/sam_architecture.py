"""The architectures of segment-anything, and one small enough for trials."""

from dataclasses import dataclass
from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from pipeline.params.masks import SamArchitectureName
from pipeline.segmentation.fused_attention import fuse_attention

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


def build_sam(architecture: SamArchitecture) -> Sam:
    """Return a SAM in eval mode, initialised at random, whose encoder attends by fused kernels."""
    side = architecture.image_size // architecture.patch
    dim = architecture.decoder_dim
    model = Sam(
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
