"""The names of the API's fields: what is known, and only absent, reads as None.

Sources: the protocol buffers of the Gemini API (v1beta), the discovery document of Vertex AI (v1beta1), answers.
"""
from __future__ import annotations

FIELD_NAMES = frozenset("""
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
""".split())
