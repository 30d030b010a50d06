"""Stage `weights`."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision

from pipeline.models.backbone import build_backbone
from pipeline.models.card import read_card
from pipeline.params.model import BackboneParams
from pipeline.runtime.errors import ModelError, WeightsError
from pipeline.runtime.manifest import sha256_of
from pipeline.steps.weights import fetch_weights
from tests.small_run import TRAIN


def test_the_absent_branch_gets_a_card_alone(tmp_path: Path) -> None:
    """So that the graph needs no special case for it."""
    fetch_weights(BackboneParams(), name="none", weights=tmp_path)
    assert read_card(tmp_path / "none").timm is None
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["backbone.json"]


def test_random_weights_get_a_card_with_timms_normalisation(tmp_path: Path) -> None:
    """Options are kept, and no weights file is written."""
    fetch_weights(BackboneParams(timm="test_vit", options={"depth": 1}), name="tiny", weights=tmp_path)
    card = read_card(tmp_path / "tiny")
    entry = timm.get_pretrained_cfg("test_vit")
    assert (card.timm, card.options, card.source, card.input_size) == ("test_vit", {"depth": 1}, "none", 160)
    assert (card.mean, card.std) == (tuple(entry.mean), tuple(entry.std))
    assert not (tmp_path / "tiny/model.safetensors").exists()


def test_a_file_becomes_safetensors_without_its_path(tmp_path: Path) -> None:
    """The same tensors at two places give the same bytes, so teammates share them."""
    tensors = timm.create_model("test_vit").state_dict()
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        torch.save(tensors, tmp_path / place / "w.pth")
        params = BackboneParams(timm="test_vit", weights=str(tmp_path / place / "w.pth"))
        fetch_weights(params, name="tiny", weights=tmp_path / f"{place}-weights")
    first, second = (tmp_path / f"{place}-weights/tiny" for place in ("here", "there"))
    for name in ("backbone.json", "model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    stored = safetensors.torch.load_file(first / "model.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in tensors.items())
    card = json.loads((first / "backbone.json").read_text())
    assert (card["source"], card["file"], card["sha256"]) == ("file", "w.pth", sha256_of(tmp_path / "here/w.pth"))


def test_position_embeddings_are_resampled_to_the_size_asked_for(tmp_path: Path) -> None:
    """Any input size works with weights of another."""
    donor = timm.create_model("test_vit")
    torch.save(donor.state_dict(), tmp_path / "w.pth")
    params = BackboneParams(timm="test_vit", options={"img_size": 96}, weights=str(tmp_path / "w.pth"))
    fetch_weights(params, name="tiny", weights=tmp_path)
    stored = safetensors.torch.load_file(tmp_path / "tiny/model.safetensors")
    assert stored["pos_embed"].shape[1] == 36 + donor.num_prefix_tokens
    assert read_card(tmp_path / "tiny").input_size == 96


def test_real_torchvision_weights_give_torchvisions_logits(tmp_path: Path, shared: Path) -> None:
    """The released study's own file for MobileNetV2, within 1e-5."""
    path = shared / "weights/mobilenet_v2_imagenet1k_v1_from_int8.pth"
    fetch_weights(BackboneParams(timm="mobilenetv2_100.ra_in1k", weights=str(path)), name="m", weights=tmp_path)
    theirs, ours = torchvision.models.mobilenet_v2().eval(), timm.create_model("mobilenetv2_100").eval()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    ours.load_state_dict(safetensors.torch.load_file(tmp_path / "m/model.safetensors"))
    pixels = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(ours(pixels), theirs(pixels), atol=1e-5, rtol=0)


def torchvisions_vit() -> torchvision.models.VisionTransformer:
    """Return torchvision's ViT in the size of timm's `vit_tiny_patch16_224`."""
    return torchvision.models.VisionTransformer(224, 16, 12, num_heads=3, hidden_dim=192, mlp_dim=768)


def test_torchvisions_names_bring_torchvisions_normalisation(tmp_path: Path) -> None:
    """Weights of timm's ViT want mean 0.5, torchvision's the ImageNet mean; a file's names tell whose it is."""
    torch.save(torchvisions_vit().state_dict(), tmp_path / "theirs.pth")
    params = {"timm": "vit_tiny_patch16_224", "weights": str(tmp_path / "theirs.pth")}
    fetch_weights(BackboneParams.model_validate(params), name="vit", weights=tmp_path)
    card = read_card(tmp_path / "vit")
    assert (card.mean, card.std, card.licence) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), None)
    assert timm.get_pretrained_cfg("vit_tiny_patch16_224").mean == (0.5, 0.5, 0.5)


def test_the_initialisation_is_part_of_the_card(tmp_path: Path) -> None:
    """That of torchvision is refused where it has no such model, before any work."""
    for init in ("timm", "torchvision"):
        fetch_weights(BackboneParams(timm="demo_vit", init=init), name="v", weights=tmp_path)
        assert read_card(tmp_path / "v").init == init
    with pytest.raises(ModelError, match="set backbones.<name>.init to timm"):
        fetch_weights(BackboneParams(timm="demo_mixer", init="torchvision"), name="m", weights=tmp_path)


