"""What a running process uses: time of the processor and memory. Linux only."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a process has used so far.

    Attributes:
        cpu_s: Time on all cores together, in seconds.
        rss_bytes: Memory that it holds now, with what it shares with others.
    """

    cpu_s: float
    rss_bytes: int


def read_usage(pid: int) -> ProcessUsage:
    """Return what a process has used until now.

    Raises:
        OSError: There is no such process.
    """
    # The name, second in the line, may hold spaces and brackets.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    user_ticks, system_ticks, rss_pages = int(fields[11]), int(fields[12]), int(fields[21])
    return ProcessUsage(
        cpu_s=(user_ticks + system_ticks) / os.sysconf("SC_CLK_TCK"),
        rss_bytes=rss_pages * os.sysconf("SC_PAGE_SIZE"),
    )
