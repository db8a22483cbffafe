"""`README.md`: the datasheet in words, with the header that Hugging Face's hub reads."""

from __future__ import annotations

from typing import Any

import yaml

from medgain.assess.audit.result import Interval
from medgain.release.checksums import CHECKSUMS
from medgain.release.croissant import CROISSANT
from medgain.release.datasheet import DATASHEET, Audited, Datasheet, GeneratorUsed
from medgain.release.formats import FileFormat
from medgain.release.table import METADATA

README = "README.md"


def render(sheet: Datasheet, file_format: FileFormat) -> str:
    """Return the datasheet as Markdown."""
    parts = [
        f"# {plain(sheet.title)}",
        f"**{sheet.statement}**",
        _contents(sheet, file_format),
        _loading(file_format),
        _origin(sheet),
        _audit(sheet),
        _fidelity(sheet),
        _list("Intended use", sheet.intended_use),
        _list("Not intended", sheet.not_intended),
        _list("Limits", sheet.limits),
        _licence(sheet),
        _checking(sheet),
    ]
    return front_matter(sheet, file_format) + "\n\n".join(part for part in parts if part) + "\n"


def front_matter(sheet: Datasheet, file_format: FileFormat) -> str:
    """Return the YAML header: licence, tags, and which files make up the data set."""
    paths = [METADATA]
    if file_format.loaded_by_datasets:
        paths.append(f"images/*{file_format.suffix}")
        paths += [f"masks/*{file_format.mask_suffix}"] if sheet.contents.masks else []
    known = sheet.licence.url is not None
    header: dict[str, Any] = {
        "pretty_name": sheet.title,
        "license": sheet.licence.id.lower() if known else "other",
        **({} if known else {"license_name": sheet.licence.id.lower()}),
        "tags": list(dict.fromkeys(["synthetic", sheet.origin, "medical", "medgain"])),
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": paths}]}],
    }
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\n"


def plain(text: Any) -> str:
    """Return `text` in one line, with Markdown's and HTML's signs made harmless."""
    line = " ".join(str(text).split())
    for sign in "\\`*_[]<>|#":
        line = line.replace(sign, f"\\{sign}")
    return line


def _contents(sheet: Datasheet, file_format: FileFormat) -> str:
    inside = sheet.contents
    colour = "colour" if inside.channels == 3 else "grey"
    lines = [
        "## What is in it",
        "",
        f"{inside.images} images of {inside.width_px} × {inside.height_px} pixels, {colour},"
        f" {inside.bits} bits; modality: {plain(inside.modality)}. {file_format.sentence}",
    ]
    if inside.classes:
        lines += ["", "| class | images |", "| --- | ---: |"]
        lines += [f"| {plain(name)} | {count} |" for name, count in inside.classes.items()]
    if inside.masks:
        named = ", ".join(f"{code}: {plain(n)}" for code, n in enumerate(inside.mask_classes))
        lines += ["", "Each image has a mask of class codes" + (f" ({named})." if named else ".")]
    if inside.groups is not None:
        lines += ["", f"The images belong to {inside.groups} groups; keep a group together."]
    if inside.left_out:
        lines += ["", f"{inside.left_out} images that the audit flagged were left out."]
    unit = inside.intensity
    if unit.unit or (unit.scale, unit.offset) != (1, 0):
        lines += ["", f"Stored value × {unit.scale:g} + {unit.offset:g} = {plain(unit.unit)}."]
    return "\n".join(lines)


def _loading(file_format: FileFormat) -> str:
    return (
        f"```python\n{file_format.loading}\n```\n\n`{METADATA}` holds a row per image;"
        f" `{CROISSANT}` describes the same for programs that read Croissant."
    )


def _origin(sheet: Datasheet) -> str:
    lines = ["## Where it comes from", ""]
    if sheet.origin == "phantom":
        return "\n".join(
            [*lines, "Drawn by a program with random shapes; no image was learned from."]
        )
    lines += [_generator(one) for one in sheet.generators]
    if not sheet.generators:
        lines.append("- Which generator drew the images was not recorded.")
    return "\n".join(lines)


