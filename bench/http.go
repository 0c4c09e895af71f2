package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/nats"
)

// noSchedules, noCampaigns and noLedger stand for what submissions do not touch: a call would panic.
type (
	noSchedules struct{ api.ScheduleBook }
	noCampaigns struct{ api.CampaignBook }
	noLedger    struct{ api.Ledger }
	noAuditLog  struct{ audit.Reader }
)

// http measures submissions over HTTP beside a handler that reads the body and answers 202 at once. Both servers and their
// clients share this process.
func (b *bench) http(ctx context.Context) error {
	s, catalog, err := b.service()
	if err != nil {
		return err
	}
	dev := auth.DevPrincipal()
	fleet, err := nats.NewFleet(b.conn, nats.FleetConfig{})
	if err != nil {
		return err
	}
	defer fleet.Close()
	policies, err := nats.NewPolicyStore(b.js, b.logger)
	if err != nil {
		return err
	}
	server, err := api.New(api.Config{
		Tasks: s, Catalog: catalog, DevPrincipal: &dev, Workers: fleet, Backlogs: nats.NewDispatcherClient(b.conn), Policies: policies,
		Audit: nats.NewAudit(b.js, nats.AuditConfig{}), AuditLog: noAuditLog{}, Schedules: noSchedules{}, Campaigns: noCampaigns{}, Ledger: noLedger{},
	})
	if err != nil {
		return err
	}
	bare := echo.New()
	bare.POST("/api/v1/tasks", func(c echo.Context) error {
		if _, err := io.Copy(io.Discard, c.Request().Body); err != nil {
			return err
		}
		return c.NoContent(http.StatusAccepted)
	})
	body := []byte(`{"kind":"noop","input":` + string(input) + `}`)
	load := func(handler http.Handler) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				return 0, err
			}
			srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
			go func() { _ = srv.Serve(listener) }()
			defer srv.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
			defer client.CloseIdleConnections()
			url := "http://" + listener.Addr().String() + "/api/v1/tasks"
			r, err := rate(ctx, b.n(20_000), func(ctx context.Context) error { return post(ctx, client, url, body) })
			return r, firstError(err, b.purge(ctx))
		}
	}
	return b.compare(ctx, "(c) submissions over HTTP : an Echo handler that answers 202", "1/s", "≥ 0.25", load(server.Handler()), load(bare))
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}
