"""Schemas of all tables, as DDL: jobs, the published tables and the tests use these strings.

`user_id`, `movie_id` are the source's ids where these are whole numbers from 1 to 2147483647; any
other id has a number below 0, which jobs/cleaning/source_ids.py gives it. `source_user_id`,
`source_movie_id` are the ids as the source writes them; null where all of its ids are such numbers.
`user_idx`, `movie_idx` are row numbers in `Factors`.
"""

import json
from typing import Any, NamedTuple

# Clean tables of a run; the first four are also published.
RATINGS = "user_id int, movie_id int, rating float, rated_at timestamp, split string"
MOVIES = "movie_id int, title string, year int, genres array<string>, source_movie_id string"
# In SQL: whether enough is said of a movie to tell it from others without a rating.
DESCRIBED = "year is not null or len(genres) > 0"
USERS = (
    "user_id int, gender string, age int, occupation string, zip_code string, source_user_id string"
)
QUARANTINE = "run_id string, file string, line bigint, reason string, content string"

# The numbers of ids that are none, or too large ones: -1, -2, ... in the order in which they came.
SOURCE_IDS = "id int, source_id string"

# Row numbers in Factors: an id's place among all ids.
USER_INDEX = "user_id int, user_idx int"
MOVIE_INDEX = "movie_id int, movie_idx int"

# What training and scoring read. rated_at: seconds since 1970, -1 where unknown, for readers of
# batches know no null in whole numbers.
INDEXED_RATINGS = "user_idx int, movie_idx int, rating float, rated_at bigint, split string"
# A user's ratings, oldest first, those without a time before all others, equal times by movie_id.
# rated_at: seconds since 1970. split: of the measure of order, 0 train, 1 validation, 2 test.
HISTORIES = (
    "user_idx int, movie_idx array<int>, rating array<float>, rated_at array<bigint>, "
    "split array<tinyint>"
)
RATED = "user_id int, movie_ids array<int>"
# Where lines may delete, the users and movies of which there are several, or one that deletes, and
# the time of the newest. lines: with a rating. By these a later run grows out of an earlier one.
REPEATS = "user_id int, movie_id int, rated_at timestamp, deleted boolean, lines int"
# Of the users who have one, the only movies that may be recommended to them.
CANDIDATES = "user_id int, movie_id int"

# source: model; folded_in, of users whose row in the model of ratings was made that night; popular,
# where what ranks knows nothing of the user; content, of a movie that is new to a model, by its
# genres, year and title.
# ranking_score is what movies are ranked by: the score of order_version, a model of order; where
# there is none, the predicted rating, not clipped, and damped where score.damping says so, or less
# score.lower_bound deviations. It falls from rank to rank, unless score.diversity or
# score.calibration chooses movies for more than it. It is null in rows that were published before
# there was such a column. rating_sd: standard deviation of the rating around predicted_rating, with
# score.uncertainty; null without, where nothing was learned of user or movie, and of folded_in.
# predicted_rating is null where the data holds no ratings.
# because_movie_id: with score.reasons, the movie rated by the user that speaks most for the row, of
# all that speaks for it because_share, above 0 and at most 1; null without, of popular and content,
# and where no rated movie does. variant: champion, or challenger, of users whom the version that
# score.challenger names has scored; null in rows that were published before there was one.
RECOMMENDATIONS = (
    "ds date, user_id int, rank int, movie_id int, title string, predicted_rating float, "
    "source string, model_version string, run_id string, ranking_score float, "
    "order_version string, rating_sd float, because_movie_id int, because_share float, "
    "source_user_id string, source_movie_id string, source_because_id string, variant string"
)
# model_version scored; test_rmse and test_mae are those of candidate_version, the run's own model:
# the same version where it was promoted, and not the biases in its place. Where a split left no
# test ratings they are null, and validation_rmse is that model's on the validation ratings; else
# that is null. users_scored: null for all of them. damping: of the order of the recommendations;
# null before there was any. lower_bound: the same, and where it is not null, damping did nothing.
# started_at: when the run's inputs were fixed; data_run: the run whose
# data it scored again, null for its own; versions: JSON of the versions of all other tables as this
# publish left them. order_version ordered movies, null where predicted ratings did; ndcg_10 and
# hr_10 are those of order_candidate_version, the run's own model of order. refit_ratings: from how
# many ratings, all of its run's, model_version has learned as it scores; null where it scores as it
# was measured, without those that were held back.
RUNS = (
    "run_id string, ds date, release string, ratings bigint, users int, movies int, "
    "quarantined bigint, model_version string, promoted boolean, test_rmse double, "
    "test_mae double, rows_published bigint, seconds double, finished_at timestamp, "
    "candidate_version string, users_scored int, validation_rmse double, damping double, "
    "started_at timestamp, data_run string, versions string, order_version string, "
    "order_candidate_version string, ndcg_10 double, hr_10 double, lower_bound double, "
    "refit_ratings bigint, digest string, code_version string"
)

