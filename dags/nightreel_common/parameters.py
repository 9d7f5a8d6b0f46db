"""Parameters that several DAGs have, and how parameters become options of a command."""

import shlex
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

RELEASES = [
    "sample",
    "ml-100k",
    "ml-1m",
    "ml-10m",
    "ml-20m",
    "ml-25m",
    "ml-32m",
    "ml-latest",
    "ml-latest-small",
]


def optional(kind: str | list[str], title: str, description: str, **schema: Any) -> Param:
    """A parameter that may be left empty; `schema` is JSON Schema."""
    kinds = [kind] if isinstance(kind, str) else kind
    if "enum" in schema:
        # Descriptions say what empty means; the form would call it null.
        schema |= {"enum": [None, *schema["enum"]], "values_display": {"null": "(empty)"}}
    return Param(None, type=["null", *kinds], title=title, description=description, **schema)


def dataset(description: str) -> Param:
    """One of the releases of MovieLens."""
    return optional("string", "Release of MovieLens", description, enum=RELEASES)


def run_date(description: str) -> Param:
    """The date that recommendations are published for."""
    return optional("string", "Run date", description, format="date")


def top_k() -> Param:
    """Recommendations per user."""
    return optional(
        # The form takes the first type: a text field takes both 10 and all.
        ["string", "integer"],
        "Recommendations per user",
        "A number, or 'all' for every scored pair. Empty: as in conf.",
        pattern="^([1-9][0-9]*|all)$",
        minimum=1,
    )


def refuse_unknown(params: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Fail the task, without another try, for a parameter that Airflow would just ignore."""
    if unknown := sorted(set(params) - set(known)):
        raise AirflowFailException(
            f"Unknown parameter {', '.join(unknown)}. There are: {', '.join(known)}."
        )


def given(params: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Options for the parameters that are not empty; `names` maps each to its option.

    `--name=value` keeps a value that starts with a dash from being taken for an option.
    """
    return [
        f"{option}={params[name]}" for name, option in names.items() if params[name] is not None
    ]


def quoted(options: list[str]) -> str:
    """Options as the shell takes them, each as it is."""
    return shlex.join(options)
