"""A local stand-in for Zenodo that can ignore ranges, drop connections and answer with errors."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fetal_tf.data.sources.transfer import RemoteFile


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator["Server"]:
    with Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Server(ThreadingHTTPServer):
    """Serves `files` like a Zenodo record at /records/1, with the faults that a test sets."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.ranges = True  # honour Range
        self.shift = 0  # answer a range that starts elsewhere than asked
        self.cuts: list[int] = []  # bytes after which each of the next answers is cut off
        self.statuses: list[int] = []  # statuses of the next answers
        self.record: bytes | None = None
        self.asked: list[str | None] = []  # Range header of each file request
        self.sent = 0

    @property
    def record_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/records/1"

    def remote(self, name: str, **changes) -> RemoteFile:
        data = self.files[name]
        described = {
            "name": name,
            "url": f"{self.record_url}/files/{name}/content",
            "size": len(data),
            "checksum": f"md5:{hashlib.md5(data).hexdigest()}",
        }
        return RemoteFile(**{**described, **changes})


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/records/1":
            self._send(200, self.server.record or self._record())
            return
        name = self.path.removeprefix("/records/1/files/").removesuffix("/content")
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.server.statuses:
            self._send(self.server.statuses.pop(0), b"")
        elif name not in self.server.files:
            self._send(404, b"")
        else:
            self._send_file(self.server.files[name], asked)

    def _record(self) -> bytes:
        entries = [
            {
                "key": name,
                "size": len(data),
                "checksum": f"md5:{hashlib.md5(data).hexdigest()}",
                "links": {"self": "file:///etc/passwd"},
            }
            for name, data in self.server.files.items()
        ]
        return json.dumps({"id": 1, "files": entries}).encode()

    def _send_file(self, data: bytes, asked: str | None) -> None:
        if asked and self.server.ranges:
            first = int(asked.removeprefix("bytes=").split("-")[0]) + self.server.shift
            where = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
            self._send(206, data[first:], where)
        else:
            self._send(200, data)

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if status in (200, 206) and self.path != "/records/1" and self.server.cuts:
            data = data[: self.server.cuts.pop(0)]
            self.close_connection = True
        self.server.sent += len(data)
        self.wfile.write(data)
