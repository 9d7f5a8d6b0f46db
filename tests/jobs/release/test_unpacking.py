import contextlib
import os
import random
import stat
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.release.unpacking import MAX_DIRECTORY, MAX_FILES, copy_folder, take_over, unpack_zip
from jobs.runs.errors import JobError

MIB = 1 / 1024  # one MiB in GiB
RATINGS = "1::10::5::978300000\n" * 200


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def write_zip(file: Path, *members: tuple[str | zipfile.ZipInfo, str]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file


def test_zip_and_folder_give_the_same_files(tmp_path: Path, target: Path):
    # What macOS adds is left out.
    file = write_zip(
        tmp_path / "r.zip", ("r/a/ratings.dat", RATINGS), ("r/.DS_Store", "x"), ("__MACOSX/r", "x")
    )
    unpack_zip(file, target, MIB)
    copied = tmp_path / "copied"
    copied.mkdir()
    copy_folder(target, copied, MIB)
    for folder in (target, copied):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files == [folder / "r" / "a" / "ratings.dat"]
        assert files[0].read_text() == RATINGS


def compressed(file: Path, codec: str, *members: str) -> Path:
    """A file of the members, each compressed on its own."""
    compress = pa.Codec(codec).compress
    file.write_bytes(b"".join(compress(member.encode(), asbytes=True) for member in members))
    return file


def test_what_is_compressed_is_decompressed(tmp_path: Path, target: Path):
    """A file alone, in a folder and in a zip; as gzip joins files, too."""
    folder = tmp_path / "folder"
    folder.mkdir()
    gzip = compressed(folder / "ratings.csv.gz", "gzip", RATINGS, RATINGS)
    zstd = compressed(tmp_path / "ratings.tsv.zst", "zstd", RATINGS * 1000)
    file = write_zip(tmp_path / "r.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.write(zstd, "r/ratings.tsv.zst")
    plain = tmp_path / "plain.txt"
    plain.write_text(RATINGS)
    take_over(gzip, target / "gzip", 5 * MIB)
    take_over(zstd, target / "zstd", 5 * MIB)
    take_over(file, target / "zip", 5 * MIB)
    take_over(plain, target / "plain", 5 * MIB)
    copy_folder(folder, target / "folder", 5 * MIB)
    found = {str(path.relative_to(target)): path for path in target.rglob("*.*")}
    assert {name: path.read_text() for name, path in found.items()} == {
        "gzip/ratings.csv": RATINGS * 2,
        "zstd/ratings.tsv": RATINGS * 1000,
        "zip/r/ratings.tsv": RATINGS * 1000,
        "plain/plain.txt": RATINGS,
        "folder/ratings.csv": RATINGS * 2,
    }


def test_compressed_files_are_not_trusted(tmp_path: Path, target: Path):
    bomb = compressed(tmp_path / "ratings.csv.zst", "zstd", "0" * (2 << 20))
    with pytest.raises(
        JobError, match=r"holds more than 0\.0009\d* GiB of files, so it is refused"
    ):
        take_over(bomb, target / "bomb", MIB)
    torn = compressed(tmp_path / "ratings.csv.gz", "gzip", RATINGS)
    torn.write_bytes(torn.read_bytes()[:-9])
    with pytest.raises(JobError, match=r"ratings\.csv\.gz is truncated or damaged"):
        take_over(torn, target / "torn", MIB)
    other = tmp_path / "other.csv.gz"
    other.write_text(RATINGS)
    with pytest.raises(JobError, match=r"other\.csv\.gz is truncated or damaged"):
        take_over(other, target / "other", MIB)
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"PNG")
    with pytest.raises(
        JobError, match=r"is not a zip file\. Expected .* ratings that ends in \.csv"
    ):
        take_over(picture, target / "picture", MIB)
    (tmp_path / "both").mkdir()
    compressed(tmp_path / "both/r.csv.gz", "gzip", RATINGS)
    (tmp_path / "both/r.csv").write_text(RATINGS)
    with pytest.raises(JobError, match=r"both holds r\.csv twice, compressed and not"):
        copy_folder(tmp_path / "both", target / "both", MIB)


@pytest.mark.parametrize("name", ["../evil", "/evil", "r/../../evil", "..\\evil", "C:\\evil"])
def test_path_out_of_the_folder_is_refused(tmp_path: Path, target: Path, name: str):
    file = write_zip(tmp_path / "r.zip", ("r/good", "1"), (name, "1"))
    with pytest.raises(JobError, match=r"r\.zip: its member .*evil' has a path that leads out"):
        unpack_zip(file, target, MIB)
    assert list(tmp_path.rglob("*evil*")) == []
    assert list(target.iterdir()) == []


def test_link_in_a_zip_is_refused(tmp_path: Path, target: Path):
    link = zipfile.ZipInfo("r/ratings.dat")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = write_zip(tmp_path / "r.zip", (link, "/etc/passwd"))
    with pytest.raises(JobError, match=r"'r/ratings.dat' is a link"):
        unpack_zip(file, target, MIB)
    assert list(target.iterdir()) == []


def test_link_in_a_folder_is_refused(tmp_path: Path, target: Path):
    source = tmp_path / "source"
    source.mkdir()
    os.symlink("/etc", source / "movies")
    with pytest.raises(JobError, match=r"source/movies is a link"):
        copy_folder(source, target, MIB)


def test_pipe_in_a_folder_is_refused(tmp_path: Path, target: Path):
    """Reading it would wait for ever."""
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "ratings.dat")
    with pytest.raises(JobError, match=r"source/ratings\.dat is a link or no plain file"):
        copy_folder(source, target, MIB)


