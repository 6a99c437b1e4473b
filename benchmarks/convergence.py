"""How long until 99 % of the farm know what one node was told: 200 and 500 whole nodes, simulated.

`python -m benchmarks.convergence` prints one JSON line last. The ratio is the median against the limit that the farm
promises for 200 nodes (1.5 s); the seconds are simulated, so the machine that measures does not matter.
"""

from __future__ import annotations

import json
import statistics
import time

from tests.sim.big_farm import BigFarm

LIMIT_S = 1.5
SAMPLES = {200: 20, 500: 3}


def main() -> None:
    ratios: dict[str, float] = {}
    figures: dict[str, float] = {}
    for nodes, samples in SAMPLES.items():
        began = time.process_time()
        times = BigFarm(nodes).measure(samples)
        took = time.process_time() - began
        median = statistics.median(times)
        print(
            f"{nodes} nodes: median {median:.2f} s, longest {max(times):.2f} s of {samples} ({took:.0f} s to simulate)"
        )
        ratios[f"median_{nodes}_nodes_of_limit"] = round(median / LIMIT_S, 3)
        figures |= {
            f"median_{nodes}_nodes_s": round(median, 3),
            f"longest_{nodes}_nodes_s": round(max(times), 3),
            f"samples_{nodes}_nodes": samples,
            f"processor_{nodes}_nodes_s": round(took, 1),
        }
    print(json.dumps({"benchmark": "convergence", "ratios": ratios, "figures": figures}))


if __name__ == "__main__":
    main()
