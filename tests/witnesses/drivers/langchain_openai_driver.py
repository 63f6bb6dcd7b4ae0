"""langchain-openai, at a server that has our OpenAIChat."""
from driver import KEY, MODEL, SCHEMA, URL, run
from langchain_common import features
from langchain_openai import ChatOpenAI

chat = ChatOpenAI(model=MODEL, api_key=KEY, base_url=f"{URL}/v1", max_retries=0)
run(**features(chat, {"title": "person", **SCHEMA}))
