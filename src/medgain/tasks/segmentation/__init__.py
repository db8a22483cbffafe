"""The segmentation task."""

from medgain.tasks.segmentation.task import SegmentationTask as SegmentationTask
