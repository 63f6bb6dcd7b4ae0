"""Answers of the stand-in, in the forms that a model uses: prose, a table, code, a formula, a list."""
from __future__ import annotations

import re
from typing import Optional, Tuple

ECHO = """\
You said: {prompt}

I am not a model. I am a small server that gemini-lite has just started on this machine, and this text came to \
you word by word as server-sent events, the way an answer of Gemini does.

Ask me for a story, a table, code, a formula or a list, and I answer in that form. To talk to Gemini itself, get \
an API key at https://aistudio.google.com/apikey, put it in GEMINI_API_KEY, and leave the demo out.
"""
LATER_ECHO = """\
You said: {prompt}

Before that you said: {earlier}

The whole conversation comes with each request; so it does with Gemini, and that is how a model remembers.
"""
THOUGHTS = """\
**Reading the question**

The user asks something. A model would now weigh what they might mean.

**Choosing a form**

There is no model here, so I look for one word that tells me which form of answer to show.
"""
_STORY = """\
# The clerk of the small server

In a corner of the machine, behind a door with a number on it, there lived a clerk. Every request that came \
through the door was laid on its desk, and every request was answered, although the clerk knew nothing at all.

*"What is the capital of Peru?"* somebody would ask. The clerk looked for a word it knew, found none, and \
politely read the question back. *"Write me a poem,"* asked another, and was told a story, because the clerk had \
one story and was proud of it. Nobody complained. They had not come for the answer. They had come to see whether \
words would arrive one after the other, whether a table would have straight borders, whether a picture would be \
a picture.

One evening the requests stopped. The clerk waited, as it had been built to do, and listened to the quiet \
sockets. It thought about the great library far away, where somebody truly read the questions. **Thousands of \
shelves**, people said, and a lamp that was never put out. The clerk had once seen a letter from there: it was \
folded in the same way as its own letters, with the same stamps in the same corners. That was all it had ever \
been asked to learn.

Then a line of text came in, a little crooked, as if typed in a hurry. *"Are you there?"* The clerk checked the \
stamps. They were right. It cleared its throat, which it did not have, and began: word by word, with a short \
pause between them, so that whoever sat on the other side could watch the sentence grow.

*"I am here,"* it wrote. *"I know nothing, I remember nothing, and tomorrow I shall be another clerk at another \
door. But as long as this program runs, I will answer you, and I will never be in a hurry."*

On the other side somebody laughed, saved a file, and took the word *demo* out of a command. The door closed. \
Far away, in the great library, a lamp turned towards a new letter, which was folded in exactly the right way.
"""
_TABLE = """\
Here is a comparison:

| Planet | Diameter (km) | Moons | A day lasts |
|:-------|--------------:|------:|:------------|
| Venus  | 12,104 | 0 | 243 days |
| Earth  | 12,756 | 1 | 24 hours |
| Mars   | 6,792 | 2 | 24.6 hours |

**Mars** has the day that is most like ours.
"""
_CODE = """\
This function yields the prime numbers up to `limit`:

```python
def primes(limit: int) -> list[int]:
    \"\"\"The prime numbers up to `limit`, by the sieve of Eratosthenes.\"\"\"
    is_prime = [True] * (limit + 1)
    for number in range(2, int(limit ** 0.5) + 1):
        if is_prime[number]:
            is_prime[number * number::number] = [False] * len(is_prime[number * number::number])
    return [number for number in range(2, limit + 1) if is_prime[number]]


print(primes(30))  # [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
```

It takes about $n \\log \\log n$ steps.
"""
_FORMULA = """\
The area under the bell curve is finite:

$$\\int_{-\\infty}^{\\infty} e^{-x^2}\\,dx = \\sqrt{\\pi}$$

Squaring it gives an integral over the plane, and in polar coordinates, with $x^2 + y^2 = r^2$, that is

$$\\int_0^{2\\pi} \\int_0^{\\infty} e^{-r^2} r\\,dr\\,d\\theta = \\pi.$$

A copy of the proof costs $5 or $6, which is no formula.
"""
_LIST = """\
Three steps lead there:

1. **Get a key** at https://aistudio.google.com/apikey.
2. **Set it**:
   - in a shell, `export GEMINI_API_KEY=...`
   - in Python, `GeminiClient(api_key=...)`
3. **Ask** something, and read the answer as it is written.

> Each answer arrives in pieces; a list grows item by item.
"""
_FORMS: Tuple[Tuple[str, str], ...] = (  # the words that ask for a form, and the answer in that form
    (r"tables?|compare|comparison", _TABLE), (r"formulas?|equations?|math\w*|integrals?|proof|latex", _FORMULA),
    (r"code|python|function|script|program|regex", _CODE), (r"story|stories|tale|poem|essay|novel", _STORY),
    (r"lists?|steps|bullets?|ways|ideas|tips", _LIST),
)


def demo_text(prompt: str, earlier: Optional[str] = None) -> str:
    """An answer in the form that a word of `prompt` asks for, else the prompt repeated, and the one `earlier`."""
    for words, text in _FORMS:
        if re.search(rf"\b(?:{words})\b", prompt, re.IGNORECASE):
            return text
    return (ECHO if earlier is None else LATER_ECHO).format(prompt=_shorten(prompt), earlier=_shorten(earlier or ""))


def _shorten(prompt: str) -> str:
    return prompt if len(prompt) <= 200 else f"{prompt[:200]}..."
