"""All that a run draws: batches, latents, labels, augmentation; and the steps made of it."""

from __future__ import annotations

from medgain.augment.policy import resolve_policy
from medgain.generators.base import FitContext
from medgain.generators.training.adaptive import DiscriminatorPolicy
from medgain.generators.training.batches import Streams, TrainingImages
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable
from medgain.generators.training.parallel import World
from medgain.generators.training.step import Step
from medgain.runtime.errors import ConfigError
from medgain.runtime.seeds import SeedTree

# drawn by each process for its rows; all else is drawn alike by all, for the whole batch
OWN_STREAMS = ("augment", "losses")


class Draws:
    """The random streams of a run, and the steps that are made of them.

    Attributes:
        random: CPU generators by name, all of whose states checkpoints hold.
        streams: the batches of images.
        augment: what the discriminator's images pass through.
    """

    def __init__(
        self,
        model: Trainable,
        data: TrainingImages,
        config: TrainedConfig,
        context: FitContext,
        world: World,
    ) -> None:
        self.model, self.device, self.world = model, context.device, world
        self.batch_size = min(config.batch_size, len(data.images))
        if self.batch_size < world.size:
            raise ConfigError(
                f"{world.size} processes can't share a batch of {self.batch_size} images",
                "start fewer, or raise config.batch_size",
            )
        seeds = SeedTree(context.seed)
        names = ["latents", "labels", *(["jitter"] if model.jitter is not None else [])]
        nodes = {name: seeds.child(name) for name in (*names, *OWN_STREAMS)}
        for name in OWN_STREAMS if world.rank else ():
            nodes[name] = nodes[name].child("process", world.rank)
        self.random = {name: node.torch() for name, node in nodes.items()}
        self.streams = Streams(data, self.batch_size, seeds, context.device)
        named = config.discriminator_augment
        policy = None if named is None else resolve_policy(named)
        self.augment = DiscriminatorPolicy(policy, self.random["augment"])

    def step(self, number: int, images_seen: int, done: float) -> Step:
        """Return the next step: this process's rows of what is drawn for all.

        Args:
            number: steps done before.
            done: share of the budget that is spent, 0 to 1.
        """
        model, images, other = self.model, self.streams.images, self.streams.other
        latents = model.draw_latents(self.batch_size, self.random["latents"])
        rows = images.next_rows()
        step = Step(
            images.at(rows),
            latents.to(self.device),
            self.augment.images,
            images_seen,
            images.masks_at(rows),
            self.augment.pairs,
            labels=images.labels_at(rows),
            number=number,
            done=done,
            random=self.random["losses"],
        )
        if model.classes:
            labels = model.draw_labels(self.batch_size, self.random["labels"])
            step.drawn_labels = labels.to(self.device)
        if other is not None:
            rows = other.next_rows()
            step.other, step.other_labels = other.at(rows), other.labels_at(rows)
        self._jitter(step)
        return step if self.world.size == 1 else step.part(self.world.rows(self.batch_size))

    def _jitter(self, step: Step) -> None:
        policy = self.model.jitter
        if policy is None:
            return
        size = (step.real.shape[-2], step.real.shape[-1])
        parameters = policy.draw(len(step.real), size, self.random["jitter"])
        if step.masks is None:
            step.real = policy.apply(step.real, parameters, value_range=(-1.0, 1.0))
        else:
            step.real, step.masks = policy.apply(
                step.real, parameters, step.masks, value_range=(-1.0, 1.0)
            )
