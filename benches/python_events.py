"""How fast Python iterates over events that wait: in a folder where a swarm has run for some seconds,

    runtime up -d --set tick.rate_hz=0 --set 'field.size=[32,32]'
    PYTHONPATH=PREFIX/share/rsw/python python3 benches/python_events.py

A ring of 65,536 slots is read from its oldest event on, once batch by batch and once event by event.
"""

import time

import rsw

EVENTS = 60_000


def measure(what, look):
    with rsw.connect() as swarm, swarm.events("oldest") as ring:
        begun, count = time.perf_counter(), 0
        for batch in ring:
            count += look(batch)
            if count >= EVENTS:
                break
        rate = count / (time.perf_counter() - begun)
    print(f"{what}: {count} events, {rate / 1e6:.1f} million a second")


def every_event(batch):
    return sum(event.sequence >= 0 for event in batch)


measure("batches", len)
measure("events", every_event)
