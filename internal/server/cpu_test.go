package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// The benchmarks of CPU time run the server in a process of its own, so that the kernel says what it alone used.

const childEnv = "WEIR_SERVER_BENCH_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		benchChild(mode)
		return
	}
	os.Exit(m.Run())
}

// benchChild serves until its input ends, then prints the seconds of CPU that it used since the input's first byte.
func benchChild(mode string) {
	b := &broker{}
	limits := Limits{SendfileBytes: -1}
	if strings.HasPrefix(mode, "fetch") {
		var size, least int
		fmt.Sscanf(mode, "fetch %d %d", &size, &least)
		limits.SendfileBytes = int64(least)
		name := filepath.Join(os.TempDir(), fmt.Sprint("weir-bench-", os.Getpid()))
		f, err := vfs.OS().Open(name, vfs.Create)
		if err != nil {
			panic(err)
		}
		defer os.Remove(name)
		if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
			panic(err)
		}
		b.file = vfs.NewRange(f, 0, int64(size), nil)
	}
	routes := b.routes()
	if mode == "produce" {
		routes[0].Handle = func(r *wire.Request) {
			for i := range r.Produce.Topics {
				for _, p := range r.Produce.Topics[i].Partitions {
					batch, err := record.CheckProduced(p.Records, r.Version)
					if err == nil {
						_, err = record.Validate(batch, record.Limits{FromClient: true, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62})
					}
					if err != nil {
						panic(err)
					}
				}
			}
			r.Reply(produceAnswer(r))
		}
	}
	s, err := New(Config{Listeners: []Listener{{Name: "L", Address: "127.0.0.1:0", Routes: routes}}, Limits: limits})
	if err != nil {
		panic(err)
	}
	if err := s.Start(); err != nil {
		panic(err)
	}
	fmt.Println(s.Addr("L"))
	in := bufio.NewReader(os.Stdin)
	in.ReadByte()
	if name := os.Getenv("WEIR_SERVER_BENCH_PROFILE"); name != "" {
		f, err := os.Create(name)
		if err == nil {
			pprof.StartCPUProfile(f)
			defer pprof.StopCPUProfile()
		}
	}
	before := cpu()
	io.Copy(io.Discard, in)
	fmt.Println((cpu() - before).Seconds())
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// child starts a server process; stop returns its CPU seconds.
func child(b *testing.B, mode string) (addr string, begin func(), stop func() float64) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReader(out)
	addr, err = lines.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(addr), func() { in.Write([]byte{1}) }, func() float64 {
		in.Close()
		var seconds float64
		if _, err := fmt.Fscan(lines, &seconds); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		return seconds
	}
}

func exchangeFrames(b *testing.B, addr string, frame []byte, inFlight int) {
	b.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	tokens := make(chan struct{}, inFlight)
	done := make(chan error, 1)
	go func() {
		var size [4]byte
		sink := make([]byte, 1<<20)
		for range b.N {
			if _, err := io.ReadFull(nc, size[:]); err != nil {
				done <- err
				return
			}
			for left := int(binary.BigEndian.Uint32(size[:])); left > 0; {
				n, err := nc.Read(sink[:min(left, len(sink))])
				if left -= n; err != nil {
					done <- err
					return
				}
			}
			<-tokens
		}
		done <- nil
	}()
	for range b.N {
		tokens <- struct{}{}
		if _, err := nc.Write(frame); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// Produce from the socket through decoding and validation to the answer, without a log.
func BenchmarkProduceCPU(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10, 1 << 20} {
		for _, value := range []int{100, 1000} {
			if value == 1000 && size != 64<<10 {
				continue
			}
			var w record.Builder
			w.Reset(record.NewCompression(record.None), 0)
			for w.UncompressedSize() < size-value-20 {
				w.Append(1_700_000_000_000, nil, make([]byte, value))
			}
			batch, err := w.Build()
			if err != nil {
				b.Fatal(err)
			}
			frame := kmsg.NewRequestFormatter().AppendRequest(nil, produceRequest(9, 1, batch), 1)
			b.Run(fmt.Sprintf("%dKiB/%dB", size>>10, value), func(b *testing.B) {
				addr, begin, stop := child(b, "produce")
				begin()
				b.SetBytes(int64(len(batch)))
				b.ResetTimer()
				exchangeFrames(b, addr, frame, 5)
				b.StopTimer()
				report(b, stop(), len(batch))
			})
		}
	}
}

func report(b *testing.B, seconds float64, each int) {
	b.ReportMetric(seconds/(float64(each)*float64(b.N)/(1<<30)), "cpu-s/GiB")
	b.ReportMetric(seconds/float64(b.N)*1e6, "cpu-us/request")
}

// Consume: a file range to the socket, by sendfile and through a buffer.
func BenchmarkFetchCPU(b *testing.B) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 12
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	for _, size := range []int{4 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10, 1 << 20} {
		for name, least := range map[string]int{"sendfile": 1, "buffer": -1} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) {
				addr, begin, stop := child(b, fmt.Sprintf("fetch %d %d", size, least))
				begin()
				b.SetBytes(int64(size))
				b.ResetTimer()
				exchangeFrames(b, addr, frame, 2)
				b.StopTimer()
				report(b, stop(), size)
			})
		}
	}
}

// What a request costs in allocations: both ends are in this process, and the client makes none.
func BenchmarkRequestAllocations(b *testing.B) {
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 12
	for name, req := range map[string]kmsg.Request{
		"produce":        produceRequest(9, 1, make([]byte, 64<<10)),
		"produce acks=0": produceRequest(9, 0, make([]byte, 64<<10)),
		"fetch":          fetch,
	} {
		b.Run(name, func(b *testing.B) {
			s, _ := serve(b, &broker{}, Limits{})
			routes := s.listeners[0].routes
			routes[0].Handle = func(r *wire.Request) {
				if r.Produce.Acks == 0 {
					r.Reply(nil)
					return
				}
				r.Reply(fixedAnswer{})
			}
			answer := &wire.FetchResponse{}
			routes[1].Handle = func(r *wire.Request) { r.Reply(answer) }
			frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
			nc, err := net.Dial("tcp", s.Addr("PLAINTEXT").String())
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			last := kmsg.NewRequestFormatter().AppendRequest(nil, produceRequest(9, 1, nil), 1)
			in := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				nc.Write(frame)
				if name == "produce acks=0" {
					continue
				}
				if _, err := nc.Read(in); err != nil {
					b.Fatal(err)
				}
			}
			nc.Write(last)
			nc.Read(in)
		})
	}
}

// fixedAnswer is an answer that costs nothing to make.
type fixedAnswer struct{}

func (fixedAnswer) Key() int16                 { return 0 }
func (fixedAnswer) AppendTo(dst []byte) []byte { return append(dst, 1, 0, 0, 0, 0, 0) }
