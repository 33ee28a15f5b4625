"""Tokens, limits and the end: who is let in, what is too much, and that nothing asked before a signal is lost."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time

import httpx2
import openai
import pytest

from serving import running
from veridical.core.errors import InputError
from veridical.server.app import app_of
from veridical.server.run import read_token, serve
from veridical.server.service import Limits, Service
from veridical.server.worker import Worker

TOKEN = "a-token-of-some-length"


def post(url, body=None, **keywords):
    return httpx2.post(
        f"{url}/images/generations", json={"prompt": ""} if body is None else body, timeout=60, **keywords
    )


def test_only_those_with_the_token_are_let_in(one):
    with running(Service(one, token=TOKEN.encode())) as url:
        for key in ("x", TOKEN[:-1], TOKEN + "x", "ü"):
            headers = [(b"authorization", b"Bearer " + key.encode())]
            found = httpx2.get(f"{url}/models", headers=headers)
            assert found.status_code == 401 and found.json()["error"]["code"] == "invalid_api_key"
        assert httpx2.get(f"{url}/models").status_code == 401 == httpx2.get(url.replace("/v1", "/metrics")).status_code
        assert httpx2.get(url.replace("/v1", "/openapi.json")).status_code == 401
        assert httpx2.get(url.replace("/v1", "/health")).json() == {"status": "ok"}
        assert len(openai.OpenAI(base_url=url, api_key=TOKEN).images.generate(model="edm", prompt="").data) == 1


def test_pages_of_other_sites_cannot_use_a_browser_of_this_machine(one):
    with running(Service(one)) as url:
        assert post(url, headers={"Origin": "https://example.org"}).status_code == 403
        assert post(url, headers={"Host": "example.org"}).status_code == 403
        assert post(url, headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_others_are_let_in_with_a_token_alone(tmp_path, plain):
    with pytest.raises(InputError, match="give --token-file"):
        serve([plain], host="0.0.0.0", port=0)
    (tmp_path / "token").write_text(" short\n")
    with pytest.raises(InputError, match="holds no token"):
        serve([plain], host="0.0.0.0", port=0, token_file=tmp_path / "token")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN.encode()


def test_a_body_that_is_too_large_is_refused_while_it_comes(one):
    with running(Service(one, Limits(body=10_000))) as url:
        large = {"image": ("a.png", b"x" * 50_000)}
        said = httpx2.post(f"{url}/images/edits", files=large, data={"prompt": ""})
        assert said.status_code == 413 and "10000 bytes" in said.json()["error"]["message"]

        def pieces():  # without a length
            for _ in range(20):
                yield b" " * 1000

        said = httpx2.post(f"{url}/images/generations", content=pieces(), headers={"Content-Type": "application/json"})
        assert said.status_code == 413


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (("GET", "/v1/images/generations", {}), 405, "does not take GET"),
        (("POST", "/v1/images/dreams", {}), 404, "There is no"),
        (("POST", "/v1/images/generations?n=2", {"json": {"prompt": ""}}), 400, "Unknown parameter: 'n'"),
        (
            ("POST", "/v1/images/generations", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
            400,
            "JSON",
        ),
        (("POST", "/v1/images/generations", {"json": []}), 400, "body"),
        (
            ("POST", "/v1/images/edits", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
            400,
            "boundary",
        ),
        (
            ("POST", "/v1/images/edits", {"files": [("image", b"x"), ("n", (None, "1")), ("n", (None, "2"))]}),
            400,
            "twice",
        ),
    ],
)
def test_other_faults_have_the_same_shape(one, request_, status, said):
    method, path, more = request_
    with running(Service(one)) as url:
        found = httpx2.request(method, url.removesuffix("/v1") + path, **more)
    assert found.status_code == status and said in found.json()["error"]["message"]
    assert set(found.json()["error"]) == {"message", "type", "param", "code"}


class Held:
    """A service whose worker waits until it is let go."""

    def __init__(self, runs, **limits):
        self.service, self.go = Service(runs, Limits(**limits)), threading.Event()
        work = self.service.worker._work
        self.service.worker._work = lambda tasks: self.go.wait(30) and work(tasks)


def in_threads(n, call):
    found = []
    threads = [threading.Thread(target=lambda: found.append(call())) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads, found


def until(true):
    for _ in range(500):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come")


def test_too_many_are_told_to_come_again(one):
    held = Held(one, waiting=2)
    with running(held.service) as url:
        threads, found = in_threads(2, lambda: post(url))
        until(lambda: held.service.answering == 2)
        refused = post(url)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert httpx2.get(f"{url}/models").status_code == 200  # who looks does not wait
        held.go.set()
        for thread in threads:
            thread.join()
        assert [one.status_code for one in found] == [200, 200]


def test_equal_requests_that_wait_are_drawn_together(one):
    held = Held(one, batch=4)
    with running(held.service) as url:
        first, _ = in_threads(1, lambda: post(url))
        until(lambda: held.service.answering == 1 and not held.service.worker.rows)
        more, found = in_threads(4, lambda: post(url))
        other, _ = in_threads(1, lambda: post(url, {"prompt": "", "seed": 3}))
        until(lambda: held.service.worker.rows == 5)
        held.go.set()
        for thread in (*first, *more, *other):
            thread.join()
        numbers = [entry["veridical"]["number"] for one in found for entry in one.json()["data"]]
        assert sorted(numbers) == [1, 2, 3, 4]
        text = httpx2.get(url.replace("/v1", "/metrics")).text
        assert 'veridical_requests_total{route="/v1/images/generations",status="200"} 6.0' in text
        assert "veridical_batch_images_count 3.0" in text and "veridical_batch_images_sum 6.0" in text
        assert "process_resident_memory_bytes" in text


def test_what_nobody_waits_for_is_not_drawn(one):
    held = Held(one)
    with running(held.service) as url:
        first, _ = in_threads(1, lambda: post(url))
        until(lambda: held.service.answering == 1 and not held.service.worker.rows)
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/images/generations", json={"prompt": ""}, timeout=0.3)
        until(lambda: held.service.answering == 1)
        held.go.set()
        first[0].join()
        assert held.service.metrics._batches._sum.get() == 1


def test_a_task_that_fails_does_not_fail_its_neighbours():
    def work(tasks):
        if any(task.bad for task in tasks):
            raise ValueError("bad")
        return [task.rows for task in tasks]

    class Task:
        key, rows = "key", 1

        def __init__(self, bad):
            self.bad = bad

    worker = Worker(work, 8, lambda images, seconds: None)
    futures = [worker.submit(Task(bad)) for bad in (False, True, False)]
    assert futures[0].result(5) == futures[2].result(5) == 1
    with pytest.raises(ValueError, match="bad"):
        futures[1].result(5)
    worker.stop()


def test_a_fault_of_ours_is_500_and_says_nothing_of_this_machine(one, caplog):
    service = Service(one)
    service.worker._work = lambda tasks: 1 / 0
    with running(service) as url:
        found = post(url)
    assert found.status_code == 500 and found.json()["error"]["type"] == "server_error"
    assert "division" not in found.text


def test_at_a_signal_what_was_asked_is_finished_and_others_are_told(plain):
    code = f"from veridical.server.run import serve; serve({[str(plain)]!r}, port=0, quiet=True, settings=SLOW)"
    code = code.replace("SLOW", "{'sampling_steps': 40}")
    with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().split()[-1]
        threads, found = in_threads(2, lambda: post(url))

        def answering():
            text = httpx2.get(url.replace("/v1", "/metrics")).text
            return "veridical_answering_requests 2.0" in text

        until(answering)
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx2.get(url.replace("/v1", "/health")).json()["status"] == "draining")
        late = post(url)
        assert late.status_code == 503 and late.json()["error"]["code"] == "shutting_down"
        for thread in threads:
            thread.join()
        assert [one.status_code for one in found] == [200, 200]
        assert process.wait(30) == 0


def test_a_second_signal_ends_it_in_the_middle_of_drawing(plain):
    code = f"from veridical.server.run import serve; serve({[str(plain)]!r}, port=0, quiet=True, settings=SLOW)"
    code = code.replace("SLOW", "{'sampling_steps': 100_000}")
    with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().split()[-1]
        with contextlib.suppress(httpx2.ReadTimeout):
            httpx2.post(f"{url}/images/generations", json={"prompt": ""}, timeout=1)
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx2.get(url.replace("/v1", "/health")).json()["status"] == "draining")
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(5) == -signal.SIGTERM
        finally:
            process.kill()


def test_the_schema_says_what_is_refused(one):
    service = Service(one)
    schema = app_of(service).openapi()
    service.worker.stop()
    forms = schema["components"]["schemas"]
    assert all(forms[name]["additionalProperties"] is False for name in ("Generation", "Edit", "Variation"))
    assert json.dumps(forms["Generation"]["properties"]["n"]).count("10") >= 1
