"""A Python type as JSON Schema, and JSON as that type again."""
from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import enum
import inspect
import re
import sys
import typing
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..errors import ParseError

Schema = Dict[str, Any]
Read = Callable[[Any, str], Any]

MISSING: Any = dataclasses.MISSING  # no hint, or no default
UNSAID: Any = ...  # a default that JSON cannot say: the field is not required, and that is all

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_WORDS = {str: "a string", int: "an integer", float: "a number", bool: "true or false", type(None): "null"}
_DATE, _TIME = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"
_MOMENTS: Dict[Any, Tuple[str, str]] = {
    datetime.datetime: ("date-time", f"{_DATE}[T ]{_TIME}"), datetime.date: ("date", _DATE),
    datetime.time: ("time", _TIME),
}
_ARRAYS: Dict[Any, Any] = {
    list: list, set: set, frozenset: frozenset, tuple: tuple,
    collections.abc.Sequence: list, collections.abc.MutableSequence: list, collections.abc.Collection: list,
    collections.abc.Iterable: list, collections.abc.Set: set, collections.abc.MutableSet: set,
}
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_INSTEAD = {
    "bytes": "str, for the bytes in base64", "bytearray": "str, for the bytes in base64", "object": "Any",
    "complex": "Tuple[float, float]", "timedelta": "float, for seconds", "UUID": "str", "Path": "str",
    "Decimal": "float, or str and make the Decimal of it", "TypeVar": "the type it stands for",
    "Optional": "Optional[int], say", "Union": "Union[int, str], say", "Callable": "a Literal of the names there are",
    "type": "a Literal of the names there are", "Iterator": "List", "Generator": "List", "deque": "List",
    "list": "List[...]", "str": "the type itself, not its name", "ForwardRef": "the type, not its name in quotes",
}


def to_schema(hint: Any, where: str) -> Schema:
    """JSON Schema (2020-12) for values of the type `hint`; a dict is a schema already and comes back as a copy.

    Says str, int, float, bool, None, Any, Optional, Union, Literal, Enum (by value), lists, sets, tuples, dicts with
    str keys, dataclasses, TypedDict, NamedTuple, datetime, date, time and pydantic models; the text in Annotated and in
    a field's ``metadata={"description": ...}`` are descriptions. A type that leads back to itself gets a name in
    ``$defs``; the server wants a default on the field that does so. Any other hint is a TypeError that names `where`.
    """
    types = _Types()
    return types.complete(types.shape(hint, where))


def from_json(value: Any, hint: Any, where: str = "") -> Any:
    """Parsed JSON as the type `hint` again; for a schema given as a dict, the value as it is.

    An object may have no other names than the type has. A Union takes its first type that fits, except that a number
    stays what it is if it may. 3.0 is an integer, as in JSON Schema, and no number is a bool. ParseError names the
    place, after `where`: ``people[2].age``.
    """
    return _Types().shape(hint, where or "the type").read(value, where)


class Shape(NamedTuple):
    """What a type hint says: to the model, and about the JSON that comes back; `read` raises ParseError."""

    schema: Schema
    read: Read
    due: str = "an object"


class Entry(NamedTuple):
    """A field to be: `hint` is MISSING where the user wrote none, `default` where the field is required."""

    name: str
    hint: Any
    default: Any = MISSING
    description: Optional[str] = None


class _Field(NamedTuple):
    name: str
    shape: Shape
    required: bool


def record(entries: Iterable[Entry], where: str) -> Shape:
    """An object with these fields, read as a dict."""
    types = _Types()
    shape = _object([types.field(entry, where) for entry in entries], dict)
    return shape._replace(schema=types.complete(shape))


