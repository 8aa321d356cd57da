"""Parquet as lines of JSON, and back; what JSON has no words for is refused, not lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uncensor_trainer.data.readers import shown
from uncensor_trainer.exits import InvalidInput

_MOST_ROWS = 256  # of a batch
_BATCH = 1 << 21  # bytes of values that a batch holds if its rows are like the others


def lines_of(path: Path, longest: int) -> Iterator[tuple[list[bytes], dict[int, str]]]:
    """Yield the rows of a Parquet file batch by batch, as lines without their ends.

    Args:
        path: the file.
        longest: bytes that a row may have on average.

    Yields:
        The lines, and the reasons why some of them only stand for a row that cannot be read.

    Raises:
        InvalidInput: it is no Parquet, damaged, or has values that JSON has no words for.
    """
    from pyarrow import parquet  # noqa: PLC0415 - only Parquet users wait for it

    with _told(path), parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        _refuse_types(path, file.schema_arrow, _is_bytes, "for which JSON has no words")
        rows = 0
        batches = file.iter_batches(_rows_at_once(path, file.metadata, longest), use_threads=False)
        for batch in batches:
            rows += batch.num_rows
            yield _lines(batch)
        if rows != file.metadata.num_rows:
            raise InvalidInput(
                f"{path} is damaged: it speaks of {file.metadata.num_rows:,} rows and holds "
                f"{rows:,}. Nothing was written; copy it again."
            )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in a sentence what pyarrow finds; a damaged schema is a wrong value, too."""
    from pyarrow import ArrowException  # noqa: PLC0415

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        told = str(error).partition("\n")[0]
        raise InvalidInput(f"{path} is not readable Parquet: {told}. Copy it again.") from error


def _rows_at_once(path: Path, about: Any, longest: int) -> int:
    """Return how many rows fit into a batch, by the longest rows of any group on average."""
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    sizes = [group.total_byte_size // max(group.num_rows, 1) for group in groups]
    widest = max(sizes, default=0)
    if widest > longest:
        raise InvalidInput(
            f"{path}: the rows of row group {sizes.index(widest)} have {widest / 1e6:,.0f} MB on "
            f"average, more than {longest >> 20} MiB. Nothing was written."
        )
    return max(1, min(_MOST_ROWS, _BATCH // max(widest, 1)))


def _lines(batch: Any) -> tuple[list[bytes], dict[int, str]]:
    try:
        return [_line(row) for row in batch.to_pylist()], {}
    except (ValueError, OverflowError):  # a text of no UTF-8, or a date that Python does not have
        lines: list[bytes] = []
        unreadable: dict[int, str] = {}
        for number in range(batch.num_rows):
            try:
                lines += map(_line, batch.slice(number, 1).to_pylist())
            except (ValueError, OverflowError) as error:
                lines.append(b"?")
                unreadable[number] = f"a value that cannot be read: {shown(str(error))}"
        return lines, unreadable


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


class Table:
    """Writes Parquet with the schema of the first input; values come back from their lines."""

    def __init__(self, path: Path, like: Path) -> None:
        from pyarrow import parquet  # noqa: PLC0415 - only Parquet users wait for it

        with _told(like):
            self._schema = parquet.read_schema(like)
            _refuse_types(
                like, self._schema, _is_not_json, "which does not come back from JSON as it was"
            )
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def take(self, data: bytes) -> None:
        """Write the rows of some lines.

        Raises:
            InvalidInput: a value of another input is not of its column's type.
        """
        import pyarrow  # noqa: PLC0415

        rows = [json.loads(line) for line in data.split(b"\n") if line.strip()]
        try:
            table = pyarrow.Table.from_pylist(rows, schema=self._schema)
        except pyarrow.ArrowException as error:
            told = str(error).partition("\n")[0]
            raise InvalidInput(
                f"A row does not fit the columns of the first input: {told}. Write .jsonl, or "
                "filter the files one by one."
            ) from error
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()


def _refuse_types(path: Path, schema: Any, is_wrong: Callable[[Any], bool], why: str) -> None:
    if twice := {name for name in schema.names if schema.names.count(name) > 1}:
        raise InvalidInput(f"{path} has two columns named {min(twice)!r}; leave one out.")
    for field in schema:
        if found := next(filter(is_wrong, _types_within(field.type)), None):
            raise InvalidInput(
                f"{path}: the column {field.name!r} has the type {found}, {why}. Leave it out"
                f"{'' if is_wrong is _is_bytes else ', or write .jsonl'}."
            )


def _types_within(kind: Any) -> Iterator[Any]:
    """Yield a type and those that it is made of."""
    yield kind
    for number in range(kind.num_fields):
        yield from _types_within(kind.field(number).type)


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415

    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _is_not_json(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415

    return bool(types.is_temporal(kind) or types.is_decimal(kind) or types.is_map(kind))
