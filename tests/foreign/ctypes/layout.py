"""What the ctypes binding believes of the C ABI, for comparison with the header: its structures, prototypes and numbers."""

import sys
from ctypes import Structure, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p, sizeof
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples/ctypes"))

import binding  # noqa: E402

KINDS = {c_int32: "i32", c_uint32: "u32", c_int64: "i64", c_size_t: "u64", c_void_p: "ptr", c_char_p: "ptr", None: "void"}

for structure in binding.STRUCTURES:
    assert issubclass(structure, Structure)
    print("struct", structure.__name__, sizeof(structure))
    for name, _ in structure._fields_:
        field = getattr(structure, name)
        print("field", structure.__name__, name, field.offset, field.size)
for name, value in vars(binding).items():
    if name.isupper() and isinstance(value, int):
        print("constant", f"BARTIZAN_{name}", value)
for name, kinds in binding.PROTOTYPES.items():
    print("function", f"bartizan_{name}", *(KINDS[kind] for kind in kinds))
