"""The shop's worker process: takes orders out of the queue `orders`, one at a time."""

import json
import signal
import time

from log import log
from queue_client import Queue, Refused, Unreachable

RESERVE_TIMEOUT_S = 1  # also the longest time until a stop is noticed
RETRY_AFTER_S = 0.5

stopping = False


def stop(_signal, _frame):
    global stopping
    stopping = True


def work(queue, job):
    traceparent = queue.trace_of(job)
    try:
        order = json.loads(job.body)
        number, item = order["order"], order["item"]
    except (ValueError, KeyError, TypeError) as error:
        log("not an order", level="error", traceparent=traceparent, job=job.id, reason=repr(error))
        queue.bury(job)
        return
    log("order done", traceparent=traceparent, order=number, item=item, job=job.id)
    # Deleted only after the work: whoever crashes in between leaves the job to be worked again, not forgotten.
    if not queue.delete(job):
        log("too slow, somebody else has the job", level="warning", traceparent=traceparent, job=job.id)


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    queue = Queue("orders")
    log("waiting for orders")
    while not stopping:
        try:
            job = queue.reserve(RESERVE_TIMEOUT_S)
            if job:
                work(queue, job)
        except (Refused, Unreachable) as error:
            log("no queue", level="warning", reason=str(error))
            time.sleep(RETRY_AFTER_S)
    queue.close()
    log("stopped")


if __name__ == "__main__":
    main()
