package log

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// Manager owns the log directories of a node and the logs in them. Safe for concurrent use.
//
// Life: OpenManager (locks, meta.properties, checkpoints), Load (all logs, with recovery), Start, … , Close. A start that
// fails in between ends with Abandon.
type Manager struct {
	cfg     ManagerConfig
	env     *environment
	dirs    []*directory
	opening [16]lifecycle.IOLock // by partition: make, delete, swap

	mu      sync.RWMutex
	logs    map[TopicPartition]*Log
	futures map[TopicPartition]*Log
	cleaner *cleaner
	closed  bool

	marking lifecycle.IOLock // the marks of this run
	lacking atomic.Bool      // something that was written may be gone, so the mark of the run before does not count

	moves    chan struct{}
	moveRate atomic.Uint64 // float64 bits; 0: no bound

	failMu   sync.Mutex
	group    *lifecycle.Group // nil until Start
	failures []DirState       // from before Start
}

// OpenManager locks the directories, reads meta.properties and checkpoints and notes whether each was left
// cleanly. A directory that cannot be read is offline, not an error, unless none is left; one that another process uses,
// that is not formatted, or that belongs to another node or cluster is an error.
func OpenManager(cfg ManagerConfig) (*Manager, error) {
	cfg = cfg.withDefaults()
	env := newEnvironment(cfg.FS, cfg.Logger, cfg.Now)
	env.files, env.indexes = newFileCache(cfg.MaxOpenFiles), newIndexCache(cfg.MaxIndexBytes)
	env.durability, env.onFlushed, env.onStartMoved = cfg.Durability, cfg.OnFlushed, cfg.OnStartMoved
	env.producerExpirationMs.Store(cfg.ProducerExpirationMs)
	env.verifyTxns.Store(cfg.VerifyTransactions)
	m := &Manager{cfg: cfg, env: env, marking: lifecycle.NewIOLock(), moves: make(chan struct{}, 1), logs: map[TopicPartition]*Log{}, futures: map[TopicPartition]*Log{}}
	for i := range m.opening {
		m.opening[i] = lifecycle.NewIOLock()
	}
	m.cleaner = newCleaner(m)
	env.onLowered, env.onLack = m.lowered, m.endRun
	online := 0
	for _, path := range cfg.Dirs {
		d := newDirectory(env, path, newSyncer(cfg.DirSyncWorkers, cfg.OnFlushed), m.dirFailed)
		m.dirs = append(m.dirs, d)
		err := d.open()
		var refused *refusedError
		if errors.As(err, &refused) {
			return nil, errors.Join(err, m.Abandon())
		}
		if err != nil {
			d.fail(err)
			continue
		}
		online++
	}
	if online == 0 {
		return nil, errors.Join(m.allOffline(), m.Abandon())
	}
	if err := m.checkIdentity(); err != nil {
		return nil, errors.Join(err, m.Abandon())
	}
	m.judgeRun()
	return m, nil
}

// refusedError is a reason to refuse the start, where a fault of the disk only takes the directory offline.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// open locks the directory and reads what lies in its root.
func (d *directory) open() error {
	fsys := d.env.fs
	if err := vfs.MakeDir(fsys, d.path); err != nil {
		return err
	}
	lock, err := fsys.Lock(filepath.Join(d.path, lockFile))
	if errors.Is(err, vfs.ErrLocked) {
		return &refusedError{fmt.Errorf("log directory %s is in use by another process (it holds %s)", d.path, lockFile)}
	}
	if err != nil {
		return err
	}
	d.lock = lock
	meta, err := ReadMetaProperties(fsys, d.path)
	switch {
	case vfs.IsNotExist(err):
		return &refusedError{fmt.Errorf("log directory %s is not formatted: it has no %s", d.path, MetaPropertiesFile)}
	case errors.Is(err, ErrMetaProperties):
		return &refusedError{err}
	case err != nil:
		return err
	}
	if meta.DirectoryID == ([16]byte{}) {
		if err := d.giveID(&meta); err != nil {
			return err
		}
	}
	d.id, d.meta = meta.DirectoryID, meta
	if d.clean, d.cleanEpoch, err = readCleanShutdown(fsys, d.path); err != nil {
		return err
	}
	if d.run, err = readRunMark(fsys, d.path); err != nil {
		return err
	}
	return d.readCheckpoints()
}

