"""Go's text/template syntax, the part command-line formats use: text to nodes. Pure.

Understood: fields, variables, literals, function calls, pipelines, parentheses, `if`/`else if`/`else`, `range`, `with`,
`break`, `continue`, comments and the trim markers `{{-` and `-}}`. Not: `define`, `template` and `block`.

Nodes are small classes; each keeps the offset of its text for messages.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEYWORDS = ("if", "else", "end", "range", "with", "break", "continue", "define", "template", "block")
SPACE = " \t\r\n"
NUMBER_START = "0123456789+-"
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class TemplateError(Exception):
    """The template cannot be read, or cannot be applied to its data."""


class Node:
    """A piece of a template. `kind` tells which fields are used.

    text(value) · action(pipe) · if/with/range(pipe, body, other) · break · continue.
    """

    __slots__ = ("body", "kind", "other", "pipe", "value")

    def __init__(self, kind: str, value: str = "", pipe: Pipe | None = None) -> None:
        self.kind, self.value, self.pipe = kind, value, pipe
        self.body: list[Node] = []
        self.other: list[Node] = []


class Pipe:
    """`$x := a b | c`: variables, whether they are assigned rather than declared, commands."""

    __slots__ = ("assign", "commands", "names")

    def __init__(self, names: list[str], commands: list[list[Operand]], *, assign: bool) -> None:
        self.names, self.commands, self.assign = names, commands, assign


class Operand:
    """One word of a command: a literal, a name, a variable, the dot or a parenthesis, each with fields behind it.

    `kind`: literal, function, variable, dot, pipe. `value` is the literal, the name or the Pipe.
    """

    __slots__ = ("fields", "kind", "offset", "text", "value")

    def __init__(self, kind: str, value: Any, offset: int, text: str) -> None:
        self.kind, self.value, self.offset, self.text = kind, value, offset, text
        self.fields: list[str] = []

    def __repr__(self) -> str:
        return f"<Operand {self.text}>"


def unquote(text: str) -> str:
    """The value of a Go string or character literal, quotes included. Raises: TemplateError."""
    if text[0] == "`":
        return text[1:-1]
    out, position = [], 1
    while position < len(text) - 1:
        character = text[position]
        if character != "\\":
            out.append(character)
            position += 1
            continue
        code = text[position + 1]
        width = {"x": 2, "u": 4, "U": 8}.get(code)
        if width:
            out.append(chr(int(text[position + 2 : position + 2 + width], 16)))
            position += 2 + width
        elif code in ESCAPES:
            out.append(ESCAPES[code])
            position += 2
        else:
            raise TemplateError("invalid syntax")
    return "".join(out)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


class _Lexer:
    """Tokens of one action: (kind, text, offset)."""

    def __init__(self, source: str, start: int, end: int) -> None:
        self.source, self.position, self.end = source, start, end

    def line(self) -> int:
        return self.source.count("\n", 0, self.position) + 1

    def fail(self, message: str) -> TemplateError:
        return TemplateError(f"template: :{self.line()}: {message}")

    def tokens(self) -> list[tuple[str, str, int]]:
        found = []
        while self.position < self.end:
            character = self.source[self.position]
            start = self.position
            if character in SPACE:
                self.position += 1
                found.append(("space", " ", start))
                continue
            kind = self._next(character)
            found.append((kind, self.source[start : self.position], start))
        return found

    def _next(self, character: str) -> str:
        if character in "\"'`":
            return self._quoted(character)
        if self.source.startswith(":=", self.position):
            self.position += 2
            return "declare"
        if character in "|(),=":
            self.position += 1
            return character
        if character in ".$" or _is_word(character):
            following = self.source[self.position + 1 : self.position + 2]
            number = character.isdigit() or (character == "." and following.isdigit())
            self.position += 1
            while self.position < self.end and (
                _is_word(self.source[self.position]) or (number and self.source[self.position] == ".")
            ):
                self.position += 1
            return "number" if number else {".": "field", "$": "variable"}.get(character, "word")
        if character in "+-" and self.source[self.position + 1 : self.position + 2].isdigit():
            self.position += 1
            while self.position < self.end and (
                _is_word(self.source[self.position]) or self.source[self.position] == "."
            ):
                self.position += 1
            return "number"
        raise self.fail(f"unexpected {character!r} in operand" if character != "}" else 'unexpected "}" in operand')

    def _quoted(self, quote: str) -> str:
        position = self.position + 1
        while position < self.end and self.source[position] != quote:
            position += 2 if self.source[position] == "\\" and quote != "`" else 1
        if position >= self.end:
            raise self.fail("unterminated quoted string" if quote != "`" else "unterminated raw quoted string")
        self.position = position + 1
        return "char" if quote == "'" else "string"


class _PipeParser:
    """One action's tokens to a Pipe."""

    def __init__(self, tokens: list[tuple[str, str, int]], lexer: _Lexer) -> None:
        self.tokens, self.lexer, self.at = tokens, lexer, 0

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else "end"

    def skip_space(self) -> None:
        while self.peek() == "space":
            self.at += 1

    def pipe(self, closing: str) -> Pipe:
        names, assign = self._names()
        commands = [self._command(closing)]
        while self.peek() == "|":
            self.at += 1
            commands.append(self._command(closing))
        if self.peek() != closing:
            raise self.lexer.fail(
                f"unexpected {self.tokens[self.at][1] if self.at < len(self.tokens) else 'end'!r} in command"
            )
        if not commands[0]:
            raise self.lexer.fail("missing value for command")
        return Pipe(names, commands, assign=assign)

    def _names(self) -> tuple[list[str], bool]:
        """Leading `$a, $b :=`, if there."""
        saved, names = self.at, []
        while True:
            self.skip_space()
            if self.peek() != "variable":
                break
            names.append(self.tokens[self.at][1])
            self.at += 1
            self.skip_space()
            if self.peek() in ("declare", "="):
                assign = self.peek() == "="
                self.at += 1
                return names, assign
            if self.peek() != ",":
                break
            self.at += 1
        self.at = saved
        return [], False

    def _command(self, closing: str) -> list[Operand]:
        operands = []
        while True:
            self.skip_space()
            if self.peek() in ("|", closing, "end"):
                break
            operands.append(self._operand())
        if not operands and self.at > 0:
            raise self.lexer.fail("missing value for command")
        return operands

    def _operand(self) -> Operand:
        kind, text, offset = self.tokens[self.at]
        self.at += 1
        if kind == "string":
            operand = Operand("literal", unquote(text), offset, text)
        elif kind == "char":
            operand = Operand("literal", ord(unquote(text)), offset, text)
        elif kind == "number":
            operand = Operand("literal", _number(text, self.lexer), offset, text)
        elif kind == "word":
            constants = {"true": True, "false": False, "nil": None}
            literal = text in constants
            operand = Operand("literal" if literal else "function", constants.get(text, text), offset, text)
        elif kind == "variable":
            operand = Operand("variable", text, offset, text)
        elif kind == "field":
            operand = Operand("dot", None, offset, text)
            if text != ".":
                operand.fields.append(text[1:])
        elif kind == "(":
            operand = Operand("pipe", self.pipe(")"), offset, "(")
            self.at += 1
            operand.text = self.lexer.source[offset : self.tokens[self.at - 1][2] + 1]
        else:
            raise self.lexer.fail(f'unexpected "{text}" in operand')
        while self.peek() == "field" and self.tokens[self.at][1] != ".":
            operand.fields.append(self.tokens[self.at][1][1:])
            operand.text += self.tokens[self.at][1]
            self.at += 1
        return operand


