"""What is told of somebody's own files: columns, separator, header, times; and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.release.columns import usual_separator
from jobs.release.detection import detect_layout
from jobs.release.layouts import Layout
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError

OWN = load_configuration(["ingest.dataset=mine", "ingest.source=x"]).ingest
GROUPLENS = ("user_id", "movie_id", "rating", "timestamp")


def told(folder: Path, content: str | bytes, *settings: str, name: str = "ratings.csv") -> Layout:
    """The layout of a delivery of one file, called `mine`."""
    said = [f"ingest.{each}" for each in ("dataset=mine", "source=x", *settings)]
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return detect_layout(folder, load_configuration(said).ingest, "SRC")


def told_of(folder: Path, files: dict[str, str]) -> Layout:
    """The layout of a delivery of several files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return detect_layout(folder, OWN, "SRC")


@pytest.mark.parametrize(
    ("content", "separator", "header", "fields"),
    [
        ("userId,movieId,rating,timestamp\n1,2,3,4\n", ",", True, GROUPLENS),
        ("1\t2\t3.5\t881250949\n", "\t", False, GROUPLENS),
        ("1::2::3\n", "::", False, GROUPLENS[:3]),
        ('\ufeff"Stars";"User-ID";"shelf";"Item ID"\n4;1;a;2\n', ";", True,
         ("rating", "user_id", "aside_3", "movie_id")),
        # A decimal comma cuts every line, too, but into fewer fields.
        ("user;item;score\n1;2;4,5\n3;2;2,5\n", ";", True, GROUPLENS[:3]),
        ("date|uid|film_id|overall\n2018-01-17|1|2|3\n", "|", True,
         ("timestamp", "user_id", "movie_id", "rating")),
    ],
)  # fmt: skip
def test_columns_are_told(tmp_path, content, separator, header, fields):
    table = told(tmp_path, content).ratings
    assert (table.separator, table.header, table.fields) == (separator, header, fields)


def test_conf_says_columns_by_name_and_by_number(tmp_path):
    named = "columns={user: who, movie: sku, rating: stars, time: at}"
    layout = told(tmp_path, "sku,who,rating,stars,at\n1,2,3,4,5\n", named)
    assert layout.ratings.fields == ("movie_id", "user_id", "aside_3", "rating", "timestamp")
    assert layout.aside == ("rating",)
    numbered = "columns={user: 3, movie: 1, rating: 2}"
    fields = told(tmp_path, "7,5.0,1,2\n", numbered).ratings.fields
    assert fields == ("movie_id", "rating", "user_id", "timestamp")
    last = told(tmp_path, "7,5.0,x,2\n", "columns={user: 4, movie: 1, rating: 2}").ratings.fields
    assert last == ("movie_id", "rating", "aside_3", "user_id")
    # By order the time would stand where deletions do.
    gone = told(tmp_path, "7,5.0,1,yes,2\n", "columns={user: 3, movie: 1, rating: 2, deleted: 4}")
    assert gone.ratings.fields == ("movie_id", "rating", "user_id", "deleted", "aside_5")
    used = told(tmp_path, "1,7,yes\n", "columns={deleted: 3}")
    assert used.ratings.fields == ("user_id", "movie_id", "deleted")
    assert used.implicit
    (tmp_path / "movies.csv").write_text("7,A title,Drama\n")
    movies = told(tmp_path, "7,5.0,1,2\n", numbered).movies
    assert movies
    assert movies.fields == ("movie_id", "title", "genres")
    # A number of the movie's column is that of the ratings' file.
    with pytest.raises(JobError, match=r"both the movie and the title\. Give the file a"):
        told(tmp_path, "7,5.0,1,2\n", "columns={user: 3, movie: 1, rating: 2, title: 1}")


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        ("881250949", "seconds"),
        ("881250949.5", "seconds"),
        ("1515974400000", "milliseconds"),
        ("1515974400000000", "microseconds"),
        ("1515974400000000000", "nanoseconds"),
        ("2018-01-17", "dates"),
        ("2018-01-17T10:00:00Z", "dates"),
        ("20180117", "yyyyMMdd"),
        ("", "none"),
    ],
)
def test_the_unit_of_time_is_that_of_most_lines(tmp_path, time, kind):
    lines = [f"1,{movie},3,{time}" for movie in range(2, 9)] + ["1,9,3,soon"] * bool(time)
    assert told(tmp_path, "\n".join(lines) + "\n").time == kind


