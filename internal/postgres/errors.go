package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// retryAfter is what callers are told to wait while Postgres is away.
const retryAfter = 2 * time.Second

// classify makes a fault of an error from pgx. nil stays nil, a fault stays what it is.
func classify(err error) error {
	var (
		known *fault.Error
		pg    *pgconn.PgError
		dial  *pgconn.ConnectError
		netw  net.Error
	)
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return fault.New(fault.NotFound, "it is not in the archive: %w", err)
	case errors.As(err, &pg):
		return fromServer(pg)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Canceled, "the query was given up: %w", err)
	case errors.As(err, &dial):
		return away(err)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Timeout, "the database took too long: %w", err)
	case errors.As(err, &netw), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, pgconn.ErrConnClosed), errors.Is(err, puddle.ErrClosedPool), pgconn.SafeToRetry(err):
		return away(err)
	}
	return fault.New(fault.Internal, "the database query failed: %w", err)
}

func away(err error) error { return fault.After(retryAfter, "the database cannot be reached: %w", err) }

// fromServer classifies by SQLSTATE.
func fromServer(pg *pgconn.PgError) error {
	switch pg.Code {
	case "57014": // query_canceled
		return fault.New(fault.Timeout, "the database took too long: %w", pg)
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock timeout
		return fault.After(100*time.Millisecond, "the database was busy: %w", pg)
	case "42P01", "42703", "3D000": // undefined table, undefined column, unknown database
		return fault.After(retryAfter, "the database is not migrated: %w", pg)
	case "25006": // read-only transaction
		return fault.After(retryAfter, "the database only reads at the moment: %w", pg)
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "28", "53", "57", "58": // connection, authorization, resources, operator intervention, system error
		return fault.After(retryAfter, "the database is not available: %w", pg)
	}
	return fault.New(fault.Internal, "the database query failed: %w", pg)
}

// errUnstorable says that a value has no form in which it could be sent to Postgres.
var errUnstorable = errors.New("it cannot be stored")

// refusesData reports whether a statement failed for the values it was given: Postgres refused them with class 22 (data
// exception) or 54 (a limit of the program, such as nesting), or they could not be sent at all (then a COPY is given up).
func refusesData(err error) bool {
	if errors.Is(err, errUnstorable) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "54") || strings.HasPrefix(pg.Message, "COPY from stdin failed")
}

// isDuplicate reports whether a row was there already.
func isDuplicate(err error) bool { return sqlState(err) == "23505" }

// constraint returns the name of what an error of the server says was violated, or "".
func constraint(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.ConstraintName
	}
	return ""
}

// sqlState returns the SQLSTATE of an error that came from the server, or "".
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
