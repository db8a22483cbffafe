"""What must never be published: ids, groups and paths of real images.

A release is written from a list of what may be published, so nothing of this can enter by the
usual way. `find_private` is the second lock: it looks through the finished text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from medgain.imageset.imageset import COLUMNS, ImageSet

LEFT_OUT = "[left out]"
_ROOTED = r"(?:~|\.{1,2})?/[^\s/]+/?|[A-Za-z]:\\|\\\\[^\s\\]+"
_PATH = re.compile(rf"(?:^|[\s'\"(=,:])(?:{_ROOTED})")
_FILE = re.compile(
    r"[^\s'\"]+\.(?:png|jpe?g|bmp|gif|webp|tiff?|dcm|dicom|nii(?:\.gz)?|npy|npz|csv|tsv|xlsx?|"
    r"parquet|json|safetensors|pth?|ckpt)\b",
    re.IGNORECASE,
)
MIN_TOKEN = 5


def looks_like_path(text: str) -> bool:
    """Return whether `text` holds something like the path of a file or folder."""
    return bool(_PATH.search(text) or _FILE.search(text))


def without_paths(value: Any) -> Any:
    """Return `value` (JSON's types) with every text that looks like a path replaced."""
    if isinstance(value, Mapping):
        return {str(key): without_paths(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_paths(item) for item in value]
    if isinstance(value, str) and looks_like_path(value):
        return LEFT_OUT
    return value


def without(texts: Iterable[str], private: Iterable[str]) -> list[str]:
    """Return those of `texts` that neither look like a path nor hold a private text."""
    private = list(private)
    return [
        text
        for text in texts
        if not looks_like_path(text) and not any(stands_in(token, text) for token in private)
    ]


def private_texts(image_set: ImageSet, train_image_ids: Iterable[str]) -> set[str]:
    """Return texts that may stand nowhere in a release of `image_set`.

    These are the training images that an audit names, groups that are not the image's own id,
    files that images came from, and texts in columns beyond the usual ones. Texts of fewer than
    five characters, and class names, are left aside: they would be found by chance.
    """
    records = image_set.records
    found = {str(image_id) for image_id in train_image_ids}
    found.update(records["group"][records["group"] != records["image_id"]].astype(str))
    sources = set(records["source"].astype(str))
    found.update(source for source in sources if looks_like_path(source) or "/" in source)
    known = {*COLUMNS, "mask_sha256"}
    for column in records.columns:
        if column not in known and not is_numeric(records[column]):
            found.update(records[column].dropna().astype(str))
    public = {*image_set.classes, *records["label"].astype(str)}
    return {text for text in found if len(text) >= MIN_TOKEN and text not in public}


def is_numeric(column: Any) -> bool:
    """Return whether a column holds numbers or truth values."""
    return bool(getattr(column.dtype, "kind", "O") in "biuf")


def find_private(text: str, private: Iterable[str]) -> str | None:
    """Return the first private text found in `text`, or None.

    Numbers are left aside: an id such as "10432" can't be told from a count.
    """
    words = (token for token in sorted(private) if not token.isdecimal())
    return next((token for token in words if stands_in(token, text)), None)


def stands_in(token: str, text: str) -> bool:
    """Return whether `token` is in `text` by itself, not as part of a longer word."""
    if token not in text:
        return False
    return re.search(rf"(?<![\w-]){re.escape(token)}(?![\w-])", text) is not None
