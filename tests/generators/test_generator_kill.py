"""A run of any trained generator that is stopped, or killed, goes on to the same samples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from generators.small import BUDGET, new, training_set
from medgain.generators.base import GENERATORS, FitContext
from medgain.generators.training.checkpoint import load_tensors
from medgain.generators.training.loop import CHECKPOINT, GeneratorTrainer
from medgain.imageset.imageset import ImageSet

TRAINED = [entry.name for entry in GENERATORS if entry.value.trains]
# one of each kind: noise, growing, class-conditional, diffusion, translation, masks
KILLED = ["r3gan", "progan", "biggan", "ddpm", "cyclegan", "pix2pix"]
# of 80 images in all: a checkpoint at 24 and each 24 on, the end soon after the 40th, which is
# while progan grows
EVERY, END_AT = {"checkpoint_kimg": 0.024}, 40


def resumed_equals_whole(name: str, real: ImageSet, folder: Path) -> None:
    """Assert that going on in `folder` gives the samples and the history of an unbroken run."""
    _, about = load_tensors(folder / CHECKPOINT)
    assert 24 <= about["images_seen"] < 80, "it ended between two checkpoints"
    whole, resumed = new(name, **EVERY), new(name, **EVERY)
    report = whole.fit(real, BUDGET, FitContext(seed=0, quiet=True))
    again = resumed.fit(real, BUDGET, FitContext(seed=0, quiet=True, folder=folder))
    assert again.steps == report.steps and again.history == report.history
    one, other = whole.sample(6, seed=1), resumed.sample(6, seed=1)
    assert one.fingerprint() == other.fingerprint()
    assert np.array_equal(one.images, other.images)


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in KILLED])
def test_a_stopped_run_goes_on_to_the_same_samples(name, make_set, tmp_path, monkeypatch):
    real, run_update, late = training_set(name, make_set), GeneratorTrainer._run_update, []

    def stopped(trainer, update, steps):
        if trainer.counters.images_seen >= END_AT:
            late.append(update)
            if len(late) == 2:  # in the middle of a step, where it has several updates
                raise KeyboardInterrupt
        run_update(trainer, update, steps)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(GeneratorTrainer, "_run_update", stopped)
        new(name, **EVERY).fit(real, BUDGET, FitContext(seed=0, quiet=True, folder=tmp_path))
    resumed_equals_whole(name, real, tmp_path)


# each run in a fork, all of which begin before torch has computed anything
_KILLED_RUNS = """
import json, os, signal, sys
from pathlib import Path
from generators.small import BUDGET, new
import medgain.generators.models.biggan
import medgain.generators.models.cyclegan
import medgain.generators.models.ddpm
import torch
from medgain.imageset.imageset import ImageSet
from medgain.generators.base import FitContext
from medgain.generators.training.loop import GeneratorTrainer
end_at, every, late = int(sys.argv[2]), json.loads(sys.argv[3]), []
run_update = GeneratorTrainer._run_update

def killed(trainer, update, steps):
    if trainer.counters.images_seen >= end_at:
        late.append(update)
        if len(late) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    run_update(trainer, update, steps)

folder, ended = Path(sys.argv[1]), {}
for name in sys.argv[4:]:
    child = os.fork()
    if not child:
        try:
            torch.set_num_threads(1)
            GeneratorTrainer._run_update = killed
            context = FitContext(seed=0, quiet=True, folder=folder / name / "run")
            new(name, **every).fit(ImageSet.open(folder / name / "set"), BUDGET, context)
        finally:
            os._exit(1)
    ended[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""


@pytest.fixture(scope="module")
def killed(make_set, tmp_path_factory) -> Path:
    """A folder with a set and a killed run of each generator in `KILLED`."""
    folder = tmp_path_factory.mktemp("killed")
    for name in KILLED:
        training_set(name, make_set).save(folder / name / "set")
    words = [str(folder), str(END_AT), json.dumps(EVERY), *KILLED]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_RUNS, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        check=True,
        stdout=subprocess.PIPE,
    )
    assert json.loads(done.stdout) == dict.fromkeys(KILLED, -9)
    return folder


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_run_goes_on_to_the_same_samples(name, killed):
    resumed_equals_whole(name, ImageSet.open(killed / name / "set"), killed / name / "run")
