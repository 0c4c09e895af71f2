package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/unicode/norm"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

const (
	getPerson    = `SELECT ` + userFields + ` FROM users u WHERE u.tenant = $1 AND u.id = $2`
	insertPerson = `INSERT INTO users (id, tenant, username, username_key, email, email_key, name, role, password_hash, password_changed_at, must_change, created_at, updated_at)
		SELECT $2, t.id, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8, nullif($9, ''), CASE WHEN $9 <> '' THEN $10::timestamptz END, $9 <> '', $10, $10
		FROM tenants t WHERE t.id = $1 AND t.state = 'active'`
	listNames = `SELECT name FROM users WHERE tenant = $1 AND state <> 'erased' ORDER BY created_at DESC, id DESC LIMIT $2`
)

// maySubmit takes whom it does not know for somebody with a token from the command line. A platform admin acts in any tenant.
const maySubmit = `SELECT coalesce((SELECT state = 'active' FROM tenants WHERE id = $1), true) AND coalesce((
	SELECT u.state = 'active' AND h.state = 'active' AND (u.role = 'platform_admin' OR u.tenant = $1 AND u.role IN ('admin', 'teacher'))
	FROM users u JOIN tenants h ON h.id = u.tenant WHERE u.id = $2), true)`

// MaySubmit reports whether what a user asked for earlier may still be submitted in a tenant. It is for the platform itself: whoever asks
// now is asked for a proof.
func (s *School) MaySubmit(ctx context.Context, tenant, userID string) (may bool, err error) {
	err = askRow(ctx, s.db.ofAll, maySubmit, []any{tenant, userID}, func(row pgx.Row) error { return row.Scan(&may) })
	return may, err
}

func scanPerson(row pgx.Row) (u account.User, err error) {
	err = row.Scan(userTargets(&u)...)
	u.CreatedAt, u.UpdatedAt = u.CreatedAt.UTC(), u.UpdatedAt.UTC()
	for _, at := range []*time.Time{u.LockedUntil, u.LastLoginAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	return u, err
}

// Users implements school.UserStore.
func (s *School) Users(ctx context.Context, tenant string, f school.UserFilter) (school.UserPage, error) {
	list := userList(tenant, f)
	sql, args, err := userQuery(tenant, f, list)
	if err != nil {
		return school.UserPage{}, err
	}
	found, err := askRows(ctx, s.db.of(tenant), sql, args, func(row pgx.CollectableRow) (account.User, error) { return scanPerson(row) })
	if err != nil {
		return school.UserPage{}, fmt.Errorf("list users: %w", err)
	}
	var page school.UserPage
	page.Users, page.Next = cut(found, f.Limit, list, func(u account.User) (time.Time, string) { return u.CreatedAt, u.ID })
	return page, nil
}

func userList(tenant string, f school.UserFilter) any {
	f.Cursor, f.Limit = "", 0
	return []any{"users", tenant, f}
}

// userQuery makes a statement for each combination of filters. A search reads the tenant's users, of whom there are some thousands.
func userQuery(tenant string, f school.UserFilter, list any) (string, []any, error) {
	at, id, err := placeOf(f.Cursor, list)
	if err != nil {
		return "", nil, err
	}
	q := &query{}
	q.and("u.tenant = ?", tenant)
	q.and("(u.created_at, u.id) < (?, ?)", at, id)
	if f.Role != "" {
		q.and("u.role = ?", string(f.Role))
	}
	if f.State != "" {
		q.and("u.state = ?", f.State)
	}
	if f.Class != "" {
		q.and("EXISTS (SELECT FROM class_members m WHERE m.tenant = ? AND m.class = ? AND m.user_id = u.id)", tenant, f.Class)
	}
	if text := storable(norm.NFC.String(strings.TrimSpace(f.Search))); text != "" {
		key := strings.ToLower(text)
		q.and("(starts_with(u.username_key, ?) OR starts_with(u.email_key, ?) OR "+
			"strpos(' ' || translate(lower(u.name), '-', ' '), ' ' || translate(lower(?), '-', ' ')) > 0)", key, key, text)
	}
	return "SELECT " + userFields + " FROM users u WHERE " + strings.Join(q.where, " AND ") +
		" ORDER BY u.created_at DESC, u.id DESC LIMIT " + strconv.Itoa(f.Limit+1), q.args, nil
}

// User implements school.UserStore.
func (s *School) User(ctx context.Context, tenant, id string) (u account.User, err error) {
	err = askRow(ctx, s.db.of(tenant), getPerson, []any{tenant, id}, func(row pgx.Row) error {
		u, err = scanPerson(row)
		return err
	})
	return u, missing("user", id, err)
}

// AddUser implements school.UserStore.
func (s *School) AddUser(ctx context.Context, u account.User, passwordHash string) error {
	username, email, err := keysOf(u)
	if err != nil {
		return err
	}
	return s.db.asTenant(ctx, u.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, insertPerson, u.Tenant, u.ID, u.Username, username, u.Email, email, u.Name, string(u.Role), passwordHash, u.CreatedAt)
		if err == nil && done.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "there is no active tenant %.64q", u.Tenant)
		}
		return taken(err)
	})
}

// keysOf returns the forms in which a user's names are compared.
func keysOf(u account.User) (username, email string, err error) {
	if username, err = account.UsernameKey(u.Username); err == nil && u.Email != "" {
		email, err = account.EmailKey(u.Email)
	}
	return username, email, err
}

// taken says which name somebody has already.
func taken(err error) error {
	if !isDuplicate(err) {
		return err
	}
	switch constraint(err) {
	case "users_username_key_key":
		return conflict("username", "somebody has this username already")
	case "users_email_key_key":
		return conflict("email", "somebody has this e-mail address already")
	}
	return err
}

// Names implements school.UserStore.
func (s *School) Names(ctx context.Context, tenant string) ([]string, error) {
	names, err := askRows(ctx, s.db.of(tenant), listNames, []any{tenant, school.MaxNames + 1}, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	if len(names) > school.MaxNames {
		return nil, fault.New(fault.TooLarge, "tenant %.64q has more than %d people", tenant, school.MaxNames)
	}
	return names, nil
}
