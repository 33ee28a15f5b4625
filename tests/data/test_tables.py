"""The one reader of CSV tables."""

import csv
import io
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veridical.core.errors import InputError
from veridical.data.numbers import numbers
from veridical.data.tables import read_table, stem


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("key", ["name", "file_name"])
def test_rows_by_image(tmp_path, mark, key):
    path = tmp_path / "a.csv"
    path.write_text(f'{mark}{key},kind,size\r\n a.png ,"x, y", 3 \r\n\r\nb,,\nc,z\nd,z,1, ,\n', encoding="utf-8")
    images, rows = read_table(path, ["kind"])
    assert images == ["a.png", "b", "c", "d"]
    pairs = [("x, y", "3"), ("", ""), ("z", ""), ("z", "1")]
    assert rows == [{"kind": kind, "size": size} for kind, size in pairs]


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Cc", "Cf", "Zs", "Zl", "Zp"])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(TEXT.filter(bool), TEXT, st.floats(-1e6, 1e6)), min_size=1, max_size=6),
    mark=st.sampled_from(",;\t"),
    comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
    always=st.booleans(),
    inner=st.sampled_from(["", "\n", ";,\t", '"']),
    told=st.booleans(),
)
def test_every_dialect_is_read_alike(tmp_path, rows, mark, comma, encoding, end, always, inner, told):
    """Whatever separates fields, decimals and lines, and whatever stands in quotes."""
    path = tmp_path / "a.csv"
    out = io.StringIO()
    if told:
        out.write(f"sep={mark}{end}")
    writer = csv.writer(out, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL)
    writer.writerow(["name", "note", "size"])
    texts = [repr(size).replace(".", ",") if comma else repr(size) for _, _, size in rows]
    writer.writerows([name, f"x{inner}{note}x", text] for (name, note, _), text in zip(rows, texts, strict=True))
    path.write_bytes(out.getvalue().encode(encoding))
    images, found = read_table(path, ["size"])
    assert images == [name.strip() for name, _, _ in rows]
    assert [row["note"] for row in found] == [f"x{inner}{note}x" for _, note, _ in rows]
    parsed = numbers([row["size"] for row in found]) if not _unclear(texts) else [size for _, _, size in rows]
    assert parsed == [size for _, _, size in rows]


def _unclear(texts):
    """Whether all commas of a column may separate thousands."""
    commas = [text for text in texts if "," in text]
    return bool(commas) and all(re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", text) for text in commas)


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
        (b"name|kind\na|b\n", "separated by commas, semicolons or tabs"),
        (b"name,kind\na,0,31\n", r"the row of a has more values than the 2 columns; .* decimal commas\) into quotes"),
        (b"name,kind,kind\na,1,2\n", "two columns called kind"),
        (b'name,kind\na,"b\n', "cannot be read as a CSV table .*unexpected end of data"),
        (b"name,kind\na,\0\n", "is no text"),
        (b"name\na\n", "needs the columns name or file_name, kind"),
        (b"photo,kind\na,b\n", "needs the columns name or file_name, kind"),
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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0,5", "1"], [0.5, 1]),
        (["0.5", "0,5"], [0.5, None]),
        (["1,234", "0,5"], [1.234, 0.5]),
        (["1,234.5"], [None]),
        (["1_000", "nan", "inf", "0x10", " 7 ", "+.5e1", 3, 2.5], [None, None, None, None, 7, 5, 3, 2.5]),
    ],
)
def test_one_decimal_mark_a_column(values, expected):
    assert numbers(values) == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [(["1,234", "12,000", "3"], "thousands"), (["1e308"], "too large"), (["9" * 5000], "99.* too large")],
)
def test_numbers_that_nobody_means(values, words):
    with pytest.raises(InputError, match=words) as caught:
        numbers(values)
    assert len(str(caught.value)) < 200
