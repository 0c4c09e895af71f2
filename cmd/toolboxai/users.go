package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
)

type usersCommand struct {
	List      usersListCommand      `cmd:"" help:"List a tenant's people, newest first."`
	Invite    userInviteCommand     `cmd:"" help:"Invite somebody by mail."`
	Disable   userDisableCommand    `cmd:"" help:"Keep somebody from signing in; their sessions end, their API keys are refused."`
	Enable    userEnableCommand     `cmd:"" help:"Let a disabled account sign in again."`
	Bootstrap usersBootstrapCommand `cmd:"" help:"Make a tenant and its first platform admin, straight in the database of DATABASE_URL."`
}

type usersListCommand struct {
	remote
	Role   string `help:"Only this role." enum:",platform_admin,admin,teacher,student,parent" default:""`
	State  string `help:"active, disabled or erased." enum:",active,disabled,erased" default:""`
	Search string `help:"What the name, the username or the address begins with."`
	Class  string `help:"Only members of this class."`
	Limit  int    `help:"How many." default:"50"`
	Cursor string `help:"Where the page before ended."`
}

func (c *usersListCommand) Run(ctx context.Context) error {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"role": c.Role, "state": c.State, "search": c.Search, "class": c.Class, "cursor": c.Cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var page struct {
		Users []account.User `json:"users"`
		Next  string         `json:"next,omitempty"`
	}
	if err := c.call(ctx, "GET", "/users?"+q.Encode(), nil, nil, &page); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(page)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tUSERNAME\tNAME\tROLE\tSTATE\tLAST SIGN-IN\tSECOND FACTOR")
	for _, u := range page.Users {
		state := u.State
		if u.LockedUntil != nil && u.LockedUntil.After(time.Now()) {
			state += ", locked"
		}
		factor := "no"
		if u.SecondFactor {
			factor = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", u.ID, u.Username, firstLine(u.Name), u.Role, state, moment(u.LastLoginAt), factor)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Printf("more with --cursor %s\n", page.Next)
	}
	return nil
}

type userInviteCommand struct {
	remote
	Email string `arg:"" help:"Their address."`
	Role  string `help:"What they will be." enum:"platform_admin,admin,teacher,student,parent" default:"teacher"`
	Name  string `help:"What they are called."`
	Class string `help:"Class of which they become a member."`
}

func (c *userInviteCommand) Run(ctx context.Context) error {
	body := map[string]string{"email": c.Email, "role": c.Role}
	for name, value := range map[string]string{"name": c.Name, "class": c.Class} {
		if value != "" {
			body[name] = value
		}
	}
	var made account.Invitation
	if err := c.call(ctx, "POST", "/invitations", nil, body, &made); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(made)
	}
	fmt.Printf("%s is invited as %s until %s\n", made.Email, made.Role, moment(&made.ExpiresAt))
	if made.URL != "" {
		fmt.Printf("what the mail says, shown this once:  %s\n", made.URL)
	} else {
		fmt.Printf("their invitation, shown this once:  %s\n", made.Token)
	}
	return nil
}

type userDisableCommand struct {
	remote
	ID string `arg:"" help:"The user's id."`
}

func (c *userDisableCommand) Run(ctx context.Context) error {
	return c.changeUser(ctx, c.ID, "/disable", "cannot sign in any more")
}

type userEnableCommand struct {
	remote
	ID string `arg:"" help:"The user's id."`
}

func (c *userEnableCommand) Run(ctx context.Context) error {
	return c.changeUser(ctx, c.ID, "/enable", "can sign in again")
}

// changeUser sends a change and says what it means, or prints the user as JSON.
func (r remote) changeUser(ctx context.Context, id, path, means string) error {
	var u account.User
	if err := r.call(ctx, "POST", "/users/"+url.PathEscape(id)+path, nil, nil, &u); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(u)
	}
	fmt.Printf("user %s (%s, %s) %s\n", u.ID, u.Username, u.Role, means)
	return nil
}
