"""Closes the JSON schemas of tools, as strict function calling requires.

In a closed schema every object has exactly the properties that it declares, and all of them are
required. A property that was optional may be null instead. ``without_fillers`` takes such nulls out
of a call's arguments again, so that a function gets what its own schema describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

RESERVED = frozenset(
    {
        "call_info",
        "conversation_id",
        "from_phone_number",
        "pre_tool_text",
        "to_phone_number",
        "twilio_call_sid",
    }
)
"""Phonic adds these to every tool call, so no parameter of a tool may have such a name (SDK:
``ToolParametersJsonSchema``)."""

_OPENING = (
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "not",
    "if",
    "contains",
)
"""Keywords whose meaning depends on which properties are there, or that describe a value without
declaring what it consists of. (``then`` and ``else`` mean nothing without ``if``.)"""

_LEFT_OUT = frozenset(
    {
        "$schema",
        "$id",
        "$comment",
        "title",
        "default",
        "examples",
        "discriminator",
        "unevaluatedProperties",
        "then",
        "else",
    }
)
"""Keywords that say nothing about a closed schema's values, or that strict schemas do not have."""

_OF_UNIONS = ("anyOf", "oneOf")

_PARAMETERS = "parameters"
"""What a path begins with."""


class NotClosable(ValueError):
    """A schema describes values that a closed schema cannot. The message begins with the path."""


def _validator_of(schema: Schema) -> Any:
    """The library's validator for the schema's dialect."""
    # Loading it takes longer than the rest of the package, and most agents have no raw schema.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415

    return validator_for(schema, default=Draft202012Validator)


def check(schema: Any) -> None:
    """Raise ``NotClosable`` if a tool's parameters are no JSON schema."""
    if not isinstance(schema, dict):
        raise NotClosable(f"{_PARAMETERS}: must be a JSON schema")
    from jsonschema import SchemaError  # noqa: PLC0415

    try:
        _validator_of(schema).check_schema(schema)
    except SchemaError as error:
        path = ".".join([_PARAMETERS, *map(str, error.absolute_path)])
        raise NotClosable(f"{path}: {error.message}") from None


def closed(schema: Schema) -> Schema:
    """A tool's parameters as a closed schema. The given schema stays as it is.

    Raises:
        NotClosable: the schema cannot be closed, does not describe an object, or has a parameter
            whose name is reserved.
    """
    closing = _Closing(schema)
    root: Schema = {"type": "object", "properties": {}, **closing.alone(schema, _PARAMETERS)}
    if root["type"] != "object":
        raise NotClosable(f"{_PARAMETERS}.type: must be object")
    for union in _OF_UNIONS:
        if union in root:
            raise NotClosable(f"{_PARAMETERS}.{union}: is possible only within a parameter")
    for name in sorted(RESERVED & root["properties"].keys()):
        raise NotClosable(f"{_PARAMETERS}.properties.{name}: the name is reserved by Phonic")
    return closing.schema(root, _PARAMETERS)


def without_fillers(schema: Schema, arguments: Any) -> Any:
    """A call's arguments as ``schema`` describes them, which is the schema before it was closed.

    A null is left out if its property is optional and its schema does not take null.
    """
    return _Opening(schema).value(schema, arguments)


