"""Errors a user can mend: each message names the file or key, what was found and the way out."""

import traceback
from pathlib import Path


class FetalTFError(Exception):
    """Base of every error that the commands print as one line instead of a traceback."""


class UsageError(FetalTFError):
    """A command line that means nothing."""


class ConfigError(FetalTFError):
    """A configuration that cannot be run: unknown key, wrong type, missing path."""


class DataError(FetalTFError):
    """A dataset that contradicts its own layout: missing pair, size mismatch, bad pixel size."""


class ImageError(DataError):
    """An image file that cannot be read, or must not be decoded."""


class BundleError(FetalTFError):
    """A bundle that is incomplete, altered or newer than this reader."""


class MissingExtraError(FetalTFError):
    """An optional dependency that is not installed; the message holds the pip line."""


def cause_of(error: Exception, image: Path) -> str:
    """Why an image has no result: the error's message, or where an unexpected one comes from."""
    if isinstance(error, (FetalTFError, OSError)):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{image}: unexpected {type(error).__name__}: {error} "
        f"({Path(place.filename).name}, line {place.lineno}); please report it"
    )
