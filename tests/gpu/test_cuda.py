"""What must hold on a GPU as it does on a CPU; skipped where there is none."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from segment_anything.modeling.image_encoder import Attention

from pipeline.datasets.class_set import select_classes
from pipeline.datasets.prompts import Prompt
from pipeline.datasets.sample_batch import VIEW_NAMES
from pipeline.datasets.shards import Shards
from pipeline.evaluation.grad_cam import grad_cam
from pipeline.evaluation.perturbation import plan_perturbations
from pipeline.models.artifact import load_run
from pipeline.models.device import Name, choose_precision, set_deterministic
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import PerturbParams
from pipeline.segmentation.sam import FusedAttention, Sam
from pipeline.steps.perturb import predict_perturbed
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.dataset import Batch, Split, load_split, plan_epoch
from tests.gpu_trainer import losses, make_trainer
from tests.mask_sources import FASTSAM_DECODING, SAM_DECODING, scene, tiny_fastsam, tiny_sam
from tests.small_run import CATEGORIES, PAD, SIDE, TRAIN, random_batch, write_small_run
from tests.training_data import split_of, train_as_told, write_shards_of, write_workplace

if not torch.cuda.is_available():
    pytest.skip("there is no GPU of CUDA", allow_module_level=True)

CPU, GPU = torch.device("cpu"), torch.device("cuda")
RUNTIME = RuntimeParams(device="cuda", workers=1)
EVERYTHING = 2**40


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    """Do as the stages do."""
    set_deterministic(1, seed=0)
    yield
    torch.set_deterministic_debug_mode("default")


def batches(split: Split, device: torch.device) -> list[Batch]:
    """Return an epoch's batches with flips."""
    plan = plan_epoch(split.targets, TRAIN, 0, weights=None)
    return list(split.stream((draw for draws in plan.steps for draw in draws), device))


@pytest.mark.parametrize("views", [("roi",), ("extra_roi",), ("roi", "extra_roi")], ids="+".join)
@pytest.mark.parametrize("allowed", [0, EVERYTHING], ids=["sent", "resident"])
def test_batches_are_those_of_the_cpu(tmp_path: Path, views: tuple[str, ...], allowed: int) -> None:
    """Order, flips and every pixel, whether the GPU holds all samples or is sent each batch."""
    shards = Shards(write_shards_of(tmp_path / "shards", {"train": [random_batch(13)], "test": [random_batch(2)]}))
    split = load_split(shards, "train", select_classes(CATEGORIES, ()), views=frozenset(views))
    moved = split.resident(GPU, allowed)
    assert (moved is split) is (allowed == 0)
    for one, other in zip(batches(split, CPU), batches(moved, GPU), strict=True):
        assert other.targets.device.type == "cuda"
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.targets, other.targets.cpu())
        for name in ("roi", "extra_roi"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert (mine is None) is (theirs is None)
            assert mine is None or torch.equal(mine, theirs.cpu())


@pytest.mark.parametrize("normed", [False, True], ids=["transformer", "convolutions"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.05)])
def test_losses_are_those_of_the_cpu(precision: Name, tolerance: float, *, normed: bool) -> None:
    """Within what another order of sums, or eight bits of mantissa, may do."""
    expected = losses(make_trainer(CPU, "fp32", normed=normed), split_of(24))
    found = losses(make_trainer(GPU, precision, normed=normed), split_of(24).resident(GPU, EVERYTHING))
    assert found == pytest.approx(expected, rel=tolerance)


def test_precision_is_chosen_by_the_device() -> None:
    """bf16 where the GPU computes in it."""
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    assert choose_precision("auto", GPU).name == ("bf16" if native else "fp32")


def test_compiled_steps_follow_plain_ones(root: Path) -> None:
    """Triton's kernels round elsewhere, and no more; in a process without the tests' type checks."""
    command = [sys.executable, "-m", "tests.gpu_trainer"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)  # noqa: S603
    plain, compiled = json.loads(done.stdout)
    assert compiled == pytest.approx(plain, rel=0.05)


def test_flash_attention_is_the_packages_attention() -> None:
    """SAM's, with relative positions that matter, within what bf16 may do."""
    torch.manual_seed(0)
    attention = Attention(32, num_heads=2, use_rel_pos=True, input_size=(8, 8)).to(GPU)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(3, 8, 8, 32, device=GPU)
    expected = attention(x)
    attention.__class__ = FusedAttention
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        found = attention(x)
    assert (found - expected).norm() / expected.norm() < 0.03


