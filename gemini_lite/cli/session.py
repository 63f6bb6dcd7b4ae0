"""A conversation of the command line, and the file that it is kept in, if it is."""
from __future__ import annotations

import os
from typing import Any, Optional

from ..chat import Chat
from ..client import GeminiClient
from ..options import GeminiOptions
from .printer import tell
from .saved import Conversation, Saved


class Talk:
    """A `chat`, new or the saved one named `resume`, which `save` keeps; under the new name `save_as`, if given."""

    def __init__(
        self, client: GeminiClient, options: GeminiOptions, save_as: Optional[str] = None,
        resume: Optional[str] = None,
    ) -> None:
        self._client = client
        self._file: Optional[Saved] = None
        self.begin(options)
        if resume is not None:
            self.load(resume)
        if save_as is not None:
            self._file = Saved(save_as)
            self._file.claim()

    @property
    def unsaved(self) -> bool:
        """Whether there are turns that no file has."""
        return len(self.chat.history) > self._kept

    @property
    def name(self) -> Optional[str]:
        """The name that the conversation is kept under."""
        return None if self._file is None else self._file.name

    def begin(self, options: GeminiOptions, history: Any = ()) -> None:
        """Another conversation, which no file has."""
        self._file = None
        self._kept = 0
        self.chat: Chat = self._client.chat(list(history))
        self.chat.options = options

    def load(self, name: str) -> None:
        """The saved conversation `name`; the model and the system prompt that were chosen here hold."""
        file = Saved(name)
        saved = file.read()
        chosen = self.chat.options
        self.begin(chosen.replace(
            model=chosen.model or saved.model,
            system_prompt=saved.system if chosen.system_prompt is None else chosen.system_prompt), saved.history)
        self._file, self._kept = file, len(saved.history)

    def save(self, name: Optional[str] = None) -> None:
        """Keep the turns that are not kept yet; under `name` from now on, if given."""
        if name is not None and name != self.name:
            file = Saved(name)
            file.claim()
            self._file, self._kept = file, 0
        if self._file is None or not self.unsaved:
            return
        history, options, before = self.chat.history, self.chat.options, self._file.name
        self._file.write(Conversation(options.model or os.environ.get("GEMINI_MODEL") or None, options.system_prompt,
                                      history))
        self._kept = len(history)
        if self._file.name != before:
            tell(f"another process has gone on with {before} meanwhile: this conversation is now {self._file.name}")

    def rewind(self, turns: int) -> None:
        """Give up all but the first `turns` turns of the history."""
        options, self.chat = self.chat.options, self._client.chat(self.chat.history[:turns])
        self.chat.options = options
