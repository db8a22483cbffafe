"""Devices and precision."""

import subprocess
import sys

import pytest
import torch

from medgain.runtime import device
from medgain.runtime.errors import ConfigError


def test_auto_gives_a_device_that_works():
    assert torch.ones(2, device=device.resolve_device("auto")).sum() == 2


@pytest.mark.parametrize("name", ["cuda:99", "nonsense"])
def test_a_missing_device_is_named(name):
    with pytest.raises(ConfigError, match=f"'{name}' is not available here.*'cpu'"):
        device.resolve_device(name)


def test_precision_follows_the_chip(monkeypatch):
    cpu = torch.device("cpu")
    assert device.resolve_precision(cpu, "fp32") == torch.float32
    assert device.resolve_precision(cpu, "bf16") == torch.bfloat16
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: False)
    assert device.resolve_precision(cpu, "auto") == torch.float32


def test_auto_falls_back_where_bf16_disagrees(monkeypatch):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(device, "bf16_agrees", lambda kind: False)
    assert device.resolve_precision(torch.device("cpu"), "auto") == torch.float32


def test_bf16_agrees_with_fp32_on_this_machine():
    assert device.bf16_agrees("cpu")


def test_autocast_changes_the_type_of_products_only_when_asked():
    cpu = torch.device("cpu")
    a = torch.ones(2, 2)
    with device.autocast(cpu, torch.float32):
        assert (a @ a).dtype == torch.float32
    with device.autocast(cpu, torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16


FAULTS = """
import resource
import numpy as np
from medgain.runtime.device import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(50_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
print(keep_freed_memory(), first, faults(), faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has this setting")
def test_freed_memory_is_used_again_without_page_faults():
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    kept, before, _, after = run.stdout.split()
    if kept == "False":
        pytest.skip("this C library has no mallopt")
    assert int(after) < int(before) / 4
