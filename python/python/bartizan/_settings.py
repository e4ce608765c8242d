"""The dictionaries of settings at run time, made from the settings list itself; type checkers read the rendered stub."""
from datetime import timedelta
from typing import Any, TypeAlias, TypedDict, Union

from ._bartizan import rows

Duration: TypeAlias = Union[float, timedelta, str]
Size: TypeAlias = Union[int, str]

_make: Any = TypedDict


def _keys(level: str) -> dict[str, Any]:
    return {row[0]: Any for row in rows() if level in row[8]}


LimitSettings = _make("LimitSettings", _keys("Q"), total=False)
NameSettings = _make("NameSettings", _keys("N"), total=False)
ListenerSettings = _make("ListenerSettings", _keys("L"), total=False)
Settings = _make("Settings", _keys(""), total=False)
