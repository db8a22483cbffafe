"""A policy: draws parameters, then applies them, in two steps that can stand apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

import numpy as np
import torch

from medgain.augment import with_opencv, with_torch
from medgain.augment.config import PolicyConfig, parse_config
from medgain.augment.intensity import change_intensity, is_pointwise, value_tables
from medgain.augment.named import POLICIES
from medgain.augment.parameters import Parameters, draw_parameters
from medgain.runtime.errors import ConfigError, DataError, suggest

Batch = TypeVar("Batch", torch.Tensor, np.ndarray)
_WHOLE_MAX = {torch.uint8: 255.0, torch.uint16: 65535.0}
_APPLIERS = ("auto", "torch", "opencv")
_LABEL_DTYPES = (torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64, torch.bool)


class Policy:
    """Random changes of a batch of images, the same for its masks.

    All geometric steps compose to one matrix and one resampling. On the CPU, where no gradient
    is asked for, OpenCV resamples; else torch does. Both give the same to within a grey level.

    Args:
        config: what may be done, and how far.
        name: how reports call the policy.

    Example:
        >>> policy = resolve_policy("pneumonia-e1")
        >>> generator = torch.Generator().manual_seed(0)
        >>> policy(torch.zeros(8, 1, 64, 64), generator).shape
        torch.Size([8, 1, 64, 64])
    """

    def __init__(self, config: PolicyConfig, name: str = "custom") -> None:
        self.config = config
        self.name = name

    def __repr__(self) -> str:
        changed = self.config.model_dump(exclude_defaults=True)
        inside = ", ".join(f"{key}={value!r}" for key, value in changed.items())
        return f"Policy('{self.name}'{', ' if inside else ''}{inside})"

    def with_probability(self, probability: float) -> Policy:
        """Return this policy with another chance of each step (as ADA varies it), 0 to 1."""
        values = {**self.config.model_dump(exclude_unset=True), "probability": probability}
        return Policy(parse_config(values, model=type(self.config)), self.name)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Parameters:
        """Draw parameters for n images of `size` (H, W) in pixels from `generator` alone.

        Equal seeds give equal parameters on equal kinds of device. The parameters are on the
        generator's device; `apply` moves them to the images'.
        """
        return draw_parameters(self.config, n, size, generator)

    @overload
    def apply(
        self,
        images: Batch,
        params: Parameters,
        masks: None = None,
        *,
        value_range: tuple[float, float] = ...,
        applier: str = ...,
    ) -> Batch: ...

    @overload
    def apply(
        self,
        images: Batch,
        params: Parameters,
        masks: Batch,
        *,
        value_range: tuple[float, float] = ...,
        applier: str = ...,
    ) -> tuple[Batch, Batch]: ...

    def apply(
        self,
        images: Batch,
        params: Parameters,
        masks: Batch | None = None,
        *,
        value_range: tuple[float, float] = (0.0, 1.0),
        applier: str = "auto",
    ) -> Batch | tuple[Batch, Batch]:
        """Apply drawn parameters to images, and to their masks.

        Args:
            images: (N, C, H, W), torch or numpy; uint8, uint16, or floating point within
                `value_range`.
            params: from `draw`, for N images of this size.
            masks: whole-number labels (N, H, W), resampled by nearest neighbour: no label
                appears that wasn't there, except `mask_cval` under fill mode "constant".
            value_range: of floating-point images; (-1, 1) for what a GAN sees.
            applier: "auto", "torch" or "opencv".

        Returns:
            Images of the same kind, shape and dtype, or (images, masks) where masks are given.
            Nothing is changed in place.

        Raises:
            DataError: shapes, dtypes or counts don't fit together.
        """
        batch = _tensor(images)
        _check_images(batch, params)
        done = self._apply_images(batch, params, value_range, applier)
        result: Batch = done.numpy() if isinstance(images, np.ndarray) else done
        if masks is None:
            return result
        labels = _tensor(masks)
        _check_masks(labels, batch)
        moved = self._apply_masks(labels, params, applier)
        return result, moved.numpy() if isinstance(masks, np.ndarray) else moved

    @overload
    def __call__(self, images: Batch, generator: torch.Generator, masks: None = None) -> Batch: ...

    @overload
    def __call__(
        self, images: Batch, generator: torch.Generator, masks: Batch
    ) -> tuple[Batch, Batch]: ...

    def __call__(
        self, images: Batch, generator: torch.Generator, masks: Batch | None = None
    ) -> Batch | tuple[Batch, Batch]:
        """Draw and apply in one go; see `draw` and `apply`."""
        params = self.draw(images.shape[0], (images.shape[-2], images.shape[-1]), generator)
        if masks is None:
            return self.apply(images, params)
        return self.apply(images, params, masks)

    def _apply_images(
        self,
        images: torch.Tensor,
        params: Parameters,
        value_range: tuple[float, float],
        applier: str,
    ) -> torch.Tensor:
        whole_max = _WHOLE_MAX.get(images.dtype)
        low, high = (0.0, whole_max) if whole_max else value_range
        fill = low + self.config.cval * (high - low)
        moved = self._resample(images, params, fill, nearest=False, applier=applier)
        if not self.config.has_intensity or not len(images):
            return moved.clone() if moved is images else moved
        params = params.to(images.device)
        if (
            images.dtype == torch.uint8
            and _use_opencv(images, applier)
            and is_pointwise(self.config, images.shape[1])
        ):
            mean = moved.float().mean(dim=(1, 2, 3)) / 255
            tables = value_tables(mean, params, self.config, 255).to(torch.uint8)
            return torch.from_numpy(with_opencv.look_up(moved.numpy(), tables.numpy()))
        wide = moved if moved.dtype in (torch.float32, torch.float64) else moved.float()
        with torch.autocast(images.device.type, enabled=False):
            wide = change_intensity((wide - low) / (high - low), params, self.config)
        wide = wide * (high - low) + low
        if whole_max:
            wide = wide.round().clamp(0, whole_max)
        return wide.to(images.dtype)

    def _apply_masks(self, masks: torch.Tensor, params: Parameters, applier: str) -> torch.Tensor:
        fill = float(self.config.mask_cval)
        exact = _labels_for_resampling(masks)
        moved = self._resample(exact[:, None], params, fill, nearest=True, applier=applier)[:, 0]
        return moved.clone() if moved.data_ptr() == masks.data_ptr() else moved.to(masks.dtype)

    def _resample(
        self, images: torch.Tensor, params: Parameters, fill: float, *, nearest: bool, applier: str
    ) -> torch.Tensor:
        """Resample by whichever applier suits; returns `images` itself where nothing moves."""
        if not len(images) or not self.config.has_geometry:
            return images
        params = params.to(images.device)
        if _use_opencv(images, applier):
            done = with_opencv.resample(
                images.detach().numpy(),
                params,
                fill_mode=self.config.fill_mode,
                fill=fill,
                nearest=nearest,
            )
            return torch.from_numpy(done)
        with torch.autocast(images.device.type, enabled=False):
            whole = not images.dtype.is_floating_point
            # 64-bit for labels and 16-bit grey values, 32-bit for the rest
            wide = images.double() if nearest else images.float() if whole else images
            moved = with_torch.resample(
                wide, params, fill_mode=self.config.fill_mode, fill=fill, nearest=nearest
            )
            return (moved.round() if whole and not nearest else moved).to(images.dtype)


def _tensor(batch: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Return `batch` as a tensor over the same memory, or over a copy where torch needs one."""
    if isinstance(batch, torch.Tensor):
        return batch
    if not batch.flags.writeable or any(stride < 0 for stride in batch.strides):
        batch = np.array(batch)  # a slice of a mapped image set is read-only
    return torch.from_numpy(batch)


