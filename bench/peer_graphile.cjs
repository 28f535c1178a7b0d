// A graphile-worker process for bench/graphile.py: it works until no job has come for a second, and prints as JSON
// its number of jobs and the times of the first and the last one. Settings as in graphile-worker's own benchmark.
const { run } = require("graphile-worker");

const IDLE_SECONDS = 1;
let count = 0, first = 0, last = Date.now() / 1000;

async function main() {
  const runner = await run({
    taskList: {
      echo: async () => {
        last = Date.now() / 1000;
        first = first || last;
        count += 1;
      },
    },
    noHandleSignals: true,
    crontab: "",
    preset: {
      worker: {
        connectionString: process.env.BENCH_DSN,
        concurrentJobs: 24,
        maxPoolSize: 10,
        pollInterval: 200,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger: new (require("graphile-worker").Logger)(() => () => {}),
      },
    },
  });
  const timer = setInterval(async () => {
    if (count > 0 && Date.now() / 1000 - last > IDLE_SECONDS) {
      clearInterval(timer);
      await runner.stop();
      process.stdout.write(JSON.stringify([count, first, last]));
    }
  }, 100);
}

main();
