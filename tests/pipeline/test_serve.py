"""The page with a Python behind it: who is answered, and that what it answers is right."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clusterwhy.annotations.annotated import Sources
from clusterwhy.errors import DataError
from clusterwhy.explanations.selections import ExplainedSelection
from clusterwhy.report.naming import PageNames
from clusterwhy.report.server import PageServer
from clusterwhy.report.study_results import StudyResults
from tests.browser.opening import CHROMIUM, FLAGS, needs_browser
from tests.browser.test_page import unpacked
from tests.conftest import ROOT, Checkout
from tests.synthetic_results import synthetic_results
from tests.trial_studies import trials_of

VALUES = np.arange(24.0).reshape(2, 3, 4) - 5.0


def explain(windows: list[int], part: list[int], rules: str) -> ExplainedSelection:
    if rules == "broken":
        raise DataError("selection", ["as told"])
    relevance = SimpleNamespace(values=VALUES, target=VALUES.sum(axis=(1, 2)), gap=np.zeros(2))
    return ExplainedSelection(np.array(part), relevance, ("lost: half",))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    chunk = tmp_path_factory.mktemp("report") / "values_00000.js"
    chunk.write_text("values")
    (chunk.parent / "values_00001.js").write_text("hello")
    found = synthetic_results(chunk.parent / "artifacts")
    names = PageNames(found, Sources.beside(chunk.parent / "artifacts"))
    html, rules = "<html><body>hello</body></html>", ("own", "broken")
    made = PageServer(html, explain, rules, chunks=[chunk], names=names, trials=trials_of(found))
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def request(server: PageServer, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        return answer.status, (answer.read(), dict(answer.getheaders()))
    finally:
        connection.close()


def asked(server: PageServer, path: str, content: object, **headers: str) -> tuple[int, Any]:
    own = {"Content_Type": "application/json", "Origin": f"http://127.0.0.1:{server.server_port}"} | headers
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    status, (answer, _) = request(server, "POST", f"/{server.token}/{path}", body, **own)
    return status, json.loads(answer)


def explain_request(server: PageServer, content: object, **headers: str) -> tuple[int, Any]:
    return asked(server, "explain", content, **headers)


def names_in(server: PageServer) -> dict[str, Any]:
    """What the page says that is in the file."""
    _, (body, _) = request(server, "GET", f"/{server.token}/")
    text = body.decode().split('id="served">')[1].split("</script>")[0]
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_name_is_written_and_on_the_page_when_it_is_opened_again(server: PageServer) -> None:
    given = {"cluster": 1, "name": "</script><b> pump", "note": "a\nb"}
    status, answer = asked(server, "name", given)
    assert status == 200 and answer["clusters"] == {"1": {"name": "</script><b> pump", "note": "a\nb"}}
    assert names_in(server)["named"] == answer
    status, answer = asked(server, "name", {"segment": [100, 199], "name": "odd", "note": ""})
    assert status == 200 and answer["segments"] == [[100, 200, "odd", ""]]
    assert server.names is not None
    path = server.names.sources.names
    kept = path.read_text()
    assert asked(server, "name", {"cluster": 0, "name": "</script><b> pump", "note": ""})[0] == 400
    assert path.read_text() == kept
    path.write_text(kept.replace("pump", "valve"))  # by hand, meanwhile
    assert names_in(server)["named"]["clusters"]["1"]["name"] == "</script><b> valve"
    path.write_text("clusters: [")
    found = names_in(server)
    assert "named" not in found and "not valid YAML" in found["fault"]
    status, answer = asked(server, "name", given)
    assert status == 400 and "not valid YAML" in answer["error"] and path.read_text() == "clusters: ["
    path.unlink()
    assert names_in(server)["named"] == {"clusters": {}, "segments": [], "told": []}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"name": "a", "note": ""}, "expected a cluster or a segment"),
        ({"cluster": 1, "segment": [1, 2], "name": "a", "note": ""}, "expected a cluster or a segment"),
        ({"cluster": "1", "name": "a", "note": ""}, "cluster"),
        ({"cluster": 9, "name": "a", "note": ""}, "no cluster 9"),
        ({"segment": [-5, 2], "name": "a", "note": ""}, "expected samples from 0 to"),
        ({"cluster": 1, "name": "a\u202eb", "note": ""}, "U+202E"),
        ({"cluster": 1, "name": "a", "note": "", "path": "elsewhere.yaml"}, "path"),
        ({"cluster": 1, "name": "a" * 20_000, "note": ""}, "name"),
        (b"{", "JSON"),
    ],
)
def test_an_invalid_name_gets_the_reason_and_writes_nothing(server: PageServer, content: object, why: str) -> None:
    status, answer = asked(server, "name", content)
    assert status == 400 and why in answer["error"]
    assert server.names is not None and not server.names.sources.names.exists()


def test_names_are_written_only_for_the_page_itself(server: PageServer) -> None:
    given = {"cluster": 1, "name": "a", "note": ""}
    assert asked(server, "name", given, Origin="http://evil.example")[0] == 403
    assert asked(server, "name", given, Content_Type="text/plain")[0] == 400
    body, path = json.dumps(given).encode(), f"/{server.token}/name"
    assert request(server, "POST", path, body, Content_Type="application/json")[0] == 403, "no origin"
    assert request(server, "GET", path)[0] == 404
    assert server.names is not None and not server.names.sources.names.exists()


def test_other_settings_are_tried_and_the_page_says_what_can_be(server: PageServer) -> None:
    offer = names_in(server)["trials"]
    assert 3 in offer["n_clusters"] and offer["fields"][0]["name"] == "min_cluster_share"
    status, answer = asked(server, "try", {"n_clusters": 3})
    assert status == 200 and answer["n_clusters"] == 3 and answer["overrides"].startswith("clusterer.selection=leaf")
    packed = answer["arrays"]["tried_cluster"]
    labels = unpacked(packed["text"], packed["dtype"], tuple(packed["shape"]))
    assert len(labels) == 60 and set(labels.tolist()) <= {-1, 0, 1, 2}


def test_the_files_to_edit_are_those_that_params_yaml_names(tmp_path: Path) -> None:
    from pipeline.serve import trials

    assert trials(tmp_path).files == {
        "clusterer": "conf/clusterer/hdbscan.yaml",
        "projection": "conf/projection/umap.yaml",
    }


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"clusterer": {"min_cluster_share": 7.0}}, "min_cluster_share: Input should be less than 1"),
        ({"clusterer": {"_target_": "clusterwhy.projection.Pca"}}, "cannot try _target_"),
        ({"clusterer": {"selection": ["leaf"]}}, "clusterer"),
        ({"n_clusters": "3"}, "n_clusters"),
        ({"n_clusters": 3, "folder": "elsewhere"}, "folder"),
        (b"{", "JSON"),
    ],
)
def test_an_invalid_trial_gets_the_reason(server: PageServer, content: object, why: str) -> None:
    status, answer = asked(server, "try", content)
    assert status == 400 and why in answer["error"]


def test_settings_are_tried_only_for_the_page_itself(server: PageServer) -> None:
    assert asked(server, "try", {"n_clusters": 3}, Origin="http://evil.example")[0] == 403
    path = f"/{server.token}/try"
    assert request(server, "POST", path, b"{}", Content_Type="application/json")[0] == 403, "no origin"
    assert request(server, "POST", "/wrong/try", b"{}")[0] == 403 and request(server, "GET", path)[0] == 404


def test_one_trial_runs_at_a_time_and_nothing_else_waits_for_it(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, end = threading.Event(), threading.Event()

    def slow(self: object, asked: object) -> dict[str, Any]:
        begun.set()
        assert end.wait(20)
        return {"n_clusters": 7}

    monkeypatch.setattr("clusterwhy.report.trials.Trials.answer", slow)
    answers: list[tuple[int, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(asked(server, "try", {"projection": {"n_neighbors": 9}})))
    thread.start()
    try:
        assert begun.wait(20)
        status, answer = asked(server, "try", {"n_clusters": 3})
        assert status == 409 and "not finished" in answer["error"]
        assert explain_request(server, {"windows": [1, 2], "part": [1, 2], "rules": "own"})[0] == 200
        assert request(server, "GET", f"/{server.token}/")[0] == 200
        assert not answers
    finally:
        end.set()
        thread.join()
    assert answers == [(200, {"n_clusters": 7})] and asked(server, "try", {"n_clusters": 3})[0] == 200


def test_the_server_listens_on_loopback_only(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1" and server.address.endswith(f"/{server.token}/")
    assert len(server.token) >= 32


def test_the_page_is_served_at_the_address_with_the_token(server: PageServer) -> None:
    status, (body, headers) = request(server, "GET", f"/{server.token}/")
    assert status == 200 and b"hello" in body and b'"rules": ["own", "broken"]' in body
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_value_chunks_of_a_long_series_are_served(server: PageServer) -> None:
    status, (body, headers) = request(server, "GET", f"/{server.token}/values_00000.js")
    assert (status, body) == (200, b"values") and headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/wrong/", {}, 403),
        ("/{token}x/", {}, 403),
        ("/{token}", {}, 404),
        ("/{token}/../report.html", {}, 404),
        ("/{token}/%2e%2e/%2e%2e/etc/passwd", {}, 404),
        ("/{token}/explain", {}, 404),
        ("/{token}/values_00001.js", {}, 404),
        ("/{token}/x/values_00000.js", {}, 404),
        ("/{token}/", {"Host": "evil.example"}, 403),
        ("/{token}/", {"Host": "localhost:80"}, 403),
        ("/{token}/", {"Origin": "http://evil.example"}, 403),
        ("/{token}/", {"Origin": "null"}, 403),
    ],
)
def test_other_paths_hosts_and_origins_are_refused(
    server: PageServer, path: str, headers: dict[str, str], status: int
) -> None:
    found, (body, _) = request(server, "GET", path.format(token=server.token), **headers)
    assert found == status and b"hello" not in body


def test_a_response_contains_the_explained_relevance(server: PageServer) -> None:
    status, answer = explain_request(server, {"windows": [7, 9, 11], "part": [7, 9], "rules": "own"})
    assert status == 200
    assert answer["losses"] == ["lost: half"]
    arrays = answer["arrays"]
    back = {name: unpacked(one["text"], one["dtype"], tuple(one["shape"])) for name, one in arrays.items()}
    assert back["asked_window"].tolist() == [7, 9]
    shares = VALUES / np.abs(VALUES).sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(back["asked_channels"], shares.sum(axis=2), rtol=1e-6)
    step = np.array(arrays["asked_relevance"]["step"])[:, None, None]
    offset = np.array(arrays["asked_relevance"]["offset"])[:, None, None]
    np.testing.assert_allclose(offset + step * back["asked_relevance"], shares, atol=step.max())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"windows": [], "part": [1], "rules": "own"}, "windows"),
        ({"windows": [1.5], "part": [1], "rules": "own"}, "windows"),
        ({"windows": ["1"], "part": [1], "rules": "own"}, "windows"),
        ({"windows": [1, 2], "rules": "own"}, "part"),
        ({"windows": [1, 2], "part": [], "rules": "own"}, "part"),
        ({"windows": list(range(40)), "part": list(range(33)), "rules": "own"}, "part"),
        ({"windows": [1, 2], "part": [1, 2], "rules": "../../etc/passwd"}, "expected one of own, broken"),
        ({"windows": [1, 2], "part": [1, 2], "rules": "own", "more": 1}, "more"),
        ({"windows": [1, 2], "part": [1, 2], "rules": "broken"}, "as told"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_an_invalid_request_gets_the_reason(server: PageServer, content: object, why: str) -> None:
    status, answer = explain_request(server, content)
    assert status == 400 and why in answer["error"]


def test_requests_from_another_origin_are_refused(server: PageServer) -> None:
    good = {"windows": [1, 2], "part": [1, 2], "rules": "own"}
    assert explain_request(server, good, Origin="http://evil.example")[0] == 403
    assert explain_request(server, good, Content_Type="text/plain")[0] == 400
    body, path = json.dumps(good).encode(), f"/{server.token}/explain"
    assert request(server, "POST", path, body, Content_Type="application/json")[0] == 403, "no origin"
    assert explain_request(server, good)[0] == 200


def test_a_selection_is_explained_against_all_other_windows(study: Checkout) -> None:
    from pipeline.serve import STUDY, explainer

    artifacts = study.root / "artifacts"
    found = StudyResults.of(artifacts)
    chosen = np.flatnonzero(found.labels == 0)
    explain, rules = explainer(artifacts)
    for name in (STUDY, "LRP, epsilon_plus"):
        assert name in rules
        answer = explain(chosen.tolist(), chosen[:32].tolist(), name)
        assert answer.windows.tolist() == chosen[:32].tolist() and answer.relevance.values.shape[1:] == (
            3,
            found.data.length,
        )
        # membership of a whole cluster: its windows lie inside
        assert (answer.relevance.target > 0).mean() > 0.9
    assert np.median(np.abs(explain(chosen.tolist(), chosen[:32].tolist(), STUDY).relevance.gap)) < 0.05
    for wrong in ([3], [0, 10**6], [-1, 2], list(range(len(found.labels)))):
        with pytest.raises(DataError):
            explain(wrong, wrong[:1], STUDY)


@needs_browser
def test_a_selection_is_explained_in_the_page(study: Checkout) -> None:
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "pipeline.serve"]
    environment = {**os.environ, "PYTHONPATH": "src", "PYTHONUNBUFFERED": "1"}
    served = subprocess.Popen(
        command, cwd=study.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert served.stdout is not None
    try:
        line = next(text for text in served.stdout if "open http" in text)
        address = line.split()[1]
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            tab = browser.new_page(viewport={"width": 1280, "height": 1600})
            faults: list[str] = []
            tab.on("pageerror", lambda error: faults.append(str(error)))
            tab.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
            tab.goto(f"{address}#selected=0_12")
            tab.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=120_000)
            tab.locator("#selection [data-part=rules]").select_option("LRP, epsilon_plus")
            tab.locator("#selection [data-part=ask]").click()
            answer = tab.locator("#selection [data-part=answer]")
            tab.wait_for_function(
                "!/^(|explained .*…)$/.test(document.querySelector('#selection [data-part=answer]').textContent)",
                timeout=120_000,
            )
            assert answer.inner_text().startswith(
                "LRP, epsilon_plus: relevance of 13 selected windows compared with all others."
            )
            bars = tab.locator("#selection [data-part=asked_bars] .bars .point")
            bars.nth(2).wait_for(state="attached", timeout=60_000)
            assert bars.count() == 3
            browser.close()
            assert not faults
    finally:
        served.send_signal(signal.SIGINT)
        served.communicate(timeout=30)
    assert served.returncode == 0


def test_serving_without_a_page_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.serve", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "run `dvc repro` first" in done.stderr
