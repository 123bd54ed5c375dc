"""The page with a Python behind it: a selection is explained when it is asked for.

It listens on 127.0.0.1 alone, answers only addresses that begin with a token drawn at its start, refuses requests whose
host or origin is another, and knows no path but the page's and the question's.
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
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clusterwhy.errors import ClusterWhyError
from clusterwhy.explanations.selections import ExplainedSelection
from clusterwhy.report.page_data import pack_relevance

log = logging.getLogger(__name__)
MOST_BYTES = 4_000_000  # of a question
# Plotly draws with functions that it makes itself; nothing may be loaded from or sent to elsewhere
POLICY = (
    "default-src 'none'; script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Explain = Callable[[list[int], str], ExplainedSelection]


class Asked(BaseModel):
    """A question of the page."""

    model_config = ConfigDict(extra="forbid", strict=True)

    windows: list[int] = Field(min_length=1)
    rules: str = Field(max_length=100)


class PageServer(ThreadingHTTPServer):
    """Serves one page and answers its questions, one after the other.

    Args:
        html: the page.
        explain: windows and the name of rules -> their relevance.
        rules: names that the page may ask for, the study's own first.
        port: 0 for any free one.
        chunks: files of the page's long series; nothing else is read from the disk.
    """

    daemon_threads = True

    def __init__(
        self, html: str, explain: Explain, rules: tuple[str, ...], port: int = 0, chunks: Sequence[Path] = ()
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = secrets.token_urlsafe(24)
        self.explain, self.rules, self.busy = explain, rules, threading.Lock()
        self.chunks = {path.name: path for path in chunks}
        offer = json.dumps({"rules": rules}).replace("<", "\\u003c")
        self.html = html.replace("</body>", f'<script type="application/json" id="served">{offer}</script>\n</body>', 1)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def answer(self, body: bytes) -> dict[str, Any]:
        """Relevance of the windows in a question, packed as in the page.

        Raises:
            ValueError: no question that can be answered, with the reason.
        """
        try:
            asked = Asked.model_validate_json(body)
        except ValidationError as error:
            raise ValueError(
                "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            ) from error
        if asked.rules not in self.rules:
            raise ValueError(f"rules: expected one of {', '.join(self.rules)}")
        with self.busy:
            found = self.explain(asked.windows, asked.rules)
        relevance = found.relevance
        windows = pd.DataFrame({"window": found.windows, "target": relevance.target, "gap": relevance.gap})
        arrays = pack_relevance("asked", windows, relevance.values)
        return {"arrays": {one.name: {**one.about, "text": one.text} for one in arrays}}


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
        if self._refused({"explain"}):
            return
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or int(size) > MOST_BYTES or self.headers.get_content_type() != "application/json":
            self._fail(HTTPStatus.BAD_REQUEST, f"expected JSON of at most {MOST_BYTES} bytes")
            return
        try:
            answer = self.server.answer(self.rfile.read(int(size)))
        except (ValueError, ClusterWhyError) as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._send(HTTPStatus.OK, json.dumps(answer).encode(), "application/json")

    def _refused(self, paths: set[str]) -> bool:
        """Answers what is not for us: another host or origin, no token, another path."""
        host = f"127.0.0.1:{self.server.server_port}"
        origin = self.headers.get("Origin")
        _, token, *rest = self.path.split("/", 2) if self.path.startswith("/") else ("", "")
        if self.headers.get("Host") != host or origin not in (None, f"http://{host}"):
            self._fail(HTTPStatus.FORBIDDEN, "another host or origin")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._fail(HTTPStatus.FORBIDDEN, "no token, or a wrong one: open the address that was printed")
        elif len(rest) != 1 or rest[0] not in paths:
            self._fail(HTTPStatus.NOT_FOUND, "nothing here")
        elif self.command == "POST" and origin is None:
            self._fail(HTTPStatus.FORBIDDEN, "no origin")
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
        # the address holds the token
        log.debug("answered %s", args[1] if len(args) > 1 else "")
