"""What a discriminator looks at: places, guided gradients, contributions, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu

from medgain.assess.explain.gradients import Rectifiers, boxes, gradients, watching
from medgain.assess.explain.pools import real_pool, synthetic_pool
from medgain.assess.explain.responses import auroc_of_scores, contributions, measure
from medgain.assess.explain.result import EXPLAIN_FILE, ExplainRequest, ExplainResult
from medgain.assess.explain.run import (
    PICTURES_FILE,
    edge_share,
    explain,
    half_from,
)
from medgain.assess.explain.subject import SCORE, Subject, subjects
from medgain.assess.explain.tiles import strongest_rows
from medgain.generators.base import GENERATORS, Budget, FitContext
from medgain.generators.run import train_generator
from medgain.generators.training.checkpoint import load_tensors, save_tensors
from medgain.generators.training.loop import CHECKPOINT
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.records import read_record

SMALL = {
    "biggan": {"width": 2, "latent": 8, "embedding": 4, "batch_size": 8},
    "cyclegan": {"width": 2, "blocks": 1, "batch_size": 8, "pool": 4},
    "dcgan": {"width": 4, "batch_size": 8},
    "discogan": {"width": 2, "batch_size": 4},
    "gan": {"width": 2, "batch_size": 8},
    "pix2pix": {"width": 2, "batch_size": 2},
    "progan": {"width": 4, "latent": 4, "batch_size": 8},
    "r3gan": {"width": 16, "batch_size": 8},
    "stargan": {"width": 2, "blocks": 1, "batch_size": 4},
    "stylegan2": {"width": 8, "latent": 8, "batch_size": 8},
}
NAMES = sorted(SMALL)
# sides of what the filters of each layer see in the middle of a large image: 4 × 4, stride 2
DCGAN_FIELDS_PX = [4, 10, 22]


def training_set(name, make_set, count=24, **changes):
    kind = GENERATORS.get(name)
    labels = (["normal", "ill"] * count)[:count]
    return make_set(
        count,
        size=min(kind.sizes_px),
        masks=kind.condition == "mask",
        **{"labels": labels if kind.condition in ("image", "label") else None, **changes},
    )


@pytest.fixture(scope="module")
def run_of(make_set, tmp_path_factory):
    """Return a function giving each generator's (run, set), trained for a few steps once."""
    made = {}

    def get(name):
        if name not in made:
            real = training_set(name, make_set)
            folder = tmp_path_factory.mktemp("runs") / name
            context = FitContext(seed=0, folder=folder, quiet=True)
            settings = {"config": SMALL[name], "budget": {"kimg": 0.05}}
            train_generator(real, name, context, settings=settings)
            made[name] = folder, real
        return made[name]

    return get


def subject_of(run_of, name):
    folder, real = run_of(name)
    (subject,) = subjects(folder)
    pool, _ = real_pool(subject, real, None, 16, 0)
    return subject, pool


class TwoLayers(nn.Module):
    """A hand-made network: a 2 × 2 convolution, a leaky ReLU, and a sum with weights."""

    def __init__(self, kernel, weights):
        super().__init__()
        self.conv = nn.Conv2d(1, len(kernel), 2, bias=False)
        self.join = nn.Conv2d(len(kernel), 1, 1, bias=False)
        self.conv.weight.data = torch.tensor(kernel, dtype=torch.float32)[:, None]
        self.join.weight.data = torch.tensor(weights, dtype=torch.float32).view(1, -1, 1, 1)

    def forward(self, images):
        return self.join(leaky_relu(self.conv(images), 0.2, inplace=True))