# The movies most like a movie. similarity: -1 to 1, how the two movies' scores move together over
# the users, by all models that score: model_version is `rating/3` or, with one of order,
# `rating/3 order/2`.
SIMILAR_MOVIES = (
    "ds date, movie_id int, rank int, similar_id int, title string, similarity float, "
    "model_version string, source_movie_id string, source_similar_id string"
)

# How good lists were, of the version `order/3` of order and of what it was compared with:
# popularity, recent_popularity, and `rating`, the order by predicted rating; and how far off the
# ratings of `rating/3`, `biases` and `mean` were (k is null). split: of the histories, or of the
# ratings. low and high: 95% intervals, by drawing users; null where chance is not in it.
METRICS = (
    "run_id string, ds date, version string, split string, segment string, name string, k int, "
    "value double, low double, high double"
)

# What the rules about a run's clean data found.
QUALITY = (
    "run_id string, ds date, rule string, figure double, threshold double, passed boolean, "
    "example string"
)

# How good models were that a run trained to compare them, one from each seed; of a baseline, as
# popularity, seed is null, and nothing was trained. Figures as in metrics, and rmse and mae.
# seconds and cpu_seconds: of the training, its reading included; size: bytes of its Factors;
# settings: JSON of its own. fold: of cross-validation, from 1; else null. trials: those of the
# search that chose the settings; null: they are those of conf.
COMPARISONS = (
    "run_id string, ds date, release string, member string, seed int, split string, "
    "segment string, name string, k int, value double, low double, high double, seconds double, "
    "cpu_seconds double, size bigint, settings string, fold int, trials int"
)

# How good lists were in each period of a release's past, numbered from 1, of a model that was
# trained as `policy` says, the last time at trained_until; of a baseline, as popularity, both are
# null. users: whom the figures are of. seconds: of the training at the period's start, 0 where
# there was none, null of a baseline. Figures as in metrics.
REPLAYS = (
    "run_id string, ds date, release string, member string, policy string, period int, "
    "starts_at timestamp, ends_at timestamp, trained_until timestamp, users int, "
    "segment string, name string, k int, value double, low double, high double, seconds double"
)

# What a delivery becomes, and beside it what of it could not be used.
CLEAN = {"ratings": RATINGS, "movies": MOVIES, "users": USERS}
DELIVERED = (*CLEAN, "quarantine")

# Tables that people query, each with the columns that it is partitioned by.
PUBLISHED: dict[str, tuple[str, list[str]]] = {
    "movies": (MOVIES, []),
    "users": (USERS, []),
    "ratings": (RATINGS, []),
    "quarantine": (QUARANTINE, ["run_id"]),
    "similar_movies": (SIMILAR_MOVIES, ["ds"]),
    # What a challenger would recommend to everybody, of the runs that asked for it.
    "recommendations_shadow": (RECOMMENDATIONS, ["ds"]),
    "recommendations": (RECOMMENDATIONS, ["ds"]),
    "runs": (RUNS, ["run_id"]),
    "quality": (QUALITY, ["run_id"]),
    "metrics": (METRICS, ["run_id"]),
    "comparisons": (COMPARISONS, ["run_id"]),
    "replays": (REPLAYS, ["run_id"]),
}
# Of these, each stands apart: it is shown as soon as it is written, whether or not the run
# publishes recommendations.
ALONE = ("quality", "comparisons", "replays")

