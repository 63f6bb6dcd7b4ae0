"""Completion scripts for bash and zsh, made of the parsers."""
from __future__ import annotations

from typing import Dict, List

from .arguments import COMMANDS, make_parsers

_BASH = """\
# Completion of gemini-lite for bash: add it to ~/.bashrc.
_gemini_lite() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" command=prompt word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$word" in {commands}) command="$word"; break;; esac
    done
    local options
    case "$command" in
{cases}
    esac
    if [[ "$current" == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$current"))
    elif [[ "$COMP_CWORD" == 1 ]]; then
        COMPREPLY=($(compgen -W "{words}" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _gemini_lite gemini-lite
"""
_ZSH = """\
#compdef gemini-lite
# Completion of gemini-lite for zsh: put it into a folder of $fpath as _gemini-lite.
_gemini_lite() {{
    local command=prompt word
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$word" in {commands}) command="$word"; break;; esac
    done
    local -a options
    case "$command" in
{cases}
    esac
    if [[ "$PREFIX" == -* ]]; then
        compadd -- $options
    elif (( CURRENT == 2 )); then
        compadd -- {words}
    else
        _files
    fi
}}
if [[ "${{funcstack[1]}}" == _gemini-lite ]]; then _gemini_lite "$@"; else compdef _gemini_lite gemini-lite; fi
"""


def completion_script(shell: str) -> str:
    """The script for "bash" or "zsh"."""
    options = command_options()
    quote = '"{}"' if shell == "bash" else "({})"
    cases = [f"        {name}) options={quote.format(' '.join(options[name]))};;" for name in options]
    return (_BASH if shell == "bash" else _ZSH).format(
        commands="|".join(COMMANDS), words=" ".join(COMMANDS), cases="\n".join(cases))


def command_options() -> Dict[str, List[str]]:
    """The options of each command."""
    return {name: [option for action in parser._actions for option in action.option_strings]
            for name, parser in make_parsers().items()}
