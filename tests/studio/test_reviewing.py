"""Reviews: what reviewers see says nothing of what it is, answers are kept, results come at the end."""

import functools
import io
import json

import httpx2
import numpy as np
import pytest
from PIL import Image

from serving import listening
from veridical.core.errors import InputError
from veridical.scoring.reviewed import read_review
from veridical.studio.app import app_of
from veridical.studio.house import SCRIPTS, House
from veridical.studio.making import make_review
from veridical.studio.place import Place
from veridical.studio.run import studio
from veridical.studio.work import Work

TOKEN = "a-token-of-some-length"


class Client:
    def __init__(self, url):
        self.url = url

    def __call__(self, path, status=200, **body):
        found = httpx2.post(f"{self.url}/api/{path}", json=body, timeout=60)
        assert found.status_code == status, found.text
        if found.headers["content-type"] == "image/png":
            return found
        return found.json()["error"]["message"] if status >= 400 else found.json()


@pytest.fixture
def ask(folder):
    house = House(Place(folder))
    with listening(house, functools.partial(app_of, house)) as url:
        yield Client(url)


def made(folder, **more):
    return make_review(folder / "real", folder / "synth", folder / "reviews" / "a", tiles=5, **more)


def test_a_review_holds_tiles_of_both_sets_in_random_order(folder):
    path = made(folder, seed=3)
    plan, pixels = read_review(path).plan, np.load(path / "tiles.npy")
    sides = [tile["side"] for tile in plan["tiles"]]
    assert sorted(sides) == ["real"] * 5 + ["synthetic"] * 5
    again = read_review(make_review(folder / "real", folder / "synth", folder / "d", tiles=5, seed=3)).plan["tiles"]
    files = [[tile["file"] for tile in tiles] for tiles in (plan["tiles"], again)]
    assert sorted(files[0]) == sorted(files[1]) and files[0] != files[1]  # nobody finds the order by the seed
    assert pixels.shape == (10, 24, 24, 1) and pixels.dtype == np.uint8
    whole = make_review(
        folder / "real", folder / "real", folder / "b", tiles=15
    )  # in one window: equal images look equal
    both = list(zip(read_review(whole).plan["tiles"], np.load(whole / "tiles.npy"), strict=True))
    one, other = ({t["file"]: x for t, x in both if t["side"] == side} for side in ("real", "synthetic"))
    assert all((one[name] == other[name]).all() for name in one)
    with pytest.raises(InputError, match="fewer than 16"):
        make_review(folder / "real", folder / "synth", folder / "c", tiles=16)
    with pytest.raises(InputError, match="could not be written"):
        made(folder)


def test_a_reviewer_sees_nothing_of_what_tiles_are_until_the_end(folder, ask):
    path = made(folder)
    who = {"review": "reviews/a", "reviewer": "Ann"}
    begun = ask("reviews/begin", **who)
    text = json.dumps(begun)
    assert begun["count"] == 10 and begun["answers"] == {} and "copied" not in text and "colour_in_grey" not in text
    key = read_review(path).plan["tiles"]
    assert not any(tile["file"] in text for tile in key) and "side" not in text
    pixels = np.load(path / "tiles.npy")[..., 0]
    seen = []
    for k in range(10):
        found = ask("reviews/tile", **who, position=k)
        assert found.headers["cache-control"] == "no-store" and "content-disposition" not in found.headers
        picture = Image.open(io.BytesIO(found.content))
        assert picture.info == {} and picture.size == (24, 24)
        seen.append(int(np.flatnonzero((pixels == np.asarray(picture)).all((1, 2)))[0]))
    assert sorted(seen) == list(range(10))
    assert "no answer of Ann" in ask("reviews/results", 400, **who)
    for k, tile in enumerate(seen):
        assert ask("reviews/answer", **who, position=k, answer=key[tile]["side"], seconds=1.0, reasons=[]) == {}
    results = ask("reviews/results", **who)
    assert results["sentence"].startswith("Reviewers tell synthetic tiles from real ones: 0% ")
    after = ask("reviews/answer", 400, **who, position=0, answer="real", seconds=1.0, reasons=[])
    assert "stay what they are" in after  # a changed answer would tell, by the results, what its tile is
    other = [ask("reviews/tile", review="reviews/a", reviewer="Ben", position=k).content for k in range(10)]
    assert other != [ask("reviews/tile", **who, position=k).content for k in range(10)]


