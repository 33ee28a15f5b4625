"""The budget of what an input may cost."""

import pytest

from veridical.core.errors import InputError
from veridical.core.limits import LIMITS, check_cost, limit


@pytest.mark.parametrize("quantity", LIMITS)
def test_limits_are_checked_and_can_be_raised(quantity, monkeypatch):
    variable, usual, words = LIMITS[quantity]
    check_cost("scan.tif", **{quantity: usual})
    with pytest.raises(InputError, match=f"scan.tif: has .* {words}.*{variable}={usual + 1} "):
        check_cost("scan.tif", **{quantity: usual + 1})
    monkeypatch.setenv(variable, f"{usual * 4:e}")
    check_cost("scan.tif", **{quantity: usual * 4})
    with pytest.raises(InputError, match="endlessly many"):
        check_cost("scan.tif", **{quantity: 10**4000})


@pytest.mark.parametrize("text", ["-1", "0", "nan", "1e999", "many", "9" * 5000])
def test_a_limit_that_is_no_number_is_said(text, monkeypatch):
    monkeypatch.setenv("VERIDICAL_MAX_PIXELS", text)
    with pytest.raises(InputError, match="VERIDICAL_MAX_PIXELS"):
        limit("pixels")
