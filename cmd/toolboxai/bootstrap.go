package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/mail"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/school"
	"github.com/toolboxai/orchestrator/internal/secret"
)

type usersBootstrapCommand struct {
	Tenant   string `help:"The tenant's id: 1 to 64 of a-z, 0-9, _ and -. It is made unless it is there." required:""`
	School   string `help:"What the tenant is called; its id where this is empty."`
	Name     string `help:"What the admin is called." required:""`
	Username string `help:"What they sign in with." required:""`
	Email    string `help:"Their address." required:""`
	Force    bool   `help:"Also where there is a platform admin already."`
	JSON     bool   `help:"Print JSON." name:"json"`
}

// bootstrapped is what bootstrap has made. The token is shown this once.
type bootstrapped struct {
	Tenant string       `json:"tenant_id"`
	User   account.User `json:"user"`
	Token  string       `json:"token"`
	URL    string       `json:"url,omitempty"`
}

// Run needs nobody's permission: whoever may write to the database could as well write the rows. Nothing is running yet, so that what it
// does is no entry of the audit log; it is logged.
func (c *usersBootstrapCommand) Run(ctx context.Context) error {
	cfg, logger, err := environment()
	if err != nil {
		return err
	}
	if err := need("users bootstrap", map[string]string{"DATABASE_URL": cfg.DatabaseURL}); err != nil {
		return &usageError{err}
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, MaxConns: 2, Logger: logger})
	if err != nil {
		return &usageError{fmt.Errorf("DATABASE_URL: %w", err)}
	}
	defer db.Close()
	made, err := c.bootstrap(ctx, cfg, logger, db)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(made)
	}
	fmt.Printf("%s is a platform admin, of tenant %s\n", made.User.Username, made.Tenant)
	if made.URL != "" {
		fmt.Printf("they set their password within 30 minutes at  %s\n", made.URL)
		return nil
	}
	fmt.Printf("they set their password within 30 minutes with the token  %s\n", made.Token)
	fmt.Println(`  curl -H 'Content-Type: application/json' -d '{"token":"…","new_password":"…"}' <API>/api/v1/auth/password/reset`)
	return nil
}

func (c *usersBootstrapCommand) bootstrap(ctx context.Context, cfg Config, logger *slog.Logger, db *postgres.DB) (bootstrapped, error) {
	store := postgres.NewSchool(db)
	if !c.Force {
		if err := nobodyYet(ctx, store); err != nil {
			return bootstrapped{}, err
		}
	}
	accounts, err := c.accounts(cfg, logger, db)
	if err != nil {
		return bootstrapped{}, err
	}
	schools, err := school.New(school.Config{
		Store: store, Accounts: mailless{accounts}, Hasher: account.NewHasher(account.Cost{}), Revoker: offline{logger}, Audit: offline{logger}, Logger: logger,
	})
	if err != nil {
		return bootstrapped{}, err
	}
	by := auth.Principal{UserID: "bootstrap", Tenant: c.Tenant, Role: auth.PlatformAdmin}
	if _, err := schools.CreateTenant(ctx, by, school.TenantSpec{ID: c.Tenant, Name: cmp.Or(c.School, c.Tenant)}); err != nil && !fault.Is(err, fault.Conflict) {
		return bootstrapped{}, fmt.Errorf("make tenant %s: %w", c.Tenant, err)
	}
	user, err := schools.CreateUser(ctx, by, school.UserSpec{Username: c.Username, Name: c.Name, Email: c.Email, Role: auth.PlatformAdmin})
	if err != nil {
		return bootstrapped{}, fmt.Errorf("make the platform admin: %w", err)
	}
	token, link, err := accounts.ResetLink(ctx, c.Username)
	if err != nil {
		return bootstrapped{}, fmt.Errorf("user %s is made, but has no password yet: ask for a new one in their name: %w", user.User.ID, err)
	}
	return bootstrapped{Tenant: c.Tenant, User: user.User, Token: token, URL: link}, nil
}

// accounts returns a service for links to set passwords with, which neither signs nor seals anything.
func (c *usersBootstrapCommand) accounts(cfg Config, logger *slog.Logger, db *postgres.DB) (*account.Service, error) {
	cfg, err := cfg.withKeys("")
	if err != nil {
		return nil, err
	}
	keys, err := cfg.keyring()
	if err != nil {
		return nil, &usageError{err}
	}
	box, err := secret.New(cfg.EncryptionKey, cfg.EncryptionBefore...)
	if err != nil {
		return nil, &usageError{fmt.Errorf("ENCRYPTION_KEY: %w", err)}
	}
	return account.New(account.Config{
		Store: postgres.NewAccounts(db), Factors: postgres.NewSecondFactors(db), Keys: keys, Box: box, Revoker: offline{logger}, Audit: offline{logger},
		Mail: offline{logger}, Hasher: account.NewHasher(account.Cost{}), PublicURL: cfg.PublicURL, Logger: logger,
	})
}

// nobodyYet refuses when there is a platform admin.
func nobodyYet(ctx context.Context, store *postgres.School) error {
	for cursor := ""; ; {
		tenants, err := store.Tenants(ctx, school.TenantFilter{Cursor: cursor, Limit: school.MaxPage})
		if err != nil {
			return fmt.Errorf("look for platform admins: %w", err)
		}
		for _, t := range tenants.Tenants {
			found, err := store.Users(ctx, t.ID, school.UserFilter{Role: auth.PlatformAdmin, State: account.Active, Limit: 1})
			if err != nil {
				return fmt.Errorf("look for platform admins: %w", err)
			}
			if len(found.Users) > 0 {
				return fmt.Errorf("there is a platform admin already, %s of tenant %s: ask them for an invitation, or give --force", found.Users[0].Username, t.ID)
			}
		}
		if cursor = tenants.Next; cursor == "" {
			return nil
		}
	}
}

// mailless is accounts without mails: the link is printed instead.
type mailless struct{ *account.Service }

// RequestReset implements school.Accounts.
func (mailless) RequestReset(context.Context, string, account.Client) error { return nil }

// offline stands in for the broker and the mail server before there are any.
type offline struct{ logger *slog.Logger }

// Publish implements account.Revoker: nobody has a token yet.
func (offline) Publish(context.Context, auth.Revocation) error { return nil }

// Append implements audit.Recorder.
func (o offline) Append(ctx context.Context, e audit.Entry) error {
	o.logger.InfoContext(ctx, "done outside of the audit log", "tenant", e.Tenant, "actor", e.Actor, "action", e.Action, "target", e.Target, "outcome", e.Outcome)
	return nil
}

// Send implements mail.Sender.
func (offline) Send(context.Context, mail.Message) error { return nil }
