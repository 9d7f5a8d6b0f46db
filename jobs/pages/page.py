"""What all HTML pages of a run have in common: their parts, their number formats, their look.

A page is one file that loads nothing from elsewhere. The same data gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobs.runs.files import replacing
from jobs.runs.text import visible


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Plot:
    """A picture, the sentence below it that says what it shows, and what it depicts in words."""

    kind: ClassVar[str] = "plot"
    picture: Markup
    caption: str
    alt: str
    wide: bool = False
    """Over the whole width of the page; others stand side by side where there is room."""


@dataclass(frozen=True)
class Table:
    """Rows of cells; columns named in `numbers` stand to the right."""

    kind: ClassVar[str] = "table"
    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()
    wide: bool = True


Part = Text | Plot | Table


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        """The section's name in links."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


@dataclass(frozen=True)
class Page:
    """A headline, the figures to see first as (value, what it counts), and the sections."""

    title: str
    lead: str
    figures: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def write_page(page: Page, file: Path) -> int:
    """Write a page so that a reader never meets half of it; returns its bytes."""
    # Every text is escaped: titles and quarantined lines come from outside.
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # HTML knows no control characters, and no way to write them.
    content = visible(templates.get_template("page.html").render(page=page)).encode()
    with replacing(file) as temporary:
        temporary.write_bytes(content)
    return len(content)


def number(value: float | None, digits: int = 0) -> str:
    """1,000,209 or, with two digits, 3.58; a dash for what is not known."""
    return "–" if value is None else f"{value:,.{digits}f}"


def count(value: int, name: str, names: str | None = None) -> str:
    """1 movie, 3,883 movies."""
    return f"{value:,} {name if value == 1 else names or name + 's'}"


def share(part: float, whole: float) -> str:
    """Part of a whole in percent, with more digits where it is small."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "less than 0.01%"
    return f"{percent:.{2 if 0 < percent < 1 else 1 if 0 < percent < 100 else 0}f}%"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]])
