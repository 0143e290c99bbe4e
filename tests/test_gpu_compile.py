"""The GPU's kernels compile for Hopper without one: nothing spills to memory, and no multiply-add is fused in a distance."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
MODULES = ("neighbors.gpu_small", "neighbors.gpu_grid", "neighbors.gpu_tiles", "losses.sets.gpu_matching")
VARIANTS = [
    pytest.param(*variant, id=f"{module} {variant[0]}")
    for module in MODULES
    for variant in importlib.import_module(f"pcloud.{module}").variants()
]


@pytest.mark.parametrize(("name", "kernel", "arguments", "options"), VARIANTS)
def test_it_compiles_for_sm_90(
    name: str, kernel: object, arguments: dict[str, object], options: dict[str, object], tmp_path: Path
) -> None:
    from triton.backends import nvidia
    from triton.backends.compiler import GPUTarget

    reader = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    if not reader.exists():
        pytest.skip("triton came without cuobjdump")
    parameters = list(enumerate(kernel.arg_names))  # type: ignore[attr-defined]
    types = {place: given for place, name in parameters if isinstance(given := arguments[name], str)}
    source = triton.compiler.ASTSource(
        kernel,
        signature={name: types.get(place, "constexpr") for place, name in parameters},
        constexprs={(place,): arguments[name] for place, name in parameters if place not in types},
        attrs={(place,): [["tt.divisibility", 16]] for place, given in types.items() if given.startswith("*")},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert options["enable_fp_fusion"] is False
    assert not re.search(r"\bfma\.rn\.f32\b", compiled.asm["ptx"]), "a distance would be rounded otherwise than on the CPU"
    (tmp_path / "kernel.cubin").write_bytes(compiled.asm["cubin"])
    report = subprocess.run([reader, "-res-usage", tmp_path / "kernel.cubin"], capture_output=True, text=True, check=True).stdout
    used = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", report)}
    assert used["STACK"] == 0 and used["LOCAL"] == 0, f"registers spill: {used}"
    assert used["REG"] <= 255