def test_who_comes_back_goes_on_and_may_go_back(folder, ask):
    made(folder)
    who = {"review": "reviews/a", "reviewer": "Ann"}
    ask("reviews/answer", **who, position=4, answer="synthetic", reasons=["blur"], seconds=1.5)
    assert ask("reviews/begin", **who)["answers"] == {"4": {"answer": "synthetic", "reasons": ["blur"]}}
    ask("reviews/answer", **who, position=4, answer="real", seconds=1.5)
    assert ask("reviews/begin", **who)["answers"] == {"4": {"answer": "real", "reasons": []}}
    assert ask("reviews/begin", review="reviews/a", reviewer="Ben")["answers"] == {}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("reviews/begin", {"review": "reviews/none", "reviewer": "Ann"}, "cannot be read"),
        ("reviews/begin", {"review": "../elsewhere", "reviewer": "Ann"}, "not in the folder"),
        ("reviews/begin", {"review": "/etc", "reviewer": "Ann"}, "not in the folder"),
        ("reviews/begin", {"review": "reviews/a", "reviewer": " "}, "has a name"),
        ("reviews/tile", {"review": "reviews/a", "reviewer": "Ann", "position": 10}, "no tile at position 10"),
        ("reviews/answer", {"review": "reviews/a", "reviewer": "Ann", "position": 0, "answer": "real", "reasons": ["blur"],
                            "seconds": 1.0}, "has no reason 'blur'"),
        ("reviews/answer", {"review": "reviews/a", "reviewer": "Ann", "position": 0, "answer": "synthetic",
                            "reasons": ["beauty"], "seconds": 1.0}, "has no reason 'beauty'"),
        ("reviews/answer", {"review": "reviews/a", "reviewer": "Ann", "position": 0, "answer": "fake", "seconds": 1.0}, "answer"),
        ("reviews/make", {"name": "a/b", "real": "real", "synth": "synth"}, "no name of a folder"),
        ("reviews/make", {"name": "a", "real": "real", "synth": "synth"}, "is there"),
        ("reviews/make", {"name": "b", "real": "../real", "synth": "synth"}, "not in the folder"),
        ("reviews/make", {"name": "b", "real": "real", "synth": "synth", "truth": "1"}, "Unknown parameter"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(folder, ask, path, body, said):
    made(folder)
    assert said in ask(path, 400, **body)
    assert not (folder / "reviews" / "a" / "answers.jsonl").exists()


def test_the_page_makes_a_review_of_what_the_folder_holds(folder, ask, run_command, monkeypatch):
    (folder / "review.json").write_text("{}")  # rows that somebody wrote here do not make the folder a review
    assert ask("found")["images"] == ["real/test", "real/train", "synth"]
    started = []
    monkeypatch.setattr(Work, "start", lambda self, kind, words, about: started.append((words, about)) or "1")
    assert ask("reviews/make", name="first", real="real", synth="synth", tiles=4) == {"work": "1"}
    words, name = started[0]
    assert name == "reviews/first" and run_command(*words)[0] == 0 and ask("found")["reviews"] == [name]
    assert len(read_review(folder / name).plan["tiles"]) == 8
    code, _, said = run_command("review", folder / "x", "--real", folder / "real")
    assert code == 2 and "--real and --synth" in said


def test_a_folder_that_is_a_review_shows_nothing_else(folder):
    house = House(Place(made(folder)))
    with listening(house, functools.partial(app_of, house)) as url:
        ask = Client(url)
        found = ask("found")
        assert found["review_alone"] and found["reviews"] == ["."] and not found["images"]
        assert ask("reviews/begin", review=".", reviewer="Ann")["count"] == 10
        assert "one review" in ask("reviews/make", 400, name="b", real=".", synth=".")


def test_the_page_comes_from_this_machine_alone(ask):
    for path in ("/", "/studio.css", *(f"/{name}" for name in SCRIPTS)):
        found = httpx2.get(ask.url + path)
        assert found.status_code == 200 and "http://" not in found.text and "https://" not in found.text
        assert "default-src 'none'" in found.headers["content-security-policy"]
    assert httpx2.get(ask.url, headers={"Host": "example.org"}).status_code == 200  # the page has nothing
    assert httpx2.post(f"{ask.url}/api/found", headers={"Origin": "https://example.org"}).status_code == 403


def test_others_need_the_token(folder):
    with pytest.raises(InputError, match="give --token-file"):
        studio(folder, host="0.0.0.0", port=0)
    with pytest.raises(InputError, match="is no folder"):
        studio(folder / "none", port=0)
    house = House(Place(folder), TOKEN.encode())
    with listening(house, functools.partial(app_of, house)) as url:
        assert httpx2.get(url).status_code == 200 and httpx2.post(f"{url}/api/found").status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx2.post(f"{url}/api/found", headers=headers).status_code == 200
