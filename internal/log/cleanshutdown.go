package log

import (
	"encoding/json"
	"path/filepath"

	"github.com/weir-stream/weir/internal/vfs"
)

const (
	cleanShutdownFile = ".kafka_cleanshutdown"
	lockFile          = ".lock"
)

// encodeCleanShutdown is the one line of JSON that marks a directory as cleanly left.
func encodeCleanShutdown(brokerEpoch int64) []byte {
	p, _ := json.Marshal(struct {
		Version     int   `json:"version"`
		BrokerEpoch int64 `json:"brokerEpoch"`
	}{0, brokerEpoch})
	return p
}

// decodeCleanShutdown returns the broker epoch of the run that ended, -1 for the markers of old brokers, which count
// as clean whatever they hold.
func decodeCleanShutdown(p []byte) int64 {
	var m struct {
		Version     *int   `json:"version"`
		BrokerEpoch *int64 `json:"brokerEpoch"`
	}
	if json.Unmarshal(p, &m) != nil || m.Version == nil || *m.Version != 0 || m.BrokerEpoch == nil || *m.BrokerEpoch < 0 {
		return -1
	}
	return *m.BrokerEpoch
}

func readCleanShutdown(fsys vfs.FS, dir string) (clean bool, epoch int64, err error) {
	p, err := vfs.ReadFile(fsys, filepath.Join(dir, cleanShutdownFile), 64<<10)
	if vfs.IsNotExist(err) {
		return false, -1, nil
	}
	if err != nil {
		return false, -1, err
	}
	return true, decodeCleanShutdown(p), nil
}
