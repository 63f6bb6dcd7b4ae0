"""The commands for what the API keeps: files, caches and embeddings."""
from __future__ import annotations

import argparse
import contextlib
import os
import sys
from array import array
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, ContextManager, Dict, Iterator, List, Optional, Sequence

from .. import files_on_disk
from .standard_error import print_status

if TYPE_CHECKING:
    from ..api.embeddings import Embeddings
    from ..client import GeminiClient

OpenClient = Callable[..., ContextManager["GeminiClient"]]


def run_files(arguments: argparse.Namespace, open_client: OpenClient) -> int:
    """``gemini-lite files``."""
    _check_items(arguments, without="list", single="download")
    with open_client(arguments) as client:
        if arguments.action == "list":
            _print_all(list(client.files.list(page_size=100)), arguments)
        elif arguments.action == "upload":
            _print_all([_upload(client, arguments, item) for item in arguments.items], arguments)
        elif arguments.action == "delete":
            for item in arguments.items:
                client.files.delete(item)
        else:
            _download(client, arguments.items[0], arguments.output)
    return 0


def run_caches(arguments: argparse.Namespace, open_client: OpenClient) -> int:
    """``gemini-lite caches``."""
    from .inputs import Inputs
    _check_items(arguments, without="list")
    if arguments.action == "extend" and arguments.ttl is None:
        raise ValueError("say for how many seconds from now, with --ttl SECONDS")
    with open_client(arguments) as client:
        if arguments.action == "list":
            _print_all(list(client.caches.list(page_size=1000)), arguments)
        elif arguments.action == "create":
            given = {"model": arguments.model, "system_prompt": arguments.system}
            overrides: Dict[str, Any] = {name: value for name, value in given.items() if value is not None}
            cache = client.caches.create(Inputs().attachment_parts(arguments.items), ttl=arguments.ttl,
                                         display_name=arguments.display_name, **overrides)
            _print_all([cache], arguments)
        elif arguments.action == "extend":
            _print_all([client.caches.update(item, ttl=arguments.ttl) for item in arguments.items], arguments)
        else:
            for item in arguments.items:
                client.caches.delete(item)
    return 0


def run_embed(arguments: argparse.Namespace, open_client: OpenClient) -> int:
    """``gemini-lite embed``."""
    from ..errors import GeminiError
    write = _writer(arguments.output)
    texts = _read_texts(arguments)
    if not texts:
        raise ValueError("there is nothing to embed: each line that is not empty is an item")
    with open_client(arguments) as client:
        try:
            vectors = client.embed(
                texts, model=arguments.model, task_type=arguments.task, normalize=arguments.normalize,
                output_dimensionality=arguments.dimensions, concurrency=arguments.concurrency)
        except GeminiError as error:
            done = error.embeddings
            if done is not None and len(done.missing) < len(done) and write is not _write_npy:
                write(arguments.output, texts, done)
                print_status(f"{len(done) - len(done.missing)} of {len(done)} vectors were made and are written; the "
                             "same command makes all of them anew")
            raise
    write(arguments.output, texts, vectors)
    return 0


def _check_items(arguments: argparse.Namespace, without: str, single: str = "") -> None:
    if arguments.action == without and arguments.items:
        raise ValueError(f"'{arguments.action}' takes no names")
    if arguments.action != without and not arguments.items:
        raise ValueError(f"'{arguments.action}' needs a file or a name")
    if arguments.action == single and len(arguments.items) > 1:
        raise ValueError(f"'{arguments.action}' takes one name")


def _upload(client: GeminiClient, arguments: argparse.Namespace, item: str) -> Any:
    from ..api.upload_state import UploadState
    state: Optional[str] = arguments.state
    if state and len(arguments.items) > 1:
        raise ValueError("--state notes one upload: give one file")
    resume = UploadState.load(state) if state and os.path.exists(state) else None
    source: Any = sys.stdin.buffer if item == "-" else item
    try:
        file = client.files.upload(
            source, mime_type=arguments.type, name=arguments.name, display_name=arguments.display_name,
            wait=not arguments.no_wait, resume=resume, progress=True if sys.stderr.isatty() else None)
    except BaseException as error:
        upload = getattr(error, "upload", None)
        if state and upload is not None:
            upload.save(state)
            print_status(f"the upload is noted in {state}: the same command goes on with it")
        raise
    if state and resume is not None:
        with contextlib.suppress(OSError):
            os.unlink(state)
    return file


