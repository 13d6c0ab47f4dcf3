// What a JavaScript program does with fivebeans, unchanged, against the queue at HOST PORT.
const assert = require("node:assert");
const fivebeans = require("fivebeans");

const client = new fivebeans.client(process.argv[2], Number(process.argv[3]));

// Its methods take a callback with an error first.
const ask = (method, ...args) =>
  new Promise((resolve, reject) => {
    client[method](...args, (error, ...answers) => (error ? reject(new Error(String(error))) : resolve(answers)));
  });

async function jobsGoThroughTheirStates() {
  await ask("use", "fivebeans");
  await ask("watch", "fivebeans");
  const [id] = await ask("put", 5, 0, 60, "body");
  const [reserved, body] = await ask("reserve");
  assert.deepStrictEqual([Number(reserved), String(body)], [Number(id), "body"]);
  await ask("bury", id, 5);
  assert.strictEqual(Number((await ask("peek_buried"))[0]), Number(id));
  await ask("kick", 10);
  await ask("reserve_with_timeout", 1);
  await ask("release", id, 5, 3600);
  assert.strictEqual((await ask("stats_job", id))[0].state, "delayed");
  await ask("destroy", id);
  await assert.rejects(ask("peek", id), /NOT_FOUND/);
}

async function statisticsAreRead() {
  const [stats] = await ask("stats");
  assert.ok(stats["current-connections"] >= 1, JSON.stringify(stats));
  const [tubes] = await ask("list_tubes");
  assert.ok(tubes.includes("default"), JSON.stringify(tubes));
}

client
  .on("connect", async () => {
    try {
      for (const scenario of [jobsGoThroughTheirStates, statisticsAreRead]) {
        await scenario();
        console.log(scenario.name);
      }
      process.exit(0);
    } catch (error) {
      console.error(error);
      process.exit(1);
    }
  })
  .connect();