class _Types:
    """The types of one schema: those seen so far, and what they are named where they lead back to themselves."""

    def __init__(self) -> None:
        self.seen: Dict[Any, Any] = {}  # None: it is being looked at
        self.names: Dict[Any, str] = {}
        self.defs: Schema = {}

    def complete(self, shape: Shape) -> Schema:
        """The schema to send: with the definitions it refers to, and nobody else's to change."""
        schema: Schema = to_json({**shape.schema, "$defs": self.defs} if self.defs else shape.schema)
        return schema

    def shape(self, hint: Any, where: str) -> Shape:
        """The one place that knows which hints there are."""
        if isinstance(hint, Mapping):
            return Shape(to_json(hint, where), _as_it_is)
        bare, description = _bare(hint)
        if bare is not hint:
            return _described(self.shape(bare, where), description)
        if type(hint).__name__ == "TypeAliasType":
            return self.once(hint, where, lambda: self.shape(hint.__value__, where))
        origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        form = _form(origin)
        if form == "Any":
            return Shape({}, _as_it_is, "any value")
        if form in ("Union", "UnionType") and args:
            return _union([self.shape(arg, where) for arg in args])
        if form == "Literal":
            return _choice([(arg.value if isinstance(arg, enum.Enum) else arg, arg) for arg in args], hint, where)
        if form in ("Required", "NotRequired", "ReadOnly", "Final") and args:
            return self.shape(args[0], where)
        found = self.of_class(origin, args, hint, where) if isinstance(origin, type) else None
        if found is None:
            raise _refusal(hint, where)
        return found

    def of_class(self, cls: Any, args: Tuple[Any, ...], hint: Any, where: str) -> Optional[Shape]:
        if cls in _NAMES:
            return _scalar(cls)
        if cls in _MOMENTS:
            return _moment(cls)
        if cls is tuple and args and args[-1] is not ...:
            return _tuple([self.shape(arg, where) for arg in args])
        if cls in _ARRAYS:
            return _array(self.shape(args[0] if args else Any, where), _ARRAYS[cls])
        if cls in _DICTS:
            if args and args[0] is not str:
                raise TypeError(f"{where}: JSON has strings for names: write Dict[str, ...], not {hint}")
            return _dict(self.shape(args[1] if args else Any, where))
        if issubclass(cls, enum.Enum):
            return _choice([(member.value, member) for member in cls], hint, where)
        if hasattr(cls, "model_validate") or hasattr(cls, "parse_obj"):
            return self.model(cls)
        entries = _entries(cls, where)
        return None if entries is None else self.once(cls, where, lambda: self.object(cls, entries, where))

    def object(self, cls: Any, entries: List[Entry], where: str) -> Shape:
        return _object([self.field(entry, where) for entry in entries], cls, _own_docstring(cls))

    def once(self, hint: Any, where: str, look: Callable[[], Shape]) -> Shape:
        """What `look` finds about `hint`; met again inside itself, a reference to that."""
        if hint not in self.seen:
            self.seen[hint] = None
            shape = look()
            if hint in self.names:
                self.defs[self.names[hint]] = shape.schema
                shape = shape._replace(schema=self.reference(hint))
            self.seen[hint] = shape
        found: Optional[Shape] = self.seen[hint]
        return found or Shape(self.reference(hint), lambda value, where: self.seen[hint].read(value, where))

    def reference(self, hint: Any) -> Schema:
        if hint not in self.names:
            name = hint.__name__
            while name in self.defs:
                name += "_"
            self.names[hint], self.defs[name] = name, {}
        return {"$ref": f"#/$defs/{self.names[hint]}"}

    def field(self, entry: Entry, where: str) -> _Field:
        where = f"{where}.{entry.name}"
        if entry.hint is MISSING:
            raise TypeError(f"{where} has no type hint: write one, such as `{entry.name}: str`")
        hint, description = _bare(entry.hint)
        shape = self.shape(hint, where)
        if entry.default is None and not _takes_null(shape.schema):
            shape = _union([shape, _scalar(type(None))])
        shape = _described(shape, description or entry.description)
        try:
            shape = shape._replace(schema=_with(shape.schema, "default", to_json(entry.default)))
        except (TypeError, ValueError):  # there is none, or JSON cannot say it
            pass
        return _Field(entry.name, shape, entry.default is MISSING)

    def model(self, cls: Any) -> Shape:
        """A pydantic model of version 2 or 1, known by its methods."""
        new = hasattr(cls, "model_validate")
        schema = dict(cls.model_json_schema() if new else cls.schema(ref_template="#/$defs/{model}"))
        for name, body in schema.pop("$defs" if new else "definitions", {}).items():
            if self.defs.setdefault(name, body) != body:
                raise TypeError(f"two types in one schema are named {name}: rename one")
        validate = cls.model_validate if new else cls.parse_obj
        return Shape(schema, lambda value, where: _made(validate, where, value))