// giveID makes a directory id for a directory of the days before there were any.
func (d *directory) giveID(meta *MetaProperties) error {
	for meta.DirectoryID[0] == 0 || meta.DirectoryID[0]>>2 == 0x3e { // not reserved, not shown with a leading '-'
		_, _ = rand.Read(meta.DirectoryID[:])
	}
	return WriteMetaProperties(d.env.fs, d.path, *meta, d.env.now())
}

func (d *directory) readCheckpoints() error {
	for name, to := range map[string]*map[TopicPartition]int64{recoveryPointFile: &d.points, logStartFile: &d.starts,
		highWatermarkFile: &d.watermarks, cleanerFile: &d.dirtyStarts} {
		full := filepath.Join(d.path, name)
		got, err := readOffsets(d.env.fs, full)
		var damaged *damagedError
		if errors.As(err, &damaged) {
			d.logger.Error("damaged checkpoint is set aside", "error", err)
			if err = d.env.lack(); err == nil {
				err = d.env.fs.Rename(full, full+corruptSuffix)
			}
		}
		if err != nil {
			return err
		}
		*to = got
	}
	return nil
}

// checkIdentity makes sure that all directories belong to this node and to one cluster.
func (m *Manager) checkIdentity() error {
	ids := map[[16]byte]string{}
	cluster := m.cfg.ClusterID
	for _, d := range m.dirs {
		if d.offline() != nil {
			continue
		}
		if d.meta.NodeID >= 0 && d.meta.NodeID != m.cfg.NodeID {
			return fmt.Errorf("log directory %s belongs to node %d, not %d", d.path, d.meta.NodeID, m.cfg.NodeID)
		}
		if cluster == "" {
			cluster = d.meta.ClusterID
		}
		if d.meta.ClusterID != "" && d.meta.ClusterID != cluster {
			return fmt.Errorf("log directory %s belongs to cluster %s, not %s", d.path, d.meta.ClusterID, cluster)
		}
		if other, twice := ids[d.id]; twice {
			return fmt.Errorf("log directories %s and %s have the same directory.id", other, d.path)
		}
		ids[d.id] = d.path
	}
	return nil
}

// dirFailed has the directory's logs cut off and the node told, by a goroutine of the background group, since whoever
// found the fault holds a log's lock.
func (m *Manager) dirFailed(st DirState, _ error) {
	m.noteFailure(st)
	if err := m.endRun(); err != nil {
		m.cfg.Logger.Error("the mark of this run stays in a failed log directory", "dir", st.Path, "error", err)
	}
}

func (m *Manager) noteFailure(st DirState) {
	m.failMu.Lock()
	defer m.failMu.Unlock()
	if m.group == nil {
		m.failures = append(m.failures, st)
		return
	}
	m.group.Go("directory failure", func(context.Context) { m.tellFailure(st) })
}

func (m *Manager) tellFailure(st DirState) {
	for _, l := range m.All() {
		if d := l.dir.Load(); d != nil && d.path == st.Path {
			l.closeFiles()
		}
	}
	if m.cfg.OnDirFailure != nil {
		m.cfg.OnDirFailure(st, st.Err)
	}
}

func (m *Manager) openLock(tp TopicPartition) lifecycle.IOLock {
	h := uint32(tp.Partition)
	for i := range len(tp.Topic) {
		h = h*31 + uint32(tp.Topic[i])
	}
	return m.opening[h%uint32(len(m.opening))]
}

// Open returns the log of a partition, making it if it is not there. dirID chooses the directory of a new log; the zero
// value means the online one with the fewest logs. A log with another topic id is an error that wraps
// wire.InconsistentTopicId; an offline or unknown directory gives wire.KafkaStorageError.
func (m *Manager) Open(tp TopicPartition, id TopicID, dirID [16]byte) (*Log, error) {
	lock := m.openLock(tp)
	lock.Lock()
	defer lock.Unlock()
	if l := m.Get(tp); l != nil {
		if err := l.usable(); err != nil {
			return nil, err
		}
		if id != (TopicID{}) {
			if err := l.setTopicID(id); err != nil {
				return nil, err
			}
		}
		return l, nil
	}
	d, err := m.reserve(dirID)
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", tp, err)
	}
	l, err := m.create(tp, id, d, tp.String())
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("%s: the node is stopping: %w", tp, wire.KafkaStorageError)
	}
	m.logs[tp] = l
	return l, nil
}

