"""`croissant.json`: the release for search engines and loaders, in MLCommons' Croissant 1.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgain.release.checksums import file_sha256
from medgain.release.datasheet import Datasheet
from medgain.release.formats import FileFormat
from medgain.release.table import METADATA

CROISSANT = "croissant.json"
_TERMS = """
citeAs column data dataType examples extract field fileProperty fileObject fileSet format includes
isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace
separator source subField transform equivalentProperty samplingRate
"""
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}


def croissant(
    folder: Path, sheet: Datasheet, file_format: FileFormat, columns: list[str]
) -> dict[str, Any]:
    """Return the Croissant description of the release in `folder`, as JSON-LD."""
    distribution: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": METADATA,
            "name": METADATA,
            "description": "One row per image: file, class, origin.",
            "contentUrl": METADATA,
            "encodingFormat": "text/csv",
            "sha256": file_sha256(folder / METADATA),
        },
        _files("images", f"images/*{file_format.suffix}", file_format.media_type),
    ]
    if sheet.contents.masks:
        pattern = f"masks/*{file_format.mask_suffix}"
        distribution.append(_files("masks", pattern, file_format.mask_media_type))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": sheet.title,
        "description": f"{sheet.statement} {sheet.contents.images} images.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": sheet.licence.url or sheet.licence.id,
        "version": "1.0.0",
        "citeAs": f"{sheet.title}, {sheet.origin} images, release {sheet.release_key}, medgain"
        f" {sheet.medgain_version}, {sheet.created[:4]}",
        "datePublished": sheet.created[:10],
        "keywords": ["synthetic", "medical imaging", sheet.contents.modality],
        "rai:dataCollection": sheet.statement,
        "rai:dataLimitations": " ".join(sheet.limits),
        "rai:personalSensitiveInformation": "No patient data. " + _audit_sentence(sheet),
        "distribution": distribution,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "records",
                "name": "records",
                "key": {"@id": "records/file_name"},
                "field": [_field(column) for column in columns],
            }
        ],
    }


def _audit_sentence(sheet: Datasheet) -> str:
    if sheet.audit is None:
        return "No audit." if sheet.origin == "synthetic" else "Phantoms."
    return f"Memorisation audit: {sheet.audit.verdict}."


def _files(name: str, pattern: str, media_type: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "includes": pattern,
        "encodingFormat": media_type,
    }


def _field(column: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"records/{column}",
        "name": column,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": METADATA}, "extract": {"column": column}},
    }
