"""What was scored: the movies that could be recommended, the users, and what ranks the movies."""

from __future__ import annotations

from typing import Any

from jobs.pages.page import Part, Section, Table, Text, count, number, share
from jobs.runs.settings.scoring import ScoreSettings

# In words, with the setting's value, what each filter takes away.
WORDS = {
    "genres_in": "not of one of the genres {}",
    "genres_out": "of one of the genres {}",
    "year_from": "released before {}, or without a year",
    "year_to": "released after {}, or without a year",
    "min_ratings": "with fewer than {} ratings",
    "block_list": "blocked by id",
}


def scope(scored: dict[str, Any], settings: ScoreSettings) -> Section:
    """From the record of the step `score`."""
    parts: list[Part] = [Text(users(scored)), Text(order(scored, settings))]
    if told := chosen(scored, settings):
        parts.append(Text(told))
    rows = [("movies of the release", scored["movies"])]
    for name, taken in scored["filtered"].items():
        value = getattr(settings, name)
        words = ", ".join(value) if name.startswith("genres_") else str(value)
        rows.append((WORDS[name].format(words), -taken))
    rows += [
        ("new: without a training rating in the model", -scored["movies_new"]),
        ("that could be recommended", scored["movies_scored"]),
    ]
    cells = [(name, number(n), share(abs(n), scored["movies"])) for name, n in rows]
    headers = ["Movies", "Number", "Share"]
    caption = "Which movies could be recommended; each counts where it is first taken away"
    parts.append(Table(caption, headers, cells, frozenset(headers[1:])))
    return Section("What was scored", parts)


def users(scored: dict[str, Any]) -> str:
    """Who was scored, and from which run the others' rows are."""
    told = f"{count(scored['users_scored'], 'user')} of {number(scored['users'])} scored"
    if scored["base_run"]:
        told += f"; for the others nothing has changed since run {scored['base_run']}"
    else:
        told += f": {scored['why_all']}"
    if scored["users_popular"]:
        told += (
            f". {count(scored['users_popular'], 'user')} of whom the model knows nothing: the "
            "popular movies"
        )
    if scored.get("users_folded_in"):
        told += (
            f". {count(scored['users_folded_in'], 'user')} new to the model of ratings, or who "
            "have rated since it learned: their rows were made of all their ratings tonight"
        )
    return f"{told}."


def order(scored: dict[str, Any], settings: ScoreSettings) -> str:
    """What ranks the movies, and where new ones stand."""
    if new := scored.get("new_movies"):
        return (
            f"{ranked_by(scored, settings)} Up to {count(settings.new_movies, 'place')} of each "
            f"list went to {count(new, 'movie')} that the models have not learned: those best for "
            "the user by genres, year and title."
        )
    return ranked_by(scored, settings)


def ranked_by(scored: dict[str, Any], settings: ScoreSettings) -> str:
    """What ranks the movies."""
    if version := scored.get("order_version"):
        return (
            f"Movies are ranked by what the user will want next, as version {version} of the "
            "models of order says; the predicted rating stands beside."
        )
    if (z := scored.get("lower_bound")) is not None:
        return (
            f"Movies are ranked by predicted rating less {z:g} standard deviations of the rating."
        )
    if not settings.damping:
        return "Movies are ranked by predicted rating."
    return (
        "Movies are ranked by predicted rating, moved towards the mean the fewer training ratings "
        f"they have: by half with {settings.damping:g}."
    )


def chosen(scored: dict[str, Any], settings: ScoreSettings) -> str:
    """What else decides which movies stand on a list; empty where nothing does."""
    told = []
    if nights := scored.get("nights_before"):
        told.append(f"Nobody is shown again what was on the lists of {', '.join(nights)}.")
    if settings.diversity:
        told.append(f"Other genres than those above count by {settings.diversity:g}.")
    if settings.calibration:
        told.append(
            f"The proportions of genres in what a user has rated count by {settings.calibration:g}."
        )
    if settings.genre_cap:
        told.append(f"At most {count(settings.genre_cap, 'movie')} of a genre stand on a list.")
    return " ".join(told)