// reserve chooses a directory as dirFor does and counts a log in it at once, so that logs made side by side spread over
// the directories. Who does not make the log takes the count back.
func (m *Manager) reserve(dirID [16]byte) (*directory, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.dirFor(dirID)
	if err == nil {
		d.logs.Add(1)
	}
	return d, err
}

// dirFor returns the directory with an id, or the online one with the fewest logs.
func (m *Manager) dirFor(dirID [16]byte) (*directory, error) {
	if dirID != ([16]byte{}) {
		for _, d := range m.dirs {
			if d.id == dirID {
				if err := d.offline(); err != nil {
					return nil, fmt.Errorf("log directory %s is offline: %w", d.path, wire.KafkaStorageError)
				}
				return d, nil
			}
		}
		return nil, fmt.Errorf("no log directory has the id %x: %w", dirID, wire.KafkaStorageError)
	}
	var best *directory
	least := int64(0)
	for _, d := range m.dirs {
		if n := d.logs.Load(); d.offline() == nil && (best == nil || n < least) {
			best, least = d, n
		}
	}
	if best == nil {
		return nil, fmt.Errorf("all log directories are offline: %w", wire.KafkaStorageError)
	}
	return best, nil
}

// create makes an empty log in a directory that was reserved for it, and gives the reservation back if it cannot.
func (m *Manager) create(tp TopicPartition, id TopicID, d *directory, name string) (l *Log, err error) {
	defer func() {
		if err != nil {
			d.logs.Add(-1)
		}
	}()
	if err := m.forget(d, tp); err != nil {
		return nil, d.problem("checkpoint", err)
	}
	path := filepath.Join(d.path, name)
	l = newLog(m.env, d, tp, path, m.topicConfig(tp.Topic))
	_, err = m.env.fs.Stat(path)
	fresh := vfs.IsNotExist(err)
	if err := m.env.fs.MkdirAll(path); err != nil {
		return nil, l.storageError("make", err)
	}
	l.madeAt.Store(d.entriesMade.Add(1))
	if fresh {
		err = l.loadFresh(id)
	} else if err = l.load(loadState{}); err == nil && id != (TopicID{}) {
		err = l.setTopicID(id)
	}
	if err != nil {
		return nil, l.storageError("make", err)
	}
	return l, nil
}

// loadFresh sets up a log in a directory that was just made: there is nothing to read.
func (l *Log) loadFresh(id TopicID) error {
	seg := newSegment(l, 0, l.env.nowMs())
	seg.offsets.reset(nil, 0)
	seg.times.reset(nil)
	if err := seg.create(0); err != nil {
		return err
	}
	l.segs.Store(&[]*segment{seg})
	l.producers = &producerState{}
	l.newFiles.Store(true)
	l.fresh = true
	if id == (TopicID{}) {
		return nil
	}
	l.id.Store(&id)
	l.metadataUnsynced.Store(true)
	return writeAt(l.env.fs, filepath.Join(l.dirPath(), partitionMetadataFile), encodePartitionMetadata(id), 0, false)
}

func (m *Manager) topicConfig(topic string) Config {
	if m.cfg.TopicConfig == nil {
		return DefaultConfig()
	}
	return m.cfg.TopicConfig(topic)
}

// Get returns the log of a partition, or nil.
func (m *Manager) Get(tp TopicPartition) *Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.logs[tp]
}

// Future returns the future replica of a partition that is being moved, or nil.
func (m *Manager) Future(tp TopicPartition) *Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.futures[tp]
}

// All returns the logs at this moment, in no order, without future replicas.
func (m *Manager) All() []*Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*Log, 0, len(m.logs))
	for _, l := range m.logs {
		out = append(out, l)
	}
	return out
}

// Dirs returns the state of the log directories in the order of the configuration, with the space of their volumes.
func (m *Manager) Dirs() []DirState {
	out := make([]DirState, 0, len(m.dirs))
	for _, d := range m.dirs {
		out = append(out, d.stateWithUsage())
	}
	return out
}

