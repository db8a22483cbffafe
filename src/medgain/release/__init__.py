"""An audited synthetic set → a folder to publish: images, datasheet, checksums."""

from __future__ import annotations

from medgain.release.gate import ReleaseRefused
from medgain.release.make import Release, make_release
from medgain.release.verify import Verification, verify_release

__all__ = ["Release", "ReleaseRefused", "Verification", "make_release", "verify_release"]
