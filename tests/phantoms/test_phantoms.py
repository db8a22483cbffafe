"""Every registered phantom keeps the promises that the registry makes for it."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.imageset.imageset import ImageSet
from medgain.phantoms import PHANTOMS
from medgain.runtime.errors import ConfigError


@pytest.fixture(params=PHANTOMS.names())
def phantom(request):
    return PHANTOMS.get(request.param)


def test_registry_describes_each_phantom():
    assert "chest" in PHANTOMS
    assert all(entry.summary for entry in PHANTOMS)


@pytest.mark.parametrize("size_px", [16, 32, 63, 64])
def test_makes_what_was_asked_for(phantom, size_px):
    made = phantom.make(7, size_px=size_px)
    assert isinstance(made, ImageSet)
    channels = 3 if made.card.name == "skin phantom" else 1
    assert made.images.shape == (7, size_px, size_px, channels)
    assert made.images.dtype == np.uint8
    assert made.card.origin == "phantom"
    assert "phantom" in made.card.name
    assert any("phantom" in note for note in made.card.notes)
    assert made.records.image_id.is_unique
    assert made.records.image_id.str.startswith("phantom-").all()
    assert made.card.groups_known


def test_same_seed_same_images_other_seed_other_images(phantom):
    one, again, other = phantom.make(9, seed=4), phantom.make(9, seed=4), phantom.make(9, seed=5)
    assert one.fingerprint() == again.fingerprint()
    assert not set(one.records.sha256) & set(other.records.sha256)
    assert not set(one.groups) & set(other.groups), "sets of two seeds can be joined"


def test_a_longer_set_begins_with_the_shorter_one(phantom):
    short, long = phantom.make(13, size_px=32), phantom.make(40, size_px=32)
    assert np.array_equal(short.images, long.images[:13])
    assert short.records.equals(long.records.iloc[:13])


def test_survives_the_disk(phantom, tmp_path):
    made = phantom.make(5, size_px=32)
    opened = ImageSet.open(made.save(tmp_path / "set"))
    assert opened.fingerprint() == made.fingerprint()
    assert opened.card == made.card


@pytest.mark.parametrize("count", [0, -3, 2.5, "12", True, None])
def test_refuses_a_hostile_count(phantom, count):
    with pytest.raises(ConfigError, match="count|cannot make") as caught:
        phantom.make(count)
    assert caught.value.remedy


@pytest.mark.parametrize("size_px", [0, -64, 15, 1025, 64.0, "64"])
def test_refuses_a_hostile_size(phantom, size_px):
    with pytest.raises(ConfigError, match="px") as caught:
        phantom.make(2, size_px=size_px)
    assert caught.value.remedy


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None])
def test_refuses_a_hostile_seed(phantom, seed):
    with pytest.raises(ConfigError, match="seed"):
        phantom.make(2, seed=seed)


def test_an_unknown_phantom_is_named():
    with pytest.raises(ConfigError, match="did you mean 'chest'"):
        PHANTOMS.get("chset")
