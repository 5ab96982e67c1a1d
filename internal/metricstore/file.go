package metricstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// schema is version 1 of the file.
const schema = `
CREATE TABLE series (id INTEGER PRIMARY KEY, labels TEXT NOT NULL);
CREATE TABLE chunks (series INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (series, start));
CREATE INDEX chunks_by_end ON chunks ("end");
CREATE TABLE journal (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
PRAGMA user_version = 1;`

// openFile opens and loads the file, and sets a damaged one aside.
func (s *Store) openFile() error {
	ctx := context.Background()
	err := s.tryFile(ctx)
	if !damaged(err) {
		return err
	}
	aside := fmt.Sprintf("%s.damaged-%d", s.file, s.opt.Now().Unix())
	s.opt.Log.Warn("the history of metrics is damaged: beginning a new one", "file", s.file, "kept as", aside, "err", err)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(s.file+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	s.byHash, s.byName, s.count, s.nextID = map[uint64][]*series{}, map[string][]*series{}, 0, 1
	return s.tryFile(ctx)
}

func damaged(err error) bool {
	var bad *driver.Error
	if errors.As(err, &bad) {
		code := bad.Code() & 0xff
		return code == codes.SQLITE_CORRUPT || code == codes.SQLITE_NOTADB
	}
	return errors.Is(err, errJournal)
}

func (s *Store) tryFile(ctx context.Context) error {
	// Made here, so that nobody else may read it; its WAL gets the same mode.
	f, err := os.OpenFile(s.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: s.file}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(4)
	s.db = db
	if err := s.load(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// load makes the tables or reads what the file knows of series, and replays
// the journal.
func (s *Store) load(ctx context.Context) error {
	var version int
	if err := s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch version {
	case 0:
		_, err := s.db.ExecContext(ctx, schema)
		return err
	case 1:
	default:
		return fmt.Errorf("%s was written by a later version of Weir (schema %d): start that version, or move the file away", s.file, version)
	}
	byID, err := s.loadSeries(ctx)
	if err != nil {
		return err
	}
	rows, err := s.db.QueryContext(ctx, "SELECT data FROM journal ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return err
		}
		err := readJournal(data, func(id, t int64, v float64) {
			// An id is never given again while an entry names it.
			s.nextID = max(s.nextID, id+1)
			if r := byID[id]; r != nil {
				// What the file has already is not later than its last sample.
				_ = r.append(t, v)
			}
		})
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) loadSeries(ctx context.Context) (map[int64]*series, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, labels, (SELECT "end" FROM chunks WHERE series = id ORDER BY start DESC LIMIT 1) FROM series`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	byID := map[int64]*series{}
	for rows.Next() {
		var text []byte
		var last sql.NullInt64
		r := &series{last: noTime}
		if err := rows.Scan(&r.id, &text, &last); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &r.labels); err != nil {
			return nil, fmt.Errorf("%w: labels of series %d: %w", errJournal, r.id, err)
		}
		if last.Valid {
			r.last = last.Int64
		}
		byID[r.id] = r
		s.add(r.labels.Hash(), r)
		s.nextID = max(s.nextID, r.id+1)
	}
	return byID, rows.Err()
}

// loop commits until the group stops.
func (s *Store) loop(ctx context.Context) {
	commit := time.NewTicker(s.opt.CommitEvery)
	defer commit.Stop()
	checkpoint := time.NewTicker(s.opt.CheckpointEvery)
	defer checkpoint.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-commit.C:
			err = s.commit(ctx)
		case <-checkpoint.C:
			err = s.checkpoint(ctx)
		}
		if (err != nil) != s.failing && ctx.Err() == nil {
			if s.failing = err != nil; s.failing {
				s.opt.Log.Error("metrics are kept in memory only", "file", s.file, "err", err)
			} else {
				s.opt.Log.Info("metrics are written again", "file", s.file)
			}
		}
	}
}

// maxJournal bounds what waits for a disk that takes nothing; older samples
// are then in memory only, until the next checkpoint.
const maxJournal = 32 << 20

// commit writes the samples since the last one to the journal.
func (s *Store) commit(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	entries, fresh, gone := s.journal, s.fresh, s.gone
	s.journal, s.fresh, s.gone = nil, nil, nil
	s.mu.Unlock()
	if len(entries)+len(fresh)+len(gone) == 0 {
		return nil
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		if err := writeSeries(ctx, tx, fresh, gone); err != nil || len(entries) == 0 {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO journal (data) VALUES (?)", entries)
		return err
	})
	if err != nil {
		s.putBack(entries, fresh, gone)
	}
	return err
}

func (s *Store) putBack(entries []byte, fresh []*series, gone []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range fresh {
		if !r.gone {
			s.fresh = append(s.fresh, r)
		}
	}
	s.gone = append(gone, s.gone...)
	if len(entries)+len(s.journal) <= maxJournal {
		s.journal = append(entries, s.journal...)
	}
}

func (s *Store) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func writeSeries(ctx context.Context, tx *sql.Tx, fresh []*series, gone []int64) error {
	for _, r := range fresh {
		text, err := json.Marshal(r.labels)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO series (id, labels) VALUES (?, ?)", r.id, text); err != nil {
			return err
		}
	}
	for _, id := range gone {
		for _, q := range []string{"DELETE FROM chunks WHERE series = ?", "DELETE FROM series WHERE id = ?"} {
			if _, err := tx.ExecContext(ctx, q, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// toWrite is a chunk on its way to the file.
type toWrite struct {
	chunk
	series *series
	sealed bool
}

// checkpoint writes all chunks that changed in place of the journal, and
// deletes what is older than the retention.
func (s *Store) checkpoint(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	cutoff := s.opt.Now().Add(-s.opt.Retention)
	s.mu.Lock()
	s.drop(s.silentSince(cutoff))
	entries, fresh, gone := s.journal, s.fresh, s.gone
	s.journal, s.fresh, s.gone = nil, nil, nil
	chunks := s.collect(cutoff.UnixMilli())
	s.mu.Unlock()
	err := s.write(ctx, func(tx *sql.Tx) error {
		if err := writeSeries(ctx, tx, fresh, gone); err != nil {
			return err
		}
		if err := writeChunks(ctx, tx, chunks); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM chunks WHERE "end" < ?`, cutoff.UnixMilli()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM journal")
		return err
	})
	s.settle(chunks, err == nil)
	if err != nil {
		s.putBack(entries, fresh, gone)
	}
	return err
}

// collect takes what has to be written; s.mu is held.
func (s *Store) collect(cutoff int64) []toWrite {
	var out []toWrite
	for _, rs := range s.byHash {
		for _, r := range rs {
			for len(r.sealed) > 0 && r.sealed[0].end < cutoff {
				r.sealed = r.sealed[1:]
			}
			for _, c := range r.sealed {
				out = append(out, toWrite{c, r, true})
			}
			r.wroteSealed = len(r.sealed)
			if r.dirty {
				c := chunk{r.openStart, r.last, append([]byte(nil), r.open.Bytes()...)}
				out = append(out, toWrite{c, r, false})
				r.dirty = false
			}
		}
	}
	return out
}

// settle forgets sealed chunks that are written, or marks as unwritten again
// what is not.
func (s *Store) settle(chunks []toWrite, written bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range chunks {
		r := w.series
		switch {
		case written:
			r.sealed, r.wroteSealed = r.sealed[r.wroteSealed:], 0
		case !w.sealed && r.open != nil && r.openStart == w.start:
			r.dirty = true
		}
	}
}

func writeChunks(ctx context.Context, tx *sql.Tx, chunks []toWrite) error {
	st, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO chunks (series, start, "end", data) VALUES (?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer st.Close()
	for _, w := range chunks {
		if _, err := st.ExecContext(ctx, w.series.id, w.start, w.end, w.data); err != nil {
			return err
		}
	}
	return nil
}

// fromFile reads a series' chunks that touch [from, to].
func fromFile(ctx context.Context, st *sql.Stmt, id, from, to int64) (out []chunk, err error) {
	rows, err := st.QueryContext(ctx, id, to, from)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c chunk
		if err := rows.Scan(&c.start, &c.end, &c.data); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

const selectChunks = `SELECT start, "end", data FROM chunks WHERE series = ? AND start <= ? AND "end" >= ? ORDER BY start`
