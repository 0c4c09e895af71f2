// Package migrations holds the database schema as numbered SQL files, each with its way up and its way down.
//
// A file that was released is never edited: the next change is the next number. A change keeps the release before it
// running, because pods of both are up during a deploy: add first, and remove one release later. postgres.Migrate applies
// them.
package migrations

import "embed"

// FS holds the SQL files, NNNNN_name.sql, in goose's format.
//
//go:embed *.sql
var FS embed.FS