def test_conf_says_how_times_are_written(tmp_path):
    content = "1,2,3,17.01.2018\n"
    with pytest.raises(JobError, match=r"times are neither seconds.*--set ingest\.time=dd\.MM\."):
        told(tmp_path, content)
    assert told(tmp_path, content, "time=dd.MM.yyyy").time == "dd.MM.yyyy"
    with pytest.raises(JobError, match=r"ingest\.time: found 'soon'"):
        told(tmp_path, content, "time=soon")


def test_what_was_told_is_said(tmp_path):
    (tmp_path / "Movies.tsv").write_text("title\tid\titem_id\nCafé\t9\t2\n")
    assert str(told(tmp_path, "user,item,stars,shop\n1,2,8,a\n", "rating_scale=[0, 10]")) == (
        "ratings.csv and Movies.tsv in UTF-8, ratings 0 to 10, no times, kept aside: shop, id"
    )
    (tmp_path / "Movies.tsv").unlink()
    assert str(told(tmp_path, "1,2,8,1\n")) == (
        "ratings.csv in UTF-8, ratings on a scale of their own, times as seconds, "
        "titles are the ids, for there is no file of movies"
    )


@pytest.mark.parametrize(
    ("content", "settings", "sentence"),
    [
        ("user,movie,note\n1,2,3\n", [], "of the rating: expected one of rating, ratings, score"),
        ("user,movie,note\n1,2,3\n", [], "If every line is a one, set ingest.implicit to true."),
        ("user,movie\n1,2\n", ["implicit=false"], "has no column of the rating"),
        ("user,movie\n1,2\n", ["rating_scale=[1, 5]"], "has no column of the rating"),
        ("user,movie,rating,score\n1,2,3,4\n", [], "2 columns that may be the rating"),
        ("a,b,c\n1,2,3\n", ["columns.user=who"], "no column of the user"),
        ("1,2,3\n", ["columns.time=7"], "has 3 columns, and ingest.columns.time is 7"),
        ("user,item,rating\n1,2,3\n", ["columns.deleted=gone"], "has no column gone, which ingest"),
        ("1,2,3\n", ["columns={user: 2, movie: 2}"], "both the user and the movie"),
        ("user,movie,rating\n1,4.5,3\n", [], "movie_id holds numbers that are no ids, as '4.5'"),
        ("1,1.04e+11,3\n", [], "set ingest.ids to string; if not, say in ingest.columns"),
        ("\n\n", [], "expected lines of at most 65,536 bytes, found none"),
        ("1,2,3\n".encode("utf-16"), [], "is written in UTF-16"),
        (b"PAR1\x15\x04", [], "is no Parquet"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, content, settings, sentence):
    with pytest.raises(JobError, match=r"^SRC: ratings\.csv") as refused:
        told(tmp_path, content, *settings)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said", "fields"),
    [
        ("user,item\n1,2\n", [], ("user_id", "movie_id")),
        ("time,user,item\n3,1,2\n", [], ("timestamp", "user_id", "movie_id")),
        ("1\t2\n", [], ("user_id", "movie_id")),
        ("1\t2\t3\n", ["implicit=true"], ("user_id", "movie_id", "timestamp")),
        ("user,item,stars\n1,2,3\n", ["implicit=true"], ("user_id", "movie_id", "aside_3")),
    ],
)
def test_without_ratings_every_line_is_a_one(tmp_path, content, said, fields):
    layout = told(tmp_path, content, *said)
    assert layout.ratings.fields == fields
    assert layout.implicit
    assert layout.rating_range == (1, 1)
    assert "every line a one" in str(layout)


def test_ones_and_ratings_contradict_each_other():
    with pytest.raises(JobError, match=r"implicit says that every line is a one, so columns\.rat"):
        load_configuration(["ingest.implicit=true", "ingest.columns.rating=stars"])


@pytest.mark.parametrize(
    ("content", "said", "expected"),
    [
        # Jester: from -10 to 10, without names.
        ("1\t5\t-7.82\n1\t7\t8.79\n", [], "ratings on a scale of their own, no times"),
        ("userID,jokeID,rating\n1,5,-7.82\n", [], "ratings on a scale of their own, no times"),
        # Goodbooks.
        ("user_id,book_id,rating\n1,258,5\n", [], "ratings on a scale of their own, no times"),
        # Netflix, one line a rating.
        ("1488844,1,3,2005-09-06\n", [], "times as dates"),
        # Steam, with numbers for games: hours of play are no ratings.
        ("user-id,game-id,hours\n5250,570,12.5\n", ["implicit=true"],
         "every line a one, no times, titles are the ids"),
        # Book-Crossing, with numbers for books.
        ('"User-ID";"Book-ID";"Book-Rating"\n"276725";"34545";"0"\n', ["rating_scale=[1, 10]"],
         "ratings 1 to 10, no times"),
    ],
)  # fmt: skip
def test_shapes_that_are_known(tmp_path, content, said, expected):
    assert expected in str(told(tmp_path, content, *said))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("userId,gameId,hours_played\n76561197970982479,10,3\n", "no column of the rating"),
        # Netflix as it came: a line for each movie, and then its ratings.
        ("1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n", "begins with 1:, as files of"),
    ],
)  # fmt: skip
def test_shapes_that_are_refused_with_what_to_do(tmp_path, content, found):
    with pytest.raises(JobError) as refused:
        told(tmp_path, content)
    assert found in str(refused.value)


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (["1", "2147483647", "17.0", ""], "int"),
        (["1", "2147483648"], "bigint"),
        (["76561197970982479.0"], "bigint"),
        (["9223372036854775808"], "string"),
        (["f81d4fae-7dec-11d0-a765-00a0c91e6bf6"], "string"),
        # One of ten is a bad row among numbers, more of them are what ids are.
        (["1"] * 9 + ["B7"], "int"),
        (["1"] * 8 + ["B7"], "string"),
        (["1"] * 8 + ["1.5"], "int"),
        (["1"] * 20 + ["007"], "string"),
    ],
)
def test_ids_are_told_by_what_they_look_like(tmp_path, ids, kind):
    ratings = "user,item,rating\n" + "".join(f"{each},7,3\n" for each in ids)
    layout = told(tmp_path, ratings)
    assert (layout.user_ids, layout.movie_ids) == (kind, "int")
    for said, expected in (("string", "string"), ("integer", "bigint")):
        assert told(tmp_path, ratings, f"ids={said}").movie_ids == expected
    # A file of titles has its part in what movies are called.
    (tmp_path / "movies.csv").write_text("item,title\n" + "".join(f"{each},A\n" for each in ids))
    assert told(tmp_path, ratings).movie_ids == kind


