"""An optimiser step of the released recipe, against Adam as its paper writes it (arXiv 1412.6980, algorithm 1)."""

import torch
from torch.nn import functional

from pipeline.models.artifact import build_run
from pipeline.models.rvernet import RveRNet
from pipeline.training.optimizer import make_optimizer, released_schedule
from tests.small_run import TRAIN, run_card

RECIPE = {"optimizer": "adam", "learning_rate": 4e-3, "weight_decay": 0.0, "schedule": "released"}
PARAMS = TRAIN.model_copy(update=RECIPE | {"features": "logits", "normalize": "none"})


def loss_of(model: RveRNet) -> torch.Tensor:
    """Return the loss of a fixed batch."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (6, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return functional.cross_entropy(model(pixels, pixels.flip(3)), torch.tensor([0, 1, 2, 3, 0, 1]))


def test_each_step_is_plain_adam_at_the_rate_of_its_epoch() -> None:
    """Betas 0.9 and 0.999, epsilon 1e-8, no decay, one rate for every parameter; at rate 0 nothing moves."""
    ours, reference = (
        build_run(run_card(("roi", "extra_roi")).model_copy(update={"train": PARAMS}), {}).double() for _ in "ab"
    )
    optimizer = make_optimizer(ours, PARAMS)
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in reference.named_parameters()}
    start = {name: p.detach().clone() for name, p in ours.named_parameters()}
    for step, epoch in enumerate((0, 1, 29), start=1):
        for group in optimizer.param_groups:
            group["lr"] = released_schedule(epoch, peak=4e-3, total_steps=10_980)
        optimizer.zero_grad()
        loss_of(ours).backward()
        optimizer.step()
        take_adams_step(reference, moments, step=step, rate=4e-3 * epoch / 1098)
        for name, parameter in reference.named_parameters():
            torch.testing.assert_close(ours.get_parameter(name), parameter, atol=1e-12, rtol=1e-9)
        assert (epoch == 0) == all(torch.equal(p, start[name]) for name, p in ours.named_parameters())


def take_adams_step(
    model: RveRNet, moments: dict[str, tuple[torch.Tensor, torch.Tensor]], *, step: int, rate: float
) -> None:
    """Move every parameter by m / (sqrt(v) + epsilon), bias corrected."""
    gradients = torch.autograd.grad(loss_of(model), list(model.parameters()))
    with torch.no_grad():
        for (name, parameter), gradient in zip(model.named_parameters(), gradients, strict=True):
            first, second = moments[name]
            first.mul_(0.9).add_(0.1 * gradient)
            second.mul_(0.999).add_(0.001 * gradient**2)
            corrected = first / (1 - 0.9**step), second / (1 - 0.999**step)
            parameter.sub_(rate * corrected[0] / (corrected[1].sqrt() + 1e-8))
