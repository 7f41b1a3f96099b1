"""A gateway that takes everything at once, in a process of its own: what is measured beside it is the sender.

`python -m tests.bench.sink PORT CALLBACKS TOKEN` speaks just enough of HTTP/1.1 and of the ctcu dialect: a token, an answer to
each message, and, where CALLBACKS is a port, `delivered` receipts in signed callbacks of up to 50. GET /ledger answers how many
requests for messages came, how many different ids, and the longest time between two of them; GET /arrivals the id of each with
the microseconds since 1970 at which its last byte was here, in order.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise

CHATBOT = "sip:106500@botplatform.rcs.example"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
MESSAGE = re.compile(rb'"messageId": ?"([^"]+)"')
TO = re.compile(rb'"tel:\+86(\d+)"')
OK = b'{"errorCode":0,"errorMessage":"ok","messageId":"%s"}'


@dataclass
class Ledger:
    """Requests by message id, and what waits to be reported: (id, number)."""

    taken: dict[bytes, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    arrivals: list[tuple[str, int]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.data = transport, b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end]
            found = LENGTH.search(head)
            size = int(found[1]) if found else 0
            if len(self.data) < end + 4 + size:
                return
            body, self.data = self.data[end + 4 : end + 4 + size], self.data[end + 4 + size :]
            self._reply(self._answer(head, body))

    def _reply(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        path = head.split(b" ", 2)[1]
        if path.endswith(b"/accessToken"):
            return b'{"errorCode":0,"accessToken":"t","expires":7200}'
        if path == b"/ledger":
            times = self.ledger.times
            gap = max((b - a for a, b in pairwise(times)), default=0.0)
            counts = {"requests": len(times), "ids": len(self.ledger.taken), "gap": gap}
            return json.dumps(counts).encode()
        if path == b"/arrivals":
            return json.dumps(self.ledger.arrivals).encode()
        named, to = MESSAGE.search(body), TO.search(body)
        id = named[1] if named else hashlib.sha256(body).hexdigest().encode()
        self.ledger.taken[id] = self.ledger.taken.get(id, 0) + 1
        self.ledger.times.append(time.monotonic())
        self.ledger.arrivals.append((id.decode(), time.time_ns() // 1000))
        if to:
            self.ledger.waiting.append((id.decode(), to[1].decode()))
        return OK % id


async def report(ledger: Ledger, port: int, token: str) -> None:
    """Post what waits to be reported, 50 at a time, over one warm connection; one that breaks is made anew."""
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    path = f"/callbacks/bulk/deliveryNotification/{CHATBOT}/status"
    count = 0
    while True:
        part, ledger.waiting[:50] = ledger.waiting[:50], []
        if not part:
            await asyncio.sleep(0.005)
            continue
        count += 1
        stamp, nonce = str(int(time.time())), f"n{count}"
        listed = [
            {"messageId": id, "senderAddress": f"tel:+86{to}", "status": "delivered", "dateTime": stamp}
            for id, to in part
        ]
        body = json.dumps({"deliveryInfoList": listed}).encode()
        sign = hashlib.sha256("".join(sorted((token, stamp, nonce))).encode()).hexdigest()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntimestamp: {stamp}\r\nnonce: {nonce}\r\n"
        request = f"{head}signature: {sign}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        try:
            connection = connection or await asyncio.open_connection("127.0.0.1", port)
            taken = await exchange(*connection, request)
        except (OSError, asyncio.IncompleteReadError):
            connection, taken = None, False
        if not taken:
            ledger.waiting[:0] = part
            await asyncio.sleep(0.05)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Post one callback; whether it was taken."""
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 204 " in answer.split(b"\r\n", 1)[0]:
        return True
    if size := LENGTH.search(answer):
        await reader.readexactly(int(size[1]))
    return False


async def main(port: int, callbacks: int, token: str) -> None:
    ledger = Ledger()
    server = await asyncio.get_running_loop().create_server(lambda: Sink(ledger), "127.0.0.1", port)
    if callbacks:
        task = asyncio.create_task(report(ledger, callbacks, token))
        task.add_done_callback(lambda done: done.result())
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
