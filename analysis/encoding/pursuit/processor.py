"""What the processor multiplies in hardware."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
"""Instructions with which torch's kernels (oneDNN) multiply bfloat16."""
_CPUINFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def multiplies_bfloat16() -> bool:
    """Say whether the processor has instructions for bfloat16, by Linux's list; elsewhere it counts as without."""
    try:
        return has_bfloat16(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def has_bfloat16(cpuinfo: str) -> bool:
    """Look for :data:`BFLOAT16` in the text of ``/proc/cpuinfo``.

    Examples
    --------
    >>> has_bfloat16("model name : a processor" + chr(10) + "flags : fpu avx2 avx512_bf16")
    True
    >>> has_bfloat16("flags : fpu avx2 avx512f")
    False
    """
    flags = [line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith("flags")]
    return bool(flags) and all(BFLOAT16 & set(one) for one in flags)
