"""torch.compile for a run's networks."""

from __future__ import annotations

import shutil

from medgain.generators.training.model import Trainable
from medgain.runtime.errors import ConfigError


def compile_networks(model: Trainable) -> None:
    """Compile the forward and backward passes of `model`'s networks, in place.

    Their weights and names stay as they are, so that checkpoints fit either way. Networks whose
    gradients are differentiated again stay uncompiled: torch can't compile that.

    Raises:
        ConfigError: there is no compiler for the CPU, or nothing can be compiled.
    """
    names = [name for name in model.networks if name not in model.twice_differentiated]
    if not names:
        raise ConfigError(
            "config.compile=true: this generator takes gradients of gradients through all of its"
            " networks, which torch can't compile",
            "leave config.compile out",
        )
    parameter = next(model.networks[names[0]].parameters())
    if parameter.device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise ConfigError(
            "config.compile=true needs a C++ compiler, and none was found",
            "install g++, or leave config.compile out",
        )
    for name in names:
        model.networks[name].compile()
