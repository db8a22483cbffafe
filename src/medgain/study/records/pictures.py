"""policies.json and panels.json: what the arrays beside them show."""

from __future__ import annotations

from typing import Any, Literal

from medgain.runtime.records import Number, Record

PanelRole = Literal["best", "median", "worst"]


class PolicyExample(Record):
    """What one policy did to some training images.

    Attributes:
        describe: a line for each image.
    """

    policy: str | dict[str, Any]
    arms: list[str]
    describe: list[str]


class PolicyExamples(Record):
    """policies.json: position k belongs to `k_before` and `k_after` in policies.npz."""

    format: Literal[1] = 1
    policies: list[PolicyExample]


class PanelArm(Record):
    """The cell that predicted a panel's mask, and its Dice by mask class."""

    cell: str
    dice: dict[str, Number]


class Panel(Record):
    """A test image that is shown with its true and predicted masks.

    Attributes:
        key: its name within panels.npz.
        dice: what it was ranked by: the mean over classes and arms.
    """

    key: str
    role: PanelRole
    image_id: str
    group: str
    fraction: float
    dice: float
    arms: dict[str, PanelArm]


class Panels(Record):
    """panels.json: the pictures of a segmentation study."""

    format: Literal[1] = 1
    mask_classes: list[str]
    arms: list[str]
    cases: list[Panel]
