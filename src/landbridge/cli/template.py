"""Go templates over API answers: `--format` and `inspect -f`."""

from __future__ import annotations

from landbridge.cli.templatesyntax import Node, Operand, Pipe, TemplateError, parse_template
from landbridge.cli.templatevalues import Listing, Record, format_verbs, is_true, plain, show, to_json, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


PORT_ENDINGS = ("/tcp", "/udp", "/sctp")


class _Break(Exception):
    """{{break}}"""


class _Continue(Exception):
    """{{continue}}"""


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Record):
            value = value.data
        if isinstance(key, str) and key.endswith(PORT_ENDINGS):
            value = plain(value)  # `80/tcp` has a type of its own in Go, which makes Docker fall back to bare JSON
        if value is None:
            raise ValueError("index of untyped nil")
        if isinstance(value, dict):
            value = value.get(key, "" if all(isinstance(item, str) for item in value.values()) and value else None)
        elif isinstance(value, list | str):
            if not isinstance(key, int) or isinstance(key, bool):
                raise ValueError(f"cannot index slice/array with type {type_name(key)}")
            if not 0 <= key < len(value):
                raise ValueError("reflect: slice index out of range")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise ValueError(f"can't index item of type {type_name(value)}")
    return value


def _length(value: Any) -> int:
    value = value.data if isinstance(value, Record) else value
    if not isinstance(value, list | dict | str):
        raise ValueError(f"len of type {type_name(value)}" if value is not None else "len of nil pointer")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _slice(value: Any, *bounds: int) -> Any:
    start, end = (*bounds, len(value))[:2] if bounds else (0, len(value))
    if not 0 <= start <= end <= len(value):
        raise ValueError(f"index out of range: {end}")
    return value[start:end]


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for other in others:
        if first is not None and other is not None and isinstance(first, str) != isinstance(other, str):
            raise ValueError("incompatible types for comparison")
    return any(plain(first) == plain(other) for other in others)


def _less(first: Any, second: Any) -> bool:
    if isinstance(first, str) != isinstance(second, str):
        raise ValueError("incompatible types for comparison")
    return bool(first < second)


def _print(*values: Any) -> str:
    """Blanks only between two operands neither of which is text."""
    out: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            out.append(" ")
        out.append(show(value))
    return "".join(out)


def _join(values: Any, separator: str) -> str:
    if not isinstance(values, list):
        raise ValueError(f"wrong type for value; expected []string; got {type_name(values)}")
    return separator.join(show(value) for value in values)


def _truncate(text: str, width: int) -> str:
    return text[:width]


def _pad(text: str, left: int, right: int) -> str:
    return " " * left + text + " " * right if text else text


def _title(text: str) -> str:
    return "".join(c.upper() if not index or text[index - 1].isspace() else c for index, c in enumerate(text))


def _escape(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)


def _urlquery(*values: Any) -> str:
    unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
    return "".join(
        chr(b) if b < 128 and chr(b) in unreserved else "+" if b == 32 else f"%{b:02X}"
        for b in _print(*values).encode()
    )


HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"}
JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
    "\n": "\\u000A",
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": to_json,
    "join": _join,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "title": _title,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": _truncate,
    "index": _index,
    "slice": _slice,
    "len": _length,
    "not": lambda value: not is_true(value),
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": _less,
    "le": lambda first, second: _less(first, second) or _equal(first, second),
    "gt": lambda first, second: not (_less(first, second) or _equal(first, second)),
    "ge": lambda first, second: not _less(first, second),
    "print": _print,
    "printf": lambda form, *values: format_verbs(form, list(values)),
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "html": lambda *values: _escape(_print(*values), HTML),
    "js": lambda *values: _escape(_print(*values), JS),
    "urlquery": _urlquery,
}
LAZY = ("and", "or")
NO_VALUE = "<no value>"


