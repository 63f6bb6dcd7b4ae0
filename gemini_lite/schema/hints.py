"""A type hint read into a shape: its JSON Schema for the model, and the reader of the JSON that comes back."""
from __future__ import annotations

import collections.abc
import contextlib
import enum
import typing
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple

from ..errors import ParseError
from ..json_data import JSON
from . import shapes
from .error_places import Place
from .fields import MISSING, Field, class_docstring, class_fields
from .hint_parts import special_form, unsupported_hint, unwrap_hint
from .json_values import to_json
from .shapes import Property, Shape

_ARRAYS: Dict[type, Callable[[List[object]], object]] = {  # a collection type, and what makes it of a list
    list: list, set: set, frozenset: frozenset, tuple: tuple,
    collections.abc.Sequence: list, collections.abc.MutableSequence: list, collections.abc.Collection: list,
    collections.abc.Iterable: list, collections.abc.Set: set, collections.abc.MutableSet: set,
}
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def to_schema(hint: object, where: str) -> JSON:
    """JSON Schema (2020-12) for values of the type `hint`; a dict is a schema already and comes back as a copy.

    Supports str, int, float, bool, None, Any, Optional, Union, Literal, Enum (by value), lists, sets, tuples, dicts
    with str keys, dataclasses, TypedDict, NamedTuple, datetime, date, time and pydantic models. The text in Annotated
    and in a field's ``metadata={"description": ...}`` become descriptions. A type that contains itself gets a name in
    ``$defs``; the server wants a default on the field that does so. Any other hint is a TypeError that names `where`.
    """
    reader = _HintReader()
    return reader.complete_schema(reader.read_hint(hint, where))


def from_json(value: object, hint: object, where: str = "") -> Any:
    """Parsed JSON as the type `hint` again; for a schema given as a dict, the value as it is.

    An object may have no other names than the type has. A Union takes its first type that fits, except that a number
    stays as it is if its own type is among them. 3.0 is an integer, as in JSON Schema, and no number is a bool.
    ParseError names the place, after `where`: ``people[2].age``.
    """
    return read_value(_HintReader().read_hint(hint, where or "the type"), value, where)


def read_value(shape: Shape, value: object, where: str = "") -> Any:
    """`value` as `shape` reads it; ParseError if it does not fit, or is nested too deeply for Python."""
    try:
        return shape.read(value, Place(where))
    except RecursionError:
        raise ParseError(f"{where or 'the value'} is nested too deeply to be read") from None


class Record(NamedTuple):
    """An object with known fields: its JSON Schema, and what reads a value at a place such as ``""`` as a dict."""

    schema: JSON
    read: Callable[[object, str], JSON]


def fields_record(fields: Iterable[Field], where: str) -> Record:
    """An object with these fields."""
    reader = _HintReader()
    shape = shapes.record([reader.read_field(field, where) for field in fields], dict)
    return Record(reader.complete_schema(shape), lambda value, place: read_value(shape, value, place))


