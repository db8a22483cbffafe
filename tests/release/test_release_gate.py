"""What may be released at all."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medgain.assess.audit.result import read_audit
from medgain.generators.base import GENERATORS, Budget, FitContext
from medgain.phantoms import PHANTOMS
from medgain.release import ReleaseRefused
from medgain.release.fidelity import read_fidelity
from medgain.release.gate import clear
from medgain.release.licences import LICENCES, conflicts, recognise, resolve_licence
from medgain.release.privacy import find_private, looks_like_path, without_paths
from medgain.runtime.errors import ConfigError, DataError, MedgainError
from medgain.runtime.records import write_record
from release_toys import passing, scored, synthetic


def test_a_passing_audit_of_this_set_clears_it():
    images = synthetic()
    clearance = clear(images, passing(images))
    assert clearance.keep == list(range(6)) and not clearance.forced and clearance.reason is None


def test_flagged_images_are_left_out_in_order():
    images = synthetic()
    ids = list(images.records["image_id"])
    assert clear(images, passing(images, flagged=[ids[4], ids[0]])).keep == [1, 2, 3, 5]


@pytest.mark.parametrize("verdict", ["review", "fail"])
def test_another_verdict_is_refused_with_its_reasons(verdict):
    images = synthetic()
    audit = passing(images, verdict=verdict, reasons=["9 % flagged"])
    with pytest.raises(ReleaseRefused, match=f"'{verdict}': 9 % flagged.*--accept-risk"):
        clear(images, audit)


def test_no_audit_is_refused():
    with pytest.raises(ReleaseRefused, match="there is no audit.*medgain audit"):
        clear(synthetic(), None)


def test_an_audit_of_another_set_is_refused_and_counts_for_nothing():
    images, other = synthetic(6), synthetic(5)
    with pytest.raises(ReleaseRefused, match="of another set"):
        clear(images, passing(other))
    forced = clear(images, passing(other, flagged=["synthetic-dcgan-000000"]), "own reasons")
    assert forced.audit is None and len(forced.keep) == 6


def test_changed_labels_make_it_another_set():
    images = synthetic()
    audit = passing(images)
    images.records.loc[0, "label"] = "pneumonia"
    with pytest.raises(ReleaseRefused, match="of another set"):
        clear(images, audit)


def test_risk_is_taken_in_writing():
    images = synthetic()
    taken = clear(images, passing(images, verdict="fail"), "  phantom data, nothing to leak ")
    assert taken.forced and taken.reason == "phantom data, nothing to leak"
    assert "the audit's verdict is 'fail'" in taken.obstacles[0]


@pytest.mark.parametrize("reason", ["", "   ", "\n\t"])
@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_an_empty_reason_is_refused(reason, verdict):
    images = synthetic()
    with pytest.raises(ConfigError, match="--accept-risk is empty"):
        clear(images, passing(images, verdict=verdict), reason)


def test_a_needless_reason_is_not_recorded():
    images = synthetic()
    clearance = clear(images, passing(images), "just in case")
    assert clearance.reason is None and "not needed" in clearance.notes[0]


@pytest.mark.parametrize("reason", [None, "I have consent"])
def test_real_images_are_never_released(reason):
    images = synthetic(origin="real")
    with pytest.raises(ReleaseRefused, match="real images"):
        clear(images, passing(images), reason)


@pytest.mark.parametrize("reason", [None, "I want to"])
def test_copies_are_real_images(reason):
    real = PHANTOMS.get("chest").make(12, size_px=16, seed=0)
    generator = GENERATORS.get("copy")()
    generator.fit(real, Budget(kimg=1), FitContext(seed=0))
    copies = generator.sample(5, seed=0)
    with pytest.raises(ReleaseRefused, match="copies of real images are real images"):
        clear(copies, passing(copies), reason)


def test_copies_that_hide_behind_another_history_are_found_by_their_column():
    images = synthetic(extra={"copied_from": ["", "", "IM-0115-0001", "", "", ""]})
    with pytest.raises(ReleaseRefused, match="unchanged copies"):
        clear(images, passing(images), "reason enough")


def test_synthetic_images_from_files_need_a_reason():
    sources = ["dcgan"] * 5 + ["train/NORMAL/IM-0115-0001.jpeg"]
    images = synthetic(sources=sources)
    with pytest.raises(ReleaseRefused, match="1 of its images were imported from files"):
        clear(images, passing(images))
    assert clear(images, passing(images), "drawn by another program").forced


def test_phantoms_need_no_audit():
    images = synthetic(origin="phantom", card={"history": []})
    clearance = clear(images, None)
    assert clearance.audit is None and not clearance.forced


def test_what_a_generator_drew_is_no_phantom():
    with pytest.raises(ReleaseRefused, match="there is no audit"):
        clear(synthetic(origin="phantom"), None)


def test_phantoms_with_a_failed_audit_are_refused():
    images = synthetic(origin="phantom", card={"history": []})
    with pytest.raises(ReleaseRefused, match="'fail'"):
        clear(images, passing(images, verdict="fail"))


def test_nothing_left_is_refused_even_by_force():
    images = synthetic()
    audit = passing(images, verdict="fail", flagged=list(images.records["image_id"]))
    with pytest.raises(ReleaseRefused, match="all 6 images.*flagged"):
        clear(images, audit, "reason enough")


def test_an_empty_set_is_refused():
    images = synthetic().take(np.array([], dtype=int))
    with pytest.raises(ReleaseRefused, match="no images"):
        clear(images, None, "reason enough")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"flagged": ["nobody"]}, "flags 'nobody', which the set lacks"),
        ({"images": 7}, "counts 7 images where the set has 6"),
    ],
)
def test_an_audit_that_contradicts_the_set_is_damaged(changes, match):
    images = synthetic()
    with pytest.raises(DataError, match=match):
        clear(images, passing(images, **changes))


def test_an_audit_against_part_of_the_training_set_is_refused():
    images = synthetic()
    assert not clear(images, passing(images, train_images=6)).forced
    with pytest.raises(ReleaseRefused, match="with 5 training images, and a generator learned"):
        clear(images, passing(images, train_images=5))


def test_audits_are_read_from_folder_or_file(tmp_path):
    images = synthetic()
    write_record(tmp_path / "audit.json", passing(images))
    assert read_audit(tmp_path) == read_audit(tmp_path / "audit.json") == passing(images)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "audit.json is missing.*medgain audit"),
        ("{", "not valid JSON"),
        ("[]", "not of this version's format: the whole"),
        ("{}", "not of this version's format.*'format'.*medgain audit"),
        ('{"format": 1}', "not of this version's format: medgain: field required"),
        ('{"format": 1, "medgain": "0.1", "seed": 0, "verdict": "great"}', "format: verdict"),
    ],
)
def test_a_damaged_audit_is_named(tmp_path, text, match):
    if text is not None:
        (tmp_path / "audit.json").write_text(text, encoding="utf-8")
    with pytest.raises(MedgainError, match=match):
        read_audit(tmp_path)


def test_a_score_gives_figures_and_sentences_without_paths(tmp_path):
    write_record(tmp_path / "score.json", scored("abc"))
    found = read_fidelity(tmp_path, "abc")
    (line,) = found.scores
    assert (line.score, line.value, line.null, line.n, line.label) == ("kd", 0.2, 0.01, 37, None)
    assert found.real_set == "[left out]" and found.findings == ["KD 0.2 (real-real 0.01)."]
    with pytest.raises(DataError, match="score of another set"):
        read_fidelity(tmp_path, "abd")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (None, "score.json is missing.*medgain score"),
        ({"format": 2}, "not of this version's format: format: .*medgain score"),
        ({"features": 3}, "not of this version's format: features: "),
        ({"real": {"compared": "many"}}, "not of this version's format: real"),
        ({"extra": 1}, "not of this version's format: extra: "),
    ],
)
def test_a_damaged_score_is_named(tmp_path, changes, match):
    if changes is not None:
        values = scored("abc").model_dump(mode="json") | changes
        (tmp_path / "score.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_fidelity(tmp_path, "abc")


@pytest.mark.parametrize("text", ["CC BY 4.0", "cc-by-4.0", " CC_BY_4.0 ", "CC-BY-4.0"])
def test_licences_are_recognised(text):
    assert recognise(text) == "CC-BY-4.0"


def test_the_set_s_own_licence_is_the_default():
    assert resolve_licence(None, "cc0-1.0") == "CC0-1.0"
    assert resolve_licence("LicenseRef-Ours", "unknown") == "LicenseRef-Ours"
    for name, url in LICENCES.items():
        assert recognise(name) == name and url.startswith("https://")


@pytest.mark.parametrize("own", ["unknown", "", "ask Bob"])
def test_no_licence_is_refused(own):
    with pytest.raises(ConfigError, match="needs one.*--licence"):
        resolve_licence(None, own)


@pytest.mark.parametrize("wanted", ["CC-BY-5.0", "", "free", "LicenseRef-", "LicenseRef-a b"])
def test_an_unknown_licence_is_refused(wanted):
    with pytest.raises(ConfigError, match="unknown licence"):
        resolve_licence(wanted, "CC-BY-4.0")


@pytest.mark.parametrize(
    ("licence", "training", "match"),
    [
        ("CC-BY-4.0", "unknown", "for the publisher to establish"),
        ("CC-BY-4.0", "CC-BY-NC-4.0", "forbids commercial use"),
        ("CC-BY-4.0", "CC-BY-SA-4.0", "keep it"),
        ("CC-BY-4.0", "CC-BY-ND-4.0", "forbids publishing derived data"),
    ],
)
def test_licences_that_clash_are_told(licence, training, match):
    assert any(match in sentence for sentence in conflicts(licence, training))


def test_licences_that_agree_are_not():
    assert conflicts("CC-BY-4.0", "CC-BY-4.0") == []
    assert conflicts("CC-BY-NC-SA-4.0", "CC-BY-NC-SA-4.0") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("IM-0115-0001", "IM-0115-0001"),
        ("the closest is 'IM-0115-0001'.", "IM-0115-0001"),
        ("xIM-0115-0001", None),
        ("image-000001.dcm holds 10432 bytes", None),
        ("ward/7/scan", "ward/7/scan"),
    ],
)
def test_private_words_are_found_by_themselves(text, found):
    assert find_private(text, {"IM-0115-0001", "000001", "10432", "ward/7/scan"}) == found


@pytest.mark.parametrize(
    "text",
    [
        "/data/set",
        "in ~/x",
        "C:\\patients\\a",
        "\\\\server\\x",
        "scan.dcm",
        "a/b/IM1.jpeg",
        "../up",
    ],
)
def test_paths_are_recognised(text):
    assert looks_like_path(text) and without_paths({"a": [text]}) == {"a": ["[left out]"]}


@pytest.mark.parametrize(
    "text",
    ["real/synthetic", "1 % of 100", "r1 + r2", "CC-BY-4.0", "p < 0.001", "and/or", "gan 64²"],
)
def test_other_text_is_no_path(text):
    assert not looks_like_path(text)
