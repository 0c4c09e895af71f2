// Package realtime follows the tasks of ToolboxAI: every event once, in the order of the log, whatever happens to the connection. README.md says how.

export type { ChannelAuth, TokenRequest } from "./api.js";
export { orgChannel, taskChannel, userChannel } from "./channel.js";
export { type ErrorCode, RealtimeError } from "./errors.js";
export type { EventName, Progress, RealtimeEvent, TaskState, TextPlace } from "./event.js";
export type { Logger, Order, RealtimeOptions, SubscribeOptions, Subscription, SubscriptionState } from "./options.js";
export type { Authorize, PusherChannelLike, PusherFactory, PusherLike, PusherServer } from "./pusher.js";
export { Realtime } from "./realtime.js";
