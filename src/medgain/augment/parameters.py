"""What was drawn for each image of a batch: to be logged, repeated, and given to masks alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

from medgain.augment.config import PolicyConfig

# Rows of the one uniform draw. A row is spent whether or not its step is on, so that turning
# a step on changes nothing else under the same seed.
_ROWS = (
    "rotation_deg",
    "shear_deg",
    "shift_x",
    "shift_y",
    "zoom",
    "zoom_y",
    "flip_horizontal",
    "flip_vertical",
    "brightness",
    "contrast",
    "saturation",
    "gamma",
    "noise_sd",
    "blur_sigma_px",
    "elastic_alpha",
)
# Root mean square of a cubic B-spline surface over nodes of unit variance: the mean of the
# squared weights is (151/315) per axis, so the surface has standard deviation 151/315.
_SPLINE_RMS = 151.0 / 315.0
_FLIPS = ("flip_horizontal", "flip_vertical")


@dataclass(frozen=True)
class Parameters:
    """Parameters of one batch of n images of `size` (H, W); each tensor has shape (n,).

    Directions are those of the content as seen: rotation counter-clockwise, shift right and
    down. `zoom_x`, `zoom_y` are factors of the field of view as in Keras: 0.8 magnifies 1.25
    times. `elastic_nodes` (n, 2, gh, gw) are displacements of spline nodes in pixels.
    """

    size: tuple[int, int]
    rotation_deg: torch.Tensor
    shear_deg: torch.Tensor
    shift_x_px: torch.Tensor
    shift_y_px: torch.Tensor
    zoom_x: torch.Tensor
    zoom_y: torch.Tensor
    flip_horizontal: torch.Tensor
    flip_vertical: torch.Tensor
    brightness: torch.Tensor
    contrast: torch.Tensor
    saturation: torch.Tensor
    gamma: torch.Tensor
    noise_sd: torch.Tensor
    blur_sigma_px: torch.Tensor
    elastic_px: torch.Tensor
    noise_seed: torch.Tensor | None = None
    elastic_nodes: torch.Tensor | None = None

    def __len__(self) -> int:
        return int(self.rotation_deg.shape[0])

    @classmethod
    def identity(cls, n: int, size: tuple[int, int]) -> Parameters:
        """Return parameters that leave n images of `size` as they are."""
        one = ("zoom_x", "zoom_y", "contrast", "saturation", "gamma")
        flags = {name: torch.zeros(n, dtype=torch.bool) for name in _FLIPS}
        names = [f.name for f in fields(cls) if f.name not in ("size", "noise_seed", *_FLIPS)]
        names.remove("elastic_nodes")
        values = {name: torch.full((n,), float(name in one)) for name in names}
        return cls(size, **flags, **values)

    def to(self, device: torch.device | str) -> Parameters:
        """Return the same parameters on `device`; themselves where they are there already."""
        if self.rotation_deg.device == torch.device(device):
            return self
        moved = {name: tensor.to(device) for name, tensor in self._tensors().items()}
        return replace(self, **moved)  # type: ignore[arg-type]

    def take(self, indices: Sequence[int] | torch.Tensor) -> Parameters:
        """Return the parameters of some of the images."""
        rows = torch.as_tensor(indices, device=self.rotation_deg.device)
        return replace(self, **{name: t[rows] for name, t in self._tensors().items()})  # type: ignore[arg-type]

    def moves(self) -> torch.Tensor:
        """Return which images are moved at all: bool (n,)."""
        still = (
            (self.rotation_deg == 0)
            & (self.shear_deg == 0)
            & (self.shift_x_px == 0)
            & (self.shift_y_px == 0)
            & (self.zoom_x == 1)
            & (self.zoom_y == 1)
            & (self.elastic_px == 0)
        )
        return ~still | self.flip_horizontal | self.flip_vertical

    def describe(self, i: int) -> str:
        """Return in plain words what is done to image i, or "unchanged"."""
        value = {name: tensor[i] for name, tensor in self._tensors().items()}
        said = _words({k: v.item() for k, v in value.items() if v.ndim == 0})
        return ", ".join(said) or "unchanged"

    def _tensors(self) -> dict[str, torch.Tensor]:
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: v for name, v in every.items() if isinstance(v, torch.Tensor)}


def _words(p: dict[str, float]) -> list[str]:
    words = []
    if abs(p["rotation_deg"]) >= 0.05:
        turn = "counter-clockwise" if p["rotation_deg"] > 0 else "clockwise"
        words.append(f"rotated {abs(p['rotation_deg']):.1f}° {turn}")
    for name, forward, back in (("shift_x_px", "right", "left"), ("shift_y_px", "down", "up")):
        if abs(p[name]) >= 0.05:
            words.append(f"shifted {abs(p[name]):.1f} px {forward if p[name] > 0 else back}")
    if abs(p["shear_deg"]) >= 0.005:
        words.append(f"sheared {p['shear_deg']:.2f}°")
    width, height = 1 / p["zoom_x"], 1 / p["zoom_y"]
    if abs(width - height) < 1e-6 and abs(width - 1) >= 0.005:
        words.append(f"magnified {width:.2f}×")
    elif abs(width - height) >= 1e-6:
        words.append(f"magnified {width:.2f}× across and {height:.2f}× down")
    if p["flip_horizontal"]:
        words.append("mirrored left-right")
    if p["flip_vertical"]:
        words.append("mirrored top-bottom")
    if p["elastic_px"] > 0:
        words.append(f"elastic deformation of {p['elastic_px']:.1f} px")
    if p["blur_sigma_px"] > 0:
        words.append(f"blurred by {p['blur_sigma_px']:.1f} px")
    if p["brightness"]:
        words.append(f"brightness {100 * p['brightness']:+.0f} %")
    for name in ("saturation", "contrast", "gamma"):
        if abs(p[name] - 1) >= 0.005:
            words.append(f"{name} × {p[name]:.2f}" if name != "gamma" else f"gamma {p[name]:.2f}")
    if p["noise_sd"] > 0:
        words.append(f"noise of sd {100 * p['noise_sd']:.1f} %")
    return words


def draw_parameters(
    config: PolicyConfig, n: int, size: tuple[int, int], generator: torch.Generator
) -> Parameters:
    """Draw parameters for n images of `size` (H, W) on the generator's device.

    All numbers come from `generator`; the same seed gives the same parameters on one device.
    """
    device = generator.device
    low, high = _bounds(config, size)
    uniform = torch.rand((len(_ROWS), n), generator=generator, device=device)
    low_column = torch.tensor(low, device=device)[:, None]
    high_column = torch.tensor(high, device=device)[:, None]
    drawn = torch.lerp(low_column.expand_as(uniform), high_column.expand_as(uniform), uniform)
    row = dict(zip(_ROWS, drawn.unbind(0), strict=True))
    if config.whole_pixel_shifts:
        for k, name in ((2, "shift_x"), (3, "shift_y")):
            row[name] = torch.floor(row[name]).clamp_(max=high[k] - 1)
    row["gamma"] = row["gamma"].exp_()
    if config.zoom_isotropic:
        row["zoom_y"] = row["zoom"]
    for name in _FLIPS:
        row[name] = row[name] > 0.5
    if config.probability < 1:
        _skip_some(row, config.probability, generator)
    nodes = seeds = None
    if config.active("elastic_alpha"):
        shape = (n, 2, *spline_nodes(size, config.elastic_sigma))
        noise = torch.randn(shape, generator=generator, device=device)
        nodes = noise * (row["elastic_alpha"] / _SPLINE_RMS)[:, None, None, None]
    if config.active("noise_sd"):
        seeds = torch.randint(2**62, (n,), generator=generator, device=device)
    names = {"shift_x": "shift_x_px", "shift_y": "shift_y_px", "zoom": "zoom_x"}
    named = {names.get(key, key): value for key, value in row.items()}
    named["elastic_px"] = named.pop("elastic_alpha")
    return Parameters(size, noise_seed=seeds, elastic_nodes=nodes, **named)


def spline_nodes(size: tuple[int, int], sigma: float) -> tuple[int, int]:
    """Return how many spline nodes an elastic field over `size` (H, W) has: (gh, gw)."""
    spacing = max(2.0, sigma * min(size))
    return math.ceil(size[0] / spacing) + 3, math.ceil(size[1] / spacing) + 3


def _bounds(config: PolicyConfig, size: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Return the low and high end of each row, shifts and elastic in pixels, gamma in logs."""
    height, width = size
    pixels = {"shift_x": width, "shift_y": height, "elastic_alpha": min(size)}
    low, high = [], []
    for name in _ROWS:
        if name.startswith("flip_"):
            ends = (0.0, 1.0 if getattr(config, name) else 0.0)
        else:
            a, b = config.limits("zoom" if name == "zoom_y" else name)
            ends = (a * pixels.get(name, 1), b * pixels.get(name, 1))
            if name == "gamma":
                ends = (math.log(a), math.log(b))
            if name.startswith("shift_") and config.whole_pixel_shifts:
                # floor() of [low, high + 1) gives each whole shift the same chance
                ends = (math.floor(ends[0] + 0.5), math.floor(ends[1] + 0.5) + 1)
        low.append(float(ends[0]))
        high.append(float(ends[1]))
    return low, high


def _skip_some(
    row: dict[str, torch.Tensor], probability: float, generator: torch.Generator
) -> None:
    """Set each step of each image back to neutral with chance 1 - probability."""
    neutral = {"zoom": 1.0, "zoom_y": 1.0, "contrast": 1.0, "saturation": 1.0, "gamma": 1.0}
    shape = (len(_ROWS), row["zoom"].shape[0])
    skip = torch.rand(shape, generator=generator, device=generator.device) >= probability
    gate = dict(zip(_ROWS, skip.unbind(0), strict=True))
    gate["zoom_y"], gate["shift_y"] = gate["zoom"], gate["shift_x"]
    for name in _ROWS:
        row[name] = row[name].masked_fill(gate[name], neutral.get(name, 0.0))
