// Is READERS users of @toolboxai/realtime at once, each with a connection of their own. Lines of JSON on the standard input say what to follow; on
// "report" it prints the sequences that each reader was given, of each subscription. It lies in the folder of the package, which it is a test of.
import { createInterface } from "node:readline";

import { Core } from "./dist/core.js";

const { URL: baseUrl, HOST, PORT, KEY, READERS, SPLICE } = process.env;
const say = (what) => console.log(JSON.stringify(what));

const readers = Array.from({ length: Number(READERS) }, () => ({ given: {}, states: {}, core: undefined, token: "" }));

function follow({ reader, token, user, task }) {
  const r = readers[reader];
  r.token = token;
  r.core ??= new Core(
    { baseUrl, token: () => r.token, pusher: { key: KEY, host: HOST, port: Number(PORT), tls: false } },
    { tuning: { splice: SPLICE !== "off" } },
  );
  const name = task ?? user;
  const given = (r.given[name] = []);
  const options = {
    onEvent: (e) => void given.push(e.seq),
    onState: (s) => void (r.states[name] = s),
    onError: (e) => {
      if (!e.retryable) say({ failed: name, error: `${e.code} ${e.message}` });
    },
  };
  if (task) r.core.task(task, options);
  else r.core.user(user, options);
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.report) say({ report: readers.map((r) => ({ given: r.given, states: r.states })) });
  else follow(command);
}
process.exit(0);
