"""The one reader of CSV tables."""

import pytest

from veridical.core.errors import InputError
from veridical.data.tables import read_table, stem


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("key", ["name", "file_name"])
def test_rows_by_image(tmp_path, mark, key):
    path = tmp_path / "a.csv"
    path.write_text(f'{mark}{key},kind,size\r\n a.png ,"x, y", 3 \r\n\r\nb,,\nc,z\nd,z,1,too many\n', encoding="utf-8")
    images, rows = read_table(path, ["kind"])
    assert images == ["a.png", "b", "c", "d"]
    pairs = [("x, y", "3"), ("", ""), ("z", ""), ("z", "1")]
    assert rows == [{"kind": kind, "size": size} for kind, size in pairs]


def test_a_name_beside_a_file_name_is_a_column(tmp_path):
    (tmp_path / "a.csv").write_text("name,file_name\nAda,a.png\n", encoding="utf-8")
    assert read_table(tmp_path / "a.csv", ["name"]) == (["a.png"], [{"name": "Ada"}])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            None,
            r"cannot be read as a CSV table \(No such file or directory\); give a UTF-8 text file with the columns name",
        ),
        ("näme,kind\na,b\n".encode("latin-1"), "cannot be read as a CSV table .*; give a UTF-8 text file"),
        (b'name,kind\na,"' + b"x" * 200_000 + b'"\n', r"field larger than field limit .*; give a UTF-8 text file"),
        (b"", "needs the columns name or file_name, kind, separated by commas"),
        (b"name,kind\n", "and a row for each image"),
        (b"name;kind\na;b\n", "separated by commas"),
        (b"name\na\n", "needs the columns name or file_name, kind"),
        (b"image,kind\na,b\n", "needs the columns name or file_name, kind"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.csv: .*{words}|a\.csv: {words}"):
        read_table(path, ["kind"])


@pytest.mark.parametrize(
    ("name", "expected"), [("a.PNG", "a"), ("a.b.tif", "a.b"), ("scan_0.5", "scan_0.5"), ("a", "a")]
)
def test_stem(name, expected):
    assert stem(name) == expected
