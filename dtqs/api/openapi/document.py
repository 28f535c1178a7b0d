"""GET /openapi.json: the OpenAPI 3.1 document, made once from the models that validate, payloads included."""

from collections.abc import Sequence
from typing import Any

import falcon
import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dtqs import __version__
from dtqs.api.openapi import paths
from dtqs.api.openapi.schemas import ALL
from dtqs.api.submit.envelope import ARRAY_LIMIT, TaskBody
from dtqs.api.web.login import Login
from dtqs.config import ApiSection
from dtqs.processors.base import Processor
from dtqs.processors.catalog import Catalog

Schema = dict[str, Any]
_REF = "#/components/schemas/"


class OpenApi:
    def __init__(self, catalog: Catalog, section: ApiSection) -> None:
        self._document = orjson.dumps(document(catalog, section))

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type, resp.data = falcon.MEDIA_JSON, self._document


def document(catalog: Catalog, section: ApiSection) -> Schema:
    """Return the whole document."""
    processors = [catalog.get(name) for name in catalog.names()]
    schemas = _answers() | _submits(processors)
    components: Schema = {"schemas": schemas, "responses": paths.RESPONSES}
    if section.auth:
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"},
            "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DTQS",
            "version": __version__,
            "description": "A durable task queue: each accepted task ends in exactly one outcome.",
        },
        "servers": [{"url": section.public_url or "/"}],
        "paths": paths.PATHS if section.auth else paths.without_security(paths.PATHS),
        "components": components,
    }


def _answers() -> Schema:
    _, made = models_json_schema(
        [*((model, "serialization") for model in ALL), (Login, "validation")], ref_template=_REF + "{model}"
    )
    return dict(made["$defs"])


def _submits(processors: Sequence[Processor[Any, Any]]) -> Schema:
    """Return a schema for the submit of each task type, the envelope with its name and payload, and their union."""
    schemas: Schema = {}
    for processor in processors:
        schemas |= _payload(processor)
        schemas[_submit_name(processor.name)] = _submit(processor)
    choices = [{"$ref": _REF + _submit_name(processor.name)} for processor in processors]
    schemas["Submit"] = {
        "oneOf": choices,
        "discriminator": {
            "propertyName": "task_type",
            "mapping": {processor.name: _REF + _submit_name(processor.name) for processor in processors},
        },
    }
    schemas["SubmitMany"] = {
        "type": "array",
        "minItems": 1,
        "maxItems": ARRAY_LIMIT,
        "items": {"$ref": _REF + "Submit"},
    }
    return schemas


def _payload(processor: Processor[Any, Any]) -> Schema:
    """Return the payload's schema and its parts, under names with the task type's name as prefix."""
    prefix = f"payload.{processor.name}"
    model: type[BaseModel] = processor.payload_model
    schema = model.model_json_schema(ref_template=f"{_REF}{prefix}.{{model}}")
    parts = schema.pop("$defs", {})
    if processor.examples:
        schema["examples"] = list(processor.examples)
    return {prefix: schema} | {f"{prefix}.{name}": part for name, part in parts.items()}


def _submit(processor: Processor[Any, Any]) -> Schema:
    schema = TaskBody.model_json_schema()
    schema["title"] = _submit_name(processor.name)
    schema["properties"] |= {
        "task_type": {"const": processor.name, "type": "string"},
        "payload": {"$ref": f"{_REF}payload.{processor.name}"},
    }
    # models cannot express that delay_seconds and due_at exclude each other
    given = [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in ("delay_seconds", "due_at")
    ]
    schema["not"] = {"allOf": given}
    return schema


def _submit_name(task_type: str) -> str:
    return f"submit.{task_type}"
