// Package metricstore keeps time series for days in one SQLite file: Gorilla
// chunks of up to two hours per series, answered through Prometheus' query
// language. Open chunks live in memory; every commit interval the samples
// since the last one go to a journal in the file, synced. So the death of the
// process or a power cut costs at most Options.CommitEvery of samples, and a
// clean Close costs nothing.
//
// It scrapes nothing, knows nothing of Kafka and has floats only, no
// histograms. One process at a time has a file.
package metricstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/vfs"
)

// Options are the limits of a store; the zero value of each stands for the
// default that it names.
type Options struct {
	// Retention is how long samples are kept: 7 days.
	Retention time.Duration
	// MaxSeries bounds the series that are kept at once: 20 000. A new one
	// beyond it takes the place of the one that was silent the longest, if any
	// has been for SilentAfter; else it is refused.
	MaxSeries int
	// SilentAfter is 10 minutes.
	SilentAfter time.Duration
	// CommitEvery is how often samples are made durable: 5 seconds.
	CommitEvery time.Duration
	// CheckpointEvery is how often open chunks replace the journal: 10 minutes.
	CheckpointEvery time.Duration
	// Lookback is for how long a sample stands for its series in a query where
	// no later one came: 15 seconds, three scrapes.
	Lookback time.Duration
	Now      func() time.Time
	Log      *slog.Logger
}

func (o *Options) fill() {
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{
		{&o.Retention, 7 * 24 * time.Hour}, {&o.SilentAfter, 10 * time.Minute}, {&o.CommitEvery, 5 * time.Second},
		{&o.CheckpointEvery, 10 * time.Minute}, {&o.Lookback, 15 * time.Second},
	} {
		if *d.to <= 0 {
			*d.to = d.value
		}
	}
	if o.MaxSeries <= 0 {
		o.MaxSeries = 20_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

var (
	// ErrTooManySeries is returned for a sample of a new series beyond the limit.
	ErrTooManySeries = errors.New("too many series")
	// ErrOutOfOrder is returned for a sample that is not later than the last one
	// of its series.
	ErrOutOfOrder = errors.New("sample is not later than the last one")
)

// Store is safe for concurrent use.
type Store struct {
	opt    Options
	db     *sql.DB
	engine *promql.Engine
	file   string
	lock   io.Closer

	// mu guards what follows; it is held for memory only.
	mu      sync.Mutex
	byHash  map[uint64][]*series
	byName  map[string][]*series
	count   int
	nextID  int64
	fresh   []*series // not in the file yet
	gone    []int64   // to be deleted from the file
	journal []byte    // samples since the last commit
	// full says that the last new series was refused, sinceScan when the last
	// search for silent ones found none.
	full      bool
	sinceScan time.Time

	// writing is held by who writes to the file.
	writing lifecycle.IOLock
	group   *lifecycle.Group
	failing bool // the last write failed; of the loop
}

// Open opens the store in a file, making it if it is missing. A file that is
// damaged is set aside under another name, since history is worth less than a
// service that starts.
func Open(file string, o Options) (*Store, error) {
	o.fill()
	s := &Store{opt: o, file: file, byHash: map[uint64][]*series{}, byName: map[string][]*series{}, nextID: 1, writing: lifecycle.NewIOLock()}
	var err error
	if s.lock, err = vfs.OS().Lock(file + ".lock"); err != nil {
		return nil, fmt.Errorf("open the store of metrics: %w", err)
	}
	if err := s.openFile(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store of metrics: %w", err), s.lock.Close())
	}
	s.engine = newEngine(o)
	s.group = lifecycle.New("metricstore", o.Log)
	s.group.Go("commit", s.loop)
	return s, nil
}

// Close makes everything durable and closes the file.
func (s *Store) Close() error {
	s.group.Stop()
	return errors.Join(s.checkpoint(context.Background()), s.db.Close(), s.lock.Close())
}

// Append adds one sample to the series with these labels, __name__ included.
// It is durable after the next commit.
func (s *Store) Append(lset labels.Labels, tMs int64, v float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.seriesOf(lset)
	if err != nil {
		return err
	}
	if err := r.append(tMs, v); err != nil {
		return err
	}
	s.journal = appendEntry(s.journal, r.id, tMs, v)
	return nil
}

// seriesOf finds or makes a series; s.mu is held.
func (s *Store) seriesOf(lset labels.Labels) (*series, error) {
	h := lset.Hash()
	for _, r := range s.byHash[h] {
		if labels.Equal(r.labels, lset) {
			return r, nil
		}
	}
	if s.count >= s.opt.MaxSeries && !s.makeRoom() {
		if !s.full {
			s.full = true
			s.opt.Log.Warn("metrics of new series are refused: as many series as allowed are in use", "limit", s.opt.MaxSeries, "first refused", lset.String())
		}
		return nil, ErrTooManySeries
	}
	s.full = false
	r := &series{id: s.nextID, labels: lset, last: noTime}
	s.nextID++
	s.fresh = append(s.fresh, r)
	s.add(h, r)
	return r, nil
}

func (s *Store) add(hash uint64, r *series) {
	s.byHash[hash] = append(s.byHash[hash], r)
	name := r.labels.Get(model.MetricNameLabel)
	s.byName[name] = append(s.byName[name], r)
	s.count++
}

// Series is how many series are kept now.
func (s *Store) Series() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}
