"""Does translation change the class? What a classifier says of images before and after.

A part of the training patients is held out. A classifier and a translator learn from the others;
held-out images of the source class are then translated, and the classifier, which never saw a
synthetic image, says how many it calls the target class, before and after, and of the sources
merely blurred. Held-out real images of both classes say what it gets right at all. Sources of
the set's own test part, if it has one, are translated as well: they may be of another kind.

    python benchmarks/translation_check.py SET --model cyclegan --source normal \
        --target pneumonia --kimg 3 --out FOLDER [--set config.width=32]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from medgain.augment.policy import resolve_policy
from medgain.generators.base import Budget, FitContext
from medgain.generators.run import new_generator
from medgain.generators.training.snapshots import save_beside
from medgain.imageset.imageset import ImageSet
from medgain.imageset.parts import generator_part
from medgain.imageset.splits import split_validation
from medgain.runtime.overrides import parse_overrides
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask

HELD_OUT_SHARE = 0.2
SHEET_IMAGES = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path)
    parser.add_argument("--model", default="cyclegan")
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--kimg", type=float)
    parser.add_argument("--steps", type=int, default=600, help="of the classifier")
    parser.add_argument("--limit", type=int, help="training images of each class, at most")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    seeds, device = SeedTree(options.seed), torch.device(options.device)
    whole = ImageSet.open(options.set)
    part, _ = generator_part(whole)
    train, held_out = parted(part, HELD_OUT_SHARE, seeds.child("held-out"))
    train = limited(train, options.limit, seeds.child("limit"))
    parts = {"held out": held_out}
    if (whole.splits == "test").any():
        parts["test"] = whole.take(whole.splits == "test")

    task = ClassificationTask(ClassificationConfig(steps=options.steps))
    learnt, chosen = parted(train, 0.15, seeds.child("validation"))
    data = TrainingData(learnt, chosen, policy=resolve_policy("pneumonia-e1"))
    classifier = task.fit(data, seeds=seeds.child("classifier"), device=device)

    settings = parse_overrides(options.settings).get("config", {})
    if options.model != "stargan":
        settings |= {"source": options.source, "target": options.target}
    generator, _ = new_generator(options.model, settings, train)
    folder = options.out / "run"
    context = FitContext(options.seed, folder, device, resume=False, quiet=True)
    report = generator.fit(train, Budget(kimg=options.kimg, minutes=options.minutes), context)
    generator.save(folder)

    target = train.classes.index(options.target)

    def called(images: ImageSet) -> dict[str, float]:
        """Return the share called the target class at the validation threshold and at 0.5."""
        chance = task.predict(classifier, images)[:, target]
        threshold = classifier.threshold if classifier.threshold is not None else 0.5
        return {
            "images": len(images),
            "at_threshold": round(float((chance >= threshold).mean()), 3),
            "at_half": round(float((chance >= 0.5).mean()), 3),
            "mean_probability": round(float(chance.mean()), 3),
        }

    found: dict[str, Any] = {
        "model": options.model,
        "config": generator.config.model_dump(mode="json"),
        "training_images": len(train),
        "threshold": classifier.threshold,
        "seconds": round(report.seconds, 1),
        "kimg": report.images_seen / 1000,
        "steps": report.steps,
        "peak_memory_mb": round(report.peak_memory_mb),
        "threads": options.threads,
    }
    for name, images in parts.items():
        labels = images.records["label"].to_numpy()
        sources = images.take(labels == options.source)
        wanted = [options.target] * len(sources)
        made = generator.sample(len(sources), seed=1, labels=wanted, sources=sources)
        before, after = (np.asarray(i.images).astype(float) for i in (sources, made))
        found[name] = {
            "sources, before": called(sources),
            "sources, blurred as a control": called(blurred(sources)),
            "translations, after": called(made),
            "real images of the target class": called(images.take(labels == options.target)),
            "mean absolute change, share of white": round(
                float(np.abs(after - before).mean() / images.max_value), 4
            ),
        }
        few = slice(0, SHEET_IMAGES)
        sheet = [np.asarray(sources.images[few]), np.asarray(made.images[few])]
        path = options.out / f"{options.model}-{name.replace(' ', '-')}.png"
        save_beside(path, sheet, white=float(images.max_value))
    text = json.dumps(found, indent=2)
    (options.out / f"{options.model}.json").write_text(text)
    print(text)


def parted(images: ImageSet, share: float, seeds: SeedTree) -> tuple[ImageSet, ImageSet]:
    """Return the images without and with a `share` of the patients."""
    rest, taken = split_validation(images, np.arange(len(images)), share, seeds.numpy())
    return images.take(rest), images.take(taken)


def blurred(images: ImageSet) -> ImageSet:
    """Return `images` smoothed by a Gaussian of 1/64 of their height: is blur called a disease?

    A translator that is trained too little blurs; what a classifier says of that is not about
    the class.
    """
    sigma_px = images.size_px[0] / 64
    stored = np.asarray(images.images).astype(np.float32)
    smooth = gaussian_filter(stored, (0, sigma_px, sigma_px, 0))
    pixels = np.round(smooth).clip(0, images.max_value).astype(images.images.dtype)
    return ImageSet(pixels, images.records, images.card)


def limited(images: ImageSet, most: int | None, seeds: SeedTree) -> ImageSet:
    """Return at most `most` images of each class."""
    if most is None:
        return images
    order, labels = seeds.numpy().permutation(len(images)), images.records["label"].to_numpy()
    rows = [order[labels[order] == label][:most] for label in images.classes]
    return images.take(np.sort(np.concatenate(rows)))


if __name__ == "__main__":
    main()
