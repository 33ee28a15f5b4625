"""Files that are whole or not there."""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from veridical.core.errors import InputError
from veridical.core.files import (
    read_bytes,
    read_json,
    read_text,
    replacing,
    write_array,
    write_bytes,
    write_json,
    write_text,
)

WRITERS = {
    write_bytes: (b"ab\n", b"ab\n"),
    write_text: ("ä\n", "ä\n".encode()),
    write_json: ([1], b"[\n 1\n]\n"),
    write_array: (np.arange(3.0), None),
}


@pytest.mark.parametrize("write", WRITERS)
def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path, write):
    content, stored = WRITERS[write]
    path = tmp_path / "a.out"
    path.write_bytes(b"longer than what follows" * 9)
    write(path, content)
    if stored is None:
        np.testing.assert_array_equal(np.load(path), content)
    else:
        assert path.read_bytes() == stored
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_is_untouched_by_a_write_that_fails(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt) as raised:
        half()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    if isinstance(error, OSError):
        assert "a.txt could not be written (No space left on device): free some space" in str(raised.value)


@pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_file_has_the_mode_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "new")
        write_text(tmp_path / "a", "again")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through(tmp_path, there):
    target, link = tmp_path / "target", tmp_path / "link"
    if there:
        target.write_text("old and longer")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_text(pipe, "through")
    reader.join(5)
    assert read == [b"through"] and pipe.is_fifo()


def test_the_temporary_name_cannot_be_taken_before(tmp_path, monkeypatch):
    """Who guesses the name and puts a link there gets an error, not the file."""
    other = tmp_path / "precious"
    other.write_text("kept")
    monkeypatch.setattr("veridical.core.files.secrets.token_hex", lambda n: "guessed")
    trap = tmp_path / ".a.guessed"
    trap.symlink_to(other)
    with pytest.raises(InputError, match="File exists"):
        write_text(tmp_path / "a", "new")
    assert other.read_text() == "kept" and trap.is_symlink() and not (tmp_path / "a").exists()


def test_where_nothing_can_be_written_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"nowhere/a could not be written \(No such file or directory\)"):
        write_text(tmp_path / "nowhere" / "a", "new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder could not be written \(Is a directory\): give the name of a file"):
        write_text(tmp_path / "folder", "new")
    write_text(tmp_path / ("ä" * 120), "a long name")


@dataclass
class _Row:
    metric: str
    value: float | None
    sizes: tuple[int, ...] = ()


def test_json_is_read_as_what_it_must_hold(tmp_path):
    path = tmp_path / "row.json"
    path.write_text('{"metric": "fid", "value": null, "sizes": [1, 2]}')
    assert read_json(path, _Row) == _Row("fid", None, (1, 2))
    assert read_json(path)["sizes"] == [1, 2]
    path.write_text(json.dumps({"metric": "a\udcff", "value": 1.5}))
    assert read_json(path, _Row).metric == "a\udcff"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"value": 1}', "metric"),
        ('{"metric": 3, "value": 1}', "metric"),
        ('{"metric": "a", "value": "high"}', "value"),
        ('{"metric": "a", "value": 1, "sizes": [1, "x"]}', r"sizes\.1"),
        ("[]", "content"),
        ("[" * 100_000, "not valid JSON"),
        ('{"metric": "a", "value": ' + "9" * 6000 + "}", "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_json_that_holds_something_else_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "row.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"row\.json.*{said}"):
        read_json(path, _Row)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, tmp_path / "absent", Path("a\0b")):
        with pytest.raises(InputError, match=r"regular file|cannot be read"):
            read_bytes(path)
    (tmp_path / "text").write_text("\ufeffabc", encoding="utf-8")
    assert read_text(tmp_path / "text") == "abc"
    with pytest.raises(InputError, match="more than 2 bytes"):
        read_bytes(tmp_path / "text", most=2)
