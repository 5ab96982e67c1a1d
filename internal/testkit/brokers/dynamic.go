package brokers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
)

// StartDynamic is StartNodes with a dynamic quorum (KIP-853): the first initial nodes are its voters, the others are
// controllers that have no vote yet. directories are the ids of the voters' metadata directories.
func StartDynamic(ctx context.Context, n, initial int, c Config) (all []*Broker, directories []string, err error) {
	if c.Port == 0 {
		c.Port = 20800
	}
	var seeds, voters []string
	next := c.Port
	for i := range n {
		b := &Broker{Config: c}
		b.Dir, b.Port = filepath.Join(c.Dir, fmt.Sprint("node", i+1)), next
		if err := b.choosePorts(); err != nil {
			return nil, nil, err
		}
		next = b.Controller + 1
		all = append(all, b)
		seeds = append(seeds, fmt.Sprintf("%s:%d", b.host(), b.Controller)) // those that vote later, too: the others may go
		if i < initial {
			id, err := randomID()
			if err != nil {
				return nil, nil, err
			}
			directories = append(directories, id)
			voters = append(voters, fmt.Sprintf("%d@%s:%d:%s", i+1, b.host(), b.Controller, id))
		}
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i, b := range all {
		b.Props = map[string]string{
			"node.id": fmt.Sprint(i + 1), "controller.quorum.voters": "", "controller.quorum.bootstrap.servers": strings.Join(seeds, ","),
			"offsets.topic.replication.factor":         fmt.Sprint(min(n, 3)),
			"transaction.state.log.replication.factor": fmt.Sprint(min(n, 3)), "transaction.state.log.min.isr": fmt.Sprint(min(n, 2)),
		}
		maps.Copy(b.Props, c.Props)
		if err := b.writeProps(); err != nil {
			return nil, nil, err
		}
		b.Format = []string{"--no-initial-controllers"}
		if i < initial {
			b.Format = []string{"--initial-controllers", strings.Join(voters, ",")}
		}
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
		return nil, nil, err
	}
	return all, directories, nil
}

// randomID is an id as kafka-storage random-uuid prints it.
func randomID() (string, error) {
	for {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", err
		}
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		if id := base64.RawURLEncoding.EncodeToString(b[:]); id[0] != '-' {
			return id, nil
		}
	}
}
