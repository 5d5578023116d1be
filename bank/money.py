"""Money: integers of minor units, parsed from what people type through Decimal. There is no float."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

#: Currency → symbol, all with two decimals.
SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}
_NAMES = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP",
    "$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "bucks": "USD",
}
#: A number, grouped or not, with at most two decimals; not a piece of a longer one.
_NUMBER = re.compile(r"(?<![\d.,])(?:\d{1,3}(?:[.,' ]\d{3})+|\d{1,9})(?:[.,]\d{1,2})?(?![\d.,]*\d)", re.ASCII)
_MAX_TEXT = 200


@dataclass(frozen=True, order=True)
class Money:
    """An amount in the currency's minor units."""

    minor: int
    currency: str

    def __str__(self) -> str:
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{SYMBOLS[self.currency]}{Decimal(abs(self.minor)).scaleb(-2):,.2f}"


def parse_minor(text: str) -> int | None:
    """Return the one amount in `text` in minor units; None when there is none, more than one, or a negative one.

    `1,204.33`, `1.204,33` and `1204` are read as people write them; a lone group of three (`1.204`, `1,204`) is thousands.
    """
    found = _NUMBER.findall(text[:_MAX_TEXT])
    if len(found) != 1 or re.search(r"[-−]\s*[€£$]?\s*\d", text):
        return None
    number = found[0].replace("'", "").replace(" ", "")
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return int(re.sub(r"\D", "", whole)) * 100 + (int(decimals[1].ljust(2, "0")) if decimals else 0)


def parse_currency(text: str) -> str | None:
    """Return the currency that `text` names, or None."""
    for word in re.findall(r"[€£$]|[a-z]+", text.lower()):
        if word in _NAMES:
            return _NAMES[word]
    return None
