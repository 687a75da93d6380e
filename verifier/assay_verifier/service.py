"""Builds the service out of its settings. Imports nothing that judges: a page of tables needs no torch."""

import logging
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from assay_core.protocol.errors import Stop
from assay_verifier.api import create_api
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.settings import ServeSettings

NO_DATABASE = "start `assay verifier run` with this --state-dir or --database-url, or name the one that it has"
ENDING_S = 3  # that requests under way are given to end, as a relay does

log = logging.getLogger("verifier")


def build_service(settings: ServeSettings) -> FastAPI:
    """The service over the database that `verifier run` writes. Raises Stop: the database cannot be reached."""
    engine = open_database(settings.database)
    migrate(engine)
    return create_api(session_factory(engine), root_path=settings.root_path, stale_after_s=settings.stale_after_s)


def run_service(settings: ServeSettings) -> None:
    """Serve until a signal asks to end. Raises Stop."""
    file = settings.database.removeprefix("sqlite:///")
    if file != settings.database and not Path(file).is_file():
        log.warning("no database yet", extra={"database": file, "what_to_do": NO_DATABASE})
    service = build_service(settings)
    with _listen(settings.host, settings.port) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        log.info("serving", extra={"url": f"http://{host}:{listener.getsockname()[1]}{settings.root_path}"})
        config = uvicorn.Config(service, log_level="warning", log_config=None, timeout_graceful_shutdown=ENDING_S)
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Stop(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host") from error
