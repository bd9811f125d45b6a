#!/usr/bin/env python3
"""field-heatmap [FILE]: borrows a frame of the complexity field, without a copy, and writes it as an image (PGM)."""

import struct
import sys

import rsw


def single(value: float) -> float:
    """Rounded to single precision, as C computes."""
    return struct.unpack("f", struct.pack("f", value))[0]


path = sys.argv[1] if len(sys.argv) > 1 else "ci.pgm"
with rsw.connect() as swarm, swarm.field("ci").loan(timeout_s=10) as loan:
    frame = loan.frame
    low, span = frame.min, single(frame.max - frame.min) if frame.max > frame.min else 1.0
    with loan.memory() as cells, open(path, "wb") as file:
        file.write(f"P5\n{frame.nx} {frame.ny}\n255\n".encode())
        for row in cells.tolist():
            file.write(bytes(int(single(255.0 * single(single(cell - low) / span))) for cell in row))
    print(f"ci {frame.nx} x {frame.ny}, {frame.min:.6f} to {frame.max:.6f}")
