"""Words, quotes and variables of Dockerfile instructions, as BuildKit's shell lexer reads them. Pure.

Single quotes keep everything, double quotes expand variables, a backslash keeps the next character. Known forms of
variables: ``$NAME``, ``${NAME}``, ``${NAME:-other}``, ``${NAME:+other}``, ``${NAME:?message}``.
"""

import re
from collections.abc import Mapping

from landbridge.errors import Invalid

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*|[0-9]|[@*#]")


def split_words(text: str) -> list[str]:
    """Words of `text`, apart at white space outside quotes; quotes and backslashes stay in them."""
    words: list[str] = []
    word = ""
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char.isspace() and not quote:
            if word:
                words.append(word)
            word = ""
            continue
        word += char
        if char == "\\" and quote != "'" and at < len(text):
            word += text[at]
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return [*words, word] if word else words


def expand(word: str, env: Mapping[str, str]) -> str:
    """`word` without its quotes, variables replaced. Raises: Invalid with BuildKit's sentence."""
    return _Lexer(word, env).run()


class _Lexer:
    def __init__(self, word: str, env: Mapping[str, str]) -> None:
        self._word = word
        self._env = env
        self._at = 0

    def run(self) -> str:
        return self._until("")

    def _fail(self, what: str) -> Invalid:
        shown = self._word.replace("\\", "\\\\").replace('"', '\\"')
        return Invalid(f'failed to process "{shown}": {what}')

    def _until(self, stop: str) -> str:
        """Read up to `stop` (taken too) or, when that is empty, to the end."""
        out: list[str] = []
        while self._at < len(self._word):
            char = self._word[self._at]
            self._at += 1
            if char == stop:
                return "".join(out)
            if char == "'":
                end = self._word.find("'", self._at)
                if end < 0:
                    raise self._fail("unexpected end of statement while looking for matching single-quote")
                out.append(self._word[self._at : end])
                self._at = end + 1
            elif char == '"':
                out.append(self._double())
            elif char == "$":
                out.append(self._variable())
            elif char == "\\":
                if self._at < len(self._word):
                    out.append(self._word[self._at])
                self._at += 1
            else:
                out.append(char)
        if stop:
            raise self._fail("syntax error: missing '}'")
        return "".join(out)

    def _double(self) -> str:
        out: list[str] = []
        while self._at < len(self._word):
            char = self._word[self._at]
            self._at += 1
            if char == '"':
                return "".join(out)
            if char == "$":
                out.append(self._variable())
            elif char == "\\" and self._word[self._at : self._at + 1] in ('"', "$", "\\"):
                out.append(self._word[self._at])
                self._at += 1
            else:
                out.append(char)
        raise self._fail("unexpected end of statement while looking for matching double-quote")

    def _variable(self) -> str:
        braced = self._word.startswith("{", self._at)
        self._at += braced
        found = _NAME.match(self._word, self._at)
        if not found:
            if braced:
                raise self._fail("syntax error: bad substitution")
            return "$"
        self._at = found.end()
        value = self._env.get(found[0])
        if not braced:
            return value or ""
        rule = self._word[self._at : self._at + 2]
        if rule.startswith("}"):
            self._at += 1
            return value or ""
        if rule not in (":-", ":+", ":?"):
            raise self._fail(f"unsupported modifier ({rule}) in substitution")
        self._at += 2
        other = self._until("}")
        if rule == ":-":
            return value or other
        if rule == ":+":
            return other if value else ""
        if not value:
            raise self._fail(f"{found[0]}: {other or 'is not set'}")
        return value
