"""What a Python program does with greenstalk, unchanged, against the queue at HOST PORT."""

import sys

import greenstalk

address = (sys.argv[1], int(sys.argv[2]))


def jobs_are_worked_in_order_of_priority():
    with greenstalk.Client(address, use="emails", watch="emails") as client:
        later = client.put("later", priority=10)
        first = client.put("first", priority=1, ttr=30)
        job = client.reserve(timeout=5)
        assert (job.id, job.body) == (first, "first"), job
        client.touch(job)
        client.delete(job)
        job = client.reserve(timeout=5)
        assert job.id == later, job
        client.release(job, priority=3, delay=0)
        assert client.stats_job(later)["pri"] == 3
        job = client.reserve_job(later)
        client.bury(job, priority=4)
        assert client.peek_buried().id == later
        assert client.kick(10) == 1
        assert client.peek_ready().id == later
        client.delete(later)
        assert_raises(greenstalk.NotFoundError, client.peek, later)


def waiting_ends():
    with greenstalk.Client(address, watch=["nothing-here"]) as client:
        assert_raises(greenstalk.TimedOutError, client.reserve, timeout=0)
        with greenstalk.Client(address, use="nothing-here") as producer:
            producer.put("soon", ttr=1)
        job = client.reserve()
        assert_raises(greenstalk.DeadlineSoonError, client.reserve, timeout=5)
        client.delete(job)


def delays_and_kicks():
    with greenstalk.Client(address, use="delayed", watch="delayed") as client:
        job = client.put("d", delay=3600)
        assert client.peek_delayed().id == job
        client.kick_job(job)
        assert client.reserve(timeout=1).id == job
        client.delete(job)


def tubes_and_statistics():
    with greenstalk.Client(address, use="a", watch=["a", "b"]) as client:
        assert client.using() == "a"
        assert sorted(client.watching()) == ["a", "b"]
        assert client.watch("c") == 3
        assert client.ignore("c") == 2
        assert {"default", "a", "b"} <= set(client.tubes())
        client.put("x" * 1000)
        tube = client.stats_tube("a")
        assert tube["name"] == "a" and tube["current-jobs-ready"] == 1, tube
        stats = client.stats()
        assert stats["current-connections"] >= 1 and stats["version"], stats
        client.pause_tube("a", 3600)
        assert_raises(greenstalk.TimedOutError, client.reserve, timeout=0)
        client.pause_tube("a", 0)
        client.delete(client.reserve(timeout=5))


def errors_are_errors():
    with greenstalk.Client(address, encoding=None) as client:
        assert_raises(greenstalk.JobTooBigError, client.put, b"x" * 70000)
        assert_raises(greenstalk.NotIgnoredError, client.ignore, "default")
        assert_raises(greenstalk.NotFoundError, client.delete, 10**12)
        body = bytes(range(256))
        client.put(body)
        job = client.reserve(timeout=1)
        assert job.body == body
        client.delete(job)


def assert_raises(error, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{function.__name__} did not raise {error.__name__}")


for scenario in [
    jobs_are_worked_in_order_of_priority,
    waiting_ends,
    delays_and_kicks,
    tubes_and_statistics,
    errors_are_errors,
]:
    scenario()
    print("ok", scenario.__name__)
