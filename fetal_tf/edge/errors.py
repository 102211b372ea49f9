"""Errors a user can mend: each message names the file or key, what was found and the way out."""


class FetalTFError(Exception):
    """Base of every error that the commands print as one line instead of a traceback."""


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
