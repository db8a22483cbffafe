"""Executors: where stages run. A module here registers its own; there is no list to edit."""

from medgain.study.executors.base import EXECUTORS as EXECUTORS
from medgain.study.executors.base import Executor as Executor
