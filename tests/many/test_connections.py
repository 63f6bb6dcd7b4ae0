"""The connections of a run: as many as it has calls in flight, and ended with those of the client."""
from __future__ import annotations

import threading
from typing import Any, Callable, List

import pytest

from gemini_lite import GeminiClient, TransportError
from gemini_lite.testing import FakeGemini, Raw
from gemini_lite.transport.compat import MOST_POOLS, POOL_SIZE


@pytest.mark.parametrize("concurrency", [1, POOL_SIZE, POOL_SIZE + 1, 2 * POOL_SIZE])
def test_closing_the_client_ends_a_run_of_any_width(
        fake: FakeGemini, client: Callable[..., GeminiClient], concurrency: int) -> None:
    arrived, is_over = threading.Semaphore(0), threading.Event()

    def answer_late(request: Any) -> Raw:
        arrived.release()
        is_over.wait(30)
        return Raw(b"{}")

    fake.services.insert(0, answer_late)
    ours, ends = client(fake), []

    def run() -> None:
        try:
            ends.append(list(ours.map(["a", "b"], concurrency=concurrency)))
        except TransportError as error:
            ends.append(error.reason)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    for _ in range(min(2, concurrency)):
        assert arrived.acquire(timeout=20)
    ours.close()
    thread.join(20)
    is_over.set()
    assert ends == ["CLOSED"]


@pytest.mark.parametrize("size", [1, POOL_SIZE, POOL_SIZE + 1])
def test_a_wider_transport_keeps_more_connections_to_as_many_hosts(
        client: Callable[..., GeminiClient], size: int) -> None:
    transport = client("http://127.0.0.1:9")._transport
    with transport.with_connections(size) as wide:
        assert (wide is transport) == (size <= POOL_SIZE)
        sizes: List[int] = []
        for adapter in wide._process_sender().session.adapters.values():
            pool = adapter.connections("http://127.0.0.1:9", None)  # type: ignore[union-attr, attr-defined]
            sizes.append(pool.pool._most)
            assert adapter._manager.pools._maxsize == 10 * MOST_POOLS  # type: ignore[union-attr, attr-defined]
    assert sizes == [max(size, POOL_SIZE)] * 2
