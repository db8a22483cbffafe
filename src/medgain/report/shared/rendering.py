"""Fill a page's template: everything from data is escaped, every asset stands in the page."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup


def render(template: str, styles: Sequence[str], **values: Any) -> str:
    """Return the page that `template` makes of `values`.

    Args:
        template: a file below `report/` ("study/report.html.j2").
        styles: style sheets below `report/`, in order; the template gets them as `style`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medgain.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup("".join(read_asset(name) for name in styles))
    return environment.get_template(template).render(**values, style=style)


def read_asset(name: str) -> str:
    """Return the text of a file below `report/` ("study/report.html.j2")."""
    return (resources.files("medgain.report") / name).read_text(encoding="utf-8")
