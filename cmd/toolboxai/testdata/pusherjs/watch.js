// Follows what a server of channels tells with Pusher's own client, and prints one JSON object a line: see channels_kit_test.go.
// Without TOKEN it is what an API with SKIP_AUTH takes. It ends when each channel has told UNTIL, and
// with its input.
const Pusher = require("pusher-js/node");

const { HOST, PORT, KEY, API, TOKEN, CHANNELS, UNTIL } = process.env;
const say = (what) => console.log(JSON.stringify(what));
const headers = TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {};

const pusher = new Pusher(KEY, {
  cluster: "",
  wsHost: HOST,
  wsPort: Number(PORT),
  forceTLS: false,
  enabledTransports: ["ws"],
  disableStats: true,
  channelAuthorization: { endpoint: `${API}/pusher/auth`, transport: "ajax", headers },
  userAuthentication: { endpoint: `${API}/pusher/user-auth`, transport: "ajax", headers },
});

pusher.connection.bind("connected", () => say({ socket: pusher.connection.socket_id }));
pusher.connection.bind("error", (error) => say({ error: JSON.stringify(error) }));
pusher.signin();
pusher.user.signinDonePromise.then(() => say({ user: pusher.user.user_data?.id }));

const names = CHANNELS.split(" ");
const waiting = new Set(names);
const unfinished = new Set(names);
const ours = (event) => event.startsWith("pusher:") && !event.startsWith("pusher:member_");
for (const name of names) {
  const channel = pusher.subscribe(name);
  channel.bind("pusher:subscription_succeeded", (members) => {
    say({ subscribed: name, members: members?.members });
    waiting.delete(name);
    if (waiting.size === 0) say({ ready: true });
  });
  channel.bind("pusher:subscription_error", (error) => say({ refused: name, error: JSON.stringify(error) }));
  channel.bind_global((event, data) => {
    if (ours(event)) return;
    say({ channel: name, event, data });
    if (event !== UNTIL) return;
    unfinished.delete(name);
    if (unfinished.size > 0) return;
    pusher.disconnect();
    setTimeout(() => process.exit(0), 50);
  });
}
process.stdin.resume().on("end", () => process.exit(0));
