"""The sources of an answer, wherever Google puts them; in time that grows with their number."""
from __future__ import annotations

import pickle
import sys
from typing import Any, Dict, List

import pytest

from gemini_lite import GenerateContentResponse
from gemini_lite.answers.citations import Citation, citations

JSON = Dict[str, Any]


def test_file_search_names_the_passage_the_store_and_the_files_own_entries() -> None:
    chunk = {"retrievedContext": {"title": "T", "text": "42.", "fileSearchStore": "fileSearchStores/x",
                                  "customMetadata": [{"key": "year", "numericValue": 1979}]}}
    grounding = {"groundingChunks": [chunk], "groundingSupports": [
        {"segment": {"text": "the answer"}, "groundingChunkIndices": [0]}]}
    citation, = citations({"groundingMetadata": grounding})
    assert citation == ("T", "", "the answer") and isinstance(citation, Citation)
    assert (citation.text, citation.store) == ("42.", "fileSearchStores/x")
    assert citation.metadata[0].key == "year" and citation.metadata[0].numericValue == 1979


@pytest.mark.parametrize("key", ["citationSources", "citations"])
def test_recited_text_names_its_source_its_place_and_its_licence(key: str) -> None:
    found = citations({"citationMetadata": {key: [
        {"startIndex": 5, "endIndex": 9, "uri": "https://a", "license": "mit"}, {"uri": "https://b", "title": "B"}]}})
    assert found == [("", "https://a", ""), ("B", "https://b", "")]
    assert [(one.start, one.end, one.license) for one in found] == [(5, 9, "mit"), (None, None, "")]


def test_a_citation_pickles_with_all_that_it_names() -> None:
    found = citations({"citationMetadata": {"citations": [{"startIndex": 5, "license": "mit"}]}})
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again[0].license == "mit" and again[0].start == 5


@pytest.mark.parametrize("indices", [[0.0], [True, -1, 5, "0", None, {}], "0", 0, None, {"0": 0}, [[0]], [10 ** 30]])
def test_indices_that_are_none_name_nothing(indices: Any) -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "u"}}], "groundingSupports": [
        {"segment": {"text": "a"}, "groundingChunkIndices": indices}]}
    assert citations({"groundingMetadata": grounding}) == [("", "u", "")]


def test_many_citations_take_time_in_proportion() -> None:
    def lines(count: int, index: Any) -> int:
        ran = 0

        def trace(frame: Any, kind: str, argument: Any) -> Any:
            nonlocal ran
            ran += kind == "line"
            return trace

        grounding = {"groundingChunks": [{}] * count, "groundingSupports": [{"groundingChunkIndices": [index] * count}]}
        sys.settrace(trace)
        try:
            citations({"groundingMetadata": grounding})
        finally:
            sys.settrace(None)
        return ran

    indices: List[Any] = ["x", 0, 0.5]
    for index in indices:
        assert lines(2000, index) < 11 * lines(200, index)


def test_what_was_searched_and_read_has_words() -> None:
    response = GenerateContentResponse[Any]({"candidates": [{
        "groundingMetadata": {"webSearchQueries": ["a", 5], "retrievalQueries": ["b"],
                              "searchEntryPoint": {"renderedContent": "<b>"}},
        "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u", "urlRetrievalStatus": "OK"}]}}]})
    assert response.search_queries == ["a", "b"] and response.search_entry_point == "<b>"
    assert response.url_context[0].retrieved_url == "u" and response.url_context[0].url_retrieval_status == "OK"
