"""Says what a file is that cannot be read as an image, and the way out."""

from pathlib import Path

# (offset, bytes there, what it is); the first that fits counts.
_KINDS = (
    (0, b"GIF8", "a GIF"),
    (128, b"DICM", "a DICOM file"),
    (4, b"ftypheic", "a HEIC photo"),
    (4, b"ftypmif1", "a HEIC photo"),
    (4, b"ftypavif", "an AVIF photo"),
    (4, b"ftyp", "a film (MP4 or MOV)"),
    (0, b"\x1a\x45\xdf\xa3", "a film (Matroska or WebM)"),
    (8, b"AVI ", "a film (AVI)"),
    (0, b"\x00\x00\x01\xba", "a film (MPEG)"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (344, b"n+1\x00", "a NIfTI volume"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML file"),
)
READABLE = "PNG, JPEG, BMP, TIFF, WebP or PGM"


def what_it_is(path: Path) -> str:
    """A sentence for a file that no image decoder knows; OSError where it cannot be read."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "the file is empty (0 bytes)."
    for offset, mark, kind in _KINDS:
        if start[offset : offset + len(mark)] == mark:
            unpack = "archive" in kind
            way = "unpack it" if unpack else "save the frame to be measured as PNG"
            return f"{kind}, which is not read; {way}. Readable are {READABLE}."
    return f"not an image ({path.stat().st_size} bytes); expected {READABLE}."
