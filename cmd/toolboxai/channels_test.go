package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestChannelEvents_AreCountedAndLoggedWhenTheSignatureIsGood(t *testing.T) {
	t.Parallel()
	var counted []string
	var log lockedBuffer
	c := channelEvents{
		app: channels.App{Key: "k", Secret: "s"}, count: func(event string) { counted = append(counted, event) },
		logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	body := fmt.Appendf(nil, `{"time_ms":%d,"events":[{"name":"channel_vacated","channel":"private-x"},{"name":"cache_miss","channel":"cache-y"}]}`, time.Now().UnixMilli())
	mac := hmac.New(sha256.New, []byte("s"))
	mac.Write(body)
	if err := c.Receive(t.Context(), "k", hex.EncodeToString(mac.Sum(nil)), body); err != nil || !slices.Equal(counted, []string{"channel_vacated", "cache_miss"}) {
		t.Errorf("%v, counted %v", err, counted)
	}
	if !strings.Contains(log.String(), "channel=private-x") {
		t.Errorf("logged %s", &log)
	}
	if err := c.Receive(t.Context(), "k", hex.EncodeToString(mac.Sum([]byte("x"))), body); !fault.Is(err, fault.Unauthorized) || len(counted) != 2 {
		t.Errorf("a wrong signature: %v, counted %v", err, counted)
	}
}
