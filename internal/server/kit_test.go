package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// client speaks the protocol over one socket, with kmsg for both directions.
type client struct {
	t    testing.TB
	nc   net.Conn
	in   *bufio.Reader
	corr int32
}

func newReader(nc net.Conn) *bufio.Reader { return bufio.NewReader(nc) }

func dial(t testing.TB, s *Server, listener string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr(listener).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, nc: nc, in: newReader(nc)}
}

func (c *client) send(req kmsg.Request) int32 {
	c.t.Helper()
	c.corr++
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))
	if _, err := c.nc.Write(f.AppendRequest(nil, req, c.corr)); err != nil {
		c.t.Fatal(err)
	}
	return c.corr
}

// frame reads an answer without its length.
func (c *client) frame() ([]byte, error) {
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return nil, err
	}
	p := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c.in, p)
	return p, err
}

func (c *client) receive(req kmsg.Request) (int32, kmsg.Response) {
	c.t.Helper()
	p, err := c.frame()
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	corr := int32(binary.BigEndian.Uint32(p))
	p = p[4:]
	if resp.IsFlexible() && req.Key() != 18 {
		p = p[1:]
	}
	if err := resp.ReadFrom(p); err != nil {
		c.t.Fatalf("answer of key %d: %v", req.Key(), err)
	}
	return corr, resp
}

func (c *client) ask(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	want := c.send(req)
	got, resp := c.receive(req)
	if got != want {
		c.t.Fatalf("correlation id %d, want %d", got, want)
	}
	return resp
}

// closed waits until the server has closed the connection.
func (c *client) closed() {
	c.t.Helper()
	if p, err := c.frame(); err == nil {
		c.t.Fatalf("an answer of %d bytes instead of an end", len(p))
	} else if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
		c.t.Fatal("the connection stays open")
	}
}

// lines is a log that a test can wait on.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how often the log has s.
func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		tick := time.NewTimer(2 * time.Millisecond)
		<-tick.C
	}
}

// broker is a set of routes that a test can steer.
type broker struct {
	produced chan *wire.Request // if not nil, Produce requests wait here for the test to answer
	parked   chan *wire.Request // likewise Fetch
	file     *vfs.Range
	alone    atomic.Bool // the next Produce wants none beside it

	sendBuffer int

	mu   sync.Mutex
	seen []string
}

func (b *broker) routes() []wire.Route {
	return []wire.Route{
		{Key: 0, MinVersion: 3, MaxVersion: 13, ClaimFromZero: true, MaxFrameBytes: 100 << 20, Pipelined: true, Handle: b.produce},
		{Key: 1, MinVersion: 4, MaxVersion: 18, Handle: b.fetch},
		{Key: 3, MinVersion: 0, MaxVersion: 13, Handle: b.metadata},
		{Key: 14, MinVersion: 0, MaxVersion: 5, Handle: b.sync},
		{Key: 18, MinVersion: 0, MaxVersion: 4, Handle: b.versions},
	}
}

func (b *broker) note(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, s)
}

func (b *broker) versions(r *wire.Request) {
	resp := r.Body.ResponseKind().(*kmsg.ApiVersionsResponse)
	resp.ApiKeys = wire.ApiVersionKeys(b.routes())
	r.Reply(resp)
}

func (b *broker) metadata(r *wire.Request) {
	b.note("metadata")
	resp := r.Body.ResponseKind().(*kmsg.MetadataResponse)
	if r.ClientID == "throttled" {
		r.ThrottleMs = 300
	}
	for _, t := range r.Body.(*kmsg.MetadataRequest).Topics {
		mt := kmsg.NewMetadataResponseTopic()
		mt.Topic = t.Topic
		resp.Topics = append(resp.Topics, mt)
	}
	r.Reply(resp)
}

func (b *broker) sync(r *wire.Request) {
	resp := r.Body.ResponseKind().(*kmsg.SyncGroupResponse)
	for _, a := range r.Body.(*kmsg.SyncGroupRequest).GroupAssignment {
		resp.MemberAssignment = append(resp.MemberAssignment, a.MemberAssignment...)
	}
	r.Reply(resp)
}

func produceAnswer(r *wire.Request) wire.Response {
	if r.Produce.Acks == 0 {
		return nil
	}
	resp := kmsg.NewPtrProduceResponse()
	for _, t := range r.Produce.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Name, t.ID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset = p.Index, int64(len(p.Records))
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (b *broker) produce(r *wire.Request) {
	for _, t := range r.Produce.Topics {
		for _, p := range t.Partitions {
			if n := len(p.Records); n > 0 && p.Records[0] != p.Records[n-1] && p.Records[0] != 'a' && r.ClientID == "" {
				panic("records of another request")
			}
		}
	}
	b.note("produce")
	r.Alone = b.alone.Swap(false)
	if b.produced != nil {
		b.produced <- r
		return
	}
	r.Reply(produceAnswer(r))
}

func (b *broker) fetch(r *wire.Request) {
	b.note("fetch")
	if b.parked != nil {
		b.parked <- r
		return
	}
	r.Reply(b.fetchAnswer())
}

func (b *broker) fetchAnswer() *wire.FetchResponse {
	resp := &wire.FetchResponse{Topics: []wire.FetchTopic{{Name: "t", Partitions: []wire.FetchPartition{{PreferredReadReplica: -1}}}}}
	if b.file != nil {
		b.file.Retain()
		resp.Topics[0].Partitions[0].Records = b.file
	}
	return resp
}

func serve(t testing.TB, b *broker, limits Limits) (*Server, *lines) {
	t.Helper()
	log := new(lines)
	s, err := New(Config{
		Listeners: []Listener{{Name: "PLAINTEXT", SecurityProtocol: "PLAINTEXT", Address: "127.0.0.1:0", Routes: b.routes(), SendBufferBytes: b.sendBuffer}},
		Limits:    limits,
		Logger:    slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop(time.Second)
		if n := s.budget.used.Load(); n != 0 {
			t.Errorf("%d bytes of the budget were not given back", n)
		}
	})
	return s, log
}

func produceRequest(version int16, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = "topic"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func metadataRequest(topics ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	for _, name := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	return req
}

func baseOffset(resp kmsg.Response) int64 {
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].BaseOffset
}
