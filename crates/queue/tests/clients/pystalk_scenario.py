"""What a Python program does with pystalk, unchanged, against the queue at HOST PORT."""

import sys

import pystalk

host, port = sys.argv[1], int(sys.argv[2])


def connect():
    return pystalk.BeanstalkClient(host, port, auto_decode=True)


def jobs_go_through_their_states():
    client = connect()
    client.watch("pystalk")
    assert set(client.watchlist) == {"pystalk"}, client.watchlist
    client.put_job_into("pystalk", "one", pri=5)
    job = client.reserve_job(timeout=5)
    number = job.job_id
    assert job.job_data == "one", job
    client.release_job(number, pri=7)
    assert client.stats_job(number)["pri"] == 7
    job = client.reserve_job(timeout=5)
    client.bury_job(job.job_id)
    with client.using("pystalk") as inserter:
        inserter.put_job("two", delay=3600)
        assert next(client.peek_buried_iter()).job_id == number
        assert client.peek_delayed().job_data == "two"
        client.kick_jobs(10)
    assert [job.job_id for job in client.reserve_iter()] == [number]
    client.delete_job(number)
    client.close()


def errors_have_their_names():
    client = connect()
    for act in (lambda: client.delete_job(10**9), lambda: client.stats_tube("nowhere")):
        try:
            act()
        except pystalk.BeanstalkError as error:
            assert error.message == "NOT_FOUND", error
        else:
            raise AssertionError("no error")
    try:
        client.reserve_job(timeout=0)
    except pystalk.BeanstalkError as error:
        assert error.message == "TIMED_OUT", error
    client.close()


def statistics_are_yaml():
    client = connect()
    assert "default" in client.list_tubes()
    assert client.stats()["current-connections"] >= 1
    client.pause_tube("default", delay=60)
    assert client.stats_tube("default")["pause"] == 60
    client.unpause_tube("default")
    client.close()


for scenario in (jobs_go_through_their_states, errors_have_their_names, statistics_are_yaml):
    scenario()
    print(scenario.__name__)
