//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestClusterPage pastes docs/CLUSTER.md into one shell, as somebody would who tries a cluster by hand.
func TestClusterPage(t *testing.T) {
	p := newPasteShell(t)
	blocks := shellBlocks(t, "../docs/CLUSTER.md", "## Start it", "## When a node does not get ready")
	if len(blocks) != 6 {
		t.Fatalf("docs/CLUSTER.md has %d blocks", len(blocks))
	}
	p.ports = strings.NewReplacer("localhost:29", "localhost:"+freeHundreds(t))
	// What runs when the shell ends, ends with it.
	out := p.paste("trap 'kill $(cat ~/weir-cluster/*.pid ~/weir-cluster/*/*.pid) 2> /dev/null || true; wait' EXIT\n" + strings.Join(blocks, "\n"))
	for _, want := range []string{"Created topic orders.", "\n2000\n", "Reassignment of partition orders-5 is completed.", "Clearing broker-level throttles on brokers 1,2,3,4",
		"Broker 4 is no longer registered.", "Added controller 12 with directory id"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page never shows %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// freeHundreds are the first two digits of ports that are free where the page has 29192, 29193 and so on.
func freeHundreds(t *testing.T) string {
	t.Helper()
	for first := 29; first > 19; first-- {
		taken := false
		for node := 1; node <= 6; node++ {
			for _, port := range []int{92, 93} {
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d%d%d", first, node, port))
				if err != nil {
					taken = true
					continue
				}
				_ = l.Close()
			}
		}
		if !taken {
			return fmt.Sprint(first)
		}
	}
	t.Fatal("no ports are free")
	return ""
}
