"""Versions below which one of the attacks above succeeds in the libraries underneath."""

import re
from pathlib import Path

ROW, TITLE, IDS = 30, "Dependency floor", "advisory-db"

FLOOR = {
    "h2": (0, 4, 20),
    "rustls": (0, 23, 46),
    "rustls-webpki": (0, 103, 13),
    "aws-lc-sys": (0, 39, 0),
    "pyo3": (0, 29, 0),
}


def test_dependency_floor():
    lock = (Path(__file__).resolve().parents[2] / "Cargo.lock").read_text()
    locked = re.findall(r'name = "([^"]+)"\nversion = "(\d+)\.(\d+)\.(\d+)', lock)
    for name, floor in FLOOR.items():
        versions = [tuple(map(int, numbers)) for found, *numbers in locked if found == name]
        assert versions, f"{name} is not in Cargo.lock"
        assert min(versions) >= floor, f"{name} {versions}, not {floor}"
