"""How a server of runs behaves under load: clients at once on this machine, requests lost, latency, memory from start to end.

python benchmarks/server_load.py RUN [--clients 32] [--seconds 120]

Starts `veridical serve RUN` with room for all clients, and lets each ask for one image after another; every fourth asks for an
edit with a mask. Prints a table.
"""

import argparse
import subprocess
import sys
import threading
import time

import httpx2
import numpy as np
import openai

from veridical.data.inside import Inside
from veridical.server.pictures import encode


def memory(url: str) -> float:
    """Resident MiB of the server, as it tells Prometheus."""
    text = httpx2.get(url.replace("/v1", "/metrics"), timeout=60).text
    line = next(line for line in text.splitlines() if line.startswith("process_resident_memory_bytes "))
    return float(line.split()[1]) / 2**20


def value(url: str, name: str) -> float:
    """One of its numbers."""
    text = httpx2.get(url.replace("/v1", "/metrics"), timeout=60).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "veridical",
        "serve",
        given.run,
        "--port",
        "0",
        "--quiet",
        "--waiting",
        str(given.clients),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().split()[-1]
        about = openai.OpenAI(base_url=url, api_key="none").models.list().data[0].veridical
        side, prompt = int(about["size"].split("x")[0]), "a slice" if about["words"] else ""
        image = np.random.default_rng(0).integers(0, 255, (about["channels"], side, side)).astype(np.uint8)
        alpha = np.full((4, side, side), 255, np.uint8)
        alpha[3, side // 4 : side // 2, side // 4 : side // 2] = 0
        files = encode(image, Inside({})), encode(alpha, Inside({}))
        quick = {"settings": '{"steps": 4, "resamplings": 1}'}
        seconds: list[float] = []
        lost: list[str] = []
        until = time.monotonic() + given.seconds

        def ask(number: int) -> None:
            client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
            while time.monotonic() < until:
                began = time.monotonic()
                try:
                    if number % 4 == 3:
                        answer = client.images.edit(image=files[0], mask=files[1], prompt=prompt, extra_body=quick)
                    else:
                        answer = client.images.generate(prompt=prompt)
                    assert len(answer.data) == 1 and answer.data[0].b64_json
                    seconds.append(time.monotonic() - began)
                except Exception as error:
                    lost.append(f"{type(error).__name__}: {error}")

        memories = [memory(url)]
        threads = [threading.Thread(target=ask, args=(k,)) for k in range(given.clients)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            time.sleep(min(10, given.seconds / 4))
            memories.append(memory(url))
        took = time.monotonic() - began
        batches, images = value(url, "veridical_batch_images_count"), value(url, "veridical_batch_images_sum")
        process.terminate()
        code = process.wait(60)
    print("| clients | seconds | answered | lost | images a second | images a batch | median s | 95 % s | largest s |")
    print("|---|---|---|---|---|---|---|---|---|")
    low, high = np.percentile(seconds, (50, 95))
    print(
        f"| {given.clients} | {took:.0f} | {len(seconds)} | {len(lost)} | {len(seconds) / took:.2f} | {images / batches:.1f} "
        f"| {low:.1f} | {high:.1f} | {max(seconds):.1f} |"
    )
    print(f"resident MiB, every 10 s: {', '.join(f'{one:.0f}' for one in memories)}; exit code after SIGTERM {code}")
    for text in sorted(set(lost)):
        print(f"lost: {text}")


if __name__ == "__main__":
    main()
