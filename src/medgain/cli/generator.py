"""`medgain generator`: train a generator on a set's training part, and sample from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medgain.cli import generator_compare, generator_explain

_app = typer.Typer(
    no_args_is_help=True, help="Train generators and sample synthetic image sets from them."
)


def register(app: typer.Typer) -> None:
    """Add `generator` to `app`."""
    app.add_typer(_app, name="generator")


generator_compare.register(_app)
generator_explain.register(_app)


@_app.command()
def train(
    image_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder of the image set.")],
    out: Annotated[Path, typer.Option(help="Folder for the run and the trained generator.")],
    model: Annotated[str, typer.Option(help="A name from `medgain list generators`.")] = "r3gan",
    label: Annotated[
        str | None, typer.Option(help="Class to train on; without it one generator per class.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Part to train on; by default train and val. Never test."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="budget.kimg=50, budget.minutes=5, config.width=32, … Repeat for more.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Every random number derives from it.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto: bf16 where the chip has it.")
    ] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
) -> None:
    """Train a generator on the training part of SET, never on its test part."""
    from medgain.generators.base import FitContext
    from medgain.generators.run import train_generator
    from medgain.imageset.imageset import ImageSet
    from medgain.runtime.device import resolve_device
    from medgain.runtime.overrides import parse_overrides

    context = FitContext(
        seed=seed,
        folder=out,
        device=resolve_device(device),
        precision=precision,
        resume=resume,
    )
    run = train_generator(
        ImageSet.open(image_set),
        model,
        context,
        label=label,
        split=split,
        settings=parse_overrides(overrides or []),
    )
    report = run.report
    typer.echo(f"trained {model} on {run.used}")
    for note in report.notes:
        typer.echo(f"note: {note}")
    rate = f", {report.images_seen / report.seconds:.0f} images/s" if report.seconds > 0 else ""
    wh, by = report.energy_wh, report.energy_source
    used = f", {wh:.3g} Wh ({by})" if wh is not None else ""
    typer.echo(
        f"{report.images_seen / 1000:.1f} kimg in {report.seconds:.0f} s{rate}, peak memory"
        f" {report.peak_memory_mb:.0f} MiB{used}"
    )
    typer.echo(f"{out}: next, medgain generator sample {out} --count 100 --out sets/synthetic")


@_app.command()
def sample(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained generator.")],
    out: Annotated[Path, typer.Option(help="Folder for the synthetic image set.")],
    count: Annotated[
        int | None,
        typer.Option(help="How many images: 100, or one for each of --sources or --masks."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Class to draw; without it as in the training part."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            metavar="SET",
            help="Images to translate, but for its test part; without it training images.",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="SET", help="Image set whose masks to draw from; for pix2pix and its like."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal images.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.")
    ] = False,
) -> None:
    """Draw synthetic images from a trained generator into an image set."""
    from medgain.generators.run import sample_run
    from medgain.imageset.imageset import ImageSet

    images = sample_run(
        run,
        count,
        seed=seed,
        label=label,
        sources=ImageSet.open(sources) if sources is not None else None,
        masks=ImageSet.open(masks) if masks is not None else None,
    )
    images.save(out, overwrite=overwrite)
    counts = images.records["label"].value_counts()
    of = ", ".join(f"{number} {name or 'without label'}" for name, number in counts.items())
    typer.echo(f"{out}: {len(images)} synthetic images ({of})")