def _generator(used: GeneratorUsed) -> str:
    count = "an unknown number of" if used.training_images is None else used.training_images
    of = ", ".join(plain(name) for name in used.training_classes)
    config = ", ".join(f"{plain(key)} {plain(value)}" for key, value in used.config.items())
    kimg = f", for {used.trained_kimg:g} thousand images shown" if used.trained_kimg else ""
    return (
        f"- Generator **{plain(used.name)}**{f' ({config})' if config else ''}, trained on {count}"
        f" images of '{plain(used.training_set)}'{f' (classes: {of})' if of else ''}{kimg}."
    )


def _audit(sheet: Datasheet) -> str:
    lines = ["## Does it leak its training images?", ""]
    if sheet.audit is None:
        said = "Nothing was learned from patients, so there is nothing to leak."
        lines.append(said if sheet.origin == "phantom" else "**No audit covers this set.**")
    else:
        lines += _audit_lines(sheet.audit)
    if sheet.risk_accepted is not None:
        because = "; ".join(plain(text) for text in sheet.risk_accepted.refused_because)
        lines += [
            "",
            f"**Released at the publisher's own risk**, although {because}. Their reason:",
            "",
            f"> {plain(sheet.risk_accepted.reason)}",
        ]
    return "\n".join(lines)


def _audit_lines(audit: Audited) -> list[str]:
    lines = [f"Memorisation audit of {audit.images} images: **{audit.verdict}**."]
    lines += ["", f"Rule: {plain(audit.rule)}"] if audit.rule else []
    lines += ["", *[f"- {plain(text)}" for text in [*audit.reasons, *audit.notes]]]
    if audit.reasons:  # they hold the figures
        return lines
    lines += [
        f"- flagged as close to a training image: {audit.flagged}"
        f" ({100 * audit.flag_rate:.2f} %{_interval(audit.flag_rate_ci, 100, ' %')},"
        f" {100 * audit.flag_rate_expected:.2g} % expected by chance)",
        f"- membership AUROC {audit.membership_auroc:.3f}{_interval(audit.membership_ci)};"
        " 0.5 means that training images can't be told from others",
    ]
    return lines


def _interval(ends: Interval, factor: float = 1, unit: str = "") -> str:
    return f", interval {factor * ends[0]:.3g} to {factor * ends[1]:.3g}{unit}"


def _fidelity(sheet: Datasheet) -> str:
    found = sheet.fidelity
    if found is None:
        return ""
    lines = ["## How close to real images", ""]
    lines += [plain(found.headline), ""] if found.headline else []
    lines.append(f"Compared with {found.real_images} real images of '{plain(found.real_set)}'.")
    lines += ["", *[f"- {plain(text)}" for text in found.findings]]
    return "\n".join(lines)


def _list(title: str, items: list[str]) -> str:
    return "\n".join([f"## {title}", "", *[f"- {item}" for item in items]])


def _licence(sheet: Datasheet) -> str:
    licence = sheet.licence
    where = f" ({licence.url})" if licence.url else ""
    lines = ["## Licence", "", f"{plain(licence.id)}{where}."]
    if sheet.origin == "synthetic":
        lines += ["", f"Training data: {plain(licence.training_data)}."]
    lines += ["", *[f"- {plain(remark)}" for remark in licence.remarks]] if licence.remarks else []
    return "\n".join(lines)


def _checking(sheet: Datasheet) -> str:
    return "\n".join(
        [
            "## Checking it",
            "",
            f"`sha256sum --check {CHECKSUMS}`, or `medgain release verify .`. This text is"
            f" `{DATASHEET}` in words.",
            "",
            f"Release {sheet.release_key}, made {sheet.created} by medgain {sheet.medgain_version};"
            f" content {sheet.contents.content_fingerprint[:16]},"
            f" set {sheet.set_fingerprint[:16]}.",
        ]
    )
