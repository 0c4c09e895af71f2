package api

import (
	"strings"

	"github.com/coder/websocket"
	json "github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Types of messages. A client subscribes, unsubscribes and pings; subscribed, unsubscribed and pong confirm it.
const (
	typeSubscribe    = "subscribe"
	typeUnsubscribe  = "unsubscribe"
	typePing         = "ping"
	typeSubscribed   = "subscribed"
	typeUnsubscribed = "unsubscribed"
	typePong         = "pong"
	typeEvent        = "event"
	typeError        = "error"
)

// socketTarget is what a subscription is to: one task, or a scope. "user" is the caller's own tasks, "org" all of the tenant's; both only of
// the socket's kinds.
type socketTarget struct {
	TaskID string `json:"task_id,omitzero"`
	Scope  string `json:"scope,omitzero"`
}

// socketRequest is a message of a client's: one JSON object of at most socketMessage bytes in a text frame.
//
//	{"type":"subscribe","task_id":"…"}              what happens to a task from now on
//	{"type":"subscribe","scope":"user","after":41}  the same of many, beginning behind a place in the log; also with task_id
//	{"type":"unsubscribe","task_id":"…"}
//	{"type":"ping"}
type socketRequest struct {
	Type string `json:"type"`
	socketTarget
	After *uint64 `json:"after,omitzero"`
}

// socketAnswer is a message of the server's.
//
//	{"type":"subscribed","scope":"user","seq":41}               the place in the log behind which it begins
//	{"type":"unsubscribed","scope":"user"}                      nothing follows any more
//	{"type":"event","scope":"user","event":{…}}                 as in GET /tasks/{id}/events; seq is 0 for progress
//	{"type":"error","code":"invalid","message":"…","scope":…}   with a target: that subscription is not there, or no longer
//	{"type":"pong"}
type socketAnswer struct {
	Type string `json:"type"`
	socketTarget
	Seq     *uint64 `json:"seq,omitzero"`
	Event   *Event  `json:"event,omitzero"`
	Code    string  `json:"code,omitzero"`
	Message string  `json:"message,omitzero"`
}

// parseSocketRequest returns what a client's text says, or an Invalid fault.
func parseSocketRequest(text []byte) (socketRequest, error) {
	var m socketRequest
	if err := json.Unmarshal(text, &m, json.RejectUnknownMembers(true)); err != nil {
		return m, fault.New(fault.Invalid, "the message is not one JSON object with type, task_id or scope, and after")
	}
	switch {
	case m.Type == typePing:
		if m.socketTarget != (socketTarget{}) || m.After != nil {
			return m, fault.InvalidField("type", "ping stands alone")
		}
		return m, nil
	case m.Type != typeSubscribe && m.Type != typeUnsubscribe:
		return m, fault.InvalidField("type", "must be subscribe, unsubscribe or ping")
	case (m.TaskID == "") == (m.Scope == ""):
		return m, fault.InvalidField("task_id", "or scope must be given, and not both")
	case m.Scope != "" && m.Scope != scopeUser && m.Scope != scopeOrg:
		return m, fault.InvalidField("scope", "must be user or org")
	case m.TaskID != "" && (len(m.TaskID) != 36 || m.TaskID != strings.ToLower(m.TaskID) || uuid.Validate(m.TaskID) != nil):
		return m, fault.InvalidField("task_id", "is no task's id")
	case m.After != nil && (m.Type == typeUnsubscribe || *m.After > maxPlace):
		return m, fault.InvalidField("after", "is for subscribe, and at most %d", uint64(maxPlace))
	}
	return m, nil
}

// maxPlace is the highest sequence that a client may name: what JSON's readers hold exactly.
const maxPlace = 1<<53 - 1

// errorAnswer says what is wrong. Details go into the words: these messages have no place for them.
func errorAnswer(target socketTarget, err error) socketAnswer {
	f := failureOf(err)
	words := f.message
	for _, d := range f.problem.Details {
		words += "; " + d.Field + " " + d.Reason
	}
	return socketAnswer{Type: typeError, socketTarget: target, Code: f.problem.Code, Message: words}
}

// ending is why a connection ends: as a fault, which the client is told, and as a close code. It says nothing where err is nil.
type ending struct {
	code websocket.StatusCode
	err  error
}

// Error implements error.
func (e *ending) Error() string {
	if e.err == nil {
		return "the connection is gone"
	}
	return e.err.Error()
}

func ended(code websocket.StatusCode, kind fault.Kind, why string) *ending {
	return &ending{code, fault.New(kind, "%s", why)}
}
