package main

import (
	"fmt"
	"os"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

type tokenCommand struct {
	User   string        `help:"Who the token is for." default:"teacher"`
	Tenant string        `help:"Their tenant." default:"dev"`
	Role   string        `help:"admin, teacher, student or parent." default:"teacher" enum:"admin,teacher,student,parent"`
	TTL    time.Duration `help:"How long it is valid." default:"15m" name:"ttl"`
}

// Run signs with JWT_SECRET_KEY. Whoever can run it has that secret anyway.
func (c *tokenCommand) Run() error {
	cfg, err := loadConfig(os.Environ())
	if err != nil {
		return &usageError{err}
	}
	if err := need("token", map[string]string{"JWT_SECRET_KEY": cfg.JWTSecret}); err != nil {
		return &usageError{err}
	}
	token, err := auth.Issue([]byte(cfg.JWTSecret), auth.Principal{UserID: c.User, Tenant: c.Tenant, Role: auth.Role(c.Role)}, c.TTL)
	if err != nil {
		return &usageError{err}
	}
	fmt.Println(token)
	return nil
}
