// Package httpapi is the HTTP API that application servers call to trigger events and to ask who is subscribed: the server side of the
// Pusher Channels HTTP API, so that the server libraries of Pusher work unchanged against another host.
//
//	POST /apps/{id}/events                                  trigger one event on 1 to 100 channels
//	POST /apps/{id}/batch_events                            trigger 1 to 10 events, all or none
//	GET  /apps/{id}/channels                                occupied channels; filter_by_prefix, info
//	GET  /apps/{id}/channels/{name}                         one channel; info
//	GET  /apps/{id}/channels/{name}/users                   users of a presence channel
//	POST /apps/{id}/users/{user_id}/terminate_connections   close a user's connections
//
// # Authentication
//
// Every request is authenticated before anything else is looked at, also one for a path that does not exist. The query holds auth_key,
// auth_timestamp (seconds, at most 600 from now, both ways), auth_version=1.0, body_md5 where there is a body, and auth_signature: the
// hex HMAC-SHA256, under the app's secret, of
//
//	METHOD \n PATH \n QUERY
//
// where QUERY is all parameters but auth_signature, sorted by name, names in lower case, joined with = and & and not escaped. What is not
// escaped can be read in two ways, so whatever would make two requests sign the same string is refused: a parameter that stands twice, an &
// in a value, control characters. Libraries differ in whether they sign the path as they wrote it or as it was sent; both are taken, as long
// as they mean the same. The signature is checked before the body is read. Names that nobody knows are signed like all others and ignored.
//
// The path is signed as it was sent: the Handler is mounted without a prefix, under /apps/.
//
// An exact copy of a request is accepted again within the 600 s, as the protocol has no nonce: triggering is at least once.
//
// # Answers
//
// Answers are JSON, refusals text/plain. 400 says which field is wrong, 401 which part of the authentication, 404 and 405 that there is no
// such resource, 413 that an event or a body is too large, 414 a query. 429 and 503 come with Retry-After.
//
// README.md says which test stands for which rule.
package httpapi
