"""Users who asked to be forgotten are left out of a delivery's files."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.release import leave_out as module
from jobs.release.detection import detect_layout
from jobs.release.layouts import LAYOUTS
from jobs.release.leave_out import leave_out, lines_naming
from jobs.runs.settings.delivery import IngestSettings
from tests.jobs.examples import delivered


def said(**more) -> IngestSettings:
    return IngestSettings(dataset="mine", source="x", max_unpacked_gib=1, **more)


def rest(folder, users, settings=None):
    layout = detect_layout(folder, settings or said())
    return leave_out(folder, layout, users)


# One buffer for all, and so small ones that each ends within a line.
@pytest.mark.parametrize("piece", [1 << 22, 7, 1])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_go_by_their_user(tmp_path, monkeypatch, piece, end):
    monkeypatch.setattr(module, "PIECE", piece)
    lines = [
        b"user,movie,rating,at",
        b"17,5,1,978300760",
        b' "17" ,17,2,978300760',
        # Another user's: the number is the movie's, a part of another, or the rating's.
        b"5,17,3,978300760",
        b"170,5,17,978300717",
        b" 17.0,6,4,978300760",
        # What cannot be used names somebody all the same.
        b"17,x",
        b"018,6,4,978300760",
    ]
    folder = delivered(tmp_path / "d", ratings_csv=end.join(lines) + end)
    stay = [
        line for line in lines if not line.strip(b' "').startswith((b"17,", b'17"', b"17.", b"018"))
    ]
    layout = said(
        columns={"user": 1, "movie": 2, "rating": 3, "time": 4}, separator=",", ids="integer"
    )
    gone = rest(folder, ["17", "18"], layout)
    assert (folder / "ratings.csv").read_bytes() == end.join(stay) + end
    assert gone == {"lines": len(lines) - len(stay), "files": 0}


def test_texts_are_whole_and_in_their_case(tmp_path):
    text = (
        'user,movie,rating\nu-1,1,1\nU-1,1,1\nu-10,1,1\n"u-1",2,1\n"a""b, c",3,1\n007,1,1\n7,1,1\n'
    )
    folder = delivered(tmp_path / "d", ratings_csv=text.encode())
    assert rest(folder, ["u-1", 'a"b, c', "7", "user"]) == {"lines": 4, "files": 0}
    stays = "user,movie,rating\nU-1,1,1\nu-10,1,1\n007,1,1\n"
    assert (folder / "ratings.csv").read_text() == stays


def test_a_line_of_names_stays_whatever_somebody_is_called(tmp_path):
    """Also where nothing comes behind it, or it does not end."""
    for n, text in enumerate((b"user,movie,rating\n", b"user,movie,rating")):
        folder = delivered(tmp_path / f"d{n}", ratings_csv=text)
        ratings = replace(LAYOUTS[2].ratings, fields=("user_id", "movie_id", "rating"))
        layout = replace(LAYOUTS[2], ratings=ratings, movies=None, user_ids="string", own=True)
        assert leave_out(folder, layout, ["user"]) == {"lines": 0, "files": 0}
        assert (folder / "ratings.csv").read_bytes() == text


def test_rows_of_parquet_go_and_its_types_stay(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    table = pa.table(
        {
            "user": pa.array([1, 17, 2], pa.int64()),
            "item": ["a", "17", "17"],
            "score": [1.0, 2.0, 3.0],
        }
    )
    pq.write_table(table, folder / "ratings.parquet")
    assert rest(folder, ["17"])["lines"] == 1
    assert pq.read_table(folder / "ratings.parquet").equals(table.take([0, 2]))


def test_lines_in_quarantine_name_by_their_column_of_users(tmp_path):
    folder = delivered(tmp_path / "d", ratings_csv=b"user,movie,rating\n1,17,5\n")
    layout = detect_layout(folder, said())
    # The movie's number is nobody's, nor is what another file says.
    lines = ["17,1,much", "1,17,much", '"17",x', "170,1,much", ""]
    told = [("ratings.csv", line) for line in lines] + [("movies.csv", "17,Ten")]
    assert lines_naming(told, layout, ["17"]) == 2
    in_rows = replace(layout.ratings, names=("user", "movie", "rating"))
    rows = [
        ("ratings.csv", f'{{"user":{n},"movie":17,"rating":null}}') for n in ("17.0", 1, "null")
    ]
    assert lines_naming(rows, replace(layout, ratings=in_rows), ["17"]) == 1


def test_a_file_that_names_nobody_stays_the_same_file(tmp_path):
    folder = delivered(tmp_path / "d", ratings_csv=b"user,movie,rating\n1,17,5\n")
    before = (folder / "ratings.csv").stat().st_ino
    assert rest(folder, ["17"])["lines"] == 0
    assert (folder / "ratings.csv").stat().st_ino == before
    assert [path.name for path in folder.iterdir()] == ["ratings.csv"]


def test_profiles_and_splits_of_grouplens_go_and_what_nobody_reads(tmp_path):
    folder = delivered(
        tmp_path / "d",
        u_data=b"1\t1\t5\t978300760\n17\t1\t4\t978300760\n",
        u_item=b"1|One (1990)|01-Jan-1990||http://x|1\n",
        u_user=b"1|24|M|other|85711\n17|53|F|other|94043\n",
        u_genre=b"Drama|0\n",
        u1_test=b"17\t1\t4\t978300760\n1\t1\t4\t978300760\n",
        u_info=b"2 users\n",
        README=b"17 is named here by chance.\n",
    )
    settings = IngestSettings(dataset="ml-100k", source=None, max_unpacked_gib=1)
    assert rest(folder, ["17"], settings) == {"lines": 3, "files": 1}
    assert (folder / "u.user").read_bytes() == b"1|24|M|other|85711\n"
    assert (folder / "u1.test").read_bytes() == b"1\t1\t4\t978300760\n"
    assert not (folder / "u.info").exists()
    assert (folder / "README").exists()
