package node

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/vfs"
)

// taken is a network on which an address is free when it is asked about, and taken when it is used.
type taken struct {
	tcp
	asked map[string]int
	port  string
}

var errTaken = errors.New("taken")

func (n *taken) Listen(address string) (net.Listener, error) {
	if n.asked[address]++; strings.HasSuffix(address, n.port) && n.asked[address] > 1 {
		return nil, errTaken
	}
	return n.tcp.Listen(address)
}

// A start that fails half-way says why, and gives back what it had taken: the next one may succeed.
func TestStartThatFailsGivesBackWhatItTook(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller"})
	m := k.members[0]
	opts := m.options()
	_, port, _ := net.SplitHostPort(m.controllerAddress())
	opts.Net = &taken{asked: map[string]int{}, port: port}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if n, err := Start(ctx, opts); !errors.Is(err, errTaken) || n != nil {
		t.Fatalf("started %v, %v", n, err)
	}
	k.start(m)
	// With a disk that fails while the metadata is opened.
	m.kill()
	broken := vfs.Inject(m.fs, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, ".raft") {
			return errTaken
		}
		return nil
	})
	opts = m.options()
	opts.FS = broken
	if n, err := Start(ctx, opts); !errors.Is(err, errTaken) || n != nil {
		t.Fatalf("started %v, %v", n, err)
	}
	k.start(m)
}
