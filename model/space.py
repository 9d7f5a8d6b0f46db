"""Which values of a model's settings are worth trying: the `space` of a model's class.

A search (jobs/comparing/search.py) draws from it. What a setting may be at all stands in its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Between:
    """Numbers from low to high, both included; whole ones where both ends are."""

    low: float
    high: float
    log: bool = False
    """Whether a doubling is as great a step anywhere; low is above 0 then."""

    def holds(self, value: object) -> bool:
        """Whether a value is one of them."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]


@dataclass(frozen=True)
class OneOf:
    """One of these values, of which none is nearer to another."""

    values: tuple[str | int | float | bool, ...]

    def holds(self, value: object) -> bool:
        """Whether a value is one of them."""
        return value in self.values


Space: TypeAlias = Mapping[str, Between | OneOf]
