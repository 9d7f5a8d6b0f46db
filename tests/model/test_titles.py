"""Movies of two releases by title and year."""

import numpy as np
import pyarrow as pa
import pytest

from model.titles import key_of, same_movies, save_titles, titles_beside


def table(*rows: tuple[int, str, int | None]) -> pa.Table:
    ids, titles, years = zip(*rows, strict=True)
    return pa.table({"movie_id": ids, "title": titles, "year": pa.array(years, pa.int32())})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("Misérables, Les (1995)", "Les Miserables (1995)"),
        ("City of Lost Children, The (Cité des enfants perdus, La) (1995)",
         "The City of Lost Children (1995)"),
        ("Wallace & Gromit: A Close Shave (1995)", "Wallace and Gromit - A close shave (1995)"),
    ],
)  # fmt: skip
def test_two_writings_of_a_title_are_alike(one, other):
    assert key_of(one, None) == key_of(other, None) is not None


def test_another_year_is_another_movie_and_without_one_nothing_is_known():
    assert key_of("Sabrina (1954)", None) != key_of("Sabrina (1995)", None)
    assert key_of("Sabrina (1995)", 1995) == key_of("Sabrina", 1995)
    assert key_of("Sabrina", None) is None
    assert key_of(None, 1995) is None
    # What is a name and no article stays.
    assert key_of("Good, the Bad (1990)", None) != key_of("Good (1990)", None)


def test_of_several_there_it_is_the_one_of_the_most_ratings():
    here = table((7, "Emma (1996)", 1996), (8, "Heat (1995)", 1995), (9, "Up", None))
    there = table((1, "Emma (1996)", 1996), (2, "Emma (1996)", 1996), (5, "Up", None))
    ids_M, ids_T = np.array([7, 8, 9, 99]), np.array([1, 2, 5])
    place_M = same_movies(here, ids_M, there, ids_T, np.array([3, 9, 4]))
    assert place_M.tolist() == [1, -1, -1, -1]


def test_titles_of_a_model_are_kept_beside_it(tmp_path):
    with pytest.raises(ValueError, match=r"no titles to match movies by: .* Train it anew"):
        titles_beside(tmp_path)
    save_titles(table((1, "A (1990)", 1990), (2, "B (1991)", 1991)), np.array([2]), tmp_path)
    assert titles_beside(tmp_path).to_pylist() == [
        {"movie_id": 2, "title": "B (1991)", "year": 1991}
    ]