// SetVerifyTransactions changes transaction.partition.verification.enable.
func (m *Manager) SetVerifyTransactions(on bool) { m.env.verifyTxns.Store(on) }

// SetProducerExpirationMs changes producer.id.expiration.ms.
func (m *Manager) SetProducerExpirationMs(ms int64) { m.env.producerExpirationMs.Store(ms) }

// Delete takes a partition's log away: its directory is renamed and its files go after file.delete.delay.ms. A
// partition without a log is no error.
func (m *Manager) Delete(tp TopicPartition) error {
	lock := m.openLock(tp)
	lock.Lock()
	defer lock.Unlock()
	m.mu.Lock()
	logs := []*Log{m.logs[tp], m.futures[tp]}
	delete(m.logs, tp)
	delete(m.futures, tp)
	m.mu.Unlock()
	var errs []error
	for _, l := range logs {
		if l != nil {
			errs = append(errs, m.retire(l, deleteDirSuffix))
		}
	}
	return errors.Join(errs...)
}

// retire ends a log's use and renames its directory; with the suffix of deletion it is removed later.
func (m *Manager) retire(l *Log, suffix string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = fmt.Errorf("%s is deleted: %w", l.tp, wire.NotLeaderOrFollower)
	d := l.dir.Load()
	d.logs.Add(-1)
	d.mu.Lock()
	d.stale[l.tp] = true
	d.mu.Unlock()
	l.closeFiles()
	if d.offline() != nil {
		return nil
	}
	to := filepath.Join(d.path, uniqueDirName(l.tp, suffix))
	if err := m.env.fs.Rename(l.dirPath(), to); err != nil {
		return d.problem("rename "+l.dirPath(), err)
	}
	l.path.Store(&to)
	if suffix == deleteDirSuffix {
		d.removeTreeLater(to, m.env.nowMs()+l.cfg.Load().FileDeleteDelayMs, l)
	}
	return nil
}

func (d *directory) removeTreeLater(path string, atMs int64, l *Log) {
	d.deleteLater(atMs, func() error {
		if l != nil {
			l.closeFiles()
		}
		return d.env.fs.RemoveAll(path)
	})
}

// SetAsideStrays renames the directories of partitions that isStray picks to -stray, where an operator finds them. It
// refuses, and renames nothing, if those were more than half of the logs of a directory: then it is rather the
// metadata that is wrong.
func (m *Manager) SetAsideStrays(isStray func(tp TopicPartition, id TopicID) bool) ([]TopicPartition, error) {
	strays := map[*directory][]*Log{}
	for _, l := range m.All() {
		if isStray(l.tp, l.TopicID()) {
			d := l.dir.Load()
			strays[d] = append(strays[d], l)
		}
	}
	for d, ls := range strays {
		if total := d.logs.Load(); int64(len(ls))*2 > total && total > 1 {
			return nil, fmt.Errorf("%d of the %d logs in %s belong to no partition of this node: nothing is set aside", len(ls), total, d.path)
		}
	}
	var out []TopicPartition
	for _, ls := range strays {
		for _, l := range ls {
			lock := m.openLock(l.tp)
			lock.Lock()
			m.mu.Lock()
			delete(m.logs, l.tp)
			m.mu.Unlock()
			err := m.retire(l, strayDirSuffix)
			lock.Unlock()
			if err != nil {
				return out, err
			}
			m.cfg.Logger.Warn("stray log is set aside", "partition", l.tp.String(), "dir", l.dirPath())
			out = append(out, l.tp)
		}
	}
	return out, nil
}

// Abandon gives up the directories without marking them as cleanly left, after a start that failed.
func (m *Manager) Abandon() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	var errs []error
	for _, l := range m.All() {
		l.mu.Lock()
		l.gone = fmt.Errorf("%s is closed: %w", l.tp, wire.KafkaStorageError)
		l.mu.Unlock()
		l.closeFiles()
	}
	for _, d := range m.dirs {
		if lock := m.takeLock(d); lock != nil {
			errs = append(errs, lock.Close())
		}
	}
	return errors.Join(errs...)
}
