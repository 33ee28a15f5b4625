"""Data of a run, seen from another folder than the one where it was trained."""

from veridical.conditions.reopen import seen_from


def test_data_are_found_beside_the_run_that_was_trained_in_another_folder(tmp_path, monkeypatch):
    project = tmp_path / "project"
    for folder in ("scans", "runs/scans"):  # a run that is called as its data
        (project / folder).mkdir(parents=True)
    for name in ("run.json", "log.jsonl"):
        (project / "runs" / "scans" / name).write_text("{}")
    monkeypatch.chdir(project)
    assert seen_from("scans", "runs/scans") == "scans"
    assert seen_from("project/scans", "runs/scans") == str(project / "scans")
    monkeypatch.chdir(tmp_path)
    assert seen_from("scans", "project/runs/scans") == str(project / "scans")
    assert seen_from("elsewhere", "project/runs/scans") == "elsewhere"
    assert seen_from("phantom:cmc", "project/runs/scans") == "phantom:cmc"
