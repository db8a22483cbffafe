"""Names of features and files of weights: what is wrong is said before any work."""

from __future__ import annotations

import pytest

from medgain.assess.score.options import assign_weights, parse_features
from medgain.runtime.errors import ConfigError


def test_names_are_split_and_kept_in_order():
    assert parse_features(" task, radiomics,torchvision:squeezenet1_0 ") == [
        "task",
        "radiomics",
        "torchvision:squeezenet1_0",
    ]
    assert parse_features(["timm:resnet18"]) == ["timm:resnet18"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("radiomic", "did you mean 'radiomics'"),
        ("tasks", "did you mean 'task'"),
        ("torchvision:squeezenet1_9", "did you mean 'squeezenet1_"),
        ("squeezenet1_0", "did you mean 'torchvision:squeezenet1_0'"),
        ("torchvision:", "did you mean 'torchvision:NAME'"),
        ("torchvsion:resnet18", "unknown features"),
        ("cnn", "known: "),
        ("radiomics,radiomics", "named twice"),
        (" , ", "no features are named"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(text, hint):
    with pytest.raises(ConfigError, match=hint):
        parse_features(text)


def test_one_backbone_takes_the_bare_file(tmp_path):
    file = tmp_path / "w.pth"
    file.write_bytes(b"x")
    names = ["radiomics", "torchvision:resnet18"]
    assert assign_weights(names, [str(file)]) == {"torchvision:resnet18": file}
    assert assign_weights(names, ["download"]) == {"torchvision:resnet18": "download"}


def test_several_backbones_take_named_files(tmp_path):
    for name in ("a.pth", "b=c.pth"):
        (tmp_path / name).write_bytes(b"x")
    names = ["torchvision:resnet18", "timm:resnet18"]
    given = [f"timm:resnet18={tmp_path / 'b=c.pth'}", f"torchvision:resnet18={tmp_path / 'a.pth'}"]
    found = assign_weights(names, given)
    assert found["timm:resnet18"] == tmp_path / "b=c.pth"
    assert found["torchvision:resnet18"] == tmp_path / "a.pth"


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        (["torchvision:resnet18"], [], "need pretrained weights"),
        (["torchvision:resnet18"], ["nowhere.pth"], "nowhere.pth, are missing"),
        (["torchvision:resnet18"], ["."], "a folder"),
        (["radiomics"], ["w.pth"], "names no backbone"),
        (["torchvision:resnet18", "timm:resnet18"], ["w.pth"], "2 backbones"),
        (["torchvision:resnet18"], ["torchvision:resnet34=w.pth"], "did you mean"),
    ],
)
def test_weights_that_are_missing_or_for_nothing_are_refused(names, given, message):
    with pytest.raises(ConfigError, match=message):
        assign_weights(names, given)