def test_member_with_a_password_is_refused(tmp_path: Path, target: Path):
    file = write_zip(tmp_path / "r.zip", ("r/ratings.dat", "1"))
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(content)
    with pytest.raises(JobError, match=r"'r/ratings\.dat' is protected by a password"):
        unpack_zip(file, target, MIB)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("n" * 300, "too long"), ("a/" + "é" * 130, "too long"), ("a\x1b[31m", "control characters")],
)
def test_a_name_that_cannot_be_written_is_refused(
    tmp_path: Path, target: Path, name: str, problem: str
):
    file = write_zip(tmp_path / "r.zip", ("r/good", "1"), (name, "1"))
    with pytest.raises(JobError, match=problem) as told:
        unpack_zip(file, target, MIB)
    assert "\x1b" not in str(told.value)
    assert list(target.iterdir()) == []


def test_more_files_than_any_release_has_are_refused(tmp_path: Path, target: Path):
    many = [(f"{number}", "") for number in range(MAX_FILES + 1)]
    file = write_zip(tmp_path / "r.zip", *many)
    source = tmp_path / "source"
    source.mkdir()
    for name, _ in many:
        (source / name).touch()
    with pytest.raises(JobError, match=r"r\.zip holds more than 1,000 files"):
        unpack_zip(file, target, MIB)
    with pytest.raises(JobError, match="source holds more than 1,000 files"):
        copy_folder(source, target, MIB)
    assert list(target.iterdir()) == []


def test_a_directory_of_any_length_is_not_read_into_memory(tmp_path: Path, target: Path):
    """A member takes 46 bytes of a zip's directory, and many times that in memory."""
    one = write_zip(tmp_path / "one.zip", ("a", "")).read_bytes()
    start = one.index(b"PK\x01\x02")
    entry, end = one[start : start + 47], one[start + 47 :]
    count = (128 << 20) // len(entry)
    size = (count * len(entry)).to_bytes(4, "little")
    file = tmp_path / "many.zip"
    with file.open("wb") as many:
        many.write(one[:start])
        many.write(entry * count)
        many.write(end[:12] + size + end[16:])
    assert file.stat().st_size > 30 * MAX_DIRECTORY
    tracemalloc.start()
    with pytest.raises(JobError, match=r"many\.zip holds more than 1,000 files"):
        unpack_zip(file, target, 1)
    assert tracemalloc.get_traced_memory()[1] < 2 * MAX_DIRECTORY
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_who_sends_a_zip_does_not_choose_how_much_memory_it_takes(
    tmp_path: Path, target: Path, method: int
):
    """Of LZMA it says itself how large its dictionary is: up to 4 GiB."""
    with zipfile.ZipFile(tmp_path / "r.zip", "w", method) as archive:
        archive.writestr("r/ratings.dat", RATINGS)
    with pytest.raises(JobError, match=r"is compressed by another method than deflate"):
        unpack_zip(tmp_path / "r.zip", target, MIB)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_no_header_makes_us_take_memory_or_write_more_files(data: st.DataObject):
    """Extreme numbers anywhere in the headers of a member, its directory and the zip's end."""
    with tempfile.TemporaryDirectory() as name:
        file, target = Path(name, "r.zip"), Path(name, "target")
        target.mkdir()
        content = bytearray(write_zip(file, ("r/a", RATINGS), ("r/b", "2")).read_bytes())
        # All but what is compressed.
        headers = [*range(40), *range(content.index(b"PK\x01\x02"), len(content) - 8)]
        place = data.draw(st.sampled_from(headers))
        extreme = data.draw(st.sampled_from([b"\xff" * 8, b"\xff" * 4, b"\x7f" * 4, b"\0" * 4]))
        content[place : place + len(extreme)] = extreme
        file.write_bytes(content)
        tracemalloc.start()
        with contextlib.suppress(JobError):
            unpack_zip(file, target, MIB)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * MAX_DIRECTORY
        assert sum(path.is_file() for path in target.rglob("*")) <= 2


