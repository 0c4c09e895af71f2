import { Realtime } from "@toolboxai/realtime";

const { TOOLBOXAI_URL = "http://127.0.0.1:8009", TOOLBOXAI_TOKEN = "", PUSHER_KEY = "", PUSHER_HOST = "127.0.0.1", PUSHER_PORT = "8009" } = process.env;

const realtime = new Realtime({
  baseUrl: TOOLBOXAI_URL,
  token: () => TOOLBOXAI_TOKEN, // ({ refresh }) says when it was refused
  pusher: { key: PUSHER_KEY, host: PUSHER_HOST, port: Number(PUSHER_PORT), tls: false },
});

let shown = "";
const task = realtime.task(process.argv[2] ?? "", {
  onState: (state) => console.error(`[${state}]`),
  onError: (error) => console.error(`[${error.code}] ${error.message}`),
  onProgress: (p) => console.error(`${p.progress ?? 0} %`),
  onText: (text, { offset }) => (shown = shown.slice(0, offset).padEnd(offset, "…") + text),
  onEvent: (e) => console.log(e.seq, e.name, e.message ?? ""),
});

for await (const e of task) if (e.name === "task.completed") console.log(e.data?.["result"]);
console.error(`${shown.length} units of text were streamed`);
realtime.close();
