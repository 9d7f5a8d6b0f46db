"""Champion and challenger side by side: what each recommends, and what people made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from jobs.pages.coverage import TOP, add_scored
from jobs.pages.page import Part, Section, Table, Text, count, number, share
from jobs.published.versions import tables_at
from jobs.published.views import add_version
from jobs.runs.run import Run
from model.list_agreement import overlap, rank_biased_overlap

# How deep lists are compared.
DEPTH = 10
# Users whose lists are compared together.
USERS_PER_BLOCK = 20_000
VARIANTS = ("champion", "challenger")


def challenger(connection: DuckDBPyConnection, run: Run) -> list[Section]:
    """The section of a run with a challenger, whose lists are in the view `scored`; else none."""
    beside = run.record("score").get("challenger")
    if beside is None:
        return []
    named, score = run.conf.score.challenger, run.conf.score
    rows = "from scored"
    if score.shadow:
        add_scored(connection, run, "shadow", output="shadow")
        rows = "from scored union all by name from shadow"
        told = f"Version {named} scored everybody too; nobody is shown what it recommends."
    else:
        told = (
            f"Version {named} scored {share(beside['users'], run.record('score')['users'])} of the "
            f"users, for {number(100 * score.challenger_share, 1)}% by a hash of their ids. They "
            "are other users than the champion's, so a part of every difference is chance."
        )
    connection.execute(f"create view variants as {rows}")
    parts: list[Part] = [Text(told), sizes(connection, run.record("score"))]
    parts.append(agreement(connection) if score.shadow else since(connection, run))
    return [Section("Champion and challenger", parts)]


def sizes(connection: DuckDBPyConnection, scored: dict[str, Any]) -> Table:
    """The figures of both; what ranks one cannot be compared with what ranks the other."""
    [(movies,)] = connection.execute("select count(*) from movies").fetchall()
    found = connection.execute("""
        select variant, count(distinct user_id), count(*), avg(predicted_rating),
            avg(ranking_score), count(distinct movie_id), count_if(source = 'popular')
        from variants group by variant
        """).fetchall()
    nothing = (0, 0, None, None, 0, 0)
    by_variant = {variant: figures for variant, *figures in found}
    columns = []
    for variant in VARIANTS:
        users, rows, predicted, score, named, popular = by_variant.get(variant, nothing)
        of = scored if variant == "champion" else scored["challenger"]
        columns.append(
            [
                f"rating/{of['model_version']}",
                f"order/{of['order_version']}" if of["order_version"] else "predicted ratings",
                number(users),
                number(rows),
                number(predicted, 3),
                number(score, 3),
                f"{number(named)} ({share(named, movies)})",
                share(popular, rows),
            ]
        )
    names = [
        *("Predicts", "Orders", "Users", "Recommendations", "Mean predicted rating"),
        *("Mean ranking score", "Movies named", "Rest on popularity"),
    ]
    headers = ["Figure", "Champion", "Challenger"]
    caption = f"Up to rank {TOP}. Ranking scores of two models need not be on one scale"
    rows = list(zip(names, *columns, strict=True))
    return Table(caption, headers, rows, frozenset(headers[1:]))


def agreement(connection: DuckDBPyConnection) -> Text:
    """How far the lists of the same users agree."""
    found = connection.execute(
        """
        select variant = 'champion' as first, user_id, rank, movie_id from variants
        where rank <= ? and user_id in (
            select user_id from scored intersect select user_id from shadow)
        order by user_id, variant, rank
        """,
        [DEPTH],
    ).fetchnumpy()
    users, user_N = np.unique(found["user_id"], return_inverse=True)
    if not len(users):
        return Text("No user has recommendations of both.")
    # Row numbers: ids may be below 0, which is where a list ends.
    movie_N = np.unique(found["movie_id"], return_inverse=True)[1]
    first_N = np.asarray(found["first"], bool)
    lists: list[NDArray[np.int64]] = []
    for own_N in (first_N, ~first_N):
        list_BK = np.full((len(users), DEPTH), -1, np.int64)
        list_BK[user_N[own_N], found["rank"][own_N] - 1] = movie_N[own_N]
        lists.append(list_BK)
    same, biased = 0.0, 0.0
    for start in range(0, len(users), USERS_PER_BLOCK):
        one_BK, other_BK = (of[start : start + USERS_PER_BLOCK] for of in lists)
        same += float(overlap(one_BK, other_BK).sum())
        biased += float(rank_biased_overlap(one_BK, other_BK).sum())
    shared, alike = number(same / len(users), 3), number(biased / len(users), 3)
    return Text(
        f"Means over the {count(len(users), 'user')} of both: lists share {shared} of their first "
        f"{DEPTH} movies, and their rank-biased overlap is {alike}, where 1 is the same order."
    )


def since(connection: DuckDBPyConnection, run: Run) -> Text | Table:
    """What users have rated since nights before on which the same challenger scored some of them.

    A rating counts for the newest such night before its day, and for who scored its user then. Rows
    of a challenger name both models of that night: whichever is not the champion's, as `runs` has
    it, is the challenger.
    """
    assert run.conf.score.challenger is not None
    kind, _, version = run.conf.score.challenger.partition("/")
    column = {"rating": "model_version", "order": "order_version"}[kind]
    for name, table in tables_at(run.warehouse, ("recommendations", "runs"), None).items():
        add_version(connection, f"published_{name}", table, table=name)
    connection.execute(
        f"""
        create temp table lists as
        with ours as (
            select lists.ds, user_id, movie_id, variant, variant = 'challenger'
                and lists.{column} = $version and runs.{column} is distinct from $version as same
            from published_recommendations lists join published_runs runs using (run_id, ds)
            where lists.ds < $ds and variant is not null and release = $release)
        select ds, user_id, movie_id, variant from ours
        where ds in (select ds from ours where same) and (variant = 'champion' or same)
        """,
        {"ds": run.ds, "release": run.release, "version": version},
    )
    found = connection.execute("""
        with shown as (select distinct ds, user_id, variant from lists),
        later as (
            select ratings.user_id, ratings.movie_id, max(ds) as ds,
                max_by(variant, ds) as variant
            from shown join ratings on ratings.user_id = shown.user_id and rated_at::date > ds
            group by all)
        select variant, count(distinct user_id), count(*), count(lists.movie_id)
        from later left join lists using (ds, user_id, movie_id, variant) group by variant
        """).fetchall()
    if not found:
        return Text(
            "Nobody has rated anything since a night before on which this challenger scored: whose "
            "lists are the better ones, this data cannot say."
        )
    by_variant = {variant: figures for variant, *figures in found}
    rows = []
    for variant in VARIANTS:
        users, ratings, listed = by_variant.get(variant, (0, 0, 0))
        cells = (number(users), number(ratings), number(listed), share(listed, ratings))
        rows.append((variant.capitalize(), *cells))
    headers = ["Scored by", "Users who rated", "Later ratings", "On the list", "Share"]
    caption = "What users have rated since nights before with this challenger"
    return Table(caption, headers, rows, frozenset(headers[1:]))
