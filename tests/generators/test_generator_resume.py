"""Going on after a stop, or a kill, gives the numbers of an unbroken run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import Dcgan, DcganConfig
from medgain.generators.training.checkpoint import load_tensors
from medgain.generators.training.loop import CHECKPOINT
from medgain.runtime.errors import ConfigError, DataError

SMALL = {"width": 4, "batch_size": 8, "checkpoint_kimg": 0.2, "grid_kimg": 0.1}


def fit(real, folder: Path, kimg: float, **changes) -> tuple[Dcgan, dict[str, list[float]]]:
    settings = {**SMALL, **changes}
    context = FitContext(
        seed=settings.pop("seed", 3),
        precision=settings.pop("precision", "auto"),
        folder=folder,
        quiet=True,
    )
    generator = Dcgan(DcganConfig(**settings))
    return generator, generator.fit(real, Budget(kimg=kimg), context).history


def same_checkpoints(one: Path, other: Path) -> None:
    (first, about_first), (second, about_second) = map(load_tensors, (one, other))
    assert first.keys() == second.keys()
    assert len(first) > 30
    different = [name for name in first if not np.array_equal(first[name], second[name])]
    assert not different
    for about in (about_first, about_second):
        del about["seconds"], about["energy_wh"]
    assert about_first == about_second


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_in_two_pieces_equals_an_unbroken_one(make_set, tmp_path, precision):
    real = make_set(20)
    whole, history = fit(real, tmp_path / "whole", 0.52, precision=precision)
    fit(real, tmp_path / "pieces", 0.26, precision=precision)
    pieces, history_of_pieces = fit(real, tmp_path / "pieces", 0.52, precision=precision)
    same_checkpoints(tmp_path / "whole" / CHECKPOINT, tmp_path / "pieces" / CHECKPOINT)
    assert history == history_of_pieces
    assert np.array_equal(whole.sample(9, seed=0).images, pieces.sample(9, seed=0).images)
    for name in ("losses.csv",):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "pieces" / name).read_text()


_CHILD = """
import os, signal, sys, torch, numpy as np
from pathlib import Path
from medgain.imageset.imageset import Card, ImageSet
from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import Dcgan, DcganConfig, DcganModel
torch.set_num_threads(1)
steps = []
losses = DcganModel._generator_losses
def killed_in_a_step(self, step):
    steps.append(1)
    if len(steps) == 40:  # the discriminator's update is done, the generator's is not
        os.kill(os.getpid(), signal.SIGKILL)
    return losses(self, step)
DcganModel._generator_losses = killed_in_a_step
images = np.load(sys.argv[1])
card = Card(name="blobs", classes=["normal", "ill"], positive="ill", modality="made-up")
real = ImageSet.from_arrays(images, labels=["normal"] * len(images), card=card)
config = DcganConfig(width=4, batch_size=8, checkpoint_kimg=0.2, grid_kimg=0.1)
Dcgan(config).fit(real, Budget(kimg=9), FitContext(seed=3, folder=Path(sys.argv[2]), quiet=True))
"""


def test_a_killed_run_goes_on_to_the_same_numbers(make_set, tmp_path):
    real = make_set(20)
    np.save(tmp_path / "images.npy", real.images)
    folder = tmp_path / "killed"
    arguments = [sys.executable, "-c", _CHILD, str(tmp_path / "images.npy"), str(folder)]
    child = subprocess.run(arguments, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert child.returncode == -signal.SIGKILL
    _, about = load_tensors(folder / CHECKPOINT)
    assert about["step"] == 25
    killed, history = fit(real, folder, 0.4)
    whole, history_of_whole = fit(real, tmp_path / "whole", 0.4)
    same_checkpoints(folder / CHECKPOINT, tmp_path / "whole" / CHECKPOINT)
    assert history == history_of_whole
    assert np.array_equal(killed.sample(9, seed=0).images, whole.sample(9, seed=0).images)


def test_a_finished_run_is_not_run_again(make_set, tmp_path):
    real = make_set(20)
    first, history = fit(real, tmp_path / "run", 0.3)
    before = (tmp_path / "run" / CHECKPOINT).read_bytes()
    again, history_again = fit(real, tmp_path / "run", 0.3)
    assert history == history_again
    assert before == (tmp_path / "run" / CHECKPOINT).read_bytes()
    assert np.array_equal(first.sample(9, seed=0).images, again.sample(9, seed=0).images)


@pytest.mark.parametrize(
    ("changes", "named"), [({"seed": 4}, "seed"), ({"lr": 1e-3}, "config"), ({}, "trained_on")]
)
def test_a_foreign_checkpoint_is_refused(make_set, tmp_path, changes, named):
    fit(make_set(20), tmp_path / "run", 0.1)
    other = make_set(20, seed=0 if changes else 1)
    with pytest.raises(ConfigError, match=f"checkpoint of another run: its {named} is"):
        fit(other, tmp_path / "run", 0.2, **changes)


def test_a_damaged_checkpoint_is_named(make_set, tmp_path):
    real = make_set(20)
    fit(real, tmp_path / "run", 0.1)
    checkpoint = tmp_path / "run" / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"checkpoint\.safetensors can't be read"):
        fit(real, tmp_path / "run", 0.2)


def test_without_resume_a_run_begins_anew(make_set, tmp_path):
    real = make_set(20)
    _, history = fit(real, tmp_path / "run", 0.2)
    context = FitContext(seed=3, folder=tmp_path / "run", quiet=True, resume=False)
    report = Dcgan(DcganConfig(**SMALL)).fit(real, Budget(kimg=0.2), context)
    assert report.history == history and report.steps == 25
