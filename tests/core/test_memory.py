"""Memory that is free."""

import pytest

from veridical.core.memory import _free_of


def test_files_that_a_container_read_do_not_count_as_taken(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 200\nfile 700\ninactive_file 600\n")
    assert _free_of(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    with pytest.raises(ValueError, match="max"):  # no limit: the machine's own memory is what counts
        _free_of(tmp_path)
