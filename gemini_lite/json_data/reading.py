"""The API's JSON data, read without trusting its shape: a value of another kind than expected reads as absent."""
from __future__ import annotations

import functools
import re
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NoReturn, Optional, Tuple

JSON = Dict[str, Any]  # a JSON object as the API documents it

_OPAQUE_FIELDS = frozenset((
    "args", "response", "labels", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema",
    "responseFormat", "schema", "responseJsonSchemaOrdered"))


def dict_or_empty(value: object) -> JSON:
    """`value` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of_dicts(value: object) -> List[JSON]:
    """The dicts among the items of `value`, if it is a list; `value` itself where all of them are."""
    if not isinstance(value, list):
        return []
    for item in value:
        if not isinstance(item, dict):
            return [item for item in value if isinstance(item, dict)]
    return value


def str_or_none(value: object) -> Optional[str]:
    """`value` if it is a string."""
    return value if isinstance(value, str) else None


def int_or_none(value: object) -> Optional[int]:
    """`value` if it is an int and no bool."""
    return value if type(value) is int else None


def number_or_none(value: object) -> Optional[float]:
    """`value` if it is an int or float of ordinary size: no bool, NaN, infinity or 10 ** 400."""
    return value if type(value) in (int, float) and abs(value) < 1e300 else None  # type: ignore[return-value, arg-type]


def first_candidate(answer: object) -> JSON:
    """The candidate with index 0 (an index that is absent is 0), ``{}`` if there is none."""
    for candidate in list_of_dicts(dict_or_empty(answer).get("candidates")):
        if not candidate.get("index"):
            return candidate
    return {}


def has_text(part: JSON) -> bool:
    """Whether a part has text."""
    return isinstance(part.get("text"), str)


def is_thought(part: Mapping[str, Any]) -> bool:
    """Whether a part is a thought; a call, or the result of one, is none even where the server marks it as one."""
    return bool(part.get("thought")) and not (part.get("functionCall") or part.get("functionResponse"))


class APIObject(Dict[str, Any]):
    """A JSON object of the API that reads both ways: ``x["finishReason"]``, ``x.finishReason`` and ``x.finish_reason``.

    It is made on access and equal to the dict that it shows; what is written to it does not reach that dict. A field
    that the API knows and that is absent reads as None; an unknown name is an AttributeError. A key that is also a
    method of dict (``items``, ``values``) is reached by ``[...]``. What lies below arguments, results, schemas and
    labels is the user's own, and stays plain.
    """

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        kind = type(value)
        if kind is not dict and kind is not list:
            return value
        shown = copied(value) if key in _OPAQUE_FIELDS else readable(value)
        super().__setitem__(key, shown)  # the next access finds the same object
        return shown

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # the protocols of copy, pickle and notebooks
            raise AttributeError(name)
        key = name if name in self else _camel_case(name)
        if key in self:
            return self[key]
        snake = _snake_case(name)
        for key in self:
            if _snake_case(key) == snake:
                return self[key]
        return None if _camel_case(name) in _field_names() else self._raise_unknown(snake)

    def _raise_unknown(self, name: str) -> NoReturn:
        import difflib
        own = [_snake_case(str(key)) for key in self]
        similar = difflib.get_close_matches(name, own, 1) or difflib.get_close_matches(
            name, sorted(map(_snake_case, _field_names())), 1)
        hint = f"did you mean {similar[0]}?" if similar else f"it has {', '.join(own[:20]) or 'no fields'}"
        raise AttributeError(f"the API has no field {name!r}: {hint}")

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key` as ``[key]`` gives it, or `default`."""
        return self[key] if key in self else default

    def values(self) -> Any:
        """The values, each as ``[...]`` gives it."""
        self._wrap_values()
        return super().values()

    def items(self) -> Any:
        """The keys with their values, each as ``[...]`` gives it."""
        self._wrap_values()
        return super().items()

    def pop(self, key: str, *default: Any) -> Any:
        """Take `key` out of this object; KeyError if it is not there and no `default` is given."""
        self.get(key)
        return super().pop(key, *default)

    def popitem(self) -> Tuple[str, Any]:
        """Take the last key out, with its value; KeyError if there is none."""
        self._wrap_values()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of `key`, which is `default` from now on if it was not there."""
        return self[key] if key in self else super().setdefault(key, default)

    def copy(self) -> APIObject:
        """An object of its own with the same values, which are not copied."""
        return APIObject(self.items())

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()  # with a method of its own, dict(x) and {**x} ask for each value

    def __or__(self, other: Mapping[str, Any]) -> JSON:  # type: ignore[override, unused-ignore]
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> JSON:  # type: ignore[override, unused-ignore]
        return {**other, **self}

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *(_snake_case(key) for key in self if isinstance(key, str))]

    def _wrap_values(self) -> None:
        for key in self:
            self[key]


def readable(value: Any) -> Any:
    """JSON data as `APIObject`s: those in lists at once, those in objects when they are asked for."""
    if isinstance(value, dict):
        return value if type(value) is APIObject else APIObject(value)
    if isinstance(value, list):
        return [readable(item) if isinstance(item, dict) else copied(item) for item in value]
    return value


def copied(value: Any) -> Any:
    """A deep copy of JSON data, however deep it is; anything else stays as it is."""
    result = [value]
    waiting: List[Tuple[Any, Any]] = [(result, 0)]
    while waiting:
        holder, place = waiting.pop()
        item = holder[place]
        if isinstance(item, dict):
            item = holder[place] = dict(item)
            waiting += [(item, key) for key in item]
        elif isinstance(item, list):
            item = holder[place] = list(item)
            waiting += [(item, index) for index in range(len(item))]
    return result[0]


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


@functools.lru_cache(maxsize=None)
def _field_names() -> FrozenSet[str]:
    """The names of the API's fields: what is known, and only absent, reads as None.

    Sources: the protocol buffers of the Gemini API (v1beta), the discovery document of Vertex AI (v1beta1), answers.
    """
    return frozenset(_FIELD_NAMES.split())


_FIELD_NAMES = """
    activityEnd activityHandling activityStart adaptationPhrases allowedFunctionNames allowedTiers alpha answer
    answerStyle answerableProbability anyOf apiSpec args aspectRatio audio audioDurationSeconds audioStreamEnd
    audioTimestamp audioTranscription audioTranscriptionConfig autoMode automaticActivityDetection avgLogprobs
    baseModel baseModelId batch batchSize batchStats batches behavior billablePromptUsage bitRate blockReason
    blockReasonMessage blocked blockingConfidence boolValue buckets cacheTokensDetails cachedContent
    cachedContentTokenCount cachedContents candidateCount candidates candidatesTokenCount candidatesTokensDetails
    category chosenCandidates chunkId citationMetadata citationSources citations clientContent
    cloudaicompanionProject code codeExecution codeExecutionResult completeTime completedPercent completedSteps
    compressionQuality computeTime computerUse confidenceScores content contents contextWindowCompression
    continuationToken createTime currentTier customConfigs customMetadata customVocabulary data dataStore
    dataStoreSpecs datastore day default delivery description details diarization disableAttribution
    disabledSafetyPolicies displayName distanceMeters documentName domain done downloadUri duration
    dynamicRetrievalConfig dynamicThreshold echoTargetLanguage embedding embeddings enableAffectiveDialog
    enableDataRetention enableEnhancedCivicAnswers enablePromptInjectionDetection enableWidget
    enableZeroDataRetention encodedPolyline encryptionSpec endIndex endOffset endTime endpoint engine
    enterpriseWebSearch enum environment epoch epochCount error example examples excludeDomains
    excludedPredefinedFunctions executableCode expirationTime expireTime externalApi failedRequestCount
    featureSelectionPreference file fileData fileId fileName fileSearch fileSearchStore fileUri files filter
    finishMessage finishReason firstPage flagContentUri format fps frequencyPenalty functionCall
    functionCallingConfig functionCalls functionDeclarations functionResponse functionResponses gcsUri
    generateContentRequest generationComplete generationConfig goAway googleMaps googleMapsUri
    googleMapsWidgetContextToken googleSearch googleSearchDynamicRetrievalScore googleSearchRetrieval
    groundingAttributions groundingChunkIndices groundingChunks groundingMetadata groundingPassage
    groundingSupports groundingTypes handle hyperparameters id ids image imageConfig imageCount imageOutputOptions
    imageSearch imageSearchQueries imageSize imageUri includeThoughts index ineligibleTiers inlineData
    inlinePassages inlinedRequests inlinedResponse inlinedResponses inputAudioTranscription inputConfig
    inputFeedback inputTokenLimit inputTranscription interrupted items jsonPath language languageAuto languageCode
    languageCodes languageHints lastPage latLng latitude learningRate learningRateMultiplier level license
    logProbability logProbabilitySum logprobs logprobsResult longitude manualMode maps maxChunksCount maxItems
    maxLength maxOutputTokens maxProperties maxResults maxTemperature maximum meanLoss mediaChunks mediaProcessing
    mediaResolution message metadata metadataFilter metadataFilters mimeType minItems minLength minProperties
    minimum minimumRelevanceScore modality mode model modelConfig modelId modelName modelRoutingPreference
    modelTurn modelVersion models month multiSpeakerVoiceConfig name newHandle nextPageToken nullValue nullable
    numHits numberValue outcome output outputAudioTranscription outputDimensionality outputTokenLimit
    outputTranscription overwrittenThreshold pageSize pageSpan pageToken paidTier parameters parametersJsonSchema
    partIndex partMetadata partialArgs parts passages pattern pendingRequestCount personGeneration
    placeAnswerSources placeId places prebuiltVoiceConfig presencePenalty priority probability probabilityScore
    prominentPeople promptFeedback promptTokenCount promptTokensDetails properties propertyOrdering
    publicationDate query ragChunk ragCorpora ragCorpus ragFileIds ragResources ragRetrievalConfig ranking rating
    readerProjectNumbers realtimeInput realtimeInputConfig reason remainingAmount remainingFraction
    renderedContent renderedParts replicatedVoiceConfig requestCount requests required resetTime resolution
    response responseFormat responseId responseJsonSchema responseJsonSchemaOrdered responseLogprobs
    responseMimeType responseModalities responseSchema responseTokenCount responsesFile resumable retrieval
    retrievalConfig retrievalMetadata retrievalQueries retrievalResources retrievedContext retrievedUrl reviewId
    reviewSnippets role route routing routingConfig safetyRatings safetySettings sampleRate scheduling schema
    sdkBlob searchEntryPoint searchTemplate searchTypes seed segment semanticRetriever semanticRetrieverChunk
    serverContent serviceTier sessionResumption sessionResumptionUpdate setting setupComplete severity
    severityScore sha256Hash similarityTopK simpleSearchParams sizeBytes slidingWindow snapshots source
    sourceFlaggingUris sourceId sourceText sourceUri speaker speakerLabel speakerVoiceConfigs speechConfig
    speechMetadata startIndex startOffset startTime state status step stopSequences storeContext
    streamFunctionCallArguments stringValue style successfulRequestCount supportedGenerationMethods
    systemInstruction targetLanguageCode taskType temperature text textCount textInput thinking thinkingBudget
    thinkingConfig thinkingLevel thought thoughtSignature thoughtsTokenCount threshold timeLeft title token
    tokenCount tokenId tokenType toolCall toolCallCancellation toolConfig toolResponse toolType
    toolUsePromptTokenCount toolUsePromptTokensDetails tools topCandidates topK topP totalBillableCharacters
    totalSteps totalTokenCount totalTokens trafficType trainingData translationConfig triggerTokens ttl tunedModel
    tunedModelId tunedModelSource tunedModels tuningTask turnComplete turnCoverage turns type updateMask
    updateTime uri urlContext urlContextMetadata urlMetadata urlRetrievalStatus usageMetadata values
    vectorDistanceThreshold vectorSimilarityThreshold version vertexAiSearch vertexRagStore video videoDuration
    videoDurationSeconds videoMetadata voice voiceConfig voiceName voiceSampleAudio waitingForInput web webSearch
    webSearchQueries willContinue word wordTimestamp words year
"""
