"""A loopback stand-in for W&B's server that records what arrives, and that can go wrong in many ways.

It answers the GraphQL operations, the file stream and the uploads that wandb 0.31 uses to send a run with artifacts;
it shows what the client does, not what the real server would make of it.
"""

import base64
import gzip
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["status", "hang", "close", "garbage", "slow"]
KEY = "a" * 40


@dataclass
class FakeWandb:
    """What a server got, and what it does wrong.

    Attributes:
        fault: what it answers instead; `slow` answers right, after `delay_s`.
        status: of the answers when the fault is `status`.
        first: requests that are answered well before the fault begins.
        n_faults: requests that have the fault; all that follow if it is not said.
        only: a pattern of the paths that have the fault.
        n_requests: that came so far.
        operations: names of the GraphQL operations, in order.
        runs: id -> what was upserted; `finished` once the file stream said so.
        history: id -> rows.
        summary: id -> last summary.
        artifacts: id -> name, metadata and so on.
        used: (run, artifact's name) of every lineage edge.
        uploads: path -> bytes.
    """

    fault: Fault | None = None
    status: int = 500
    first: int = 0
    n_faults: int | None = None
    only: str = ""
    delay_s: float = 0.3
    n_requests: int = 0
    url: str = ""
    operations: list[str] = field(default_factory=list)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summary: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    used: list[tuple[str, str]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)

    def faulty(self, path: str) -> bool:
        """Count a request; whether the fault is for it."""
        with self.lock:
            self.n_requests += 1
            if self.fault is None or self.n_requests <= self.first or not re.search(self.only, path):
                return False
            if self.n_faults is not None:
                self.n_faults -= 1
            return self.n_faults is None or self.n_faults >= 0

    def stream(self, run: str, body: dict[str, Any]) -> None:
        """Take a part of the file stream."""
        files = body.get("files") or {}
        rows = (files.get("wandb-history.jsonl") or {}).get("content", [])
        with self.lock:
            self.history.setdefault(run, []).extend(json.loads(row) for row in rows)
            for row in (files.get("wandb-summary.json") or {}).get("content", []):
                self.summary[run] = json.loads(row)
            if body.get("complete"):
                self.runs[run]["finished"] = True

    def graphql(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer an operation."""
        operation = re.search(r"(?:query|mutation|subscription)\s+(\w+)", request["query"])
        name = operation[1] if operation else ""
        with self.lock:
            self.operations.append(name)
            answer = getattr(self, f"on_{name}", None)
            if answer is None:
                return {"data": None, "errors": [{"message": f"no operation {name} here"}]}
            return {"data": answer(request.get("variables") or {})}

    def on_Viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}

    def on_ServerFeaturesQuery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def on_RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "e", "name": "me"}
        return {"model": {"id": "p", "name": given["project"], "entity": entity, "bucket": None}}

    def on_UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        new = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], {})
        run.update({key: value for key, value in given.items() if value is not None})
        bucket = {
            "id": f"b{given['name']}",
            "name": given["name"],
            "displayName": run.get("displayName"),
            "description": "",
            "config": run.get("config", "{}"),
            "sweepName": None,
            "historyLineCount": 0,
            "project": {"id": "p", "name": run["project"], "entity": {"id": "e", "name": "me"}},
        }
        return {"upsertBucket": {"inserted": new, "bucket": bucket}}

    def on_CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/runfiles/{given['run']}/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def on_CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        made = given["input"]
        known = [
            artifact
            for artifact in self.artifacts.values()
            if (artifact["name"], artifact["digest"]) == (made["artifactCollectionName"], made["digest"])
        ]
        artifact = known[0] if known else {"id": str(len(self.artifacts) + 1), "state": "PENDING"}
        self.artifacts[artifact["id"]] = artifact | {
            "name": made["artifactCollectionName"],
            "type": made["artifactTypeName"],
            "digest": made["digest"],
            "metadata": json.loads(made.get("metadata") or "{}"),
            "run": made["runName"],
        }
        sequence = {"id": "s", "latestArtifact": None}
        answer = {"id": artifact["id"], "state": artifact["state"], "artifactSequence": sequence}
        return {"createArtifact": {"artifact": answer}}

    def manifest(self, artifact: str, name: str) -> dict[str, Any]:
        """Where a manifest is to be uploaded."""
        path = {"uploadUrl": f"{self.url}/manifest/{artifact}", "uploadHeaders": []}
        return {
            "artifactManifest": {"id": f"m{artifact}", "file": {"id": "f", "name": name, "displayName": name} | path}
        }

    def on_CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": self.manifest(given["artifactID"], given["name"])}

    def on_UpdateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"updateArtifactManifest": self.manifest(given["artifactManifestID"][1:], "wandb_manifest.json")}

    def on_CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for file in given["input"]["artifactFiles"]:
            key = base64.b64decode(file["md5"]).hex()
            node = {
                "id": key,
                "name": file["name"],
                "displayName": file["name"],
                "storagePath": f"blob/{key}",
                "uploadUrl": f"{self.url}/blob/{key}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifacts[given["artifactID"]]
        artifact["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact["id"], "digest": artifact["digest"]}}}

    def on_UseArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        taken = given.get("input", given)
        self.used.append((taken["runName"], self.artifacts[taken["artifactID"]]["name"]))
        return {"useArtifact": {"artifact": {"id": taken["artifactID"]}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.ill():
            return
        found = self.server.fake.uploads.get(self.path)
        self.answer(404 if found is None else 200, found or b"")

    def do_PUT(self) -> None:
        body = self.body()
        if not self.ill():
            self.server.fake.uploads[self.path] = body
            self.answer(200, b"")

    def do_POST(self) -> None:
        body = self.body()
        if self.ill():
            return
        fake = self.server.fake
        if self.path.endswith("/graphql"):
            return self.answer(200, json.dumps(fake.graphql(json.loads(body))).encode())
        if stream := re.match(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            fake.stream(stream[1], json.loads(body))
            return self.answer(200, b"{}")
        return self.answer(404, b"")

    def ill(self) -> bool:
        """Whether the fault took the place of an answer."""
        fake = self.server.fake
        if not fake.faulty(self.path):
            return False
        if fake.fault == "slow":
            fake.closing.wait(fake.delay_s)
            return False
        if fake.fault == "hang":
            fake.closing.wait()
        if fake.fault in ("hang", "close"):
            self.close_connection = True
        else:
            garbage = fake.fault == "garbage"
            self.answer(200 if garbage else fake.status, b"<html>no such thing</html>" if garbage else b"{}")
        return True

    def body(self) -> bytes:
        """What came with the request."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline().strip(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def answer(self, status: int, content: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeWandb

    def handle_error(self, *arguments: object) -> None:
        # clients that are killed close their connections as they like
        pass


@contextmanager
def serve(fake: FakeWandb) -> Iterator[FakeWandb]:
    """Let it listen on a port of its own."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.fake = fake
        fake.url = f"http://127.0.0.1:{server.server_port}"
        listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        listening.start()
        try:
            yield fake
        finally:
            fake.closing.set()
            server.shutdown()
            listening.join()


def refused_port() -> str:
    """The address of a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
