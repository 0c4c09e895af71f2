package task

import "time"

// UsageFilter chooses entries of the ledger, and how they are added up. Zero fields choose all.
type UsageFilter struct {
	Tenant   string
	UserID   string
	Workflow string
	Kinds    []string
	Models   []string
	From, To time.Time   // From inclusive, To exclusive; required
	By       []UsageUnit // none adds everything up to one row
}

// UsageUnit is something that usage is told apart by.
type UsageUnit string

const (
	UsageByTenant   UsageUnit = "tenant"
	UsageByUser     UsageUnit = "user" // and tenant: user ids are a tenant's own
	UsageByWorkflow UsageUnit = "workflow"
	UsageByKind     UsageUnit = "kind"
	UsageByModel    UsageUnit = "model" // and provider
	UsageByDay      UsageUnit = "day"   // in UTC
)

// MaxUsageRows bounds a usage report.
const MaxUsageRows = 10_000

// UsageRow is a line of a usage report. Fields that it is not told apart by are empty.
type UsageRow struct {
	Tenant       string     `json:"tenant_id,omitempty"`
	UserID       string     `json:"user_id,omitempty"`
	Workflow     string     `json:"workflow,omitempty"`
	Kind         string     `json:"kind,omitempty"`
	Provider     string     `json:"provider,omitempty"`
	Model        string     `json:"model,omitempty"`
	Day          *time.Time `json:"day,omitempty"` // its first moment
	Calls        int64      `json:"calls"`
	InputTokens  int64      `json:"input_tokens"`
	OutputTokens int64      `json:"output_tokens"`
	MicroUSD     int64      `json:"cost_micro_usd"` // of the calls whose price is known
	CostKnown    bool       `json:"cost_known"`     // false when the price of any call is not known
}