def test_two_members_of_one_name_are_refused(tmp_path: Path, target: Path):
    file = write_zip(tmp_path / "r.zip", ("r/a", "1"), ("r/a/b", "2"))
    with pytest.raises(JobError, match="holds r/a twice"):
        unpack_zip(file, target, MIB)


def test_bomb_is_stopped_while_unpacking(tmp_path: Path, target: Path):
    zeros = "\0" * (2 << 20)
    file = write_zip(tmp_path / "bomb.zip", ("a", zeros), ("b", zeros), ("c", zeros))
    assert file.stat().st_size < 10_000
    with pytest.raises(JobError, match=r"bomb\.zip holds more than 0.00292969 GiB"):
        unpack_zip(file, target, 3 * MIB)
    assert sum(path.stat().st_size for path in target.iterdir()) <= 3 << 20


def test_too_large_a_folder_is_stopped_while_copying(tmp_path: Path, target: Path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b"):
        (source / name).write_bytes(b"\0" * (1 << 20))
    with pytest.raises(JobError, match=r"source holds more than 0.000976562 GiB"):
        copy_folder(source, target, MIB)


def test_header_that_understates_the_size_is_found_out(tmp_path: Path, target: Path):
    file = write_zip(tmp_path / "bomb.zip", ("a", "\0" * (2 << 20)))
    size = (2 << 20).to_bytes(4, "little")
    file.write_bytes(file.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(JobError, match=r"damaged in a .*CRC"):
        unpack_zip(file, target, MIB)


def test_damaged_zips_are_named(tmp_path: Path, target: Path):
    whole = write_zip(tmp_path / "r.zip", ("r/ratings.dat", RATINGS)).read_bytes()
    truncated, changed, other = (tmp_path / f"{name}.zip" for name in ("short", "flip", "text"))
    truncated.write_bytes(whole[:-40])
    changed.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    other.write_text("<html>404</html>")
    with pytest.raises(JobError, match=r"short\.zip is truncated or damaged"):
        unpack_zip(truncated, target, MIB)
    with pytest.raises(JobError, match=r"flip\.zip is truncated or damaged in r/ratings\.dat"):
        unpack_zip(changed, target, MIB)
    with pytest.raises(JobError, match=r"text\.zip is not a zip file"):
        unpack_zip(other, target, MIB)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 4))
def test_whatever_is_broken_ends_in_a_sentence(seed: int, changes: int):
    with tempfile.TemporaryDirectory() as name:
        file, target = Path(name, "r.zip"), Path(name, "target")
        target.mkdir()
        content = bytearray(write_zip(file, ("r/a", RATINGS), ("r/b", "2")).read_bytes())
        for place in random.Random(seed).choices(range(len(content)), k=changes):
            content[place] ^= 1 + seed % 255
        file.write_bytes(content)
        # Any other error fails the test; where the change did no harm, there is none.
        with contextlib.suppress(JobError):
            unpack_zip(file, target, MIB)
        assert sorted(path.name for path in Path(name).iterdir()) == ["r.zip", "target"]
