"""One measurement of one client, in a process of its own; run by `lab`.

`python worker.py CLIENT MEASURE URL PARAMETERS` prints its figures as JSON, as PARAMETERS are given. Figures are named
by what they are and their unit. CPU is that of the whole process, its threads included.
"""
import sys
import time

from clients import CLIENTS

cpu, wall = time.process_time, time.perf_counter


def cold(client, spawned):
    """From the start of the process, at `spawned`, to the first text of a stream."""
    texts = client.stream("events2-bytes200")
    next(texts)
    first = time.monotonic() - spawned
    list(texts)
    return {"first_ms": first * 1e3}


def calls(client, count, model="bench"):
    """Small unary calls, one after the other."""
    for _ in range(min(count, 50)):
        client.call(model)
    begin = cpu()
    for _ in range(count):
        client.call(model)
    return {"cpu_us": (cpu() - begin) / count * 1e6}


def stream(client, events, bytes, repeat=1, keep=False):
    """A stream, read to its end, its texts thrown away or kept."""
    model = "events%d-bytes%d" % (events, bytes)
    list(client.stream("events50-bytes200"))
    memory = Memory()
    begin, started = cpu(), wall()
    for _ in range(repeat):
        texts = client.stream(model)
        texts = list(texts) if keep else texts
        assert sum(1 for text in texts if text) == events
    spent, took = (cpu() - begin) / repeat, (wall() - started) / repeat
    return {"cpu_us": spent / events * 1e6, "mb_s": events * bytes / took / 1e6, "cpu_ms": spent * 1e3,
            "peak_mb": memory.peak()}


def whole(client, events, bytes):
    """A stream, read to its end, and its whole text."""
    list(client.stream("events50-bytes200"))
    memory = Memory()
    assert len(client.whole("events%d-bytes%d" % (events, bytes))) > 0.99 * events * bytes - 300 * events
    return {"peak_mb": memory.peak()}


def delivery(client, events, every):
    """From the server's sending of an event to the caller's having its text."""
    list(client.stream("events50-bytes200"))
    times = []
    for text in client.stream("events%d-every%d-clock1" % (events, every)):
        times.append(time.monotonic_ns() - int(text))
    times = sorted(times[5:])
    return {"p50_us": times[len(times) // 2] / 1e3, "p99_us": times[len(times) * 99 // 100] / 1e3}


def threads(client, threads, each, pause=0.0):
    """Small unary calls from many threads at once, with `pause` seconds between the calls of each."""
    import threading
    client.call("bench")
    memory, before = Memory(), opened(client)
    together, errors = threading.Barrier(threads + 1), []

    def work():
        together.wait()
        try:
            for _ in range(each):
                client.call("bench")
                time.sleep(pause) if pause else None
        except Exception as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    begin = cpu()
    together.wait()
    for worker in workers:
        worker.join()
    spent = cpu() - begin
    if errors:
        raise errors[0]
    return {"cpu_us": spent / threads / each * 1e6, "cpu_ms": spent * 1e3, "peak_mb": memory.peak(),
            "connections": opened(client) - before, "threads": threads}


def chat(client, turns, count):
    """Sends in a conversation that has `turns` turns behind it."""
    send = client.chat(turns)
    send()
    memory = Memory()
    begin = cpu()
    for _ in range(count):
        send()
    spent = (cpu() - begin) / count
    return {"cpu_us": spent * 1e6, "cpu_ms": spent * 1e3, "peak_mb": memory.peak()}


def upload(client, bytes, count):
    """Prompts with a picture of `bytes` in them."""
    import os
    data = os.urandom(bytes)
    client.call("bench")
    memory = Memory()
    began = wall()
    for _ in range(count):
        client.upload(data)
    return {"wall_ms": (wall() - began) / count * 1e3, "peak_mb": memory.peak()}


def refused(client):
    """The error of a call to a server whose CA is not trusted."""
    try:
        client.call("bench")
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}
    return {"error": None}


class Memory:
    """Memory from here on; Linux keeps the peak, and lets a process forget it."""

    def __init__(self):
        import gc
        gc.collect()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        self.before = self.status("VmRSS")

    def peak(self):
        """The highest since then, in MB above what it was then."""
        return self.status("VmHWM") - self.before

    @staticmethod
    def status(name):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name + ":"))


def opened(client):
    """The number of connections that the server has seen; this one is not counted twice."""
    import http.client
    connection = http.client.HTTPConnection(sys.argv[3].rpartition("/")[2])
    connection.request("GET", "/connections")
    count = int(connection.getresponse().read())
    connection.close()
    opened.own += 1
    return count - opened.own


opened.own = 0

if __name__ == "__main__":
    import json
    name, measure, base, parameters = sys.argv[1:]
    print(json.dumps(globals()[measure](CLIENTS[name](base), **json.loads(parameters))))
