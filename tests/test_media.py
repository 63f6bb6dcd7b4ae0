"""Pictures, sound and files: into a prompt by any door, out of an answer as files."""
from __future__ import annotations

import base64
import io
import os
import pathlib
import wave
from typing import Any

import pytest
from growth import assert_linear

from gemini_lite import GenerateContentResponse, contents, media

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


def inline(data: bytes, mime_type: str) -> Any:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


@pytest.mark.parametrize("first, mime_type", [
    (PNG, "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"), (b"%PDF-1.7", "application/pdf"), (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
    (b"ID3\x04", "audio/mp3"), (b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"), (b"\0\0\0\x18ftypmp42", "video/mp4"),
    (b"\0\0\0\x18ftypM4A ", "audio/mp4"), (b"\x1a\x45\xdf\xa3", "video/webm"), (b"\0\0\0\x18ftypheic", "image/heic"),
    (b"BM\x8a\n\r\0\0\0\0\0\x8a", "image/bmp"), (b"FORM\0\0\0\0AIFF", "audio/aiff"),
    (b"RIFF\n\0\0\0AVI ", "video/x-msvideo"), (b"\0\0\0\x18ftypmif1", "image/heif"),
    *((b"\xff" + bytes([byte]), "audio/mp3") for byte in (0xf2, 0xf3, 0xfa, 0xfb)),
    *((b"\xff" + bytes([byte]), "audio/aac") for byte in (0xf1, 0xf9)),
    *((b"\0\0\0\n" + b"ftyp" + brand, "video/mp4") for brand in (b"isom", b"iso6", b"mp41", b"avc1", b"M4V ", b"dash")),
    (b"\0\0\0\x14ftypqt  ", "video/quicktime"), (b"\0\0\0\x18ftyp3gp5", "video/3gpp"),
])
def test_the_mime_type_is_recognised_by_the_first_bytes(first: bytes, mime_type: str) -> None:
    assert contents.from_prompt(["?", first])[0]["parts"][1] == inline(first, mime_type)


@pytest.mark.parametrize("data", [
    b"BMW sold more cars", b"ID3 is a decision tree", b"GIF8 has no such letter", b"the word WAVE stands here",
    b"\0\0\0\x20ftypavif\0\0\0\0", b"four" + b"ftypo is a typo", b"BM", b""])
def test_text_and_types_that_gemini_does_not_take_are_not_taken_for_a_file(data: bytes) -> None:
    with pytest.raises(ValueError, match="the first bytes tell no MIME type"):
        media.from_bytes(data)


def test_bytes_may_lie_in_memory_as_they_like() -> None:
    for view in (memoryview(b"abcd").cast("B", (2, 2)), memoryview(b"a.b.c.d.")[::2], bytearray(b"abcd")):
        assert contents.from_prompt((view, "text/plain"))[0]["parts"] == [inline(b"abcd", "text/plain")]


def test_the_name_of_a_file_comes_before_its_first_bytes(tmp_path: pathlib.Path) -> None:
    files = [("a.png", b"x", "image/png"), ("notes.txt", PNG, "text/plain"), ("odd", PNG, "image/png"),
             ("Makefile", "größe: 1".encode(), "text/plain"), ("odder", b"???", "text/plain")]
    for name, data, mime_type in files:
        (tmp_path / name).write_bytes(data)
        assert contents.from_prompt(tmp_path / name)[0]["parts"] == [inline(data, mime_type)]


@pytest.mark.parametrize("make", [
    lambda path: media.from_bytes(b"what is this"), lambda path: media.from_bytes(b"x", "png"),
    lambda path: media.from_path(path / "missing.png"), lambda path: media.from_path(path),
    lambda path: media.from_path(path / "unknown"), lambda path: media.from_path(path / "latin"),
    lambda path: media.from_path(path / "empty.txt"), lambda path: media.from_uri("cat.png"),
])
def test_what_cannot_be_a_part_is_refused_with_what_to_write(tmp_path: pathlib.Path, make: Any) -> None:
    (tmp_path / "unknown").write_bytes(b"?\0?")
    (tmp_path / "latin").write_bytes("größe".encode("latin-1"))
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError):
        make(tmp_path)


@pytest.mark.parametrize("uri, expected", [
    ("https://www.youtube.com/watch?v=x", {"fileUri": "https://www.youtube.com/watch?v=x"}),
    ("https://example.com/a.pdf", {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}),
    ("gs://bucket/b.mp4", {"fileUri": "gs://bucket/b.mp4", "mimeType": "video/mp4"}),
])
def test_a_uri_is_file_data(uri: str, expected: Any) -> None:
    assert media.from_uri(uri) == {"fileData": expected}
    assert media.from_uri(uri, "video/webm")["fileData"]["mimeType"] == "video/webm"


def test_pictures_and_figures_are_known_by_their_methods() -> None:
    class Picture:
        format = None

        def getbands(self) -> Any:
            return ("R",)

        def save(self, file: Any, format: str) -> None:
            file.write(format.encode())

    class Figure:
        def savefig(self, file: Any, format: str) -> None:
            file.write(b"figure " + format.encode())

    picture = Picture()
    expected = [inline(b"PNG", "image/png"), inline(b"figure png", "image/png")]
    assert contents.from_prompt([picture, Figure()])[0]["parts"] == expected
    for known, sent in (("JPEG", b"JPEG"), ("MPO", b"JPEG"), ("WEBP", b"WEBP"), ("TIFF", b"PNG")):
        picture.format = known  # type: ignore[assignment]
        assert contents.from_prompt(picture)[0]["parts"] == [inline(sent, f"image/{sent.decode().lower()}")]


def test_a_picture_of_a_mode_that_its_format_does_not_have_is_converted_and_one_that_is_cut_refused() -> None:
    class Picture:
        format = "JPEG"

        def __init__(self, mode: str, cut: bool = False) -> None:
            self.mode, self.cut = mode, cut

        def getbands(self) -> Any:
            return tuple(self.mode)

        def convert(self, mode: str) -> Any:
            return Picture(mode, self.cut)

        def save(self, file: Any, format: str) -> None:
            file.write(b"half of ")
            if self.cut or (self.mode, format) != ("RGBA", "PNG"):
                raise OSError(f"cannot write mode {self.mode} as {format}")
            file.write(b"a PNG")

    assert contents.from_prompt(Picture("CMYK"))[0]["parts"] == [inline(b"half of a PNG", "image/png")]
    with pytest.raises(ValueError, match="cannot be written as PNG"):
        contents.from_prompt(Picture("RGB", cut=True))


def answer(*parts: Any, **candidate: Any) -> GenerateContentResponse:
    return GenerateContentResponse({"candidates": [{"content": {"role": "model", "parts": list(parts)}, **candidate}]})


def test_files_of_an_answer_are_bytes_with_their_type(tmp_path: pathlib.Path) -> None:
    response = answer({"text": "here"}, inline(PNG, "image/png"), inline(b"%PDF", "application/pdf"),
                      {"inlineData": {"data": 5}})
    assert response.images == [("image/png", PNG)] and response.audio == [] and len(response.files) == 2
    response.images[0].save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == PNG and os.listdir(tmp_path) == ["a.png"]


def test_raw_sound_is_saved_as_a_real_wav(tmp_path: pathlib.Path) -> None:
    pcm = bytes(range(100)) * 2
    sound = answer(inline(pcm, "audio/L16;codec=pcm;rate=16000")).audio[0]
    sound.save(tmp_path / "a.wav")
    with wave.open(io.BytesIO((tmp_path / "a.wav").read_bytes())) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert file.readframes(1000) == pcm and sound.data == pcm


@pytest.mark.parametrize("kind, data, mime_type, shown", [
    ("image/png", PNG, "image/png", base64.b64encode(PNG).decode()),
    ("IMAGE/JPEG", b"x", "image/jpeg", "eA=="),
    ("image/webp", b"x", "text/html", '<img src="data:image/webp;base64,eA==">'),
    ("image/svg+xml", b"x", "text/html", '<img src="data:image/svg+xml;base64,eA==">'),
    ("audio/mp3", b"x", "text/html", '<audio controls src="data:audio/mp3;base64,eA=="></audio>'),
    ("video/mp4", b"x", "text/html", '<video controls src="data:video/mp4;base64,eA=="></video>'),
])
def test_a_file_is_the_picture_or_a_player(kind: str, data: bytes, mime_type: str, shown: str) -> None:
    file = media.Blob(kind, data)
    assert file._repr_mimebundle_() == {mime_type: shown, "text/plain": f"Blob({kind!r}, {len(data)} bytes)"}
    assert answer(inline(data, kind))._repr_mimebundle_() == file._repr_mimebundle_()


def test_raw_sound_is_played_as_wav() -> None:
    shown = media.Blob("audio/L16;codec=pcm;rate=24000", b"\0\0")._repr_mimebundle_()["text/html"]
    assert base64.b64decode(shown.split("base64,")[1].split('"')[0])[:4] == b"RIFF" and "data:audio/wav;" in shown


@pytest.mark.parametrize("kind", ["application/pdf", "text/html", 'image/x"onerror="y', "audio/<b>", "image", ""])
def test_no_other_kind_of_file_becomes_html(kind: str) -> None:
    assert media.Blob(kind, b"<script>")._repr_mimebundle_() == {"text/plain": f"Blob({kind!r}, 8 bytes)"}


def test_a_failed_save_leaves_the_old_file_and_no_other(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.png").write_bytes(b"old")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        media.Blob("image/png", PNG).save(tmp_path / "a.png")
    assert os.listdir(tmp_path) == ["a.png"] and (tmp_path / "a.png").read_bytes() == b"old"


def test_code_that_ran_and_its_result_are_read_in_order() -> None:
    code, result = {"language": "PYTHON", "code": "1+1"}, {"outcome": "OUTCOME_OK", "output": "2"}
    assert answer({"executableCode": code}, {"codeExecutionResult": result}, {"text": "2"}).code == [code, result]


def test_citations_name_source_and_piece_of_text() -> None:
    grounding = {
        "groundingChunks": [{"web": {"title": "A", "uri": "https://a"}}, {"web": {"title": "B", "uri": "https://b"}},
                            {"retrievedContext": {"title": "C", "uri": "gs://c"}}],
        "groundingSupports": [{"segment": {"text": "one"}, "groundingChunkIndices": [0, 1]},
                              {"segment": {"text": "two"}, "groundingChunkIndices": [1, 9, -1]}]}
    assert answer({"text": "one two"}, groundingMetadata=grounding).citations == [
        ("A", "https://a", "one"), ("B", "https://b", "one"), ("B", "https://b", "two"), ("C", "gs://c", "")]
    assert answer({"text": "x"}).citations == []


@pytest.mark.parametrize("name", ["notes.txt.gz", "a.tar.bz2", "b.csv.xz", "c.tgz", "d.json.Z"])
def test_a_compressed_file_is_refused_unless_its_type_is_named(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(ValueError, match="is compressed .* unpack it"):
        media.from_path(tmp_path / name)
    assert media.from_path(tmp_path / name, "application/gzip") == inline(b"\x1f\x8b", "application/gzip")
    assert media.from_uri(f"https://example.com/{name}") == {"fileData": {"fileUri": f"https://example.com/{name}"}}


@pytest.mark.parametrize("data, expected", [
    (base64.b64encode(b"\xfb\xff\xfe").decode(), b"\xfb\xff\xfe"),
    (base64.urlsafe_b64encode(b"\xfb\xff\xfe").decode(), b"\xfb\xff\xfe"),
    ("eHk", b"xy"), ("eHk=", b"xy"), ("", b""),
    ("%%%%", None), ("e", None), ("eHk\n=", None), ("e Hk", None), ("ä", None), (5, None), (None, None),
    (b"eHk=", None),
])
def test_a_file_is_base64_of_either_alphabet_and_nothing_else(data: Any, expected: Any) -> None:
    found = media.blob({"mimeType": "image/png", "data": data})
    assert found == (None if expected is None else media.Blob("image/png", expected))


@pytest.mark.parametrize("inline_data",
                         [{}, {"data": "eHk="}, {"mimeType": 5, "data": "eHk="},
                          {"mimeType": ["image/png"], "data": "eHk="}])
def test_what_names_no_type_is_no_file(inline_data: Any) -> None:
    assert media.blob(inline_data) is None


@pytest.mark.parametrize("parameters, rate, channels", [
    ("rate=99999999999", 24000, 1), ("rate=0", 24000, 1), ("rate=-5", 24000, 1), ("rate=" + "9" * 5000, 24000, 1),
    ("rate=٣٣٣", 24000, 1),
    ("rate=048000", 48000, 1), ("channels=2", 24000, 2), ("channels=0", 24000, 1), ("channels=99999", 24000, 1),
    ("rate=1e9", 24000, 1),
    ("bitrate=16000", 24000, 1),
])
def test_odd_parameters_of_raw_sound_are_passed_over(parameters: str, rate: int, channels: int,
                                                     tmp_path: pathlib.Path) -> None:
    sound = media.Blob(f"audio/pcm;{parameters}", b"\0\0\0\0")
    sound.save(tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (rate, channels)
    assert "text/html" in sound._repr_mimebundle_()


def test_a_file_of_an_answer_is_a_part_of_the_next_prompt() -> None:
    assert media.from_object(media.Blob("image/png", PNG)) == inline(PNG, "image/png")
    part = media.from_object(media.Blob("audio/L16;rate=16000", b"\0\0"))
    assert part is not None and part["inlineData"]["mimeType"] == "audio/wav"
    assert base64.b64decode(part["inlineData"]["data"])[:4] == b"RIFF"


@pytest.mark.parametrize("make", [
    lambda n: "A" * n, lambda n: "=" * n, lambda n: "%" * n, lambda n: "-_" * n,
])
def test_base64_is_read_in_linear_time(make: Any) -> None:
    assert_linear(make, lambda data: media.blob({"mimeType": "image/png", "data": data}), 5000)


@pytest.mark.parametrize("make",
                         [lambda n: "rate=" * n, lambda n: "rate=" + "1" * n, lambda n: "rate=" + "0" * n,
                          lambda n: "channels=0" * n])
def test_parameters_are_read_in_linear_time(make: Any) -> None:
    assert_linear(lambda n: media.Blob(f"audio/pcm;{make(n)}", b""), lambda sound: sound._repr_mimebundle_(), 1000)
