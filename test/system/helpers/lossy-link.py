"""A bad link between two network namespaces of its own: packets are lost at random, and late.

usage: lossy-link.py <loss percent> <delay ms, each way> <seed>

Prints the two processes whose namespaces are the ends, as "<near pid> <far pid>"; the near end is
10.77.0.1, the far one 10.77.0.2. Ends when its stdin does. Needs root and /dev/net/tun.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MTU = 1500


def own_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def end(address):
    """An interface of the namespace that this process is in now."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"link0", IFF_TUN | IFF_NO_PI))
    for words in (
        ["address", "add", f"{address}/24", "dev", "link0"],
        ["link", "set", "link0", "mtu", str(MTU), "up"],
        ["link", "set", "lo", "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    return fd


def relay(ends, loss, delay, rng):
    other = {ends[0]: ends[1], ends[1]: ends[0], sys.stdin.fileno(): None}
    waiting = []  # (due, number, fd, packet)
    passed = lost = 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, fd, packet = heapq.heappop(waiting)
            try:
                os.write(fd, packet)
            except BlockingIOError:
                lost += 1
        timeout = waiting[0][0] - now if waiting else None
        for fd in select.select(list(other), [], [], timeout)[0]:
            if other[fd] is None:
                print(f"{passed} packets, {lost} lost", flush=True)
                return
            packet = os.read(fd, MTU + 64)
            passed += 1
            if rng.random() < loss:
                lost += 1
                continue
            heapq.heappush(waiting, (time.monotonic() + delay, passed, other[fd], packet))


def main():
    loss, delay, seed = int(sys.argv[1]) / 100, int(sys.argv[2]) / 1000, sys.argv[3]
    own_namespace()
    near = end("10.77.0.1")
    # Stays in the near namespace, for as long as this process lives.
    holder = subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
        own_namespace()
        far = end("10.77.0.2")
        print(holder.pid, os.getpid(), flush=True)
        relay([near, far], loss, delay, random.Random(seed))
    finally:
        holder.kill()
        holder.wait()


main()
