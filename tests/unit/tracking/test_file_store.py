"""Copies of artifact files: one per content, which stays as it was."""

from pathlib import Path

from clusterwhy.tracking.checksums import file_md5
from clusterwhy.tracking.file_store import stored


def test_files_of_the_same_content_are_kept_once_and_stay_when_the_file_changes(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"relevance" * 100)
    second.write_bytes(first.read_bytes())
    kept = stored(first, store)
    assert stored(second, store) == kept and [path.name for path in store.iterdir()] == [file_md5(first)]
    first.write_bytes(b"other")
    assert kept.read_bytes() == b"relevance" * 100 and not kept.stat().st_mode & 0o222
    assert stored(first, store) != kept


def test_a_copy_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    store, path = tmp_path / "store", tmp_path / "a.bin"
    path.write_bytes(b"relevance")
    kept = stored(path, store)
    kept.chmod(0o644)
    kept.write_bytes(b"rel")
    assert stored(path, store).read_bytes() == b"relevance"
