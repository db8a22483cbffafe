"""Records: typed results that pass between floors and onto the disk as JSON, with a `format`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from medgain.runtime.errors import DataError
from medgain.runtime.files import read_json, write_json

AGAIN = "run the command that wrote it again with this version of medgain"


class Record(BaseModel):
    """A frozen model that refuses unknown keys; the outermost has `format: Literal[1] = 1`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# A number that may be undefined: NaN and infinity become None, which JSON writes as null.
Number = Annotated[float | None, BeforeValidator(_finite)]

T = TypeVar("T", bound=BaseModel)


def write_record(path: Path | str, record: BaseModel) -> None:
    """Write `record` to `path` atomically, as indented JSON."""
    write_json(path, record.model_dump(mode="json"))


def read_record(path: Path | str, kind: type[T], remedy: str = AGAIN) -> T:
    """Return the record of type `kind` that `path` holds.

    Raises:
        MedgainError: the file is missing or is not JSON.
        DataError: it is no such record, or of another format; names the file, the first key that
            is wrong, and `remedy`.
    """
    return parse_record(read_json(path), kind, str(path), remedy)


def record_file(path: Path | str, name: str, remedy: str) -> Path:
    """Return `path`, or the file `name` in it where it is a folder.

    Raises:
        DataError: there is no such file.
    """
    path = Path(path)
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file} is missing", remedy)
    return file


def parse_record(value: Any, kind: type[T], where: str, remedy: str = AGAIN) -> T:
    """Return the record that `value`, read from JSON at `where`, describes.

    Raises:
        DataError: as `read_record` does.
    """
    if "format" in kind.model_fields and isinstance(value, dict) and "format" not in value:
        raise DataError(f"{where} is not of this version's format: it has no key 'format'", remedy)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise DataError(
            f"{where} is not of this version's format: {key}: {first['msg'].lower()}", remedy
        ) from None
