"""`train.compile`: minutes of compiling, so not among the fast tests."""

import shutil

import pytest
import torch
from torch import nn

from pipeline.models.backbone import Branch
from pipeline.models.device import Precision
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import TrainingError
from pipeline.training.checkpoint import RunningMetrics
from pipeline.training.dataset import plan_epoch
from pipeline.training.losses import CrossEntropy
from pipeline.training.trainer import Trainer, evaluate_epoch, train_epoch
from tests.small_run import CATEGORIES, SIDE, TRAIN
from tests.training_data import split_of

pytestmark = pytest.mark.e2e
FULL = Precision("fp32", "cpu")
SPLIT = split_of(10)
WIDTH = 8


def make_trainer(*, compiled: bool) -> Trainer:
    """Return a small perceptron on the ROI: every further layer costs a compiler a minute here."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, WIDTH), nn.GELU())
    branch = Branch(backbone, mean=(0.5,) * 3, std=(0.5,) * 3, num_features=WIDTH)
    model = RveRNet(branch, None, nn.Linear(WIDTH, len(CATEGORIES)))
    return Trainer(model, TRAIN.model_copy(update={"compile": compiled, "ema_decay": 0.5}), CrossEntropy(), FULL)


def trained(made: Trainer) -> tuple[RunningMetrics, dict[str, torch.Tensor]]:
    """Train for two epochs, with a smaller batch at the end of each; return the tally and all weights."""
    for epoch in range(2):
        plan = plan_epoch(SPLIT.targets, made.params, epoch, weights=None)
        tally = train_epoch(made, SPLIT, plan, epoch=epoch, done=RunningMetrics(), on_step=lambda _: None)
    return tally, made.model.state_dict()


def test_compiled_steps_equal_plain_ones_within_rounding() -> None:
    """And the names of the saved tensors stay the same."""
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler, and this machine has no g++")
    plain, compiled = make_trainer(compiled=False), make_trainer(compiled=True)
    (first, weights), (second, others) = trained(plain), trained(compiled)
    assert second.mean_loss == pytest.approx(first.mean_loss, rel=1e-4)
    assert list(weights) == list(others)
    torch.testing.assert_close(others, weights, rtol=1e-3, atol=1e-4)
    tests = [evaluate_epoch(made.eval_model, SPLIT, batch_size=4, precision=FULL) for made in (plain, compiled)]
    torch.testing.assert_close(tests[1].logits, tests[0].logits, rtol=1e-3, atol=1e-3)


def test_without_a_compiler_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of pages of the compiler's own."""
    from torch._inductor import config  # noqa: PLC0415 - where torch looks for a compiler

    monkeypatch.setattr(config.cpp, "cxx", (None, "/nowhere/g++"))
    monkeypatch.setattr(config, "force_disable_caches", value=True)
    torch.compiler.reset()
    with pytest.raises(
        TrainingError, match="train.compile: .*No working C.. compiler.*train.compile to false"
    ) as caught:
        trained(make_trainer(compiled=True))
    assert "\n" not in str(caught.value)
