"""Logs of attempts on this node's disk: parts, lines, searches, how long they are kept.

The runner's processes write them (`files` tells where); nothing here ever changes one, but for `retention`, which
deletes. Everything is synchronous and bounded in time and size, and meant for threads of the daemon.
"""

from farmd.adapters.joblog.files import MAX_READ_BYTES, JobLogs, LogPart
from farmd.adapters.joblog.retention import Keep, Swept, sweep
from farmd.adapters.joblog.seeking import Seeker

__all__ = ["MAX_READ_BYTES", "JobLogs", "Keep", "LogPart", "Seeker", "Swept", "sweep"]