def _bare(hint: Any) -> Tuple[Any, Optional[str]]:
    """`hint` without NewType and Annotated, None as its type, and the text in Annotated."""
    description: Optional[str] = None
    while True:
        if hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif hasattr(hint, "__metadata__"):
            texts = [item for item in hint.__metadata__ if isinstance(item, str)]
            description = description or (texts[0] if texts else None)
            hint = hint.__origin__
        else:
            return type(None) if hint is None else hint, description


def _form(hint: Any) -> Optional[str]:
    """The name of a special form, of which typing and typing_extensions may each have an object of their own."""
    if getattr(hint, "__module__", None) not in ("typing", "typing_extensions", "types"):
        return None
    return getattr(hint, "_name", None) or getattr(hint, "__name__", None)


def _refusal(hint: Any, where: str) -> TypeError:
    """The error for a hint that JSON Schema cannot say, with what to write instead."""
    kind: Any = hint if isinstance(hint, type) else typing.get_origin(hint) or _form(hint) or type(hint)
    instead = _INSTEAD.get(getattr(kind, "__name__", kind), "a dataclass, a TypedDict, a NamedTuple or an Enum")
    spelled = hint.__qualname__ if isinstance(hint, type) else repr(hint)
    return TypeError(f"{where}: JSON Schema cannot say {spelled}: write {instead}")


def _entries(cls: Any, where: str) -> Optional[List[Entry]]:
    """The fields of a dataclass, NamedTuple or TypedDict; None for another class."""
    names = {cls.__name__: cls}  # where it was made inside a function, its own fields may name it all the same
    if dataclasses.is_dataclass(cls):
        hints = type_hints(cls, where, None, names)
        odd = [name for name, hint in hints.items() if isinstance(hint, dataclasses.InitVar)]
        if odd:
            raise TypeError(f"{where}.{odd[0]}: an InitVar is no field, so JSON has no place for it")
        return [Entry(field.name, hints[field.name], _default(field), field.metadata.get("description"))
                for field in dataclasses.fields(cls) if field.init]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = type_hints(cls, where, None, names)
        return [Entry(name, hints.get(name, MISSING), cls._field_defaults.get(name, MISSING)) for name in cls._fields]
    if issubclass(cls, dict) and hasattr(cls, "__total__"):
        hints = type_hints(cls, where, None, names)
        return [Entry(name, hint, MISSING if _is_required(cls, name, hint) else UNSAID) for name, hint in hints.items()]
    return None


def _default(field: Any) -> Any:
    """The default, or the function that makes it, which nobody calls here and JSON cannot say."""
    return field.default_factory if field.default is MISSING else field.default


def _is_required(cls: Any, name: str, hint: Any) -> bool:
    """Whether a TypedDict must have `name`: its hint decides, as Python itself has not looked into hints in strings."""
    form = _form(typing.get_origin(hint))
    if form in ("Required", "NotRequired"):
        return form == "Required"
    return name in getattr(cls, "__required_keys__", cls.__annotations__ if cls.__total__ else ())  # 3.8 has no keys


def _own_docstring(cls: Any) -> Optional[str]:
    """What the user wrote, not the list of fields that dataclass and NamedTuple write."""
    text = cls.__dict__.get("__doc__") or ""
    return None if text.startswith(f"{cls.__name__}(") else inspect.cleandoc(text)


def type_hints(owner: Any, where: str, names: Optional[Dict[str, Any]], more: Dict[str, Any]) -> Dict[str, Any]:
    """The annotations of `owner`; strings among them mean `names` (None: those of its module) and `more`."""
    extras: Dict[str, Any] = {"include_extras": True} if sys.version_info >= (3, 9) else {}
    try:
        return typing.get_type_hints(owner, names, more, **extras)
    except (NameError, AttributeError, TypeError, SyntaxError, KeyError) as error:
        raise TypeError("%s: a type hint cannot be resolved (%s): write it as Python %d.%d knows it, with names from "
                        "the top of its module" % (where, error, *sys.version_info[:2])) from error


