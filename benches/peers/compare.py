"""The solver beside its peers: same grid, same step, same threads, single precision, one run.

    python benches/peers/compare.py target/release/rsw-solve [SIDE:THREADS ...]

Every answer, ours too, stands beside its distance from ours in double precision, as a part of the largest value.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from common import DT, GAMMA

HERE = Path(__file__).parent
PEERS = ["numba", "jax", "devito"]
CELLS_A_RUN = 4e9
STEPS = 128


def ours(solver, folder, threads, steps, tile, out, dtype="f32"):
    words = f"--init u0.npy --previous u1.npy --steps {steps} --gamma {GAMMA} --dt {DT!r} --json"
    words += f" --threads {threads} --tile {tile} --dtype {dtype} --out {out}"
    told = subprocess.run([solver, *words.split()], cwd=folder, check=True, capture_output=True)
    return json.loads(told.stdout)["gcell_per_s"]


def peer(name, folder, threads, steps, out):
    # Cores by mask: not every peer can be told its threads.
    cores = set(sorted(os.sched_getaffinity(0))[:threads])
    env = dict(os.environ, NUMBA_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    env.update(DEVITO_LANGUAGE="openmp", JAX_PLATFORMS="cpu")
    words = [sys.executable, HERE / f"peer_{name}.py", "u0.npy", "u1.npy", out, str(steps)]
    told = subprocess.run(
        words, cwd=folder, env=env, capture_output=True, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if told.returncode != 0:
        print(f"  {name}: {told.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(told.stdout.splitlines()[-1])["gcell_per_s"]


def main():
    solver = str(Path(sys.argv[1]).resolve())
    cases = [tuple(map(int, word.split(":"))) for word in sys.argv[2:]]
    cases = cases or [(256, 1), (1024, 1), (1024, 2), (4096, 1), (4096, 2)]
    print("| field | threads | who | Gcell/s | ours (tile 8) / it | ours (auto) / it | steps | off by |")
    print("|---|---|---|---|---|---|---|---|")
    for side, threads in cases:
        steps = int(max(STEPS, CELLS_A_RUN / side**2 // 64 * 64))
        with tempfile.TemporaryDirectory() as folder:
            place = np.linspace(-1, 1, side)
            r2 = place[:, None] ** 2 + (place[None, :] - 0.2) ** 2
            start = np.exp(-r2 / 0.02).astype(np.float32)
            start[[0, -1]] = start[:, [0, -1]] = 0
            np.save(f"{folder}/u0.npy", start)
            np.save(f"{folder}/u1.npy", start)
            ours(solver, folder, threads, steps, "auto", "exact.npy", "f64")
            exact = np.load(f"{folder}/exact.npy")
            rates, errors = {}, {}
            for name, tile in {"tile 8": "8", "auto": "auto", "plain": "off"}.items():
                speeds = [ours(solver, folder, threads, steps, tile, "end.npy") for _ in range(5)]
                rates[name] = sorted(speeds)[2]
                errors[name] = off(folder, exact)
            for name in PEERS:
                rate = peer(name, folder, threads, steps, "end.npy")
                if rate is not None:
                    rates[name], errors[name] = rate, off(folder, exact)
            for name, rate in rates.items():
                ratios = " | ".join(f"{rates[mine] / rate:.2f}" for mine in ("tile 8", "auto"))
                words = [f"{side} x {side}", threads, name, f"{rate:.2f}", ratios, steps, f"{errors[name]:.0e}"]
                print("|", " | ".join(map(str, words)), "|", flush=True)


def off(folder, exact):
    return np.abs(np.load(f"{folder}/end.npy") - exact).max() / np.abs(exact).max()


main()
