"""The command adapt."""

from veridical.runs.folder import read_run


def test_adapt_and_sample(run_command, edm, tiles, tmp_path):
    out = tmp_path / "run"
    few = ("--steps", 1, "--batch", 2, "--set", "rank=2", "--device", "cpu", "--quiet")
    code, text, error = run_command("adapt", edm, tiles[1], "--out", out, *few)
    assert code == 0 and f"run: {out}" in text and "numbers" in error and "a step takes" in error, error
    assert read_run(out).adapted.settings["rank"] == 2
    assert f"veridical sample {out} -n 64 --out {out}-samples\n  veridical audit DATA {out}-samples" in text
    code, _, error = run_command("sample", out, "-n", 2, "--out", tmp_path / "drawn", "--device", "cpu")
    assert code == 0 and len(list((tmp_path / "drawn").glob("edm_*"))) == 2, error


def test_the_next_command_has_the_prompt(run_command, told, tiles, tmp_path):
    few = ("--steps", 1, "--batch", 2, "--device", "cpu", "--quiet")
    code, text, error = run_command("adapt", told, tiles[1], "--prompt", "a wave", "--out", tmp_path / "run", *few)
    assert code == 0 and f"sample {tmp_path / 'run'} -n 64 --prompt 'a wave' --out" in text, error
    code, text, error = run_command(
        "sample", tmp_path / "run", "-n", 1, "--prompt", "a wave", "--out", tmp_path / "one"
    )
    assert code == 0 and text.startswith("1 image, provenance.json"), error


def test_what_is_said_twice_is_a_sentence(run_command, edm, tiles, tmp_path):
    code, _, error = run_command("adapt", edm, tiles[1], "--out", tmp_path / "run", "--steps", 1, "--set", "steps=2")
    assert code == 2 and "says again" in error
