"""Serves the page from Python: selections are explained, other settings are tried, and names and notes are written.

The server listens on 127.0.0.1 only, requires a random token in the path, refuses requests with another host or
origin, and has no paths except those of the page, its chunk files and the requests.
"""

import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clusterwhy.errors import ClusterWhyError
from clusterwhy.explanations.selections import ExplainedSelection
from clusterwhy.report.naming import NamingRequest, PageNames
from clusterwhy.report.page_data import pack_relevance, script_json
from clusterwhy.report.trials import TrialRequest, Trials

log = logging.getLogger(__name__)
MAX_REQUEST_BYTES = 4_000_000
# Plotly compiles functions at run time, hence unsafe-eval; nothing may be loaded from or sent to another origin
POLICY = (
    "default-src 'none'; script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ABOUT = '<script type="application/json" id="about">'
R = TypeVar("R", bound=BaseModel)
Explain = Callable[[list[int], list[int], str], ExplainedSelection]
MOST_AT_ONCE = 32  # windows of a selection in one request: the page shows how far it is, and can stop


class ExplainRequest(BaseModel):
    """A request of the page: a selection, windows of it to explain, and by which rules."""

    model_config = ConfigDict(extra="forbid", strict=True)

    windows: list[int] = Field(min_length=1)
    part: list[int] = Field(min_length=1, max_length=MOST_AT_ONCE)
    rules: str = Field(max_length=100)


class BusyError(ClusterWhyError):
    """Another request of the kind is not finished."""


class PageServer(ThreadingHTTPServer):
    """Serves one page, explains selections, one request at a time, and beside it tries settings, one trial at a time.

    Args:
        html: the page.
        explain: windows of a selection, a part of them and the name of rules -> relevance of the part.
        rules: rules that the page may request, the study's own first.
        port: 0 for any free port.
        chunks: chunk files of a long series; no other file is served.
        names: reads and writes names and notes; None for a page without.
        trials: tries other settings; None for a page without.
    """

    daemon_threads = True

    def __init__(
        self,
        html: str,
        explain: Explain,
        rules: tuple[str, ...],
        port: int = 0,
        chunks: Sequence[Path] = (),
        names: PageNames | None = None,
        trials: Trials | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = secrets.token_urlsafe(24)
        self.explain, self.rules, self.busy = explain, rules, threading.Lock()
        self.chunks = {path.name: path for path in chunks}
        self.names, self.static = names, html
        self.trials, self.trying = trials, threading.Lock()

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    @property
    def html(self) -> str:
        """The page, with what the server offers and the names as they are in the file now."""
        offer: dict[str, Any] = {"rules": self.rules, "most": MOST_AT_ONCE}
        if self.names is not None:
            try:
                offer["named"] = self.names.shown()
            except ClusterWhyError as error:
                offer["fault"] = str(error)
        if self.trials is not None:
            offer["trials"] = self.trials.offer
        text = script_json(offer)
        # before the arrays of the page, so that it is there when the first view is drawn
        mark = ABOUT if ABOUT in self.static else "</body>"
        before, found, after = self.static.partition(mark)
        return f'{before}<script type="application/json" id="served">{text}</script>\n{found}{after}'

    def name(self, body: bytes) -> dict[str, Any]:
        """Write a name or a note, and give back all of them.

        Raises:
            ValueError: the request is invalid, with the reason.
            ClusterWhyError: the file is faulty, or cannot be written.
        """
        asked = _valid(NamingRequest, body)
        if self.names is None:
            raise ValueError("this page has no names")
        with self.busy:
            return self.names.write(asked)

    def attempt(self, body: bytes) -> dict[str, Any]:
        """Clusters and projection by other settings, encoded as in the page; nothing else waits for it.

        Raises:
            ValueError: the request is invalid, with the reason.
            ClusterWhyError: a value is invalid, or the study has too few windows for it.
            BusyError: another trial is not finished.
        """
        asked = _valid(TrialRequest, body)
        if self.trials is None:
            raise ValueError("this page has no settings to try")
        if not self.trying.acquire(blocking=False):
            raise BusyError("another trial is not finished: try again when it is")
        try:
            return self.trials.answer(asked)
        finally:
            self.trying.release()

    def answer(self, body: bytes) -> dict[str, Any]:
        """Relevance of a part of a selection, encoded as in the page.

        Raises:
            ValueError: the request is invalid, with the reason.
        """
        asked = _valid(ExplainRequest, body)
        if asked.rules not in self.rules:
            raise ValueError(f"rules: expected one of {', '.join(self.rules)}")
        with self.busy:
            found = self.explain(asked.windows, asked.part, asked.rules)
        relevance = found.relevance
        windows = pd.DataFrame({"window": found.windows, "target": relevance.target, "gap": relevance.gap})
        arrays = pack_relevance("asked", windows, relevance.values)
        packed = {one.name: {**one.about, "text": one.text} for one in arrays}
        return {"arrays": packed, "losses": found.losses}


def _valid(kind: type[R], body: bytes) -> R:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}".removeprefix(": ") for e in error.errors())
        raise ValueError(told) from error


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = 60

    def do_GET(self) -> None:
        if self._refused({"", *self.server.chunks}):
            return
        chunk = self.server.chunks.get(self.path.rpartition("/")[2])
        if chunk is None:
            self._send(HTTPStatus.OK, self.server.html.encode(), "text/html; charset=utf-8")
        else:
            self._send(HTTPStatus.OK, chunk.read_bytes(), "text/javascript; charset=utf-8")

    def do_POST(self) -> None:
        requests = {"explain": self.server.answer, "name": self.server.name, "try": self.server.attempt}
        if self._refused(set(requests)):
            return
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or int(size) > MAX_REQUEST_BYTES or self.headers.get_content_type() != "application/json":
            self._fail(HTTPStatus.BAD_REQUEST, f"expected JSON of at most {MAX_REQUEST_BYTES} bytes")
            return
        try:
            answer = requests[self.path.rpartition("/")[2]](self.rfile.read(int(size)))
        except BusyError as error:
            self._fail(HTTPStatus.CONFLICT, str(error))
            return
        except (ValueError, ClusterWhyError) as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._send(HTTPStatus.OK, json.dumps(answer).encode(), "application/json")

    def _refused(self, paths: set[str]) -> bool:
        """Answer requests with another host or origin, a wrong token or an unknown path; True if it was one."""
        host = f"127.0.0.1:{self.server.server_port}"
        origin = self.headers.get("Origin")
        _, token, *rest = self.path.split("/", 2) if self.path.startswith("/") else ("", "")
        if self.headers.get("Host") != host or origin not in (None, f"http://{host}"):
            self._fail(HTTPStatus.FORBIDDEN, "wrong host or origin")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._fail(HTTPStatus.FORBIDDEN, "missing or wrong token: open the address that was printed")
        elif len(rest) != 1 or rest[0] not in paths:
            self._fail(HTTPStatus.NOT_FOUND, "not found")
        elif self.command == "POST" and origin is None:
            self._fail(HTTPStatus.FORBIDDEN, "no Origin header")
        else:
            return False
        return True

    def _fail(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True
        self._send(status, json.dumps({"error": why}).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        headers: Mapping[str, str] = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        # the path contains the token
        log.debug("answered %s", args[1] if len(args) > 1 else "")
