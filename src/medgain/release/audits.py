"""What a release reads of an audit (`audit.json`) and of a score (`score.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from medgain.release.privacy import without_paths
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
    pairs: list[dict[str, Any]] = []

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
    file = _json_file(path, "audit.json", AUDIT_REMEDY)
    try:
        return Audit.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(
            f"{file} is no audit: {key}: {first['msg'].lower()}", AUDIT_REMEDY
        ) from None


def read_score(path: Path | str, fingerprint: str) -> dict[str, Any]:
    """Read the score at `path` (folder or JSON file) of the set with `fingerprint`.

    Paths and long lists (single images' values) are left out.

    Raises:
        DataError: there is none, or it is the score of another set.
    """
    remedy = "score this set: medgain score REAL_SET SYNTHETIC_SET --out score"
    file = _json_file(path, "score.json", remedy)
    score = read_json(file)
    if not isinstance(score, Mapping):
        raise DataError(f"{file} is no score: it holds no keys", remedy)
    if score.get("synthetic_fingerprint") != fingerprint:
        raise DataError(f"{file} is the score of another set (the fingerprints differ)", remedy)
    return dict(without_paths(brief(score)))


def brief(value: Any, longest: int = 12) -> Any:
    """Return `value` without lists longer than `longest`: what is left fits a datasheet."""
    if isinstance(value, Mapping):
        kept = {str(key): brief(item, longest) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [brief(item, longest) for item in value] if len(value) <= longest else None
    return value


def _json_file(path: Path | str, name: str, remedy: str) -> Path:
    path = Path(path)
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file} is missing", remedy)
    return file
