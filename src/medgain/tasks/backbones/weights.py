"""Pretrained weights: read safely, fitted strictly, downloaded without long waits.

No pickled code is ever run: safetensors, or `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medgain.runtime.errors import ConfigError
from medgain.runtime.files import atomic_path
from medgain.runtime.progress import log

DOWNLOAD = "download"
CONNECT_SECONDS = 6.0
_CHUNK_BYTES = 1 << 20
_NAMED = 4  # how many keys a message names


@dataclass(frozen=True)
class Download:
    """Where weights can be had.

    Args:
        url: the file's address.
        file_name: its name in the cache. "-" and eight hex digits before the suffix are the
            start of its SHA-256, as in torchvision, and are checked.
        hub_repository, hub_file: where a Hugging Face cache would hold it, or "".
    """

    url: str
    file_name: str
    hub_repository: str = ""
    hub_file: str = ""


def resolve_weights(weights: str, model: str, download: Callable[[], Download] | None) -> Path:
    """Return the file that `weights` means: itself, or what is downloaded (or cached).

    Args:
        weights: "download" or a path.
        model: as messages call it.
        download: tells where the weights can be had; None where nobody offers any.

    Raises:
        ConfigError: the file is missing, or cannot be downloaded; says which one to get.
    """
    if weights == DOWNLOAD and download is None:
        raise ConfigError(
            f"there are no pretrained weights of the model {model} to download",
            "leave task.weights out, or choose a torchvision: or timm: model",
        )
    if weights == DOWNLOAD and download is not None:
        return fetch(download(), model)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"task.weights: {path} is {'a folder' if path.is_dir() else 'missing'}",
            "give a .safetensors or .pth file, or 'download'",
        )
    return path


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in a .safetensors file or a plain PyTorch file, by name.

    Wrappers ("state_dict", "model") and a leading "module." are taken off.

    Raises:
        ConfigError: the file is damaged, holds no tensors, or would run code when read.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"weights {path} can't be read ({error.strerror or error})") from None
    except Exception as error:  # damaged files raise whatever the damage hits
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise ConfigError(
            f"weights {path} are not a plain weights file ({reason})",
            "give a .safetensors file, or a .pth of tensors alone: others could run code",
        ) from None
    for wrapper in ("state_dict", "model_state", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise ConfigError(f"weights {path} hold no tensors by name", "give a state dict")
    return tensors


def load_body(
    body: nn.Module, state: dict[str, torch.Tensor], path: Path, model: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Load `state` into `body`, every tensor in its place.

    A classifier saved by medgain (its keys start with "body.") fits too; then its
    normalisation (mean, std) is returned, else (None, None).

    Raises:
        ConfigError: tensors are missing, unexpected or of another shape; names some of each.
    """
    mean, std = state.get("mean"), state.get("std")
    saved = mean is not None and std is not None and any(key.startswith("body.") for key in state)
    if saved:
        prefix = "body."
        state = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    own = body.state_dict()
    problems = {
        "missing": sorted(set(own) - set(state)),
        "unexpected": sorted(set(state) - set(own)),
        "of another shape": [
            f"{key} ({tuple(state[key].shape)}, not {tuple(own[key].shape)})"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    # old files lack the counters of batch norm, which carry no weight
    problems["missing"] = [k for k in problems["missing"] if not k.endswith("num_batches_tracked")]
    told = [f"{_some(keys)} {kind}" for kind, keys in problems.items() if keys]
    if told:
        raise ConfigError(
            f"weights {path} don't fit {model}: {'; '.join(told)}",
            "set task.model to what the file was trained as, or task.weights to another file",
        )
    body.load_state_dict(state, strict=False)
    if not saved or mean is None or std is None:
        return None, None
    return tuple(mean.flatten().tolist()), tuple(std.flatten().tolist())


def _some(keys: list[str]) -> str:
    rest = len(keys) - _NAMED
    return ", ".join(keys[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def fetch(download: Download, model: str) -> Path:
    """Return the downloaded file from the cache, or download it there.

    The cache is torch's (`$TORCH_HOME/hub/checkpoints`); a copy in a Hugging Face cache is
    used where it lies. An unreachable site is found out within `CONNECT_SECONDS`.

    Raises:
        ConfigError: no network, or the site refuses; names the file and the key to set.
    """
    cached = Path(torch.hub.get_dir()) / "checkpoints" / download.file_name
    if cached.is_file():
        return cached
    hub_copy = _in_hub_cache(download)
    if hub_copy is not None:
        return hub_copy
    log(f"downloading {download.url}")
    try:
        with atomic_path(cached) as temporary:
            digest = _save(_connect(download.url), temporary)
            promised = re.search(r"-([0-9a-f]{8})\.\w+$", download.file_name)
            if promised and not digest.startswith(promised[1]):
                raise OSError("the file arrived damaged: its checksum is wrong")
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigError(
            f"the pretrained weights of {model} can't be downloaded ({reason})",
            f"fetch {download.url} where there is a network and set task.weights=FILE, or leave"
            " task.weights out to train from scratch",
        ) from None
    return cached


def _in_hub_cache(download: Download) -> Path | None:
    if not download.hub_repository:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(download.hub_repository, download.hub_file)
    return Path(found) if isinstance(found, (str, os.PathLike)) else None


def _connect(url: str) -> Any:
    """Open `url`, or raise within `CONNECT_SECONDS`.

    The thread is there because looking a name up ignores every timeout of a socket.
    """
    outcome: list[Any] = []

    def work() -> None:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "medgain"})
            # an opener of its own: urlopen would keep the proxies of its first call for ever
            opener = urllib.request.build_opener()
            outcome.append(opener.open(request, timeout=CONNECT_SECONDS))
        except urllib.error.HTTPError as error:  # it is also an open connection
            error.close()
            outcome.append(error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not outcome:
        raise OSError(f"no answer within {CONNECT_SECONDS:g} s")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _save(response: Any, path: Path) -> str:
    """Write the response's body to `path`; return its SHA-256."""
    digest = hashlib.sha256()
    with response, path.open("wb") as file:
        while chunk := response.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        expected = response.headers.get("Content-Length")
        if expected and expected.isdigit() and file.tell() != int(expected):
            raise OSError(f"only {file.tell():,} of {int(expected):,} bytes arrived")
    return digest.hexdigest()
