"""Logs of attempts on this node's disk: parts, lines, searches, how long they are kept.

The runner's processes write them (`files` tells where); nothing here ever changes one, but for `retention`, which
deletes. Everything is synchronous and bounded in time and size, and meant for threads of the daemon. What else than
`JobLogs` is wanted is imported from its module: the process that searches must start quickly.
"""

from farmd.adapters.joblog.files import MAX_READ_BYTES, JobLogs, LogPart

__all__ = ["MAX_READ_BYTES", "JobLogs", "LogPart"]
