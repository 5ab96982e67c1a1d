package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Engines says what can be created on this machine, the default engine first.
func (s *Service) Engines() []EngineInfo {
	var out []EngineInfo
	for _, e := range s.engines {
		info := EngineInfo{Name: e.Name(), Default: s.defaultVersion(e.Name()), Capabilities: e.Capabilities()}
		versions, err := e.Versions()
		info.Versions = versions
		if len(info.Versions) == 0 {
			info.Versions = []string{info.Default}
		}
		info.Ready = err == nil
		if err != nil {
			info.Problem = sentence(err.Error())
		}
		if e.Name() == spec.EngineWeir { // what a wish without an engine gets comes first
			out = append([]EngineInfo{info}, out...)
			continue
		}
		out = append(out, info)
	}
	return out
}

// targets tells the metrics which brokers of a cluster there are; nil: none.
func (s *Service) targets(id string, c *spec.Cluster) {
	if s.o.Metrics == nil {
		return
	}
	var out []MetricsTarget
	if c != nil {
		l := s.layout(c)
		for _, b := range c.Brokers {
			if !b.Stopped {
				out = append(out, MetricsTarget{Broker: b.ID, URL: engine.MetricsURL(b), PIDFile: l.PID(b.ID), Data: l.Data(b.ID), ClientProperties: l.ClientProperties()})
			}
		}
	}
	s.o.Metrics.SetTargets(id, out)
}

// The most that BrokerLog reads and returns.
const (
	maxLogBytes = 1 << 20
	maxLogLines = 2000
)

// BrokerLog returns the last lines of a broker's own log, and of what its
// process printed where it has none.
func (s *Service) BrokerLog(ctx context.Context, cluster string, broker int32, lines int) ([]string, error) {
	c, err := s.cluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if _, ok := c.Broker(broker); !ok {
		return nil, fmt.Errorf("broker %d of %s: %w", broker, c.Name, ErrNotFound)
	}
	if lines <= 0 || lines > maxLogLines {
		lines = maxLogLines
	}
	l := s.layout(c)
	var out []string
	for _, file := range []string{filepath.Join(l.Logs(broker), "server.log"), l.Output(broker)} {
		got, err := tail(file, lines)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if out = append(out, got...); len(out) > 0 {
			break
		}
	}
	return out, nil
}

// tail returns the last lines of a file, reading at most its last megabyte.
func tail(file string, lines int) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(0, size-maxLogBytes)
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLogBytes))
	if err != nil {
		return nil, err
	}
	if from > 0 { // the first line is cut
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	trimmed := strings.TrimRight(string(text), "\n")
	if trimmed == "" {
		return nil, nil
	}
	all := strings.Split(trimmed, "\n")
	return all[max(0, len(all)-lines):], nil
}
