package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/secret"
)

const (
	first  = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	second = "a passphrase of more than thirty-two characters"
)

func box(t testing.TB, current string, previous ...string) *secret.Box {
	t.Helper()
	b, err := secret.New(current, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBox_OpensWhatItSealed(t *testing.T) {
	t.Parallel()
	b := box(t, first)
	rapid.Check(t, func(t *rapid.T) {
		plain, context := rapid.SliceOf(rapid.Byte()).Draw(t, "plain"), rapid.SliceOf(rapid.Byte()).Draw(t, "context")
		label := rapid.String().Draw(t, "label")
		sealed := b.Seal(label, plain, context)
		got, err := b.Open(label, sealed, context)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v, want %x", got, err, plain)
		}
		if len(sealed) != len(plain)+33 {
			t.Fatalf("%d bytes became %d", len(plain), len(sealed))
		}
		if again := b.Seal(label, plain, context); bytes.Equal(again, sealed) {
			t.Fatal("sealing twice gives the same")
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		sealed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if got, err := b.Open(label, sealed, context); !fault.Is(err, fault.Internal) || got != nil {
			t.Fatalf("with byte %d changed: %x, %v", at, got, err)
		}
	})
}

// What was made once: what lies in a database must stay good.
const (
	sealedOnce = "0123974029f20fc1870df0546041235e19f83817b4012eb013a719de98c0209eb7a76e89828c"
	macOnce    = "bfa3f0fa7363c91b6ecc0551f8a671985de58e78c144cdddb7e729199bc30e3b"
)

func TestBox_KnowsWhatEarlierReleasesMade(t *testing.T) {
	t.Parallel()
	b := box(t, first)
	if got, err := b.Open("l", unhex(t, sealedOnce), []byte("ada")); err != nil || string(got) != "plain" {
		t.Errorf("got %q, %v", got, err)
	}
	if !b.VerifyMAC("l", []byte("data"), unhex(t, macOnce)) {
		t.Error("the MAC is refused")
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestBox_OpensNothingElsewhere(t *testing.T) {
	t.Parallel()
	b := box(t, first)
	sealed := b.Seal("totp seal", []byte("seed"), []byte("ada"))
	for name, open := range map[string]func() ([]byte, error){
		"label":   func() ([]byte, error) { return b.Open("refresh seal", sealed, []byte("ada")) },
		"context": func() ([]byte, error) { return b.Open("totp seal", sealed, []byte("bob")) },
		"box":     func() ([]byte, error) { return box(t, second).Open("totp seal", sealed, []byte("ada")) },
		"cut":     func() ([]byte, error) { return b.Open("totp seal", sealed[:len(sealed)-1], []byte("ada")) },
		"head":    func() ([]byte, error) { return b.Open("totp seal", sealed[:5], []byte("ada")) },
		"nothing": func() ([]byte, error) { return b.Open("totp seal", nil, []byte("ada")) },
	} {
		if got, err := open(); !fault.Is(err, fault.Internal) || got != nil {
			t.Errorf("other %s: got %q, %v", name, got, err)
		}
	}
	if _, err := box(t, second).Open("totp seal", sealed, []byte("ada")); !strings.Contains(fmt.Sprint(err), "not configured") {
		t.Errorf("the error does not say that a key is missing: %v", err)
	}
}

func TestBox_KnowsPreviousKeys(t *testing.T) {
	t.Parallel()
	was, now := box(t, first), box(t, second, first)
	sealed, mac := was.Seal("l", []byte("plain"), nil), was.MAC("l", []byte("data"))
	if got, err := now.Open("l", sealed, nil); err != nil || string(got) != "plain" {
		t.Errorf("what the previous key sealed: %q, %v", got, err)
	}
	if !now.VerifyMAC("l", []byte("data"), mac) {
		t.Error("the previous key's MAC is refused")
	}
	if _, err := was.Open("l", now.Seal("l", []byte("plain"), nil), nil); err == nil {
		t.Error("a previous key seals")
	}
	if was.VerifyMAC("l", []byte("data"), now.MAC("l", []byte("data"))) {
		t.Error("a previous key makes MACs")
	}
	if box(t, second).VerifyMAC("l", []byte("data"), mac) { // the control
		t.Error("a key that is gone is still taken")
	}
}

func TestBox_VerifyMAC(t *testing.T) {
	t.Parallel()
	b := box(t, first)
	mac := b.MAC("l", []byte("data"))
	if len(mac) != 32 {
		t.Errorf("a MAC has %d bytes", len(mac))
	}
	for n := range 33 {
		if got := b.VerifyMAC("l", []byte("data"), mac[:n]); got != (n >= secret.MinMAC) {
			t.Errorf("cut to %d bytes: %v", n, got)
		}
	}
	changed := bytes.Clone(mac)
	changed[15] ^= 1
	for name, got := range map[string]bool{
		"other label": b.VerifyMAC("m", []byte("data"), mac), "other data": b.VerifyMAC("l", []byte("Data"), mac),
		"changed": b.VerifyMAC("l", []byte("data"), changed), "too long": b.VerifyMAC("l", []byte("data"), append(bytes.Clone(mac), 0)),
	} {
		if got {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestNew_ReadsKeysInEveryForm(t *testing.T) {
	t.Parallel()
	raw, err := hex.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] = 0xfb // so that the two alphabets of base64 differ
	text := hex.EncodeToString(raw)
	mac := box(t, text).MAC("l", nil)
	for _, form := range []string{
		strings.ToUpper(text), text + "\n", base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	} {
		if !bytes.Equal(box(t, form).MAC("l", nil), mac) {
			t.Errorf("%q is another key", form)
		}
	}
	for _, text := range []string{"", "short", strings.Repeat("x", 31)} {
		if _, err := secret.New(text); err == nil || (text != "" && strings.Contains(err.Error(), text)) {
			t.Errorf("%q: got %v", text, err)
		}
		if _, err := secret.New(first, second, text); err == nil || !strings.Contains(err.Error(), "key 3 of 3") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	if _, err := secret.New(first, make([]string, 9)...); err == nil || !strings.Contains(err.Error(), "at most 8") {
		t.Errorf("nine previous ones: %v", err)
	}
}

func TestBox_DoesNotPrintItsKeys(t *testing.T) {
	t.Parallel()
	b := box(t, second)
	raw := strings.Trim(fmt.Sprintf("%d", []byte(second[:12])), "[]")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, b); strings.Contains(got, second[:12]) || strings.Contains(got, raw) || strings.Contains(got, fmt.Sprintf("%x", second[:12])) {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func TestRandomToken(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		token := secret.RandomToken(16)
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(raw) != 16 || seen[token] {
			t.Fatalf("%q: %d bytes, %v, seen %v", token, len(raw), err, seen[token])
		}
		seen[token] = true
	}
}

func FuzzOpen(f *testing.F) {
	b := box(f, first, second)
	ours := unhex(f, sealedOnce)
	f.Add(ours)
	f.Add([]byte{})
	f.Add(ours[:5])
	f.Add(box(f, second).Seal("l", []byte("plain"), []byte("bob")))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		got, err := b.Open("l", sealed, []byte("ada"))
		if err != nil && !fault.Is(err, fault.Internal) {
			t.Errorf("%v is not Internal", err)
		}
		if err == nil && (!bytes.Equal(sealed, ours) || string(got) != "plain") {
			t.Errorf("%x opens to %q", sealed, got)
		}
	})
}

func FuzzNew(f *testing.F) {
	for _, text := range []string{"", first, second, "====", "-_-_"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := secret.New(text)
		if err != nil {
			return
		}
		if got, err := b.Open("l", b.Seal("l", []byte("plain"), nil), nil); err != nil || string(got) != "plain" {
			t.Errorf("a box of %q opens %q, %v", text, got, err)
		}
	})
}

func BenchmarkBox(b *testing.B) {
	x := box(b, first)
	sealed, mac := x.Seal("l", make([]byte, 20), []byte("ada")), x.MAC("l", make([]byte, 45))
	b.Run("Open", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Open("l", sealed, []byte("ada")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("VerifyMAC", func(b *testing.B) {
		for b.Loop() {
			if !x.VerifyMAC("l", make([]byte, 45), mac) {
				b.Fatal("refused")
			}
		}
	})
}
