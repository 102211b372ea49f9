"""How much memory this process has used."""

from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """Resident memory at its highest, MiB; nan where the system does not tell (it is Linux)."""
    if not _STATUS.is_file():
        return float("nan")
    lines = _STATUS.read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