class Template:
    """A parsed template; `render` applies it. Raises: TemplateError when the text cannot be read."""

    def __init__(self, source: str, functions: dict[str, Callable[..., Any]] | None = None) -> None:
        self.source = source
        self.functions = {**FUNCTIONS, **(functions or {})}
        self.nodes = parse_template(source, {*self.functions, *LAZY})
        self.out: list[str] = []
        self.scope: list[tuple[str, Any]] = []

    def __repr__(self) -> str:
        return f"<Template {self.source!r}>"

    def render(self, data: Any) -> str:
        """The text for `data`. Raises: TemplateError with Go's words."""
        self.out = []
        self.scope = [("$", data)]
        try:
            self._walk(self.nodes, data)
        except (_Break, _Continue):
            pass  # outside a range they end the template
        return "".join(self.out)

    def _fail(self, offset: int, text: str, message: str) -> TemplateError:
        line = self.source.count("\n", 0, offset) + 1
        column = offset - (self.source.rfind("\n", 0, offset) + 1)
        return TemplateError(f'template: :{line}:{column}: executing "" at <{text}>: {message}')

    def _walk(self, nodes: list[Node], dot: Any) -> None:
        for node in nodes:
            if node.kind == "text":
                self.out.append(node.value)
            elif node.kind == "break":
                raise _Break
            elif node.kind == "continue":
                raise _Continue
            elif node.kind == "action":
                self._action(node, dot)
            else:
                depth = len(self.scope)
                getattr(self, f"_{node.kind}")(node, dot)
                del self.scope[depth:]

    def _action(self, node: Node, dot: Any) -> None:
        assert node.pipe is not None
        value = self._pipe(node.pipe, dot)
        if not node.pipe.names:
            self.out.append(NO_VALUE if value is None and self._is_open(node.pipe) else show(value))

    @staticmethod
    def _is_open(pipe: Pipe) -> bool:
        """Whether a nil comes from a map or an index: Go prints those as `<no value>`, typed ones as `<nil>`."""
        last = pipe.commands[-1]
        return last[0].kind == "function"

    def _if(self, node: Node, dot: Any) -> None:
        assert node.pipe is not None
        self._walk(node.body if is_true(self._pipe(node.pipe, dot)) else node.other, dot)

    def _with(self, node: Node, dot: Any) -> None:
        assert node.pipe is not None
        value = self._pipe(node.pipe, dot)
        if is_true(value):
            self._walk(node.body, value)
        else:
            self._walk(node.other, dot)

    def _range(self, node: Node, dot: Any) -> None:
        pipe = node.pipe
        assert pipe is not None
        names, pipe_without = pipe.names, Pipe([], pipe.commands, assign=False)
        value = self._pipe(pipe_without, dot)
        pairs: list[tuple[Any, Any]]
        if isinstance(value, dict):
            pairs = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, list):
            pairs = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            pairs = [(number, number) for number in range(value)]
        elif value is None:
            pairs = []
        else:
            operand = pipe.commands[-1][0]
            raise self._fail(operand.offset, operand.text, f"range can't iterate over {show(value)}")
        if not pairs:
            self._walk(node.other, dot)
            return
        depth = len(self.scope)
        for key, item in pairs:
            if len(names) == 2:
                self.scope.append((names[0], key))
            if names:
                self.scope.append((names[-1], item))
            try:
                self._walk(node.body, item)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del self.scope[depth:]

    def _pipe(self, pipe: Pipe, dot: Any) -> Any:
        value: Any = None
        for index, command in enumerate(pipe.commands):
            value = self._command(command, dot, [value] if index else [])
        for name in pipe.names:
            if pipe.assign:
                at = max((i for i, (known, _) in enumerate(self.scope) if known == name), default=-1)
                if at < 0:
                    raise TemplateError(f'template: :1: undefined variable "{name}"')
                self.scope[at] = (name, value)
            else:
                self.scope.append((name, value))
        return value

    def _command(self, command: list[Operand], dot: Any, final: list[Any]) -> Any:
        head = command[0]
        text = " ".join(operand.text for operand in command)
        if head.kind == "function":
            return self._call(head, command[1:], dot, final, text)
        if len(command) == 1 and not final:
            return self._operand(head, dot)
        value = self._operand(head, dot, keep_callable=True)
        arguments = [self._operand(operand, dot) for operand in command[1:]] + final
        if not callable(value):
            raise self._fail(head.offset, head.text, f"can't give argument to non-function {head.text}")
        return value(*arguments)

    def _call(self, head: Operand, operands: list[Operand], dot: Any, final: list[Any], text: str) -> Any:
        name = head.value
        if name in LAZY:
            return self._lazy(name, operands, dot, final)
        arguments = [self._operand(operand, dot) for operand in operands] + final
        try:
            return self.functions[name](*arguments)
        except (ValueError, IndexError) as error:
            raise self._fail(head.offset, text, f"error calling {name}: {error}") from None
        except (TypeError, AttributeError):
            raise self._fail(head.offset, text, f"wrong number or type of arguments for {name}") from None

    def _lazy(self, name: str, operands: list[Operand], dot: Any, final: list[Any]) -> Any:
        """`and` and `or`: the first value that decides; what comes after it is not looked at."""
        value: Any = None
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) == (name == "or"):
                return value
        return final[0] if final else value

    def _operand(self, operand: Operand, dot: Any, *, keep_callable: bool = False) -> Any:
        if operand.kind == "literal":
            value = operand.value
        elif operand.kind == "pipe":
            value = self._pipe(operand.value, dot)
        elif operand.kind == "variable":
            found = [value for name, value in self.scope if name == operand.value]
            if not found:
                raise TemplateError(f'template: :1: undefined variable "{operand.value}"')
            value = found[-1]
        elif operand.kind == "function":
            value = self._call(operand, [], dot, [], operand.text)
        else:
            value = dot
        for name in operand.fields:
            value = self._field(value, name, operand)
        return value() if callable(value) and not keep_callable else value

    def _field(self, value: Any, name: str, operand: Operand) -> Any:
        try:
            if isinstance(value, Record):
                return value.get(name)
            if isinstance(value, dict):
                return value[name]
            if isinstance(value, Listing):
                return value.fields[name]
        except KeyError:
            if isinstance(value, Listing):
                message = f"can't evaluate field {name} in type {value.type_name}"
            else:
                message = f'map has no entry for key "{name}"'
            raise self._fail(self._place(operand), operand.text, message) from None
        if value is None:
            raise self._fail(self._place(operand), operand.text, f'nil data; no entry for key "{name}"')
        known = isinstance(self.scope[0][1], Listing)  # bare JSON has no types
        kind = type_name(value) if known else "interface {}"
        raise self._fail(self._place(operand), operand.text, f"can't evaluate field {name} in type {kind}")

    @staticmethod
    def _place(operand: Operand) -> int:
        """Where Go says a chain of fields is: at its second part."""
        first = operand.text.find(".", 1)
        return operand.offset + max(first, 0)
