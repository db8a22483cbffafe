"""`medgain predict`: masks or classes of new images, by a saved model."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add `predict` to `app`."""
    app.command("predict")(predict)


def predict(
    model: Path = typer.Argument(metavar="MODEL", help="Folder of a saved model."),
    source: Path = typer.Argument(
        metavar="IMAGES",
        help="An image, a NIfTI or DICOM file, a folder of any of these, or an image set.",
    ),
    out: Path = typer.Option(..., "--out", help="Folder for the masks or classes."),
    window: str = typer.Option(
        None,
        "--window",
        help="Values of volumes that are black and white, LOW,HIGH, or file;"
        " by default as the training images.",
    ),
    split: str = typer.Option(None, "--split", help="Part of an image set; by default all of it."),
    series: str = typer.Option(
        None, "--series", help="SeriesInstanceUID: the only DICOM series to predict."
    ),
    overlays: str = typer.Option(
        "some", "--overlays", help="some (a dozen slices of each volume), all or none."
    ),
    skip_unreadable: bool = typer.Option(
        False, "--skip-unreadable", help="Go on without unreadable files; they are listed."
    ),
    max_megapixels: float = typer.Option(
        200.0, "--max-megapixels", help="Larger images are refused."
    ),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace what is in --out."),
) -> None:
    """Predict new images: PNG masks and overlays, NIfTI for NIfTI, DICOM SEG for DICOM."""
    from medgain.files.window import parse_window
    from medgain.runtime.device import resolve_device
    from medgain.tasks.predicting.describing import model_line, outcome_lines
    from medgain.tasks.predicting.run import PredictOptions, predict_to_folder

    options = PredictOptions(
        window=parse_window(window),
        split=split,
        series=series,
        overlays=overlays,
        skip_unreadable=skip_unreadable,
        max_megapixels=max_megapixels,
    )
    outcome = predict_to_folder(
        model,
        source,
        out,
        options=options,
        device=resolve_device(device),
        overwrite=overwrite,
        quiet=False,
    )
    typer.echo(model_line(outcome.model))
    for line in outcome_lines(outcome, out):
        typer.echo(line)
