"""A wire that loses, doubles and delays what hosts send each other, for kernels without netem.

    wire.py FAULTS OUTSIDE PORT ...

Carries Ethernet frames between the interfaces named, none of which may be joined to a bridge. What comes from or goes
to OUTSIDE is carried at once. FAULTS is a JSON object:

    loss               chance that a frame is lost
    doubling           chance that it is carried twice
    delay_ms           each copy is held back for a random time up to this, so that it overtakes others
    replaying          chance that with a datagram any earlier one is carried again
    lost_heartbeat_ms  one heartbeat in so long is lost, on one link or another, and a line is written for it

Writes "ready" when it carries.
"""

import heapq
import json
import random
import select
import socket
import sys
import time

SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3

# A frame comes with what its sender left to the hardware (checksums, segmentation), and is sent on with the same.
OFFLOAD_BYTES = 10
LONGEST_FRAME_BYTES = 70_000
BUFFER_BYTES = 8 * 1024 * 1024

# So many datagrams are kept for replaying, of all times alike.
MAX_RECORDED = 20_000

# Where a datagram over IPv4 without options begins in its frame.
ETHERTYPE_AT = slice(12, 14)
PROTOCOL_AT = 23
PAYLOAD_AT = 42


def open_port(name):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    port.bind((name, 0))
    port.setblocking(False)
    return port


def is_datagram(frame):
    return frame[ETHERTYPE_AT] == b"\x08\x00" and frame[PROTOCOL_AT] == 17


def is_heartbeat(frame):
    return is_datagram(frame) and frame[PAYLOAD_AT:].startswith(b'{"type":6,') and b"\n" not in frame[PAYLOAD_AT:].strip()


class Wire:
    def __init__(self, faults, ports):
        self.loss = faults.get("loss", 0)
        self.doubling = faults.get("doubling", 0)
        self.delay_s = faults.get("delay_ms", 0) / 1000
        self.replaying = faults.get("replaying", 0)
        self.heartbeats_s = faults.get("lost_heartbeat_ms", 0) / 1000
        self.ports = ports
        self.where = {}
        self.held = []
        self.sequence = 0
        self.lost_at = time.monotonic()
        self.recorded = []
        self.seen = 0

    def take(self, source, data):
        frame = data[OFFLOAD_BYTES:]
        self.where[frame[6:12]] = source
        known = self.where.get(frame[0:6])
        for target in self.ports if known is None else [known]:
            if target is not source:
                self.carry(source, target, data, frame)

    def carry(self, source, target, data, frame):
        if self.ports[0] in (source, target):
            return send(target, data)
        if self.heartbeats_s and is_heartbeat(frame) and self.is_due():
            return print("heartbeat lost", flush=True)
        if random.random() < self.loss:
            return None
        for _ in range(2 if random.random() < self.doubling else 1):
            self.hold(target, data)
        if self.replaying and is_datagram(frame):
            self.record(target, data)
            if random.random() < self.replaying:
                self.hold(*random.choice(self.recorded))
        return self.release()

    def hold(self, target, data):
        self.sequence += 1
        due = time.monotonic() + random.random() * self.delay_s
        heapq.heappush(self.held, (due, self.sequence, target, data))

    def record(self, target, data):
        self.seen += 1
        if len(self.recorded) < MAX_RECORDED:
            self.recorded.append((target, data))
        elif random.randrange(self.seen) < MAX_RECORDED:
            self.recorded[random.randrange(MAX_RECORDED)] = (target, data)

    def is_due(self):
        now = time.monotonic()
        # A leader's heartbeats leave together: chance says to whom the one goes that is lost.
        if now - self.lost_at < self.heartbeats_s or random.random() < 0.5:
            return False
        self.lost_at = now
        return True

    def release(self):
        while self.held and self.held[0][0] <= time.monotonic():
            _, _, target, data = heapq.heappop(self.held)
            send(target, data)

    def wait_s(self):
        return max(0, self.held[0][0] - time.monotonic()) if self.held else None


def send(target, data):
    try:
        target.send(data)
    except OSError:
        # A cable that is unplugged, or a full queue: lost, as on any wire.
        pass


def main():
    wire = Wire(json.loads(sys.argv[1]), [open_port(name) for name in sys.argv[2:]])
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select(wire.ports, [], [], wire.wait_s())
        for port in readable:
            try:
                wire.take(port, port.recv(LONGEST_FRAME_BYTES))
            except BlockingIOError:
                pass
        wire.release()


main()
