"""The content of one message as Gemini parts."""
from __future__ import annotations

import base64
from typing import Any, Dict

import pytest
from openai_compat.builders import PNG, user_parts


def test_a_picture_in_a_data_url_is_inline_data() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG, "detail": "high"}}
    assert user_parts({"type": "text", "text": "What is it?"}, image) == [
        {"text": "What is it?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]


def test_a_data_url_may_be_percent_encoded() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}}
    assert user_parts(image) == [
        {"inlineData": {"mimeType": "image/svg+xml", "data": base64.b64encode(b"<svg/>").decode()}}]


@pytest.mark.parametrize("url", ["DATA:image/png;base64,iVA=", "data:image/png;BASE64,iVA=",
                                 "data:image/png;base64,iVA%3D", "Data:image/png; base64,iV\nA="])
def test_a_data_url_may_be_written_in_any_case_and_quoted(url: str) -> None:
    expected = [{"inlineData": {"mimeType": "image/png", "data": "iVA="}}]
    assert user_parts({"type": "image_url", "image_url": {"url": url}}) == expected
    assert user_parts({"type": "file", "file": {"file_data": url}}) == expected


@pytest.mark.parametrize("url", ["data:,a", "data:;base64,YQ=="])
def test_a_data_url_without_a_type_is_plain_text(url: str) -> None:
    assert user_parts({"type": "image_url", "image_url": {"url": url}}) == [
        {"inlineData": {"mimeType": "text/plain", "data": "YQ=="}}]


def test_a_picture_at_a_web_address_is_refused_with_the_reason_and_its_place() -> None:
    with pytest.raises(ValueError, match=r"messages\[0\]\.content\[1\].*https://x/cat\.png.*fetch it"):
        user_parts({"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x/cat.png"}})


def test_input_audio_is_inline_data() -> None:
    assert user_parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}) == [
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]


@pytest.mark.parametrize("file", [
    {"file_data": "data:application/pdf;base64,AAAA", "filename": "x"}, {"file_data": "AAAA", "filename": "x.pdf"}])
def test_a_file_is_inline_data(file: Dict[str, str]) -> None:
    assert user_parts({"type": "file", "file": file}) == [
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}]


@pytest.mark.parametrize("part, reason", [
    ({"type": "file", "file": {"file_id": "file-1"}}, "OpenAI's store"),
    ({"type": "file", "file": {"file_data": "AAAA"}}, "MIME type"),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA"}}, "padding"),
    ({"type": "image_url", "image_url": {"url": "data:image/png"}}, "no bytes"),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, "no bytes"),
    ({"type": "image_url", "image_url": "data:,"}, r"image_url\.url must be a string"),
    ({"type": "image_url", "image_url": {"url": "data:png,abc"}}, "'png' is no MIME type"),
    ({"type": "image_url", "image_url": {"url": "data:text/plain,\ud800"}}, "surrogates"),
    ({"type": "file", "file": {"file_data": "AAAA", "filename": "notes.txt.gz"}}, "compressed"),
    ({"type": "video_url"}, "video_url"),
    ({"type": "text", "text": None}, "must be a string"),
    ("text", "is no part"),
])
def test_a_part_that_cannot_be_sent_is_an_error_that_names_its_place(part: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=r"messages\[0\]\.content\[0\].*" + reason):
        user_parts(part)
