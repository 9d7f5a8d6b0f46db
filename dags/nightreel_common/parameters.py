"""Parameters that several DAGs have, and how parameters become options of a command."""

import json
import re
import shlex
from collections.abc import Mapping
from datetime import UTC
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

# Models of the family, of ratings and of order.
RATING_MEMBERS = [
    *("biases", "content", "neighbours", "matrix_factorisation", "svdpp", "bayesian"),
    *("autoencoder", "two_tower", "blend"),
]
ORDER_MEMBERS = [
    *("visits", "ridge", "elsa", "ials", "item_linear", "vae", "recency", "gru", "convolution"),
    *("prod2vec", "two_tower_order", "transformer", "order_blend"),
]

# Of an address on the web, where with more in it the workers have the whole one in
# NIGHTREEL_SOURCE; of a database a user may stay.
WITHOUT_SECRETS = r"^(?![Hh][Tt][Tt][Pp][Ss]?:.*[@?#])(?!postgres(ql)?://[^/@]*:[^@]*@)"


def optional(kind: str | list[str], title: str, description: str, **schema: Any) -> Param:
    """A parameter that may be left empty; `schema` is JSON Schema."""
    kinds = [kind] if isinstance(kind, str) else kind
    if "enum" in schema:
        # Descriptions say what empty means; the form would call it null.
        schema |= {"enum": [None, *schema["enum"]], "values_display": {"null": "(empty)"}}
    return Param(None, type=["null", *kinds], title=title, description=description, **schema)


def some_of(names: list[str], title: str, description: str) -> Param:
    """One or more of these names, which the form offers."""
    items = {"type": "string", "enum": names}
    return optional("array", title, description, items=items, examples=names, minItems=1)


def dataset(description: str) -> Param:
    """One of the releases of MovieLens, which the form suggests, or a name of one's own."""
    return optional(
        "string",
        "Release",
        f"One of MovieLens, or a name for ratings of your own. {description}",
        examples=RELEASES,
        pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
    )


def source() -> Param:
    """Where the release lies."""
    return optional(
        "string",
        "Source",
        "A zip, file or folder that the workers see, or an address, as in 'https://...' or "
        "'s3://bucket/ml-1m.zip', without user, password or '?': what is given here is kept and "
        "shown. Or a table, as in 'postgresql://user@host/shop?table=orders', without password. "
        "Empty: as in conf, or GroupLens.",
        minLength=1,
        pattern=WITHOUT_SECRETS,
    )


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


# Parameters of `scoring_parameters` that are settings: the key in conf/ that each one changes.
SCORING = {
    "top_k": "score.top_k",
    "scoring": "score.mode",
    "order_by": "score.order_by",
    "damping": "score.damping",
    "lower_bound": "score.lower_bound",
    "uncertainty": "score.uncertainty",
    "reasons": "score.reasons",
    "repeat_after": "score.repeat_after",
    "diversity": "score.diversity",
    "calibration": "score.calibration",
    "genre_cap": "score.genre_cap",
    "new_movies": "score.new_movies",
    "challenger": "score.challenger",
    "challenger_share": "score.challenger_share",
    "shadow": "score.shadow",
    "genres_in": "score.genres_in",
    "genres_out": "score.genres_out",
    "year_from": "score.year_from",
    "year_to": "score.year_to",
    "min_ratings": "score.min_ratings",
    "block_list": "score.block_list",
    "candidates": "score.candidates",
}
# With commas between them, as ids may stand that a source writes as it likes.
NAMES = r"^\s*[^,\s][^,]*(,\s*[^,\s][^,]*)*$"
NUMBERS = r"\s*[1-9][0-9]*(\s*,\s*[1-9][0-9]*)*\s*"
# What is a file of ids, and not an id.
FILE = r"(?s).*(/.*|\.csv|\.parquet)"


