package server

import (
	"encoding/binary"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/vfs"
)

func TestBadFirstBytesCostTheConnection(t *testing.T) {
	for name, c := range map[string]struct{ bytes, reason string }{
		"tls":               {"\x16\x03\x01\x02\x00", "looks like a TLS handshake"},
		"http":              {"GET / HTTP/1.1\r\n", "looks like HTTP"},
		"negative":          {"\xff\xff\xff\xff", "request length of -1"},
		"zero":              {"\x00\x00\x00\x00", "request length of 0"},
		"huge":              {"\x7f\xff\xff\xff", "request length of 2147483647"},
		"unknown api":       {"\x00\x00\x00\x20\x03\xe8\x00\x00", "API key 1000"},
		"negative api":      {"\x00\x00\x00\x20\xff\xff\x00\x00", "API key -1"},
		"large for its api": {"\x00\x20\x00\x00\x00\x12\x00\x00", "ApiVersions request of 2097152 bytes"},
		"client id lies":    {"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\x7f\xff", "client id of 32767 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s, log := serve(t, &broker{}, Limits{})
			other := dial(t, s, "PLAINTEXT")
			other.ask(metadataRequest("a"))
			peer := dial(t, s, "PLAINTEXT")
			if _, err := peer.nc.Write([]byte(c.bytes)); err != nil {
				t.Fatal(err)
			}
			peer.closed()
			eventually(t, "the reason is logged", func() bool { return log.has(c.reason) })
			other.ask(metadataRequest("a"))
		})
	}
}

// A Metadata frame that declares a million topics in as many bytes made the codec allocate hundreds of times its
// size.
func TestLyingArrayCountsAllocateNothing(t *testing.T) {
	s, log := serve(t, &broker{}, Limits{})
	frame := make([]byte, 0, 1<<20)
	frame = append(frame, 0, 0, 0, 0, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff) // header, version 1
	frame = binary.BigEndian.AppendUint32(frame, 1<<20-100)
	frame = append(frame, make([]byte, 1<<20-len(frame)-50)...)
	frame = append(frame, 0xff) // the last name's length lies
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := dial(t, s, "PLAINTEXT")
	c.nc.Write(frame)
	c.closed()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("a frame of 1 MiB made the server allocate %d MiB", grown>>20)
	}
	eventually(t, "the reason is logged", func() bool { return log.has("Metadata request of version 1 is not valid") })
}

func TestDeclaredLengthCostsNothingBeforeItsBytes(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	before := bufpool.Lent()
	for range 50 {
		c := dial(t, s, "PLAINTEXT")
		c.nc.Write([]byte{0x06, 0x00, 0x00, 0x00, 0, 0, 0, 9}) // 100 MB of Produce
	}
	eventually(t, "all are read", func() bool { return s.Connections() == 50 && bufpool.Lent() > before })
	if lent := bufpool.Lent() - before; lent > 50*smallRead*2 {
		t.Errorf("50 lengths made the server hold %d bytes", lent)
	}
}

func TestSlowSenderIsCutOff(t *testing.T) {
	for name, head := range map[string]string{
		"in the length":   "\x00\x00",
		"in the header":   "\x00\x00\x01\x00\x00\x03",
		"in a large body": "\x00\x10\x00\x00\x00\x00" + strings.Repeat("x", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			s, log := serve(t, &broker{}, Limits{FrameTimeout: 50 * time.Millisecond, MaxRequestBytes: 1 << 20})
			for _, r := range s.listeners[0].routes {
				if r != nil && r.Key == 0 {
					r.maxFrame = 64 << 10 * 100
				}
			}
			c := dial(t, s, "PLAINTEXT")
			c.nc.Write([]byte(head))
			if name == "in a large body" {
				// One second more for each 64 KiB would make the test slow: the peer ends instead.
				c.nc.(*net.TCPConn).CloseWrite()
				c.closed()
				eventually(t, "the reason is logged", func() bool { return log.has("in the middle of a request") })
				return
			}
			c.closed()
			eventually(t, "the reason is logged", func() bool { return log.has("did not arrive within the time limit") })
		})
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	b := &broker{}
	s, log := serve(t, b, Limits{IdleTimeout: 100 * time.Millisecond})
	c := dial(t, s, "PLAINTEXT")
	c.ask(metadataRequest("a"))
	c.closed()
	eventually(t, "the reason is logged", func() bool { return log.has("connections.max.idle.ms") })
}

func TestPeerThatDoesNotReadIsCutOff(t *testing.T) {
	b := &broker{}
	b.file, _ = fileRange(t, vfs.OS(), 64<<20)
	for _, least := range []int64{1, -1} {
		s, log := serve(t, b, Limits{SendTimeout: 100 * time.Millisecond, SendfileBytes: least})
		c := dial(t, s, "PLAINTEXT")
		req := kmsg.NewPtrFetchRequest()
		req.Version = 12
		c.send(req)
		eventually(t, "the reason is logged", func() bool { return log.has("it took none of an answer") })
	}
}

