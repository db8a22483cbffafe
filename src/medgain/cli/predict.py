"""`medgain predict`: masks or classes of new images, by a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medgain.cli.options import with_options
from medgain.tasks.predicting.options import PredictOptions


def register(app: typer.Typer) -> None:
    """Add `predict` to `app`."""
    app.command("predict")(predict)


@with_options(PredictOptions)
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a saved model.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="An image, a NIfTI or DICOM file, a folder of any of these, or an image set.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the masks or classes.")],
    options: PredictOptions,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.")
    ] = False,
) -> None:
    """Predict new images: PNG masks and overlays, NIfTI for NIfTI, DICOM SEG for DICOM."""
    from medgain import api
    from medgain.tasks.predicting.terminal import model_line, result_lines

    result = api.predict(
        model, source, out, options, device=device, overwrite=overwrite, quiet=False
    )
    typer.echo(model_line(result.model))
    for line in result_lines(result, out):
        typer.echo(line)
