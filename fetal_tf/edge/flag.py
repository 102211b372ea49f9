"""What questions a measurement, as a code for programs and a sentence for people."""

import re
from typing import Any

_CODE = re.compile(r"[a-z][a-z0-9_]*")
_BETWEEN = re.compile(r"; (?=[a-z][a-z0-9_]*: )")


class Flag(str):
    """A flag, a note or a refusal: the text "code: message", with both parts.

    Example:
        flag = Flag("touches_border", "4 % of the outline lie outside the frame")
        flag.code, flag.message, str(flag)

    Attributes:
        code: a short name in small letters that does not change; programs compare it.
        message: what was seen, with the numbers, and what to do.
    """

    code: str
    message: str

    def __new__(cls, code: str, message: str) -> "Flag":
        if not _CODE.fullmatch(code) or not message or _BETWEEN.search(message):
            raise ValueError(f"no flag: code {code!r}, message {message!r}")
        flag = super().__new__(cls, f"{code}: {message}")
        flag.code, flag.message = code, message
        return flag

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.code, self.message

    def as_record(self) -> dict[str, str]:
        """For JSON."""
        return {"code": self.code, "message": self.message}


def in_words(measurement: Any, headline: str) -> str:
    """A measurement as a person reads it at a prompt: its kind, numbers, refusal and flags."""
    doubts = [measurement.refused, *measurement.flags]
    told = "; ".join(str(part) for part in (headline, *doubts) if part)
    return f"<{type(measurement).__name__}: {told}>"


def split_flags(cell: str) -> tuple[Flag, ...]:
    """The flags in a table's cell, which are joined by "; ".

    Raises:
        ValueError: a part is no "code: message".
    """
    parts = _BETWEEN.split(cell) if cell else []
    return tuple(Flag(code, message) for code, _, message in (p.partition(": ") for p in parts))


def flag_codes(cell: object) -> list[str]:
    """The codes in a cell of a table: `"a: why; b: why"` → `["a", "b"]`."""
    parts = str(cell or "").split("; ")
    return [m.group(1) for part in parts if (m := re.match(r"([a-z][a-z0-9_]*)(?::|$)", part))]


def beyond(value: float, limit: float, decimals: int = 1) -> tuple[str, str]:
    """A value and the limit that it has passed, with as many decimals as tell them apart.

    `beyond(4.02, 4.0)` → `("4.02", "4.00")`, never `("4.0", "4.0")`.
    """
    if value == limit:
        return f"{value:.{decimals}f}", f"{limit:.{decimals}f}"
    texts = ((f"{value:.{places}f}", f"{limit:.{places}f}") for places in range(decimals, 18))
    apart = (pair for pair in texts if float(pair[0]) != float(pair[1]))
    return next(apart, (repr(value), repr(limit)))


def outside(value: float, low: float, high: float, decimals: int = 1) -> str:
    """A value outside a range, and the range: "64.96, expected 65.00 to 92.00"."""
    limit = low if value < low else high
    found, stated = beyond(value, limit, decimals)
    places = len(stated.partition(".")[2])
    return f"{found}, expected {low:.{places}f} to {high:.{places}f}"
