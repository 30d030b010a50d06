"""Structure of RveRNet."""

import pytest
import torch
from scipy.stats import kstest, uniform
from torch import nn
from torch.nn import functional

from pipeline.datasets.sample_batch import ViewName
from pipeline.models.artifact import build_run
from pipeline.models.backbone import Branch
from pipeline.models.rvernet import RveRNet, join_branches
from pipeline.runtime.errors import ModelError
from tests.small_run import SIDE, run_card


def pictures(seed: int, batch: int = 3) -> torch.Tensor:
    """Return raw random pictures."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def model_of(*branches: ViewName) -> RveRNet:
    """Return a tiny model."""
    return build_run(run_card(branches), {})


@pytest.mark.parametrize("branches", [("roi",), ("extra_roi",), ("roi", "extra_roi")])
def test_every_parameter_gets_gradient(branches: tuple[ViewName, ...]) -> None:
    """Logits have one column a class, and nothing is left out of training."""
    model = model_of(*branches)
    logits = model(pictures(0), pictures(1))
    assert logits.shape == (3, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_samples_do_not_mix() -> None:
    """In eval mode a sample's logits depend on its own two views alone."""
    model = model_of("roi", "extra_roi").eval()
    roi, extra_roi = pictures(0), pictures(1)
    changed = extra_roi.clone()
    changed[1] = 255 - changed[1]
    before, after = model(roi, extra_roi), model(roi, changed)
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])


def test_swapping_branches_and_views_swaps_parameters_only() -> None:
    """With the head's input halves swapped too, the logits are the same; without, they are not."""
    model = model_of("roi", "extra_roi").eval()
    assert model.roi is not None
    width, first = model.roi.num_features, model.head[0]
    swapped = nn.Linear(2 * width, first.out_features)
    swapped.load_state_dict({"weight": torch.roll(first.weight, width, dims=1), "bias": first.bias})
    mirror = RveRNet(model.extra_roi, model.roi, nn.Sequential(swapped, *model.head[1:])).eval()
    roi, extra_roi = pictures(0), pictures(1)
    torch.testing.assert_close(mirror(extra_roi, roi), model(roi, extra_roi))
    assert not torch.allclose(mirror(roi, extra_roi), model(roi, extra_roi))
    assert {n.replace("extra_roi", "roi") for n, _ in model.extra_roi.named_parameters()} == {
        n for n, _ in mirror.roi.named_parameters()
    }


def test_a_lone_branch_never_looks_at_the_other_view() -> None:
    """Its view may be absent, and a single Linear is the head."""
    model = model_of("extra_roi").eval()
    assert model.roi is None
    assert isinstance(model.head, nn.Linear)
    torch.testing.assert_close(model(None, pictures(1)), model(pictures(0), pictures(1)))


def test_combining_features_is_the_forward_pass() -> None:
    """Features can be computed once and reused."""
    model = model_of("roi", "extra_roi").eval()
    assert model.roi is not None
    assert model.extra_roi is not None
    features = model.roi(pictures(0)), model.extra_roi(pictures(1))
    assert torch.equal(model.combine(*features), model(pictures(0), pictures(1)))


def test_the_head_of_two_branches_is_the_papers() -> None:
    """Linear-ReLU-Linear over both outputs; with logits as features 2000 -> 640 -> K as released."""
    branch = Branch(nn.Identity(), mean=(0.0,) * 3, std=(1.0,) * 3, num_features=1000)
    head = join_branches(branch, branch, num_classes=105, hidden=640, seed=0).head
    assert [tuple(layer.weight.shape) for layer in (head[0], head[2])] == [(640, 2000), (105, 640)]
    assert isinstance(head[1], nn.ReLU)


def test_a_lone_branchs_head_is_one_layer_on_its_logits() -> None:
    """1000 -> K, as released."""
    branch = Branch(nn.Identity(), mean=(0.0,) * 3, std=(1.0,) * 3, num_features=1000)
    head = join_branches(branch, None, num_classes=105, hidden=640, seed=0).head
    assert tuple(head.get_parameter("weight").shape) == (105, 1000)
    assert isinstance(head, nn.Linear)


def test_the_head_is_drawn_as_pytorch_draws_a_linear_layer() -> None:
    """Weights and biases uniform in +-1/sqrt(fan in), the default that the released head was left at."""
    branch = Branch(nn.Identity(), mean=(0.0,) * 3, std=(1.0,) * 3, num_features=1000)
    head = join_branches(branch, branch, num_classes=105, hidden=640, seed=0).head
    for layer in (head[0], head[2]):
        bound = layer.in_features**-0.5
        for tensor in (layer.weight, layer.bias):
            assert tensor.abs().max() <= bound
            assert kstest(tensor.detach().flatten()[:20_000].numpy(), uniform(-bound, 2 * bound).cdf).pvalue > 1e-5


def test_log_softmax_before_the_loss_changes_nothing() -> None:
    """Cross-entropy of the released code's LogSoftmax is that of the logits, in value and in every gradient."""
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 105, dtype=torch.float64, requires_grad=True), torch.randint(105, (50,))
    losses = [functional.cross_entropy(each, targets) for each in (logits, functional.log_softmax(logits, dim=1))]
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in losses]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-12, rtol=0)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-14, rtol=0)


def test_a_branch_starts_the_same_in_every_pairing() -> None:
    """Runs of one seed are comparable: the ROI branch does not depend on whether there is another."""
    alone, paired = model_of("roi"), model_of("roi", "extra_roi")
    assert alone.roi is not None
    assert paired.roi is not None
    assert paired.extra_roi is not None
    for name, tensor in alone.roi.state_dict().items():
        assert torch.equal(tensor, paired.roi.state_dict()[name])
    weights = [branch.backbone.patch_embed.proj.weight for branch in (paired.roi, paired.extra_roi)]
    assert not torch.equal(*weights)


def test_two_absent_branches_are_refused() -> None:
    """There would be nothing to learn from."""
    with pytest.raises(ModelError, match="both none"):
        join_branches(None, None, num_classes=4, hidden=8, seed=0)
