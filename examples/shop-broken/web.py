"""A web process that listens, answers, and is not well: its health check says 500 and its log says why."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500, "no price list")

    def log_message(self, text, *values):
        pass


print("error: cannot read prices.csv: no such file", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
