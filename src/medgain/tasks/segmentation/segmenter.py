"""A segmenter: normalisation, padding, a network, and a crop back to the images' size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from medgain.runtime.errors import ConfigError
from medgain.tasks.segmenters.base import Body, SegmenterRequest, find_segmenter
from medgain.tasks.training.network import Network

SMALLEST_PX = 16


@dataclass(frozen=True)
class SegmenterSpec:
    """All that is needed to build the same network again; its weights are stored apart.

    Args:
        model: "unet", "fcn" or "smp:ARCH:ENCODER".
        mask_classes: names of the classes 1, 2, …; 0 is the background.
        channels: of the images, 1 or 3.
        size_px: height and width of the images it was trained on.
        width: of unet and fcn, or None.
    """

    model: str
    mask_classes: tuple[str, ...]
    channels: int
    size_px: tuple[int, int]
    width: int | None = None


class Segmenter(Network):
    """Images in [0, 1], (N, C, H, W), to one logit per pixel and class, (N, 1 + classes, H, W).

    Images whose sides are no multiple of what the network halves are padded at the bottom and
    the right by repeating their edge, and the logits cropped back.

    Args:
        spec: what it is.
        body: the network.
        mean, std: normalisation, one value per channel of the *images*, or of the body.
    """

    spec: SegmenterSpec

    def __init__(
        self, spec: SegmenterSpec, body: Body, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__(body.channels, mean, std)
        self.spec = spec
        self.body = body.module
        self.multiple_px = body.multiple_px

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, float32; channel 0 is the background."""
        height, width = images.shape[-2:]
        down, right = -height % self.multiple_px, -width % self.multiple_px
        normal = self.normalised(images)
        if not (down or right):
            logits: torch.Tensor = self.body(normal)
            return logits.float()
        padded = functional.pad(normal, (0, right, 0, down), mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        logits = self.body(padded)
        return logits[..., :height, :width].float()


def build_segmenter(
    spec: SegmenterSpec,
    *,
    weights: str | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> Segmenter:
    """Build the network from torch's global random state (seed it in a forked scope).

    Args:
        weights: a file, "download", or None for random weights.
        mean, std: of the training part; pretrained weights bring their own instead.

    Raises:
        ConfigError: no such model, weights that don't fit, or images too small for it.
    """
    height, width = spec.size_px
    if min(spec.size_px) < SMALLEST_PX:
        raise ConfigError(
            f"a segmenter takes images of at least {SMALLEST_PX} px, not {width}×{height}",
            f"import with --size {SMALLEST_PX} or more",
        )
    family, name = find_segmenter(spec.model)
    outputs = 1 + len(spec.mask_classes)
    body = family.build(SegmenterRequest(name, spec.channels, outputs, spec.width, weights))
    segmenter = Segmenter(spec, body, body.mean or mean, body.std or std)
    _check_output(segmenter, outputs)
    return segmenter


def _check_output(segmenter: Segmenter, outputs: int) -> None:
    """Pass one blank image through, which proves that the size suits the network."""
    spec = segmenter.spec
    height, width = spec.size_px
    blank = torch.zeros(1, spec.channels, height, width)
    segmenter.eval()
    try:
        with torch.no_grad():
            shape = tuple(segmenter(blank).shape)
        problem = "" if shape == (1, outputs, height, width) else f"it returns {shape}"
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        problem = str(error).splitlines()[0]
    if problem:
        raise ConfigError(
            f"the model {spec.model} can't take images of {width}×{height} px ({problem})",
            "import the images at another --size, or choose another task.model",
        )
