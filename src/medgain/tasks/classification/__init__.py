"""The classification task."""

from medgain.tasks.classification.task import ClassificationTask as ClassificationTask
