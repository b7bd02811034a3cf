"""Write the routes of the HTTP API to a Markdown file such as `docs/http_api.md`.

python -m teachmesh_lab.cli.http_reference FILE
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from teachmesh import Agent
from teachmesh.web.access import choose_access
from teachmesh.web.web_app import make_app
from teachmesh.web.web_service import WebService

TITLE = """# HTTP reference

Written by `make docs` from the OpenAPI document of the agent; do not edit. [Page and HTTP
API](web.md) explains how to use it, and `/v1/openapi.json` of a running agent has the same as JSON.

## In short

- On this machine, `GET` and `POST /v1/predict` need no token; all other requests do.
- Bodies of images are `multipart/form-data` with fields `files`, or one image as it is.
- Errors have the document that the command line prints with `--json`.

"""
Route = Mapping[str, Any]


def reference() -> str:
    """Return a table of all routes, then parameters and an example of each, as Markdown."""
    routes = list(openapi_routes())
    table = ["## Routes", "", "| request | meaning |", "|---|---|"]
    table += [f"| `{name}` | {route['summary']} |" for name, route in routes]
    parts = ["\n".join([*table, ""])]
    parts += [_section(name, route) for name, route in routes if _details(route)]
    return TITLE + "\n".join(parts)


def openapi_routes() -> Iterator[tuple[str, Route]]:
    """Yield method with address, and description, of each route of the API."""
    with tempfile.TemporaryDirectory() as folder:
        service = WebService(Agent(folder), choose_access("127.0.0.1", Path(folder)))
        document = make_app(service).openapi()
        service.close()
    for address, methods in document["paths"].items():
        for method, route in methods.items():
            yield f"{method.upper()} {address}", route


def _details(route: Route) -> bool:
    return bool(route.get("parameters") or route.get("requestBody") or _example(route))


def _section(name: str, route: Route) -> str:
    lines = [f"## {name}", "", f"{route['summary']}.".replace("..", "."), ""]
    if parameters := route.get("parameters"):
        lines += ["| parameter | in | type | default |", "|---|---|---|---|"]
        lines += [_row(parameter) for parameter in parameters]
        lines.append("")
    for kind, body in (route.get("requestBody") or {}).get("content", {}).items():
        lines += _fields(body["schema"]) if kind == "application/json" else []
        lines += (
            [f"Body: `{kind}`.", ""] if "example" not in body else _shown(kind, body["example"])
        )
    if (example := _example(route)) is not None:
        lines += _shown("Answer", example)
    return "\n".join(lines)


def _row(parameter: Route) -> str:
    schema = parameter["schema"]
    default = "required" if parameter.get("required") else f"`{json.dumps(schema.get('default'))}`"
    return f"| `{parameter['name']}` | {parameter['in']} | {_kind(schema)} | {default} |"


def _fields(schema: Route) -> list[str]:
    """Return a table of the fields of a JSON body."""
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {field['description'].rstrip('.')} | {_kind(field)} | "
        + ("required |" if name in required else f"`{json.dumps(field.get('default'))}` |")
        for name, field in schema["properties"].items()
    ]
    return ["| field | meaning | type | default |", "|---|---|---|---|", *rows, ""]


def _kind(schema: Route) -> str:
    """Return the type of a parameter or field, or its values."""
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    return " or ".join(f"`{value}`" for value in schema.get("enum", ())) or str(schema["type"])


def _example(route: Route) -> Any:
    answer = route["responses"].get("200") or route["responses"].get("202") or {}
    return answer.get("content", {}).get("application/json", {}).get("example")


def _shown(title: str, document: object) -> list[str]:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return [f"{title}:", "", "```json", text, "```", ""]


def main() -> None:
    """Write the reference to the file named on the command line."""
    os.umask(0o022)
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
