"""Tiny SAM, FastSAM and segmentation networks, photos and hostile weights, for tests of mask sources and votes."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline.params.masks import FastSamDecoding, SamDecoding
from pipeline.segmentation.sam import random_tensors

SAM_DECODING = SamDecoding(prompts_per_chunk=16, photos_per_batch=4, threads=1)
FASTSAM_DECODING = FastSamDecoding(
    image_size=128, confidence=0.4, iou=0.9, max_masks=50, min_iou=0.1, photos_per_batch=4, threads=1
)


def tiny_sam(folder: Path) -> Path:
    """Write a SAM of 0.1 M parameters whose masks are sharp enough for a pixel to belong clearly to one side."""
    tensors = random_tensors("tiny")
    generator = torch.Generator().manual_seed(1)
    for name, tensor in tensors.items():
        # Untrained, prompts hardly matter; larger decoder weights make masks depend on them.
        if name.startswith(("mask_decoder", "prompt_encoder")) and tensor.dim() > 1:
            tensors[name] = tensor + 0.2 * torch.randn(tensor.shape, generator=generator)
    path = folder / "tiny.safetensors"
    save_file(tensors, path)
    return path


def tiny_fastsam(folder: Path) -> Path:
    """Write a FastSAM of 0.25 M parameters, saved as ultralytics saves."""
    from pipeline.segmentation.fastsam import write_random  # noqa: PLC0415 - ultralytics may be absent

    path = folder / "tiny.pt"
    write_random("tiny", path)
    return path


def tiny_promptable(folder: Path, kind: str) -> Path:
    """Write `sam2`, `sam3` or `sam_hq` of 0.1 M parameters into a folder, as transformers saves a model."""
    import transformers as library  # noqa: PLC0415 - it may be absent

    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    if kind == "sam2":
        stages = {f"{name}_per_stage": [1, 1, 2, 2] for name in ("num_attention_heads", "blocks")}
        stages |= {"embed_dim_per_stage": [8, 16, 32, 64], "window_size_per_stage": [4, 4, 4, 4]}
        stages |= {"hidden_size": 8, "image_size": [64, 64], "global_attention_blocks": [3]}
        vision = {"backbone_config": {"model_type": "sam2_hiera_det_model", **stages}, "fpn_hidden_size": 16}
        vision |= {"backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]}
        side, patch, config, model = 64, 16, library.Sam2Config, library.Sam2Model
    elif kind == "sam3":
        backbone = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        backbone |= {"image_size": 56, "pretrain_image_size": 28, "window_size": 2, "global_attn_indexes": [1]}
        vision = {"model_type": "sam3_vision_model", "backbone_config": {"model_type": "sam3_vit_model", **backbone}}
        vision |= {"fpn_hidden_size": 16, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]}
        side, patch, config, model = 56, 14, library.Sam3TrackerConfig, library.Sam3TrackerModel
    else:
        vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        vision |= {"image_size": 64, "patch_size": 16, "window_size": 2, "global_attn_indexes": [1], "mlp_dim": 32}
        vision |= {"num_pos_feats": 8}
        decoder |= {"vit_dim": 16}
        side, patch, config, model = 64, 16, library.SamHQConfig, library.SamHQModel
    prompts = {"hidden_size": 16, "image_size": side, "patch_size": patch}
    torch.manual_seed(0)
    network = model(config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    for name, tensor in network.named_parameters():
        # Untrained, prompts hardly matter; larger decoder weights make masks depend on them.
        if name.startswith(("mask_decoder", "prompt_encoder")) and tensor.dim() > 1:
            tensor.data += 0.2 * torch.randn(tensor.shape)
    network.save_pretrained(folder)
    square, quarter = {"height": side, "width": side}, {"height": 16, "width": 16}
    sizes = {"size": square, "mask_size": quarter}
    if kind == "sam_hq":
        sizes = {"size": {"longest_edge": side}, "pad_size": square, "mask_size": {"longest_edge": 16}}
        sizes["mask_pad_size"] = quarter
    names = {"sam2": "Sam2ImageProcessor", "sam3": "Sam3ImageProcessor", "sam_hq": "SamImageProcessor"}
    getattr(library, names[kind])(**sizes).save_pretrained(folder)
    return folder


def tiny_text_sam3(folder: Path) -> Path:
    """Write a SAM 3 that finds what a text names, with a tokenizer of letters, as transformers saves them."""
    import transformers as library  # noqa: PLC0415 - it may be absent

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = library.CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    backbone = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    backbone |= {"image_size": 56, "pretrain_image_size": 28, "window_size": 2, "global_attn_indexes": [1]}
    vision = {"model_type": "sam3_vision_model", "backbone_config": {"model_type": "sam3_vit_model", **backbone}}
    vision |= {"fpn_hidden_size": 16, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]}
    text = {"model_type": "clip_text_model", "vocab_size": len(words), "hidden_size": 16, "intermediate_size": 32}
    text |= {"projection_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32}
    text |= {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    small = {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    network = library.Sam3Model(
        library.Sam3Config(
            vision_config=vision,
            text_config=text,
            geometry_encoder_config=small,
            detr_encoder_config=small,
            detr_decoder_config=small | {"num_queries": 8},
            mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
        )
    )
    for tensor in network.parameters():
        if tensor.dim() > 1:  # untrained, the text hardly matters; larger weights make masks depend on it
            tensor.data += 0.2 * torch.randn(tensor.shape)
    network.save_pretrained(folder)
    images = library.Sam3ImageProcessor(size={"height": 56, "width": 56}, mask_size={"height": 16, "width": 16})
    library.Sam3Processor(images, tokenizer).save_pretrained(folder)
    return folder


def tiny_segmenter(folder: Path, labels: Sequence[str], *, kind: str = "segformer") -> Path:
    """Write `segformer`, `beit` or `mobilevit` of those labels, at most 0.1 M parameters, as transformers saves it."""
    import transformers as library  # noqa: PLC0415 - it may be absent

    named = {"id2label": dict(enumerate(labels)), "label2id": {name: place for place, name in enumerate(labels)}}
    size = {"size": {"height": 64, "width": 64}}
    torch.manual_seed(0)
    if kind == "segformer":
        sizes = {"hidden_sizes": [8, 16, 16, 16], "depths": [1] * 4, "decoder_hidden_size": 32}
        config = library.SegformerConfig(num_attention_heads=[1, 2, 2, 2], mlp_ratios=[2] * 4, **sizes, **named)
        network, images = library.SegformerForSemanticSegmentation(config), library.SegformerImageProcessor(**size)
    elif kind == "beit":
        sizes = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16}
        sizes |= {"image_size": 64, "patch_size": 16, "out_indices": [1, 2, 3, 4], "pool_scales": [1, 2]}
        config = library.BeitConfig(use_auxiliary_head=False, **sizes, **named)
        network, images = library.BeitForSemanticSegmentation(config), library.BeitImageProcessor(**size)
    else:
        sizes = {"hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [8] * 7, "num_attention_heads": 2}
        config = library.MobileViTConfig(aspp_out_channels=8, **sizes, **named)
        network = library.MobileViTForSemanticSegmentation(config)
        images = library.MobileViTImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
    for name, tensor in network.named_parameters():
        if tensor.dim() > 1 and "classifier" in name:  # untrained, one label wins everywhere
            tensor.data = torch.randn(tensor.shape)
    network.save_pretrained(folder)
    images.save_pretrained(folder)
    return folder


def scene(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """Return a photo of flat patches on a gradient: channels differ, so that a swap shows."""
    generator = np.random.default_rng(seed)
    photo = np.empty((height, width, 3), np.uint8)
    photo[...] = np.linspace(0, 200, width, dtype=np.uint8)[:, np.newaxis] // np.array([1, 2, 4], np.uint8)
    for _ in range(6):
        top, left = int(generator.integers(height - 20)), int(generator.integers(width - 20))
        photo[top : top + 20, left : left + 20] = generator.integers(0, 256, 3)
    return photo


class Trap:
    """Pickles into a call that leaves a file behind when somebody runs it."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Touch the file."""
        return Path.touch, (self.path,)


def crafted(path: Path, *, touches: Path) -> Path:
    """Write a weights file that runs code if it is loaded without care."""
    torch.save({"model": Trap(touches)}, path, pickle_module=pickle)
    return path
