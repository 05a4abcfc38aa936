"""A network cable that can be pulled: a TCP relay between the validators and the back office."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

CHUNK_BYTES = 65536
Result = TypeVar("Result")


UP, DOWN = "up", "down"       # towards the back office, towards the validators


class Cable:
    """Relays 127.0.0.1:`port` to `target_port`. While pulled, what was connected breaks and nothing new connects.

    lost     set when bytes have been lost on the way, see `lose`
    broken   connections that have ended so far
    carried  bytes by way, so far
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._plugged = True
        self._losing = ""
        self.lost = threading.Event()
        self.broken = 0
        self.carried = {UP: 0, DOWN: 0}
        self._loop = asyncio.new_event_loop()
        self._flows: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cable", daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._relay, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def pull(self) -> None:
        """Cut every connection; refuse new ones."""
        self._call(self._cut())

    def lose(self, way: str) -> None:
        """From now on what goes UP or DOWN is lost, until the cable is pulled and plugged in again."""
        self.lost.clear()
        self._losing = way

    def plug(self) -> None:
        """Let connections through again."""
        self._losing = ""
        self._plugged = True

    def close(self) -> None:
        """End the relay for good."""
        self._server.close()
        self.pull()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _cut(self) -> None:
        self._plugged = False
        for writer in self._flows:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._plugged:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # the back office is down: the validator sees what it would see without a relay
            writer.transport.abort()
            return
        self._flows |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer, UP), self._pump(far_reader, writer, DOWN))
        self._flows -= {writer, far_writer}
        self.broken += 1

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                if self._losing == way:
                    self.lost.set()
                    continue
                writer.write(chunk)
                await writer.drain()
                self.carried[way] += len(chunk)
        except OSError:  # one side broke off: closing the other tells it
            writer.transport.abort()
        else:
            writer.close()
