"""Settings of where published tables and the records of training go."""

from __future__ import annotations

import re

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from jobs.runs.addresses import checked_uri, without_secrets
from jobs.runs.settings.section import PositiveInt, Section


class PublishSettings(Section):
    postgresql: str | None
    """Connection string of a PostgreSQL server that gets a copy of what is published; null: none.
    NIGHTREEL_POSTGRESQL goes before it. It may hold no password: settings are kept with the run."""
    # Runs that were started before there were these settings can still be read.
    keep_dates: PositiveInt | None = None
    """Dates that stay in the tables by date (recommendations, recommendations_shadow and
    similar_movies), the newest: `nightreel cleanup` takes older ones out, there and in PostgreSQL;
    null: all stay."""
    object_store: str | None = None
    """Address in an object store, as in s3://bucket/folder, that gets a copy of the published Delta
    tables; null: none. Credentials come from the environment."""

    @field_validator("object_store")
    @classmethod
    def names_a_store(cls, uri: str | None) -> str | None:
        return checked_uri(uri) if uri else None

    @field_validator("postgresql")
    @classmethod
    def no_password(cls, dsn: str | None) -> str | None:
        if dsn and re.search(r"://[^/@]*:[^@]*@|password\s*=", dsn):
            # Of this type, the message repeats nothing of what was found.
            raise PydanticCustomError(
                "password",
                "holds a password. Leave it out here, and give it by PGPASSWORD, ~/.pgpass or "
                "NIGHTREEL_POSTGRESQL",
            )
        return dsn


class TrackingSettings(Section):
    uri: str | None
    """MLflow server; null keeps runs in <warehouse>/mlflow.db."""

    @field_validator("uri")
    @classmethod
    def holds_no_credentials(cls, uri: str | None) -> str | None:
        return without_secrets(uri) if uri else uri
