"""The process of the viewers in `benchmarks.viewers`: DATA_DIR and how many; ends with its standard input.

It yields to everything else, since in a studio the viewers' own work is done by the machines in front of them.
"""

from __future__ import annotations

import asyncio
import os
import sys

from benchmarks.viewers import watch

if __name__ == "__main__":
    os.nice(19)
    asyncio.run(watch(sys.argv[1], int(sys.argv[2])))
