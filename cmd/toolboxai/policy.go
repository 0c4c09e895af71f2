package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/toolboxai/orchestrator/internal/policy"
)

type policyCommand struct {
	Get   policyGetCommand `cmd:"" help:"Print the policy: fairness, limits, paused kinds, model limits, budgets."`
	Set   policySetCommand `cmd:"" help:"Replace the policy by a file; it holds within a second."`
	TopUp topUpCommand     `cmd:"" name:"top-up" help:"Add to a budget's current period; tasks that wait for it go on."`
	Audit auditListCommand `cmd:"" help:"List what admins did, newest first."`
}

type policyGetCommand struct{ remote }

func (c *policyGetCommand) Run(ctx context.Context) error {
	var p json.RawMessage
	if err := c.call(ctx, "GET", "/admin/policy", nil, nil, &p); err != nil {
		return err
	}
	return printJSON(p)
}

type policySetCommand struct {
	remote
	File string `arg:"" help:"The policy as JSON, as 'policy get' prints it; - for standard input. Its revision must be the one that it replaces."`
}

// maxPolicy bounds a policy file, in bytes: what the API takes.
const maxPolicy = 256 << 10

func (c *policySetCommand) Run(ctx context.Context) error {
	in := os.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &usageError{err}
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxPolicy+1))
	if err != nil {
		return err
	}
	if !json.Valid(data) {
		return &usageError{errors.New("the policy is not valid JSON")}
	}
	var saved policy.Policy
	err = c.call(ctx, "PUT", "/admin/policy", nil, json.RawMessage(data), &saved)
	if refused := (*refusedError)(nil); errors.As(err, &refused) && refused.code == "conflict" {
		return fmt.Errorf("%w: somebody else changed it; begin again from 'toolboxai policy get'", err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(saved)
	}
	fmt.Printf("revision %d holds from now on\n", saved.Revision)
	return nil
}

type topUpCommand struct {
	remote
	Scope  string  `arg:"" enum:"tenant,user,workflow" help:"tenant, user or workflow."`
	ID     string  `arg:"" help:"Which one."`
	Period string  `help:"day or month." enum:"day,month" default:"month"`
	USD    float64 `name:"usd" help:"Money."`
	Tokens int64   `help:"Tokens."`
	Tenant string  `help:"Whose user or workflow it is, where the budget says so."`
	Reason string  `help:"Why; it goes on record."`
}

func (c *topUpCommand) Run(ctx context.Context) error {
	body := map[string]any{"scope": c.Scope, "id": c.ID, "period": c.Period, "usd": c.USD, "tokens": c.Tokens}
	for name, value := range map[string]string{"tenant": c.Tenant, "reason": c.Reason} {
		if value != "" {
			body[name] = value
		}
	}
	return c.decide(ctx, "/admin/budgets/top-up", body, fmt.Sprintf("the %s's budget of %s %s is topped up", c.Period, c.Scope, c.ID))
}
