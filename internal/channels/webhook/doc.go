// Package webhook tells other servers what happens on the channels, with the webhooks of the Pusher Channels protocol: a Sender posts them,
// Verify reads them at the other end.
//
// A webhook is a POST with a JSON body
//
//	{"time_ms": 1327078148132, "events": [{"name": "member_added", "channel": "presence-room", "user_id": "u1"}, …]}
//
// the headers X-Pusher-Key, which names the app, and X-Pusher-Signature, the hex HMAC-SHA256 of the body under the app's secret. The events:
//
//	channel_occupied, channel_vacated   channel
//	member_added, member_removed        channel, user_id
//	client_event                        channel, event, data, socket_id, and user_id on presence channels
//	cache_miss                          channel
//	subscription_count                  channel, subscription_count
//
// What happens within a second is told together. channel_vacated and member_removed wait for 3 s; a channel_occupied or member_added of the
// same channel and user within that time takes both away, so that a page that is loaded again is no news. What is not held back, and what a
// hold lets go, is told to each URL in the order in which it happened.
//
// A webhook that is not answered with 2xx is sent again, after waits that grow up to a minute (full jitter), for 5 minutes from when it was
// made; those behind it wait. A URL that fails keeps its waits from one webhook to the next, and none of the others back. Delivery is at least
// once as long as a URL is not away for longer than that and the bounds on memory hold; what is given up is counted in Stats. Nothing is kept
// on disk: what a process has not sent when it dies is lost.
package webhook