def _number(text: str, lexer: _Lexer) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        pass  # then it may be a fraction
    try:
        return float(text)
    except ValueError:
        raise lexer.fail(f'bad number syntax: "{text}"') from None


def _pieces(source: str) -> list[tuple[str, int, int]]:
    """(text | action, start, end) in order, trim markers applied and comments left out."""
    found: list[tuple[str, int, int]] = []
    position, trim = 0, False
    while True:
        start = source.find("{{", position)
        end = start if start >= 0 else len(source)
        text_start = position
        if trim:
            while text_start < end and source[text_start] in SPACE:
                text_start += 1
        trims_left = (
            start >= 0 and source[start + 2 : start + 3] == "-" and source[start + 3 : start + 4] in tuple(SPACE)
        )
        text_end = end
        while trims_left and text_end > text_start and source[text_end - 1] in SPACE:
            text_end -= 1
        if text_end > text_start:
            found.append(("text", text_start, text_end))
        if start < 0:
            return found
        inner = start + (3 if trims_left else 2)
        close = _closing(source, inner)
        trim = source[close - 2 : close] in tuple(f"{space}-" for space in SPACE)
        inner_end = close - 1 if trim else close
        if not source[inner:inner_end].strip().startswith("/*"):
            found.append(("action", inner, inner_end))
        position = close + 2


