package tlsconf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// counted is a TCP connection that counts its calls.
type counted struct {
	*net.TCPConn
	writes atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.TCPConn.Write(p)
}

// connected is both ends of a TLS connection over TCP; the server's end is made by serve.
func connected(t testing.TB, serve func(net.Conn, *tls.Config) (net.Conn, error), client *tls.Config) (server net.Conn, counts *counted, peer *tls.Conn, raw *net.TCPConn) {
	t.Helper()
	ca := newAuthority(t)
	id := ca.issue(t, "localhost")
	own := tls.Certificate{Certificate: [][]byte{id.cert.Raw}, PrivateKey: id.key}
	client.RootCAs, client.ServerName = pool([]*x509.Certificate{ca.cert}), "localhost"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			raw = nc.(*net.TCPConn)
			peer = tls.Client(nc, client)
			err = peer.Handshake()
		}
		done <- err
	}()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	counts = &counted{TCPConn: nc.(*net.TCPConn)}
	server, err = serve(counts, &tls.Config{Certificates: []tls.Certificate{own}, DynamicRecordSizingDisabled: true, MinVersion: tls.VersionTLS12})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close(); _ = nc.Close() })
	return server, counts, peer, raw
}

func ours(nc net.Conn, cfg *tls.Config) (net.Conn, error) {
	return Serve(context.Background(), nc, cfg)
}

// A large answer is whole records in few calls, and what is sent is what arrives, in both directions at once, in either
// version, with pieces of all sizes.
func TestRecordsTogether(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server, counts, peer, _ := connected(t, ours, &tls.Config{MinVersion: version, MaxVersion: version}) //nolint:gosec // both are tried
		deadline := time.Now().Add(30 * time.Second)
		for _, c := range []net.Conn{server, peer} {
			if err := c.SetDeadline(deadline); err != nil {
				t.Fatal(err)
			}
		}
		before := counts.writes.Load()
		go func() { _, _ = server.Write(make([]byte, WriteBytes)) }()
		if _, err := io.ReadFull(peer, make([]byte, WriteBytes)); err != nil {
			t.Fatal(err)
		}
		if n := counts.writes.Load() - before; n != 1 {
			t.Errorf("%s: %d calls for one answer", tls.VersionName(version), n)
		}
		var both sync.WaitGroup
		for _, way := range [][2]net.Conn{{server, peer}, {peer, server}} {
			sum := make(chan [sha256.Size]byte, 1)
			const total = 6 << 20
			both.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(version))) //nolint:gosec // not for secrets
				hash := sha256.New()
				for left := total; left > 0; {
					p := bytes.Repeat([]byte{byte(left)}, min(left, 1+random.IntN([]int{10, 3000, 200 << 10}[random.IntN(3)])))
					hash.Write(p)
					if _, err := way[0].Write(p); err != nil {
						t.Error(err)
						return
					}
					left -= len(p)
				}
				sum <- [sha256.Size]byte(hash.Sum(nil))
			})
			both.Go(func() {
				hash := sha256.New()
				if _, err := io.CopyN(hash, way[1], total); err != nil {
					t.Error(err)
					return
				}
				if [sha256.Size]byte(hash.Sum(nil)) != <-sum {
					t.Errorf("%s: something else arrived", tls.VersionName(version))
				}
			})
		}
		both.Wait()
	}
}

// What is read ahead does not hide the end, nor a deadline.
func TestReadAheadEnds(t *testing.T) {
	server, _, peer, raw := connected(t, ours, &tls.Config{}) //nolint:gosec // for a test
	const total = 3 << 20
	go func() {
		_, _ = peer.Write(make([]byte, total))
		_ = peer.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, server); n != total || err != nil {
		t.Errorf("%d %v", n, err)
	}
	server, _, peer, _ = connected(t, ours, &tls.Config{}) //nolint:gosec // for a test
	go func() { _, _ = peer.Write(make([]byte, total)) }()
	if _, err := io.ReadFull(server, make([]byte, total)); err != nil {
		t.Error(err)
	}
	if err := server.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, err := server.Read(make([]byte, 1)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("%v", err)
	}
	_ = raw.Close()
}

// A session is taken up again by who comes back, which costs the broker no signature.
func TestResumption(t *testing.T) {
	ca := newAuthority(t)
	id := ca.issue(t, "localhost")
	s, err := NewServer(Settings{Keystore: Store{Type: typePEM, Certificates: id.chain(), Key: id.keyPEM(t, "")}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				c, err := Serve(context.Background(), nc, s.Config())
				if err == nil {
					_, _ = c.Write([]byte{1})
				}
				_ = nc.Close()
			}()
		}
	}()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := &tls.Config{RootCAs: pool([]*x509.Certificate{ca.cert}), ServerName: "localhost", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)} //nolint:gosec // both are tried
		for again := range 2 {
			c, err := tls.Dial("tcp", ln.Addr().String(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Read(make([]byte, 1)) // a ticket comes with the first record
			if got := c.ConnectionState().DidResume; got != (again == 1) {
				t.Errorf("%s, connection %d: resumed %v", tls.VersionName(version), again, got)
			}
			c.Close()
		}
	}
}

// BenchmarkSend is an answer of a MiB after another, through package tls alone and through Conn; the peer takes the bytes
// without looking into them. The CPU time is of both ends.
func BenchmarkSend(b *testing.B) {
	for name, serve := range map[string]func(net.Conn, *tls.Config) (net.Conn, error){
		"tls": func(nc net.Conn, cfg *tls.Config) (net.Conn, error) {
			c := tls.Server(nc, cfg)
			return c, c.Handshake()
		},
		"conn": ours,
	} {
		b.Run(name, func(b *testing.B) {
			server, _, _, raw := connected(b, serve, &tls.Config{}) //nolint:gosec // for a test
			go func() {
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{raw}, make([]byte, 256<<10))
			}()
			answer := make([]byte, 1<<20)
			b.SetBytes(int64(len(answer)))
			b.ReportAllocs()
			cpu := used()
			for b.Loop() {
				for p := answer; len(p) > 0; p = p[min(len(p), WriteBytes):] {
					if _, err := server.Write(p[:min(len(p), WriteBytes)]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric((used()-cpu).Seconds()*1024/float64(b.N), "CPU-s/GiB")
		})
	}
}

// BenchmarkReceive is the other way: the peer sends, the server's end reads frames of 64 KiB.
func BenchmarkReceive(b *testing.B) {
	for name, serve := range map[string]func(net.Conn, *tls.Config) (net.Conn, error){
		"tls": func(nc net.Conn, cfg *tls.Config) (net.Conn, error) {
			c := tls.Server(nc, cfg)
			return c, c.Handshake()
		},
		"conn": ours,
	} {
		b.Run(name, func(b *testing.B) {
			server, _, peer, _ := connected(b, serve, &tls.Config{DynamicRecordSizingDisabled: true}) //nolint:gosec // for a test
			go func() {
				for p := make([]byte, 64<<10); ; {
					if _, err := peer.Write(p); err != nil {
						return
					}
				}
			}()
			frame := make([]byte, 64<<10)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			cpu := used()
			for b.Loop() {
				if _, err := io.ReadFull(server, frame); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((used()-cpu).Seconds()*1024*16/float64(b.N), "CPU-s/GiB")
		})
	}
}

// used is the processor time of this process.
func used() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
