package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A wrapped connection takes another way for reads and sends, and has the principal that its wrapper found.
func TestWrappedConnection(t *testing.T) {
	cert := selfSigned(t)
	b := &broker{}
	var want []byte
	b.file, want = fileRange(t, vfs.OS(), 300_000)
	who := make(chan string, 10)
	routes := b.routes()
	for i := range routes {
		if routes[i].Key == 3 {
			routes[i].Handle = func(r *wire.Request) {
				who <- r.Conn.Principal
				b.metadata(r)
			}
		}
	}
	log := new(lines)
	s, err := New(Config{
		Listeners: []Listener{{Name: "SSL", Address: "127.0.0.1:0", Routes: routes,
			Wrap: func(ctx context.Context, nc net.Conn) (net.Conn, string, error) {
				c := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})
				return c, "User:CN=somebody", c.HandshakeContext(ctx)
			}}},
		Limits: Limits{HandshakeTimeout: time.Second},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(0)

	plain := dial(t, s, "SSL")
	c := &client{t: t, nc: tls.Client(plain.nc, &tls.Config{InsecureSkipVerify: true})}
	c.in = newReader(c.nc)
	c.ask(metadataRequest("a"))
	if got := <-who; got != "User:CN=somebody" {
		t.Errorf("principal %s", got)
	}
	for _, n := range []int{0, 100, 16 << 10, 64 << 10, 1 << 20} {
		if got := baseOffset(c.ask(produceRequest(9, 1, make([]byte, n)))); got != int64(n) {
			t.Errorf("%d bytes arrived as %d", n, got)
		}
	}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 12
	if got := c.ask(fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches; !bytes.Equal(got, want) {
		t.Errorf("%d bytes of records", len(got))
	}
	half := dial(t, s, "SSL") // half a TLS hello on the TLS port
	half.nc.Write([]byte{0x16, 3, 1, 2, 0})
	half.closed()
	eventually(t, "the reason is logged", func() bool { return log.has("the peer was too slow") })
	not := dial(t, s, "SSL")
	not.send(metadataRequest("plain bytes"))
	not.closed()
	eventually(t, "the reason is logged", func() bool { return log.has("does not look like a TLS handshake") })
}

func TestPanicInAHandlerIsHeard(t *testing.T) {
	heard := make(chan error, 1)
	log := new(lines)
	s, err := New(Config{
		Listeners: []Listener{{Name: "L", Address: "127.0.0.1:0", Routes: []wire.Route{
			{Key: 0, MinVersion: 3, MaxVersion: 13, Pipelined: true, Handle: func(*wire.Request) { panic("a bug") }}}}},
		Logger:  slog.New(slog.NewTextHandler(log, nil)),
		OnPanic: func(err error) { heard <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(0)
	c := dial(t, s, "L")
	c.send(produceRequest(9, 1, make([]byte, 100_000)))
	c.closed()
	if err := <-heard; err == nil {
		t.Error("no error")
	}
	if used := s.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes of the budget are lost", used)
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	ok := wire.Route{Key: 3, MaxVersion: 12, Handle: func(*wire.Request) {}}
	for name, listeners := range map[string][]Listener{
		"two of one name":   {{Name: "A", Address: "127.0.0.1:0"}, {Name: "A", Address: "127.0.0.1:0"}},
		"two of one key":    {{Name: "A", Address: "127.0.0.1:0", Routes: []wire.Route{ok, ok}}},
		"unknown key":       {{Name: "A", Address: "127.0.0.1:0", Routes: []wire.Route{{Key: 500, Handle: ok.Handle}}}},
		"without a handler": {{Name: "A", Address: "127.0.0.1:0", Routes: []wire.Route{{Key: 3}}}},
	} {
		if _, err := New(Config{Listeners: listeners}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	first, err := New(Config{Listeners: []Listener{{Name: "A", Address: "127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer first.Stop(0)
	second, err := New(Config{Listeners: []Listener{{Name: "B", Address: "127.0.0.1:0"}, {Name: "C", Address: first.Addr("A").String()}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err == nil {
		t.Error("a port that is taken was accepted")
	}
	second.Stop(0)
}

// Whatever a peer sends, its connection ends, nothing panics and nothing is kept.
func FuzzConnection(f *testing.F) {
	fm := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 12
	group := kmsg.NewPtrSyncGroupRequest()
	group.Version = 5
	for _, req := range []kmsg.Request{metadataRequest("a", "b"), produceRequest(9, 1, []byte("abca")), produceRequest(3, 0, nil), fetch, group} {
		one := fm.AppendRequest(nil, req, 1)
		f.Add(one)
		f.Add(append(bytes.Clone(one), one...))
	}
	f.Add([]byte{0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}) // TLS on a listener without it
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	s, err := New(Config{
		Listeners: []Listener{{Name: "L", Routes: (&broker{}).routes()}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		ours, theirs := net.Pipe()
		s.adopt(s.listeners[0], theirs)
		go func() {
			ours.SetWriteDeadline(time.Now().Add(5 * time.Second))
			ours.Write(p)
			// Half a request would wait for its rest.
			eventuallyIdle(s)
			ours.Close()
		}()
		if _, err := io.Copy(io.Discard, ours); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
		eventually(t, "the connection is gone", func() bool { return s.Connections() == 0 })
		if used := s.budget.used.Load(); used != 0 {
			t.Fatalf("%d bytes of the budget are lost", used)
		}
		if lent := bufpool.Lent(); lent != 0 {
			t.Fatalf("%d bytes of buffers are lost", lent)
		}
	})
}

// eventuallyIdle waits until the only connection has nothing in flight.
func eventuallyIdle(s *Server) {
	for {
		busy := false
		s.table.each(func(c *conn) { busy = c.busy() })
		if !busy {
			return
		}
		tick := time.NewTimer(100 * time.Microsecond)
		<-tick.C
	}
}
