package brokers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// StartNodes formats and starts n nodes of one cluster, node 1 to n, each a broker and a voter, unless Each gives it
// process.roles of its own. c.Dir gets a folder for each; c.Props are put over the settings of all. When one of them fails,
// those that run are killed.
func StartNodes(ctx context.Context, n int, c Config) ([]*Broker, error) {
	if c.Port == 0 {
		c.Port = 20800
	}
	all := make([]*Broker, n)
	var voters []string
	next := c.Port
	for i := range all {
		b := &Broker{Config: c}
		b.Dir = filepath.Join(c.Dir, fmt.Sprint("node", i+1))
		b.Port, b.Props = next, maps.Clone(c.Props)
		if c.Each != nil {
			if err := c.Each(i+1, b); err != nil {
				return nil, err
			}
		}
		if err := b.choosePorts(); err != nil {
			return nil, err
		}
		next = b.lastPort + 1
		if !b.brokerOnly() {
			voters = append(voters, fmt.Sprintf("%d@%s:%d", i+1, b.host(), b.Controller))
		}
		all[i] = b
	}
	for i, b := range all {
		own := b.Props
		b.Props = map[string]string{
			"node.id": fmt.Sprint(i + 1), "controller.quorum.voters": strings.Join(voters, ","),
			"offsets.topic.replication.factor":         fmt.Sprint(min(n, 3)),
			"transaction.state.log.replication.factor": fmt.Sprint(min(n, 3)), "transaction.state.log.min.isr": fmt.Sprint(min(n, 2)),
		}
		maps.Copy(b.Props, own)
		if err := b.writeProps(); err != nil {
			return nil, err
		}
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i, b := range all {
		wg.Go(func() {
			if errs[i] = b.format(ctx); errs[i] == nil {
				errs[i] = b.Run(ctx)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, b := range all {
			b.Kill()
		}
		return nil, err
	}
	return all, nil
}

// choosePorts finds the node's ports and makes its folders.
func (b *Broker) choosePorts() error {
	if err := os.MkdirAll(filepath.Join(b.Dir, "logs"), 0o755); err != nil {
		return err
	}
	var err error
	if b.Port, err = FreePort(b.Port); err != nil {
		return err
	}
	if b.Controller, err = FreePort(b.Port + 1); err != nil {
		return err
	}
	b.Addr = fmt.Sprintf("%s:%d", b.host(), b.Port)
	b.At = map[string]string{}
	next := b.Controller
	for _, name := range slices.Sorted(maps.Keys(b.Extra)) {
		if next, err = FreePort(next + 1); err != nil {
			return err
		}
		b.At[name] = fmt.Sprintf("%s:%d", b.host(), next)
	}
	b.lastPort = next
	return nil
}
