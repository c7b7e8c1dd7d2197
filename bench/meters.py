"""CPU seconds and memory of server processes, read from /proc (Linux)."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Use:
    """CPU seconds in user and in system mode, and how far memory rose above its start."""

    user: float
    system: float
    memory_mib: float


def family(*pids):
    """These processes and all their descendants."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children.setdefault(int(_stat(entry.name)[1]), []).append(int(entry.name))
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def at_rest(*pids):
    """MiB that these processes and their descendants hold now, shared memory divided among its holders (PSS)."""
    kib = 0
    for pid in family(*pids):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


class Meter:
    """Measures these processes and their descendants from creation to `stop`, which returns the Use."""

    def __init__(self, *pids):
        self._pids = family(*pids)
        self._memory = {}
        for pid in self._pids:
            # This resets VmHWM, the peak of memory.
            Path(f"/proc/{pid}/clear_refs").write_text("5")
            self._memory[pid] = _memory(pid)["VmRSS"]
        self._before = self._times()

    def stop(self):
        """The Use of all the processes since the start."""
        user, system = (now - then for now, then in zip(self._times(), self._before, strict=True))
        growth = sum(_memory(pid)["VmHWM"] - self._memory[pid] for pid in self._pids)
        return Use(user, system, growth / 1024)

    def _times(self):
        # Fields 14 to 17 of proc(5); the last two are those of children that have ended.
        rows = [[int(field) / TICKS for field in _stat(pid)[11:15]] for pid in self._pids]
        return sum(row[0] + row[2] for row in rows), sum(row[1] + row[3] for row in rows)


def _stat(pid):
    """The fields of /proc/<pid>/stat after the name; the name may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _memory(pid):
    """{"VmRSS": KiB, "VmHWM": KiB}"""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(rest.split()[0]) for name, _colon, rest in lines if name in ("VmRSS", "VmHWM")}