class _HintReader:
    """Reads the hints of one schema; a type that contains itself is written once, under a name in ``$defs``."""

    def __init__(self) -> None:
        self._shapes: Dict[object, Shape] = {}  # classes and aliases that were read
        self._unfinished: Set[object] = set()  # those that are being read now
        self._names: Dict[object, str] = {}  # those that contain themselves, and their names in $defs
        self._definitions: JSON = {}

    def complete_schema(self, shape: Shape) -> JSON:
        """The schema to send, with the definitions it refers to; a copy, so that nobody changes the shape's own."""
        definitions = {"$defs": self._definitions} if self._definitions else {}
        schema: JSON = to_json({**shape.schema, **definitions})
        return schema

    def read_hint(self, hint: object, where: str) -> Shape:
        """The shape of any hint; TypeError if JSON has none for it."""
        if isinstance(hint, Mapping):
            return shapes.unchecked(to_json(hint, where))
        bare, description = unwrap_hint(hint)
        if bare is not hint:
            return shapes.described(self.read_hint(bare, where), description)
        if type(hint).__name__ == "TypeAliasType":
            return self._read_once(hint, lambda: self.read_hint(getattr(hint, "__value__"), where))
        origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        shape = self._read_special_form(special_form(origin), args, hint, where)
        if shape is None and isinstance(origin, type):
            shape = self._read_class(origin, args, hint, where)
        if shape is None:
            raise unsupported_hint(hint, where)
        return shape

    def read_field(self, field: Field, where: str) -> Property:
        """A field as the property of an object; a default of None allows null."""
        where = f"{where}.{field.name}"
        if field.hint is MISSING:
            raise TypeError(f"{where} has no type hint: write one, such as `{field.name}: str`")
        hint, description = unwrap_hint(field.hint)
        shape = self.read_hint(hint, where)
        if field.default is None:
            shape = shapes.nullable(shape)
        shape = shapes.described(shape, description or field.description)
        if field.default is not MISSING:
            with contextlib.suppress(TypeError, ValueError):  # JSON cannot express every default
                shape = shapes.with_keyword(shape, "default", to_json(field.default))
        return Property(field.name, shape, field.required)

    def _read_special_form(
        self, form: Optional[str], args: Tuple[object, ...], hint: object, where: str,
    ) -> Optional[Shape]:
        if form == "Any":
            return shapes.unchecked({}, "any value")
        if form in ("Union", "UnionType") and args:
            return shapes.union([self.read_hint(arg, where) for arg in args])
        if form == "Literal":
            return shapes.choice([(arg.value if isinstance(arg, enum.Enum) else arg, arg) for arg in args], hint, where)
        if form in ("Required", "NotRequired", "ReadOnly", "Final") and args:
            return self.read_hint(args[0], where)
        return None

    def _read_class(self, cls: type, args: Tuple[object, ...], hint: object, where: str) -> Optional[Shape]:
        """The shape of a class, `args` being what stands in its brackets; None if JSON has none for it."""
        if shapes.is_scalar(cls):
            return shapes.scalar(cls)
        if shapes.is_date_or_time(cls):
            return shapes.date_or_time(cls)
        if cls is tuple and args and args[-1] is not ...:
            return shapes.fixed_tuple([self.read_hint(arg, where) for arg in args])
        if cls in _ARRAYS:
            return shapes.array(self.read_hint(args[0] if args else Any, where), _ARRAYS[cls])
        if cls in _DICTS:
            if args and args[0] is not str:
                raise TypeError(f"{where}: JSON has strings for names: write Dict[str, ...], not {hint}")
            return shapes.string_dict(self.read_hint(args[1] if args else Any, where))
        if issubclass(cls, enum.Enum):
            return shapes.choice([(member.value, member) for member in cls], hint, where)
        if hasattr(cls, "model_validate") or hasattr(cls, "parse_obj"):
            return self._read_pydantic_model(cls)
        if hasattr(cls, "__pydantic_validator__"):
            return self._read_pydantic_dataclass(cls)
        fields = class_fields(cls, where)
        return None if fields is None else self._read_once(cls, lambda: self._read_data_class(cls, fields or [], where))

    def _read_data_class(self, cls: type, fields: List[Field], where: str) -> Shape:
        properties = [self.read_field(field, where) for field in fields]
        return shapes.described(shapes.record(properties, lambda values: cls(**values)), class_docstring(cls))

    def _read_pydantic_model(self, cls: Any) -> Shape:
        """A pydantic model of version 2 or 1, recognised by its methods."""
        if hasattr(cls, "model_validate"):
            return self._read_pydantic_schema(cls.model_json_schema(), cls.model_validate)
        return self._read_pydantic_schema(cls.schema(ref_template="#/$defs/{model}"), cls.parse_obj)

    def _read_pydantic_dataclass(self, cls: Any) -> Shape:
        """A dataclass of pydantic 2, whose fields may be pydantic's: what they require, only pydantic knows."""
        from pydantic import TypeAdapter  # type: ignore[import-not-found, unused-ignore]
        adapter: Any = TypeAdapter(cls)
        return self._read_pydantic_schema(adapter.json_schema(), adapter.validate_python)

    def _read_pydantic_schema(self, schema: JSON, convert: Callable[[object], object]) -> Shape:
        schema = dict(schema)
        definitions: JSON = {**schema.pop("definitions", {}), **schema.pop("$defs", {})}  # of version 1, and of 2
        for name, definition in definitions.items():
            if self._definitions.setdefault(name, definition) != definition:
                raise TypeError(f"two types in one schema are named {name}: rename one")
        return shapes.converted(schema, convert)

    def _read_once(self, hint: object, read: Callable[[], Shape]) -> Shape:
        """The shape that `read` gives for `hint`; where `hint` is met again inside itself, a reference to that."""
        if hint in self._unfinished:
            return Shape(self._reference(hint), lambda value, place: self._shapes[hint].read(value, place))
        if hint not in self._shapes:
            self._unfinished.add(hint)
            shape = read()
            self._unfinished.remove(hint)
            if hint in self._names:
                self._definitions[self._names[hint]] = shape.schema
                shape = shape._replace(schema=self._reference(hint))
            self._shapes[hint] = shape
        return self._shapes[hint]

    def _reference(self, hint: object) -> JSON:
        """A ``$ref`` to the definition of `hint`, whose name is chosen at the first reference."""
        if hint not in self._names:
            name: str = getattr(hint, "__name__")
            while name in self._definitions:
                name += "_"
            self._names[hint], self._definitions[name] = name, {}
        return {"$ref": f"#/$defs/{self._names[hint]}"}
