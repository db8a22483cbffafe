"""What `from medgain import …` gives: a thin door to what each command calls.

Sets are given as folders or as opened `ImageSet`s, and results are written to `out` just as the
command writes them, with the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medgain.imageset.imageset import ImageSet

if TYPE_CHECKING:
    from medgain.advice.advice import Advice
    from medgain.assess.audit.result import AuditResult
    from medgain.assess.score.result import ScoreResult
    from medgain.cleaning.run import Cleaned
    from medgain.generators.base import Generator
    from medgain.release.make import Release
    from medgain.tasks.predicting.options import PredictOptions
    from medgain.tasks.predicting.result import PredictionResult
    from medgain.tasks.train_and_save import TrainedModel

Images = ImageSet | Path | str


def train_generator(
    images: Images,
    out: Path | str,
    model: str = "r3gan",
    *,
    label: str | None = None,
    split: str | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    resume: bool = False,
) -> Generator[Any]:
    """Train a generator on the training part of a set, never on its test part, and return it.

    What `medgain generator train` calls.

    Args:
        out: folder of the run and of the trained generator; `load_generator(out)` opens it again.
        model: a name from `medgain list generators`.
        label: the class to train on; without it one generator per class.
        split: the part to train on; by default train and val.
        settings: {"budget": {"kimg": 50}, "config": {"width": 32}} over the defaults.
        seed: every random number derives from it.
        device: "auto", "cpu" or "cuda".
        precision: "auto" is bf16 where the chip has it.
        resume: go on from the checkpoint in `out`.

    Raises:
        DataError, ConfigError: what is asked for can't be done; nothing was written.
        TrainingFailure: training diverged or collapsed.
    """
    from medgain.generators.base import FitContext
    from medgain.generators.run import load_generator as load
    from medgain.generators.run import train_generator as run
    from medgain.runtime.device import resolve_device

    context = FitContext(
        seed=seed,
        folder=Path(out),
        device=resolve_device(device),
        precision=precision,
        resume=resume,
    )
    run(_opened(images), model, context, label=label, split=split, settings=settings)
    return load(Path(out), resolve_device(device))


def load_generator(run: Path | str, device: str = "auto") -> Generator[Any]:
    """Open a trained generator; `.sample(count, seed=…)` returns an image set.

    Args:
        run: the folder that `train_generator` or `medgain generator train` wrote.

    Raises:
        DataError: there is none, or it is damaged.
    """
    from medgain.generators.run import load_generator as load
    from medgain.runtime.device import resolve_device

    return load(Path(run), resolve_device(device))


def train(
    images: Images,
    out: Path | str,
    *,
    task: Literal["classification", "segmentation"] | None = None,
    model: str | None = None,
    settings: Mapping[str, Any] | None = None,
    policy: str = "none",
    split: str | None = None,
    validation_share: float = 0.2,
    on_leak: Literal["error", "drop"] = "error",
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> TrainedModel:
    """Train a classifier or a segmenter on the training part of a set, and save it in `out`.

    What `medgain train` calls. The test part is scored once, and never trained on.

    Args:
        task: by default segmentation where the set has masks, else classification.
        model: a name from `medgain list models` or `medgain list segmenters`.
        settings: of the task, such as {"steps": 800, "loss": "focal"}.
        policy: a name from `medgain list policies`.
        split: the part to train on; by default train and val.
        validation_share: share of the images, of other groups, that choose the weights.
        on_leak: images in training and test: refuse them, or drop them from training.
        seed: every random number derives from it.

    Returns:
        `.scores` by part, `.counts`, `.notes` and the `.folder` for `predict`.
    """
    from medgain.augment.policy import resolve_policy
    from medgain.runtime.device import resolve_device
    from medgain.tasks.train_and_save import make_task, train_and_save

    opened = _opened(images)
    return train_and_save(
        opened,
        make_task(opened, task, model, settings or {}),
        out,
        split=split,
        policy=resolve_policy(policy),
        validation_share=validation_share,
        on_leak=on_leak,
        seed=seed,
        device=resolve_device(device),
        overwrite=overwrite,
    )


def predict(
    model: Path | str,
    source: Path | str,
    out: Path | str,
    options: PredictOptions | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    quiet: bool = True,
    **changes: Any,
) -> PredictionResult:
    """Predict new images with a saved model, and write masks or classes to the folder `out`.

    What `medgain predict` calls: PNG masks and overlays, NIfTI for NIfTI, DICOM SEG for DICOM.

    Args:
        model: folder of a saved model.
        source: an image, a NIfTI or DICOM file, a folder of any of these, or an image set.
        options: how to predict; see `medgain.tasks.predicting.options.PredictOptions`.
        quiet: no progress.
        changes: single options by name, such as ``split="test"``, over those of `options`.
    """
    from medgain.runtime.device import resolve_device
    from medgain.tasks.predicting.options import PredictOptions
    from medgain.tasks.predicting.run import predict_to_folder

    return predict_to_folder(
        model,
        source,
        out,
        options=(options or PredictOptions()).changed(changes),
        device=resolve_device(device),
        overwrite=overwrite,
        quiet=quiet,
    )


def score(
    real: Images,
    synthetic: Images,
    out: Path | str | None = None,
    *,
    features: str | Sequence[str] = "radiomics",
    weights: Sequence[str] = (),
    real_split: str | None = None,
    steps: int = 600,
    repeats: int = 3,
    training: bool = True,
    limit: int = 5_000,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    quiet: bool = True,
) -> ScoreResult:
    """Score a synthetic set against held-out real images, beside what real images score.

    What `medgain score` calls.

    Args:
        out: folder for score.json and score.html; None writes nothing.
        features: radiomics, task, torchvision:NAME or timm:NAME.
        weights: of the backbones among them: a file, or NAME=FILE for several.
        real_split: held-out part: test, val, half or all; None chooses.
        steps: of each network that is trained.
        repeats: trainings of each classifier of TSTR; 0 leaves it out.
        training: whether any network is trained.
        limit: images of each set that are compared at most.
    """
    from medgain.assess.score.folder import score_to_folder
    from medgain.assess.score.run import score as run
    from medgain.report.score.page import write_score_page
    from medgain.runtime.device import resolve_device
    from medgain.runtime.files import atomic_folder

    options: dict[str, Any] = {
        "features": features,
        "weights": weights,
        "real_split": real_split,
        "seed": seed,
        "device": resolve_device(device),
        "steps": steps,
        "repeats": repeats,
        "limit": limit,
        "training": training,
        "quiet": quiet,
    }
    real, synthetic = _opened(real), _opened(synthetic)
    if out is None:
        return run(real, synthetic, **options)
    with atomic_folder(Path(out), overwrite=overwrite) as folder:
        result = score_to_folder(real, synthetic, folder, **options)
        write_score_page(folder)
    return result


def audit(
    synthetic: Images,
    train: Images,
    holdout: Images | None = None,
    out: Path | str | None = None,
    *,
    train_split: str | None = None,
    holdout_split: str | None = None,
    label: str | None = None,
    features: str = "gradients",
    weights: Path | None = None,
    on_overlap: Literal["error", "drop"] = "error",
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    quiet: bool = True,
) -> AuditResult:
    """Does a synthetic set hold copies of its training images? Calibrated on held-out ones.

    What `medgain audit` calls.

    Args:
        train: the set that holds what the generator was trained on, all of it.
        holdout: real images of other patients; by default a part of `train`.
        out: folder for audit.json and audit.html, which `make_release` asks for.
        train_split, holdout_split: only this part of each, such as "train,val" and "test".
        label: only this class of both: what the generator was trained on.
        features: for distances by features: gradients, radiomics, torchvision:NAME, timm:NAME.
        weights: file of the backbone's weights.
        on_overlap: what `holdout` shares with `train`: refuse it, or drop it from the hold-out.
    """
    from medgain.assess.audit.folder import check_out, write_audit
    from medgain.assess.audit.inputs import open_features, real_parts
    from medgain.assess.audit.run import audit as run
    from medgain.report.audit.page import write_audit_page

    if out is not None:
        check_out(out, overwrite=overwrite)
    held_out = _opened(holdout) if holdout is not None else None
    parts = real_parts(_opened(train), held_out, train_split, holdout_split, label)
    done = run(
        _opened(synthetic),
        *parts,
        features=open_features(features, weights, device),
        features_name=features,
        on_overlap=on_overlap,
        seed=seed,
        quiet=quiet,
    )
    if out is not None:
        write_audit(done, out, overwrite=overwrite)
        write_audit_page(Path(out))
    return done.result


def make_release(
    synthetic: Images,
    out: Path | str,
    *,
    audit: AuditResult | Path | str | None = None,
    score: Path | str | None = None,
    file_format: str = "png",
    licence: str | None = None,
    title: str | None = None,
    accept_risk: str | None = None,
    overwrite: bool = False,
) -> Release:
    """Write a synthetic set as a folder to publish, without the images that its audit flags.

    What `medgain release` calls.

    Args:
        audit: of exactly this set: what `audit` returned, or its folder; phantoms need none.
        score: the folder of the set's score, for the datasheet.
        file_format: a name from `medgain list formats`.
        licence: SPDX identifier, such as CC-BY-4.0; by default the set's own.
        accept_risk: why it is released without a passing audit; recorded in the datasheet.

    Raises:
        ReleaseRefused: the set may not be published; says why and what to do.
    """
    from medgain.assess.audit.result import read_audit
    from medgain.release.fidelity import read_fidelity
    from medgain.release.make import make_release as run

    images = _opened(synthetic)
    found = read_audit(audit) if isinstance(audit, (str, Path)) else audit
    return run(
        images,
        out,
        audit=found,
        file_format=file_format,
        licence=licence,
        fidelity=None if score is None else read_fidelity(Path(score), images.fingerprint()),
        title=title,
        accept_risk=accept_risk,
        overwrite=overwrite,
    )


def clean(
    source: Path | str,
    out: Path | str,
    actions: Mapping[str, Any] | None = None,
    *,
    mirrored: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> Cleaned:
    """Find copies, hairs, rulers, stickers and empty images, and write a cleaned set with a page.

    What `medgain clean` calls. `source` is only read.

    Args:
        actions: by kind ("hairs", "duplicates", …) what to do: "keep", "flag", "drop" or
            "inpaint", or a mapping of `action` and `threshold`; other kinds as by default.
        mirrored: mirror images are duplicates too.
    """
    from medgain.cleaning.run import clean as run
    from medgain.report.clean.page import write_clean_page

    cleaned = run(source, out, actions, mirrored=mirrored, overwrite=overwrite, quiet=quiet)
    write_clean_page(Path(out))
    return cleaned


def advise(
    images: Path | str,
    out: Path | str | None = None,
    *,
    task: Literal["classification", "segmentation"] | None = None,
    modality: str = "",
    expect: float = 0.85,
    hours: float = 8.0,
    seconds: float = 20.0,
    probe: bool = True,
    workers: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> Advice:
    """What to try first with a set, what it costs on this machine, and what it could find.

    What `medgain advise` calls.

    Args:
        images: folder of an image set.
        out: plan to write, such as plan.yaml; None writes nothing.
        expect: the AUROC that you expect of the reference.
        hours: that the study may take.
        seconds: about how long to measure.
        probe: whether to measure at all.
    """
    from medgain.advice.advice import advise as run
    from medgain.advice.plan_file import check_free, write_plan

    if out is not None:
        check_free(Path(out), overwrite=overwrite)
    advice = run(
        images,
        task=task,
        modality=modality,
        auroc=expect,
        hours=hours,
        seconds=seconds,
        probe=probe,
        workers=workers,
        device=device,
    )
    if out is not None:
        write_plan(advice, Path(out), overwrite=overwrite)
    return advice


def _opened(images: Images) -> ImageSet:
    return images if isinstance(images, ImageSet) else ImageSet.open(images)
