"""What the package promises beyond the examples: loans without a copy, exact errors, releases."""

import collections
import ctypes as c
import selectors
import sys
import threading

import rsw
from rsw import _capsules, _dlpack

USED = c.c_char_p(b"used_dltensor_versioned")


def mapping_of(address):
    """The line of /proc/self/maps that holds an address."""
    for line in open("/proc/self/maps"):
        first, last = (int(bound, 16) for bound in line.split()[0].split("-"))
        if first <= address < last:
            return line
    return ""


with rsw.connect(name="checker") as swarm:
    assert swarm.me().name == b"checker" and swarm.state()[0] == rsw.OK
    assert swarm["tick"] > 0 and swarm.counters()["ticks"] > 0
    try:
        swarm["no such cell"]
        raise SystemExit("a cell that does not exist was read")
    except KeyError:
        pass
    field = swarm.field("ci")
    with field.loan(timeout_s=10) as loan:
        cells = loan.memory()
        assert cells.shape == loan.shape == (32, 32) and cells.readonly
        line = mapping_of(loan.address)
        assert " r--s " in line and ".data" in line, f"the cells are not in the gateway's loan: {line}"
        try:
            cells[0, 0] = 1.0
            raise SystemExit("a loan was written")
        except TypeError:
            pass
        assert loan.__array_interface__["data"] == (loan.address, True)
    try:
        loan.memory()
        raise SystemExit("a released loan was read")
    except ValueError:
        pass
    held = [field.loan(timeout_s=10) for _ in range(3)]
    addresses = {loan.address for loan in held}
    assert len(addresses) == 3
    for loan in held:
        loan.release()
    # By DLPack: the tensor shares the loan; a capsule that nobody takes is given back, also while an exception passes.
    loan = field.loan(timeout_s=10)
    for older in (None, (0, 8)):
        try:
            loan.__dlpack__(max_version=older)
            raise SystemExit("a consumer was not told that the cells are read-only")
        except BufferError:
            pass
    for _ in range(100):
        try:
            int(loan.__dlpack__(max_version=(1, 0)))
        except TypeError:
            pass
    assert len(_capsules._held) + len(_capsules._fresh) == 1
    capsule = loan.__dlpack__(max_version=(1, 0))
    assert loan.__dlpack_device__() == (1, 0)
    tensor = _capsules.pointer(capsule, _dlpack.NAME)
    u64 = [c.c_uint64.from_address(tensor + 8 * at).value for at in range(10)]
    assert u64[0] == 1 and u64[3] == 1 and u64[4] == loan.address, "version 1.0, read-only, the loan's own memory"
    assert list((c.c_int64 * 2).from_address(u64[7])) == [32, 32]
    assert list((c.c_int64 * 2).from_address(u64[8])) == [32, 1]
    # From many threads at once: every capsule is given back once, and none that somebody has.
    given = collections.Counter()
    def churn(worker):
        for at in range(3000):
            word = c.c_uint64(at)
            capsule = _capsules.make(c.addressof(word), b"word", lambda _, key=(worker, at): given.update([key]))
            assert _capsules.valid(capsule, b"word") and (worker, at) not in given
            del capsule
    threads = [threading.Thread(target=churn, args=(worker,)) for worker in range(6)]
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(5e-3)
    _capsules.sweep()
    assert len(given) == 18000 and set(given.values()) == {1}, "each once"
    first = (c.c_float * 4).from_address(u64[4])
    before = list(first)
    loan.release()
    assert list(first) == before and _capsules.valid(capsule, _dlpack.NAME), "it is held"
    # As a consumer does: another name, and the deleter when it is done.
    c.pythonapi.PyCapsule_SetName(c.py_object(capsule), USED)
    del capsule
    rsw._capsules.sweep()
    assert not _capsules._held and not _capsules._fresh
    c.CFUNCTYPE(None, c.c_void_p)(u64[2])(tensor)
    assert field.copy().shape == (32, 32)
    with swarm.events("oldest") as ring:
        seen = 0
        while ring.poll()[0] == rsw.OK:
            seen = ring.stats().received
        assert seen == ring.stats().next_sequence > 0 and ring.stats().lost == 0
    stream = swarm.stream(0.0)
    capsule = stream.__arrow_c_stream__()
    del capsule  # Nobody took it: its end releases it.
    batches = swarm.batches()
    with swarm.events() as ring:
        for _ in range(1000):
            batch = batches.next()
            if batch:
                break
            ring.wait(0.01)
            ring.poll()
    assert batch.info.rows == 8
    schema, array = batch.__arrow_c_array__()
    del schema, array
    try:
        batch.__arrow_c_array__()
        raise SystemExit("a batch was taken twice")
    except ValueError:
        pass
    batches.close()
with rsw.connect(name="loop", wake=True) as swarm, swarm.events() as ring:
    selector, seen = selectors.DefaultSelector(), 0
    selector.register(swarm, selectors.EVENT_READ)
    while seen < 20:
        if selector.select(timeout=10):
            swarm.clear_wake()
            while ring.poll()[0] == rsw.OK:
                pass
            seen = ring.stats().received
closed = swarm
try:
    closed.state()
    raise SystemExit("a closed swarm answered")
except rsw.Error as error:
    assert error.status < 0
print("python: ok")
