"""The networks: twins, smp's architectures, padding and weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from medgain.runtime.errors import ConfigError
from medgain.tasks.segmentation.segmenter import SegmenterSpec, build_segmenter
from medgain.tasks.segmenters import SEGMENTERS, find_segmenter
from medgain.tasks.segmenters.twins import LEVELS, Twin

FPN = "smp:FPN:resnet18"


def build(model="unet", size_px=(32, 32), channels=1, classes=("kidney", "tumour"), **options):
    width = None if model.startswith("smp:") else options.pop("width", 4)
    spec = SegmenterSpec(model, classes, channels, size_px, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        statistics = [[0.5] * channels, [0.2] * channels]
        return build_segmenter(
            spec, weights=options.get("weights"), mean=statistics[0], std=statistics[1]
        )


@pytest.mark.parametrize("model", ["unet", "fcn", FPN, "smp:Unet:mobilenet_v2"])
@pytest.mark.parametrize("size_px", [(32, 32), (64, 48), (37, 51)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_gets_a_logit_per_class(model, size_px, channels):
    segmenter = build(model, size_px, channels).eval()
    with torch.no_grad():
        logits = segmenter(torch.rand(2, channels, *size_px))
    assert logits.shape == (2, 3, *size_px)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("model", ["unet", "fcn", FPN])
def test_every_parameter_learns(model):
    segmenter = build(model).train()
    segmenter(torch.rand(4, 1, 32, 32)).square().mean().backward()
    silent = [
        name
        for name, parameter in segmenter.named_parameters()
        if parameter.grad is None or not torch.isfinite(parameter.grad).all()
    ]
    assert not silent


def test_twins_differ_in_the_input_of_the_decoder_alone():
    unet, fcn = build("unet").state_dict(), build("fcn").state_dict()
    assert list(unet) == list(fcn)
    wider = {key for key in unet if unet[key].shape != fcn[key].shape}
    assert wider == {f"body.decoder.{level}.0.weight" for level in range(LEVELS)}
    for key in wider:
        (outputs, inputs, *kernel), own = unet[key].shape, fcn[key].shape
        assert tuple(own) == (outputs, inputs // 2, *kernel)


def test_a_unet_deaf_to_its_skips_is_the_fcn():
    torch.manual_seed(0)
    unet = Twin(1, 3, 4, skips=True).eval()
    fcn = Twin(1, 3, 4, skips=False).eval()
    state = unet.state_dict()
    for level in range(LEVELS):
        weight = state[f"decoder.{level}.0.weight"]
        own = weight.shape[1] // 2
        weight[:, :own] = 0.0  # the skip's half comes first
        fcn.state_dict()[f"decoder.{level}.0.weight"].copy_(weight[:, own:])
    shared = {k: v for k, v in state.items() if v.shape == fcn.state_dict()[k].shape}
    fcn.load_state_dict(shared, strict=False)
    images = torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(unet(images), fcn(images))


def test_skips_are_what_sees_a_single_pixel():
    """Without skips a shift below the coarsest level's grid is lost; this is what C5 measures."""
    torch.manual_seed(0)
    changes = {}
    for skips in (True, False):
        network = Twin(1, 2, 4, skips=skips).eval()
        plain = torch.zeros(1, 1, 32, 32)
        dotted = plain.clone()
        dotted[0, 0, 16, 16] = 1.0
        with torch.no_grad():
            change = (network(dotted) - network(plain)).abs().sum(dim=1)[0]
        changes[skips] = float(change[14:19, 14:19].sum() / change.sum())
    assert changes[True] > 2 * changes[False]


def test_padding_leaves_what_fits_alone():
    segmenter = build("unet", (32, 32)).eval()
    images = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        whole = segmenter(images)
        cut = segmenter(images[..., :30, :])
        edge = torch.cat([images[..., :30, :], images[..., 29:30, :].expand(-1, -1, 2, -1)], 2)
        repeated = segmenter(edge)
    assert whole.shape[-2] == 32
    torch.testing.assert_close(cut, repeated[..., :30, :])


@pytest.mark.parametrize("model", ["unet", "fcn"])
def test_width_sets_the_size(model):
    counts = {
        width: sum(p.numel() for p in build(model, width=width).parameters()) for width in (4, 8)
    }
    assert 3.5 < counts[8] / counts[4] < 4.5