def test_a_run_is_the_same_again_and_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same GPU gives the same bytes: dropout, batches in bf16, a checkpoint inside an epoch."""
    write_workplace(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    runtime = RUNTIME.model_copy(update={"checkpoint_minutes": 0.0})

    def run(output: str) -> dict[str, torch.Tensor]:
        train_as_told(tmp_path, output, TRAIN, roi="dropping", runtime=runtime)
        return load_file(tmp_path / output / "model.safetensors")

    first, again = run("first"), run("again")
    stored, taken = Checkpoint.save, 0

    def save(self: Checkpoint, *arguments: object) -> None:
        nonlocal taken
        stored(self, *arguments)  # type: ignore[arg-type]
        taken += 1
        if taken == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save)
    with pytest.raises(KeyboardInterrupt):
        run("interrupted")
    monkeypatch.setattr(Checkpoint, "save", stored)
    resumed = run("interrupted")
    for other in (again, resumed):
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_perturbed_predictions_are_those_of_the_cpu(tmp_path: Path) -> None:
    """Under every perturbation, in fp32."""
    folder, batch = write_small_run(tmp_path / "run", VIEW_NAMES), random_batch(24)
    params = PerturbParams(
        patch_size=8, permutation_seeds=2, offsets=((-30, 63),), offset_size=224, origin="center", dy_sign=-1,
        batch_size=8, threads=1, pad=PAD, seed=0,
    )  # fmt: skip
    entries = plan_perturbations(params, SIDE, VIEW_NAMES)
    one, other = (
        predict_perturbed(load_run(folder, device)[0], batch, entries, pad=PAD, device=device) for device in (CPU, GPU)
    )
    assert (one.predictions != other.predictions).mean() <= 0.01
    np.testing.assert_array_equal(one.kept, other.kept)


def test_heat_maps_are_those_of_the_cpu(tmp_path: Path) -> None:
    """Within rounding, on both branches."""
    folder, batch = write_small_run(tmp_path / "run", VIEW_NAMES), random_batch(6)
    one, other = (
        grad_cam(load_run(folder, device)[0], batch, batch.targets, device, "hires_cam") for device in (CPU, GPU)
    )
    for branch in VIEW_NAMES:
        np.testing.assert_allclose(other[branch].heat, one[branch].heat, rtol=1e-3, atol=1e-4 * one[branch].heat.max())


def test_sams_masks_are_those_of_the_cpu(tmp_path: Path) -> None:
    """Several photos a pass in bf16 against one by one in fp32: nearly all pixels, by boxes and by points."""
    weights = tiny_sam(tmp_path)
    photos = [scene(seed=1), scene(height=60, seed=2), scene(width=70, seed=3)]
    prompts = [[Prompt("box", (5.0, 4.0, 40.0, 50.0)), Prompt("point", (30.0, 25.0))]] * 3
    one, other = (
        Sam(weights, architecture="tiny", device=device, decoding=SAM_DECODING).predict_batch(photos, prompts)
        for device in (CPU, GPU)
    )
    for mine, theirs in zip(chain(*one), chain(*other), strict=True):
        assert (mine.mask != theirs.mask).mean() < 0.05
        assert theirs.score == pytest.approx(mine.score, abs=0.05)


def test_fastsams_masks_are_those_of_the_cpu(tmp_path: Path) -> None:
    """Several photos a pass, nearly all pixels."""
    if find_spec("ultralytics") is None:  # imported as it is, it would not be contained
        pytest.skip("ultralytics is left out: no FastSAM")
    from pipeline.segmentation.fastsam import FastSam  # noqa: PLC0415

    weights = tiny_fastsam(tmp_path)
    photos = [scene(seed=1), scene(height=60, seed=2), scene(width=70, seed=3)]
    prompts = [[Prompt("box", (5.0, 4.0, 40.0, 50.0)), Prompt("point", (30.0, 25.0))]] * 3
    one, other = (
        FastSam(weights, device=device, decoding=FASTSAM_DECODING).predict_batch(photos, prompts)
        for device in (CPU, GPU)
    )
    for mine, theirs in zip(chain(*one), chain(*other), strict=True):
        assert (mine.mask != theirs.mask).mean() < 0.05
