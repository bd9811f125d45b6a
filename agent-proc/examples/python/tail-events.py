#!/usr/bin/env python3
"""tail-events [COUNT]: the events from the oldest on, every loss told, and the exact account at the end."""

import sys

import rsw

left = int(sys.argv[1]) if len(sys.argv) > 1 else sys.maxsize
with rsw.connect() as swarm, swarm.events("oldest", batch=256) as ring:
    while left > 0 and ring.wait() != rsw.ENDED:
        status, events = ring.poll(limit=left)
        if status == rsw.LAPPED:
            print(f"lost {ring.stats().lost_from} to {ring.stats().lost_to}")
        if status == rsw.REATTACHED:
            print(f"generation {ring.stats().generation}")
        for event in events:
            print(f"{event.sequence} kind {event.kind} source {event.source} at {event.t_ns}")
        left -= len(events)
    stats = ring.stats()
    print(f"received {stats.received}, lost {stats.lost}")
