"""The end that the setting ``rowLimit`` puts to a read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hex_assets.warehouse.reader import HistoryBatch


def within_limit(batches: Iterable[HistoryBatch], limit: int) -> Iterator[HistoryBatch]:
    """The batches up to so many rows; if there are more, the last batch has a gap that says so.

    A statement has to ask for one row more than the limit, so that the limit alone is no gap.
    """
    left = limit
    for batch in batches:
        if batch.rows.height > left:
            gap = (
                f"more than {limit} rows of history: the rest was not read. Raise rowLimit of the "
                "warehouse, or lower hexAssets.lookBackDays"
            )
            yield HistoryBatch(batch.rows.head(left), batch.cut, (*batch.gaps, gap))
            return
        left -= batch.rows.height
        yield batch
