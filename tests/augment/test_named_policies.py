"""Every registered policy works on every kind of image, is documented, and is as stated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from medgain.augment import POLICIES, resolve_policy
from medgain.augment.config import PolicyConfig

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "policies.md"
NAMES = POLICIES.names()


def test_the_expected_ones_are_there() -> None:
    wanted = {"none", "chest", "ct", "diffaugment", "kidney-a4", "lung-c3", "skin-d6"}
    assert wanted | {"pneumonia-e1", "pneumonia-e2"} <= set(NAMES)
    for entry in POLICIES:
        assert entry.summary
        assert entry.source


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_conforms(name: str, channels: int) -> None:
    policy = resolve_policy(name)
    rng = np.random.default_rng(0)
    for dtype in (np.uint8, np.uint16):
        images = rng.integers(0, np.iinfo(dtype).max, (2, channels, 20, 28)).astype(dtype)
        masks = rng.integers(0, 3, (2, 20, 28)).astype(np.uint8)
        out, labels = policy(images, torch.Generator().manual_seed(1), masks)
        again, _ = policy(images, torch.Generator().manual_seed(1), masks)
        assert out.shape == images.shape
        assert out.dtype == dtype
        assert np.array_equal(out, again)
        assert set(np.unique(labels)) <= {0, 1, 2}
        assert (name == "none") == np.array_equal(out, images)
    floats = torch.rand(2, channels, 20, 28, requires_grad=True)
    policy(floats, torch.Generator().manual_seed(1)).sum().backward()
    assert floats.grad is not None
    assert floats.grad.abs().sum() > 0


def test_ranges_of_the_studies() -> None:
    e1, e2 = resolve_policy("pneumonia-e1").config, resolve_policy("pneumonia-e2").config
    assert e1 == PolicyConfig(
        rotation_deg=10, shear_deg=0.2, shift_x=0.05, shift_y=0.05, zoom=0.2, fill_mode="nearest"
    )
    assert e2 == PolicyConfig(shear_deg=0.1, shift_x=0.1, shift_y=0.1, zoom=0.1)
    d6 = resolve_policy("skin-d6").config
    assert d6.flip_horizontal
    assert d6.limits("rotation_deg") == (-15, 15)
    a4 = resolve_policy("kidney-a4").config
    assert a4.limits("rotation_deg") == (-45, 45)
    assert a4.limits("zoom") == pytest.approx((0.85, 1.15))
    assert a4.zoom_isotropic


@pytest.mark.parametrize("name", ["chest", "ct", "pneumonia-e1", "pneumonia-e2", "kidney-a4"])
def test_chest_and_abdomen_are_never_mirrored(name: str) -> None:
    config = resolve_policy(name).config
    assert not config.flip_horizontal
    assert not config.flip_vertical


def test_every_policy_and_every_setting_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    missing = [name for name in NAMES if f"`{name}`" not in text]
    missing += [key for key in PolicyConfig.model_fields if f"`{key}`" not in text]
    assert not missing, f"not in {DOCS.name}: {missing}"


def test_listing_policies_loads_no_torch_and_sets_nothing() -> None:
    code = (
        "import sys; from medgain.augment import POLICIES; names = POLICIES.names();"
        "assert 'chest' in names; assert not {'torch', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