def _described(shape: Shape, description: Optional[str]) -> Shape:
    return shape._replace(schema=_with(shape.schema, "description", description)) if description else shape


def _with(schema: Schema, word: str, value: Any) -> Schema:
    """`schema` with one more word; the server takes none beside a ``$ref``."""
    return {**({"anyOf": [schema]} if "$ref" in schema else schema), word: value}


def _mismatch(value: Any, where: str, due: str) -> ParseError:
    return ParseError(f"{where or 'the value'} must be {due}, not {value!r:.80}")


def _made(make: Callable[..., Any], where: str, *args: Any, **fields: Any) -> Any:
    """What `make` makes; it may refuse: a dataclass in its ``__post_init__``, a set what has no hash, pydantic."""
    try:
        return make(*args, **fields)
    except (TypeError, ValueError) as error:
        raise ParseError(f"{where or 'the value'} does not fit: {error}") from error


def _takes_null(schema: Schema) -> bool:
    return not schema or schema.get("type") == "null" or any(map(_takes_null, schema.get("anyOf", ())))


def _as_it_is(value: Any, where: str) -> Any:
    return value


def _scalar(kind: Any) -> Shape:
    def read(value: Any, where: str) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int and value.bit_length() < 1024:  # a longer one overflows
            return float(value)
        if kind is int and type(value) is float and value.is_integer():
            return int(value)
        raise _mismatch(value, where, _WORDS[kind])

    return Shape({"type": _NAMES[kind]}, read, _WORDS[kind])


def _moment(cls: Any) -> Shape:
    format, pattern = _MOMENTS[cls]
    due = f"a string of the format {format} (RFC 3339)"

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII | re.IGNORECASE):
            raise _mismatch(value, where, due)
        return _made(cls.fromisoformat, where, _as_python_writes(value))  # there is no 31st of February

    return Shape({"type": "string", "format": format}, read, due)


def _as_python_writes(moment: str) -> str:
    """RFC 3339 as `fromisoformat` takes it before Python 3.11: no Z, and six digits of a second."""
    moment = re.sub("[Zz]$", "+00:00", moment)
    return re.sub(r"\.(\d+)", lambda found: f".{found.group(1)[:6].ljust(6, '0')}", moment)


def _choice(choices: List[Tuple[Any, Any]], hint: Any, where: str) -> Shape:
    """Some values and no others: pairs of what JSON says and what it is in Python."""
    if not choices:
        raise TypeError(f"{where}: {hint} has no values")
    kinds: Dict[str, List[Any]] = {}
    for said, _ in choices:
        if type(said) not in _NAMES:
            raise TypeError(f"{where}: JSON Schema cannot say the value {said!r} of {hint}: give each a str or an int")
        kinds.setdefault(_NAMES[type(said)], []).append(said)
    options: List[Schema] = [
        {"type": kind} if kind == "null" else {"type": kind, "enum": kinds[kind]} for kind in kinds]
    due = f"one of {', '.join((repr(said) for said, _ in choices))}"

    def read(value: Any, where: str) -> Any:
        for said, meant in choices:
            if said == value and isinstance(said, bool) == isinstance(value, bool):  # 1 == True
                return meant
        raise _mismatch(value, where, due)

    return Shape(options[0] if len(options) == 1 else {"anyOf": options}, read, due)


def _array(item: Shape, make: Callable[[List[Any]], Any]) -> Shape:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise _mismatch(value, where, "an array")
        return _made(make, where, [item.read(one, f"{where}[{int(index)}]") for index, one in enumerate(value)])

    return Shape({"type": "array", "items": item.schema}, read, "an array")


def _tuple(items: List[Shape]) -> Shape:
    count = len(items)

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list) or len(value) != count:
            raise _mismatch(value, where, f"an array of {int(count)}")
        return tuple(items[index].read(one, f"{where}[{int(index)}]") for index, one in enumerate(value))

    schema = {"type": "array", "prefixItems": [item.schema for item in items], "minItems": count, "maxItems": count}
    return Shape(schema, read, f"an array of {int(count)}")


def _dict(item: Shape) -> Shape:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(value, where, "an object")
        return {name: item.read(one, _at(where, name)) for name, one in value.items()}

    return Shape({"type": "object", "additionalProperties": item.schema or True}, read)


