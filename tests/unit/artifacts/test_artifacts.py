"""Artifacts are whole or absent, and reading one runs no code."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from clusterwhy.artifacts.store import read_array, read_json, write_array, write_atomically, write_json
from clusterwhy.artifacts.validation import check_folder
from clusterwhy.errors import ArtifactError
from clusterwhy.tracking.checksums import dvc_md5
from tests.synthetic_results import synthetic_results


def test_an_interrupted_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(path, np.arange(3))

    def broken(stream: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, broken)
    np.testing.assert_array_equal(read_array(path), np.arange(3))
    assert list(tmp_path.iterdir()) == [path]


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return pytest.fail, ("executed",)

    np.save(tmp_path / "a.npy", np.array([Harm()], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Harm()))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ArtifactError, match="not a plain NumPy array"):
            read_array(tmp_path / name)


def test_a_missing_artifact_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="dvc repro"):
        read_json(tmp_path / "none.json")


def test_nan_cannot_be_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_the_checksum_of_a_folder_is_the_one_dvc_computes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "sub" / "a").write_bytes(b"1")
    listing = [
        {"md5": hashlib.md5(b"2").hexdigest(), "relpath": "b"},
        {"md5": hashlib.md5(b"1").hexdigest(), "relpath": "sub/a"},
    ]
    assert dvc_md5(tmp_path) == hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": ["a", "b\n", "c"]}, "invalid channel names: 'b\\\\n' contains the character U"),
        ({"label_names": ["x" * 300]}, "invalid label names"),
        ({"group_names": ["\u202eabc"]}, "invalid group names"),
        ({"group_names": 5}, "entry 'group_names': Input should be a valid list, got int 5"),
        ({"group_names": [5]}, r"entry 'group_names'\[0\]: Input should be a valid string, got int"),
        ({"centre": [0.0, "1", 2.0]}, r"entry 'centre'\[1\]: Input should be a valid number, got str"),
        ({"centre": [0.0]}, "expected units, centre and scale of 3 channels"),
        ({"rate_hz": 0.0}, "entry 'rate_hz': Input should be greater than 0, got float 0.0"),
        ({"rate_hz": True}, "entry 'rate_hz': Input should be a valid number, got bool"),
    ],
)
def test_an_invalid_series_card_is_refused_with_the_entry_and_the_reason(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = synthetic_results(tmp_path).folders["prepare"]
    check_folder("prepare", folder, {})
    path = folder / "series.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=message):
        check_folder("prepare", folder, {})
