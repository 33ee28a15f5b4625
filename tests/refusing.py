"""What the tests of readers say of bad input."""

import pytest

from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices


def refuse(spec, *words, read=True):
    """Opening, or reading at the latest, fails with one line that holds all the words."""
    with pytest.raises(InputError) as caught:
        slices = open_slices(spec)
        assert read
        for k in range(len(slices)):
            slices[k]
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
