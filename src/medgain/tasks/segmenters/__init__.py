"""The segmenters a task can train: U-Net, its twin without skips, and smp's architectures."""

from medgain.tasks.segmenters.base import (
    SEGMENTERS,
    Body,
    SegmenterFamily,
    SegmenterRequest,
    find_segmenter,
)
from medgain.tasks.segmenters.segmenter import Segmenter, SegmenterSpec, build_segmenter

__all__ = [
    "SEGMENTERS",
    "Body",
    "Segmenter",
    "SegmenterFamily",
    "SegmenterRequest",
    "SegmenterSpec",
    "build_segmenter",
    "find_segmenter",
]
