"""Where clients are measured: an environment for each, a server on one core, the clients on another."""
from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from typing import Any, Dict, List, Optional

from clients import CLIENTS, GeminiLite

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gemini_lite-bench"
PACKAGES = {"requests": ["requests"], "genai": ["google-genai"]}  # by environment
UNWANTED = ("GOOGLE_", "GEMINI_", "PYTHON", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_")

START = """
import time
begin = time.perf_counter()
%s
wall = time.perf_counter() - begin
with open("/proc/self/status") as file:
    peak = next(line for line in file if line.startswith("VmHWM")).split()[1]
print('{"wall_ms": %%f, "peak_mb": %%f}' %% (wall * 1e3, int(peak) / 1024))
"""

EXTENSIONS = """
subjectAltName = IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Lab:
    """The server is there while this context manager is open; `measure` does the rest."""

    def __init__(self, venvs: pathlib.Path = CACHE, checkout: pathlib.Path = HERE.parent) -> None:
        self.venvs, self.checkout = venvs, checkout
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(UNWANTED) and not name.lower().endswith("_proxy")}

    def __enter__(self) -> "Lab":
        for name, packages in PACKAGES.items():
            make_venv(self.venvs / name, packages)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gemini_lite-bench-"))
        make_certificates(self.folder)
        certifi = self.python("requests", "-c", "import certifi; print(certifi.contents())")
        self.trusting, self.wary = self.folder / "trusting.pem", self.folder / "wary.pem"
        self.trusting.write_text(certifi + (self.folder / "ca.pem").read_text())
        self.wary.write_text(certifi)
        self.server = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), str(self.folder / "server.pem"), str(self.folder / "server.key")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        plain, tls = self.server.stdout.readline().split()
        self.http, self.https = "http://127.0.0.1:" + plain, "https://127.0.0.1:" + tls
        self.cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self.server.pid, {self.cores[-1]})
        os.sched_setaffinity(0, {self.cores[0]})  # and so the clients
        self.python("ours", "-c", GeminiLite.start)  # compiles what is new in the checkout, before it is timed
        return self

    def __exit__(self, *exc: object) -> None:
        os.sched_setaffinity(0, self.cores)
        self.server.communicate()
        shutil.rmtree(self.folder)

    def measure(
        self, client: str, measure: str, parameters: Dict[str, Any], ca: Optional[str] = None,
    ) -> Dict[str, Any]:
        """The figures of one measurement; with `ca`, "trusting" or "wary", over HTTPS."""
        if measure == "start":
            return json.loads(self.python(CLIENTS[client].venv, "-c", START % CLIENTS[client].start))
        if measure == "cold":
            parameters = {"spawned": time.monotonic()}
        base, bundle = self.http, {}
        if ca is not None:
            base, bundle = self.https, {"REQUESTS_CA_BUNDLE": str(getattr(self, ca))}
        return json.loads(self.python(CLIENTS[client].venv, str(HERE / "worker.py"), client, measure, base,
                                      json.dumps(parameters), **bundle))

    def python(self, venv: str, *arguments: str, **environment: str) -> str:
        """What Python prints in an environment; `ours` is that of requests, and this checkout as it stands."""
        if venv == "ours":
            venv, environment = "requests", {**environment, "PYTHONPATH": str(self.checkout)}
        done = subprocess.run([str(self.venvs / venv / "bin" / "python"), *arguments], cwd=str(self.folder), text=True,
                              env={**self.environment, **environment}, stdout=subprocess.PIPE, timeout=600, check=True)
        return done.stdout

    def versions(self) -> str:
        """What is compared, for the head of a table."""
        code = "import importlib.metadata as m; print(*('%s %s' % (n, m.version(n)) for n in {!r}.split()), sep=', ')"
        return ", ".join((
            time.strftime("%Y-%m-%d"), "Python %d.%d.%d" % sys.version_info[:3],
            self.python("ours", "-c", code.format("requests urllib3")).strip(),
            self.python("genai", "-c", code.format("google-genai")).strip(), processor()))


def make_venv(folder: pathlib.Path, packages: List[str]) -> None:
    if folder.exists():
        return
    print("making", folder, file=sys.stderr)
    try:
        venv.create(str(folder), with_pip=True)
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *packages], check=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # half of one would be taken for a whole one the next time
        raise


def make_certificates(folder: pathlib.Path) -> None:
    """A CA, ``ca.pem``, and a certificate of its for 127.0.0.1, ``server.pem`` and ``server.key``."""
    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=str(folder), check=True, stderr=subprocess.DEVNULL)

    (folder / "extensions").write_text(EXTENSIONS)
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench-CA -keyout ca.key -out ca.pem "
            "-addext keyUsage=critical,keyCertSign")
    openssl("req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr")
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions "
            "-out server.pem")


def processor() -> str:
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    return "%d x %s" % (os.cpu_count() or 1, model or os.uname().machine)
