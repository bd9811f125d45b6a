#!/usr/bin/env python3
"""watch-board: every cell of the board, once, each without tearing."""

import rsw

with rsw.connect() as swarm:
    cells = swarm.board()
    for cell in cells:
        value = f"{cell.value:.6f}" if isinstance(cell.value, float) else str(cell.value)
        print(f"{cell.name} = {value}{' ' if cell.unit else ''}{cell.unit}")
    ticks = [cell.tick for cell in cells]
    print(f"{len(cells)} cells of ticks {min(ticks)} to {max(ticks)}")
