"""The `medgain` command. It loads neither torch nor pandas: commands import what they need."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from medgain.cli import (
    advise,
    audit,
    clean,
    data,
    generator,
    listing,
    phantom,
    predict,
    release,
    score,
    study,
    train,
)
from medgain.runtime.errors import MedgainError
from medgain.runtime.version import __version__

app = typer.Typer(
    name="medgain",
    help="Does augmentation, classical or GAN-made, help my medical-image model, and by how much?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_GROUPS = (
    data,
    clean,
    advise,
    study,
    train,
    predict,
    generator,
    phantom,
    score,
    audit,
    release,
    listing,
)
for module in _GROUPS:
    module.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medgain {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; problems that a user can fix are printed without a traceback."""
    try:
        app()
    except MedgainError as error:
        typer.echo(f"Error: {error.problem}", err=True)
        if error.remedy:
            typer.echo(f"  → {error.remedy}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("Interrupted. Finished work is kept; go on with --resume.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        typer.echo(f"Error: {error.strerror}: {error.filename or 'while writing'}", err=True)
        typer.echo("  → free some space, or fix the permissions, and run it again", err=True)
        sys.exit(1)