def _download(client: GeminiClient, name: str, output: Optional[str]) -> None:
    if output is not None:
        client.files.download(name, output)
        return
    data = client.files.download(name)
    assert isinstance(data, bytes)
    out: BinaryIO = sys.stdout.buffer
    out.write(data)
    out.flush()


def _print_all(found: Sequence[Any], arguments: argparse.Namespace) -> None:
    from .printer import Printer
    if arguments.format == "json":
        Printer().print_json([item.data for item in found])
        return
    names = type(found[0]).shown if found else ("name",)
    Printer().print_table(tuple(name.replace("_", " ") for name in names),
                          [tuple(_cell(getattr(item, name)) for name in names) for item in found])


def _cell(value: Any) -> Any:
    return value.strftime("%Y-%m-%d %H:%M") if hasattr(value, "strftime") else value


def _read_texts(arguments: argparse.Namespace) -> List[str]:
    """The items of the file: its lines, or what --prompt makes of the rows of a table."""
    from .map_help import MapArguments
    from .prompt_file import is_table, naming, read_prompts
    name: str = arguments.file
    if not is_table(name):
        if arguments.prompt is not None:
            raise ValueError(f"--prompt is for a .csv, .tsv or .jsonl file, and {name} is none")
        return _lines(name)
    with contextlib.ExitStack() as stack, naming(name):
        table = MapArguments(input=name, input_format=None, prompt=arguments.prompt, key=None)
        items = list(read_prompts(stack, table))
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise ValueError(f"a line of {name} is no JSON string: write --prompt with {{field}} in it")
    return texts


def _lines(name: str) -> List[str]:
    from .inputs import Inputs
    try:
        text = Inputs().read_file(name, "what to embed").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8 text") from None
    return [line.strip() for line in text.split("\n") if line.strip()]


Write = Callable[[Optional[str], List[str], "Embeddings"], None]


def _writer(output: Optional[str]) -> Write:
    """What writes the vectors, by the name of the file."""
    if output is None or output.endswith(".jsonl"):
        return _write_jsonl
    if output.endswith(".npy"):
        return _write_npy
    raise ValueError(f"{output} is neither a .jsonl nor a .npy file")


def _write_jsonl(output: Optional[str], texts: List[str], vectors: Embeddings) -> None:
    if output is None:
        for line in _json_lines(texts, vectors):
            sys.stdout.write(line.decode("ascii"))
        sys.stdout.flush()
        return
    with _replacing(output) as file:
        file.writelines(_json_lines(texts, vectors))


def _json_lines(texts: List[str], vectors: Embeddings) -> Iterator[bytes]:
    import json
    for text, vector in zip(texts, vectors):
        if vector is not None:  # in what a failure leaves
            yield json.dumps({"text": text, "embedding": vector.tolist()}).encode("ascii") + b"\n"


def _write_npy(output: Optional[str], texts: List[str], vectors: Embeddings) -> None:
    """NumPy's own format, version 1.0: the header fills up to a multiple of 64 bytes, then the rows."""
    if len({len(vector) for vector in vectors}) > 1:
        raise ValueError("the vectors are not equally long, so that a .npy file cannot hold them: write a .jsonl file")
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({len(vectors)}, {len(vectors[0])}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with _replacing(str(output)) as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode("ascii"))
        for vector in vectors:
            file.write(_little_endian(vector))


def _little_endian(vector: array[float]) -> bytes:
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector.tobytes()


@contextlib.contextmanager
def _replacing(output: str) -> Iterator[BinaryIO]:
    try:
        with files_on_disk.replacing(output) as file:
            yield file
    except OSError as error:
        raise ValueError(f"cannot write {output}: {error.strerror}") from None
