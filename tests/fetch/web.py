"""A server on the loopback address that behaves as badly as a test asks it to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What one path answers.

    Attributes:
        content: the body.
        status: of the answer.
        cut: the connection is closed after so many bytes of the body, in this many requests.
        ranges: whether it answers requests for a range.
        length: whether it states the length.
        kind: Content-Type.
        to: an address that it leads to.
        stall: it never sends the body, until the server is closed.
    """

    content: bytes = b""
    status: int = 200
    cut: int | None = None
    cuts: int = 1
    ranges: bool = True
    length: bool = True
    kind: str = "application/octet-stream"
    to: str | None = None
    stall: bool = False


@dataclass
class Web:
    """A running server: its pages by path, and what was asked of it, as `path` or `path range`."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def __getitem__(self, path: str) -> str:
        return f"{self.address}/{path}"


@contextmanager
def serving() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            web.asked.append(" ".join(filter(None, (self.path.lstrip("/"), wanted))))
            page = web.pages.get(self.path.lstrip("/"))
            if page is None:
                self.send_error(404)
            elif page.to:
                self.send_response(302)
                self.send_header("Location", page.to)
                self.end_headers()
            else:
                self.answer(page, wanted)

        def answer(self, page: Page, wanted: str | None) -> None:
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and page.ranges else 0
            if start and start >= len(page.content):
                self.send_error(416)
                return
            body = page.content[start:]
            self.send_response(206 if start else page.status)
            self.send_header("Content-Type", page.kind)
            if start:
                last = len(page.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(page.content)}")
            if page.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if page.stall:
                web.closed.wait()
            elif page.cut is not None and page.cuts > 0:
                page.cuts -= 1
                self.wfile.write(body[: page.cut])
            else:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that gives up
    web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        web.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()
