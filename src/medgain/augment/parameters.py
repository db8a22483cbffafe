"""What was drawn for each image of a batch: to be logged, repeated, and given to masks alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from medgain.augment.config import PolicyConfig
from medgain.augment.step import Step


@dataclass(frozen=True)
class Parameters:
    """Parameters of one batch of n images of `size` (H, W): numbers for each step of `settings`.

    `params["rotation_deg"]` is the tensor (n,) that was drawn for a step; the names are those of
    the settings, but for `shift_x_px`, `shift_y_px`, `zoom_x`, `zoom_y` and `elastic_px`.
    Directions are those of the content as seen: rotation counter-clockwise, shift right and
    down. Zooms are factors of the field of view as in Keras: 0.8 magnifies 1.25 times. Where
    they are drawn, `elastic_nodes` (n, 2, gh, gw) are displacements of spline nodes in pixels,
    and `noise_seed` (n,) is what each image's noise comes from.
    """

    size: tuple[int, int]
    settings: type[PolicyConfig]
    values: Mapping[str, torch.Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.values[name]

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps that the numbers are for."""
        return self.settings.steps()

    @property
    def device(self) -> torch.device:
        """The device that the parameters are on."""
        return next(iter(self.values.values())).device

    @classmethod
    def identity(
        cls, n: int, size: tuple[int, int], settings: type[PolicyConfig] = PolicyConfig
    ) -> Parameters:
        """Return parameters that leave n images of `size` as they are."""
        values = {
            name: torch.full((n,), bool(step.neutral) if step.single == "chance" else step.neutral)
            for step in settings.steps().values()
            for name in step.drawn
        }
        return cls(size, settings, values)

    def changed(self, values: Mapping[str, torch.Tensor]) -> Parameters:
        """Return these parameters with some of the tensors replaced."""
        return replace(self, values={**self.values, **values})

    def to(self, device: torch.device | str) -> Parameters:
        """Return the same parameters on `device`; themselves where they are there already."""
        if self.device == torch.device(device):
            return self
        return self.changed({name: tensor.to(device) for name, tensor in self.values.items()})

    def take(self, indices: Sequence[int] | torch.Tensor) -> Parameters:
        """Return the parameters of some of the images."""
        rows = torch.as_tensor(indices, device=self.device)
        return self.changed({name: tensor[rows] for name, tensor in self.values.items()})

    def moves(self) -> torch.Tensor:
        """Return which images are moved at all: bool (n,)."""
        moved = [
            self[name] != step.neutral
            for step in self.steps.values()
            if step.geometric
            for name in step.drawn
        ]
        return torch.stack(moved).any(dim=0)

    def describe(self, i: int) -> str:
        """Return in plain words what is done to image i, or "unchanged"."""
        said = [
            step.words(*(self[name][i].item() for name in step.drawn))
            for step in self.steps.values()
        ]
        return ", ".join(filter(None, said)) or "unchanged"


def draw_parameters(
    config: PolicyConfig, n: int, size: tuple[int, int], generator: torch.Generator
) -> Parameters:
    """Draw parameters for n images of `size` (H, W) on the generator's device.

    All numbers come from `generator`; the same seed gives the same parameters on one device. A
    row of the one uniform draw is spent whether or not its step is on, so that turning a step
    on changes nothing else under the same seed.
    """
    steps = config.steps()
    ends = {name: _ends(config, name, size) for name in steps}
    rows = _rows(steps)
    low, high = zip(*(ends[name] for name in rows), strict=True)
    shape, device = (len(rows), n), generator.device
    uniform = torch.rand(shape, generator=generator, device=device)
    low_column = torch.tensor(low, device=device)[:, None]
    high_column = torch.tensor(high, device=device)[:, None]
    drawn = torch.lerp(low_column.expand_as(uniform), high_column.expand_as(uniform), uniform)
    skip = None
    if config.probability < 1:
        skip = torch.rand(shape, generator=generator, device=device) >= config.probability
    values: dict[str, torch.Tensor] = {}
    for name, step in steps.items():
        numbers = tuple(drawn[step.row : step.row + len(step.drawn)].unbind(0))
        if step.single == "chance":
            numbers = tuple(number > 0.5 for number in numbers)
        if step.finish is not None:
            numbers = step.finish(config, ends[name][1], *numbers)
        if skip is not None:
            skipped = skip[step.row if step.skipped_with is None else step.skipped_with]
            numbers = tuple(number.masked_fill(skipped, step.neutral) for number in numbers)
        values.update(zip(step.drawn, numbers, strict=True))
    for name, step in steps.items():
        if step.draw_more is not None and config.active(name):
            values.update(step.draw_more(config, values, size, generator))
    return Parameters(size, type(config), values)


def _rows(steps: Mapping[str, Step]) -> list[str]:
    """Return whose number each row of the uniform draw is."""
    rows = {step.row + k: name for name, step in steps.items() for k in range(len(step.drawn))}
    if sorted(rows) != list(range(sum(len(step.drawn) for step in steps.values()))):
        raise ValueError(f"the rows of the steps overlap or leave one out: {sorted(rows.items())}")
    return [rows[row] for row in range(len(rows))]


def _ends(config: PolicyConfig, name: str, size: tuple[int, int]) -> tuple[float, float]:
    """Return between which values the uniform numbers of a step lie."""
    low, high = config.limits(name)
    step = config.steps()[name]
    if step.ends is not None:
        low, high = step.ends(config, low, high, size)
    return float(low), float(high)
