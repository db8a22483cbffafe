"""Verification names each file that is not as it was released."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from medgain.release import make_release, verify_release
from medgain.release.checksums import write_checksums
from medgain.release.formats import FORMATS
from medgain.release.formats.png import chunks, encode
from medgain.runtime.errors import DataError
from release_toys import passing, synthetic


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    images = synthetic(masks=True)
    for name in FORMATS.names():
        make_release(images, folder / name, audit=passing(images), file_format=name)
    return folder


@pytest.fixture(params=FORMATS.names())
def release(request, originals, tmp_path):
    return shutil.copytree(originals / request.param, tmp_path / request.param)


@pytest.fixture
def png(originals, tmp_path):
    return shutil.copytree(originals / "png", tmp_path / "png")


def problems(folder, *, resum=False):
    """Return what verification finds, after rewriting the checksums (a thorough forger)."""
    if resum:
        (folder / "checksums.sha256").unlink()
        write_checksums(folder)
    return verify_release(folder).problems


def change_json(path, **changes):
    value = json.loads(path.read_text("utf-8"))
    for key, item in changes.items():
        at, *rest = key.split("__")
        if rest:
            value[at][rest[0]] = item
        else:
            value[at] = item
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def test_an_untouched_release_verifies(release):
    found = verify_release(release)
    assert found.ok and found.files == 16 and len(found.fingerprint) == 64


def test_every_single_changed_byte_is_found(release):
    for path in sorted(release.rglob("*")):
        if path.is_file() and path.name != "checksums.sha256":
            data = path.read_bytes()
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            name = path.relative_to(release).as_posix()
            assert any(found.startswith(f"{name}: ") for found in problems(release)), name
            path.write_bytes(data)
    assert problems(release) == []


def test_a_swapped_image_is_found_even_with_new_checksums(release):
    first, second, *_ = sorted((release / "images").iterdir())
    shutil.copy(second, first)
    assert any("not those released" in found for found in problems(release, resum=True))


def test_a_redrawn_image_is_found_even_with_new_checksums(png):
    path = png / "images/image-000002.png"
    path.write_bytes(encode(np.zeros((9, 7, 1), np.uint8)))
    found = problems(png, resum=True)
    assert any("image-000002.png: it does not say that it is synthetic" in text for text in found)
    assert any("not those released" in text for text in found)


def test_a_changed_label_is_found_even_with_new_checksums(release):
    path = release / "metadata.csv"
    path.write_text(path.read_text().replace("normal", "pneumonia", 1))
    found = problems(release, resum=True)
    assert any("metadata.csv: the classes are not" in text for text in found)


def test_an_image_of_another_shape_is_found(png):
    path = png / "images/image-000002.png"
    path.write_bytes(encode(np.zeros((9, 8, 1), np.uint16)))
    assert any("(9, 8, 1) of uint16, where" in text for text in problems(png, resum=True))


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\x89PNG\r\n\x1a\n", b"DICM" * 100])
def test_a_destroyed_image_is_found(release, garbage):
    path = sorted((release / "images").iterdir())[0]
    path.write_bytes(garbage)
    assert any(f"images/{path.name}: " in text for text in problems(release, resum=True))


def test_missing_and_additional_files_are_named(release):
    path = sorted((release / "images").iterdir())[0]
    path.unlink()
    (release / "discriminator.safetensors").write_bytes(b"x")
    (release / "train").mkdir()
    (release / "train" / "IM-0115.jpeg").write_bytes(b"x")
    found = problems(release)
    assert f"images/{path.name}: missing" in found
    assert any(text.startswith("discriminator.safetensors: does not belong") for text in found)
    assert any(text.startswith("train/: a folder") for text in found)
    assert any(text.startswith("train/IM-0115.jpeg: does not belong") for text in found)


def test_additional_files_are_found_even_with_new_checksums(png):
    (png / "images" / "extra.png").write_bytes(encode(np.zeros((9, 7, 1), np.uint8)))
    (png / "notes.txt").write_text("x")
    found = problems(png, resum=True)
    assert "images/extra.png: not in metadata.csv" in found
    assert "notes.txt: not in metadata.csv" in found


def test_links_are_not_followed(png, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    (png / "link").symlink_to(secret)
    path = png / "images/image-000001.png"
    shutil.copy(path, tmp_path / "same.png")
    path.unlink()
    path.symlink_to(tmp_path / "same.png")
    found = problems(png)
    assert "link: neither a file nor a folder" in found
    assert "images/image-000001.png: neither a file nor a folder" in found
    assert "images/image-000001.png: missing" in found


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "images/../../secret", "a\\b"])
def test_a_checksum_list_does_not_lead_outside(png, name):
    with (png / "checksums.sha256").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(DataError, match="outside the release"):
        verify_release(png)


@pytest.mark.parametrize("text", ["nonsense\n", "0123  images/a.png\n"])
def test_a_damaged_checksum_list_is_named(png, text):
    (png / "checksums.sha256").write_text(text)
    with pytest.raises(DataError, match="line 1 is no checksum"):
        verify_release(png)


def test_what_is_no_release_is_named(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        verify_release(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"checksums.sha256 is missing"):
        verify_release(tmp_path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"audit__verdict": "fail"}, "verdict is 'fail', and no risk was accepted"),
        ({"audit": None}, "no audit, and no risk accepted"),
        ({"audit__synthetic_fingerprint": "0" * 64}, "audit is of another set"),
        ({"audit__flagged": 3}, "flagged 3 of 6 images"),
        ({"statement": "Images of patients."}, "statement that the images are synthetic"),
        ({"licence__id": "CC-BY-9.0"}, "unknown licence"),
        ({"contents__images": 5}, "6 rows, but 5 images"),
        ({"contents__classes": {"normal": 6}}, "the classes are not those"),
        ({"origin": "phantom"}, "origin is not 'phantom'"),
        ({"origin": "real"}, "datasheet.json: it is not of this version's format: origin"),
        ({"patient": "x"}, "datasheet.json: it is not of this version's format: patient"),
        ({"title": "another"}, "README.md: does not say what datasheet.json says"),
        (
            {"audit": None, "risk_accepted": {"refused_because": ["x"], "reason": " "}},
            "reason for accepting the risk is empty",
        ),
    ],
)
def test_a_datasheet_that_does_not_fit_is_found_even_with_new_checksums(png, changes, match):
    change_json(png / "datasheet.json", **changes)
    assert any(match in text for text in problems(png, resum=True)), problems(png)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_a_destroyed_datasheet_is_named(png, text):
    (png / "datasheet.json").write_text(text)
    assert any(found.startswith("datasheet.json: ") for found in problems(png, resum=True))


@pytest.mark.parametrize(
    "text", ["", "file_name\n", "x,y\n1,2\n", "file_name,label\na,b,c\n", "\0"]
)
def test_a_destroyed_table_is_named(png, text):
    (png / "metadata.csv").write_text(text)
    assert any(found.startswith("metadata.csv: ") for found in problems(png, resum=True))


@pytest.mark.parametrize("name", ["datasheet.json", "metadata.csv", "README.md", "croissant.json"])
def test_each_file_has_to_be_there(png, name):
    (png / name).unlink()
    assert any(text.startswith(f"{name}: ") for text in problems(png, resum=True))


@pytest.mark.parametrize(
    ("keyword", "value", "match"),
    [
        ("PatientName", "Doe^Jane", "PatientName does not begin with SYNTHETIC"),
        ("PatientBirthDate", "19700101", "PatientBirthDate is not empty"),
        ("PatientAge", "070Y", "Patient's Age (0010,1010) does not belong"),
        ("InstitutionName", "St. Mary", "Institution Name (0008,0080) does not belong"),
        ("SyntheticData", "NO", "SyntheticData is 'NO', not 'YES'"),
        ("ImageType", ["ORIGINAL", "PRIMARY"], "ImageType is"),
    ],
)
def test_a_tag_that_was_changed_is_found_even_with_new_checksums(
    originals, tmp_path, keyword, value, match
):
    pydicom = pytest.importorskip("pydicom")
    folder = shutil.copytree(originals / "dicom", tmp_path / "dicom")
    path = folder / "images/image-000003.dcm"
    dataset = pydicom.dcmread(path)
    setattr(dataset, keyword, value)
    dataset.save_as(path)
    found = problems(folder, resum=True)
    assert any(text.startswith("images/image-000003.dcm: ") and match in text for text in found)


def test_private_tags_and_repeated_uids_are_found(originals, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    folder = shutil.copytree(originals / "dicom", tmp_path / "dicom")
    first = pydicom.dcmread(folder / "images/image-000001.dcm")
    second = pydicom.dcmread(folder / "images/image-000002.dcm")
    second.SOPInstanceUID = first.SOPInstanceUID
    second.private_block(0x000B, "SECRET", create=True).add_new(1, "LO", "Jane Doe")
    second.save_as(folder / "images/image-000002.dcm")
    found = problems(folder, resum=True)
    assert any("(000B,1001)" in text.upper() for text in found)
    assert "image-000002.dcm has the SOPInstanceUID of image-000001.dcm" in found


def test_text_put_into_a_nifti_header_is_found(originals, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    folder = shutil.copytree(originals / "nifti", tmp_path / "nifti")
    path = folder / "images/image-000001.nii.gz"
    image = nibabel.load(path)
    image.header["db_name"] = b"Jane Doe"
    image.header["descrip"] = b"CT of Jane Doe"
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), np.eye(4), image.header), path)
    found = problems(folder, resum=True)
    assert any("db_name is not empty" in text for text in found)
    assert any("descrip does not say" in text for text in found)


def test_text_put_into_a_png_is_found(png):
    from PIL import Image, PngImagePlugin

    path = png / "images/image-000001.png"
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Patient", "Jane Doe")
    notes.add_itxt("Name", "Jane Doe")
    with Image.open(path) as image:
        image.save(path, pnginfo=notes)
    found = problems(png, resum=True)
    assert any("it holds a 'tEXt' field" in text for text in found)
    assert any("it holds a text 'Name'" in text for text in found)


def test_png_chunks_refuse_what_follows_the_end():
    data = encode(np.zeros((4, 4, 1), np.uint8))
    assert [kind for kind, _ in chunks(data)][-1] == b"IEND"
    for damaged in (data + b"x", data[:-1], data[:20], b"", data[:30] + b"\xff" + data[31:]):
        with pytest.raises(ValueError, match=r"PNG"):
            list(chunks(damaged))
