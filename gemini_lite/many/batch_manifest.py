"""The note beside a file of results of the job that was handed in for it, written before each step is taken."""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import NamedTuple, Optional

from .. import files_on_disk
from ..api.batch_jobs import unique_name
from ..json_data import JSON, dict_or_empty
from .journal import Journal

VERSION = 1
UPLOADING, CREATING, CREATED = "uploading", "creating", "created"


class InputDigest:
    """A hash of the keys and requests of a job, in whatever order they come."""

    def __init__(self) -> None:
        self._sum = self.count = 0

    def add(self, key: str, hash: int) -> None:
        """Take in one key, and the hash of its request."""
        data = key.encode("utf-8", "surrogatepass") + b"\0" + hash.to_bytes(8, "big")
        self._sum += int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "big")
        self.count += 1

    def hexdigest(self) -> str:
        """32 hexadecimal digits."""
        return hashlib.blake2b(f"{self.count} {self._sum}".encode(), digest_size=16).hexdigest()


class Manifest(NamedTuple):
    """What is known of the job: the `step` that is being taken, and `name` once the server said it.

    `digest` and `prompt_count` are of all prompts that the call was given; `time` is when the step began, in seconds.
    """

    display_name: str
    digest: str
    prompt_count: int
    step: str
    time: float
    name: Optional[str] = None


def manifest_path(path: files_on_disk.StrPath) -> str:
    """Where the manifest of the results at `path` is."""
    return f"{os.path.realpath(os.fspath(path))}.batch.json"


def new_manifest(digest: InputDigest) -> Manifest:
    """The manifest of a job that has not been handed in; its display name is one that no other job has."""
    hexdigest = digest.hexdigest()
    return Manifest(unique_name(hexdigest[:16]), hexdigest, digest.count, CREATING, time.time())


def read_manifest(path: files_on_disk.StrPath) -> Optional[Manifest]:
    """The manifest of the results at `path`, None if no job is under way; ValueError for a damaged one."""
    place = manifest_path(path)
    try:
        with open(place, "rb") as file:
            data: JSON = dict_or_empty(json.loads(file.read()))
        if data.pop("version", None) == VERSION:
            return Manifest(**data)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError):
        pass
    raise ValueError(f"{place} is damaged, or of another version: it should name the job of these results. Look for "
                     "that job with client.batches.list(), then move the file away")


def write_manifest(path: files_on_disk.StrPath, manifest: Manifest) -> None:
    """Put `manifest` on the disk, whole or not at all, readable for its owner alone."""
    data = {"version": VERSION, **manifest._asdict()}
    files_on_disk.write(manifest_path(path), json.dumps(data, indent=1).encode(), 0o600)


def remove_manifest(path: files_on_disk.StrPath) -> None:
    """Forget the job."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(manifest_path(path))


def check_manifest(manifest: Manifest, digest: InputDigest, journal: Journal) -> None:
    """ValueError unless the job was handed in for the prompts of `digest`."""
    if manifest.digest == digest.hexdigest():
        return
    job, place = manifest.name or manifest.display_name, manifest_path(journal.path)
    raise ValueError(
        f"the batch {job} is under way for other prompts than these ({manifest.prompt_count:,} then, {digest.count:,} "
        f"now; or the prompts, options or model changed). Collect it first, with the prompts as they were, or give "
        f"another file. To give the job up, cancel it with client.batches.cancel and remove {place}")
