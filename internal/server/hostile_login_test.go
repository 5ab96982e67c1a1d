package server

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// TestHugePasswordIsNotRead: what claims to be a login of 10 MB costs its connection and nothing else, before it is sent.
func TestHugePasswordIsNotRead(t *testing.T) {
	s, log := serveGuarded(t, &guard{}, Limits{})
	peer := dial(t, s, "SASL")
	peer.ask(handshakeRequest(1, "PLAIN"))
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], 10<<20)
	if _, err := peer.nc.Write(head[:]); err != nil {
		t.Fatal(err)
	}
	peer.closed()
	eventually(t, "it is logged", func() bool { return log.has("a request length of 10485760 before it was authenticated") })
	// One that fits is judged as any other, as long as the password is.
	if r := dial(t, s, "SASL").login("alice", strings.Repeat("w", 500<<10)); wire.Code(r.ErrorCode) != wire.SaslAuthenticationFailed {
		t.Errorf("%+v", r)
	}
	if r := dial(t, s, "SASL").login("alice", "wonder"); r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
}

// TestUserNamesWithControlCharacters: they end no line of the log, steer no terminal, and are nobody.
func TestUserNamesWithControlCharacters(t *testing.T) {
	g := &guard{}
	s, log := serveGuarded(t, g, Limits{})
	for _, name := range []string{"alice\nlevel=ERROR msg=forged", "\x1b[2Jalice", "alice\r", "\u202ealice", "alice\x7f", strings.Repeat("a", 5000)} {
		if r := dial(t, s, "SASL").login(name, "wonder"); wire.Code(r.ErrorCode) != wire.SaslAuthenticationFailed {
			t.Errorf("%.20q: %+v", name, r)
		}
		h := dial(t, s, "SASL")
		h.ask(handshakeRequest(1, name))
		h.closed()
	}
	eventually(t, "they are logged", func() bool { return log.has("authentication failed") })
	for _, forged := range []string{"\nlevel=ERROR", "\x1b", "\x7f"} {
		if log.has(forged) {
			t.Errorf("the log has %q in it", forged)
		}
	}
}

// TestThousandsOfFailedLogins: who guesses, from many connections at once, gets late answers, fills neither log nor memory, and
// keeps nobody else out.
func TestThousandsOfFailedLogins(t *testing.T) {
	g := &guard{}
	s, log := serveGuarded(t, g, Limits{FailedLoginDelay: 5 * time.Millisecond})
	stop := make(chan struct{})
	var guessing sync.WaitGroup
	const guessers, guesses = 20, 100
	for range guessers {
		guessing.Go(func() {
			for range guesses {
				peer := dial(t, s, "SASL")
				if r := peer.login("alice", "guess"); wire.Code(r.ErrorCode) != wire.SaslAuthenticationFailed {
					t.Errorf("%+v", r)
				}
				peer.nc.Close()
			}
		})
	}
	go func() { guessing.Wait(); close(stop) }()
	in := 0
	for done := false; !done; {
		if r := dial(t, s, "SASL").login("bob", "builder"); r.ErrorCode != 0 {
			t.Fatalf("somebody with the right password: %+v", r)
		}
		in++
		select {
		case <-stop:
			done = true
		default:
		}
	}
	g.rec.mu.Lock()
	failed := 0
	for _, a := range g.rec.auth {
		if a == "PLAIN false false" {
			failed++
		}
	}
	g.rec.mu.Unlock()
	if failed != guessers*guesses || in == 0 {
		t.Errorf("%d failures were counted, %d others got in", failed, in)
	}
	if n := log.count("authentication failed"); n == 0 || n > guessers*guesses/10 {
		t.Errorf("%d lines in the log", n)
	}
}

// failures is how many logins have failed.
func (r *recorder) failures() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, outcome := range r.auth {
		if strings.Contains(outcome, " false ") { // mechanism, whether it was in, whether again
			n++
		}
	}
	return n
}

func (r *recorder) gone() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// TestWhoLeavesHasNotFailed: a peer that goes away in the handshake, before it has said anything or after, is no failed login; one that
// cannot be understood is.
func TestWhoLeavesHasNotFailed(t *testing.T) {
	g := &guard{}
	s, _ := serveGuarded(t, g, Limits{})
	hello := []byte{0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3} // the beginning of a ClientHello
	for _, said := range [][]byte{nil, hello[:3], hello} {
		c := dial(t, s, "TLS")
		if _, err := c.nc.Write(said); err != nil {
			t.Fatal(err)
		}
		if err := c.nc.Close(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "they are gone", func() bool { return s.table.len() == 0 && g.rec.gone() == 3 })
	if n := g.rec.failures(); n != 0 {
		t.Errorf("%d peers that left have failed", n)
	}
	c := dial(t, s, "TLS")
	if _, err := c.nc.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has failed", func() bool { return g.rec.failures() == 1 })
}