# Those whose dates can be taken out; whoever is stopped finds the dates in the last again.
BY_DATE = [name for name, (_, partition_by) in PUBLISHED.items() if partition_by == ["ds"]]

NULLABLE_RECOMMENDATIONS = (
    *("predicted_rating", "order_version", "rating_sd", "because_movie_id", "because_share"),
    *("source_user_id", "source_movie_id", "source_because_id"),
)
# Their columns that may be null in rows as they are written today; docs/tables.md says when. What
# was added later is null in older rows, too.
NULLABLE: dict[str, tuple[str, ...]] = {
    "movies": ("year", "source_movie_id"),
    "users": ("gender", "age", "occupation", "zip_code", "source_user_id"),
    "ratings": ("rated_at",),
    "quarantine": (),
    "similar_movies": ("source_movie_id", "source_similar_id"),
    "recommendations": NULLABLE_RECOMMENDATIONS,
    "recommendations_shadow": NULLABLE_RECOMMENDATIONS,
    "runs": (
        *("test_rmse", "test_mae", "candidate_version", "users_scored", "validation_rmse"),
        *("data_run", "order_version", "order_candidate_version", "ndcg_10", "hr_10"),
        *("lower_bound", "refit_ratings"),
    ),
    "quality": ("example",),
    "metrics": ("k", "low", "high"),
    "comparisons": (
        *("seed", "k", "low", "high", "seconds", "cpu_seconds", "size", "settings"),
        *("fold", "trials"),
    ),
    "replays": ("policy", "trained_until", "low", "high", "seconds"),
}


# What runs of earlier versions have written lacks these: they are null there.
LATER = ("source_user_id", "source_movie_id", "source_because_id", "source_similar_id", "variant")


class TypeNames(NamedTuple):
    """What a type in our schemas is called elsewhere."""

    delta: Any
    """As Delta's schema in JSON has it; of an array, an object."""
    duckdb: str
    postgresql: str
    arrow: str
    """As Arrow's type prints itself; of an array with the name that Spark gives its elements."""


SIMPLE_TYPES = {
    "int": TypeNames("integer", "INTEGER", "integer", "int32"),
    "bigint": TypeNames("long", "BIGINT", "bigint", "int64"),
    "float": TypeNames("float", "FLOAT", "real", "float"),
    "double": TypeNames("double", "DOUBLE", "double precision", "double"),
    "boolean": TypeNames("boolean", "BOOLEAN", "boolean", "bool"),
    "string": TypeNames("string", "VARCHAR", "text", "string"),
    "date": TypeNames("date", "DATE", "date", "date32[day]"),
    "timestamp": TypeNames(
        "timestamp", "TIMESTAMP WITH TIME ZONE", "timestamptz", "timestamp[us, tz=UTC]"
    ),
}


def names_of(kind: str) -> TypeNames:
    """The names of a type of a DDL schema: a simple one, or an array."""
    if kind in SIMPLE_TYPES:
        return SIMPLE_TYPES[kind]
    of = names_of(kind.removeprefix("array<").removesuffix(">"))
    return TypeNames(
        {"type": "array", "elementType": of.delta, "containsNull": True},
        f"{of.duckdb}[]",
        f"{of.postgresql}[]",
        f"list<element: {of.arrow}>",
    )


def columns_of(ddl: str) -> dict[str, str]:
    """Names and types of a DDL schema's columns, in their order."""
    return dict(column.split(" ", 1) for column in ddl.split(", "))


def in_json(ddl: str) -> str:
    """Delta's schema of a DDL, which is what Spark's StructType.fromDDL(ddl).json() returns."""
    fields = [
        {"name": name, "type": names_of(kind).delta, "nullable": True, "metadata": {}}
        for name, kind in columns_of(ddl).items()
    ]
    return json.dumps({"type": "struct", "fields": fields})
