"""Which images are compared, what is refused, and a whole score on toys."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.assess.score import folder as score_folder
from medgain.assess.score.folder import draw_sheets, score_to_folder
from medgain.assess.score.parts import check_pair, divide, pair_notes
from medgain.assess.score.result import FidelityScore, read_score
from medgain.assess.score.run import score
from medgain.assess.score.wording import score_sentence
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError, LeakError
from medgain.runtime.text import figure
from toys import draw

FAST = {"features": "radiomics", "training": False}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def posing(seed=7, *, groups=40, keep=None, name="made", **card):
    """Toy images that pose as synthetic ones."""
    images = draw(groups, seed, name=name)
    if keep is not None:
        images = images.take(np.flatnonzero(images.records["label"] == keep))
    update = {"origin": "synthetic", **card}
    return ImageSet(images.images, images.records, images.card.model_copy(update=update))


def as_card(images, **update):
    return ImageSet(images.images, images.records, images.card.model_copy(update=update))


def test_the_sets_own_test_part_is_held_out_and_never_trained_on():
    real = draw(30)
    parts = divide(real, None, 0)
    assert set(parts.held_out.splits) == {"test"} and set(parts.train.splits) == {"train"}
    assert "own test part" in parts.rule


def test_without_a_test_part_half_of_the_groups_are_held_out():
    real = draw(30)
    bare = ImageSet(real.images, real.records.assign(split=""), real.card)
    parts = divide(bare, None, 0)
    assert len(parts.held_out) + len(parts.train) == len(bare)
    assert 25 <= len(parts.held_out) <= 35
    assert not set(parts.held_out.groups) & set(parts.train.groups)
    assert set(divide(bare, None, 1).held_out.groups) != set(parts.held_out.groups)
    assert divide(bare, "all", 0).train is None


def test_parts_that_are_no_held_out_part_are_refused():
    real = draw(30)
    with pytest.raises(ConfigError, match="did you mean 'test'"):
        divide(real, "tests", 0)
    with pytest.raises(ConfigError, match="never saw"):
        divide(real, "train", 0)
    leaky = real.records.copy()
    leaky.loc[leaky["split"] == "test", "group"] = leaky["group"].iloc[0]
    with pytest.raises(LeakError, match="--real-split half"):
        divide(ImageSet(real.images, leaky, real.card), None, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: ImageSet(s.images[:, :8, :8], s.records, s.card), "8×8 px"),
        (lambda s: ImageSet(np.repeat(s.images, 3, 3), s.records, s.card), "is colour"),
        (lambda s: ImageSet(s.images.astype(np.uint16), s.records, s.card), "16 bits"),
        (
            lambda s: ImageSet(
                s.images,
                s.records.assign(label="il"),
                s.card.model_copy(update={"classes": ["il"], "positive": None}),
            ),
            "did you mean 'ill'",
        ),
    ],
)
def test_sets_that_do_not_fit_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        check_pair(draw(30), change(posing()))


def test_real_images_in_the_place_of_synthetic_ones_are_refused():
    real = draw(30)
    with pytest.raises(DataError, match="are images of 'toy'"):
        check_pair(real, real)
    with pytest.raises(DataError, match="give the real set first"):
        check_pair(posing(), real)
    check_pair(real, draw(30, seed=5, name="elsewhere"))  # other real images may be scored


def test_notes_tell_what_makes_a_score_flattering():
    real = draw(30)
    parts = divide(real, None, 0)
    copies = as_card(real.take(np.flatnonzero(real.splits == "train")), origin="synthetic")
    assert any("pixel-identical" in note for note in pair_notes(real, parts, copies))
    saw = Card.after(posing().card, "sample", training_fingerprint=real.fingerprint())
    seen = ImageSet(posing().images, posing().records, saw)
    assert any("flatter" in note for note in pair_notes(real, parts, seen))
    honest = Card.after(posing().card, "sample", training_fingerprint=parts.train.fingerprint())
    assert pair_notes(real, parts, ImageSet(seen.images, seen.records, honest)) == []
    one_class = pair_notes(real, parts, posing(keep="ill"))
    assert any("no image of well" in note for note in one_class)
    unknown = as_card(real, groups_known=False)
    assert any("Patient ids unknown" in n for n in pair_notes(unknown, parts, posing()))


def test_too_few_images_are_refused_and_a_small_class_is_named():
    real = draw(50)
    with pytest.raises(DataError, match="6 synthetic images of 'made' are too few"):
        score(real, posing(groups=3), **FAST)
    result = score(real, posing(), **FAST)
    by_class = {scope.label: scope.fidelity for scope in result.features[0].scopes}
    assert "too few" in by_class["ill"].reason and by_class["well"].scores


def test_toys_score_like_real_ones_and_noise_does_not():
    real = draw(80)
    good = score(real, posing(groups=60), **FAST)
    fidelity = good.features[0].scopes[0].fidelity
    assert fidelity.n == 32 and good.real.held_out == 64
    assert not fidelity.scores["kd"].worse_than_null
    assert "no more than real ones do" in good.headline
    noise = np.random.default_rng(0).integers(0, 256, (120, 16, 16, 1), dtype=np.uint8)
    labels = list(posing(groups=60).records["label"])
    card = Card(name="noise", classes=["well", "ill"], origin="synthetic", groups_known=True)
    bad = score(real, ImageSet.from_arrays(noise, labels=labels, card=card), **FAST)
    scope = bad.features[0].scopes[0]
    assert scope.fidelity.scores["kd"].worse_than_null and scope.two_sample.p_value < 0.01
    assert "KD" in bad.headline and "real-real" in bad.headline
    assert bad.training.reason and bad.pixel_test.reason


def test_training_on_synthetic_images_beside_real_ones(tmp_path):
    real = draw(120)
    result = score_to_folder(
        real, posing(groups=100), tmp_path, features="task", steps=20, repeats=2, seed=3
    )
    training = result.training
    assert set(training.per_class) == {"ill", "well"} and training.repeats == 2
    assert training.images == sum(training.per_class.values())
    for scores in (training.tstr, training.trtr, training.trts):
        found = scores.auroc
        assert 0 <= found.mean <= 1 and found.ci_low < found.mean < found.ci_high
    gap = training.tstr.auroc.mean - training.trtr.auroc.mean
    assert training.gap.auroc.mean == pytest.approx(gap)
    assert result.features[0].identity.startswith("task: penultimate layer")
    assert 0 <= result.pixel_test.auroc <= 1
    assert read_score(tmp_path) == read_score(tmp_path / "score.json") == result
    sheets = np.load(tmp_path / score_folder.SHEETS_FILE)
    assert set(sheets.files) == {f"{k}/{c}" for k in ("real", "synthetic") for c in ("ill", "well")}


@pytest.mark.parametrize(
    ("synthetic", "split", "reason"),
    [
        (posing(groups=60, keep="ill"), None, "the synthetic set has ill"),
        (posing(groups=60), "all", "all real images are held out"),
        (as_card(posing(groups=60), classes=[], positive=None), None, "labels are missing"),
    ],
    ids=["one-class", "all-held-out", "no-labels"],
)
def test_where_training_is_impossible_the_reason_is_told(synthetic, split, reason):
    result = score(draw(60), synthetic, features="radiomics", real_split=split, steps=2, repeats=1)
    assert reason in result.training.reason
    assert any("not done" in sentence for sentence in result.sentences)


def test_one_repeat_has_no_interval_but_a_sentence():
    result = score(draw(60), posing(groups=60), features="radiomics", steps=2, repeats=1)
    assert result.training.gap.auroc.ci_low is None
    assert any("one repeat: no interval" in sentence for sentence in result.sentences)


def test_classes_in_another_order_mean_the_same():
    first = score(draw(60), posing(), **FAST)
    turned = posing(classes=["well", "ill"])
    again = score(draw(60), turned, **FAST)
    assert first.features[0].scopes == again.features[0].scopes


def test_a_limit_and_a_seed_decide_which_images_are_compared():
    real, synthetic = draw(80), posing(groups=60)
    limited = score(real, synthetic, **FAST, limit=50)
    assert limited.synthetic.compared == 50
    assert limited.features[0].scopes[0].fidelity.n <= 25
    other = score(real, synthetic, **FAST, limit=50, seed=1)
    assert other.features[0].scopes != limited.features[0].scopes


def test_sheets_show_groups_once_before_any_twice():
    real = draw(40)
    sheets = draw_sheets(real, posing(keep="ill"), 0)
    assert set(sheets) == {"real/ill", "real/well", "synthetic/ill"}
    assert len(sheets["real/well"]) == score_folder.SHEET_IMAGES


def test_numbers_have_the_decimals_that_their_spread_can_bear():
    assert figure(0.03123, 0.0012) == "0.0312"
    assert figure(-0.0004, 0.012) == "0.000"
    assert figure(-0.0304, 0.012) == "\u22120.030"
    assert figure(1234.5, 40.0) == "1,234"
    assert figure(1234567.8, 0.01) == "1,234,568" and figure(12.3456, 0.001) == "12.346"
    assert figure(float("nan"), 1.0) == "–"
    numbers = {"value": 0.031, "ci_low": 0.02, "ci_high": 0.04, "null": 0.002, "null_sd": 0.001}
    score_block = FidelityScore(**numbers, worse_than_null=True, sentence="")
    assert score_sentence("kd", score_block) == (
        "KD 0.0310 (95\u202f% interval 0.0200 to 0.0400; real-real 0.0020 ± 0.0010)"
    )
