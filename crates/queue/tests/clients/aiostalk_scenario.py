"""What a Python program does with aiostalk, unchanged, against the queue at HOST PORT."""

import asyncio
import sys

import aiostalk

address = (sys.argv[1], int(sys.argv[2]))


async def a_hundred_jobs_are_shared_by_five_workers():
    done = []

    async def work():
        async with aiostalk.Client(address, watch=["shared"]) as client:
            while len(done) < 100:
                try:
                    job = await client.reserve(timeout=1)
                except aiostalk.TimedOutError:
                    continue
                done.append(int(job.body))
                await client.delete(job)

    async def put():
        async with aiostalk.Client(address, use="shared") as client:
            for number in range(100):
                await client.put(str(number))

    await asyncio.gather(put(), *(work() for _ in range(5)))
    assert sorted(done) == list(range(100)), done


async def a_job_goes_through_its_states():
    async with aiostalk.Client(address, use="aio", watch="aio") as client:
        number = await client.put("body", ttr=30)
        job = await client.reserve(timeout=1)
        await client.touch(job)
        await client.bury(job)
        assert (await client.stats_job(number))["state"] == "buried"
        assert await client.kick(5) == 1
        job = await client.reserve_job(number)
        await client.release(job, delay=3600)
        assert (await client.peek_delayed()).id == number
        await client.delete(number)
        try:
            await client.peek(number)
        except aiostalk.NotFoundError:
            pass
        else:
            raise AssertionError("it is still there")


for scenario in (a_hundred_jobs_are_shared_by_five_workers, a_job_goes_through_its_states):
    asyncio.run(scenario())
    print(scenario.__name__)
