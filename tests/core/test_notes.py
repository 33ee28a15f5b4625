"""Notes reach whoever listens, once, and nobody else."""

from veridical.core.notes import LOGGER, handed, heard, tell


def test_each_note_is_handed_over_once(caplog):
    lines = []
    with handed(lines.append):
        tell("scan", "left out")
        tell("scan", "left out")
        with heard() as notes:
            tell("100 % {sure}", "of\nit")
        tell("scan", "converted")
    assert lines == ["note: scan: left out", "note: scan: converted"] and notes == ["100 % {sure}: of\nit"]
    assert not caplog.records
    tell("scan", "left out")
    assert caplog.messages == ["note: scan: left out"] and not LOGGER.handlers
