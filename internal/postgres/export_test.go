package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Unguard removes the guard by sequence: the negative control of the tests on repetition.
func (db *DB) Unguard() { db.unguarded = true }

// Statements returns every statement of the package but those that a filter makes.
func Statements() []string {
	return slices.Concat(contextStatements(), privacyStatements(), factorStatements(), keyStatements(), callbackStatements(), schoolStatements(), accountStatements(), chatStatements(), []string{
		schemaVersion, setUp, lockPosition, loadStates, updateTasks + onlyNewer, requeueTask, insertResult, repeatFolded,
		repeatOther, movePosition, readPosition, getTask, listHistory, hasHistory, insertLedger, spentAll(), readBackfill,
		endBackfill, listBackfill, listCosts, fillFailures, listAuditRows, readAuditHead, readAuditAnchor, listAuditTenants, expiredAudit,
		readPlace, movePlace, insertAudit, listForks, allowPurge, moveAnchor, purgeAudit, insertAccess,
	})
}

// ListStatement returns the statement that List uses for f, and its arguments.
func ListStatement(f task.Filter) (string, []any, error) {
	q, err := listQuery(f)
	if err != nil {
		return "", nil, err
	}
	return q.sql(), q.args, nil
}

// IncidentStatement returns the statement that Incidents uses for f, and its arguments.
func IncidentStatement(f task.IncidentFilter) (string, []any, error) { return incidentQuery(f) }

// IncidentCursor returns a cursor of f's list.
func IncidentCursor(f task.IncidentFilter) string {
	return incidentCursor(f.Order, task.Incident{Fingerprint: "0123456789abcdef", Count: 1, LastSeen: time.Now()}).encode(incidentsOf(f))
}

// UsageStatement returns the statement that UsageReport uses for f, and its arguments.
func UsageStatement(f task.UsageFilter) (string, []any, error) { return usageQuery(f) }

// SpentStatement returns the statement that Spent uses, and its arguments.
func SpentStatement(scope policy.Scope, id, tenant string, from time.Time) (string, []any, error) {
	q, err := spentQuery(scope, id, tenant, from)
	if err != nil {
		return "", nil, err
	}
	return q.spent(), q.args, nil
}

// NewHead returns what List asks for the log's head.
func NewHead(ask func(context.Context) (uint64, error)) func(context.Context) (uint64, time.Time, bool) {
	return (&head{ask: ask}).last
}

// Classify makes a fault of an error from pgx.
func Classify(err error) error { return classify(err) }

func privacyStatements() []string {
	all := []string{
		readUserRole, otherAdmins, withdrawInvitations, emptyAccount, insertErasure, readErasure, claimErasure, noteErasure, forgetSessions, tasksOfUser, tasksBefore,
		deleteTasks, deleteResults, deleteEvents, deleteShares, deleteCalls, readRetentions, deleteAccess, deleteTurns, bindTenant,
	}
	for _, e := range exports {
		all = append(all, e.sql)
	}
	return append(all, emptied...)
}

// AuditStatement returns the statement that AuditLog.List uses for f, and its arguments.
func AuditStatement(f audit.Filter) (string, []any) { return auditQuery(f) }

// AccessStatement returns the statement that AccessLog.ListAccesses uses for f, and its arguments.
func AccessStatement(f audit.AccessFilter) (string, []any, error) { return accessQuery(f) }

func keyStatements() []string {
	return []string{readKeyOwner, lockKeyOwner, countKeys, insertKey, listKeys, getKey, findKey, rotateKey, revokeKey, useKey}
}

func chatStatements() []string {
	return []string{
		lockChats, countConversations, insertConversation, getConversation, lockConversation, listConversations, noteDeleted, listDeleted, dropDeleted, changeConversation, deleteConversation,
		findOpen, insertMessage, noteTurn, listMessages, getMessage, getInput, settleMessage,
	}
}
