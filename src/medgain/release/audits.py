"""What a release reads of an audit (`audit.json`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from medgain.runtime.errors import DataError
from medgain.runtime.files import read_json

AUDIT_REMEDY = "audit it: medgain audit SYNTHETIC_SET --train REAL --holdout REAL --out audit"


class Audit(BaseModel):
    """The part of an audit that a release needs. Other keys are read, and never published."""

    model_config = ConfigDict(extra="ignore")
    verdict: Literal["pass", "review", "fail"]
    rule: str = ""
    reasons: list[str] = []
    synthetic_fingerprint: str
    train_fingerprint: str = ""
    holdout_fingerprint: str = ""
    images: int
    flagged: list[str] = []
    flag_rate: float | None = None
    flag_rate_expected: float | None = None
    flag_rate_ci: list[float | None] | None = None
    membership_auroc: float | None = None
    membership_ci: list[float | None] | None = None
    features: str = ""
    notes: list[str] = []
    sets: dict[str, dict[str, Any]] = {}
    pairs: list[dict[str, Any]] = []

    @property
    def train_images(self) -> int | None:
        """How many training images the synthetic ones were compared with, where that is told."""
        count = self.sets.get("train", {}).get("images")
        return count if isinstance(count, int) else None

    @property
    def train_image_ids(self) -> set[str]:
        """Ids of training images that the audit names: never to be published."""
        keys = ("train_image_id", "training_image_id", "train_group", "holdout_image_id")
        return {str(pair[key]) for pair in self.pairs for key in keys if pair.get(key)}


def read_audit(path: Path | str) -> Audit:
    """Read the audit at `path`: its folder, or the JSON file.

    Raises:
        DataError: there is none, or it is no audit; names the file and what is wrong.
    """
    file = json_file(path, "audit.json", AUDIT_REMEDY)
    try:
        return Audit.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(
            f"{file} is no audit: {key}: {first['msg'].lower()}", AUDIT_REMEDY
        ) from None


def json_file(path: Path | str, name: str, remedy: str) -> Path:
    """Return `path`, or the file `name` in it where it is a folder; raise where there is none."""
    path = Path(path)
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file} is missing", remedy)
    return file
