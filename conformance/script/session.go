// Package script records what a broker answers to a scenario in a form that
// can be compared with another broker's answers: ids, ports and clocks are
// replaced by names in the order in which they appear, everything else is kept.
// It asks nothing by itself and judges nothing but equality.
package script

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// A Scenario is a named conversation. Run asks through the session; what it
// asks next may depend on the answers.
type Scenario struct {
	Name string
	Run  func(s *Session)
}

// Entry is one recorded answer, flattened: a path in the answer to its value.
type Entry struct {
	Label string
	Facts map[string]string
}

// Transcript is what one broker said to one scenario.
type Transcript struct {
	Scenario string
	Entries  []Entry
}

// Session is a scenario under way with one broker. It is not safe for
// concurrent use.
type Session struct {
	// Base is an hour ago in whole seconds, in milliseconds: the origin of
	// record timestamps. Times near it are recorded relative to it.
	Base int64

	addr    string
	conn    *kwire.Conn
	others  []*kwire.Conn
	nodes   []Node
	byAddr  map[string]*kwire.Conn // see to
	naming  *naming
	out     *Transcript
	ranges  map[int16][2]int16
	logDirs string
	uniques int
}

// endOfScenario is what a session panics with when going on makes no sense.
type endOfScenario struct{ why string }

// Play runs a scenario against the broker at addr. dataDir is replaced in
// answers, and the broker's answers to ApiVersions decide over ranges.
func Play(sc Scenario, addr, dataDir string) Transcript {
	return play(sc, []Node{{Addr: addr, DataDir: dataDir}})
}

func play(sc Scenario, nodes []Node) (tr Transcript) {
	tr.Scenario = sc.Name
	s := &Session{addr: nodes[0].Addr, nodes: nodes, out: &tr, logDirs: nodes[0].DataDir}
	s.Base = time.Now().Add(-time.Hour).Truncate(time.Second).UnixMilli()
	s.naming = newNaming(s.Base, nodeNames(nodes))
	s.naming.several = len(nodes) > 1
	defer func() {
		s.close()
		switch v := recover().(type) {
		case nil:
		case endOfScenario:
			s.Note("the scenario ended early", v.why)
		case error:
			// A nil answer was used: the connection was closed where an answer was needed.
			s.Note("the scenario ended early", v.Error())
		default:
			panic(v)
		}
	}()
	sc.Run(s)
	return tr
}

func (s *Session) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	for _, c := range s.others {
		_ = c.Close()
	}
	for _, c := range s.byAddr {
		_ = c.Close()
	}
}

// Addr is the broker's address.
func (s *Session) Addr() string { return s.addr }

// DataDir is the broker's log directory, for requests that name it.
func (s *Session) DataDir() string { return s.logDirs }

// Conn is the session's connection, dialled when there is none.
func (s *Session) Conn() *kwire.Conn {
	if s.conn == nil {
		s.conn = s.dial()
	}
	return s.conn
}

// NewConn is a further connection, closed at the end of the scenario.
func (s *Session) NewConn() *kwire.Conn {
	c := s.dial()
	s.others = append(s.others, c)
	return c
}

// ConnFrom is a further connection from another address of this machine.
func (s *Session) ConnFrom(local string) *kwire.Conn {
	c := s.dialled(kwire.DialFrom(local, s.addr))
	s.others = append(s.others, c)
	return c
}

func (s *Session) dial() *kwire.Conn { return s.dialled(kwire.Dial(s.addr)) }

func (s *Session) dialled(c *kwire.Conn, err error) *kwire.Conn {
	if err != nil {
		panic(endOfScenario{"the broker does not accept connections: " + errorText(err)})
	}
	return c
}

// Drop closes the session's connection; the next question dials anew.
func (s *Session) Drop() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// Versions is the range of versions to ask an API with: what the broker
// advertises, as far as this client knows it.
func (s *Session) Versions(key int16) (lo, hi int16) {
	if s.ranges == nil {
		s.ranges = map[int16][2]int16{}
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 3, "kwire", "1"
		resp, err := s.Conn().Request(req)
		if err != nil {
			panic(endOfScenario{"ApiVersions: " + errorText(err)})
		}
		for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
			s.ranges[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
	}
	r, ok := s.ranges[key]
	if !ok {
		return 0, -1
	}
	return r[0], min(r[1], kmsg.RequestForKey(key).MaxVersion())
}

// Ask sends a request at a version, records the answer under the label and
// returns it; nil when the broker hung up instead.
func (s *Session) Ask(label string, version int16, req kmsg.Request) kmsg.Response {
	return s.AskOn(s.Conn(), label, version, req)
}

// AskOn is Ask on another connection.
func (s *Session) AskOn(c *kwire.Conn, label string, version int16, req kmsg.Request) kmsg.Response {
	resp := s.quiet(c, label, version, req)
	if resp != nil {
		s.Record(fmt.Sprintf("%s v%d", label, version), resp)
	}
	return resp
}

// Quiet asks and records nothing but a failure: for preparations.
func (s *Session) Quiet(version int16, req kmsg.Request) kmsg.Response {
	return s.quiet(s.Conn(), "preparing: "+kmsg.NameForKey(req.Key()), version, req)
}

func (s *Session) quiet(c *kwire.Conn, label string, version int16, req kmsg.Request) kmsg.Response {
	req.SetVersion(version)
	resp, err := c.Request(req)
	label = fmt.Sprintf("%s v%d", label, version)
	if err != nil {
		s.Note(label, errorText(err))
		s.forget(c)
		return nil
	}
	if !bytes.Equal(resp.AppendTo(nil), c.LastBody) {
		s.Note(label+" encoding", fmt.Sprintf("%d bytes that encode again to %d other ones", len(c.LastBody), len(resp.AppendTo(nil))))
	}
	return resp
}

// Until waits for a condition that comes about by itself, and records it when
// it does not.
func (s *Session) Until(what string, done func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if done() {
			return
		}
		if time.Now().After(deadline) {
			s.Note("waiting for "+what, "in vain")
			return
		}
	}
}

// Unique is a name that this scenario has not used.
func (s *Session) Unique(prefix string) string {
	s.uniques++
	return fmt.Sprintf("%s-%s-%d", s.out.Scenario, prefix, s.uniques)
}

// Record adds an answer, or any other struct, to the transcript.
func (s *Session) Record(label string, answer any) {
	s.out.Entries = append(s.out.Entries, Entry{Label: s.naming.text(label), Facts: s.naming.flatten(answer)})
}

// Note adds a single fact to the transcript.
func (s *Session) Note(label, fact string) {
	s.out.Entries = append(s.out.Entries, Entry{Label: s.naming.text(label), Facts: map[string]string{"": s.naming.text(fact)}})
}

// Exchange writes raw bytes on a connection of its own and records what comes
// back within a second or two: "closed", "silence" or the answer's length.
func (s *Session) Exchange(label string, raw []byte) {
	c := s.dial()
	defer c.Close()
	if err := c.Write(raw); err != nil {
		s.Note(label, errorText(err))
		return
	}
	frame, err := c.ReadFrame(1500 * time.Millisecond)
	if err != nil {
		s.Note(label, errorText(err))
		return
	}
	s.Note(label, fmt.Sprintf("answered with %d bytes", len(frame)))
}

// errorText names an error so that it is the same on every run.
func errorText(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "connection reset"), strings.Contains(err.Error(), "broken pipe"):
		return "closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "silence"
	}
	return err.Error()
}
