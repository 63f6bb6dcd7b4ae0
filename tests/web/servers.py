"""The examples behind real servers, each a process of its own, in front of a Gemini that the test directs."""
from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import requests

import gemini_lite
from gemini_lite.testing import FakeGemini, Raw, Reply, Request

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SOON = 30
KEY = "planted-key-0123456789"

_GUNICORN = ("gunicorn", "-w", "2", "--timeout", "150", "--access-logformat", "%(p)s %(U)s")
SERVERS: Dict[str, Tuple[str, ...]] = {
    "sync": (*_GUNICORN, "-k", "sync"),
    "gthread": (*_GUNICORN, "-k", "gthread", "--threads", "8"),
    "gevent": (*_GUNICORN, "-k", "gevent"),
}
SERVERS.update({name + "-preload": (*command, "--preload") for name, command in list(SERVERS.items())})
SERVERS["gevent-preload"] = (*_GUNICORN, "-c", str(EXAMPLES / "gevent_conf.py"))
SERVERS["waitress"] = ("waitress-serve", "--threads=8")
APPS = {"flask": "flask_app:app", "django": "chat.wsgi:application"}
# gevent patches in the worker here, when the client has been made and ssl is loaded: too late for Django, not for us.
LATE = (*_GUNICORN, "-k", "gevent", "--preload")


def question_of(request: Request) -> str:
    """The last thing that the user said."""
    return str(request.body["contents"][-1]["parts"][0]["text"])


def echo(request: Request) -> Reply:
    """An answer in four events that is the question's own."""
    return Reply("re: ", *re.findall(r".{1,4}", question_of(request)[:8], re.DOTALL), " <b>&", " end")


def answer_to(question: str) -> str:
    return "re: " + question[:8] + " <b>& end"


class Gated(Reply):
    """A reply whose later events wait until `go` is set; `left` is set when the client hangs up before its end."""

    def __init__(self, *items: Any, **fields: Any) -> None:
        super().__init__(*items, **fields)
        self.go = threading.Event()
        self.left = threading.Event()

    def render(self, request: Request, serial: int) -> Raw:
        raw = super().render(request, serial)
        raw.pieces = self._gated(raw.pieces)  # type: ignore[assignment]
        return raw

    def _gated(self, pieces: Sequence[bytes]) -> Iterator[bytes]:
        try:
            for number, piece in enumerate(pieces):
                assert not number or self.go.wait(SOON)
                yield piece
        except GeneratorExit:  # the fake could not write
            self.left.set()


class Endless(Gated):
    """A reply that goes on, an event every 20 ms, until the client hangs up; or for half a minute."""

    def __init__(self) -> None:
        super().__init__("first ", *["more "] * 1500)
        self.delay = 0.02
        self.go.set()


class Upstream:
    """What Gemini says: `answer` may be replaced by a test."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], Any]
        self.reset()
        self.fake = FakeGemini(lambda request: self.answer(request))

    def reset(self) -> None:
        self.answer = echo


class Browser:
    """One user's browser: its cookies, and what its page knows."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.version = ""
        self._answers: List[Events] = []
        self.get("/")

    def get(self, path: str) -> requests.Response:
        answer = self.session.get(self.url + path, timeout=SOON)
        assert answer.status_code == 200, answer.text
        return answer

    def load(self) -> Dict[str, Any]:
        """What the server has kept, as the page gets it."""
        kept: Dict[str, Any] = self.get("/conversation").json()
        self.version = kept["version"]
        return kept

    def post(self, path: str, streamed: bool = False, **fields: Any) -> requests.Response:
        headers = {"X-CSRFToken": self.session.cookies.get("csrftoken", "")}
        return self.session.post(self.url + path, json={"version": self.version, **fields}, headers=headers,
                                 stream=streamed, timeout=SOON)

    def ask(self, question: str) -> "Events":
        self._answers.append(Events(self.post("/ask", True, question=question)))
        return self._answers[-1]

    def converse(self, question: str) -> str:
        """Load, ask, read to the end: the answer."""
        self.load()
        events = list(self.ask(question))
        assert [kind for kind, _ in events] == ["message"] * (len(events) - 1) + ["done"]
        self.version = events[-1][1]
        return "".join(text for _, text in events[:-1])

    def close(self) -> None:
        for answer in self._answers:
            answer.close()
        self.session.close()


