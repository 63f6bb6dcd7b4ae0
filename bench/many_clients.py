"""What `many` measures, each in a process of its own: ``many_clients.py NAME URL COUNT CONCURRENCY [SECONDS]``."""
from __future__ import annotations

import functools
import itertools
import json
import os
import resource
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator

name, url, count, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 0.0
key = os.environ.get("BENCH_KEY", "k")


def prompts() -> Iterator[str]:
    """`count` of them, or as many as fit into `seconds`."""
    end = time.monotonic() + seconds
    for number in range(count) if not seconds else itertools.count():
        if seconds and time.monotonic() > end:
            return
        yield f"Say hello to number {number}."


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Bytes in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def lite() -> Any:
    from gemini_lite import DeveloperAPI, GeminiClient
    client = GeminiClient(backend=DeveloperAPI(key, base_url=url))
    if not seconds:
        client.generate("warm up")
    return client


def pool_generate() -> int:
    client = lite()
    with ThreadPoolExecutor(concurrency) as executor:
        return measure(lambda: sum(bool(r.text) for r in executor.map(client.generate, prompts())))


def many(**settings: Any) -> int:
    client = lite()
    return measure(lambda: sum(r.error is None for r in client.map(prompts(), concurrency=concurrency, **settings)))


def journal() -> int:
    client = lite()
    with tempfile.TemporaryDirectory() as folder:
        return measure(lambda: client.map_to(f"{folder}/out.jsonl", prompts(), concurrency=concurrency).answered)


def genai_threads() -> int:
    from google import genai
    from google.genai import types
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
    ask = functools.partial(client.models.generate_content, model="gemini-flash-latest")
    ask(contents="warm up")
    with ThreadPoolExecutor(concurrency) as executor:
        return measure(lambda: sum(bool(r.text) for r in executor.map(lambda p: ask(contents=p), prompts())))


def genai_async() -> int:
    import asyncio

    from google import genai
    from google.genai import types
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))

    async def ask_all() -> int:
        places = asyncio.Semaphore(concurrency)

        async def ask(prompt: str) -> bool:
            async with places:
                answer = await client.aio.models.generate_content(model="gemini-flash-latest", contents=prompt)
                return bool(answer.text)
        return sum(await asyncio.gather(*map(ask, prompts())))
    return measure(lambda: asyncio.run(ask_all()))


def threads() -> int:
    """Memory for each thread of a run: all in flight at once."""
    client, before = lite(), resident()
    most = [0]
    run = client.map(prompts(), concurrency=concurrency, ordered=False)

    def look() -> None:
        while not over.wait(0.2):
            most[0] = max(most[0], resident())
    over = threading.Event()
    watcher = threading.Thread(target=look)
    watcher.start()
    good = measure(lambda: sum(r.error is None for r in run))
    over.set()
    watcher.join()
    figures["kb_a_thread"] = round((most[0] - before) / concurrency / 1024, 1)
    return good


def dask() -> int:
    """Tasks a second with a recipe and chunks, and with a client for each task."""
    from dask.distributed import Client, LocalCluster

    from gemini_lite import DeveloperAPI, GeminiClient, Recipe
    os.environ["GEMINI_API_KEY"] = "dask-key"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        def fresh(prompt: str) -> str:
            with GeminiClient(backend=DeveloperAPI("k", base_url=url)) as own:
                return own.generate(prompt).text
        executor = client.get_executor()
        begun = time.monotonic()
        list(executor.map(fresh, [f"fresh {number}" for number in range(200)]))
        figures["a_client_for_each"] = round(200 / (time.monotonic() - begun))
        recipe = Recipe(backend=functools.partial(DeveloperAPI, base_url=url), key_env="GEMINI_API_KEY")
        list(recipe.map(["warm up"] * 200, executor=executor))
        begun = time.monotonic()
        good = sum(r.error is None for r in recipe.map(prompts(), executor=executor))
        figures["recipe"] = round(count / (time.monotonic() - begun))
        return good


def resume() -> int:
    """Bytes for each finished key."""
    import tracemalloc

    from gemini_lite.many.journal import Journal
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/out.jsonl"
        with open(path, "w") as file:
            for number in range(count):
                meta = {"v": 1, "index": number, "tries": 1, "hash": f"{number * 2 + 2:016x}"}
                response = {"candidates": [{"content": {"parts": [{"text": f"answer {number}"}]}}]}
                print(json.dumps({"key": f"row-{number}", "response": response, "meta": meta}), file=file)
        tracemalloc.start()
        with Journal(path):
            figures["bytes_a_key"] = round(tracemalloc.get_traced_memory()[0] / count, 1)
    return count


def measure(run: Callable[[], int]) -> int:
    """Run it, and note what it took."""
    used, begun = cpu(), time.monotonic()
    good = run()
    figures.update(wall=time.monotonic() - begun, cpu_us=(cpu() - used) / max(1, good) * 1e6)
    return good


figures: Dict[str, Any] = {}
MEASUREMENTS: Dict[str, Callable[[], int]] = {
    "pool": pool_generate, "many": many, "unordered": functools.partial(many, ordered=False), "journal": journal,
    "genai_threads": genai_threads, "genai_async": genai_async, "threads": threads, "dask": dask, "resume": resume,
}
if __name__ == "__main__":
    figures["good"] = MEASUREMENTS[name]()
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))
