"""langchain-google-genai."""
from driver import EMBEDDING_MODEL, KEPT_FILE, KEY, MODEL, PROMPT, SCHEMA, TEXTS, URL, run
from langchain_core.messages import HumanMessage
from langchain_google_genai import ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings, create_context_cache
from langchain_common import features

HERE = {"google_api_key": KEY, "base_url": URL}
chat = ChatGoogleGenerativeAI(model=MODEL, max_retries=0, **HERE)


def files():
    file = {"type": "media", "file_uri": KEPT_FILE, "mime_type": "text/plain"}
    return {"answer": chat.invoke([HumanMessage([file, {"type": "text", "text": PROMPT}])]).text}


def caches():
    name = create_context_cache(chat, [HumanMessage("A long text.")], ttl="60s")
    return {"name": name, "answer": chat.invoke(PROMPT, cached_content=name).text}


run(**features(chat, {"title": "person", **SCHEMA}), count=lambda: chat.get_num_tokens(PROMPT),
    embeddings=lambda: GoogleGenerativeAIEmbeddings(model=EMBEDDING_MODEL, **HERE).embed_documents(TEXTS),
    files=files, caches=caches)