def scoring_parameters() -> dict[str, Param]:
    """What is recommended to whom, and in which order."""
    return {
        "top_k": top_k(),
        "scoring": optional(
            "string",
            "Scoring",
            "'full' scores everybody; 'incremental' takes over the rows of users for whom nothing "
            "has changed since the newest run. The result is the same. Empty: as in conf.",
            enum=["full", "incremental"],
        ),
        "order_by": optional(
            "string",
            "Order",
            "'preference' orders movies by what the user will want next, where there is a model of "
            "order; 'rating' by predicted rating. Empty: as in conf.",
            enum=["preference", "rating"],
        ),
        "damping": optional(
            "number",
            "Damping",
            "With the order by predicted rating: ratings at which a movie's prediction counts by "
            "half; 0 orders by predicted rating alone. Empty: as in conf.",
            minimum=0,
        ),
        "lower_bound": optional(
            "number",
            "Lower bound",
            "With the order by predicted rating, in place of damping: movies are ordered by the "
            "prediction less so many standard deviations. Needs a model that knows them, as "
            "bayesian. Empty: as in conf.",
            minimum=0,
        ),
        "uncertainty": optional(
            "boolean",
            "Uncertainty",
            "Whether the table says how far off each predicted rating may be. Needs a model that "
            "knows it, as bayesian. Empty: as in conf.",
        ),
        "reasons": optional(
            "boolean",
            "Reasons",
            "Whether the table says which rated movie speaks most for each recommendation; with "
            "networks this takes minutes. Empty: as in conf.",
        ),
        "repeat_after": optional(
            "integer",
            "No repeats for",
            "Nights: movies on a user's lists of so many nights before are not shown to the user "
            "again. Empty: as in conf.",
            minimum=0,
        ),
        "diversity": optional(
            "number",
            "Diversity",
            "How much other genres than those of the movies above count beside the score, from 0 "
            "to below 1, as in 0.1. Empty: as in conf.",
            minimum=0,
            exclusiveMaximum=1,
        ),
        "calibration": optional(
            "number",
            "Calibration",
            "How much the proportions of genres in what the user has rated count beside the score, "
            "from 0 to below 1, as in 0.1. Empty: as in conf.",
            minimum=0,
            exclusiveMaximum=1,
        ),
        "genre_cap": optional(
            "integer",
            "Movies of one genre",
            "At most so many in a list. Empty: as in conf.",
            minimum=1,
        ),
        "new_movies": optional(
            "integer",
            "New movies",
            "So many places of each list are for movies that nobody has rated yet, by their "
            "genres, years and titles; 0: none. Empty: as in conf.",
            minimum=0,
        ),
        "challenger": optional(
            "string",
            "Challenger",
            "Another version in the registry that scores beside the champion, as in 'rating/3', a "
            "model of ratings, or 'order/2', one of order. Empty: as in conf.",
            pattern="^(rating|order)/[1-9][0-9]*$",
        ),
        "challenger_share": optional(
            "number",
            "Challenger's share",
            "The share of users who are recommended what the challenger says, above 0 and below 1; "
            "the same users every night. Empty: as in conf.",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
        ),
        "shadow": optional(
            "boolean",
            "Shadow",
            "The challenger scores everybody, into the table recommendations_shadow, and what "
            "users are recommended stays the champion's. Empty: as in conf.",
        ),
        "genres_in": optional(
            "string",
            "Only genres",
            "Only movies of one of these, as in 'Comedy, Film-Noir'. Empty: as in conf.",
            pattern=NAMES,
        ),
        "genres_out": optional(
            "string",
            "Without genres",
            "No movie of one of these, as in 'Horror, War'. Empty: as in conf.",
            pattern=NAMES,
        ),
        "year_from": optional(
            "integer", "From year", "Only movies of this year or later. Empty: as in conf."
        ),
        "year_to": optional(
            "integer", "To year", "Only movies of this year or earlier. Empty: as in conf."
        ),
        "min_ratings": optional(
            "integer",
            "Least ratings",
            "Only movies with so many ratings in the data. Empty: as in conf.",
            minimum=0,
        ),
        "block_list": optional(
            "string",
            "Blocked movies",
            "Ids with commas between them, or a CSV or Parquet file with a column movie_id that "
            "the workers see: what holds a '/', or ends in .csv or .parquet. Empty: as in conf.",
            minLength=1,
        ),
        "candidates": optional(
            "string",
            "Lists of candidates",
            "A CSV or Parquet file with columns user_id and movie_id that the workers see: these "
            "users are recommended movies of their own list only. Empty: as in conf.",
            minLength=1,
        ),
    }


def scoring_settings(params: Mapping[str, Any]) -> list[str]:
    """The options for the parameters of `scoring_parameters` that are not empty."""

    def value(name: str) -> str:
        given = params[name]
        if name in ("top_k", "scoring", "order_by"):
            return str(given)
        if name.startswith("genres_"):
            given = [genre.strip() for genre in given.split(",")]
        elif name == "block_list" and not re.fullmatch(FILE, given):
            ids = [movie_id.strip() for movie_id in given.split(",")]
            given = [int(each) if re.fullmatch("[1-9][0-9]*", each) else each for each in ids]
        # JSON quotes names, so that YAML takes them as text whatever they hold.
        return json.dumps(given, ensure_ascii=False)

    named = (name for name in SCORING if params[name] is not None)
    return [f"--set={SCORING[name]}={value(name)}" for name in named]


def date_option(params: Mapping[str, Any], dag_run: Any) -> str:
    """The option of the run's date: the parameter `ds`, else the day that the run is due.

    Never taken from the clock: a run that was triggered without a logical date, through REST or by
    an asset, has `run_after`.
    """
    due = dag_run.logical_date or dag_run.run_after
    return f"--ds={params['ds'] or due.astimezone(UTC).date().isoformat()}"


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