class _Closing:
    """Closes one tool's schema, whose references are within ``root``."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def schema(self, given: Any, path: str) -> Schema:
        schema = self.alone(given, path)
        for keyword in _OPENING:
            if keyword in schema:
                raise NotClosable(f"{path}.{keyword}: strict function calling has no such keyword")
        if "$ref" not in schema and not _says_a_type(schema):
            raise NotClosable(f"{path}: takes any value; it needs a type")
        closed: Schema = {}
        for keyword, value in schema.items():
            if keyword not in _LEFT_OUT:
                closed[keyword] = value
        for union in _OF_UNIONS:
            if union in schema:
                # Strict schemas have no oneOf. For the one who fills them in they are the same.
                del closed[union]
                closed["anyOf"] = self._each(schema[union], f"{path}.{union}")
        for definitions in ("$defs", "definitions"):
            if definitions in schema:
                closed[definitions] = {
                    name: self.schema(definition, f"{path}.{definitions}.{name}")
                    for name, definition in schema[definitions].items()
                }
        if _has_type(schema, "array"):
            closed |= self._array(schema, path)
        if _has_type(schema, "object") or "properties" in schema:
            closed |= self._object(schema, path)
        return closed

    def alone(self, given: Any, path: str) -> Schema:
        """A schema with nothing beside its ``$ref``, and with no ``allOf``."""
        if not isinstance(given, dict):
            raise NotClosable(f"{path}: must say what it consists of, not {str(given).lower()}")
        schema = given
        seen: set[str] = set()
        while True:
            if "allOf" in schema:
                parts = schema["allOf"]
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                if len(parts) > 1 or not isinstance(parts[0], dict) or parts[0].keys() & rest:
                    raise NotClosable(f"{path}.allOf: closed schemas cannot be combined")
                schema = parts[0] | rest
            elif "$ref" in schema:
                ref = schema["$ref"]
                rest = {
                    key: value
                    for key, value in schema.items()
                    if key != "$ref" and key not in _LEFT_OUT
                }
                target = _resolve(self._root, ref)
                if target is None or ref in seen:
                    raise NotClosable(f"{path}.$ref: {ref} names no definition of this schema")
                if not rest:
                    return {"$ref": ref}
                seen.add(ref)
                schema = target | rest
            else:
                return schema

    def _each(self, schemas: list[Any], path: str) -> list[Schema]:
        return [self.schema(schema, f"{path}.{index}") for index, schema in enumerate(schemas)]

    def _array(self, schema: Schema, path: str) -> Schema:
        closed: Schema = {}
        if "prefixItems" in schema:
            closed["prefixItems"] = self._each(schema["prefixItems"], f"{path}.prefixItems")
        items = schema.get("items")
        if isinstance(items, list):
            # Before draft 2020-12 this was the name of prefixItems.
            closed["prefixItems"] = self._each(items, f"{path}.items")
            closed["items"] = False
        elif items is False or (items is None and closed):
            closed["items"] = False
        elif items is None:
            raise NotClosable(f"{path}.items: is missing")
        else:
            closed["items"] = self.schema(items, f"{path}.items")
        return closed

    def _object(self, schema: Schema, path: str) -> Schema:
        more = schema.get("additionalProperties", False)
        if more is not False:
            raise NotClosable(
                f"{path}.additionalProperties: must be false: each property must be named"
            )
        if "properties" not in schema and "additionalProperties" not in schema:
            raise NotClosable(f"{path}.properties: is missing; each property must be named")
        properties: Schema = schema.get("properties", {})
        required = schema.get("required", [])
        for name in required:
            if name not in properties:
                raise NotClosable(f"{path}.required: {name} is not among the properties")
        closed = {
            name: self.schema(value, f"{path}.properties.{name}")
            for name, value in properties.items()
        }
        for name, value in closed.items():
            if name not in required and not _takes_null(self._root, properties[name]):
                closed[name] = _nullable(value)
        everything = {"required": list(closed)} if closed else {}
        return {"properties": closed, **everything, "additionalProperties": False}


class _Opening:
    """Takes the nulls out of arguments that only a closed schema asked for."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._validator: Any = _validator_of(root)(root)

    def value(self, schema: Any, value: Any) -> Any:
        if isinstance(value, dict):
            for part in self._parts(schema, value):
                value = self._object(part, value)
        elif isinstance(value, list):
            for part in self._parts(schema, value):
                value = self._array(part, value)
        return value

    def _object(self, schema: Schema, value: dict[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        return {
            name: self.value(properties.get(name), item)
            for name, item in value.items()
            if item is not None
            or name not in properties
            or name in required
            or _takes_null(self._root, properties[name])
        }

    def _array(self, schema: Schema, value: list[Any]) -> list[Any]:
        items = schema.get("items")
        prefix = items if isinstance(items, list) else schema.get("prefixItems", [])
        rest = [items] * (len(value) - len(prefix))
        return [self.value(part, item) for part, item in zip([*prefix, *rest], value, strict=False)]

    def _parts(self, schema: Any, value: Any) -> Iterator[Schema]:
        """The schemas that say what ``value`` consists of: of a union, the first that fits."""
        if not isinstance(schema, dict):
            return
        yield schema
        if "$ref" in schema:
            yield from self._parts(_resolve(self._root, schema["$ref"]), value)
        for part in schema.get("allOf", ()):
            yield from self._parts(part, value)
        for union in _OF_UNIONS:
            fitting = (part for part in schema.get(union, ()) if self._fits(part, value))
            if (part := next(fitting, None)) is not None:
                yield from self._parts(part, value)

    def _fits(self, schema: Any, value: Any) -> bool:
        fits: Callable[[Any], bool] = self._validator.evolve(schema=schema).is_valid
        return fits(self.value(schema, value))


def _resolve(root: Schema, ref: str) -> Schema | None:
    """What a reference within ``root`` refers to; ``None`` if there is no such schema."""
    document, _, pointer = ref.partition("#")
    if document or (pointer and not pointer.startswith("/")):
        return None
    target: Any = root
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or name not in target:
            return None
        target = target[name]
    return target if isinstance(target, dict) else None


def _has_type(schema: Schema, name: str) -> bool:
    types = schema.get("type", [])
    return name in ([types] if isinstance(types, str) else types)


def _says_a_type(schema: Schema) -> bool:
    return not schema.keys().isdisjoint(("type", "enum", "const", "properties", *_OF_UNIONS))


def _takes_null(root: Schema, schema: Any, *, behind: frozenset[str] = frozenset()) -> bool:
    """Whether null is among a schema's values. ``behind`` has the references that led here."""
    if not isinstance(schema, dict):
        return schema is True
    if "type" in schema and not _has_type(schema, "null"):
        return False
    if schema.get("const") is not None or None not in schema.get("enum", [None]):
        return False
    if (ref := schema.get("$ref")) is not None:
        if ref in behind:
            return False
        if not _takes_null(root, _resolve(root, ref), behind=behind | {ref}):
            return False
    if not all(_takes_null(root, part, behind=behind) for part in schema.get("allOf", ())):
        return False
    return all(
        any(_takes_null(root, part, behind=behind) for part in schema[union])
        for union in _OF_UNIONS
        if union in schema
    )


def _nullable(schema: Schema) -> Schema:
    """A closed schema that takes null as well."""
    types = schema.get("type")
    if types is not None and schema.keys().isdisjoint(("enum", "const", "anyOf")):
        return {**schema, "type": [*([types] if isinstance(types, str) else types), "null"]}
    if "anyOf" in schema and "type" not in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    about = {"description": schema["description"]} if "description" in schema else {}
    inner = {key: value for key, value in schema.items() if key not in about}
    return {**about, "anyOf": [inner, {"type": "null"}]}
