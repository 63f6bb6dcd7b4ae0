"""The chat that a command works on, and the file it is saved in, if any."""
from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Optional, Sequence

from ..chat import Chat
from ..client import GeminiClient
from ..json_data import JSON
from ..json_data.previews import counted
from ..options import GeminiOptions
from . import saved
from .arguments import Arguments
from .saved import ChatFile, ChatRecord
from .standard_error import print_status


class CurrentChat:
    """`chat` is a new one, or the saved one named `resume`; `save` writes it, under the new name `save_as` if given.
    """

    def __init__(
        self, client: GeminiClient, options: GeminiOptions, *, save_as: Optional[str] = None,
        resume: Optional[str] = None,
    ) -> None:
        self._client = client
        self.start_new(options)
        if resume is not None:
            self.load(resume)
        if save_as is not None:
            self._start_file(save_as)

    @classmethod
    def from_arguments(cls, client: GeminiClient, options: GeminiOptions, arguments: Arguments) -> CurrentChat:
        """The chat that --continue, --conversation and --save ask for."""
        resume = arguments.conversation
        if arguments.resume_last:
            if resume is not None:
                raise ValueError("--continue goes on with the last conversation, --conversation with the one it names: "
                                 "write one of them")
            words = getattr(arguments, "words", [])
            if len(words) > 1 and words[0] in saved.names():
                raise ValueError(f"--continue takes no name: write --conversation {words[0]}")
            resume = saved.last_name()
        if resume is not None and arguments.conversation is not None and not saved.ChatFile(resume).exists():
            if arguments.save is not None:
                raise ValueError(f"there is no conversation {resume} to save as {arguments.save}")
            print_status(f"a new conversation: {resume}")
            return cls(client, options, save_as=resume)
        current = cls(client, options, save_as=arguments.save, resume=resume)
        if arguments.resume_last:
            print_status(f"goes on with {resume}: {counted(len(current.chat.history), 'turn')}")
        return current

    @property
    def has_unsaved_turns(self) -> bool:
        """Whether the history is longer than what was last saved or loaded."""
        return len(self.chat.history) > self._saved_turns

    @property
    def saved_name(self) -> Optional[str]:
        """The name it is saved under, None if it is not saved."""
        return None if self._file is None else self._file.name

    def start_new(self, options: GeminiOptions, history: Sequence[JSON] = ()) -> None:
        """Go on with another chat, which has no file yet."""
        self._file: Optional[ChatFile] = None
        self._saved_turns = 0
        self._replace_chat(options, history)

    def load(self, name: str) -> None:
        """Go on with the saved chat `name`; the model and system prompt of the current options come before its own."""
        file = ChatFile(name)
        record = file.read()
        current = self.chat.options
        self.start_new(current.replace(
            model=current.model or record.model,
            system_prompt=record.system if current.system_prompt is None else current.system_prompt), record.history)
        self._file, self._saved_turns = file, len(record.history)

    def save(self, name: Optional[str] = None) -> None:
        """Write the history if it has unsaved turns; with a `name` that is not its own, to a new file from now on."""
        if name is not None and name != self.saved_name:
            self._start_file(name)
            self._saved_turns = 0
        if self._file is None or not self.has_unsaved_turns:
            return
        history, options, old_name = self.chat.history, self.chat.options, self._file.name
        model = options.model or os.environ.get("GEMINI_MODEL") or None
        system_prompt = options.system_prompt if isinstance(options.system_prompt, str) else None
        self._file.write(ChatRecord(model, system_prompt, history))
        self._saved_turns = len(history)
        if self._file.name != old_name:
            print_status(f"another process has gone on with {old_name} meanwhile: this conversation is now "
                         f"{self._file.name}")

    def change_options(self, options: GeminiOptions) -> None:
        """Go on with the same history and other options."""
        self._replace_chat(options, self.chat.history)

    def truncate(self, turns: int) -> None:
        """Keep only the first `turns` turns of the history."""
        self._replace_chat(self.chat.options, self.chat.history[:turns])

    def _start_file(self, name: str) -> None:
        file = ChatFile(name)
        file.check_can_create()
        self._file = file

    def _replace_chat(self, options: GeminiOptions, history: Sequence[JSON]) -> None:
        fields: Dict[str, Any] = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
        self.chat: Chat = self._client.chat(list(history), **fields)
