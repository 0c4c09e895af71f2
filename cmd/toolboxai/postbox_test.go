package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// postbox is a mail server on the loopback interface that keeps what it takes.
type postbox struct {
	listener net.Listener
	serving  sync.WaitGroup
	cert     *tls.Certificate // nil: it speaks in clear, and asks for no password

	mu     sync.Mutex
	kept   []letter
	refuse func(proof string) string
	open   map[net.Conn]bool
}

// letter is a mail as it was taken.
type letter struct{ to, raw, text string }

// openPostbox starts a server in clear that ends with the test.
func openPostbox(t *testing.T) *postbox { return servePostbox(t, nil) }

func servePostbox(t *testing.T, cert *tls.Certificate) *postbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &postbox{listener: l, cert: cert, open: map[net.Conn]bool{}}
	b.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.open[conn] = true
			b.mu.Unlock()
			b.serving.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		b.mu.Lock()
		for conn := range b.open {
			conn.Close()
		}
		b.mu.Unlock()
		b.serving.Wait()
	})
	return b
}

func (b *postbox) port() int { return b.listener.Addr().(*net.TCPAddr).Port }

// mails returns what was taken so far.
func (b *postbox) mails() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kept)
}

// refusing has the server answer who signs in with what say returns for what they send; taking them when that is empty.
func (b *postbox) refusing(say func(proof string) string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = say
}

func (b *postbox) serve(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReader(conn), io.Writer(conn)
	say := func(line string) { _, _ = io.WriteString(out, line+"\r\n") }
	secure, to := b.cert == nil, ""
	say("220 ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-here")
			if !secure {
				say("250-STARTTLS")
			}
			if b.cert != nil && secure {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			over := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*b.cert}})
			in, out, secure = bufio.NewReader(over), over, true
		case "AUTH":
			say(b.signIn(strings.TrimPrefix(rest, "PLAIN ")))
		case "RCPT":
			to = strings.TrimSuffix(strings.TrimPrefix(rest, "TO:<"), ">")
			say("250 ok")
		case "DATA":
			say("354 go on")
			var raw strings.Builder
			for line != ".\r\n" {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
				raw.WriteString(line)
			}
			b.keep(to, raw.String())
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (b *postbox) signIn(sent string) string {
	proof, _ := base64.StdEncoding.DecodeString(sent)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		if no := b.refuse(string(proof)); no != "" {
			return no
		}
	}
	return "235 yes"
}

func (b *postbox) keep(to, raw string) {
	l := letter{to: to, raw: raw, text: raw}
	if m, err := netmail.ReadMessage(strings.NewReader(strings.TrimSuffix(raw, ".\r\n"))); err == nil {
		body := m.Body
		switch strings.ToLower(m.Header.Get("Content-Transfer-Encoding")) {
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		}
		if text, err := io.ReadAll(body); err == nil {
			l.text = strings.ReplaceAll(string(text), "\r\n", "\n")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, l)
}

// certificate makes one for 127.0.0.1 that vouches for itself, and returns the path of a file that holds it.
func certificate(t *testing.T) (*tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postbox"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "postbox.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(fmt.Errorf("keep a certificate: %w", err))
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}
