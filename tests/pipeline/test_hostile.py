"""Artifacts that are damaged, of other runs, or made to do harm: each stage refuses them before it does anything."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from clusterwhy.artifacts.schemas import SCHEMAS, Array, Record, Table
from tests.conftest import ROOT, Checkout
from tests.stage_server import StageServer

AREA = "Damaged and hostile artifacts"
MARK = Path(os.devnull).parent / "shm" / f"clusterwhy-harm-{os.getpid()}"


class Harm:
    """Would make a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(MARK),)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Harm()))


def link_away(path: Path) -> None:
    content = path.read_bytes()
    # outside of the project, inside of the folder of this test run
    elsewhere = path.parents[3] / f"elsewhere-{path.name}"
    elsewhere.write_bytes(content)
    path.unlink()
    path.symlink_to(elsewhere)


def of_array(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        found = change(np.load(path))
        # not into the file itself: it may be a link into DVC's cache
        path.unlink()
        np.save(path, found, allow_pickle=True)

    return damage


def nan(array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    changed[len(array) // 2] = np.nan
    return changed


def archived(path: Path) -> None:
    array = np.load(path)
    path.unlink()
    with path.open("wb") as stream:
        np.savez(stream, array)


def too_large(path: Path) -> None:
    """A header that claims a petabyte."""
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 250)}
    np.lib.format.write_array_header_1_0(stream, header)
    path.write_bytes(stream.getvalue() + b"\0" * 100)


def bomb(path: Path) -> None:
    """A small archive that unpacks to a gigabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (1 << 27,)})
        for _ in range(64):
            stream.write(bytes(1 << 20))


def of_table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        changed = change(pd.read_parquet(path))
        path.unlink()
        changed.to_parquet(path, index=False)

    return damage


def of_record(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


def first_wrong(content: dict) -> dict:
    name = next(iter(name for name in content if name not in ("schema_version", "units")))
    return content | {name: 1.5 if not isinstance(content[name], float) else "much"}


DAMAGES: dict[type, dict[str, tuple[Callable[[Path], None], str]]] = {
    Array: {
        "malicious pickle": (pickled, "is not a plain NumPy array"),
        "array of objects": (of_array(lambda array: np.array([Harm()], dtype=object)), "is not a plain NumPy array"),
        "truncated array": (truncate, "is not a plain NumPy array"),
        "header that claims a petabyte": (too_large, "is not a plain NumPy array"),
        "archive bomb": (bomb, "is not a plain NumPy array"),
        "archive instead of an array": (archived, "is not a plain NumPy array"),
        "numbers of the wrong type": (of_array(lambda array: array.astype(np.complex128)), "expected "),
        "a missing row": (of_array(lambda array: array[:-1]), "found"),
        "wrong number of axes": (of_array(lambda array: array[None]), "expected "),
        "values that are not finite": (of_array(nan), "not finite"),
        "missing file": (Path.unlink, "no artifact"),
        "link that leaves the project": (link_away, "links that leave the project are not followed"),
    },
    Table: {
        "malicious pickle": (pickled, "is not a PARQUET table"),
        "truncated table": (truncate, "is not a PARQUET table"),
        "a missing column": (of_table(lambda table: table.iloc[:, 1:]), "no column"),
        "a missing row": (of_table(lambda table: table.iloc[:-1]), "found"),
        "ids of other windows": (
            of_table(lambda table: table.assign(window=table["window"] + 7)),
            "the window ids differ",
        ),
        "text among the numbers": (
            of_table(lambda table: table.assign(window=table["window"].astype(str))),
            "expected",
        ),
    },
    Record: {
        "malicious pickle": (pickled, "is not valid JSON"),
        "broken JSON": (truncate, "is not valid JSON"),
        "deeply nested JSON": (lambda path: path.write_text("[" * 200_000), "is not valid JSON"),
        "a list instead of an object": (of_record(lambda content: [content]), "expected a JSON object"),
        "an entry of the wrong type": (of_record(first_wrong), "Input should be"),
        "a missing entry": (of_record(lambda content: {}), "no entry"),
    },
}


def overlapping(path: Path) -> None:
    size = path.stat().st_size
    header = json.dumps({n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in ("a", "b")}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(min(size, 8)))


def of_weights(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        changed = change(load_file(path))
        path.unlink()
        save_file(changed, path)

    return damage


def nan_weights(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.full_like(w, np.nan) if w.dtype.kind == "f" else w for name, w in weights.items()}


def without_a_kernel(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kernel = next(name for name, w in weights.items() if w.ndim == 3)
    return {name: w for name, w in weights.items() if name != kernel}


WEIGHTS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "malicious pickle": ("encoder.safetensors", pickled, "does not fit"),
    "truncated weights": ("encoder.safetensors", truncate, "does not fit"),
    "header of 2^60 bytes": (
        "encoder.safetensors",
        lambda p: p.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"),
        "does not fit",
    ),
    "weights that overlap": ("encoder.safetensors", overlapping, "does not fit"),
    "weights that are not finite": ("encoder.safetensors", of_weights(nan_weights), "weights that are not finite"),
    "a missing weight": ("encoder.safetensors", of_weights(without_a_kernel), "does not fit"),
    "network of a class outside the allow-list": (
        "encoder.json",
        of_record(lambda content: content | {"encoder": {"_target_": "os.system", "command": f"mkdir {MARK}"}}),
        "expected a class below clusterwhy.",
    ),
    "network that is not an encoder": (
        "encoder.json",
        of_record(
            lambda content: (
                content | {"encoder": {"_target_": "clusterwhy.readers.tables.CsvFile", "path": "a", "time": "t"}}
            )
        ),
        "does not describe an encoder",
    ),
    "network of 10^12 channels": (
        "encoder.json",
        of_record(lambda content: content | {"n_channels": 10**12}),
        "less than or equal to",
    ),
}


MADE = {"untrained_embeddings.npy"}  # optional files that this study has


def cases() -> Iterator[tuple[str, str, str, Callable[[Path], None], str]]:
    """Stage, damage, file, what to do, what is said: every damage at every second stage, on one file of its inputs."""
    for position, (stage, about) in enumerate(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()):
        inputs = [Path(dep).name for dep in about["deps"] if dep.startswith("artifacts/")]
        for kind, damages in DAMAGES.items():
            files = [
                (f"{folder}/{name}", schema)
                for folder in inputs
                for name, schema in SCHEMAS[folder].items()
                if type(schema) is kind and not name.endswith(".csv") and (not schema.optional or name in MADE)
            ]
            for i, (damage, (make, told)) in enumerate(damages.items()):
                fit = [(file, schema) for file, schema in files if fits(damage, file, schema)]
                if fit and (i + position) % 2 == 0:
                    yield stage, damage, fit[i % len(fit)][0], make, told
        # score reads no weights with a detector that predicts nothing; this study's predicts. The page reads none
        if "train" in inputs and stage != "report":
            for i, (damage, (name, make, told)) in enumerate(WEIGHTS.items()):
                if (i + position) % 2:
                    continue
                yield stage, damage, f"train/{name}", make, told


def fits(damage: str, file: str, schema: Array | Table | Record) -> bool:
    """Whether the schema of a file says anything about such a damage."""
    if damage == "values that are not finite":
        return isinstance(schema, Array) and schema.finite and schema.kind == "f"
    if damage in ("a missing row", "ids of other windows", "text among the numbers"):
        # the index of prepare itself is what others are compared with
        of_windows = isinstance(schema, Table) and schema.rows and not file.startswith("prepare/")
        return isinstance(schema, Array) or bool(of_windows and (damage == "a missing row" or schema.rows == "window"))
    return True


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("stage", "damage", "file", "make", "told"),
    [pytest.param(*case, id=f"{case[0]}-{case[2]}-{case[1]}") for case in cases()],
)
def test_a_stage_refuses_an_invalid_artifact(
    study: Checkout,
    stages: StageServer,
    fault: Callable[..., None],
    stage: str,
    damage: str,
    file: str,
    make: Callable[[Path], None],
    told: str,
) -> None:
    path = study.root / "artifacts" / file
    kept, before = path.read_bytes(), contents(study.root / "artifacts" / stage)
    # DVC may have linked it to its cache, whose file must stay as it is
    path.unlink()
    path.write_bytes(kept)
    try:
        make(path)
        done = stages.run(f"pipeline.{stage}", "run=stage")
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(kept)
    assert done.returncode == 1, done.said
    assert done.said.startswith("error: ") and told in done.said, done.said
    # a missing row may be told of the file that it does not fit
    assert damage == "a missing row" or Path(file).name in done.said, done.said
    assert "Traceback" not in done.said
    assert not MARK.exists(), "what was in the file was executed"
    assert contents(study.root / "artifacts" / stage) == before
    assert not (study.root / "artifacts" / ".unfinished").exists()
    fault(AREA, damage, f"{stage} ({file})", f"one error: {told.strip()}; nothing executed, old artifacts intact")
