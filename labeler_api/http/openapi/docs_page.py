"""The page that shows the OpenAPI document, without the Internet."""

from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

# No inline script but the page's own, no foreign host; `data:` because the bundle's style sheet embeds its icons.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Image Labeler API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css"><link rel="icon" href="/docs/assets/favicon-32x32.png"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
"""

_START = """window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true,
  displayRequestDuration: true, persistAuthorization: true, presets: [SwaggerUIBundle.presets.apis]});
"""


def routes(description: dict[str, Any]) -> list[BaseRoute]:
    """Serve the document and the page."""
    body = msgspec.json.encode(description)

    async def openapi_json(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    async def page(_request: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _PAGE_POLICY})

    async def start(_request: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    async def redoc(_request: Request) -> Response:
        return RedirectResponse("/docs")

    return [
        Route("/openapi.json", openapi_json),
        Route("/docs", page),
        Route("/redoc", redoc),
        Route("/docs/start.js", start),
        Mount("/docs/assets", StaticFiles(directory=Path(swagger_ui_path))),
    ]
