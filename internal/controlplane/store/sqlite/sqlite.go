// Package sqlite keeps the service's documents in one SQLite file: WAL, every
// commit synced, mode 0600, its schema brought up to date at opening. One
// process at a time holds a directory; a second one is told who does.
//
// It holds no knowledge of what the documents say.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/vfs"
)

//go:embed migrations
var migrations embed.FS

// The files in a directory.
const (
	fileName   = "weir.db"
	lockName   = "weir.lock"
	holderName = "weir.pid"
)

// ErrHeld is wrapped when another process holds the directory.
var ErrHeld = errors.New("another service holds the directory")

// DB is a store.Store in a directory. Safe for concurrent use.
type DB struct {
	db   *sql.DB
	dir  string
	lock io.Closer
}

var _ store.Store = (*DB)(nil)

// busyMs is how long a statement waits for a lock of another program.
const busyMs = 5000

// Open opens the store in a directory, making both if they are missing.
func Open(ctx context.Context, dir string) (*DB, error) { return open(ctx, dir, busyMs) }

func open(ctx context.Context, dir string, waitMs int) (*DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	d := &DB{dir: dir, lock: lock}
	if err := d.connect(ctx, waitMs); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// takeLock keeps other services away and leaves word of who does.
func takeLock(dir string) (io.Closer, error) {
	holder := filepath.Join(dir, holderName)
	lock, err := vfs.OS().Lock(filepath.Join(dir, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		pid, _ := os.ReadFile(holder) // it may not be written yet
		return nil, fmt.Errorf("%w %s (pid %s): use that one, end it, or choose another directory", ErrHeld, dir, strings.TrimSpace(string(pid)))
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := os.WriteFile(holder, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return lock, nil
}

func (d *DB) connect(ctx context.Context, waitMs int) error {
	path := filepath.Join(d.dir, fileName)
	// Made here, so that nobody else may read it; its WAL gets the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	err = errors.Join(f.Chmod(0o600), f.Close())
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", waitMs), "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	d.db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	// One connection: writers would wait for each other anyway, and the
	// documents are small.
	d.db.SetMaxOpenConns(1)
	return d.explain("open", d.migrate(ctx))
}

// migrate brings the schema up to date, each step in a transaction.
func (d *DB) migrate(ctx context.Context) error {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	var have int
	if err := d.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("it was written by a later version of Weir (schema %d, this one knows %d): start that version", have, len(files))
	}
	for i := have; i < len(files); i++ {
		text, err := migrations.ReadFile("migrations/" + files[i].Name())
		if err != nil {
			return err
		}
		err = d.write(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", files[i].Name(), err)
		}
	}
	return nil
}

// Close lets the directory go.
func (d *DB) Close() error {
	var err error
	if d.db != nil {
		err = d.db.Close()
	}
	return errors.Join(err, os.Remove(filepath.Join(d.dir, holderName)), d.lock.Close())
}

func (d *DB) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Get implements store.Store.
func (d *DB) Get(ctx context.Context, kind, key string) (store.Doc, error) {
	doc := store.Doc{Kind: kind, Key: key}
	err := d.db.QueryRowContext(ctx, "SELECT body, revision FROM documents WHERE kind = ? AND key = ?", kind, key).Scan(&doc.Body, &doc.Revision)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	return doc, d.explain("read "+kind+" "+key, err)
}

// current returns the revision of a document, 0 if there is none.
func current(ctx context.Context, tx *sql.Tx, kind, key string) (rev int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT revision FROM documents WHERE kind = ? AND key = ?", kind, key).Scan(&rev)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return rev, err
}

// Put implements store.Store.
func (d *DB) Put(ctx context.Context, kind, key string, body []byte, revision int64) (next int64, err error) {
	err = d.write(ctx, func(tx *sql.Tx) error {
		if rev, err := current(ctx, tx, kind, key); err != nil {
			return err
		} else if rev != revision {
			return store.ErrConflict
		}
		if err := tx.QueryRowContext(ctx, "UPDATE counter SET revision = revision + 1 RETURNING revision").Scan(&next); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO documents (kind, key, body, revision) VALUES (?, ?, ?, ?)", kind, key, body, next)
		return err
	})
	if err != nil {
		return 0, d.explain("write "+kind+" "+key, err)
	}
	return next, nil
}

// Delete implements store.Store.
func (d *DB) Delete(ctx context.Context, kind, key string, revision int64) error {
	return d.explain("delete "+kind+" "+key, d.write(ctx, func(tx *sql.Tx) error {
		rev, err := current(ctx, tx, kind, key)
		switch {
		case err != nil:
			return err
		case rev == 0:
			return store.ErrNotFound
		case rev != revision:
			return store.ErrConflict
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM documents WHERE kind = ? AND key = ?", kind, key)
		return err
	}))
}

// List implements store.Store.
func (d *DB) List(ctx context.Context, kind, prefix string, limit int, before string) ([]store.Doc, error) {
	if limit <= 0 {
		limit = -1
	}
	rows, err := d.db.QueryContext(ctx, "SELECT key, body, revision FROM documents WHERE kind = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2 "+
		"AND (?3 = '' OR key < ?3) ORDER BY key DESC LIMIT ?4", kind, prefix, before, limit)
	if err != nil {
		return nil, d.explain("list "+kind, err)
	}
	defer rows.Close()
	var out []store.Doc
	for rows.Next() {
		doc := store.Doc{Kind: kind}
		if err := rows.Scan(&doc.Key, &doc.Body, &doc.Revision); err != nil {
			return nil, d.explain("list "+kind, err)
		}
		out = append(out, doc)
	}
	return slices.Clip(out), d.explain("list "+kind, rows.Err())
}

// explain says what failed, where, and what to do about it.
func (d *DB) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	var bad *driver.Error
	if errors.As(err, &bad) {
		switch bad.Code() & 0xff {
		case codes.SQLITE_FULL:
			err = fmt.Errorf("%w: free some on the disk of %s; nothing was changed (%w)", store.ErrFull, d.dir, err)
		case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
			err = fmt.Errorf("%w: end the program that has %s open (%w)", store.ErrBusy, filepath.Join(d.dir, fileName), err)
		case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
			err = fmt.Errorf("%s is damaged: put a copy from a backup in its place (%w)", filepath.Join(d.dir, fileName), err)
		case codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN, codes.SQLITE_PERM:
			err = fmt.Errorf("%s cannot be written: look at its owner and mode (%w)", filepath.Join(d.dir, fileName), err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
