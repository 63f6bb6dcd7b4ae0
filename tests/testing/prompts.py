"""The requests that the tests of the stand-in write by hand."""
MODEL = "/v1beta/models/gemini-2.5-flash"
UNARY = f"{MODEL}:generateContent"
ARRAY = f"{MODEL}:streamGenerateContent"
STREAM = f"{ARRAY}?alt=sse"
VERTEX = "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent"
HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
