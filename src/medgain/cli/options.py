"""Flags of a command from a class of options, so that they stand once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from medgain.runtime.options import Declared, Options, declared_options

_PLAIN = (bool, int, float, str, Path)


def with_options(options: type[Options]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that turns a command's parameter `options` into a flag for each option.

    Args:
        options: the class whose options become flags; the command is called with one of it.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            if parameter.name == "options":
                parameters += [_parameter(declared) for declared in declared_options(options)]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        names = [declared.name for declared in declared_options(options)]

        def run(**values: Any) -> None:
            chosen = {name: values.pop(name) for name in names}
            given = {name: value for name, value in chosen.items() if value is not None}
            command(**values, options=options(**given))

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return _with_signature(run, parameters)

    return decorate


def flag(
    name: str,
    kind: Any,
    default: Any,
    *declarations: str,
    help: str,
    min: float | None = None,
) -> inspect.Parameter:
    """Return a command's parameter for a flag; without a default it may be left out."""
    annotation = kind if default is not None else kind | None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, typer.Option(*declarations, help=help, min=min)],
    )


def parameters_of(parameters: list[inspect.Parameter]) -> list[Any]:
    """Return the command line's own parameters for those of a function."""

    def run(**values: Any) -> None:
        pass

    app = typer.Typer(add_completion=False)
    app.command()(_with_signature(run, parameters))
    return list(typer.main.get_command(app).params)


def _with_signature(
    run: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _parameter(declared: Declared) -> inspect.Parameter:
    plain = len(declared.types) == 1 and declared.types[0] in _PLAIN
    option = declared.option
    return flag(
        declared.name,
        declared.types[0] if plain else str,
        declared.default if plain or declared.choices else _as_text(declared.default),
        declared.flag,
        help=option.help,
        min=option.min,
    )


def _as_text(default: Any) -> str | None:
    """Return a default that is written as text, or None for one that says nothing."""
    return None if default in (None, ()) else str(default)