def _labels_for_resampling(masks: torch.Tensor) -> torch.Tensor:
    """Return the labels in a dtype that an applier takes and that holds each exactly."""
    if masks.dtype in (torch.uint8, torch.uint16):
        return masks
    if masks.dtype == torch.bool:
        return masks.to(torch.uint8)
    if masks.device.type == "cpu" and masks.numel():  # elsewhere, looking would mean waiting
        low, high = (int(end) for end in masks.aminmax())
        if low >= 0 and high <= 65535:
            return masks.to(torch.uint16)
    return masks.double()


def _use_opencv(images: torch.Tensor, applier: str) -> bool:
    if applier not in _APPLIERS:
        raise DataError(f"unknown applier '{applier}'", suggest(applier, _APPLIERS))
    fits = (
        images.device.type == "cpu"
        and not (images.requires_grad and torch.is_grad_enabled())
        and images.dtype in with_opencv.DTYPES
        and max(images.shape[-2:]) <= with_opencv.MAX_SIDE_PX
    )
    if applier == "opencv" and not fits:
        raise DataError("OpenCV can't resample this batch", "use applier='auto'")
    return fits and applier != "torch"


def _check_images(images: torch.Tensor, params: Parameters) -> None:
    if images.ndim != 4:
        raise DataError(f"images have shape {tuple(images.shape)}", "give (N, C, H, W)")
    if not (images.dtype.is_floating_point or images.dtype in _WHOLE_MAX):
        raise DataError(f"images are {images.dtype}", "give uint8, uint16 or floating point")
    if len(params) != len(images) or params.size != tuple(images.shape[-2:]):
        raise DataError(
            f"parameters are for {len(params)} images of {params.size}, "
            f"but there are {len(images)} of {tuple(images.shape[-2:])}",
            "draw them for this batch",
        )


def _check_masks(masks: torch.Tensor, images: torch.Tensor) -> None:
    wanted = (images.shape[0], *images.shape[-2:])
    if tuple(masks.shape) != wanted:
        raise DataError(f"masks have shape {tuple(masks.shape)}", f"give (N, H, W) = {wanted}")
    if masks.dtype not in _LABEL_DTYPES:
        raise DataError(f"masks are {masks.dtype}", "give whole-number labels")


def resolve_policy(spec: str | Mapping[str, Any] | PolicyConfig | Policy | None) -> Policy:
    """Return the policy that `spec` means.

    Args:
        spec: a registered name; a mapping of config keys, with `base: NAME` to start from a
            named policy; a config; a policy; or None for "none".

    Raises:
        ConfigError: an unknown name or key (says the nearest), or a range without sense.
    """
    if isinstance(spec, Policy):
        return spec
    if spec is None:
        spec = "none"
    if isinstance(spec, str):
        return Policy(POLICIES.get(spec)(), spec)
    if isinstance(spec, PolicyConfig):
        return Policy(spec)
    if isinstance(spec, Mapping):
        values = dict(spec)
        base = values.pop("base", None)
        if base is None:
            return Policy(parse_config(values))
        if not isinstance(base, str):
            raise ConfigError(f"policy: base = {base!r} is no name", "name a registered policy")
        start = POLICIES.get(base)()
        changed = {**start.model_dump(exclude_unset=True), **values}
        config = parse_config(changed, f"policy on '{base}'", type(start))
        return Policy(config, f"{base}, changed")
    raise ConfigError(f"policy is {spec!r}", "give a name, or a mapping of its settings")
