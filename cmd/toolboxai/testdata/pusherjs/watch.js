// Follows what a server of channels tells with Pusher's own client, and prints one JSON object a line: see channels_test.go.
const Pusher = require("pusher-js/node");

const { HOST, PORT, KEY, API, CHANNELS, UNTIL } = process.env;
const say = (what) => console.log(JSON.stringify(what));

const pusher = new Pusher(KEY, {
  cluster: "",
  wsHost: HOST,
  wsPort: Number(PORT),
  forceTLS: false,
  enabledTransports: ["ws"],
  disableStats: true,
  channelAuthorization: { endpoint: `${API}/pusher/auth`, transport: "ajax" },
  userAuthentication: { endpoint: `${API}/pusher/user-auth`, transport: "ajax" },
});

pusher.connection.bind("error", (error) => say({ error: JSON.stringify(error) }));
pusher.signin();
pusher.user.signinDonePromise.then(() => say({ user: pusher.user.user_data?.id }));

let waiting = CHANNELS.split(" ").length;
for (const name of CHANNELS.split(" ")) {
  const channel = pusher.subscribe(name);
  channel.bind("pusher:subscription_succeeded", (members) => {
    say({ subscribed: name, members: members?.members });
    if (--waiting === 0) say({ ready: true });
  });
  channel.bind("pusher:subscription_error", (error) => say({ refused: name, error: JSON.stringify(error) }));
  channel.bind_global((event, data) => {
    if (event.startsWith("pusher:")) return;
    say({ channel: name, event, data });
    if (event === UNTIL) {
      pusher.disconnect();
      setTimeout(() => process.exit(0), 50);
    }
  });
}
setTimeout(() => process.exit(3), 60000).unref();
