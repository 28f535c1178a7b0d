// BullMQ for bench/bullmq.py. `worker`: a process that works until it is ended. `client`: it adds jobs at a rate, waits
// for the outcome of each, and prints their milliseconds as a JSON array.
const { Queue, QueueEvents, Worker } = require("bullmq");

const [role, port, rate, seconds, warmSeconds] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };

async function work() {
  const worker = new Worker("bench", async (job) => job.data, { connection });
  await worker.waitUntilReady();
  console.log("waits for jobs");
}

async function ask() {
  const queue = new Queue("bench", { connection });
  const events = new QueueEvents("bench", { connection });
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
  const once = async () => {
    const start = process.hrtime.bigint();
    const job = await queue.add("echo", { a: 1 });
    await job.waitUntilFinished(events, 20000);
    return Number(process.hrtime.bigint() - start) / 1e6;
  };
  await atRate(once, Number(warmSeconds));
  console.log(JSON.stringify(await atRate(once, Number(seconds))));
  await Promise.all([queue.close(), events.close()]);
}

// Jobs start on time, whether earlier ones have ended or not.
async function atRate(once, seconds) {
  const started = [];
  const begin = performance.now();
  for (let number = 0; number < rate * seconds; number += 1) {
    const wait = begin + (number / rate) * 1000 - performance.now();
    await new Promise((resume) => setTimeout(resume, Math.max(0, wait)));
    started.push(once());
  }
  return Promise.all(started);
}

(role === "worker" ? work() : ask()).catch((error) => {
  console.error(error);
  process.exit(1);
});
