"""Text from outside, as it may be shown."""

from __future__ import annotations

import re


def visible(text: str) -> str:
    r"""The text with its control characters written out, as in \x1b: a terminal would obey them.

    Ends of lines and tabs stay.
    """
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: rf"\x{ord(found[0]):02x}", text)
