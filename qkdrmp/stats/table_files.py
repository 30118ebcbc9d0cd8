"""Tables in files: CSV for everyone, Parquet for large ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from qkdrmp.errors import QKDRMPError, one_of

FORMATS = ("csv", "parquet")
ENGINE: Final = "pyarrow"


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path, format: str = "csv") -> list[str]:
    """Write tables into a folder, each into a file of its name; return the names of the files.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
    folder : path
        It is made if it is not there.
    format : {"csv", "parquet"}

    Raises
    ------
    QKDRMPError
        If there is no such format, a file cannot be written, or Parquet lacks the package that writes it.
    """
    if format not in FORMATS:
        raise QKDRMPError(f"format = {format!r} must be {one_of(FORMATS, format)}")
    if format == "parquet" and importlib.util.find_spec(ENGINE) is None:
        raise QKDRMPError(f"format = 'parquet' needs the package {ENGINE}: pip install 'qkdrmp[parquet]'")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            if format == "csv":
                table.to_csv(folder / f"{name}.csv", index=False)
            else:
                _of_one_kind(table).to_parquet(folder / f"{name}.parquet", engine=ENGINE, index=False)
    except OSError as error:
        raise QKDRMPError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    return [f"{name}.{format}" for name in tables]


def _of_one_kind(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which columns that mix numbers and texts are texts: Parquet has no others."""
    mixed = [name for name in table if pd.api.types.infer_dtype(table[name], skipna=True).startswith("mixed")]
    return table.assign(**{str(name): table[name].map(str, na_action="ignore") for name in mixed})