@pytest.mark.parametrize(
    ("model", "problem", "remedy"),
    [
        ("unett", "unknown segmenter 'unett'", "'unet'"),
        ("unet:small", "unknown segmenter 'unet:small'", ""),
        ("smp:", "unknown segmenter 'smp:'", ""),
        ("smp:FPM:resnet18", "no architecture 'FPM'", "'FPN'"),
        ("smp:FPN", "names no encoder", "smp:FPN:resnet18"),
        ("smp:FPN:resnet19", "no encoder 'resnet19'", "'resnet18'"),
        ("smp:FPN:tu-resnet19", "timm has no model 'resnet19'", "resnet"),
    ],
)
def test_unknown_segmenters_name_the_nearest(model, problem, remedy):
    with pytest.raises(ConfigError) as caught:
        find_segmenter(model)
    assert problem in caught.value.problem
    assert remedy in (caught.value.remedy or "")


def test_all_registered_families_have_a_source():
    assert SEGMENTERS.names() == ["fcn", "smp:ARCH:ENCODER", "unet"]
    assert all(entry.summary and entry.source for entry in SEGMENTERS)


def test_too_small_images_are_refused():
    with pytest.raises(ConfigError, match="at least 16 px"):
        build("unet", (8, 32))


def test_width_means_nothing_to_smp():
    spec = SegmenterSpec(FPN, ("lung",), 1, (32, 32), 16)
    with pytest.raises(ConfigError, match=r"task\.width has no meaning"):
        build_segmenter(spec, weights=None, mean=[0.5], std=[0.2])


def test_an_encoder_loads_a_classifiers_weights(tmp_path):
    """A torchvision file has a head of 1,000 classes; all else must find its place."""
    import torchvision

    torch.manual_seed(1)
    resnet = torchvision.models.resnet18()
    torch.save(resnet.state_dict(), tmp_path / "resnet18.pth")
    segmenter = build(FPN, weights=str(tmp_path / "resnet18.pth"))
    torch.testing.assert_close(
        segmenter.body.encoder.layer4[1].conv2.weight, resnet.layer4[1].conv2.weight
    )
    assert segmenter.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_a_saved_segmenter_is_weights_for_another(tmp_path):
    for model in ("unet", FPN):
        first = build(model)
        first.mean.fill_(0.25)
        with torch.no_grad():
            next(first.parameters()).fill_(0.125)
        save_file(
            {k: v.contiguous() for k, v in first.state_dict().items()}, tmp_path / "m.safetensors"
        )
        again = build(model, weights=str(tmp_path / "m.safetensors"))
        assert all(torch.equal(again.state_dict()[k], v) for k, v in first.state_dict().items())


@pytest.mark.parametrize(
    ("model", "file_model", "problem"),
    [("unet", "fcn", "don't fit unet.*of another shape"), (FPN, "unet", "don't fit smp:FPN")],
)
def test_weights_of_another_network_are_refused(tmp_path, model, file_model, problem):
    state = build(file_model).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match=problem):
        build(model, weights=str(tmp_path / "m.safetensors"))


def test_a_classifier_of_another_kind_is_no_encoder(tmp_path):
    import torchvision

    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(ConfigError, match="don't fit the encoder of smp:FPN:resnet18"):
        build(FPN, weights=str(tmp_path / "resnet34.pth"))


def test_nothing_to_download_is_said_at_once():
    with pytest.raises(ConfigError, match="no pretrained weights of the model unet"):
        build("unet", weights="download")
    with pytest.raises(ConfigError, match="no pretrained weights of the model smp:FPN:tu-"):
        build("smp:FPN:tu-resnet18", weights="download")


def test_a_missing_network_names_the_file_to_fetch(monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError("no route to host")

    monkeypatch.setattr("medgain.tasks.backbones.weights._connect", refuse)
    monkeypatch.setattr("medgain.tasks.backbones.weights._in_hub_cache", lambda _: None)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        build(FPN, weights="download")
    assert "no route to host" in caught.value.problem
    assert "smp-hub/resnet18.imagenet" in caught.value.remedy
    assert "task.weights=FILE" in caught.value.remedy
