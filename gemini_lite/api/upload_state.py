"""An upload that did not end: what is needed to go on with it."""
from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Optional

from .. import files_on_disk
from ..auth.secret import Secret
from ..json_data import int_or_none, str_or_none
from .sources import Source, beginning

BEGINNING = 1 << 16  # bytes by which a source is recognised


@dataclasses.dataclass
class UploadState:
    """An upload that did not end, for ``client.files.upload(source, resume=state)``.

    `offset` is how many of the `size` bytes the server is known to have. The `url` of the session works without a key,
    for some days: no repr shows it, and a pickle leaves it out. `save` writes it to a file for another process.
    """

    url: Optional[Secret]
    size: int
    mime_type: str
    name: Optional[str] = None
    display_name: Optional[str] = None
    file_name: Optional[str] = None
    beginning: str = ""  # SHA-256 of the first 64 KiB, in hex
    granularity: int = 1  # every chunk but the last is a multiple of so many bytes
    offset: int = 0
    started: Optional[str] = None  # the server's clock at the start, RFC 3339

    def check_source(self, source: Source) -> None:
        """ValueError unless `source` is the one whose upload this is, as far as its size and beginning tell."""
        if source.size != self.size:
            raise ValueError(f"this is not the source that was being uploaded: it has {source.size} bytes, and that "
                             f"one has {self.size}; upload it without resume=")
        if self.beginning and hash_of_beginning(source) != self.beginning:
            raise ValueError("this is not the source that was being uploaded: it begins with other bytes; upload it "
                             "without resume=")

    def save(self, path: files_on_disk.StrPath) -> None:
        """Write this to a file that only you can read; whoever reads it can write to this upload."""
        if self.url is None:
            raise ValueError("this state was pickled, which leaves out the URL of its session: save the original")
        data = {**dataclasses.asdict(dataclasses.replace(self, url=None)), "url": self.url.value}
        files_on_disk.write(path, json.dumps(data).encode("utf-8"), 0o600)

    @classmethod
    def load(cls, path: files_on_disk.StrPath) -> UploadState:
        """What `save` wrote; ValueError if the file holds something else."""
        try:
            with open(path, "rb") as file:
                data: Any = json.load(file)
            url = str_or_none(data.pop("url"))
            state = cls(Secret(url or ""), **data)
            if not (url and int_or_none(state.size) is not None and str_or_none(state.mime_type)
                    and int_or_none(state.offset) is not None and (int_or_none(state.granularity) or 0) > 0):
                raise ValueError
        except OSError as error:
            raise ValueError(f"cannot read {path!s}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(f"{path!s} holds no upload: give the file that UploadState.save wrote") from None
        return state

    def __repr__(self) -> str:
        return (f"UploadState({self.display_name or self.file_name or self.name or self.mime_type!r}, "
                f"{self.offset} of {self.size} bytes, url=***)")

    def __getstate__(self) -> Dict[str, Any]:
        return {**vars(self), "url": None}


def hash_of_beginning(source: Source) -> str:
    """The SHA-256 of the first bytes of a source of which no more has been prepared."""
    import hashlib  # here: most programs upload nothing
    return hashlib.sha256(beginning(source, BEGINNING)).hexdigest()
