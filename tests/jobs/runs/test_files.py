"""Files that appear whole or not at all."""

from contextlib import suppress

from jobs.runs.files import replacing


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    file = tmp_path / "record.json"
    for content in ("one", "two"):
        with replacing(file) as temporary:
            temporary.write_text(content)
        assert file.read_text() == content
    with suppress(OSError), replacing(file) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert file.read_text() == "two"
    assert list(tmp_path.iterdir()) == [file]
