"""The JSON half of a saved generator: which it is, its settings, and what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medgain.generators.base import CONFIG_NAME, GeneratorConfig
from medgain.generators.provenance import TrainedOn
from medgain.runtime.errors import DataError
from medgain.runtime.files import read_json, write_json

FORMAT_VERSION = 1
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Saved:
    """What ``generator.json`` holds."""

    config: GeneratorConfig
    trained_on: TrainedOn
    fit_seed: int
    notes: list[str]
    trained_kimg: float | None


def write_saved(
    folder: Path,
    name: str,
    config: GeneratorConfig,
    trained_on: TrainedOn,
    fit_seed: int,
    notes: list[str],
    trained_kimg: float | None = None,
) -> None:
    """Write ``generator.json`` into `folder`."""
    write_json(
        folder / CONFIG_NAME,
        {
            "format_version": FORMAT_VERSION,
            "generator": name,
            "config": config.model_dump(mode="json"),
            "trained_on": trained_on.model_dump(mode="json"),
            "fit_seed": fit_seed,
            "notes": notes,
            "trained_kimg": trained_kimg,
        },
    )


def read_saved(folder: Path, name: str, config_type: type[GeneratorConfig]) -> Saved:
    """Read what `write_saved` wrote for the generator called `name`.

    Raises:
        DataError: the file is of another generator, of a later version, or damaged.
    """
    description = read_description(folder)
    if description["generator"] != name:
        raise DataError(
            f"{folder} holds a generator '{description['generator']}', not '{name}'",
            "load it with load_generator",
        )
    try:
        return Saved(
            config=config_type.model_validate(description["config"]),
            trained_on=TrainedOn.model_validate(description["trained_on"]),
            fit_seed=int(description["fit_seed"]),
            notes=list(description["notes"]),
            trained_kimg=description["trained_kimg"],
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise DataError(
            f"{folder / CONFIG_NAME} is damaged ({error})", "train the generator again"
        ) from None


def read_description(folder: Path) -> dict[str, Any]:
    """Return the JSON that describes the generator saved in `folder`.

    Raises:
        DataError: there is none, or it is damaged or of another version.
    """
    if not (folder / CONFIG_NAME).is_file():
        _refuse_foreign(folder)
        raise DataError(
            f"{folder} holds no trained generator (it has no {CONFIG_NAME})",
            "train one first: medgain generator train SET --model dcgan --out " + str(folder),
        )
    description = read_json(folder / CONFIG_NAME)
    if not isinstance(description, dict) or not isinstance(description.get("generator"), str):
        raise DataError(f"{folder / CONFIG_NAME} names no generator", "train it again")
    if description.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{folder / CONFIG_NAME} has format version {description.get('format_version')!r},"
            f" and this medgain reads {FORMAT_VERSION}",
            "use the medgain that wrote it, or train again",
        )
    return description


def _refuse_foreign(path: Path) -> None:
    """Raise if `path` is, or is a folder of, a network of other software, or a single file.

    Raises:
        DataError: says what it is, and what to do instead.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [file for file in files if file.suffix.lower() in PICKLES and file.is_file()]
    if found:
        raise DataError(
            f"{found[0]} is a checkpoint of other software (a pickle), and medgain does not load"
            " pickles: loading one runs whatever code is in it",
            "draw images with the software that it came from and bring them in with medgain"
            " import, or train here: medgain generator train SET --model stylegan2",
        )
    if path.is_file():
        raise DataError(f"{path} is a file, not the folder of a run", f"give {path.parent}")
