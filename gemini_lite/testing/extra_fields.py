"""Fields that the API takes and known_fields.py lacks, each with where that is known from.

"answered": a recorded request that has the field was answered with 200. "google-genai": google-genai 3.4.0 sends the
field to this API (what it refuses to send is not listed). "documented": a page of Google's.
"""

DEVELOPER = """\
GenerateContentRequest: labels serviceTier continuationToken store
GenerationConfig: audioTranscriptionConfig
ThinkingConfig: thinkingLevel
ImageConfig: imageSize
ToolConfig: includeServerSideToolInvocations
GoogleSearch: searchTypes>SearchTypes
SearchTypes: webSearch imageSearch
GoogleMaps: authConfig
Tool: mcpServers>McpServer
McpServer: name streamableHttpTransport>StreamableHttpTransport
StreamableHttpTransport: headers sseReadTimeout terminateOnClose timeout url
FileSearch: fileSearchStoreNames metadataFilter topK
Part: mediaResolution>PartMediaResolution audioTranscription mediaProcessing speechMetadata documentMetadata
  spreadsheetMetadata audioMetadata
PartMediaResolution: level numTokens
VoiceConfig: replicatedVoiceConfig voice
VideoMetadata: contentLayers
FunctionResponsePart: fileData>FileData mediaResolution>PartMediaResolution
Schema: additionalProperties defs>>Schema ref
EmbedContentRequest: embedContentConfig
BatchGenerateContentRequest: batch>GenerateContentBatch
GenerateContentBatch: displayName inputConfig>InputConfig model priority webhookConfig
InputConfig: fileName requests>InlinedRequests
InlinedRequests: requests>InlinedRequest
InlinedRequest: request>GenerateContentRequest metadata
AsyncBatchEmbedContentRequest: batch>EmbedContentBatch
EmbedContentBatch: displayName inputConfig>EmbedInputConfig model priority webhookConfig
EmbedInputConfig: fileName requests>InlinedEmbedRequests
InlinedEmbedRequests: requests>InlinedEmbedRequest
InlinedEmbedRequest: request>EmbedContentRequest metadata
"""
# labels, serviceTier, continuationToken, store, audioTranscriptionConfig, imageSize, searchTypes, authConfig,
#   mediaResolution of a part, audioTranscription, mediaProcessing and the other metadata of a part: google-genai.
# thinkingLevel, includeServerSideToolInvocations, mcpServers, fileSearchStoreNames, fileData in a function's result:
#   answered. metadataFilter and topK stand beside fileSearchStoreNames: google-genai.
# voice, replicatedVoiceConfig, contentLayers: google-genai's types, which it sends as they are.
# additionalProperties, $defs, $ref in `parameters` and `responseSchema`: google-genai's Schema, sent as it is.
# embedContentConfig: Vertex AI has it by the discovery document; google-genai sends it to gemini-embedding models.
# The batch messages: answered; `priority` and `webhookConfig` are documented.

VERTEX = """\
GenerateContentRequest: serviceTier
BatchEmbedContentsRequest: requests>EmbedContentRequest
Tool: mcpServers
ToolConfig: includeServerSideToolInvocations
FunctionResponse: willContinue
FunctionResponsePart: mediaResolution
Schema: defs>>Schema ref
CodeAssistRequest: model project userPromptId request>CodeAssistContentRequest enabledCreditTypes
CodeAssistCountRequest: request>CodeAssistCountedRequest
CodeAssistContentRequest: contents>Content systemInstruction>Content cachedContent tools>Tool toolConfig>ToolConfig
  labels safetySettings>SafetySetting generationConfig>GenerationConfig sessionId
CodeAssistCountedRequest: model contents>Content
"""
# serviceTier, mcpServers, includeServerSideToolInvocations: google-genai. BatchEmbedContentsRequest: google-genai calls
#   batchEmbedContents, for which the discovery document has no message. willContinue: google-genai's types. The
#   CodeAssist messages: what Gemini CLI 0.61.0 sends. partialArgs needs no line: the discovery document has it.

BOTH = """\
GenerateContentRequest: model
Part: toolCall>ToolCall toolResponse>ToolResponse partMetadata
ToolCall: id toolType args
ToolResponse: id toolType response
ExecutableCode: id
CodeExecutionResult: id
Schema: $ref $defs>>Schema
"""
# model: proto clients send it beside the path. toolCall, toolResponse, and the ids of code and its result: answered.
# $ref and $defs: the names in JSON of Schema's fields ref and defs.
