#!/usr/bin/env python3
"""A wire between two network namespaces that takes its time: the kernel's own delay (sch_netem) is
not in every kernel. Usage: slow_wire.py NETNS ADDRESS NETNS ADDRESS SECONDS; ends with its parent's
signal."""
import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_HEADER = 0x1001
LIBC = ctypes.CDLL(None, use_errno=True)


def end_of_wire(netns, address):
    with open(f"/run/netns/{netns}", "rb") as name:
        if LIBC.setns(name.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), f"entering {netns}")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN_WITHOUT_HEADER))
    for command in (f"addr add {address} dev wire nodad", "link set wire up"):
        subprocess.run(["ip", "-6", *command.split()], check=True)
    return tun


def main():
    delay = float(sys.argv[5])
    ends = [end_of_wire(*sys.argv[1:3]), end_of_wire(*sys.argv[3:5])]
    under_way = collections.deque()
    while True:
        rest = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
        for end in select.select(ends, [], [], rest)[0]:
            other = ends[1 - ends.index(end)]
            under_way.append((time.monotonic() + delay, other, os.read(end, 65536)))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            os.write(end, packet)


main()
