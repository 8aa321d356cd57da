"""Files of rows as plain values: JSON, JSON lines and Parquet, one value after another.

What one row breaks becomes an `Unreadable`; what breaks the whole file is an `InvalidInput`.
`formats` makes rows of the values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from uncensor_trainer.exits import InvalidInput

SNIPPET = 200  # characters of a row that is shown
LONGEST_LINE_BYTES = 16 * 2**20
LARGEST_DOCUMENT_BYTES = 2 * 2**30
_PARQUET_ROWS = 1024
_BLANK = b"\xef\xbb\xbf \t\r\n"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place where a row should be, why there is none, and how it begins."""

    reason: str
    snippet: str


def values_of(path: Path, is_row: Callable[[dict[str, Any]], bool]) -> Iterator[Any]:
    """Yield the values of a file in order; an `Unreadable` where one is broken.

    Args:
        path: a .json, .jsonl, .ndjson or .parquet file.
        is_row: tells a single row from an object around the list of rows.

    Raises:
        InvalidInput: the file is absent, of another kind, or not readable as a whole.
    """
    if not path.exists():
        raise InvalidInput(f"The data file {path} does not exist.")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet(path)
    elif suffix in {".jsonl", ".ndjson"}:
        yield from _json_lines(path)
    elif suffix != ".json":
        raise InvalidInput(f"{path.name} is not a data file: want .json, .jsonl or .parquet.")
    elif _holds_lines(path):
        yield from _json_lines(path)
    else:
        yield from _rows_of(path, _json_document(path), is_row)


def shown(text: str) -> str:
    """Return the beginning of a text in a form that every file and terminal takes."""
    return text[:SNIPPET].encode("utf-8", "replace").decode()


def _holds_lines(path: Path) -> bool:
    """Tell whether a .json file has (like the original's data) one object a line."""
    with path.open("rb") as file:
        lines = (line for line in _lines(file) if line.strip(_BLANK))
        first = next(lines, b"").strip(_BLANK)
        if not first.startswith(b"{"):
            return False
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            return False
        return next(lines, None) is not None


def _json_document(path: Path) -> Any:
    size = path.stat().st_size
    if size > LARGEST_DOCUMENT_BYTES:
        raise InvalidInput(
            f"{path} is one JSON document of {size / 1e9:.1f} GB, which would have to be in memory "
            "at once. Write it as JSON lines (.jsonl), one row a line."
        )
    content = path.read_bytes()
    if not content.strip(_BLANK):
        return []
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidInput(
            f"{path} is not UTF-8: line {line}, byte {error.start} of the file is "
            f"{content[error.start]:#04x}. Save it as UTF-8."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not readable JSON: {_why(error)}.") from error


def _rows_of(path: Path, value: Any, is_row: Callable[[dict[str, Any]], bool]) -> list[Any]:
    """Return the list that a document is, or the only one that its object holds."""
    if isinstance(value, dict):
        lists = [key for key, inner in value.items() if isinstance(inner, list)]
        if is_row(value) or not lists:
            return [value]
        if len(lists) > 1:
            names = ", ".join(shown(key) for key in lists[:5])
            raise InvalidInput(
                f"{path} holds an object with several lists ({names}); want a list of objects, "
                "one a row."
            )
        value = value[lists[0]]
    if not isinstance(value, list):
        raise InvalidInput(f"{path} holds {kind_of(value)}; want a list of objects, one a row.")
    return value


def kind_of(value: object) -> str:
    """Return the word that JSON has for what a value is."""
    if value is None:
        return "null"
    words = {str: "text", bool: "true or false", dict: "an object", list: "a list"}
    return words.get(type(value), "a number" if isinstance(value, int | float) else "no JSON value")


def _json_lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), start=1):
            if not line.strip(_BLANK):
                continue
            if len(line) > LONGEST_LINE_BYTES:
                reason = f"line {number}: longer than {LONGEST_LINE_BYTES // 2**20} MiB"
                yield Unreadable(reason, shown(line[: 4 * SNIPPET].decode("utf-8", "replace")))
                continue
            yield _line_value(number, line)


def _line_value(number: int, line: bytes) -> Any:
    # Without its end, so that columns of a torn line are columns of this line.
    text = line.rstrip(b"\r\n")
    try:
        return json.loads(text.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        reason = f"line {number}, byte {error.start + 1}: not UTF-8"
    except json.JSONDecodeError as error:
        reason = f"line {number}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:
        reason = f"line {number}: {_why(error)}"
    return Unreadable(reason, shown(line[: 4 * SNIPPET].decode("utf-8", "replace")))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; of one that is too long only the beginning, so that it never fills memory."""
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        yield line
        while len(line) > LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE_BYTES + 1)


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "a number with too many digits"


def _parquet(path: Path) -> Iterator[Any]:
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - only Parquet users wait for it

    try:
        file = parquet.ParquetFile(path)
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
            yield from _batch_values(batch)
    except (ArrowException, OSError) as error:
        told = str(error).partition("\n")[0]
        raise InvalidInput(f"{path} is not readable Parquet: {told}") from error


def _batch_values(batch: Any) -> list[Any]:
    try:
        values: list[Any] = batch.to_pylist()
    except ValueError:  # one row of the batch is not UTF-8, or a date that Python does not have
        return [_only_value(batch.slice(number, 1)) for number in range(batch.num_rows)]
    return values


def _only_value(row: Any) -> Any:
    try:
        return row.to_pylist()[0]
    except ValueError as error:
        return Unreadable(f"a value that cannot be read: {shown(str(error))}", "")
