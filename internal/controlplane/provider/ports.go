package provider

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Ports hands out free ports on the loopback address, each one once until it
// is given back. It is safe for concurrent use.
type Ports struct {
	mu         sync.Mutex
	next, last int
	first      int
	taken      map[int]bool
}

// NewPorts hands out ports of a range, except those that are reserved: the
// ones of clusters that exist, running or not.
func NewPorts(first, last int, reserved ...int) *Ports {
	p := &Ports{first: first, next: first, last: last, taken: map[int]bool{}}
	for _, r := range reserved {
		p.taken[r] = true
	}
	return p
}

// Pick returns n ports that nobody listens on and that were not handed out.
// It hands out all n or none.
func (p *Ports) Pick(n int) ([]int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []int
	for range p.last - p.first + 1 {
		if len(out) == n {
			break
		}
		port := p.next
		if p.next++; p.next > p.last {
			p.next = p.first
		}
		if !p.taken[port] && Free(port) == nil {
			out = append(out, port)
		}
	}
	if len(out) < n {
		return nil, fmt.Errorf("only %d of %d ports are free from %d to %d: end what listens there, or delete a cluster", len(out), n, p.first, p.last)
	}
	for _, port := range out {
		p.taken[port] = true
	}
	return out, nil
}

// Release gives ports back.
func (p *Ports) Release(ports ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range ports {
		delete(p.taken, port)
	}
}

// Free says whether a process could listen on a port of the loopback address
// now; the error says why not.
func Free(port int) error {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is in use by another process: end it or choose another port", port)
	}
	if err != nil {
		return err
	}
	return l.Close()
}
