"""What benchmarks/sass_counts.py reads out of machine code, and that hot loops stay as short as they are."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest
from sass_counts import RASTERS, class_of, disassemble, families, hot_loops, loops

from gscodec.cuda.nvrtc import installed

TABLE = Path(__file__).parents[2] / "benchmarks" / "results" / "sass.md"

SASS = """
\t.section\t.text.first,"ax",@progbits
.text.first:
        /*0000*/                   S2R R0, SR_TID.X ;
        /*0010*/                   BSSY B0, `(.L_x_3) ;
.L_x_0:
        /*0020*/                   LDS.128 R4, [R0] ;
.L_x_1:
        /*0030*/                   FFMA.FTZ R4, R5, R6, R7 ;
        /*0040*/                   FMNMX R4, R4, R5, PT ;
        /*0050*/              @P0  BRA `(.L_x_1) ;
        /*0060*/                   MUFU.EX2 R4, R4 ;
        /*0070*/             @!UP1 BRA `(.L_x_0) ;
        /*0080*/              @P1  BRA `(.L_x_2) ;
        /*0090*/                   STG.E [R2.64], R4 ;
.L_x_2:
        /*00a0*/                   EXIT ;
.L_x_3:
        /*00b0*/                   BRA `(.L_x_3);
        /*00c0*/                   NOP;
\t.section\t.nv.shared.first,"aw",@nobits
\t.section\t.text.second,"ax",@progbits
        /*0000*/                   VOTE.ANY P0, P0 ;
        /*0010*/                   EXIT ;
"""


def test_loops_are_read_from_machine_code() -> None:
    """An instruction is the innermost loop's; a branch forward is no loop, nor is padding that jumps to itself."""
    found = loops(SASS)
    assert list(found) == ["first", "second"]
    whole, outer, inner = found["first"]
    assert (whole.first, whole.last) == (0, 12)
    assert whole.operations.total() == 12, "NOP aside"
    assert (outer.first, outer.last) == (2, 7)
    assert dict(outer.operations) == {"LDS": 1, "MUFU": 1, "BRA": 1}
    assert (inner.first, inner.last) == (3, 5)
    assert dict(inner.counts) == {"fma": 1, "minmax": 1, "control": 1}
    assert [dict(loop.counts) for loop in found["second"]] == [{"shfl": 1, "control": 1}]


def test_what_is_in_no_class_is_other() -> None:
    assert [class_of(name) for name in ("FFMA", "FSETP", "BSSY", "IMAD")] == ["fma", "minmax", "control", "other"]


def test_where_nvdisasm_is_missing_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="pip install nvidia-cuda-nvdisasm"):
        disassemble(b"")


@pytest.mark.skipif(sys.platform == "darwin", reason="there is no NVRTC for macOS")
def test_hot_loops_are_as_short_as_the_table_says() -> None:
    """By the compiler it was made with; another one may take a tenth more."""
    text = TABLE.read_text()
    version = re.search(r"^NVRTC (\d+)\.(\d+), (sm_\d+)", text, re.MULTILINE)
    assert version
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\d+) \|", text, re.MULTILINE)
    most = {(kernel, name): int(count) for kernel, name, count in rows if kernel != "kernel"}
    found = families(RASTERS, version[3])
    hot = hot_loops(found)
    wholes = {(kernel, "whole"): first for kernel, (first, *_) in found.items()}
    assert set(most) == set(hot) | set(wholes)
    slack = 1.0 if installed()[0].version == (int(version[1]), int(version[2])) else 1.1
    for place, loop in {**hot, **wholes}.items():
        assert loop.operations.total() <= slack * most[place], place
    for (kernel, name), loop in hot.items():
        if name != "select":  # which asks once a block whether the list is longer than K
            assert not loop.operations["BSSY"], (kernel, name)
