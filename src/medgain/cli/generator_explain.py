"""`medgain generator explain`: what does the discriminator look at?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medgain.runtime.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add `explain` to the group `app`."""
    app.command("explain")(explain)


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained GAN's run.")],
    out: Annotated[Path, typer.Option(help="Folder for explain.json and explain.html.")],
    images: Annotated[
        Path | None,
        typer.Option(metavar="SET", help="Real images: the set that was trained on."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Part of it to show; by default train and val. Never test."),
    ] = None,
    layers: Annotated[
        str,
        typer.Option(
            help="Comma-separated numbers of convolutions, from 1; all; or spatial, those larger"
            " than 1 × 1."
        ),
    ] = "spatial",
    filters: Annotated[int, typer.Option(min=1, help="Filters of each layer.")] = 4,
    limit: Annotated[
        int, typer.Option(min=2, help="Real images to search, and as many synthetic ones.")
    ] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of the images that are drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print explain.json.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.")
    ] = False,
) -> None:
    """Show what excites the discriminator's strongest filters, and which pixels do."""
    from medgain.assess.explain.result import EXPLAIN_FILE, ExplainRequest
    from medgain.assess.explain.run import explain as explain_run
    from medgain.imageset.imageset import ImageSet
    from medgain.report.explain.page import headline, write_explain_page
    from medgain.runtime.device import resolve_device

    result = explain_run(
        run,
        ImageSet.open(images) if images is not None else None,
        out,
        ExplainRequest(
            layers=numbers(layers), filters=filters, split=split, limit=limit, seed=seed
        ),
        device=resolve_device(device),
        overwrite=overwrite,
        quiet=False,
    )
    page = write_explain_page(out)
    if as_json:
        typer.echo((out / EXPLAIN_FILE).read_text(encoding="utf-8"), nl=False)
        return
    typer.echo(headline(result.parts))
    typer.echo(f"Page: {page}")


def numbers(layers: str) -> tuple[int, ...] | None:
    """Return the layers meant by `layers`, as `ExplainRequest` has them.

    Raises:
        ConfigError: it is neither numbers nor one of the two words.
    """
    if layers.strip() in ("spatial", "all"):
        return None if layers.strip() == "all" else ()
    try:
        return tuple(int(number) for number in layers.split(","))
    except ValueError:
        raise ConfigError(
            f"--layers {layers!r} names no layers", "write 1,3,5 or all or spatial"
        ) from None
