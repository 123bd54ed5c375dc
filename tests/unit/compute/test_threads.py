"""torch and Numba compute with the same number of threads, which sleep while they wait."""

import os
import subprocess
import sys

import pytest

from clusterwhy.compute.threads import available_cores, n_threads
from tests.conftest import ROOT

REPORT = """
import os, pipeline, torch, numba
print(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS, os.environ["OMP_WAIT_POLICY"])
import umap
umap.UMAP(n_neighbors=3, random_state=0).fit(torch.rand(12, 2).numpy())
print(torch.get_num_threads())
"""


@pytest.mark.parametrize("given", ["1", ""])
def test_a_stage_uses_as_many_threads_as_it_is_told_also_after_umap(given: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.endswith(("NUM_THREADS", "WAIT_POLICY"))}
    environment = kept | ({"OMP_NUM_THREADS": given} if given else {})
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REPORT], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = given or str(available_cores())
    assert done.stdout.split() == [expected, expected, "passive", expected]


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("2,1", 2), ("", None), ("0", None), ("many", None)])
def test_threads_are_those_of_openmp_or_one_per_core(
    given: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert n_threads() == (expected or available_cores())


def test_what_is_set_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from clusterwhy.compute.threads import configure_threads

    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    configure_threads()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["NUMBA_NUM_THREADS"]) == ("active", "1")
