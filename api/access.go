package api

import (
	"fmt"
	"maps"
	"slices"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/limit"
)

// Bulkheads: what is slow in one cannot starve the others. See bulkhead.go.
const (
	groupAuth   = "auth"   // signing in and what proves who somebody is: costly on purpose
	groupRead   = "read"   // answers from the log, the archive or the directory
	groupWrite  = "write"  // appends, changes
	groupStream = "stream" // answers that stay open
	groupAdmin  = "admin"  // what few people do, and operators while the rest is busy
)

// access says who may do what: a rule for each operation of the OpenAPI document, by its operationId. New fails when an operation has no
// rule or a rule has no operation, docs/ACCESS.md is made from it, and testdata/matrix.golden shows what follows for each sort of caller.
//
// The typed routes of kinds have the rule of SubmitTask with the class of their kind; see contract.go.
//
// Reach says of what the caller may do it with: Own means what they made, Shared also what was shared with them, Tenant all of the tenant.
// Where an operation has no object, any reach above Nothing is a yes. A handler takes its call's reach and holds each object against it.
func access() map[string]auth.Rule {
	table := map[string]auth.Rule{}
	for _, part := range []map[string]auth.Rule{
		accessToTasks(), accessToLive(), accessToChat(), accessToCache(), accessToContext(), accessToSchedules(), accessToEngine(), accessToHealth(),
		accessToSignIn(), accessToPeople(), accessToTenants(), accessToClasses(), accessToKeys(), accessToWebhooks(), accessToOperations(),
	} {
		maps.Copy(table, part)
	}
	return table
}

