"""The real client of the API against our server: generate, edit, vary, and what is refused."""

import base64
import io
import json

import numpy as np
import openai
import pytest
from PIL import Image

from serving import alpha_mask, pixels, png
from veridical.core.errors import InputError
from veridical.data.inside import SOURCES
from veridical.runs.draw import draw
from veridical.server.served import load_all

PROMPT = "waves of kind a, phase 3.00"
HOLE = np.zeros((20, 26), bool)
HOLE[6:12, 8:16] = True


def picture(dtype="uint8", shape=(20, 26), seed=0):
    top = 255 if dtype == "uint8" else 50000
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def test_images_are_those_of_the_run(server):
    answer = server.client.images.generate(model="edm", prompt="", n=3, extra_body={"seed": 5})
    run = server.service.runs["edm"].run
    expected = run.window.from_unit(draw(run, 3, seed=5, batch=3))
    assert np.array_equal([pixels(entry) for entry in answer.data], expected[:, 0])
    assert (answer.size, answer.output_format) == ("16x16", "png")
    again = server.client.images.generate(model="edm", prompt="", extra_body={"seed": 5, "number": 2})
    assert np.abs(pixels(again.data[0]).astype(int) - expected[2, 0]).max() <= 1  # alone it is summed in another order


def test_without_a_seed_images_differ_and_can_be_had_again(server):
    first, second = (server.client.images.generate(model="edm", prompt="").data[0] for _ in range(2))
    assert not np.array_equal(pixels(first), pixels(second))
    again = server.client.images.generate(
        model="edm", prompt="", extra_body={k: second.veridical[k] for k in ("seed", "number")}
    )
    assert np.array_equal(pixels(again.data[0]), pixels(second))


def test_words_reach_the_run_and_16_bits_come_back(server):
    ask = {"model": "told", "prompt": PROMPT, "extra_body": {"seed": 1, "output_format": "png16"}}
    answer = server.client.images.generate(**ask)
    run = server.service.runs["told"].run
    expected = run.window.from_unit(draw(run, 1, seed=1, prompt=PROMPT))[0, 0]
    assert pixels(answer.data[0]).dtype == np.uint16 and np.array_equal(pixels(answer.data[0]), expected)
    coarse = server.client.images.generate(model="told", prompt=PROMPT, extra_body={"seed": 1})
    shown = pixels(coarse.data[0])
    assert shown.dtype == np.uint8 and np.abs(shown / 255 - run.window.to_unit(expected)).max() <= 0.51 / 255
    assert coarse.veridical["counts"]["of_dtype"] == "uint16"


def test_a_file_says_what_made_it(server):
    answer = server.client.images.generate(model="told", prompt=PROMPT, extra_body={"seed": 1})
    image = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json)))
    said = json.loads(image.text["veridical"])
    assert said["synthetic"] and said["seed"] == 1 and said["condition"]["text"] == PROMPT
    assert len(said["checkpoint"]["sha256"]) == 64
    assert f'DigitalSourceType="{SOURCES}trainedAlgorithmicMedia"' in image.text["XML:com.adobe.xmp"]


@pytest.mark.parametrize(("model", "dtype"), [("edm", "uint8"), ("told", "uint16"), ("told", "uint8")])
def test_only_where_alpha_is_0_an_image_changes(server, model, dtype):
    before = picture(dtype)
    answer = server.client.images.edit(
        model=model, image=png(before), mask=alpha_mask(HOLE), prompt=PROMPT if model == "told" else "", n=2,
        extra_body={"seed": 2, "settings": '{"steps": 2, "resamplings": 1}'},
    )  # fmt: skip
    assert answer.veridical["how"] == "inpaint" and answer.size == "26x20"
    first, second = map(pixels, answer.data)
    assert first.dtype == dtype and not np.array_equal(first, second)
    for after in (first, second):
        assert np.array_equal(after[~HOLE], before[~HOLE]) and (after[HOLE] != before[HOLE]).mean() > 0.5
    assert 0 < answer.data[0].veridical["changed_share"] <= HOLE.mean()
    text = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))).text
    assert "compositeWithTrained" in text["XML:com.adobe.xmp"] and json.loads(text["veridical"])["mask"] is True