@pytest.mark.parametrize(
    "timm_id", ["test_vit", "demo_mobilenetv2", "demo_mixer", "demo_deit_distilled", "test_convnext"]
)
@pytest.mark.parametrize("classes", [0, 7])
def test_without_a_fitting_classifier_the_features_are_stored(timm_id: str, classes: int, tmp_path: Path) -> None:
    """Weights trained on other classes, or by self-supervision: enough for pooled features, refused for logits."""
    donor = timm.create_model(timm_id, num_classes=classes)
    body = timm.create_model(timm_id, num_classes=0).state_dict().keys()
    torch.save(donor.state_dict(), tmp_path / "w.pth")
    fetch_weights(BackboneParams(timm=timm_id, weights=str(tmp_path / "w.pth")), name="b", weights=tmp_path)
    stored, card = safetensors.torch.load_file(tmp_path / "b/model.safetensors"), read_card(tmp_path / "b")
    assert stored.keys() == body
    pixels = torch.randint(0, 256, (2, 3, card.input_size or 64, card.input_size or 64), dtype=torch.uint8)
    pooled = TRAIN.model_copy(update={"features": "pooled"})
    branch = build_backbone(card, pooled, image_size=pixels.shape[-1], tensors=stored).eval()
    with torch.no_grad():
        expected = donor.eval().forward_head(donor.forward_features(branch.normalise(pixels)), pre_logits=True)
        torch.testing.assert_close(branch(pixels), expected)
    logits = TRAIN.model_copy(update={"features": "logits"})
    with pytest.raises(ModelError, match="have no classifier of these classes; set train.features to pooled"):
        build_backbone(card, logits, image_size=pixels.shape[-1], tensors=stored)


def test_torchvisions_files_may_lack_their_classifier(tmp_path: Path) -> None:
    """Its names are known by the first layers."""
    for timm_id, theirs, head in (
        ("mobilenetv2_100", torchvision.models.mobilenet_v2(), "classifier."),
        ("vit_tiny_patch16_224", torchvisions_vit(), "heads."),
    ):
        kept = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith(head)}
        torch.save(kept, tmp_path / "w.pth")
        fetch_weights(BackboneParams(timm=timm_id, weights=str(tmp_path / "w.pth")), name="b", weights=tmp_path)
        assert len(safetensors.torch.load_file(tmp_path / "b/model.safetensors")) == len(kept)
        assert read_card(tmp_path / "b").mean == (0.485, 0.456, 0.406)


def test_a_body_that_lacks_a_tensor_is_refused_without_its_head_too(tmp_path: Path) -> None:
    """A classifier may be absent, nothing else."""
    tensors = timm.create_model("test_vit", num_classes=0).state_dict()
    del tensors["blocks.0.attn.qkv.weight"]
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"missing: blocks.0.attn.qkv.weight"):
        fetch_weights(BackboneParams(timm="test_vit", weights=str(tmp_path / "w.pth")), name="b", weights=tmp_path)


def test_every_file_of_a_backbone_may_be_read_by_the_same_people(tmp_path: Path) -> None:
    """A colleague who may read the card may read the weights."""
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "w.pth")
    fetch_weights(BackboneParams(timm="test_vit", weights=str(tmp_path / "w.pth")), name="b", weights=tmp_path)
    assert len({path.stat().st_mode for path in (tmp_path / "b").iterdir()}) == 1


def test_weights_of_another_model_are_refused_with_a_list(tmp_path: Path) -> None:
    """Missing, unknown and misshapen tensors are named."""
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "w.pth")
    for timm_id, options, expected in (
        ("test_resnet", {}, "missing: .*unknown: .*blocks.0"),
        ("test_vit", {"embed_dim": 32, "num_heads": 2}, "79 wrong shape: blocks.0.attn.proj.bias"),
    ):
        params = BackboneParams(timm=timm_id, options=options, weights=str(tmp_path / "w.pth"))
        with pytest.raises(WeightsError, match=rf"w.pth: does not fit {timm_id}: .*{expected}") as caught:
            fetch_weights(params, name="tiny", weights=tmp_path)
        assert "\n" not in str(caught.value)


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    """An absent file, a wrong hash, an unknown model: one line each."""
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "w.pth")
    weights = str(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"backbones.tiny.weights: .*gone.pth: no such file"):
        fetch_weights(BackboneParams(timm="test_vit", weights="gone.pth"), name="tiny", weights=tmp_path)
    with pytest.raises(WeightsError, match="has SHA-256 .*, not 000"):
        fetch_weights(BackboneParams(timm="test_vit", weights=weights, sha256="0" * 64), name="tiny", weights=tmp_path)
    with pytest.raises(ModelError, match="did you mean test_vit"):
        fetch_weights(BackboneParams(timm="test_vitt"), name="tiny", weights=tmp_path)
    with pytest.raises(WeightsError, match=r"backbone.json: absent; run `dvc repro weights@other`"):
        read_card(tmp_path / "other")
