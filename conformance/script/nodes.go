package script

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// Node is one of several nodes that a scenario speaks with, and what may be done to it.
type Node struct {
	// Addr is where it serves clients, Controller where it serves nodes, DataDir what it keeps on disk.
	Addr, Controller, DataDir string
	// Stop ends it in order; Start starts it again and waits until it answers.
	Stop, Start func() error
}

// PlayNodes runs a scenario against the nodes of a cluster, of which the first is the one that Ask and its kin ask.
func PlayNodes(sc Scenario, nodes []Node) Transcript {
	return play(sc, nodes)
}

// nodeNames are the parts of answers that name a node by where it is, longer ones first.
func nodeNames(nodes []Node) []string {
	if len(nodes) == 1 { // there is no other to take it for
		return placeNames(nodes[0].Addr, nodes[0].DataDir, "")
	}
	var out []string
	for i, n := range nodes {
		out = append(out, placeNames(n.Addr, n.DataDir, fmt.Sprint(" ", i+1))...)
		out = append(out, placeNames(n.Controller, "", fmt.Sprint(" of controller ", i+1))...)
	}
	return out
}

func placeNames(addr, dataDir, which string) []string {
	_, port, _ := strings.Cut(addr, ":")
	out := []string{addr, "<addr" + which + ">", ":" + port, ":<port" + which + ">"}
	if dataDir != "" {
		out = append([]string{dataDir, "<data" + which + ">"}, out...)
	}
	return out
}

// Node is the i-th node, from 1 on.
func (s *Session) Node(i int32) Node { return s.nodes[i-1] }

// At is the session's connection to the i-th node.
func (s *Session) At(i int32) *kwire.Conn { return s.to(s.Node(i).Addr) }

// AtController is the session's connection to the i-th node's listener for nodes.
func (s *Session) AtController(i int32) *kwire.Conn { return s.to(s.Node(i).Controller) }

// to is a connection that is dialled when there is none.
func (s *Session) to(addr string) *kwire.Conn {
	if s.byAddr[addr] == nil {
		if s.byAddr == nil {
			s.byAddr = map[string]*kwire.Conn{}
		}
		s.byAddr[addr] = s.dialled(kwire.Dial(addr))
	}
	return s.byAddr[addr]
}

// forget closes a connection that the broker has ended, so that the next question dials anew.
func (s *Session) forget(c *kwire.Conn) {
	if c == s.conn {
		s.Drop()
		return
	}
	for addr, other := range s.byAddr {
		if other == c {
			_ = c.Close()
			delete(s.byAddr, addr)
		}
	}
}

// AskAt is Ask at the i-th node, which the label names.
func (s *Session) AskAt(i int32, label string, version int16, req kmsg.Request) kmsg.Response {
	return s.AskOn(s.At(i), fmt.Sprintf("%s, at node %d", label, i), version, req)
}

// QuietAt is Quiet at the i-th node.
func (s *Session) QuietAt(i int32, version int16, req kmsg.Request) kmsg.Response {
	return s.quiet(s.At(i), "preparing: "+kmsg.NameForKey(req.Key()), version, req)
}

// Halt stops the i-th node in order, Resume starts it again.
func (s *Session) Halt(i int32) { s.change(i, "stopping", s.Node(i).Stop) }

// Resume starts a node that Halt has stopped.
func (s *Session) Resume(i int32) { s.change(i, "starting", s.Node(i).Start) }

func (s *Session) change(i int32, what string, do func() error) {
	for _, addr := range []string{s.Node(i).Addr, s.Node(i).Controller} {
		if c := s.byAddr[addr]; c != nil {
			s.forget(c)
		}
	}
	if err := do(); err != nil {
		panic(endOfScenario{fmt.Sprintf("%s node %d: %v", what, i, err)})
	}
}

// QuietOn is Quiet on another connection.
func (s *Session) QuietOn(c *kwire.Conn, version int16, req kmsg.Request) kmsg.Response {
	return s.quiet(c, "preparing: "+kmsg.NameForKey(req.Key()), version, req)
}