def test_the_edit_is_the_runs_own(server):
    before = picture("uint16")
    how = {"how": "sdedit", "seed": 3, "settings": '{"steps": 4, "strength": 0.5}'}
    answer = server.client.images.edit(model="told", image=png(before), prompt=PROMPT, extra_body=how)
    from veridical.editing.edit import Given
    from veridical.editing.folder import edited

    run = server.service.runs["told"].run
    unit = run.window.to_unit(before)[None, None]
    made = edited(run, unit, "sdedit", given=Given(prompt=[(PROMPT,)]), settings={"steps": 4, "strength": 0.5}, seed=3)
    assert np.array_equal(pixels(answer.data[0]), run.window.from_unit(made.images)[0, 0])
    assert answer.veridical["settings"]["strength"] == 0.5


def test_several_images_are_edited_one_by_one(server):
    before = [picture(seed=k) for k in range(2)]
    ask = {"prompt": "", "mask": alpha_mask(HOLE), "extra_body": {"seed": 2, "settings": '{"steps": 2}'}}
    both = server.client.images.edit(model="edm", image=[png(image) for image in before], **ask)
    assert [entry.veridical["image"] for entry in both.data] == [0, 1]
    for entry, image in zip(both.data, before, strict=True):
        alone = server.client.images.edit(model="edm", image=png(image), **ask)
        assert np.abs(pixels(alone.data[0]).astype(int) - pixels(entry)).max() <= 1


def test_a_run_of_instructions_follows_them_without_being_asked(server):
    before = png(picture(shape=(24, 24)))
    ask = {"model": "instructed", "prompt": "Add a bright square.", "extra_body": {"settings": '{"steps": 2}'}}
    assert server.client.images.edit(image=before, **ask).veridical["how"] == "instruct_pix2pix"
    masked = server.client.images.edit(image=before, mask=alpha_mask(np.eye(24, dtype=bool)), **ask)
    changed = pixels(masked.data[0]) != picture(shape=(24, 24))
    assert changed.any() and not changed[~np.eye(24, dtype=bool)].any()


def test_a_variation_is_another_image(server):
    before = picture(shape=(16, 16))
    ask = {"model": "unclip", "image": png(before), "n": 2, "extra_body": {"seed": 1, "settings": '{"steps": 2}'}}
    answer = server.client.images.create_variation(**ask)
    first, second = map(pixels, answer.data)
    assert first.shape == before.shape and not np.array_equal(first, second) and answer.veridical["how"] == "variation"


def test_images_come_as_events(server):
    ask = {"model": "edm", "prompt": "", "n": 2, "extra_body": {"seed": 5}}
    events = [*server.client.images.generate(stream=True, **ask)]
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    for event, entry in zip(events, server.client.images.generate(**ask).data, strict=True):
        assert np.array_equal(pixels(event), pixels(entry))
    before = png(picture())
    events = [*server.client.images.edit(model="edm", prompt="", image=before, mask=alpha_mask(HOLE), stream=True)]
    assert [event.type for event in events] == ["image_edit.completed"]


def test_models_say_what_they_can(server):
    found = {model.id: model.veridical for model in server.client.models.list()}
    assert found["edm"]["routes"] == ["generations", "edits"] and "inpaint" in found["edm"]["how"]
    assert found["unclip"]["routes"] == ["generations", "edits", "variations"]
    assert found["instructed"]["routes"] == ["edits"] and found["told"]["dtype"] == "uint16"
    assert str(server.service.runs["edm"].run.folder.parent) not in json.dumps(found)


def test_runs_are_known_by_the_names_of_their_folders_alone(plain, monkeypatch):
    with pytest.raises(InputError, match="nowhere is not there"):
        load_all(["hub:nowhere"], "cpu", None)
    monkeypatch.chdir(plain)
    found = load_all(["."], "cpu", None)
    assert list(found) == ["edm"] and found["edm"].run.folder == plain.resolve()  # what errors have the name for


