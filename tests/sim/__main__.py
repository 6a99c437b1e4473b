"""`python -m tests.sim`: replay one seed and tell its story, or run many and print what they were like.

python -m tests.sim --seed 17 [--nodes 3] [--story]
python -m tests.sim --count 500 --jobs 2 [--first 0]
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.sim.history import Report, run_history
from tests.sim.table import table


def main() -> int:
    """Run; 1 if an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="Simulated histories of a farm.")
    parser.add_argument("--seed", help="replay this one")
    parser.add_argument("--nodes", type=int, help="machines at the start instead of the drawn number")
    parser.add_argument("--story", action="store_true", help="tell what happened, line by line")
    parser.add_argument("--count", type=int, default=50, help="histories to run")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    args = parser.parse_args()
    if args.seed is not None:
        return _replay(args.seed, args.nodes, story=args.story)
    return _many(range(args.first, args.first + args.count), args.nodes, args.jobs)


def _replay(seed: str, nodes: int | None, *, story: bool) -> int:
    report = run_history(seed, nodes=nodes)
    if story or report.broken:
        for at, line in report.story:
            sys.stdout.write(f"{at:9.3f}  {line}\n")
    sys.stdout.write(table([report]) + f"\ndigest {report.digest:08x}\n")
    return 1 if report.broken else 0


def _many(seeds: range, nodes: int | None, jobs: int) -> int:
    reports: list[Report] = []
    with ProcessPoolExecutor(jobs) as pool:
        for report in pool.map(_one, seeds, [nodes] * len(seeds)):
            report.story = []
            reports.append(report)
            if report.broken:
                sys.stdout.write(f"seed {report.seed} ({report.nodes} nodes): {report.broken}\n")
                sys.stdout.flush()
    sys.stdout.write(table(reports) + "\n")
    failing = [report.seed for report in reports if report.broken]
    if failing:
        sys.stdout.write(f"{len(failing)} failing seeds: {' '.join(failing)}\n")
    return 1 if failing else 0


def _one(seed: int, nodes: int | None) -> Report:
    report = run_history(seed, nodes=nodes)
    report.story = []
    return report


if __name__ == "__main__":
    sys.exit(main())
