"""The segmenters a task can train: U-Net, its twin without skips, and smp's architectures."""

from medgain.tasks.segmenters.base import (
    SEGMENTERS,
    Body,
    SegmenterFamily,
    SegmenterRequest,
    find_segmenter,
)

__all__ = [
    "SEGMENTERS",
    "Body",
    "SegmenterFamily",
    "SegmenterRequest",
    "find_segmenter",
]
