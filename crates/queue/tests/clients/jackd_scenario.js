// What a JavaScript program does with jackd, unchanged, against the queue at HOST PORT.
const assert = require("node:assert");
const Jackd = require("jackd");

const [host, port] = [process.argv[2], Number(process.argv[3])];

async function connect() {
  const client = new Jackd();
  await client.connect({ host, port });
  return client;
}

async function jobsGoThroughTheirStates() {
  const client = await connect();
  await client.use("jackd");
  await client.watch("jackd");
  await client.ignore("default");
  const id = await client.put("body\r\nwith lines", { priority: 3, ttr: 30 });
  const job = await client.reserve();
  assert.deepStrictEqual([String(job.id), String(job.payload)], [String(id), "body\r\nwith lines"]);
  await client.touch(id);
  await client.bury(id, 4);
  assert.equal((await client.peekBuried()).id, id);
  await client.kickJob(id);
  await client.reserveWithTimeout(1);
  await client.release(id, { priority: 0, delay: 3600 });
  assert.equal((await client.peekDelayed()).id, id);
  await client.delete(id);
  await assert.rejects(client.peek(id), /NOT_FOUND/);
  await client.disconnect();
}

async function jobsAreSharedByWorkers() {
  const producer = await connect();
  await producer.use("shared-js");
  const done = [];
  const work = async () => {
    const worker = await connect();
    await worker.watch("shared-js");
    while (done.length < 50) {
      const job = await worker.reserveWithTimeout(1).catch(() => null);
      if (job) {
        done.push(Number(job.payload));
        await worker.delete(job.id);
      }
    }
    await worker.disconnect();
  };
  const workers = [work(), work(), work()];
  for (let number = 0; number < 50; number++) await producer.put(String(number));
  await Promise.all(workers);
  assert.deepStrictEqual(done.sort((a, b) => a - b), [...Array(50).keys()]);
  await producer.disconnect();
}

async function run() {
  for (const scenario of [jobsGoThroughTheirStates, jobsAreSharedByWorkers]) {
    await scenario();
    console.log(scenario.name);
  }
}

run().catch((error) => {
  console.error(error);
  process.exit(1);
});
