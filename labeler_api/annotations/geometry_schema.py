"""What JSON Schema can say of an annotation to create: the shape that each type takes. For the OpenAPI document."""

from typing import Any

import msgspec

from labeler_api.annotations import geometry

_JsonSchema = dict[str, Any]


def create_schema() -> _JsonSchema:
    """Describe what comes beside the fields of `AnnotationCreate`: a geometry for its type, a task for a no_object."""
    return {
        "properties": {"attributes": {"type": "object"}},
        "anyOf": [_of_type(name) for name in geometry.SHAPES],
    }


def _of_type(name: str) -> _JsonSchema:
    properties: _JsonSchema = {"annotation_type": {"const": name}, "geometry": _geometry(name)}
    if name != geometry.NO_OBJECT:
        return {"properties": properties}
    task = {"type": "string", "minLength": 1, "maxLength": geometry.MAX_TASK_CHARACTERS}
    properties["attributes"] = {"type": "object", "properties": {"task_type": task}, "required": ["task_type"]}
    return {"properties": properties, "required": ["attributes"]}


def _geometry(name: str) -> _JsonSchema:
    shape = _shape(geometry.SHAPES[name], name)
    if name != "bbox":
        return shape
    legacy = _shape(geometry.LegacyBox, name)
    legacy["properties"]["bbox"] = False
    return {"anyOf": [shape, legacy]}


def _shape(kind: type[msgspec.Struct], name: str) -> _JsonSchema:
    """The schema of a shape, whose `type`, if it names one of the types, has to name the annotation's."""
    (_,), components = msgspec.json.schema_components([kind])
    (schema,) = components.values()
    others = "|".join(other for other in geometry.SHAPES if other != name)
    named = {"type": ["string", "null"], "pattern": rf"^(?!({others})$)[^\x00]*$"}
    kept = {key: schema[key] for key in ("type", "required") if key in schema}
    return {**kept, "properties": {**schema["properties"], "type": named}}
