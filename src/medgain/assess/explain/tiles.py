"""The images and places that excite a filter most, as pictures: found, traced and kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medgain.assess.explain.gradients import Box, boxes, gradients
from medgain.assess.explain.pools import Pool
from medgain.assess.explain.responses import Measured
from medgain.assess.explain.result import FilterTile, Origin
from medgain.assess.explain.subject import Conditions, Layer, Subject

SHOWN = 3  # images of either kind


class Tiles:
    """Finds the images that excite filters, and keeps the pictures of them."""

    def __init__(self, subject: Subject, real: Pool, synthetic: Pool) -> None:
        self.subject, self.exact = subject, subject.doubled()
        self.pools: dict[Origin, Pool] = {"real": real, "synthetic": synthetic}
        self.images: list[NDArray[Any]] = []
        self.gradients: list[NDArray[np.int8]] = []

    def of_filter(
        self, layer: Layer, channel: int, measured: tuple[Measured, Measured]
    ) -> tuple[list[FilterTile], tuple[int, int]]:
        """Return the images that excite a filter most, and how far it sees (height, width)."""
        found: list[FilterTile] = []
        height, width = 0, 0
        for (origin, pool), one in zip(self.pools.items(), measured, strict=True):
            responses = one.responses[layer.name]
            rows = strongest_rows(responses.strongest[:, channel], _groups(pool), SHOWN)
            places = torch.from_numpy(responses.places[rows, channel])
            drawn, seen = self._traced(layer, channel, pool, rows, places)
            for position, row in enumerate(rows):
                box = seen[position]
                height, width = max(height, box[2] - box[0]), max(width, box[3] - box[1])
                record = pool.images.records.iloc[row]
                found.append(
                    FilterTile(
                        tile=self._keep(pool, row, drawn[position]),
                        origin=origin,
                        image_id=str(record["image_id"]),
                        label=str(record["label"]),
                        response=float(responses.strongest[row, channel]),
                        place=divmod(int(places[position]), layer.size_px[1]),
                        box=box,
                    )
                )
        return found, (height, width)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the pictures: images (T, H, W, C), and gradients (T, H, W) of −127 to 127."""
        return {"images": np.stack(self.images), "gradients": np.stack(self.gradients)}

    def _traced(
        self, layer: Layer, channel: int, pool: Pool, rows: list[int], places: torch.Tensor
    ) -> tuple[torch.Tensor, list[Box]]:
        """Return the guided gradients (B, H, W), and the boxes that the filter sees."""
        conditions, subject, exact = (
            pool.conditions.at(torch.tensor(rows)),
            self.subject,
            self.exact,
        )
        images = pool.at(rows).to(subject.device)
        module = subject.watched()[layer.name]
        guided = gradients(
            lambda x: subject.score(x, conditions), module, images, channel, places, "guided"
        )
        if not layer.kernel_px:  # the score sees everything
            whole = (0, 0, images.shape[2], images.shape[3])
            return guided.sum(1).cpu(), [whole] * len(rows)
        linear = gradients(
            lambda x: exact.score(x, _doubled(conditions)),
            exact.watched()[layer.name],
            torch.zeros_like(images, dtype=torch.float64),
            channel,
            places,
            "linear",
        )
        return guided.sum(1).cpu(), boxes(linear)

    def _keep(self, pool: Pool, row: int, gradient: torch.Tensor) -> int:
        largest = float(gradient.abs().max()) or 1.0
        self.images.append(np.array(pool.images.images[row]))
        self.gradients.append((gradient / largest * 127).round().numpy().astype(np.int8))
        return len(self.images) - 1


def strongest_rows(responses: NDArray[Any], groups: NDArray[Any], count: int) -> list[int]:
    """Return the rows of the strongest responses (N,), strongest first, each of another group."""
    rows: list[int] = []
    seen: set[str] = set()
    for row in np.argsort(-responses, kind="stable"):
        if len(rows) == count:
            break
        if groups[row] not in seen:
            seen.add(groups[row])
            rows.append(int(row))
    return rows


def _groups(pool: Pool) -> NDArray[Any]:
    """Return the images' groups; ids where there are none."""
    groups, ids = pool.images.groups.astype(str), pool.images.records["image_id"].to_numpy(str)
    return np.where(groups == "", ids, groups)


def _doubled(conditions: Conditions) -> Conditions:
    return Conditions(
        conditions.labels, None if conditions.planes is None else conditions.planes.double()
    )
