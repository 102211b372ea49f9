"""The facts about a machine that a latency depends on, and nothing that names it."""

import os
import platform
from pathlib import Path

from fetal_tf.runs.environment import versions


def machine_facts() -> dict[str, object]:
    """Processor model, cores this process may use, operating system, versions."""
    return {
        "cpu": _cpu_model(),
        "cores": _usable_cores(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "versions": versions(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware"):
                return value.strip()
    return platform.processor() or "unknown"


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
