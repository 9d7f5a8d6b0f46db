"""Settings of ingest: which ratings, and how their files are written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from jobs.runs.addresses import checked_uri, is_object_uri, without_secrets
from jobs.runs.settings.section import PositiveInt, Section

RELEASES = (
    "sample",
    "ml-100k",
    "ml-1m",
    "ml-10m",
    "ml-20m",
    "ml-25m",
    "ml-32m",
    "ml-latest",
    "ml-latest-small",
)
# In Spark's letters: what a date or a time of day is written with.
TIME_PATTERN = (
    r"^(seconds|milliseconds|microseconds|nanoseconds|dates|(yyyy|yy|MMM|MM|M|dd|d|HH|H"
    r"|mm|m|ss|s|S{1,6}|'T'|[-./:, ])+)$"
)
Column = PositiveInt | Annotated[str, Field(min_length=1)]


class ColumnSettings(Section):
    """What the columns of own files are called in their first line, or their numbers, from 1.

    null: by the usual names, or in the order user, movie, rating, time where there are no names, of
    titles movie, title, genres.
    """

    user: Column | None = None
    movie: Column | None = None
    """Also of a file of titles, if it has a column of that name."""
    rating: Column | None = None
    time: Column | None = None
    deleted: Column | None = None
    """Says of a line that there is no rating any more: true or false, 1 or 0, yes or no; nothing is
    false. Without it, none is deleted."""
    title: Column | None = None
    genres: Column | None = None
    """Names with | between them, as in Comedy|Drama."""


class IngestSettings(Section):
    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    """Which release of MovieLens; `sample` is generated, needing no download. Any other name is
    that of ratings of your own, and needs a source: docs/your-own-data.md."""
    source: str | None
    """A local zip, file or folder, or the address of one on the web or in an object store, as in
    s3://bucket/ml-1m.zip; of your own ratings also a table of Delta Lake, or one of PostgreSQL, as
    in postgresql://user@host/shop?table=orders. null takes the release from GroupLens. It may hold
    no credentials: NIGHTREEL_SOURCE has the same address of the web with them."""
    max_unpacked_gib: Annotated[float, Field(gt=0)]
    """A delivery that unpacks to more than this is refused."""
    # Runs that were started before there were these settings can still be read.
    max_download_gib: Annotated[float, Field(gt=0)] = 4
    """A file that is larger than this is not downloaded."""
    columns: ColumnSettings = ColumnSettings()
    """Of own files."""
    separator: Annotated[str, Field(pattern=r"^([\t;|, :]|::)$")] | None = None
    """What stands between the fields of own files; null: what cuts most lines alike."""
    time: Annotated[str, Field(pattern=TIME_PATTERN)] | None = None
    """How own files write times: in seconds, milli-, micro- or nanoseconds since 1970; as dates,
    2018-01-17 with or without a time of day; or as a pattern of Spark, as in dd.MM.yyyy. null: as
    most of them look."""
    rating_scale: tuple[float, float] | None = None
    """The lowest and the highest rating of own files: others go to quarantine. null: those that
    there are."""
    ids: Literal["auto", "integer", "string"] = "auto"
    """What the ids of own files are: `integer`, whole numbers from 1 to 2^63 - 1; `string`, any
    text, of which 007 is another than 7; `auto`, as they look. What is none goes to quarantine."""
    implicit: bool | None = None
    """Whether own files say only who used what, so that every line is a one, whatever else they
    hold. null: where there are no columns but user, movie and perhaps time."""

    @field_validator("source")
    @classmethod
    def holds_no_credentials(cls, source: str | None) -> str | None:
        if source and is_object_uri(source):
            return checked_uri(source)
        return without_secrets(source) if source else source

    @model_validator(mode="after")
    def can_be_read(self) -> IngestSettings:
        if self.dataset not in RELEASES and not self.source:
            raise ValueError(
                f"dataset {self.dataset} is no release of MovieLens, so it needs a source: the "
                f"file, folder or address of your own ratings. Releases: {', '.join(RELEASES)}"
            )
        if self.rating_scale and not self.rating_scale[0] < self.rating_scale[1]:
            raise ValueError("rating_scale needs the lowest rating first, and then a higher one")
        if self.implicit and (self.columns.rating or self.rating_scale):
            raise ValueError(
                "implicit says that every line is a one, so columns.rating and rating_scale must "
                "be null; to read ratings, set implicit to false"
            )
        return self

    @property
    def describes_files(self) -> bool:
        """Whether it says how own files are written, so that none of GroupLens's are meant."""
        said = (self.separator, self.time, self.rating_scale, self.implicit, self.ids != "auto")
        return any(said) or self.columns != ColumnSettings()
