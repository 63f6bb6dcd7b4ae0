"""What a type checker must find: each line that ends with ``# error``, and no other. Never run."""
import dataclasses
from typing import List

import gemini_lite
from gemini_lite import Chat, CodeAssist, DeveloperAPI, GeminiClient, GeminiOptions, Tool, query, read_results


@dataclasses.dataclass
class Person:
    name: str


client = GeminiClient()
chat = client.chat()

# The names of keywords
client.generate("Hi", temprature=0)  # error
client.generate("Hi", max_tokens=5)  # error
client.stream("Hi", system="Be brief.")  # error
client.send_message("Hi", generation_config={})  # error
client.send_message_stream("Hi", stop="END")  # error
client.chat(temprature=0)  # error
client.count_tokens("Hi", contents="Hi")  # error
chat.send_tool_result("f", {}, temprature=0)  # error
chat.send_tool_results([("f", {})], thinking_config={})  # error
query("Hi", temprature=0)  # error
GeminiClient(key="k")  # error
GeminiClient(temprature=0)  # error
GeminiOptions(max_tokens=5)  # error

client.caches.create("Hi", temperature=0)  # error
client.map(["Hi"], temprature=0)  # error
client.interactions.create("Hi", temprature=0)  # error

# Names
gemini_lite.RateLimitErr  # error
gemini_lite.media.from_byte  # error

# Their types
client.generate("Hi", temperature="hot")  # error
client.generate("Hi", top_k=1.5)  # error
client.generate("Hi", stop_sequences=5)  # error
client.generate("Hi", stop_sequences="END")  # error
client.generate("Hi", response_modalities="IMAGE")  # error
client.generate("Hi", tools=[5])  # error
client.generate("Hi", system_prompt=5)  # error
client.generate("Hi", response_modalities=5)  # error
client.generate("Hi", image_config="16:9")  # error
client.stream("Hi", deadline="soon")  # error
client.stream("Hi", timeout="soon")  # error
client.send_message("Hi", retries=1.5)  # error
client.count_tokens("Hi", model=5)  # error
client.generate(5)  # error
client.chat("Hi", model=5)  # error
query("Hi", 5)  # error
GeminiClient(api_key=5)  # error
GeminiClient("AIza...")  # error
GeminiClient(backend="developer")  # error
GeminiClient(options={"temperature": 0})  # error
GeminiOptions(temperature="hot")  # error
DeveloperAPI(5)  # error
CodeAssist(5)  # error
Tool(5)  # error

# What comes back
client.generate("Hi", response_schema=Person).parsed.nmae  # error
client.stream("Hi", response_schema=Person).response.parsed.nmae  # error
client.send_message("Hi", response_schema=Person).parsed.nmae  # error
query("Hi", response_schema=Person).parsed.nmae  # error
client.generate("Hi", response_schema=List[Person]).parsed.name  # error
number: int = client.generate("Hi", response_schema=Person).parsed  # error
client.generate("Hi").txt  # error
client.generate("Hi").usage  # error
client.stream("Hi").text  # error
client.models.generate_content  # error
client.aio  # error
client.backend.paths("generateContent", "m")  # error
client.options.temprature  # error
client.count_tokens("Hi").text  # error
for chunk in client.stream("Hi"):
    print(chunk.text_detla)  # error
client.temperature = 0.5  # error
chat.send_tool_results([], response_schema=Person).parsed.nmae  # error
client.interactions.create("Hi", response_schema=Person).parsed.nmae  # error
for result in client.map(["Hi"], response_schema=Person):
    result.unwrap().parsed.nmae  # error
for result in read_results("out.jsonl", response_schema=Person):
    result.unwrap().parsed.nmae  # error
size: int = client.files.download("files/x")  # error
other: Chat = client.generate("Hi")  # error