class Events:
    """The server-sent events of an answer, as they come; `close` is what a browser does that goes away."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self._blocks = self._read()

    def __iter__(self) -> "Events":
        return self

    def __next__(self) -> Tuple[str, Any]:
        assert self.response.status_code == 200, self.response.text
        assert self.response.headers["Content-Type"].startswith("text/event-stream")
        kind, data = next(self._blocks).split("\n")
        assert kind.startswith("event: ") and data.startswith("data: ")
        return kind[7:], json.loads(data[6:])

    def _read(self) -> Iterator[str]:
        rest = ""
        for block in self.response.iter_content(None):
            *whole, rest = (rest + block.decode()).split("\n\n")
            yield from whole
        assert not rest

    def close(self) -> None:
        self.response.close()


class Server:
    """A process that serves one of the examples."""

    def __init__(self, app: str, command: Sequence[str], gemini: str, data: Path, target: str = "",
                 port: int = 0, **environment: str) -> None:
        self.app, self.command, self.data = app, command, data
        self._target = target or APPS[app]
        self.port = port or free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.log = data / "server.log"
        places = [str(EXAMPLES / "django_app" if app == "django" else EXAMPLES), str(Path(__file__).parent),
                  str(Path(gemini_lite.__file__).parents[1])]
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(data), "PYTHONPATH": os.pathsep.join(places),
            "CHAT_DATA": str(data), "GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": gemini, "no_proxy": "127.0.0.1",
            **environment}
        if app == "django":
            subprocess.run([sys.executable, str(EXAMPLES / "django_app" / "manage.py"), "migrate", "-v0"], check=True,
                           env={**self._environment, "GEMINI_API_KEY": ""}, timeout=SOON)
        self.start()

    def start(self) -> None:
        program, *options = self.command
        listen = ["--bind=127.0.0.1:%d" % self.port, "--access-logfile=%s" % (self.data / "access.log")] \
            if self.forks else ["--listen=127.0.0.1:%d" % self.port]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(sys.executable).with_name(program)), *options, *listen, self._target],
                env=self._environment, cwd=self.data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        wait_for(self._ready, "the server does not start:\n%s" % self.log)

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return listens(self.port)

    @property
    def forks(self) -> bool:
        """Whether it is gunicorn, which has worker processes."""
        return self.command[0] == "gunicorn"

    @property
    def workers(self) -> List[int]:
        """The processes that answer: gunicorn's children."""
        children = Path("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)).read_text()
        return [int(pid) for pid in children.split()]

    def served(self, path: str) -> List[int]:
        """The workers that answered the requests for this path, in order; gunicorn writes the line at the end."""
        lines = (self.data / "access.log").read_text().splitlines()
        return [int(line.split()[0].strip("<>")) for line in lines if line.split()[1:] == [path]]

    def histories(self) -> Dict[str, Any]:
        """Every conversation as it lies in the store, whatever the views say."""
        if self.app == "flask":
            with contextlib.closing(sqlite3.connect(self.data / "chat.sqlite3")) as db:
                return {user: json.loads(text) for user, text in db.execute("SELECT user, history FROM conversations")}
        script = ("import json, django; django.setup(); from django.contrib.sessions.models import Session; "
                  "print(json.dumps({s.pk: s.get_decoded().get('history') for s in Session.objects.all()}))")
        return json.loads(subprocess.run(  # type: ignore[no-any-return]
            [sys.executable, "-c", script], env={**self._environment, "DJANGO_SETTINGS_MODULE": "chat.settings"},
            check=True, stdout=subprocess.PIPE, timeout=SOON).stdout)

    def kill(self) -> None:
        """End all of it at once, as a crash of the machine would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SOON)

    def close(self) -> None:
        end(self.process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process, which leads a group of its own, and all it has started."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(3)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(SOON)


def listens(port: int) -> bool:
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), SOON):
        return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(done: Callable[[], Any], what: str) -> Any:
    """What `done` returns as soon as that is true."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        found = done()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("not in %d s: %s" % (SOON, what))


class Stage:
    """A running server, the Gemini behind it, and the browsers before it."""

    def __init__(self, server: Server, upstream: Upstream) -> None:
        self.server, self.upstream = server, upstream
        self._browsers: List[Browser] = []

    @property
    def capacity(self) -> int:
        """How many answers it writes at once, for certain."""
        return 2 if "sync" in self.server.command else 8

    def browser(self) -> Browser:
        self._browsers.append(Browser(self.server.url))
        return self._browsers[-1]

    def tab(self, browser: Browser) -> Browser:
        """Another tab of that browser, which shows the same."""
        tab = self.browser()
        tab.session.cookies, tab.version = browser.session.cookies.copy(), browser.version
        return tab

    def clear(self) -> None:
        """No browser is left, and Gemini answers as at the beginning."""
        while self._browsers:
            self._browsers.pop().close()
        self.upstream.reset()

    def check_log(self) -> None:
        """The log has no traceback and no secret."""
        log = self.server.log.read_text()
        assert "Traceback" not in log and KEY not in log, log
