"""Licences that a release may carry, by their SPDX identifier."""

from __future__ import annotations

import re

from medgain.runtime.errors import ConfigError, suggest

_CC = "https://creativecommons.org/licenses/"
LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": f"{_CC}by/4.0/",
    "CC-BY-SA-4.0": f"{_CC}by-sa/4.0/",
    "CC-BY-NC-4.0": f"{_CC}by-nc/4.0/",
    "CC-BY-NC-SA-4.0": f"{_CC}by-nc-sa/4.0/",
    "CC-BY-ND-4.0": f"{_CC}by-nd/4.0/",
    "CC-BY-NC-ND-4.0": f"{_CC}by-nc-nd/4.0/",
    "PDDL-1.0": "https://opendatacommons.org/licenses/pddl/1-0/",
    "ODC-By-1.0": "https://opendatacommons.org/licenses/by/1-0/",
    "ODbL-1.0": "https://opendatacommons.org/licenses/odbl/1-0/",
    "CDLA-Permissive-2.0": "https://cdla.dev/permissive-2-0/",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://opensource.org/license/mit",
}


def resolve_licence(wanted: str | None, of_set: str) -> str:
    """Return the SPDX identifier of `wanted`, or of the set's own licence where it is None.

    ``LicenseRef-NAME`` (SPDX's form for one's own terms) is taken as it stands.

    Raises:
        ConfigError: no such licence, or neither is known; names the known ones.
    """
    if wanted is None:
        found = recognise(of_set)
        if found is None:
            raise ConfigError(
                f"the set's own licence is '{of_set}', so a release needs one",
                "pass --licence CC-BY-4.0 (or another) if the training data's terms permit it",
            )
        return found
    found = recognise(wanted)
    if found is None:
        raise ConfigError(
            f"unknown licence '{wanted}'",
            f"{suggest(wanted, LICENCES)}; for terms of your own: LicenseRef-NAME",
        )
    return found


def recognise(text: str) -> str | None:
    """Return the SPDX identifier that `text` means ("cc by 4.0" → "CC-BY-4.0"), or None."""
    text = text.strip()
    if re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", text):
        return text
    plain = {re.sub(r"[\s_-]+", "-", name).lower(): name for name in LICENCES}
    return plain.get(re.sub(r"[\s_-]+", "-", text).lower())


def conflicts(licence: str, training: str) -> list[str]:
    """Return how the training data's licence conflicts with `licence`, in sentences."""
    known = recognise(training)
    if known is None:
        shown = training.strip() or "unknown"
        return [
            f"The training data's licence is '{shown}': whether it permits publishing images"
            " derived from it is for the publisher to establish."
        ]
    marks = set(known.split("-"))
    found = []
    if "NC" in marks and "NC" not in licence.split("-"):
        found.append(
            f"The training data's licence {known} forbids commercial use; {licence} does not."
        )
    if ("SA" in marks or known == "ODbL-1.0") and licence != known:
        found.append(f"The training data's licence {known} asks that derived data keep it.")
    if "ND" in marks:
        found.append(f"The training data's licence {known} forbids publishing derived data.")
    return found
