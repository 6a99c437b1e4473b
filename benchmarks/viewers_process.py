"""The process of the viewers in `benchmarks.viewers`: DATA_DIR and how many; ends with its standard input."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.viewers import watch

if __name__ == "__main__":
    asyncio.run(watch(sys.argv[1], int(sys.argv[2])))
