"""A small beanstalkd client: what the shop needs of the protocol, and Forebay's `auth`, `trace` and `job-trace`.

Any other beanstalkd client works as well; this one is here so that the shop needs nothing but Python.
"""

import os
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

CONNECT_TIMEOUT_S = 1.0
REPLY_TIMEOUT_S = 5.0
LINE_BYTES_MAX = 1024

PRIORITY = 0
DELAY_S = 0
TIME_TO_RUN_S = 30


class Refused(Exception):
    """The queue answered, and the answer was no: it is full, draining, or does not know us."""


class Unreachable(Exception):
    """The queue did not answer."""


class Job(NamedTuple):
    id: int
    body: bytes


class Queue:
    """One connection to one tube. It connects when first used, and again after it was lost. Not for two threads."""

    def __init__(self, tube, url=None):
        url = urlsplit(url or os.environ["FOREBAY_QUEUE_URL"])  # beanstalkd://TOKEN@HOST:PORT
        self.tube, self.token = tube, url.username
        self.address = (url.hostname, url.port)
        self.stream = None

    def put(self, body, traceparent=None):
        """Returns the job's id once the job is on disk."""
        was_open = self.stream is not None
        try:
            return self._put(body, traceparent)
        except Unreachable:
            if not was_open:
                raise
        # The old connection was dead, perhaps only since the job got through. Workers can live with a second copy,
        # nobody can live with an order that was lost.
        return self._put(body, traceparent)

    def reserve(self, timeout_s):
        """Returns the next job, or None when there was none for that long."""
        reply = self._ask(f"reserve-with-timeout {timeout_s}", patience_s=timeout_s)
        if reply in (["TIMED_OUT"], ["DEADLINE_SOON"]):
            return None
        _, job_id, size = self._expect("RESERVED", reply)
        return Job(int(job_id), self._read_body(int(size)))

    def trace_of(self, job):
        """Returns the traceparent that the job was put with, or None."""
        reply = self._ask(f"job-trace {job.id}")
        return reply[1] if reply[0] == "TRACE" and len(reply) == 2 else None

    def delete(self, job):
        """Says that the job is done. False when it was given to somebody else meanwhile."""
        return self._ask(f"delete {job.id}") == ["DELETED"]

    def bury(self, job):
        """Puts a job aside that nobody can work, for a person to look at."""
        self._expect("BURIED", self._ask(f"bury {job.id} {PRIORITY}"))

    def close(self):
        if self.stream:
            self.stream.close()
            self.stream = None

    def _put(self, body, traceparent):
        if traceparent:
            self._expect("TRACING", self._ask(f"trace {traceparent}"))
        command = f"put {PRIORITY} {DELAY_S} {TIME_TO_RUN_S} {len(body)}"
        return int(self._expect("INSERTED", self._ask(command, body))[1])

    def _connect(self):
        connection = socket.create_connection(self.address, CONNECT_TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.stream = connection, connection.makefile("rwb")
        connection.close()  # the stream keeps it open, and closes it
        if self.token:
            self._expect("AUTHORIZED", self._ask(f"auth {self.token}"))
        self._expect("USING", self._ask(f"use {self.tube}"))
        self._expect("WATCHING", self._ask(f"watch {self.tube}"))
        self._expect("WATCHING", self._ask("ignore default"))

    def _ask(self, command, body=None, patience_s=0):
        """Sends a command and returns the words of the reply's first line."""
        try:
            if self.stream is None:
                self._connect()
            self.connection.settimeout(REPLY_TIMEOUT_S + patience_s)
            self.stream.write(command.encode() + b"\r\n" + (b"" if body is None else body + b"\r\n"))
            self.stream.flush()
            line = self.stream.readline(LINE_BYTES_MAX)
            if not line.endswith(b"\r\n"):
                raise ConnectionError("the connection was closed")
            return line.decode().split()
        except OSError as error:
            self._lost()
            raise Unreachable(f"{self.address[0]}:{self.address[1]}: {error}") from error

    def _read_body(self, size):
        try:
            data = self.stream.read(size + 2)
        except OSError as error:
            self._lost()
            raise Unreachable(str(error)) from error
        if len(data) != size + 2:
            self._lost()
            raise Unreachable("the connection was closed inside a job")
        return data[:size]

    def _expect(self, word, reply):
        if reply[0] != word:
            self._lost()  # whatever state the connection is in, a new one is in none
            raise Refused(" ".join(reply))
        return reply

    def _lost(self):
        try:
            self.close()
        except OSError:
            self.stream = None  # closing flushes, and what is left goes nowhere
