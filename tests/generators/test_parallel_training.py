"""Several processes: the same weights on all, those of one process, and exact resuming."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from medgain.generators.training.checkpoint import load_tensors
from medgain.generators.training.parallel import World, join_world
from medgain.runtime.errors import ConfigError

CPU = torch.device("cpu")

_CHILD = """
import os, sys, numpy as np, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from generators import toys
from medgain.generators.base import Budget, FitContext
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.checkpoint import save_tensors
from medgain.generators.training.loop import GeneratorTrainer
from medgain.generators.training.model import fresh_weights
torch.set_num_threads(1)
folder, out, kimg, lecam = Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
if lecam == "no":
    toys.lecam_penalty = lambda *_: 0.0
images = np.random.default_rng(0).integers(0, 256, (25, 16, 16, 1), dtype=np.uint8)
config = toys.ToyConfig(
    batch_size=11, grid_kimg=9, checkpoint_kimg=9, **eval(sys.argv[6])
)
with fresh_weights(0):
    model = toys.ToyModel(16, 1, 2)
context = FitContext(seed=0, quiet=True, folder=folder, precision="fp32")
data = TrainingImages(images, labels=np.arange(25) % 2)
budget = Budget(kimg=kimg)
trainer = GeneratorTrainer(model, data, config, budget, context, identity={}, title="toy")
report = trainer.run()
weights = {f"{n}/{k}": p for n, net in model.networks.items() for k, p in net.named_parameters()}
save_tensors(out / f"weights-{os.environ.get('RANK', 0)}", weights, report.history)
"""


def train(
    folder: Path, processes: int, kimg: float = 0.11, lecam: str = "no", settings: str = "{}"
) -> None:
    """Run the toy in so many processes; each leaves its weights and history in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = str(Path(__file__).parents[1])
    arguments = [here, str(folder / "run"), str(folder), str(kimg), lecam, settings]
    children = []
    folder.mkdir(exist_ok=True)
    for rank in range(processes):
        together = {
            "RANK": str(rank),
            "WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        environment = {**os.environ, "OMP_NUM_THREADS": "1"} | (together if processes > 1 else {})
        command = [sys.executable, "-c", _CHILD, *arguments]
        children.append(subprocess.Popen(command, env=environment))
    assert [child.wait(timeout=900) for child in children] == [0] * processes


def result(folder: Path, rank: int = 0):
    return load_tensors(folder / f"weights-{rank}")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.slow
@pytest.mark.timeout(3000)  # six processes import torch
@pytest.mark.parametrize("settings", ["{}", "{'micro_batch': 3}"])
def test_two_processes_give_the_weights_of_one(tmp_path, settings):
    train(tmp_path / "one", 1, settings=settings)
    train(tmp_path / "two", 2, settings=settings)
    alone, history = result(tmp_path / "one")
    first, history_of_first = result(tmp_path / "two", 0)
    second, history_of_second = result(tmp_path / "two", 1)
    assert same(first, second) and history_of_first == history_of_second
    for name, weight in alone.items():
        assert torch.allclose(weight, first[name], rtol=1e-3, atol=1e-5), name
    for name in ("discriminator", "generator", "r1"):
        assert history[name] == pytest.approx(history_of_first[name], rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(3000)  # six processes import torch
def test_two_processes_resume_to_the_same_numbers(tmp_path):
    """With what each process draws and remembers for itself: augmentation, ADA, LeCam."""
    settings = "{'discriminator_augment': 'diffaugment', 'ada_target': 0.1, 'ada_kimg': 0.5}"
    train(tmp_path / "whole", 2, 0.22, "yes", settings)
    train(tmp_path / "pieces", 2, 0.11, "yes", settings)
    train(tmp_path / "pieces", 2, 0.22, "yes", settings)
    for rank in (0, 1):
        whole, history = result(tmp_path / "whole", rank)
        pieces, history_of_pieces = result(tmp_path / "pieces", rank)
        assert same(whole, pieces) and history == history_of_pieces
    names = load_tensors(tmp_path / "whole" / "run" / "checkpoint.safetensors")[0]
    assert {"random/augment", "random/augment@1", "memory@1/lecam_real"} <= names.keys()


def test_one_process_is_a_world_of_its_own(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    world = join_world(CPU)
    assert (world.rank, world.size, world.first) == (0, 1, True)
    tensor = torch.arange(3.0)
    assert world.sum(tensor) is tensor and world.agreed(0.1, CPU) == 0.1
    assert world.gathered(tensor, CPU) == [tensor]


def test_rows_of_a_batch_are_shared_out_whole():
    for size in (1, 2, 3, 8):
        shared = [World(rank, size).rows(11) for rank in range(size)]
        rows = np.concatenate([np.arange(11)[part] for part in shared])
        assert rows.tolist() == list(range(11))
        counts = [len(np.arange(11)[part]) for part in shared]
        assert max(counts) - min(counts) <= 1


def test_more_processes_than_images_are_refused(make_set):
    from medgain.generators.base import FitContext
    from medgain.generators.models.dcgan import DcganConfig, DcganModel
    from medgain.generators.training.batches import TrainingImages
    from medgain.generators.training.draws import Draws

    config = DcganConfig(width=2, batch_size=4)
    model, data = DcganModel(16, 1, config), TrainingImages(make_set(20).images)
    with pytest.raises(ConfigError, match="9 processes can't share a batch of 4"):
        Draws(model, data, config, FitContext(seed=0), World(0, 9))
