#!/usr/bin/env python3
"""my-agent [COUNT]: works out how synchronised the swarm is, with the bits of the built-in agent, and reports it."""

import sys

import rsw

left = int(sys.argv[1]) if len(sys.argv) > 1 else sys.maxsize
with rsw.connect() as swarm, swarm.events() as ring, swarm.sync() as sync:
    while left > 0 and ring.wait() != rsw.ENDED:
        for event in ring.poll()[1]:
            result = sync.event(event)
            if result is None or left == 0:
                continue
            try:
                swarm.report(result, ring)
                sent = ""
            except rsw.Error:
                sent = ", not sent"
            print(f"tick {result.tick}: cs {result.cs_mean:.6f} over {result.pairs_defined} pairs, "
                  f"matrix {result.matrix_crc32:08x}{sent}", flush=True)
            left -= 1
