"""The shop's web process: a page with the products, and orders that go into the queue `orders`."""

import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from log import log
from queue_client import Queue, Refused, Unreachable

PRICES_IN_CENTS = {"tea": 450, "coffee": 620, "cup": 900}
BODY_BYTES_MAX = 64 * 1024
DELAY_MS_MAX = 10_000
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}

PAGE = """<!doctype html>
<title>The shop</title>
<h1>The shop</h1>
<ul>
{products}
</ul>
<p id="answer">Answered by {instance} of release {release}.</p>
<script>
async function order(item) {{
  const reply = await fetch("/orders", {{ method: "POST", body: JSON.stringify({{ item }}) }});
  document.getElementById("answer").textContent = reply.status + " " + await reply.text();
}}
</script>
"""
PRODUCT = """  <li>{item}: {price:.2f} <button onclick="order('{item}')">order</button>"""


class Handler(BaseHTTPRequestHandler):
    """One client connection, which is one thread; HTTP/1.1 with as many requests on it as the client likes."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together, in one packet where they fit
    timeout = 75  # longer than any router keeps an idle connection, so that it is never we who close a fresh request

    def do_GET(self):
        url = urlsplit(self.path)
        delay(url.query)
        if url.path == "/":
            self.reply(200, product_page(), "text/html; charset=utf-8")
        elif url.path == "/health":
            self.reply_json(200, {"status": "ok"})
        else:
            self.reply_json(404, {"error": f"there is nothing at {url.path}"})

    do_HEAD = do_GET

    def do_POST(self):
        url = urlsplit(self.path)
        body = self.read_body()
        if body is None:
            return
        delay(url.query)
        if url.path != "/orders":
            return self.reply_json(404, {"error": f"nothing takes a POST at {url.path}"})
        try:
            item = json.loads(body)["item"]
            price = PRICES_IN_CENTS[item]
        except (ValueError, KeyError, TypeError):
            items = ", ".join(PRICES_IN_CENTS)
            return self.reply_json(422, {"error": f"expected a JSON object with an item of {items}"})
        self.place_order(item, price)

    def place_order(self, item, price):
        order = secrets.token_hex(8)
        job = json.dumps({"order": order, "item": item, "price_in_cents": price}).encode()
        try:
            self.server.orders().put(job, self.traceparent())
        except (Refused, Unreachable) as error:
            log("order refused", level="error", traceparent=self.traceparent(), order=order, reason=str(error))
            return self.reply_json(503, {"error": "the shop cannot take orders just now"}, {"Retry-After": "5"})
        # Only now is the order safe: the queue's answer means that it is on disk.
        log("order taken", traceparent=self.traceparent(), order=order, item=item)
        self.reply_json(202, {"order": order})

    def read_body(self):
        """Returns the request's body, or None after it has refused it and given the connection up."""
        if "Transfer-Encoding" in self.headers:
            return self.refuse(411, "send a Content-Length")
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            return self.refuse(400, "the Content-Length is not a number")
        if not 0 <= length <= BODY_BYTES_MAX:
            return self.refuse(413, f"the body may have {BODY_BYTES_MAX} bytes")
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return None
        return body

    def refuse(self, status, why):
        self.close_connection = True  # its body is still on the way, and would be read as the next request
        self.reply_json(status, {"error": why})

    def reply_json(self, status, value, headers=None):
        self.reply(status, json.dumps(value) + "\n", "application/json", headers)

    def reply(self, status, text, content_type, headers=None):
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection or self.server.draining:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def traceparent(self):
        return self.headers.get("traceparent")

    def handle_one_request(self):
        self.server.idle.add(self.connection)
        if self.server.draining:
            self.close_connection = True
            return
        super().handle_one_request()

    def parse_request(self):
        self.server.idle.discard(self.connection)  # the first line of a request is here
        return super().parse_request()

    def finish(self):
        self.server.idle.discard(self.connection)
        super().finish()

    def log_request(self, code="-", size="-"):
        if self.path != "/health":
            log(f"{self.command} {self.path}", traceparent=self.traceparent(), status=int(code))

    def log_message(self, text, *values):
        log(text % values, level="warning")


class Server(ThreadingHTTPServer):
    """Serves until it is told to drain: then what has begun is finished, and nothing new begins."""

    daemon_threads = False  # `server_close` waits for them
    request_queue_size = 128

    def __init__(self, address):
        super().__init__(address, Handler)
        self.draining = False
        self.idle = set()  # connections on which no request is being read or answered
        self.of_thread = threading.local()

    def orders(self):
        """The thread's own connection to the queue; it is closed when the thread ends."""
        if not hasattr(self.of_thread, "orders"):
            self.of_thread.orders = Queue("orders")
        return self.of_thread.orders

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):  # a client that went away is no error of ours
            log("request failed", level="error", reason=repr(error), traceback=traceback.format_exc())

    def drain(self):
        self.draining = True
        self.shutdown()
        for connection in list(self.idle):
            try:
                connection.shutdown(socket.SHUT_RD)  # it reads what has already come, then the end
            except OSError:
                pass  # the client was faster
        self.server_close()


def product_page():
    products = "\n".join(PRODUCT.format(item=item, price=cents / 100) for item, cents in PRICES_IN_CENTS.items())
    instance = os.environ.get("FOREBAY_INSTANCE", "an instance")
    return PAGE.format(products=products, instance=instance, release=os.environ.get("FOREBAY_RELEASE", "?"))


def delay(query):
    """`?delay_ms=200` makes the shop slow on purpose, to watch what a deploy or a crash does to requests in flight."""
    wanted = parse_qs(query).get("delay_ms", ["0"])[0]
    if wanted.isdecimal():
        time.sleep(min(int(wanted), DELAY_MS_MAX) / 1000)


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # here and in every thread: only `sigwait` gets them
    server = Server(("127.0.0.1", int(os.environ["PORT"])))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}).start()
    log("listening", port=server.server_port)
    stop_signal = signal.sigwait(STOP_SIGNALS)
    log("draining", signal=signal.Signals(stop_signal).name)
    server.drain()
    log("stopped")


if __name__ == "__main__":
    main()
