"""Energy: the processor's counters where they can be read, else codecarbon, else nothing."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import Dcgan, DcganConfig
from medgain.generators.training.costs import EnergyMeter
from medgain.generators.training.loop import EnergyMeter as LoopMeter

CPU = torch.device("cpu")


@pytest.fixture
def powercap(tmp_path):
    """Return a folder as the kernel shows it: two packages, and a part of one."""
    for name, kind in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:0:0", "core"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "name").write_text(kind + "\n")
        (folder / "energy_uj").write_text("1000000\n")
        (folder / "max_energy_range_uj").write_text("9000000\n")
    return tmp_path


@pytest.fixture
def no_codecarbon(monkeypatch):
    monkeypatch.setitem(sys.modules, "codecarbon", None)


def test_packages_are_summed_and_wrap_around(powercap):
    with EnergyMeter(CPU, powercap=powercap) as meter:
        assert meter.source == "RAPL" and meter.wh(now=True) == 0
        (powercap / "intel-rapl:0" / "energy_uj").write_text("4600000")
        (powercap / "intel-rapl:0:0" / "energy_uj").write_text("8000000")
        assert meter.wh(now=True) == pytest.approx(3.6 / 3600)
        assert meter.wh() == pytest.approx(3.6 / 3600)
        (powercap / "intel-rapl:0" / "energy_uj").write_text("600000")  # 4.4 to 9, then 0.6
        (powercap / "intel-rapl:1" / "energy_uj").write_text("2000000")
        assert meter.wh() == pytest.approx(3.6 / 3600), "read once a minute"
        assert meter.wh(now=True) == pytest.approx((3.6 + 5.0 + 1.0) / 3600)
    again = EnergyMeter(CPU, spent_wh=2.0, powercap=powercap)
    assert again.wh(now=True) == 2.0, "a resumed run goes on counting"


def test_nothing_is_said_where_nothing_can_be_read(tmp_path, no_codecarbon):
    meter = EnergyMeter(CPU, powercap=tmp_path)
    assert meter.source == "" and meter.wh(now=True) is None
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "name").write_text("package-0")  # and no counter
    assert EnergyMeter(CPU, powercap=tmp_path).wh() is None


def test_codecarbon_is_asked_where_there_are_no_counters(tmp_path, monkeypatch):
    calls = []

    class Tracker:
        def __init__(self, **settings):
            calls.append(settings)
            self._total_energy = types.SimpleNamespace(kWh=0.0)

        def start(self):
            calls.append("start")

        def flush(self):
            self._total_energy.kWh += 0.002

        def stop(self):
            calls.append("stop")

    module = types.SimpleNamespace(OfflineEmissionsTracker=Tracker)
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    with EnergyMeter(CPU, spent_wh=1.0, powercap=tmp_path) as meter:
        assert meter.source == "codecarbon" and meter.wh() == 1.0
        assert meter.wh(now=True) == pytest.approx(3.0)
        assert meter.wh(now=True) == pytest.approx(5.0)
    assert calls[1:] == ["start", "stop"] and calls[0]["save_to_file"] is False


def test_a_report_holds_the_energy(make_set, monkeypatch, powercap, tmp_path):
    def meter(device, spent_wh=None):
        made = LoopMeter(device, spent_wh, powercap)
        (powercap / "intel-rapl:1" / "energy_uj").write_text("4600000")
        return made

    monkeypatch.setattr("medgain.generators.training.loop.EnergyMeter", meter)
    generator = Dcgan(DcganConfig(width=2, batch_size=8))
    report = generator.fit(make_set(12), Budget(kimg=0.03), FitContext(seed=0, quiet=True))
    assert report.energy_source == "RAPL" and report.energy_wh == pytest.approx(3.6 / 3600)
