#!/usr/bin/env python3
"""metrics-batches [COUNT]: record batches by the Arrow PyCapsule protocol; their columns lie in the loan."""

import sys

import pyarrow

import rsw

left = int(sys.argv[1]) if len(sys.argv) > 1 else 3
with rsw.connect() as swarm:
    for batch in pyarrow.RecordBatchReader.from_stream(swarm.stream()):
        ticks, ci = batch["tick"].to_pylist(), batch["ci"].to_pylist()
        print(f"ticks {ticks[0]} to {ticks[-1]}, {batch.num_rows} rows, mean ci {sum(ci) / len(ci):.6f}")
        left -= 1
        if left == 0:
            break
