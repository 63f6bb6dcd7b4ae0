"""The content of one chat message as Gemini parts: text, pictures, audio and files. Pure functions on dicts."""
from __future__ import annotations

import base64
from typing import Callable, Dict, List
from urllib.parse import unquote, unquote_to_bytes

from .. import media
from ..json_data import JSON, dict_or_empty

CALL_PLACE: JSON = {"functionCall": {}}  # among the parts of a message's ``extra_content``: here is the next call


def user_parts(content: object, where: str) -> List[JSON]:
    """The Gemini parts of a user message's `content`, a string or a list of OpenAI's content parts.

    Empty text gives no part. ValueError names the place, which begins with `where`, of what cannot be sent.
    """
    if not isinstance(content, list):
        text = read_text(content, where)
        return [{"text": text}] if text else []
    parts = [_to_part(part, f"{where}.content[{index}]") for index, part in enumerate(content)]
    return [part for part in parts if part != {"text": ""}]


def read_text(content: object, where: str) -> str:
    """The text of a `content` that may hold text only; "" for None."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ValueError(f"{where}.content must be a string or a list of parts, not {type(content).__name__}")
    return "".join([_read_text_part(part, f"{where}.content[{index}]") for index, part in enumerate(content)])


def read_string(data: object, where: str, *keys: str) -> str:
    """The string under ``data[keys[0]][keys[1]]...``; ValueError if there is none."""
    value: object = data
    for key in keys:
        value = dict_or_empty(value).get(key)
    if not isinstance(value, str):
        raise ValueError(f"{where}.{'.'.join(keys)} must be a string")
    return value


def _read_text_part(part: object, where: str) -> str:
    part_type = _part_type(part, where)
    if part_type not in ("text", "refusal"):
        raise ValueError(f"{where} is {part_type}, where only text can be")
    return read_string(part, where, part_type)


def _to_part(part: object, where: str) -> JSON:
    part_type = _part_type(part, where)
    if part_type == "text":
        return {"text": read_string(part, where, "text")}
    if part_type not in _MEDIA_CONVERTERS:
        raise ValueError(f"{where} is of the type {part_type!r}; the types are text, {', '.join(_MEDIA_CONVERTERS)}")
    return _MEDIA_CONVERTERS[part_type](part, where)


def _part_type(part: object, where: str) -> str:
    if not isinstance(part, dict):
        raise ValueError(f"{where} is no part ({{'type': 'text', 'text': ...}}) but {type(part).__name__}")
    return str(part.get("type"))


def _from_image(part: object, where: str) -> JSON:
    url = read_string(part, where, "image_url", "url")
    if not _is_data_url(url):
        raise ValueError(f"{where} has its picture elsewhere ({url:.100}), and nothing is fetched here: fetch it, "
                         "and give 'data:image/png;base64,...'")
    return _from_data_url(url, where)


def _from_audio(part: object, where: str) -> JSON:
    mime_type = f"audio/{read_string(part, where, 'input_audio', 'format')}"
    return _inline(_decode_base64, read_string(part, where, "input_audio", "data"), mime_type, where)


def _from_file(part: object, where: str) -> JSON:
    file = dict_or_empty(dict_or_empty(part).get("file"))
    if file.get("file_id"):
        raise ValueError(f"{where} is a file in OpenAI's store, which Gemini cannot read: give its file_data")
    data = read_string(part, where, "file", "file_data")
    if _is_data_url(data):
        return _from_data_url(data, where)
    try:
        mime_type = media.type_of_name(str(file.get("filename")))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if mime_type is None:
        raise ValueError(f"{where} tells no MIME type: give file_data as 'data:application/pdf;base64,...'")
    return _inline(_decode_base64, data, mime_type, where)


_MEDIA_CONVERTERS: Dict[str, Callable[[object, str], JSON]] = {  # by the type of an OpenAI content part
    "image_url": _from_image, "input_audio": _from_audio, "file": _from_file,
}


def _is_data_url(url: str) -> bool:
    return url[:len("data:")].lower() == "data:"


def _from_data_url(url: str, where: str) -> JSON:
    head, _, data = url.partition(",")
    mime_type, *settings = head[len("data:"):].split(";")
    is_base64 = "base64" in [setting.strip().lower() for setting in settings]
    return _inline(_decode_base64 if is_base64 else unquote_to_bytes, data, mime_type or "text/plain", where)


def _decode_base64(data: str) -> bytes:
    """The bytes of base64 text, in which white space may stand, and signs as URLs have them (``%3D``)."""
    return base64.b64decode("".join(unquote(data).split()), validate=True)


def _inline(decode: Callable[[str], bytes], data: str, mime_type: str, where: str) -> JSON:
    """An ``inlineData`` part of the bytes that `decode` makes of `data`."""
    try:
        content = decode(data)
        if not content:
            raise ValueError("there are no bytes in it")
        return media.from_bytes(content, mime_type)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
