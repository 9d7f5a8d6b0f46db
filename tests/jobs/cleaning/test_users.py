"""Users of ml-100k with their oddities, in a few lines."""

from jobs.cleaning.lines import read_lines
from jobs.cleaning.users import parse_users
from jobs.release.detection import detect_layout
from tests.jobs.examples import delivered


def test_100k_names_occupations(spark, tmp_path):
    raw = delivered(
        tmp_path,
        u_genre=b"unknown|0\n",
        u_data=b"",
        u_item=b"",
        u_user=b"1|24|M|technician|85711\n2|x|F||T8H1N\n",
    )
    layout = detect_layout(raw)
    assert layout.users
    lines = read_lines(spark, raw, layout.users, layout.encoding)
    parsed = parse_users(lines, layout.users).orderBy("user_id").collect()
    assert [tuple(row)[4:] for row in parsed] == [
        (1, "M", 24, "technician", "85711"),
        (2, "F", None, None, "T8H1N"),
    ]
