"""Whole epochs of the released recipe beside a plain restatement of the released loop, in double precision.

The restatement is written from what was measured on the released code (docs/paper.md), on torchvision's own networks:
one module in both places where the names are equal, plain pixels in [0, 1], 1000-way logits, Linear - ReLU - Linear,
LogSoftmax before cross-entropy, Adam, and a schedule that is stepped once an epoch.
"""

import math
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import MobileNetV2, VisionTransformer

from pipeline.models.artifact import RunConfig, build_run
from pipeline.models.card import BackboneCard
from pipeline.models.device import Precision, derive_seed
from pipeline.models.rvernet import RveRNet
from pipeline.models.state_dicts import to_timm_names
from pipeline.params.model import TrainParams
from pipeline.training.checkpoint import RunningMetrics
from pipeline.training.dataset import plan_epoch
from pipeline.training.losses import CrossEntropy
from pipeline.training.trainer import Trainer, train_epoch
from tests.small_run import CATEGORIES, SIDE, TRAIN, backbone_card, run_card
from tests.training_data import split_of

SAMPLES, BATCH, EPOCHS, PEAK, HIDDEN = 10, 5, 3, 4e-3, 16
TOLERANCE = 1e-6
PARAMS = TRAIN.model_copy(
    update={
        "epochs": EPOCHS, "batch_size": BATCH, "learning_rate": PEAK, "schedule": "released", "flip": 0.0,
        "joint_flip": False, "normalize": "none", "features": "logits", "hidden": HIDDEN, "precision": "fp32",
    }
)  # fmt: skip


def mobilenetv2() -> MobileNetV2:
    """Return torchvision's MobileNetV2 at a third of its width, with its dropout of 0.2."""
    return MobileNetV2(width_mult=0.35)


def vit() -> VisionTransformer:
    """Return torchvision's vision transformer, tiny."""
    return VisionTransformer(image_size=SIDE, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=64)


def card(name: str) -> BackboneCard:
    """Return the card of the same network as timm has it."""
    tiny, shape = backbone_card(name), {"patch_size": 8, "embed_dim": 16, "num_heads": 2, "depth": 2, "mlp_ratio": 4}
    architecture: dict[str, tuple[str, dict[str, object]]] = {
        "mobilenetv2": ("mobilenetv2_035", {"drop_rate": 0.2}),
        "vit": ("vit_tiny_patch16_224", shape),
    }
    timm_id, options = architecture[name]
    return tiny.model_copy(update={"timm": timm_id, "options": options, "input_size": 224})


class Released(nn.Module):
    """Two backbones, perhaps one module, and the integration module with its LogSoftmax."""

    def __init__(self, first: nn.Module, second: nn.Module, classes: int) -> None:
        """Join them."""
        super().__init__()
        self.first, self.second = first, second
        self.classifier = nn.Sequential(nn.Linear(2000, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))

    def forward(self, roi: Tensor, extra_roi: Tensor, _: None = None) -> Tensor:
        """Return logarithms of probabilities."""
        joined = torch.cat((self.first(roi), self.second(extra_roi)), dim=1)
        return nn.functional.log_softmax(self.classifier(joined), dim=1)


def factor(epoch: int) -> float:
    """Return what the released scheduler multiplies the peak by in an epoch, from 0."""
    total = SAMPLES // BATCH * EPOCHS
    warmup = 0.1 * total
    return epoch / warmup if epoch < warmup else 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (total - warmup)))


def loop(model: Released, epochs: Iterable[Iterable[tuple[Tensor, Tensor, Tensor]]]) -> list[float]:
    """Train as the released script did; return the mean loss of every epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    criterion, means = nn.CrossEntropyLoss(), []
    model.train()
    for number, batches in enumerate(epochs):
        torch.manual_seed(derive_seed(PARAMS.seed, "dropout", number))  # the released run had no seed; this is one draw
        losses = []
        for roi, extra_roi, targets in batches:
            optimizer.zero_grad()
            loss = criterion(model(roi, extra_roi), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
        means.append(sum(losses) / len(losses))
    return means


def ours_like(reference: Released, name: str, *, shared: bool, params: TrainParams) -> RveRNet:
    """Build the same network as this project does, with the same numbers in it."""
    plan = RunConfig.model_validate(
        {field: getattr(run_card(("roi", "extra_roi")), field) for field in RunConfig.model_fields}
        | {
            "roi": name,
            "extra_roi": name,
            "train": params,
            "backbones": dict.fromkeys(("roi", "extra_roi"), card(name)),
        }
    )
    first = build_run(plan, {}).roi
    assert first is not None
    tensors = {
        branch: to_timm_names(module.state_dict(), first.backbone)
        for branch, module in (("roi", reference.first), ("extra_roi", reference.second))
    }
    model = build_run(plan, tensors)
    model.head.load_state_dict(reference.classifier.state_dict())
    assert (model.extra_roi is model.roi) == shared
    return model.double()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("draw", [mobilenetv2, vit])
def test_the_released_loop_and_this_one_end_in_the_same_weights(draw: Callable[[], nn.Module], *, shared: bool) -> None:
    """Losses, weights and batch statistics within 1e-6, over two steps in each of three epochs, dropout included."""
    torch.manual_seed(0)
    first = draw()
    reference = Released(first, first if shared else draw(), len(CATEGORIES))
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    params = PARAMS.model_copy(update={"share_branches": shared})
    model = ours_like(reference, draw.__name__, shared=shared, params=params)
    reference.double()
    source, start = split_of(SAMPLES), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plans = [plan_epoch(source.targets, params, epoch, weights=None) for epoch in range(EPOCHS)]

    def batches(epoch: int) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
        for batch in source.stream((draws[0] for draws in plans[epoch].steps), torch.device("cpu")):
            assert batch.roi is not None
            assert batch.extra_roi is not None
            yield batch.roi.double() / 255, batch.extra_roi.double() / 255, batch.targets

    expected = loop(reference, [batches(epoch) for epoch in range(EPOCHS)])
    trainer = Trainer(model, params, CrossEntropy(), Precision("fp32", "cpu"))
    found = [
        train_epoch(trainer, source, plan, epoch=epoch, done=RunningMetrics(), on_step=lambda _: None).mean_loss
        for epoch, plan in enumerate(plans)
    ]
    assert found == pytest.approx(expected, rel=0, abs=TOLERANCE)
    for branch, module in ((model.roi, reference.first), (model.extra_roi, reference.second)):
        assert branch is not None
        theirs = to_timm_names(module.state_dict(), branch.backbone)
        for name, tensor in branch.backbone.state_dict().items():
            torch.testing.assert_close(tensor, theirs[name], atol=TOLERANCE, rtol=0)
    for name, tensor in model.head.state_dict().items():
        torch.testing.assert_close(tensor, reference.classifier.state_dict()[name], atol=TOLERANCE, rtol=0)
    moved = [
        name for name, tensor in model.state_dict().items() if (tensor - start[name]).abs().max() > 100 * TOLERANCE
    ]
    assert len(moved) > len(start) / 2
