"""torch.compile: which networks, what is refused, and that the numbers agree."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch
from torch import nn

from generators.toys import ToyModel
from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import Dcgan, DcganConfig, DcganModel
from medgain.generators.training.model import compile_networks
from medgain.runtime.errors import ConfigError


@pytest.fixture
def compiled(monkeypatch) -> list[nn.Module]:
    """Return a list that fills with the networks told to compile, which then do not."""
    told: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, *_, **__: told.append(self))
    return told


def test_all_networks_but_those_differentiated_twice_are_compiled(compiled):
    plain, penalised = DcganModel(16, 1, DcganConfig(width=2)), ToyModel(16, 1, 2)
    compile_networks(plain)
    assert compiled == list(plain.networks.values())
    compiled.clear()
    compile_networks(penalised)
    assert compiled == [penalised.networks["generator"]]


def test_the_averaged_networks_stay_as_they_are(compiled, make_set):
    generator = Dcgan(DcganConfig(width=2, batch_size=8, compile=True))
    generator.fit(make_set(12), Budget(kimg=0.03), FitContext(seed=0, quiet=True))
    assert len(compiled) == 2 and generator._networks["generator"] not in compiled


def test_what_cannot_be_compiled_is_refused(compiled, monkeypatch):
    model = ToyModel(16, 1, 2)
    monkeypatch.setattr(ToyModel, "twice_differentiated", ("discriminator", "generator"))
    with pytest.raises(ConfigError, match="gradients of gradients through all"):
        compile_networks(model)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        compile_networks(DcganModel(16, 1, DcganConfig(width=2)))
    assert not compiled


@pytest.mark.slow
@pytest.mark.timeout(3000)  # a busy machine compiles slowly
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own
def test_a_compiled_run_gives_nearly_the_same_numbers(make_set, tmp_path):
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler")
    config = DcganConfig(width=4, batch_size=8)
    reports = []
    for compile_it, name in ((False, "plain"), (True, "compiled")):
        torch.compiler.reset()
        generator = Dcgan(config.model_copy(update={"compile": compile_it}))
        context = FitContext(seed=0, quiet=True, precision="fp32", folder=tmp_path / name)
        reports.append(generator.fit(make_set(12), Budget(kimg=0.05), context))
        generator.save(tmp_path / name)
        loaded = Dcgan.load(tmp_path / name)
        assert (loaded.sample(3, seed=0).images == generator.sample(3, seed=0).images).all()
    plain, compiled = (dataclasses.asdict(report)["history"] for report in reports)
    for loss in ("discriminator", "generator"):
        assert compiled[loss] == pytest.approx(plain[loss], rel=2e-3)