func accessToTasks() map[string]auth.Rule {
	const own, shared, tenant = auth.Own, auth.Shared, auth.Tenant
	return map[string]auth.Rule{
		"SubmitTask":     {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"SubmitBatch":    {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"ListTasks":      {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.TasksRead, Group: groupRead},
		"GetTask":        {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.TasksRead, Group: groupRead},
		"GetTaskEvents":  {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.TasksRead, Group: groupStream},
		"ExplainTask":    {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.TasksRead, Group: groupRead},
		"GetTaskPage":    {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.ContentRead, Group: groupRead},
		"GetTaskPreview": {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.TasksRead, Group: groupRead},
		"CancelTask":     {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"CancelTasks":    {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"SignalTask":     {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"ListAgents":     {Admin: tenant, Teacher: tenant, Student: tenant, Parent: tenant, Scope: auth.TasksRead, Group: groupRead},
		"GetAgent":       {Admin: tenant, Teacher: tenant, Student: tenant, Parent: tenant, Scope: auth.TasksRead, Group: groupRead},
	}
}

// accessToLive says who may follow. Whom a channel or a stream tells of what is held against the object, as for any other reading.
func accessToLive() map[string]auth.Rule {
	const own, shared, tenant = auth.Own, auth.Shared, auth.Tenant
	return map[string]auth.Rule{
		"GetEvents":               {Admin: tenant, Teacher: tenant, Student: own, Parent: own, Scope: auth.TasksRead, Group: groupStream},
		"AuthorizeChannel":        {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.TasksRead, Group: groupRead},
		"ReceiveChannelEvents":    {Public: true, Class: limit.ClassPublic, Group: groupWrite}, // its signature proves who sends it
		"AuthenticateChannelUser": {Admin: own, Teacher: own, Student: own, Parent: own, Group: groupRead},
		"IssueTicket":             {Admin: own, Teacher: own, Student: own, Parent: own, Scope: auth.TasksRead, Group: groupWrite},
	}
}

// accessToChat is to one's own conversations: an admin reads nobody else's.
func accessToChat() map[string]auth.Rule {
	const own = auth.Own
	return map[string]auth.Rule{
		"ListConversations":  {Admin: own, Teacher: own, Scope: auth.TasksRead, Group: groupRead},
		"GetConversation":    {Admin: own, Teacher: own, Scope: auth.TasksRead, Group: groupRead},
		"CreateConversation": {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"UpdateConversation": {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"DeleteConversation": {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"CancelTurn":         {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"ListMessages":       {Admin: own, Teacher: own, Scope: auth.TasksRead, Group: groupRead},
		"GetMessage":         {Admin: own, Teacher: own, Scope: auth.TasksRead, Group: groupRead},
		"SendMessage":        {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupStream, Class: limit.ClassChat},
		"FollowMessage":      {Admin: own, Teacher: own, Scope: auth.TasksRead, Group: groupStream},
	}
}

func accessToCache() map[string]auth.Rule {
	const tenant = auth.Tenant
	return map[string]auth.Rule{
		"SearchSemanticCache":   {Admin: tenant, Teacher: tenant, Scope: auth.ContentRead, Group: groupRead},
		"StoreSemanticCache":    {Admin: tenant, Teacher: tenant, Scope: auth.TasksWrite, Group: groupWrite},
		"GetSemanticCacheStats": {Admin: tenant, Teacher: tenant, Scope: auth.AnalyticsRead, Group: groupRead},
	}
}

// accessToContext is for those who submit tasks: each of them has a context of their own, which nobody else reads.
func accessToContext() map[string]auth.Rule {
	const own = auth.Own
	return map[string]auth.Rule{
		"GetAgentContext":    {Admin: own, Teacher: own, Scope: auth.TasksRead, Group: groupRead},
		"UpdateAgentContext": {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"ClearAgentContext":  {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"SetContextPriority": {Admin: own, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
	}
}

func accessToSchedules() map[string]auth.Rule {
	const own, tenant = auth.Own, auth.Tenant
	return map[string]auth.Rule{
		"ListSchedules":   {Admin: tenant, Teacher: tenant, Scope: auth.TasksRead, Group: groupRead},
		"GetSchedule":     {Admin: tenant, Teacher: tenant, Scope: auth.TasksRead, Group: groupRead},
		"ListTicks":       {Admin: tenant, Teacher: tenant, Scope: auth.TasksRead, Group: groupRead},
		"PreviewSchedule": {Admin: tenant, Teacher: tenant, Scope: auth.TasksRead, Group: groupRead},
		"CreateSchedule":  {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"UpdateSchedule":  {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"DeleteSchedule":  {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"PauseSchedule":   {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"ResumeSchedule":  {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"TriggerSchedule": {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite, Class: limit.ClassGeneration},
	}
}

// accessToEngine is what admins see and decide. Platform rules hold for all tenants.
func accessToEngine() map[string]auth.Rule {
	const tenant = auth.Tenant
	return map[string]auth.Rule{
		"GetAgentStatus":  {Admin: tenant, Teacher: tenant, Scope: auth.AnalyticsRead, Group: groupRead},
		"GetAgentMetrics": {Admin: tenant, Teacher: tenant, Scope: auth.AnalyticsRead, Group: groupRead},
		"GetKindMetrics":  {Admin: tenant, Teacher: tenant, Scope: auth.AnalyticsRead, Group: groupRead},

		"ListDeadLetters":   {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"GetDeadLetter":     {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ReplayDeadLetter":  {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ReplayDeadLetters": {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"DiscardDeadLetter": {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ListIncidents":     {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ListCampaigns":     {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"PlanCampaign":      {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"StartCampaign":     {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"GetCampaign":       {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"StopCampaign":      {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"GetUsage":          {Admin: tenant, Scope: auth.AnalyticsRead, Group: groupAdmin},

		"GetPolicy":   {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"PutPolicy":   {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"TopUpBudget": {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"PauseKind":   {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ResumeKind":  {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},

		"ListBreakers": {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ResetBreaker": {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
	}
}

// accessToPages says who may see what is no operation of the document, by its route: a page that is missing here is not served.
func accessToPages() map[string]auth.Rule {
	page := auth.Rule{Public: true, Class: limit.ClassPublic} // which is in memory: who reads it slowly holds nobody's place
	return map[string]auth.Rule{
		"/": page, documentPath: page, docsPath: page, docsPath + "/*": page,
		"/metrics": {Public: true}, "/health": {Public: true}, "/health/live": {Public: true}, "/health/ready": {Public: true}, "/health/mcp": {Public: true},
	}
}

// accessToSockets says who may open a WebSocket, by its route: who may open GET /events. Each subscription is held against its object, a
// task's as GET /tasks/{id}/events is.
func accessToSockets() map[string]auth.Rule {
	const shared, tenant = auth.Shared, auth.Tenant
	rule := auth.Rule{Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.TasksRead, Group: groupStream}
	return map[string]auth.Rule{contentSocketPath: rule, robloxSocketPath: rule, agentSocketPath: rule}
}

// accessToSignIn is open to API keys nowhere: a key that leaks must not become a session.
func accessToSignIn() map[string]auth.Rule {
	const own = auth.Own
	return map[string]auth.Rule{
		"Register":           {Public: true, Class: limit.ClassRegister, Group: groupAuth},
		"Login":              {Public: true, Class: limit.ClassLogin, Group: groupAuth},
		"CompleteLogin":      {Public: true, Class: limit.ClassLogin, Group: groupAuth},
		"BeginPasskeyLogin":  {Public: true, Class: limit.ClassLogin, Group: groupAuth},
		"FinishPasskeyLogin": {Public: true, Class: limit.ClassLogin, Group: groupAuth},
		"RequestReset":       {Public: true, Class: limit.ClassRegister, Group: groupAuth}, // it sends a mail
		"ResetPassword":      {Public: true, Class: limit.ClassLogin, Group: groupAuth},
		"RefreshSession":     {Public: true, Class: limit.ClassPublic, Group: groupWrite},
		"GetSigningKeys":     {Public: true, Class: limit.ClassPublic, Group: groupRead},

		"GetMe":            {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Group: groupRead},
		"ListSessions":     {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Group: groupRead},
		"RevokeSession":    {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Group: groupWrite},
		"Logout":           {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Group: groupWrite},
		"LogoutEverywhere": {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Group: groupWrite},
		"ChangePassword":   {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Class: limit.ClassLogin, Group: groupAuth},
		"StepUp":           {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Class: limit.ClassLogin, Group: groupAuth},

		// Who adds a way to prove who they are, or takes one away, has just proved it.
		"BeginTOTP":          {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, StepUp: true, Group: groupAuth},
		"ConfirmTOTP":        {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Class: limit.ClassLogin, Group: groupAuth},
		"DisableTOTP":        {Admin: own, Teacher: own, Student: own, Parent: own, StepUp: true, Group: groupAuth},
		"ReplaceBackupCodes": {Admin: own, Teacher: own, Student: own, Parent: own, StepUp: true, Group: groupAuth},
		"BeginPasskey":       {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, StepUp: true, Group: groupAuth},
		"FinishPasskey":      {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, StepUp: true, Group: groupAuth},
		"ListPasskeys":       {Admin: own, Teacher: own, Student: own, Parent: own, Enroll: true, Group: groupRead},
		"DeletePasskey":      {Admin: own, Teacher: own, Student: own, Parent: own, StepUp: true, Group: groupAuth},
	}
}

// accessToPeople asks for a fresh proof where somebody could make themself another way in: a new account, another address, an export.
func accessToPeople() map[string]auth.Rule {
	const own, shared, tenant = auth.Own, auth.Shared, auth.Tenant
	return map[string]auth.Rule{
		"Invite":             {Admin: tenant, StepUp: true, Group: groupWrite},
		"ListUsers":          {Admin: tenant, Teacher: shared, Scope: auth.ScopeAdmin, Group: groupRead},
		"CreateUser":         {Admin: tenant, StepUp: true, Group: groupAuth},
		"GetUser":            {Admin: tenant, Teacher: shared, Student: own, Parent: shared, Scope: auth.ScopeAdmin, Group: groupRead},
		"UpdateUser":         {Admin: tenant, StepUp: true, Group: groupWrite},
		"DeleteUser":         {Admin: tenant, StepUp: true, Group: groupAdmin},
		"DisableUser":        {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupWrite},
		"EnableUser":         {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupWrite},
		"UnlockUser":         {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupWrite},
		"ListUserSessions":   {Admin: tenant, Group: groupRead},
		"RevokeUserSessions": {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupWrite},
		"ListGuardians":      {Admin: tenant, Teacher: shared, Student: own, Parent: shared, Scope: auth.ScopeAdmin, Group: groupRead},
		"AddGuardian":        {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupWrite},
		"RemoveGuardian":     {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupWrite},
		"ExportUser":         {Admin: tenant, Teacher: own, Student: own, Parent: own, StepUp: true, Group: groupAdmin},
		"EraseUser":          {Admin: tenant, StepUp: true, Group: groupAdmin},
		"GetErasure":         {Admin: tenant, Group: groupAdmin},
	}
}

func accessToTenants() map[string]auth.Rule {
	const tenant = auth.Tenant
	return map[string]auth.Rule{
		"ListTenants":   {Platform: true, Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"GetTenant":     {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"CreateTenant":  {Platform: true, Admin: tenant, StepUp: true, Group: groupAdmin},
		"UpdateTenant":  {Platform: true, Admin: tenant, StepUp: true, Group: groupAdmin},
		"SuspendTenant": {Platform: true, Admin: tenant, StepUp: true, Group: groupAdmin},
		"ResumeTenant":  {Platform: true, Admin: tenant, StepUp: true, Group: groupAdmin},
	}
}

// accessToClasses shows keys the results that a class may read, and not who its members are, which only an admin's may see.
func accessToClasses() map[string]auth.Rule {
	const own, shared, tenant = auth.Own, auth.Shared, auth.Tenant
	return map[string]auth.Rule{
		"ListClasses":  {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.ContentRead, Group: groupRead},
		"GetClass":     {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.ContentRead, Group: groupRead},
		"CreateClass":  {Admin: tenant, Teacher: own, Scope: auth.ScopeAdmin, Group: groupWrite},
		"UpdateClass":  {Admin: tenant, Teacher: own, Scope: auth.ScopeAdmin, Group: groupWrite},
		"ArchiveClass": {Admin: tenant, Teacher: own, Scope: auth.ScopeAdmin, Group: groupWrite},
		"ReopenClass":  {Admin: tenant, Teacher: own, Scope: auth.ScopeAdmin, Group: groupWrite},
		"ListMembers":  {Admin: tenant, Teacher: tenant, Scope: auth.ScopeAdmin, Group: groupRead},
		"AddMember":    {Admin: tenant, Teacher: own, Scope: auth.ScopeAdmin, Group: groupWrite},
		"RemoveMember": {Admin: tenant, Teacher: own, Scope: auth.ScopeAdmin, Group: groupWrite},
		"ListShares":   {Admin: tenant, Teacher: tenant, Student: shared, Parent: shared, Scope: auth.ContentRead, Group: groupRead},
		"ShareTask":    {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
		"UnshareTask":  {Admin: tenant, Teacher: own, Scope: auth.TasksWrite, Group: groupWrite},
	}
}

// accessToKeys is open to no API key: one that leaks must not make others.
func accessToKeys() map[string]auth.Rule {
	const own, tenant = auth.Own, auth.Tenant
	return map[string]auth.Rule{
		"ListAPIKeys":  {Admin: tenant, Teacher: own, Student: own, Parent: own, Group: groupRead},
		"GetAPIKey":    {Admin: tenant, Teacher: own, Student: own, Parent: own, Group: groupRead},
		"CreateAPIKey": {Admin: tenant, Teacher: own, Student: own, Parent: own, StepUp: true, Group: groupWrite},
		"RotateAPIKey": {Admin: tenant, Teacher: own, Student: own, Parent: own, StepUp: true, Group: groupWrite},
		"RevokeAPIKey": {Admin: tenant, Teacher: own, Student: own, Parent: own, Group: groupWrite},
	}
}

// accessToWebhooks is open to API keys but for what shows a secret.
func accessToWebhooks() map[string]auth.Rule {
	const tenant = auth.Tenant
	return map[string]auth.Rule{
		"ListWebhooks":     {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"GetWebhook":       {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"CreateWebhook":    {Admin: tenant, StepUp: true, Group: groupAdmin},
		"UpdateWebhook":    {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"DeleteWebhook":    {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"RotateWebhook":    {Admin: tenant, StepUp: true, Group: groupAdmin},
		"GetTaskSecret":    {Admin: tenant, StepUp: true, Group: groupAdmin},
		"RotateTaskSecret": {Admin: tenant, StepUp: true, Group: groupAdmin},
		"TestWebhook":      {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ReplayWebhook":    {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ListDeliveries":   {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"GetDelivery":      {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ReplayDelivery":   {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
	}
}

func accessToOperations() map[string]auth.Rule {
	const tenant = auth.Tenant
	return map[string]auth.Rule{
		"ListAudit":  {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
		"ListAccess": {Admin: tenant, Scope: auth.ScopeAdmin, Group: groupAdmin},
	}
}

// accessToHealth has no class and no bulkhead: whoever balances load must always hear the truth.
func accessToHealth() map[string]auth.Rule {
	return map[string]auth.Rule{
		"GetHealth":    {Public: true},
		"GetLiveness":  {Public: true},
		"GetReadiness": {Public: true},
		"GetMCPHealth": {Public: true},
	}
}

// kindScope says what an API key needs beside the scope of the operation to submit a kind; nothing where it is empty.
func kindScope(kind string) auth.Scope {
	if kind == "roblox_asset" { // creates, changes and deletes what players see
		return auth.RobloxDeploy
	}
	return ""
}

// ruleOf returns the rule of an operation of the document: that of its id, and for the typed route of a kind that of SubmitTask in the
// class of the kind.
func ruleOf(operation object, rules map[string]auth.Rule) (auth.Rule, error) {
	id, _ := operation["operationId"].(string)
	kind, typed := operation[kindKey].(string)
	if typed {
		id = "SubmitTask"
	}
	rule, ok := rules[id]
	if !ok {
		return rule, fmt.Errorf("the operation %q has no rule: say in access.go who may do it", id)
	}
	if typed {
		rule.Class = limit.ClassOf(kind)
	}
	security, stated := operation["security"].([]any)
	if public := stated && len(security) == 0; public != rule.Public {
		return rule, fmt.Errorf("the operation %s: access.go and the security of the OpenAPI document do not agree on whether everybody may", id)
	}
	return rule, nil
}

// checkRules reports a rule that has no operation.
func checkRules(rules map[string]auth.Rule, operations []string) error {
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		if !slices.Contains(operations, id) {
			return fmt.Errorf("the rule for %s has no operation in the OpenAPI document", id)
		}
	}
	return nil
}
