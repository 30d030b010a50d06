"""A batch under all perturbations: what is reused must equal what is computed afresh."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.datasets.sample_batch import VIEW_NAMES, InputName, SampleBatch, photo_pixels
from pipeline.evaluation.perturbation import (
    Permutation,
    PerturbationSpec,
    Translocation,
    perturb_canvases,
    perturb_photos,
    plan_perturbations,
    view_shares,
)
from pipeline.models.artifact import load_run
from pipeline.models.device import to_tensor
from pipeline.models.rvernet import RveRNet
from pipeline.params.stages import PerturbParams
from pipeline.steps.perturb import predict_perturbed, spec_shares
from tests.small_run import PAD, SIDE, random_batch, select, write_small_run

CPU = torch.device("cpu")
PARAMS = PerturbParams(
    patch_size=8,
    permutation_seeds=2,
    offsets=((-30, 63), (60, -85)),
    offset_size=224,
    origin="center",
    dy_sign=-1,
    batch_size=8,
    threads=1,
    pad=PAD,
    seed=0,
)


def naive(model: RveRNet, batch: SampleBatch, entry: PerturbationSpec) -> np.ndarray:
    """Perturb both views, or the photo, and call the whole model once."""
    if model.photo is not None:
        with torch.inference_mode():
            return model(None, None, to_tensor(perturb_photos(entry, batch, pad=PAD))).argmax(dim=1).numpy()
    roi, extra_roi = batch.roi, batch.extra_roi
    if entry.roi:
        roi = perturb_canvases(entry.roi, roi, batch, branch="roi", background=PAD)
    if entry.extra_roi:
        extra_roi = perturb_canvases(entry.extra_roi, extra_roi, batch, branch="extra_roi", background=PAD)
    with torch.inference_mode():
        return model(to_tensor(roi), to_tensor(extra_roi)).argmax(dim=1).numpy()


def kept(entry: PerturbationSpec, batch: SampleBatch) -> np.ndarray:
    """Return what survives one entry."""
    shares = {}
    for branch in VIEW_NAMES:
        view = entry.of(branch)
        shares |= view_shares(batch, branch, [] if view is None else [view])
    return spec_shares(entry, shares)


@pytest.mark.parametrize(
    ("branches", "shared"),
    [
        (("roi",), False),
        (("extra_roi",), False),
        (("roi", "extra_roi"), False),
        (("roi", "extra_roi"), True),
        (("photo",), False),
    ],
)
def test_reused_features_give_what_whole_passes_give(
    tmp_path: Path, branches: tuple[InputName, ...], *, shared: bool
) -> None:
    """Every entry equals its own pass through the model, and the plain row is untouched."""
    model, _ = load_run(write_small_run(tmp_path / "run", branches, shared=shared), CPU)
    batch = random_batch(24)
    entries = plan_perturbations(PARAMS, SIDE, branches)
    judged = predict_perturbed(model, batch, entries, pad=PAD, device=CPU)
    for row, entry in zip(judged.predictions, (PerturbationSpec(None, None, None), *entries), strict=True):
        np.testing.assert_array_equal(row, naive(model, batch, entry))
    assert len(np.unique(judged.predictions, axis=0)) > 1


def test_each_branch_sees_every_distinct_input_once(tmp_path: Path) -> None:
    """ROI: plain and two permutations; extra-ROI: those, the corner's identity and two offsets."""
    model, _ = load_run(write_small_run(tmp_path / "run", ("roi", "extra_roi")), CPU)
    calls = {"roi": 0, "extra_roi": 0}
    for name in calls:

        def count(_module: nn.Module, _inputs: object, name: str = name) -> None:
            calls[name] += 1

        getattr(model, name).register_forward_pre_hook(count)
    predict_perturbed(
        model, random_batch(4), plan_perturbations(PARAMS, SIDE, ("roi", "extra_roi")), pad=PAD, device=CPU
    )
    assert calls == {"roi": 3, "extra_roi": 6}


def test_results_do_not_depend_on_batch_or_order(tmp_path: Path) -> None:
    """Row by row in any order."""
    model, _ = load_run(write_small_run(tmp_path / "run", ("roi", "extra_roi")), CPU)
    batch, entries = random_batch(9), plan_perturbations(PARAMS, SIDE, ("roi", "extra_roi"))
    whole = predict_perturbed(model, batch, entries, pad=PAD, device=CPU)
    for rows in ([5], [7, 0, 3]):
        part = predict_perturbed(model, select(batch, rows), entries, pad=PAD, device=CPU)
        np.testing.assert_array_equal(part.predictions, whole.predictions[:, rows])
        np.testing.assert_array_equal(part.kept, whole.kept[:, rows])


def test_photo_pixels_are_the_rectangles() -> None:
    """True inside, False on the gray."""
    batch = random_batch(12)
    for inside, (top, left, height, width) in zip(photo_pixels(batch), batch.rects.tolist(), strict=True):
        assert inside[top : top + height, left : left + width].all()
        assert inside.sum() == height * width


def test_a_permutation_that_fits_keeps_everything() -> None:
    """32 px are whole patches of 8; the extra-ROI's column is empty where only the ROI moves."""
    shares = kept(PerturbationSpec(Permutation(8, 0, 0), None, None), random_batch(6))
    np.testing.assert_array_equal(shares[:, :2], 1.0)
    assert np.isnan(shares[:, 2]).all()


def test_a_permutation_that_overhangs_says_what_it_cuts() -> None:
    """Patches of 20 make a square of 40 for a square photo of 32: a part is cut and counted."""
    batch = select(random_batch(8), [6])
    shares = kept(PerturbationSpec(None, Permutation(20, 0, 0), None), batch)
    seen = perturb_canvases(
        Permutation(20, 0, 0), np.ones((1, SIDE, SIDE, 1), np.uint8), batch, branch="extra_roi", background=0
    )
    assert shares[0, 0] == seen.sum() / SIDE**2 < 1


def test_a_translocation_counts_photo_and_extra_roi() -> None:
    """A square photo moved half its width right keeps half; the mask takes the left, so more of the rest is lost."""
    batch = select(random_batch(8), [6])
    shares = kept(PerturbationSpec(None, Translocation(16, 0, "center"), None), batch)
    rest = photo_pixels(batch)[0] & ~batch.masks[0]
    assert shares[0, 0] == 0.5
    assert np.isnan(shares[0, 1])
    assert shares[0, 2] == rest[:, :16].sum() / rest.sum() < 0.5


def test_both_views_share_one_number_for_the_photo() -> None:
    """The mean of the two; each region has its own."""
    batch = select(random_batch(8), [6, 7])
    entry = PerturbationSpec(Permutation(20, 0, 0), Permutation(20, 0, 0), None)
    alone = [kept(e, batch) for e in (entry._replace(extra_roi=None), entry._replace(roi=None))]
    both = kept(entry, batch)
    np.testing.assert_allclose(both[:, 0], (alone[0][:, 0] + alone[1][:, 0]) / 2)
    np.testing.assert_array_equal(both[:, 1], alone[0][:, 1])
    np.testing.assert_array_equal(both[:, 2], alone[1][:, 2])