def test_guided_gradients_of_a_case_worked_out_by_hand():
    # three filters of one pixel pair each; on (1, -1 / 2, 3) they answer 1, -1 and 2
    kernel = [[[1, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [1, 0]]]
    network = TwoLayers(kernel, [1.0, 2.0, -3.0])
    image = torch.tensor([[[[1.0, -1.0], [2.0, 3.0]]]])
    place = torch.zeros(1, dtype=torch.int64)
    guided = gradients(network, network.join, image, 0, place, "guided")
    # 1 · 1, and 2 · slope 0.2 where the rectifier is closed; -3 is stopped on the way back
    assert torch.allclose(guided, torch.tensor([[[[1.0, 0.4], [0.0, 0.0]]]]))
    plain = gradients(network, network.join, image, 0, place, "plain")
    assert torch.allclose(plain, torch.tensor([[[[1.0, 0.4], [-3.0, 0.0]]]]))
    linear = gradients(network, network.join, image, 0, place, "linear")
    assert torch.allclose(linear, torch.tensor([[[[1.0, 2.0], [-3.0, 0.0]]]]))


@pytest.mark.parametrize(
    "rectify",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        torch.relu,
        torch.relu_,
        torch.nn.functional.relu,
        lambda x: x.relu(),
        lambda x: leaky_relu(x, negative_slope=0.0),
        nn.LeakyReLU(0.0, inplace=True),
    ],
)
def test_every_way_to_rectify_is_guided(rectify):
    values = torch.tensor([2.0, 2.0, -2.0, -2.0], requires_grad=True)
    with Rectifiers("guided"):
        out = rectify(values * 1.0)
    (gradient,) = torch.autograd.grad((out * torch.tensor([5.0, -5.0, 5.0, -5.0])).sum(), values)
    assert out.tolist() == [2, 2, 0, 0]
    assert gradient.tolist() == [5, 0, 0, 0]


def test_networks_are_as_they_were_afterwards():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    values = torch.tensor([-1.0, 1.0], requires_grad=True)
    with watching({"0": network[0]}) as outputs, Rectifiers("guided"):
        network(torch.ones(1, 1, 2, 2))
    assert list(outputs) == ["0"] and not network[0]._forward_hooks
    (gradient,) = torch.autograd.grad(-torch.relu(values).sum(), values)
    assert gradient.tolist() == [0, -1]


def test_boxes_hold_all_that_is_seen():
    gradient = torch.zeros(2, 1, 6, 8)
    gradient[0, 0, 2, 3], gradient[0, 0, 4, 1] = -1.0, 1e-5
    assert boxes(gradient) == [(2, 1, 5, 4), (0, 0, 6, 8)]


def with_edge_filter(subject):
    """Give the first convolution of a subject one filter that answers to vertical edges."""
    first = next(iter(subject.watched().values()))
    first.weight.data[0] = torch.tensor([-1.0, -1.0, 1.0, 1.0]).expand(1, 4, 4) / 8


def planted(make_set, rows, columns):
    """Return flat images, each bright from a column on in four rows: one vertical edge."""
    images = np.full((len(rows), 16, 16, 1), 60, np.uint8)
    for image, row, column in zip(images, rows, columns, strict=True):
        image[row : row + 4, column:, 0] = 220
    return ImageSet.from_arrays(
        images,
        labels=["normal"] * len(rows),
        card=Card(name="edges", classes=["normal", "ill"], positive="ill"),
    )


