// Calls all that Pusher's library for Node has, and prints one line of JSON for each: its name and the answer, or the status of the refusal.
const Pusher = require("pusher")

const { HOST, PORT, APP_ID, KEY, SECRET, MASTER_KEY } = process.env
const options = { appId: APP_ID, key: KEY, secret: SECRET, host: HOST, port: PORT, useTLS: false, encryptionMasterKeyBase64: MASTER_KEY }
const pusher = new Pusher(options)
const stranger = new Pusher({ ...options, secret: "x" })
const data = { hello: "wörld" }

const calls = {
  trigger: () => pusher.trigger("azAZ09_-=@,.;", "e", data),
  "trigger on two": () => pusher.trigger(["news", "presence-room"], "e", data, { socket_id: "1.2", info: "user_count,subscription_count" }),
  "trigger encrypted": () => pusher.trigger("private-encrypted-x", "e", data),
  triggerBatch: () =>
    pusher.triggerBatch([
      { channel: "news", name: "e", data, socket_id: "1.2" },
      { channel: "presence-room", name: "e", data, info: "user_count" },
    ]),
  sendToUser: () => pusher.sendToUser("u 1/é", "e", data),
  terminateUserConnections: () => pusher.terminateUserConnections("u 1;é"),
  channels: () => pusher.get({ path: "/channels", params: { filter_by_prefix: "presence-", info: "user_count,subscription_count" } }),
  channel: () => pusher.get({ path: "/channels/cache-price", params: { info: "cache" } }),
  users: () => pusher.get({ path: "/channels/presence-room/users" }),
  "long data": () => pusher.trigger("news", "e", "x".repeat(10241)),
  "another secret": () => stranger.trigger("news", "e", data),
}

async function run() {
  for (const [name, call] of Object.entries(calls)) {
    let answer
    try {
      answer = await (await call()).json()
    } catch (err) {
      answer = err.status || String(err)
    }
    console.log(JSON.stringify({ name, answer }))
  }
}

run()
