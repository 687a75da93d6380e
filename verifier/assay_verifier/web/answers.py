"""How the service answers what no route does: HEAD, and errors, which a browser gets as a page."""

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay_verifier.web.pages import render


class HeadAsGet:
    """Answers HEAD as GET without a body: monitors and proxies ask so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


class Prefixed:
    """Says under which prefix a proxy serves us; whether it strips that from the paths does not matter."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        await self._app({**scope, "root_path": self._prefix or scope.get("root_path", "")}, receive, send)


def answer_errors(api: FastAPI) -> None:
    """Errors as pages for who asks for HTML, else as JSON; a database that does not answer is a 503."""

    @api.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        if _wants_page(request):
            return _error_page(request, error.status_code, str(error.detail))
        return await http_exception_handler(request, error)

    @api.exception_handler(RequestValidationError)
    async def correct(request: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        if _wants_page(request):
            first = error.errors()[0]
            where = " ".join(str(part) for part in first["loc"])
            return _error_page(request, 422, f"{where}: {first['msg']}")
        return await request_validation_exception_handler(request, error)

    @api.exception_handler(SQLAlchemyError)
    async def wait(request: Request, _error: SQLAlchemyError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return await refuse(request, HTTPException(503, "the database does not answer"))


def _wants_page(request: Request) -> bool:
    """A browser asks for HTML; programs ask for anything."""
    return "text/html" in request.headers.get("accept", "")


def _error_page(request: Request, status: int, words: str) -> Response:
    return render(request, "error.html", status=status, words=words)
