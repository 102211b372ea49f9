"""What the tests of several readers share."""

import pytest
from PIL import ImageFile


@pytest.fixture
def no_image_decoded(monkeypatch):
    """Fail where anything but an HC18 annotation is decoded."""
    load = ImageFile.ImageFile.load

    def checked(self):
        name = getattr(self.fp, "name", "_Annotation")  # without a file it is decoded already
        assert "_Annotation" in str(name), f"{name} was decoded while reading"
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", checked)
