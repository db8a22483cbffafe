"""The names in `--features` and the files in `--weights`, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medgain.runtime.errors import ConfigError, suggest
from medgain.tasks.backbones import find_model

KNOWN = ("radiomics", "task", "torchvision:NAME", "timm:NAME")
_FAMILIES = ("torchvision", "timm")


def parse_features(text: str | Sequence[str]) -> list[str]:
    """Return the extractors' names in "radiomics,task", each checked.

    Raises:
        ConfigError: none given, one given twice, or a name that is not known (says the nearest).
    """
    parts = text.split(",") if isinstance(text, str) else list(text)
    names = [part.strip() for part in parts if part.strip()]
    if not names:
        raise ConfigError("no features are named", f"known: {', '.join(KNOWN)}")
    for name in names:
        check_name(name)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"features '{twice[0]}' are named twice", "name them once")
    return names


def check_name(name: str) -> None:
    """Raise `ConfigError` with the nearest known name unless `name` is an extractor's."""
    family, colon, model = name.partition(":")
    if name in ("radiomics", "task"):
        return
    if family not in _FAMILIES or not (colon and model):
        hint = suggest(name, KNOWN)
        if not colon:  # a backbone without its family: "squeezenet1_0"
            hint = _family_of(name) or hint
        raise ConfigError(f"unknown features '{name}'", hint)
    find_model(name)


def assign_weights(names: Sequence[str], given: Sequence[str]) -> dict[str, Path | str]:
    """Return the weights of every backbone among `names`.

    Args:
        given: "FILE" where there is one backbone, else "torchvision:NAME=FILE" for each;
            FILE may be "download".

    Raises:
        ConfigError: a backbone without weights, weights without a backbone, or a missing file.
    """
    backbones = [name for name in names if is_backbone(name)]
    found: dict[str, Path | str] = {}
    for item in given:
        name, equals, file = item.partition("=")
        if not (equals and name.startswith(tuple(f"{family}:" for family in _FAMILIES))):
            if len(backbones) != 1:
                what = "no backbone" if not backbones else f"{len(backbones)} backbones"
                raise ConfigError(
                    f"--weights {item} is given, and --features names {what}",
                    "add one, such as --features torchvision:squeezenet1_0"
                    if not backbones
                    else f"say which: --weights {backbones[0]}={item}",
                )
            name, file = backbones[0], item
        if name not in backbones:
            raise ConfigError(f"--weights names '{name}'", suggest(name, backbones))
        found[name] = checked_weights(name, file)
    for name in backbones:
        if name not in found:
            raise ConfigError(
                f"the features {name} need pretrained weights",
                "give a file: --weights FILE (.safetensors or .pth), or --weights download where"
                " there is a network",
            )
    return found


def is_backbone(name: str) -> bool:
    """Tell whether `name` is a torchvision or timm model."""
    return name.partition(":")[0] in _FAMILIES


def checked_weights(name: str, weights: Path | str) -> Path | str:
    """Return `weights` if it is "download" or an existing file.

    Raises:
        ConfigError: there is no such file.
    """
    if str(weights) == "download":
        return "download"
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"the weights of {name}, {path}, are {'a folder' if path.is_dir() else 'missing'}",
            "give a .safetensors or .pth file with --weights",
        )
    return path


def _family_of(bare: str) -> str:
    for family in _FAMILIES:
        try:
            find_model(f"{family}:{bare}")
        except ConfigError:
            continue
        return f"did you mean '{family}:{bare}'?"
    return ""
