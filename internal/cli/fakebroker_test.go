package cli

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeBroker answers requests as a test says. It stands for the whole of a cluster, brokers and controllers, at one
// address, and answers ApiVersions and Metadata by itself unless told otherwise.
type fakeBroker struct {
	addr string
	host string
	port int32

	mu      sync.Mutex
	answers map[int16]func(kmsg.Request) kmsg.Response
	seen    []kmsg.Request
}

// newFakeBroker starts a broker with id 1 that ends with the test.
func newFakeBroker(t testing.TB) *fakeBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr)
	b := &fakeBroker{addr: at.String(), host: at.IP.String(), port: int32(at.Port), answers: map[int16]func(kmsg.Request) kmsg.Response{}}
	b.on(kmsg.NewPtrApiVersionsRequest(), func(kmsg.Request) kmsg.Response { return allVersions() })
	b.on(kmsg.NewPtrMetadataRequest(), func(kmsg.Request) kmsg.Response { return b.metadata(1) })
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			open.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
	})
	return b
}

// on sets the answer to requests of the kind of req. A nil answer closes the connection.
func (b *fakeBroker) on(req kmsg.Request, answer func(kmsg.Request) kmsg.Response) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[req.Key()] = answer
}

// requests are the requests of the kind of req that came so far.
func (b *fakeBroker) requests(req kmsg.Request) (found []kmsg.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.seen {
		if r.Key() == req.Key() {
			found = append(found, r)
		}
	}
	return found
}

// metadata is an answer without topics, in which all of ids are at this broker's address.
func (b *fakeBroker) metadata(ids ...int32) *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	for _, id := range ids {
		node := kmsg.NewMetadataResponseBroker()
		node.NodeID, node.Host, node.Port = id, b.host, b.port
		resp.Brokers = append(resp.Brokers, node)
	}
	resp.ControllerID = ids[0]
	return resp
}

func allVersions() *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if r := kmsg.RequestForKey(key); r != nil {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, r.MaxVersion()
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
	}
	return resp
}

func (b *fakeBroker) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		answer := b.answer(frame)
		if answer == nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// answer is the whole frame of an answer, nil to close the connection.
func (b *fakeBroker) answer(frame []byte) []byte {
	r := kbin.Reader{Src: frame}
	key, version, correlation := r.Int16(), r.Int16(), r.Int32()
	r.NullableString()
	req := kmsg.RequestForKey(key)
	if req == nil {
		return nil
	}
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if req.ReadFrom(r.Src) != nil {
		return nil
	}
	b.mu.Lock()
	b.seen = append(b.seen, req)
	handle := b.answers[key]
	b.mu.Unlock()
	if handle == nil {
		return nil
	}
	resp := handle(req)
	if resp == nil {
		return nil
	}
	resp.SetVersion(version)
	const apiVersions = 18 // its answers have the old header always
	out := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(correlation))
	if resp.IsFlexible() && key != apiVersions {
		out = append(out, 0)
	}
	out = resp.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}
