"""SAM by a network of 0.1 M parameters."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling.image_encoder import Attention

from pipeline.datasets.prompts import Prompt
from pipeline.segmentation.mask_source import MaskPrediction, MaskSource
from pipeline.segmentation.sam import FusedAttention, Sam, attend_in_product, attend_with_bias
from tests.mask_sources import SAM_DECODING, scene, tiny_sam

PROMPTS = [
    *(Prompt("box", (5.0 + 3 * i, 4.0 + i, 40.0 + 3 * i, 50.0 + i)) for i in range(20)),
    *(Prompt("point", (7.0 * i, 5.0 * i)) for i in range(12)),
    *(Prompt("box_point", (10.0, 10.0 + i, 70.0, 80.0, 30.0, 40.0)) for i in range(9)),
]
PIXELS = 3
"""By how much sums in another order may move a mask of 96 x 128."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the weights once."""
    return tiny_sam(tmp_path_factory.mktemp("sam"))


def opened(weights: Path, *, chunk: int = 16) -> Sam:
    """Return the source."""
    decoding = SAM_DECODING.model_copy(update={"prompts_per_chunk": chunk})
    return Sam(weights, architecture="tiny", device="cpu", decoding=decoding)


def differing_pixels(one: list[MaskPrediction], other: list[MaskPrediction]) -> int:
    """Return the most pixels by which a mask differs from its counterpart."""
    return max(int((a.mask ^ b.mask).sum()) for a, b in zip(one, other, strict=True))


def test_every_prompt_has_one_answer_of_the_photos_size(weights: Path) -> None:
    """The face of every source: one mask and one score per prompt, and masks that follow the prompts."""
    source = opened(weights)
    answers = source.predict(scene(), PROMPTS)
    assert isinstance(source, MaskSource)
    assert [answer.mask.shape for answer in answers] == [(96, 128)] * len(PROMPTS)
    assert all(0 <= answer.score <= 1 for answer in answers)
    assert all(answer.score == 0 for answer in answers if not answer.mask.any())
    assert len({answer.mask.tobytes() for answer in answers}) > len(PROMPTS) // 2


def test_the_encoder_runs_once_a_photo_however_many_prompts(weights: Path) -> None:
    """A hook counts: three photos, three passes, each of one photo."""
    source, passes = opened(weights, chunk=4), []
    source.model.image_encoder.register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))
    photos = [scene(seed=seed) for seed in range(3)]
    source.predict_batch(photos, [PROMPTS, PROMPTS[:1], PROMPTS[3:9]])
    assert passes == [1, 1, 1]


def test_chunks_and_order_of_prompts_do_not_move_masks(weights: Path) -> None:
    """Chunks of 1, 8 and 32 prompts and any order give the same masks within three pixels."""
    by_chunk = [opened(weights, chunk=chunk).predict(scene(), PROMPTS) for chunk in (1, 8, 32)]
    assert max(differing_pixels(one, other) for one, other in pairwise(by_chunk)) <= PIXELS
    order = np.random.default_rng(0).permutation(len(PROMPTS)).tolist()
    shuffled = opened(weights).predict(scene(), [PROMPTS[place] for place in order])
    assert differing_pixels([by_chunk[0][place] for place in order], shuffled) <= PIXELS


def test_a_photos_answers_do_not_depend_on_its_company(weights: Path) -> None:
    """On the CPU a photo gives the same bytes alone and among others."""
    photos = [scene(seed=1), scene(height=60, seed=2), scene(width=70, seed=3)]
    together = opened(weights).predict_batch(photos, [PROMPTS[:3]] * 3)
    for photo, answers in zip(photos, together, strict=True):
        assert differing_pixels(opened(weights).predict(photo, PROMPTS[:3]), answers) == 0


@pytest.mark.parametrize("kind", ["box", "point", "box_point"])
def test_answers_are_those_of_the_packages_own_predictor(weights: Path, kind: str) -> None:
    """Best mask by predicted IoU of all that the predictor returns, although only that one is upsampled."""
    source = opened(weights)
    prompts = [prompt for prompt in PROMPTS if prompt.kind == kind][:3]
    predictor = SamPredictor(source.model)
    predictor.set_image(scene())
    for prompt, answer in zip(prompts, source.predict(scene(), prompts), strict=True):
        masks, quality, _ = predictor.predict(
            point_coords=np.array([prompt.point]) if prompt.point else None,
            point_labels=np.array([1]) if prompt.point else None,
            box=np.array(prompt.box) if prompt.box else None,
            multimask_output=kind == "point",
        )
        assert int((masks[quality.argmax()] ^ answer.mask).sum()) <= PIXELS
        assert answer.score == pytest.approx(float(np.clip(quality.max(), 0, 1)), abs=1e-5)


def test_fused_attention_is_the_packages_attention() -> None:
    """Same parameters, same function, with relative positions that matter."""
    torch.manual_seed(0)
    plain = Attention(16, num_heads=2, use_rel_pos=True, input_size=(4, 6))
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(3, 4, 6, 16)
    expected = plain(x)
    plain.__class__ = FusedAttention
    torch.testing.assert_close(plain(x), expected, rtol=1e-5, atol=1e-5)


def test_positions_in_the_product_are_those_of_the_bias() -> None:
    """The form for flash attention, of a grid that is no square."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 24, 10) for _ in range(3))
    rows, columns = torch.randn(2, 3, 4, 6, 4), torch.randn(2, 3, 4, 6, 6)
    expected = attend_with_bias(q, k, v, rows, columns)
    torch.testing.assert_close(attend_in_product(q, k, v, rows, columns), expected, rtol=1e-5, atol=1e-5)


def test_red_is_not_taken_for_blue(weights: Path) -> None:
    """Photos are RGB, as SAM was trained; with channels swapped the features differ."""
    features = [next(opened(weights)._encode([photo])).features for photo in (scene(), scene()[..., ::-1].copy())]
    assert not torch.allclose(*features)
