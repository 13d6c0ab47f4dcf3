"""One JSON object per line on standard output; Forebay turns its keys into fields and finds it by its trace."""

import json
import sys
from datetime import datetime, timezone


def log(message, level="info", traceparent=None, **fields):
    record = {"time": datetime.now(timezone.utc).isoformat(), "level": level, "message": message}
    if traceparent:
        _version, record["trace_id"], record["span_id"], _flags = traceparent.split("-")[:4]
    record.update(fields)
    # One write, so that the lines of two threads never mix.
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()
