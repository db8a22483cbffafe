"""`medgain train` and `medgain export`: a model to use, and its ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `train` and `export` to `app`."""
    app.command("train")(train)
    app.command("export")(export)


def train(
    image_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder of the image set.")],
    out: Annotated[Path, typer.Option(help="Folder for the saved model.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="segmentation or classification; without it what the set has: masks, else labels."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A name from `medgain list segmenters` or `medgain list models`."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the task: steps=800, loss=focal, width=64, … Repeat for more.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Part to train on; by default train and val. Never test.")
    ] = None,
    policy: Annotated[str, typer.Option(help="A name from `medgain list policies`.")] = "none",
    validation_share: Annotated[
        float, typer.Option(help="Share of the images, of other groups, that choose the weights.")
    ] = 0.2,
    on_leak: Annotated[
        str, typer.Option(help="Images in training and test: error, or drop from training.")
    ] = "error",
    seed: Annotated[int, typer.Option(min=0, help="Every random number derives from it.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print scores and parts as JSON.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.")
    ] = False,
) -> None:
    """Train a model on the training part of SET, never on its test part, and save it."""
    import json

    from medgain import api
    from medgain.runtime.overrides import parse_overrides
    from medgain.tasks.saved import read_saved_record
    from medgain.tasks.train_and_save import summary_lines

    trained = api.train(
        image_set,
        out,
        task=task,  # type: ignore[arg-type]  # checked there, with a clear error
        model=model,
        settings=parse_overrides(overrides or []),
        policy=policy,
        split=split,
        validation_share=validation_share,
        on_leak=on_leak,  # type: ignore[arg-type]  # checked there, with a clear error
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    if as_json:
        shown = {"kind", "scores", "threshold", "details"}
        facts = read_saved_record(out).model_dump(mode="json", include=shown)
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for line in summary_lines(trained):
        typer.echo(line)


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a saved model.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write, such as model.onnx.")],
    opset: Annotated[
        int | None, typer.Option(min=18, help="Version of the ONNX operators.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a probability from PyTorch's.")
    ] = 1e-4,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Export a saved model as ONNX, checked against what PyTorch computes."""
    from medgain.tasks.export import export_onnx

    made = export_onnx(model, out, opset=opset, tolerance=tolerance, overwrite=overwrite)
    channels, height, width = made.input_shape
    typer.echo(
        f"input: images, float32 (N, {channels}, {height}, {width}), stored values / the largest"
        " of their type (0 to 1)"
    )
    typer.echo(f"output: probabilities of {', '.join(made.output_names)}")
    typer.echo(
        f"checked in {made.runtime} on {made.images_compared} images: largest difference from"
        f" PyTorch {made.largest_difference:.2g} (allowed {tolerance:g})"
    )
    typer.echo(f"{out}: {made.megabytes:.1f} MB, ONNX operators of version {made.opset}")
