"""`medgain audit`: does a synthetic set hold copies of its training images?"""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add `audit` to `app`."""
    app.command("audit")(audit)


def audit(
    synthetic: Path = typer.Argument(metavar="SYNTHETIC_SET", help="Image set to audit."),
    train: Path = typer.Option(
        ..., "--train", help="Image set that holds what the generator was trained on, all of it."
    ),
    out: Path = typer.Option(..., "--out", help="Folder for audit.json and audit.html."),
    holdout: Path = typer.Option(
        None,
        "--holdout",
        help="Image set of real images of other patients (default: that of --train).",
    ),
    train_split: str = typer.Option(
        None, "--train-split", help="Only this part of --train, such as train or train,val."
    ),
    holdout_split: str = typer.Option(
        None, "--holdout-split", help="Only this part of --holdout, such as test."
    ),
    label: str = typer.Option(
        None,
        "--label",
        help="Only this class of both real sets: what the generator was trained on.",
    ),
    features: str = typer.Option(
        "gradients",
        "--features",
        help="For distances by features: gradients, radiomics, torchvision:NAME or timm:NAME.",
    ),
    weights: Path = typer.Option(None, "--weights", help="File of the backbone's weights."),
    on_overlap: str = typer.Option(
        "error",
        "--on-overlap",
        help="error; or drop: leave out of the hold-out what --train holds.",
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the membership test's draws."),
    device: str = typer.Option("auto", "--device", help="For a backbone: auto, cpu or cuda."),
    as_json: bool = typer.Option(False, "--json", help="Print audit.json."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the audit in --out."),
) -> None:
    """Hold SYNTHETIC_SET's nearness to its training images against that of held-out ones."""
    from medgain.assess.audit.folder import check_out, write_audit
    from medgain.assess.audit.inputs import open_features, open_real
    from medgain.assess.audit.result import AUDIT_FILE
    from medgain.assess.audit.run import audit as run
    from medgain.imageset.imageset import ImageSet
    from medgain.report.audit.page import write_audit_page

    check_out(out, overwrite=overwrite)
    train_set, holdout_set = open_real(train, holdout, train_split, holdout_split, label)
    done = run(
        ImageSet.open(synthetic),
        train_set,
        holdout_set,
        features=open_features(features, weights, device),
        features_name=features,
        on_overlap=on_overlap,  # type: ignore[arg-type]  # checked there, with a clear error
        seed=seed,
    )
    write_audit(done, out, overwrite=overwrite)
    page = write_audit_page(out)
    if as_json:
        typer.echo((out / AUDIT_FILE).read_text(encoding="utf-8"), nl=False)
        return
    result = done.result
    typer.echo(f"{result.verdict.upper()}: {result.reasons[0]}")
    for reason in result.reasons[1:]:
        typer.echo(f"  {reason}")
    for note in result.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{page} shows training images: do not publish it")