def _closing(source: str, position: int) -> int:
    """Where the action that starts at `position` ends. Raises: TemplateError."""
    line = source.count("\n", 0, position) + 1
    quote = ""
    while position < len(source):
        character = source[position]
        if quote:
            if character == "\\" and quote != "`":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "\"'`":
            quote = character
        elif source.startswith("}}", position):
            return position
        position += 1
    if quote:
        raise TemplateError(f"template: :{line}: unterminated quoted string")
    raise TemplateError(f"template: :{line}: unclosed action")


def parse_template(source: str, functions: set[str]) -> list[Node]:
    """The nodes of a template. Raises: TemplateError with Go's words for bad syntax and unknown functions."""
    root = Node("root")
    stack: list[tuple[Node, list[Node]]] = [(root, root.body)]
    for kind, start, end in _pieces(source):
        if kind == "text":
            stack[-1][1].append(Node("text", source[start:end]))
            continue
        lexer = _Lexer(source, start, end)
        tokens = lexer.tokens()
        words = [token for token in tokens if token[0] != "space"]
        for index, token in enumerate(words):
            if (
                token[0] == "word"
                and token[1] not in functions | {"true", "false", "nil"}
                and not (index == 0 and token[1] in KEYWORDS)
            ):
                if index == 1 and words[0][1] == "else" and token[1] in ("if", "with"):
                    continue
                raise lexer.fail(f'function "{token[1]}" not defined')
        _add(stack, tokens, words, lexer)
    if len(stack) > 1:
        raise TemplateError(f"template: :{source.count(chr(10)) + 1}: unexpected EOF")
    return root.body


def _add(
    stack: list[tuple[Node, list[Node]]],
    tokens: list[tuple[str, str, int]],
    words: list[tuple[str, str, int]],
    lexer: _Lexer,
) -> None:
    """Put one action where it belongs."""
    first = words[0][1] if words and words[0][0] == "word" else ""
    if not words:
        raise lexer.fail("missing value for command")
    rest = tokens[tokens.index(words[0]) + 1 :]
    if first in ("if", "range", "with"):
        node = Node(first, pipe=_PipeParser(rest, lexer).pipe("end"))
        stack[-1][1].append(node)
        stack.append((node, node.body))
    elif first == "end":
        if len(stack) == 1:
            raise lexer.fail("unexpected {{end}}")
        node = stack.pop()[0]
        while node.value == "chained":
            node = stack.pop()[0]
    elif first == "else":
        if len(stack) == 1:
            raise lexer.fail("unexpected {{else}}")
        node = stack[-1][0]
        stack[-1] = (node, node.other)
        if len(words) > 1:
            chained = Node(words[1][1], "chained", _PipeParser(tokens[tokens.index(words[1]) + 1 :], lexer).pipe("end"))
            node.other.append(chained)
            stack.append((chained, chained.body))
    elif first in ("break", "continue"):
        stack[-1][1].append(Node(first))
    elif first in KEYWORDS:
        raise lexer.fail(f"{{{{{first}}}}} is not supported in formats")
    else:
        stack[-1][1].append(Node("action", pipe=_PipeParser(tokens, lexer).pipe("end")))
