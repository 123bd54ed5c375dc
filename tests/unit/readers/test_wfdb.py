"""WFDB records that the tests write themselves: what is read of them, and what is wrong with them."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from pydantic import ValidationError

from clusterwhy.data.series import Series
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.errors import DataError
from clusterwhy.readers.beats import beats_at
from clusterwhy.readers.wfdb_records import WfdbRecords

RATE, N = 250, 2000
BEATS = {100: "N", 400: "N", 700: "V", 1000: "N", 1300: "A"}
RHYTHMS = {50: "(N", 900: "(AFIB\0"}


def signal(n: int = N) -> np.ndarray:
    time = np.arange(n) / RATE
    return np.stack([np.sin(2 * np.pi * time), 0.5 * np.cos(3 * time)], axis=1)


def write(place: Path, name: str = "100", rate: int = RATE, notes: bool = True, **changes: Any) -> Path:
    """A record with two signals, the beats and changes of rhythm."""
    place.mkdir(exist_ok=True, parents=True)
    values = changes.pop("p_signal", signal())
    given: dict[str, Any] = {"units": ["mV", "mmHg"], "sig_name": ["II", "ABP"], "fmt": ["16", "16"]} | changes
    wfdb.wrsamp(name, fs=rate, p_signal=values, write_dir=str(place), **given)
    if notes:
        at = sorted([*BEATS, *RHYTHMS])
        symbols = [BEATS.get(sample, "+") for sample in at]
        texts = [RHYTHMS.get(sample, "") for sample in at]
        wfdb.wrann(name, "atr", np.array(at), symbol=symbols, aux_note=texts, write_dir=str(place), fs=rate)
    return place / f"{name}.hea"


def read(path: Path, **chosen: Any) -> Series:
    settings = {"annotator": "atr", "label": None, "classes": None} | chosen
    return WfdbRecords.model_validate({"path": str(path), **settings}).read()


def faults(path: Path, **chosen: Any) -> dict[str, str]:
    with pytest.raises(DataError) as raised:
        read(path, **chosen)
    return {fault.kind: fault.text for fault in raised.value.records}


@pytest.mark.parametrize("ending", ["", ".hea", ".dat"])
def test_a_record_has_its_values_rate_names_and_units(tmp_path: Path, ending: str) -> None:
    write(tmp_path)
    found = read(tmp_path / f"100{ending}")
    np.testing.assert_allclose(found.values, signal(), atol=1e-4)
    assert (found.name, found.rate_hz, found.channels, found.units) == ("100", 250.0, ("II", "ABP"), ("mV", "mmHg"))
    assert found.labels is None and found.groups is None and found.train_stop == N
    part = read(tmp_path / "100", **{"from": 2.0, "to": 3.0}, include=["A*"], units={"ABP": "kPa"})
    assert (part.channels, part.units, part.time[0]) == (("ABP",), ("kPa",), 2.0)
    np.testing.assert_allclose(part.values[:, 0], signal()[500 : 500 + len(part.values), 1], atol=1e-4)
    assert 250 <= len(part.values) <= 251


@pytest.mark.parametrize("fmt", ["212", "24", "32", "80"])
def test_the_size_of_the_signal_file_is_known_for_each_format(tmp_path: Path, fmt: str) -> None:
    found = read(write(tmp_path, fmt=[fmt, fmt], notes=False))
    np.testing.assert_allclose(found.values, signal(), atol=0.02)


def test_beats_label_the_samples_that_are_nearest(tmp_path: Path) -> None:
    found = read(write(tmp_path), label="beats")
    assert found.label_names == ("A", "N", "V") and found.labels is not None and found.label_ranks == ()
    assert [found.label_names[code] for code in found.labels[[0, 549, 551, 849, 851, 1149, 1151, -1]]] == [*"NNVVNNAA"]
    part = read(tmp_path / "100", label="beats", **{"from": 700 / RATE, "to": 800 / RATE})
    assert part.labels is not None and {part.label_names[code] for code in part.labels} == {"V"}


def test_a_window_has_the_class_of_its_most_abnormal_beat(tmp_path: Path) -> None:
    classes = {"normal": ["N"], "premature": ["V", "A"]}
    write(tmp_path / "two", "a")
    write(tmp_path / "two", "b")
    for path in (write(tmp_path), tmp_path / "two"):
        found = read(path, label="beats", classes=classes)
        assert found.label_names == ("normal", "premature") and found.label_ranks == (0, 1)
        assert found.labels is not None
        assert np.flatnonzero(found.labels[:1000]).tolist() == list(range(685, 716))  # 60 ms around 700
        index = window_index(found, WindowSettings(length=300, stride=300))
        assert index["label"].tolist()[:5] == [0, 0, 1, 0, 1]
    assert "V" in faults(tmp_path / "100.hea", label="beats", classes={"normal": ["N", "A"]})["no-class"]


def test_a_rhythm_lasts_until_the_next_one_and_nothing_is_said_before_the_first(tmp_path: Path) -> None:
    found = read(write(tmp_path), label="rhythms")
    assert found.label_names == ("AFIB", "N") and found.labels is not None
    assert found.labels[[0, 49, 50, 899, 900, -1]].tolist() == [-1, -1, 1, 1, 0, 0]


def test_beats_are_at_the_samples_that_are_left(tmp_path: Path) -> None:
    at, path = np.array([*BEATS]), write(tmp_path)
    for label in ("beats", "rhythms"):
        np.testing.assert_array_equal(read(path, label=label).beats, at)
    assert read(path).beats is None
    part = read(path, label="beats", **{"from": 2.0, "to": 4.5})
    assert part.beats is not None and part.beats.tolist() == [700 - 500, 1000 - 500]
    slower = read(path, label="beats", irregular="resample", resample_hz=125.0)
    np.testing.assert_array_equal(slower.beats, at // 2)
    assert beats_at(np.array([0.24, 0.26, 0.3, 0.7]), np.arange(2, 6) / 10, 10.0).tolist() == [0, 1, 1]
    # what is cut out takes its beats with it
    values = signal()
    values[390:410] = np.nan
    cut = read(write(tmp_path, p_signal=values), label="beats", gaps="split", max_missing_share=0.5)
    assert cut.beats is not None and cut.beats.tolist() == [100, 680, 980, 1280] and cut.segments == (0, 390)
    write(tmp_path / "two", "a", p_signal=signal(1500))
    write(tmp_path / "two", "b")
    two = read(tmp_path / "two", label="beats")
    assert two.beats is not None and two.beats.tolist() == [*at, *(at + 1500)]


def test_each_record_of_a_folder_is_a_group(tmp_path: Path) -> None:
    write(tmp_path / "db", "b_2", p_signal=signal(500), notes=False)
    write(tmp_path / "db", "b_10")
    (tmp_path / "db" / "RECORDS").write_text("b_2\nb_10\n")
    found = read(tmp_path / "db")
    assert found.group_names == ("b_2", "b_10") and found.segments == (0, 500)
    left = [note for note in found.notes if "left out" in note]
    assert left == ["RECORDS is left out: no .hea"]
    np.testing.assert_array_equal(read(tmp_path / "db" / "b_*.hea").values, found.values)


def test_records_that_do_not_fit_together_are_told_with_what_differs(tmp_path: Path) -> None:
    write(tmp_path / "db", "a")
    write(tmp_path / "db", "b")
    write(tmp_path / "db", "c", rate=500)
    write(tmp_path / "db", "d", sig_name=["II", "V5"])
    found = faults(tmp_path / "db")
    assert found["other-rate"].startswith("c: 500 samples per second, most have 250")
    assert found["other-channels"].startswith("d: lacks 'ABP' and also has 'V5'")


def test_invalid_values_are_missing_cells(tmp_path: Path) -> None:
    values = signal()
    values[300:303, 0] = np.nan
    found = read(write(tmp_path, p_signal=values))
    np.testing.assert_allclose(found.values, signal(), atol=2e-3)
    assert found.reading is not None and found.reading.filled == {"II": 3, "ABP": 0}
    assert "gaps" in str(faults(tmp_path / "100.hea", gaps="error"))


def changed(header: Path, old: str, new: str) -> None:
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))


def test_a_missing_signal_file_and_missing_annotations_are_told_together(
    tmp_path: Path, fault: Callable[..., None]
) -> None:
    header = write(tmp_path, notes=False)
    header.with_suffix(".dat").unlink()
    found = faults(header, label="beats")
    assert "no file 100.dat beside the header" in found["no-file"]
    assert "no annotations 100.atr" in found["no-annotations"]
    fault("Input files", "no signal file and no annotations", "wfdb", "one error that lists all faults")


@pytest.mark.parametrize(
    ("old", "new", "kind", "says"),
    [
        ("100 2 250 2000", "100 2 250 3000", "other-length", "holds 2000 samples of each signal, the header says 3000"),
        ("100 2 250 2000", "100 2 250 1000", "other-length", "the header says 1000"),
        ("100.dat 16", "100.dat 99", "unknown-format", "100.dat has the format 99"),
        ("100.dat", "../100.dat", "broken-header", "not readable as a WFDB header"),
        ("ABP", "II", "duplicate-column", "signal 'II' occurs twice"),
        ("100 2 250 2000", "100 two", "broken-header", "not readable as a WFDB header"),
        ("100 2 250 2000", "100 0 250 2000", "no-channel", "no signals"),
        ("100 2 250 2000", "100 2 0 2000", "no-rate", "no sampling rate above 0, but 0"),
    ],
)
def test_what_is_wrong_with_a_header_is_said(
    tmp_path: Path, old: str, new: str, kind: str, says: str, fault: Callable[..., None]
) -> None:
    header = write(tmp_path)
    changed(header, old, new)
    assert says in faults(header)[kind]
    fault("Input files", f"header: `{old}` is `{new}`", "wfdb", f"refused: {kind}")


def test_damaged_signals_and_annotations_are_found(tmp_path: Path, fault: Callable[..., None]) -> None:
    header = write(tmp_path)
    signals = header.with_suffix(".dat")
    content = bytearray(signals.read_bytes())
    content[40] ^= 0xFF
    signals.write_bytes(bytes(content))
    assert "the values of 'II' differ from the checksum" in faults(header)["wrong-checksum"]
    header = write(tmp_path)
    changed(header, "100 2 250 2000", "100 2 250")  # the length is then that of the file
    assert len(read(header).values) == N
    wfdb.wrann("100", "atr", np.array([100, N + 5]), symbol=["N", "N"], write_dir=str(tmp_path))
    assert (
        "1 of 2 annotations in 100.atr are outside the 2000 samples"
        in faults(header, label="beats")["annotations-outside"]
    )
    wfdb.wrann("100", "atr", np.array([100]), symbol=["+"], aux_note=["(N"], write_dir=str(tmp_path))
    assert "have no beats" in faults(header, label="beats")["no-beats"]
    wfdb.wrann("100", "atr", np.array([100]), symbol=["N"], write_dir=str(tmp_path))
    assert "have no rhythms" in faults(header, label="rhythms")["no-rhythms"]
    fault("Input files", "signals with a byte that changed", "wfdb", "refused: wrong-checksum")
    fault("Input files", "annotations outside the record", "wfdb", "refused: annotations-outside")


def test_a_compressed_record_needs_its_length_in_the_header(tmp_path: Path, fault: Callable[..., None]) -> None:
    header = write(tmp_path)
    changed(header, "100 2 250 2000", "100 2 250")
    changed(header, "100.dat 16", "100.dat 516")
    assert "does not tell how many samples" in faults(header)["no-length"]
    fault("Input files", "a compressed record whose header has no length", "wfdb", "refused: no-length")


def test_files_of_another_kind_are_refused(tmp_path: Path, fault: Callable[..., None]) -> None:
    header = write(tmp_path)
    header.with_suffix(".atr").write_bytes(b"PK\x03\x04\x00")
    assert "100.atr is not readable as annotations" in faults(header, label="beats")["broken-annotations"]
    changed(header, "100.dat 16", "100.dat 516")
    assert "100.dat is not a FLAC file" in faults(header)["broken-signal"]
    fault("Input files", "a zip archive in place of annotations", "wfdb", "refused: broken-annotations")
    fault("Input files", "other signals than the header says", "wfdb", "refused: broken-signal")


def test_records_of_several_segments_are_refused_with_what_to_read(tmp_path: Path) -> None:
    write(tmp_path, "s1")
    write(tmp_path, "s2")
    (tmp_path / "all.hea").write_text("all/2 2 250 4000\ns1 2000\ns2 2000\n")
    assert "folder or pattern" in faults(tmp_path / "all.hea")["several-segments"]


def test_names_that_the_record_does_not_have_are_listed(tmp_path: Path) -> None:
    header = write(tmp_path)
    assert "no signal 'V1'; the record has 'II', 'ABP'" in faults(header, channels=["V1"])["no-column"]
    with pytest.raises(ValidationError, match="`classes` are of beats"):
        read(header, classes={"normal": ["N"]})
    with pytest.raises(ValidationError, match=r"a pattern of records ends with \.hea"):
        read(tmp_path / "1*")


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, real = write(tmp_path), builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "wfdb":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install clusterwhy[wfdb]" in faults(header)["no-package"]