def _union(options: List[Shape]) -> Shape:
    schemas = [option.schema for option in options]
    due = " or ".join(option.due for option in options)

    def read(value: Any, where: str) -> Any:
        if type(value) in (int, float) and {"type": _NAMES[type(value)]} in schemas:
            return value
        reasons = []
        for option in options:
            try:
                return option.read(value, where)
            except ParseError as error:
                reasons.append(error)
        if len(reasons) == 2 and {"type": "null"} in schemas:  # Optional: the other reason has the place
            raise reasons[1 - schemas.index({"type": "null"})]
        raise ParseError(f"{where or 'the value'} fits none of its types: {'; '.join(map(str, reasons))}")

    return Shape({"anyOf": schemas}, read, due)


def _object(fields: List[_Field], make: Callable[..., Any], description: Optional[str] = None) -> Shape:
    shapes = {field.name: field.shape for field in fields}
    required = [field.name for field in fields if field.required]

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(value, where, "an object")
        for name in value:
            if name not in shapes:
                raise ParseError(f"{_at(where, name)} is unknown; the names are: {', '.join(shapes) or 'none'}")
        for name in required:
            if name not in value:
                raise ParseError(f"{_at(where, name)} is missing; it must be {shapes[name].due}")
        read_ones = {name: shapes[name].read(one, _at(where, name)) for name, one in value.items()}
        return _made(make, where, **read_ones)

    schema: Schema = {"type": "object", "properties": {name: shape.schema for name, shape in shapes.items()}}
    if required:
        schema["required"] = required
    return _described(Shape({**schema, "additionalProperties": False}, read), description)


def _at(where: str, name: str) -> str:
    if not name.isidentifier():
        return f"{where}[{name!r}]"
    return f"{where}.{name}" if where else name


def to_json(value: Any, where: str = "the value") -> Any:
    """A copy of `value` as JSON data: None, str, int, float, bool, lists, and dicts with str keys.

    Says also Enum (by value), datetime, date and time (ISO 8601), tuples and sets (arrays), dataclasses and NamedTuple
    (objects), pydantic models, and what has a ``tolist``, as in numpy. TypeError or ValueError names the place of
    anything else.
    """
    return _said(value, where, ())


def _said(value: Any, where: str, above: Tuple[int, ...]) -> Any:
    """`value` as JSON data; `above` has the ids of what it is in."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return _finite(value, where)
    if isinstance(value, (datetime.date, datetime.time)):  # a datetime is a date
        return value.isoformat()
    if id(value) in above:
        raise ValueError(f"{where} leads back to itself, which JSON cannot say")
    above += (id(value),)
    if isinstance(value, Mapping):
        return {name: _said(one, _at(where, name), above) for name, one in _named(value, where)}
    names = _field_names(value)
    if names is not None:
        return {name: _said(getattr(value, name), _at(where, name), above) for name in names}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_said(one, f"{where}[{int(index)}]", above) for index, one in enumerate(value)]
    return _said(_simpler(value, where), where, above)


def _finite(value: float, where: str) -> float:
    if value - value != 0:  # nan and the infinities
        raise ValueError(f"{where} is {value!r}, which JSON cannot say")
    return float(value)  # numpy has heirs of float


def _named(value: Mapping[Any, Any], where: str) -> Iterator[Tuple[str, Any]]:
    for key, one in value.items():
        name = key.value if isinstance(key, enum.Enum) else key
        if not isinstance(name, str):
            raise TypeError(f"{where} has the key {key!r}: JSON has strings for names")
        yield name, one


def _field_names(value: Any) -> Optional[Sequence[str]]:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return value._fields  # type: ignore[no-any-return]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [field.name for field in dataclasses.fields(value)]
    return None


def _simpler(value: Any, where: str) -> Any:
    """What a pydantic model, or a number or array of numpy, says of itself."""
    if not isinstance(value, (type, memoryview)):
        if hasattr(value, "model_dump"):
            return value.model_dump(mode="json")
        if hasattr(value, "parse_obj"):
            return value.dict()
        if hasattr(value, "tolist"):
            return value.tolist()
    raise TypeError("%s is of the type %s, which JSON cannot say: make it text, a number, a list or a dict"
                    % (where, type(value).__name__))