def test_one_file_may_be_called_as_it_likes_and_is_not_shown(tmp_path):
    assert told(tmp_path, "1,2,3\n", name="export 2026.TXT").ratings.file == "export 2026.TXT"
    with pytest.raises(JobError, match="no column of the user") as refused:
        told(tmp_path, "secret,word\n", name="export 2026.TXT")
    assert "secret" not in str(refused.value)
    (tmp_path / "other.csv").write_text("1,2,3\n")
    with pytest.raises(JobError, match=r"SRC holds 2 files that may be its ratings.* ratings\.csv"):
        told(tmp_path, "1,2,3\n", name="export 2026.TXT")


@pytest.mark.parametrize(
    ("files", "ratings", "movies"),
    [
        ({"part-10.csv": "1,2,3\n", "part-9.csv": "1,2,4\n"}, ["part-9.csv", "part-10.csv"], []),
        # As Spark writes them, two jobs into one folder.
        ({"_SUCCESS": "", "part-00000-7a0d2c6e-0f5c-4a55-9f43-a8e3d8f0c001-c000.csv": "",
          "part-00001-7a0d2c6e-0f5c-4a55-9f43-a8e3d8f0c001-c000.csv": "user,item,stars\n1,2,3\n",
          "part-00000-11111111-0f5c-4a55-9f43-a8e3d8f0c001-c000.csv": "user,item,stars\n"},
         ["part-00000-11111111-0f5c-4a55-9f43-a8e3d8f0c001-c000.csv",
          "part-00001-7a0d2c6e-0f5c-4a55-9f43-a8e3d8f0c001-c000.csv"], []),
        ({"ratings/jan.csv": "1,2,3\n", "ratings/feb.csv": "1,2,4\n", "movies/a.csv": "1,x\n",
          "movies/b.csv": "2,y\n", "other.csv": "a\n"},
         ["ratings/feb.csv", "ratings/jan.csv"], ["movies/a.csv", "movies/b.csv"]),
        ({"ratings_1.tsv": "1\t2\t3\n", "ratings_2.tsv": "1\t2\t3\n", "movies-1.csv": "1,x\n"},
         ["ratings_1.tsv", "ratings_2.tsv"], ["movies-1.csv"]),
        ({"ratings.csv": "1,2,3\n", "ratings_small.csv": "1,2,3\n", "old/ratings.csv": "1,2,3\n"},
         ["ratings.csv"], []),
        ({"day=1/x.csv": "1,2,3\n", "day=2/x.csv": "1,2,3\n"}, ["day=1/x.csv", "day=2/x.csv"], []),
    ],
)  # fmt: skip
def test_a_table_may_lie_in_parts(tmp_path, files, ratings, movies):
    layout = told_of(tmp_path, files)
    assert layout.ratings.files == tuple(ratings)
    assert (layout.movies.files if layout.movies else ()) == tuple(movies)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.csv": "1,2,3\n", "b.csv": "1,2,3\n"}, "folder called ratings"),
        ({"ratings.csv": "1,2,3\n", "ratings.tsv": "1\t2\t3\n"}, "holds 2 files that may be"),
        ({"ratings.csv": "1,2,3\n", "ratings-2.csv": "1,2,3\n"}, "Put the parts of one table into"),
        ({"p1.csv": "user,item,stars\n1,2,3\n", "p2.csv": "item,user,stars\n"},
         "p2.csv has other columns than p1.csv. The parts"),
        ({"p1.csv": "user,item,stars\n1,2,3\n", "p2.csv": "1,2,3\n"}, "p2.csv has other columns"),
        ({"p1.csv": "1,2,3\n", "p2.csv": "1,2\n"}, "p2.csv has other columns than p1.csv"),
        ({"p1.csv": "1,2,3\n", "p2.csv": "\n"}, "p2.csv: expected lines"),
        ({"movies.csv": "1,x\n"}, "holds no files that may be its ratings"),
        ({"t/_delta_log/0.json": "", "t/a.csv": "1,2,3\n"}, "holds a table of Delta Lake in t."),
    ],
)  # fmt: skip
def test_parts_that_do_not_belong_together_are_refused(tmp_path, files, sentence):
    with pytest.raises(JobError, match=r"^SRC") as refused:
        told_of(tmp_path, files)
    assert sentence in str(refused.value)


def test_a_release_of_movielens_keeps_its_scale(tmp_path):
    (tmp_path / "ratings.csv").write_text("timestamp,rating,movieId,userId\n1,4.5,2,1\n")
    layout = detect_layout(tmp_path, load_configuration(["ingest.dataset=ml-25m"]).ingest)
    assert layout.scale == "0.5 to 5 in steps of 0.5"
    usual = "userId,movieId,rating,timestamp\n1,2,100,0\n"
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n2,x,\n")
    assert told(tmp_path, usual).rating_range is None


@given(
    separator=st.sampled_from(["\t", ";", "|", "::", ","]),
    rows=st.lists(st.tuples(*[st.integers(1, 99)] * 3), min_size=1, max_size=20),
)
def test_numbers_say_their_separator(separator, rows):
    assert usual_separator([separator.join(map(str, row)) for row in rows]) == separator


def test_a_name_of_ones_own_needs_a_source():
    with pytest.raises(
        JobError, match=r"dataset ml1m is no release of MovieLens, so it needs a so"
    ):
        load_configuration(["ingest.dataset=ml1m"])
    with pytest.raises(JobError, match=r"ingest\.dataset: found '\.\./up'"):
        load_configuration(["ingest.dataset=../up", "ingest.source=x"])