GENERATIONS = [
    ({"quality": "high"}, "quality"), ({"n": 11}, "n"), ({"n": "2"}, "n"), ({"size": "1024x1024"}, "size"),
    ({"size": "big"}, "size"),
    ({"background": "transparent"}, "background"), ({"output_format": "webp"}, "output_format"),
    ({"output_format": "png16"}, None), ({"response_format": "url"}, "response_format"), ({"style": "vivid"}, "style"),
    ({"user": "me"}, "user"), ({"stream": True, "partial_images": 2}, "partial_images"), ({"prompt": "a crack"}, "prompt"),
    ({"model": "dall-e-3"}, "model"), ({"model": None}, "model"), ({"model": "instructed"}, "model"), ({"label": "a"}, "label"),
    ({"seed": -1}, "seed"), ({"number": 3}, "number"), ({"model": "told"}, "prompt"),
    ({"model": "told", "prompt": "phase 99.00"}, None), ({"model": "told", "prompt": "@/etc/passwd"}, "prompt"),
    ({"label": "a, @/etc/passwd"}, "label"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "param"), GENERATIONS, ids=[json.dumps(change) for change, _ in GENERATIONS])
def test_what_is_not_supported_is_refused(server, change, param):
    with pytest.raises(openai.BadRequestError) as refused:
        server.client.post("/images/generations", body={"model": "edm", "prompt": "", **change}, cast_to=object)
    error = refused.value
    assert error.param == param and error.type == "invalid_request_error" and error.code and error.body["message"]


def test_what_lies_outside_the_training_images_is_said_in_words_of_the_api(server):
    with pytest.raises(openai.BadRequestError, match="or send extrapolate as true") as refused:
        server.client.images.generate(model="told", prompt="phase 99.00")
    assert "--" not in refused.value.body["message"]
    made = server.client.images.generate(model="told", prompt="phase 99.00", extra_body={"extrapolate": True})
    assert "phase" in made.veridical["notes"][0]


IMAGE = png(picture())
EDITS = [
    ({"model": "unclip", "how": "dream"}, {"image": IMAGE}, "how"), ({"how": "instruct_pix2pix"}, {"image": IMAGE}, "how"),
    ({"settings": "strength=1"}, {"image": IMAGE}, None), ({"settings": '{"strength": 2}'}, {"image": IMAGE}, None),
    ({"settings": '{"nothing": 2}'}, {"image": IMAGE}, None), ({"how": "inpaint"}, {"image": IMAGE}, "mask"),
    ({}, {}, "image"), ({"image": "text"}, {}, "image"), ({}, {"image": b"no picture"}, None),
    ({}, {"image": IMAGE[:200]}, None), ({}, {"image": png(picture(shape=(8, 30)))}, "image"),
    ({}, {"image": png(picture(shape=(80, 80)))}, None), ({}, {"image": png(picture("uint16"))}, None),
    ({}, {"image": png(np.random.default_rng(0).integers(0, 255, (20, 26, 3)).astype(np.uint8))}, None),
    ({}, {"image": IMAGE, "mask": png(picture())}, None),
    ({}, {"image": IMAGE, "mask": alpha_mask(np.eye(26, dtype=bool))}, None),
    ({}, {"image": IMAGE, "mask": alpha_mask(np.zeros((20, 26), bool))}, None),
    ({}, {"image": IMAGE, "mask": alpha_mask(np.ones((20, 26), bool))}, "mask"),
    ({}, {"image": alpha_mask(HOLE)}, None), ({"size": "16x16"}, {"image": IMAGE}, "size"),
    ({"output_format": "png16"}, {"image": IMAGE}, "output_format"),
    ({"input_fidelity": "high"}, {"image": IMAGE}, "input_fidelity"),
    ({"prompt": "a crack"}, {"image": IMAGE}, "prompt"), ({}, {"image": IMAGE, "markup": IMAGE}, "markup"),
    ({"negative_prompt": "x"}, {"image": IMAGE}, "negative_prompt"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "files", "param"), EDITS, ids=range(len(EDITS)))
def test_edits_that_cannot_be_are_refused(server, fields, files, param):
    body = {"model": "edm", "prompt": "", **fields}
    named = [(name, (f"{name}.png", content, "image/png")) for name, content in files.items()]
    with pytest.raises(openai.BadRequestError) as refused:
        server.client.post(
            "/images/edits", body=body, files=named or [("none", b"")][:0], cast_to=object,
            options={"headers": {"Content-Type": "multipart/form-data"}} if named else {},
        )  # fmt: skip
    assert refused.value.param == param and refused.value.body["message"]


def test_a_run_without_variations_has_none(server):
    with pytest.raises(openai.BadRequestError, match="no variations"):
        server.client.images.create_variation(model="edm", image=IMAGE)
