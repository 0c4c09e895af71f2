package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	server := func(code string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code, Message: "m"}) }
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"no rows":                {pgx.ErrNoRows, fault.NotFound},
		"connection broke":       {io.ErrUnexpectedEOF, fault.Unavailable},
		"conn closed":            {pgconn.ErrConnClosed, fault.Unavailable},
		"deadline":               {fmt.Errorf("x: %w", context.DeadlineExceeded), fault.Timeout},
		"canceled":               {context.Canceled, fault.Canceled},
		"unknown":                {errors.New("x"), fault.Internal},
		"a fault":                {fault.InvalidField("cursor", "x"), fault.Invalid},
		"admin shutdown":         {server("57P01"), fault.Unavailable},
		"starting up":            {server("57P03"), fault.Unavailable},
		"too many connections":   {server("53300"), fault.Unavailable},
		"disk full":              {server("53100"), fault.Unavailable},
		"wrong password":         {server("28P01"), fault.Unavailable},
		"connection failure":     {server("08006"), fault.Unavailable},
		"no such database":       {server("3D000"), fault.Unavailable},
		"no such table":          {server("42P01"), fault.Unavailable},
		"standby":                {server("25006"), fault.Unavailable},
		"deadlock":               {server("40P01"), fault.Unavailable},
		"statement timeout":      {server("57014"), fault.Timeout},
		"syntax error":           {server("42601"), fault.Internal},
		"insufficient privilege": {server("42501"), fault.Internal},
		"empty code":             {server(""), fault.Internal},
	} {
		err := postgres.Classify(c.err)
		if !fault.Is(err, c.want) || !errors.Is(err, c.err) && errors.Unwrap(c.err) == nil {
			t.Errorf("%s: got %v (%v), want %v", name, err, fault.KindOf(err), c.want)
		}
		if c.want == fault.Unavailable && fault.RetryAfter(err) == 0 {
			t.Errorf("%s does not say when to come back", name)
		}
	}
	if postgres.Classify(nil) != nil {
		t.Error("nil is an error")
	}
}
