"""The steps that move pixels, of images and masks alike: one entry each, in their order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from medgain.augment.step import Affine, Size, Span, Step, StepSettings

if TYPE_CHECKING:
    import torch

    Drawn = Mapping[str, torch.Tensor]

FillMode = Literal["constant", "nearest", "reflect", "wrap"]


def _turn(place: Affine, degrees: torch.Tensor) -> Affine:
    return place._replace(turn_deg=place.turn_deg + degrees)


def _turned(degrees: float) -> str:
    way = "counter-clockwise" if degrees > 0 else "clockwise"
    return f"rotated {abs(degrees):.1f}° {way}" if abs(degrees) >= 0.05 else ""


def _shift_x_ends(
    config: GeometricSteps, low: float, high: float, size: Size
) -> tuple[float, float]:
    return _shift_ends(config, low * size[1], high * size[1])


def _shift_y_ends(
    config: GeometricSteps, low: float, high: float, size: Size
) -> tuple[float, float]:
    return _shift_ends(config, low * size[0], high * size[0])


def _shift_ends(config: GeometricSteps, low: float, high: float) -> tuple[float, float]:
    if config.whole_pixel_shifts:
        # floor() of [low, high + 1) gives each whole shift the same chance
        return math.floor(low + 0.5), math.floor(high + 0.5) + 1
    return low, high


def _whole_pixels(config: GeometricSteps, high: float, px: torch.Tensor) -> tuple[torch.Tensor]:
    return (px.floor().clamp(max=high - 1) if config.whole_pixel_shifts else px,)


def _shift_right(place: Affine, px: torch.Tensor) -> Affine:
    return place._replace(right_px=place.right_px + px)


def _shift_down(place: Affine, px: torch.Tensor) -> Affine:
    return place._replace(down_px=place.down_px + px)


def _shifted_x(px: float) -> str:
    return f"shifted {abs(px):.1f} px {'right' if px > 0 else 'left'}" if abs(px) >= 0.05 else ""


def _shifted_y(px: float) -> str:
    return f"shifted {abs(px):.1f} px {'down' if px > 0 else 'up'}" if abs(px) >= 0.05 else ""


def _shear(place: Affine, degrees: torch.Tensor) -> Affine:
    return place._replace(shear_deg=place.shear_deg + degrees)


def _sheared(degrees: float) -> str:
    return f"sheared {degrees:.2f}°" if abs(degrees) >= 0.005 else ""


def _one_zoom(
    config: GeometricSteps, high: float, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return x, x if config.zoom_isotropic else y


def _zoom(place: Affine, x: torch.Tensor, y: torch.Tensor) -> Affine:
    return place._replace(zoom_x=place.zoom_x * x, zoom_y=place.zoom_y * y)


def _zoomed(x: float, y: float) -> str:
    width, height = 1 / x, 1 / y
    if abs(width - height) >= 1e-6:
        return f"magnified {width:.2f}× across and {height:.2f}× down"
    return f"magnified {width:.2f}×" if abs(width - 1) >= 0.005 else ""


def _mirror_x(place: Affine, mirrored: torch.Tensor) -> Affine:
    return place._replace(zoom_x=place.zoom_x * (1.0 - 2.0 * mirrored))


def _mirror_y(place: Affine, mirrored: torch.Tensor) -> Affine:
    return place._replace(zoom_y=place.zoom_y * (1.0 - 2.0 * mirrored))


def _elastic_ends(
    config: GeometricSteps, low: float, high: float, size: Size
) -> tuple[float, float]:
    return low * min(size), high * min(size)


def _elastic_nodes(
    config: GeometricSteps, drawn: Drawn, size: Size, generator: torch.Generator
) -> Drawn:
    from medgain.augment.elastic import draw_nodes

    return {"elastic_nodes": draw_nodes(drawn["elastic_px"], size, config.elastic_sigma, generator)}


def _deform(drawn: Drawn, size: Size) -> torch.Tensor | None:
    from medgain.augment.elastic import elastic_field

    return elastic_field(drawn["elastic_nodes"], size) if "elastic_nodes" in drawn else None


class GeometricSteps(StepSettings):
    """Settings of the steps that move pixels, and of what stands outside the image."""

    rotation_deg: Annotated[
        Span, Step("plus-minus", -360.0, 360.0, row=0, affine=_turn, words=_turned)
    ] = Field(default=0.0, description="rotation angle, degrees; r means -r to r")
    shift_x: Annotated[
        Span,
        Step(
            "plus-minus",
            -1.0,
            1.0,
            row=2,
            drawn=("shift_x_px",),
            ends=_shift_x_ends,
            finish=_whole_pixels,
            affine=_shift_right,
            words=_shifted_x,
        ),
    ] = Field(default=0.0, description="horizontal shift, fraction of the width")
    shift_y: Annotated[
        Span,
        Step(
            "plus-minus",
            -1.0,
            1.0,
            row=3,
            drawn=("shift_y_px",),
            ends=_shift_y_ends,
            finish=_whole_pixels,
            skipped_with=2,  # one shift, across and down
            affine=_shift_down,
            words=_shifted_y,
        ),
    ] = Field(default=0.0, description="vertical shift, fraction of the height")
    whole_pixel_shifts: bool = Field(
        default=False, description="draw shifts as whole pixels (DiffAugment)"
    )
    shear_deg: Annotated[
        Span, Step("plus-minus", -80.0, 80.0, row=1, affine=_shear, words=_sheared)
    ] = Field(default=0.0, description="shear angle, degrees (Keras' unit); s means -s to s")
    zoom: Annotated[
        Span,
        Step(
            "factor",
            0.05,
            20.0,
            row=4,
            neutral=1.0,
            drawn=("zoom_x", "zoom_y"),
            finish=_one_zoom,
            affine=_zoom,
            words=_zoomed,
        ),
    ] = Field(default=0.0, description="field of view factor; z means 1-z to 1+z; < 1 magnifies")
    zoom_isotropic: bool = Field(
        default=False, description="one zoom factor for both axes (Keras: two)"
    )
    flip_horizontal: Annotated[
        bool,
        Step(
            "chance",
            0.0,
            1.0,
            row=6,
            affine=_mirror_x,
            words=lambda yes: "mirrored left-right" if yes else "",
        ),
    ] = Field(default=False, description="mirror left-right with probability 0.5")
    flip_vertical: Annotated[
        bool,
        Step(
            "chance",
            0.0,
            1.0,
            row=7,
            affine=_mirror_y,
            words=lambda yes: "mirrored top-bottom" if yes else "",
        ),
    ] = Field(default=False, description="mirror top-bottom with probability 0.5")
    elastic_alpha: Annotated[
        Span,
        Step(
            "up-to",
            0.0,
            0.25,
            row=14,
            drawn=("elastic_px",),
            ends=_elastic_ends,
            draw_more=_elastic_nodes,
            displace=_deform,
            words=lambda px: f"elastic deformation of {px:.1f} px" if px > 0 else "",
        ),
    ] = Field(
        default=0.0,
        description="elastic displacement, root mean square per axis, fraction of the side",
    )
    elastic_sigma: float = Field(
        default=0.125,
        ge=0.02,
        le=1,
        description="elastic smoothness: node spacing, fraction of the side",
    )
    fill_mode: FillMode = Field(default="nearest", description="what stands outside the image")
    cval: float = Field(
        default=0.0, ge=0, le=1, description="fill of 'constant', fraction of the range"
    )
    mask_cval: int = Field(
        default=0, ge=0, le=65535, description="label that 'constant' fills masks with"
    )
