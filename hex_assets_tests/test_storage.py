"""Frames survive storage unchanged, and half-written or foreign files are never taken for one."""

from datetime import datetime, timezone
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from hex_assets.errors import FrameError
from hex_assets.frame_files import read_frame, write_frame
from hex_assets.frames import CATALOG_TABLES, HEX_DATA_CONNECTIONS, UNRESOLVED_REFERENCES, Frame
from hex_assets.storage import StoredFrames


def connections(*names: str, gaps: tuple[str, ...] = ()) -> Frame:
    rows = [
        {
            "id": name,
            "name": name,
            "type": "snowflake",
            "database": "D",
            "schema": None,
            "dialect": "snowflake",
            "service": None,
        }
        for name in names
    ]
    return HEX_DATA_CONNECTIONS.frame(rows, gaps)


@pytest.mark.parametrize("root", ["local", "memory://frames"])
def test_a_frame_and_its_gaps_come_back_as_they_went(root: str, tmp_path: Path) -> None:
    base = UPath(tmp_path if root == "local" else root)
    frame = connections("a", "b", gaps=("one item was malformed",))
    write_frame(base / "hex_data_connections" / "acme.parquet", frame)
    stored = StoredFrames(root=str(base)).last(HEX_DATA_CONNECTIONS, "acme")
    assert stored is not None
    assert stored.rows.equals(frame.rows)
    assert stored.gaps == ("one item was malformed",)
    assert not stored.complete


def test_instants_and_lists_keep_their_types(tmp_path: Path) -> None:
    seen = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=timezone.utc)
    row = {"project_id": "p", "reference": "T", "reason": "r", "detail": "", "executions": 2}
    frame = UNRESOLVED_REFERENCES.frame([{**row, "last_seen": seen}])
    path = UPath(tmp_path / "frame.parquet")
    write_frame(path, frame)
    assert read_frame(path, UNRESOLVED_REFERENCES).rows["last_seen"].to_list() == [seen]


def test_before_the_first_run_there_is_no_frame(tmp_path: Path) -> None:
    assert StoredFrames(root=str(tmp_path)).last(HEX_DATA_CONNECTIONS, "acme") is None


def test_a_failed_write_leaves_the_last_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = UPath(tmp_path / "frame.parquet")
    write_frame(path, connections("good"))

    def killed(self: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_frame(path, connections("half"))
    assert read_frame(path, HEX_DATA_CONNECTIONS).rows["id"].to_list() == ["good"]


def test_a_file_of_another_frame_is_refused(tmp_path: Path) -> None:
    path = UPath(tmp_path / "frame.parquet")
    write_frame(path, connections("a"))
    with pytest.raises(FrameError, match="does not hold a catalog_tables frame"):
        read_frame(path, CATALOG_TABLES)


def test_wrong_columns_are_named() -> None:
    table = pl.DataFrame({"id": ["a"], "name": [1], "extra": [None]})
    with pytest.raises(FrameError) as caught:
        HEX_DATA_CONNECTIONS.frame(table)
    message = str(caught.value)
    assert "type is missing" in message
    assert "extra is unknown" in message
    assert "name is Int64, not String" in message
