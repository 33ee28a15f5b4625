"""Files that are whole or not there."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from veridical.core.errors import InputError
from veridical.core.files import (
    check_folder,
    check_output,
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pictures_reach_a_pipe_too(tmp_path):
    """Their writers go back in the file, which a pipe cannot."""
    import tifffile
    from PIL import Image

    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    for save in (lambda f: Image.new("L", (4, 4)).save(f, "png"), lambda f: tifffile.imwrite(f, np.ones((4, 4)))):
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        with replacing(pipe) as temporary:
            save(temporary)
        reader.join(5)
    assert read[0][1:4] == b"PNG" and read[1][:2] in (b"II", b"MM") and pipe.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
def test_the_own_output_is_written_to_in_turn(tmp_path):
    code = (
        "from pathlib import Path; from veridical.core.files import write_text; print('a'); "
        "write_text(Path('/dev/stdout'), 'b\\n'); print('c')"
    )
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, env=os.environ)
    assert (tmp_path / "out").read_text() == "a\nb\nc\n"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert piped.stdout == "a\nb\nc\n"


@pytest.mark.skipif(os.name != "posix", reason="links and devices are POSIX's")
def test_what_can_be_written_is_known_before(tmp_path):
    """`check_output` refuses where `replacing` would fail, and leaves nothing."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    links = {
        "to_file": "file",
        "to_new": "new",
        "to_nowhere": "nowhere/a",
        "to_folder": "folder",
        "loop": "loop",
        "null": "/dev/null",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target if target.startswith("/") else tmp_path / target)
    good = ["file", "fresh", "to_file", "to_new", "null", "ä" * 120, "a\udcff"]
    bad = ["folder", "nowhere/a", "file/a", "to_nowhere", "to_folder", "loop", ".", "..", "a" * 300, "a\0b"]
    before = sorted(p.name for p in tmp_path.iterdir())
    for name in good:
        check_output(tmp_path / name)
    for name in (*bad, "/", "/proc/x"):
        with pytest.raises(InputError, match=r"could not be written .*: give the name of a file in a folder"):
            check_output(tmp_path / name)
    with pytest.raises(InputError, match="folder"):
        check_output(Path(""))
    assert sorted(p.name for p in tmp_path.iterdir()) == before and (tmp_path / "file").read_text() == "kept"
    for name in ("folder", "new", "new/a/b"):
        check_folder(tmp_path / name)
    for name in ("file", "file/a", "loop/a", "/dev/null", "/proc/x", "a" * 300):
        with pytest.raises(InputError, match=r"could not be written .*: give the name of a folder"):
            check_folder(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_names_that_are_not_utf8_are_written_as_escapes(tmp_path):
    write_text(tmp_path / "a", "scan\udcff.tif")
    assert read_text(tmp_path / "a") == r"scan\udcff.tif"


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