// A chunk takes such a peer several times the limit, but it never stops taking.
func TestPeerThatReadsSlowlyIsServed(t *testing.T) {
	const size = 1200 << 10 // two seconds
	b := &broker{sendBuffer: 32 << 10}
	b.file, _ = fileRange(t, vfs.OS(), size)
	for _, least := range []int64{1, -1} {
		s, log := serve(t, b, Limits{SendTimeout: 700 * time.Millisecond, SendfileBytes: least})
		c := dial(t, s, "PLAINTEXT")
		c.nc.(*net.TCPConn).SetReadBuffer(32 << 10)
		req := kmsg.NewPtrFetchRequest()
		req.Version = 12
		c.send(req)
		p := make([]byte, 24<<10)
		for got := 0; got < size; {
			n, err := c.nc.Read(p)
			if err != nil {
				t.Fatalf("after %d bytes with %d: %v\n%s", got, least, err, log.text.String())
			}
			got += n
			pause := time.NewTimer(40 * time.Millisecond)
			<-pause.C
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	b := &broker{}
	s, log := serve(t, b, Limits{MaxConnectionsPerIP: 2})
	one, two := dial(t, s, "PLAINTEXT"), dial(t, s, "PLAINTEXT")
	one.ask(metadataRequest("a"))
	two.ask(metadataRequest("a"))
	three := dial(t, s, "PLAINTEXT")
	three.closed()
	eventually(t, "the reason is logged", func() bool { return log.has("max.connections.per.ip") })
	one.nc.Close()
	eventually(t, "its place is free", func() bool { return s.Connections() == 1 })
	dial(t, s, "PLAINTEXT").ask(metadataRequest("a"))
	s.SetLimits(Limits{MaxConnectionsPerIP: 2, PerIP: map[string]int{"127.0.0.1": 3}})
	dial(t, s, "PLAINTEXT").ask(metadataRequest("a"))
}

func TestMaxConnectionsMakesOthersWait(t *testing.T) {
	b := &broker{}
	s, err := New(Config{
		Listeners: []Listener{
			{Name: "CLIENTS", Address: "127.0.0.1:0", Routes: b.routes()},
			{Name: "BROKERS", Address: "127.0.0.1:0", Routes: b.routes(), Privileged: true},
		},
		Limits: Limits{MaxConnections: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(0)
	old := dial(t, s, "CLIENTS")
	old.ask(metadataRequest("a"))
	young := dial(t, s, "CLIENTS")
	young.ask(metadataRequest("a"))
	dial(t, s, "BROKERS").ask(metadataRequest("a"))
	// The acceptor of the clients had let itself in for one more before the limit was reached; the connection after
	// that waits.
	third, fourth := dial(t, s, "CLIENTS"), dial(t, s, "CLIENTS")
	answered := make(chan struct{}, 2)
	for _, c := range []*client{third, fourth} {
		go func() {
			c.ask(metadataRequest("a"))
			answered <- struct{}{}
		}()
	}
	eventually(t, "the acceptor waits", func() bool { return len(answered) <= 1 && s.Connections() >= 2 })
	s.SetLimits(Limits{MaxConnections: 10})
	<-answered
	<-answered
}

// Ten thousand connections that asked once and are quiet must cost little, and no buffer each.
func TestTenThousandIdleConnections(t *testing.T) {
	want := 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if int(files.Cur) < 2*want+200 {
		want = (int(files.Cur) - 200) / 2
	}
	if testing.Short() {
		want = min(want, 1000)
	}
	b := &broker{}
	s, _ := serve(t, b, Limits{})
	lent := bufpool.Lent()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, want)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, metadataRequest("a"), 1)
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			answer := make([]byte, 4096)
			for i := k; i < want; i += 8 {
				nc, err := net.Dial("tcp", s.Addr("PLAINTEXT").String())
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = nc
				nc.Write(frame)
				if _, err := nc.Read(answer); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	eventually(t, "all are quiet", func() bool { return bufpool.Lent() == lent })
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)
	each := used / int64(want)
	t.Logf("%d connections, %d bytes each for both ends", want, each)
	if each > 12<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	dial(t, s, "PLAINTEXT").ask(metadataRequest("a"))
	for _, nc := range conns {
		if nc != nil {
			nc.Close()
		}
	}
}

// Many connections that hold half-sent requests fill the budget; one that sends properly is served all the same.
func TestHalfSentRequestsDoNotStarveOthers(t *testing.T) {
	s, log := serve(t, &broker{}, Limits{MemoryBytes: 4 << 20})
	s.stall = 200 * time.Millisecond
	for range 40 {
		c := dial(t, s, "PLAINTEXT")
		c.nc.Write([]byte{0, 0x40, 0, 0, 0, 0})
		c.nc.Write(make([]byte, 100_000))
	}
	eventually(t, "the budget is in use", func() bool { return s.budget.full() })
	c := dial(t, s, "PLAINTEXT")
	c.ask(metadataRequest("a"))
	if used := s.budget.used.Load(); used > 4<<20 {
		t.Errorf("the budget of 4 MiB is overdrawn: %d", used)
	}
	if got := baseOffset(c.ask(produceRequest(9, 1, make([]byte, 1<<20)))); got != 1<<20 {
		t.Errorf("a large request arrived as %d", got)
	}
	eventually(t, "the reason is logged", func() bool { return log.has("stopped arriving while others wait") })
}
