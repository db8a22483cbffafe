"""`medgain generator compare`: which generator suits these images?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    """Add `compare` to the group `app`."""
    app.command("compare")(compare)


def compare(
    image_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder of the real image set.")],
    models: Annotated[
        str, typer.Option(help="Comma-separated names from `medgain list generators`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the comparison, by default compare-SET; goes on there."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.001, help="Training time of each model.")
    ] = None,
    kimg: Annotated[
        float | None,
        typer.Option(min=0.001, help="Thousands of images for each, beside or instead of time."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Part to train on; by default train and val. Never test."),
    ] = None,
    held_out: Annotated[
        str,
        typer.Option(
            help="What samples are compared with: val, test, or a share of the training part's"
            " groups such as 0.25; auto: val if it has 200 images, else 0.25."
        ),
    ] = "auto",
    label: Annotated[str | None, typer.Option(help="Only images of this class.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="MODEL.KEY=VALUE", help="dcgan.width=32, … Repeat for more."),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="Comma-separated: radiomics, task, torchvision:NAME, timm:NAME; the first ranks."
        ),
    ] = "radiomics",
    weights: Annotated[
        list[str] | None,
        typer.Option(help="Weights of the backbone: FILE or download; with several, NAME=FILE."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=20, help="Held-out images that are compared at most.")
    ] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Every random number derives from it.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto: bf16 where the chip has it.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Train each of MODELS for the same time on the same images of SET, and score them alike."""
    from rich.console import Console

    from medgain.assess.compare.result import COMPARISON_FILE
    from medgain.assess.compare.run import compare
    from medgain.report.compare.page import PAGE_NAME, write_compare_page
    from medgain.report.compare.table import ComparisonTable
    from medgain.runtime.overrides import parse_overrides

    out = out or Path(f"compare-{image_set.resolve().name}")
    result = compare(
        image_set,
        [name.strip() for name in models.split(",") if name.strip()],
        out,
        minutes=minutes,
        kimg=kimg,
        settings=parse_overrides(overrides or []),
        split=split,
        held_out=held_out,
        label=label,
        features=features,
        weights=weights or [],
        limit=limit,
        seed=seed,
        device=device,
        precision=precision,
        quiet=False,
    )
    write_compare_page(out)
    if as_json:
        typer.echo((out / COMPARISON_FILE).read_text(encoding="utf-8"), nl=False)
        return
    console = Console()
    console.print(ComparisonTable(result))
    typer.echo(f"Page: {out / PAGE_NAME}")