def test_an_edge_filter_is_found_to_answer_where_the_edge_is(run_of, make_set):
    subject, _ = subject_of(run_of, "dcgan")
    with_edge_filter(subject)
    rows, columns = [3, 5, 9, 7], [7, 5, 9, 11]
    # places are centred 0.5 px after odd columns, rows: an edge from column 2q + 1 is at place q
    pool, trained = real_pool(subject, planted(make_set, rows, columns), None, 9, 0)
    assert not trained and len(pool) == 4
    responses = measure(subject, pool).responses["0"]
    found = [divmod(int(place), 8) for place in responses.places[:, 0]]
    assert found == [
        ((row + 1) // 2, (column - 1) // 2) for row, column in zip(rows, columns, strict=True)
    ]
    assert responses.strongest[:, 0] == pytest.approx(160 * 2 / 255)
    images = pool.at([0])
    conditions = pool.conditions.at(slice(0, 1))
    place = torch.from_numpy(responses.places[:1, 0])
    conv = subject.watched()["0"]
    guided = gradients(lambda x: subject.score(x, conditions), conv, images, 0, place)
    assert boxes(guided) == [(3, 5, 7, 9)]
    assert guided[0, 0, 3:7, 5:9].unique(dim=0).tolist() == [[-0.125, -0.125, 0.125, 0.125]]


def test_contributions_of_a_linear_layer_add_up_to_the_difference(run_of):
    subject, real = subject_of(run_of, "dcgan")
    synthetic = synthetic_pool(subject, real, 0)
    mine, other = measure(subject, real), measure(subject, synthetic)
    difference = mine.scores.mean() - other.scores.mean()
    last = mine.layers[-1]  # a convolution; the score is not there once more
    assert last.name != SCORE and last.filters == 1 and last.size_px == (1, 1)
    ours, theirs = (one.responses[last.name] for one in (mine, other))
    assert contributions(ours, theirs) == pytest.approx([difference])
    for layer in mine.layers:
        gained = contributions(mine.responses[layer.name], other.responses[layer.name])
        assert gained.shape == (layer.filters,) and np.isfinite(gained).all()


def test_a_filter_that_alone_decides_contributes_all(run_of):
    subject, real = subject_of(run_of, "dcgan")
    names = [name for name in subject.watched() if name != SCORE]
    for module in subject.network:
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    last = subject.watched()[names[-1]]
    last.weight.data[:, 1:] = 0
    synthetic = synthetic_pool(subject, real, 0)
    mine, other = measure(subject, real), measure(subject, synthetic)
    before = names[-2]
    gained = contributions(mine.responses[before], other.responses[before])
    assert gained[0] != 0 and (gained[1:] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_gan_is_explained(run_of, tmp_path, name):
    folder, real = run_of(name)
    request = ExplainRequest(filters=2, limit=9)
    result = explain(folder, real, tmp_path / "out", request)
    assert read_record(tmp_path / "out" / EXPLAIN_FILE, ExplainResult) == result
    (part,) = result.parts
    assert part.trained_on_these and 0 <= part.scores.auroc <= 1
    with np.load(tmp_path / "out" / PICTURES_FILE) as stored:
        images, traced = stored["0/images"], stored["0/gradients"]
    height, width = real.size_px
    assert images.shape == (len(images), height, width, real.channels)
    assert traced.shape == images.shape[:3] and traced.dtype == np.int8
    assert len(part.layers) >= 2
    score = part.layers[-1].filters[0]  # the score itself, or the scores of patches
    assert part.layers[-1].filters_in_all == 1
    assert score.contribution == pytest.approx(part.scores.difference, rel=1e-3)
    assert score.speaks_for == "real"
    assert all(layer.kernel_px != 1 for layer in part.layers)
    assert all(a.number < b.number for a, b in pairwise(part.layers))
    ids = set(real.records["image_id"])
    for layer in part.layers:
        gains = [one.contribution for one in layer.filters]
        assert gains == sorted(gains, reverse=True) and len(gains) <= 2
        assert 1 <= layer.half_from <= layer.filters_in_all
        for one in layer.filters:
            kinds = [tile.origin for tile in one.images]
            assert kinds == ["real"] * 3 + ["synthetic"] * 3
            for tile in one.images:
                assert (tile.image_id in ids) == (tile.origin == "real")
                top, left, bottom, right = tile.box
                assert 0 <= top < bottom <= height and 0 <= left < right <= width
                if name not in ("cyclegan", "pix2pix", "discogan", "biggan"):  # no norm, attention
                    outside = traced[tile.tile].copy()
                    outside[top:bottom, left:right] = 0
                    assert not outside.any()
            real_responses = [t.response for t in one.images[:3]]
            assert real_responses == sorted(real_responses, reverse=True)


def test_what_a_filter_sees_is_what_its_convolutions_reach(run_of):
    subject, _ = subject_of(run_of, "dcgan")
    exact = subject.doubled()
    big = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    side = 32
    for (_, module), wanted in zip(
        list(exact.watched().items())[:2], DCGAN_FIELDS_PX, strict=False
    ):
        middle = torch.tensor([side * side // 2 + side // 2])
        seen = gradients(exact.network, module, big, 0, middle, "linear")
        ((top, left, bottom, right),) = boxes(seen)
        assert (bottom - top, right - left) == (wanted, wanted)
        side //= 2


def test_the_same_run_is_explained_the_same_way(run_of, tmp_path):
    folder, real = run_of("r3gan")
    request = ExplainRequest(filters=1, limit=8)
    first, second = (explain(folder, real, tmp_path / n, request) for n in "ab")
    assert first == second
    other = explain(folder, real, tmp_path / "c", ExplainRequest(filters=1, limit=8, seed=1))
    assert other.parts != first.parts


def test_layers_can_be_chosen(run_of, tmp_path):
    folder, real = run_of("r3gan")
    every = explain(folder, real, tmp_path / "a", ExplainRequest(layers=None, filters=1, limit=4))
    (part,) = every.parts
    assert [layer.number for layer in part.layers] == list(range(1, part.layers_in_all + 1))
    two = explain(folder, real, tmp_path / "b", ExplainRequest(layers=(1, 3), filters=1, limit=4))
    assert [layer.number for layer in two.parts[0].layers] == [1, 3]
    for wrong in (0, 99):
        with pytest.raises(ConfigError, match=f"no layer {wrong}"):
            explain(folder, real, tmp_path / "c", ExplainRequest(layers=(wrong,)))
    with pytest.raises(ConfigError, match="limit 1"):
        explain(folder, real, tmp_path / "c", ExplainRequest(limit=1))
    assert not (tmp_path / "c").exists()


def test_one_generator_per_class_is_explained_class_by_class(make_set, tmp_path):
    real = make_set(24, labels=["normal", "ill"] * 12, splits=["train"] * 16 + ["test"] * 8)
    context = FitContext(seed=0, folder=tmp_path / "run", quiet=True)
    settings = {"config": SMALL["dcgan"], "budget": {"kimg": 0.02}}
    train_generator(real, "dcgan", context, settings=settings)
    result = explain(tmp_path / "run", real, tmp_path / "out", ExplainRequest(filters=1))
    assert [part.label for part in result.parts] == ["normal", "ill"]
    test = set(real.records["image_id"][16:])
    for part in result.parts:
        assert part.trained_on_these
        tiles = [t for layer in part.layers for f in layer.filters for t in f.images]
        assert {tile.label for tile in tiles} == {part.label}
        assert not {tile.image_id for tile in tiles} & test


def test_images_of_the_test_part_are_refused_or_left_out(run_of, make_set, tmp_path):
    folder, _ = run_of("dcgan")
    only = make_set(8, splits=["test"] * 8)
    with pytest.raises(DataError, match="no training part"):
        explain(folder, only, tmp_path / "out")
    with pytest.raises(DataError, match="must not be trained on the test part"):
        explain(folder, only, tmp_path / "out", ExplainRequest(split="test"))


def test_what_is_no_gan_says_so(make_set, tmp_path):
    real = make_set(24)
    for name in ("gaussian", "copy"):
        context = FitContext(seed=0, folder=tmp_path / name, quiet=True)
        train_generator(real, name, context)
        with pytest.raises(DataError, match=f"{name} has no discriminator") as raised:
            explain(tmp_path / name, real, tmp_path / "out")
        assert "dcgan" in str(raised.value)
    with pytest.raises(DataError, match="holds no trained generator"):
        explain(tmp_path, real, tmp_path / "out")


def test_a_denoiser_is_no_discriminator(make_set, tmp_path):
    pytest.importorskip("diffusers")
    real = make_set(8, size=min(GENERATORS.get("ddpm").sizes_px))
    context = FitContext(seed=0, folder=tmp_path / "run", quiet=True)
    settings = {
        "config": {"width": 8, "batch_size": 4, "sample_steps": 1},
        "budget": {"kimg": 0.004},
    }
    train_generator(real, "ddpm", context, settings=settings)
    with pytest.raises(DataError, match="ddpm has no discriminator"):
        explain(tmp_path / "run", real, tmp_path / "out")


def test_a_generator_without_its_checkpoint_has_lost_the_discriminator(make_set, tmp_path):
    real = make_set(16)
    generator = GENERATORS.get("dcgan")(GENERATORS.get("dcgan").Config(**SMALL["dcgan"]))
    generator.fit(real, Budget(kimg=0.01), FitContext(seed=0, quiet=True))
    generator.save(tmp_path / "saved")
    with pytest.raises(DataError, match=f"no {CHECKPOINT}"):
        explain(tmp_path / "saved", real, tmp_path / "out")


def test_a_foreign_or_damaged_checkpoint_is_refused(make_set, tmp_path):
    real, folder = make_set(16), tmp_path / "run"
    context = FitContext(seed=0, folder=folder, quiet=True)
    settings = {"config": SMALL["dcgan"], "budget": {"kimg": 0.01}}
    train_generator(real, "dcgan", context, settings=settings)
    tensors, description = load_tensors(folder / CHECKPOINT)
    del tensors["network/discriminator/0.weight"]
    save_tensors(folder / CHECKPOINT, tensors, description)
    with pytest.raises(DataError, match="does not fit"):
        explain(folder, real, tmp_path / "out")
    description["identity"]["trained_on"]["fingerprint"] = "other"
    save_tensors(folder / CHECKPOINT, tensors, description)
    with pytest.raises(DataError, match="not of the run"):
        explain(folder, real, tmp_path / "out")
    (folder / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(DataError, match="can't be read"):
        explain(folder, real, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 32}, "32 × 32 × 1"),
        ({"channels": 3}, "16 × 16 × 3"),
        ({"dtype": "uint16"}, "uint16"),
        ({"labels": ["ill"] * 8}, "no image of 'normal'"),
    ],
)
def test_images_that_do_not_suit_are_refused(run_of, make_set, tmp_path, changes, message):
    folder, _ = run_of("dcgan")
    with pytest.raises(DataError, match=message):
        explain(folder, make_set(8, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_masks_and_images_are_asked_for_where_they_are_needed(run_of, make_set, tmp_path):
    folder, real = run_of("pix2pix")
    with pytest.raises(DataError, match="with their masks"):
        explain(folder, make_set(8, size=real.size_px[0]), tmp_path / "out")
    with pytest.raises(DataError, match="name their set, 'blobs', with --images"):
        explain(folder, None, tmp_path / "out")


def test_a_subject_needs_the_run_of_a_gan(make_set, tmp_path):
    gaussian = GENERATORS.get("gaussian")()
    with pytest.raises(DataError, match="gaussian has no discriminator"):
        Subject(tmp_path, gaussian, "")


def test_strongest_images_are_of_different_groups():
    responses, groups = np.array([1.0, 5, 4, 5, 3]), np.array(["a", "b", "b", "c", "d"])
    assert strongest_rows(responses, groups, 3) == [1, 3, 4]
    assert strongest_rows(responses, groups, 9) == [1, 3, 4, 0]


def test_figures_of_layers_and_places():
    assert auroc_of_scores(np.array([1.0, 2]), np.array([0.0, 2])) == pytest.approx(0.625)
    assert half_from(np.array([1.0, -9, 3, 1])) == 1
    assert half_from(np.array([1.0, 1, 1, 1])) == 2
    assert half_from(np.array([-1.0, 0])) == 1
    assert edge_share(np.array([0, 4, 5, 15]), (4, 4)) == pytest.approx(0.75)
