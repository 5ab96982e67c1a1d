package config

import (
	"fmt"
	"strings"
)

func conflict(small string, a int64, big string, b int64) error {
	return &Error{Key: small, Value: fmt.Sprint(a), Full: fmt.Sprintf("conflict topic config setting %s (%d) > %s (%d)", small, a, big, b)}
}

// validateRemote holds the rules of tiered storage: it must be on for the whole node, not on compacted topics,
// and not be switched off while data lies there.
func (s *Set) validateRemote(old map[string]string, t Topic) error {
	const key = "remote.storage.enable"
	if !t.RemoteStorageEnable {
		if strings.EqualFold(strings.TrimSpace(old[key]), "true") {
			return &Error{Key: key, Value: "false", Full: "It is invalid to disable remote storage without deleting remote data. " +
				"If you want to keep the remote data and turn to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. " +
				"If you want to disable remote storage and delete all remote data, please set `remote.storage.enable=false,remote.log.delete.on.disable=true`."}
		}
		return nil
	}
	if !s.Bool("remote.log.storage.system.enable") {
		return &Error{Key: key, Value: "true", Full: "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."}
	}
	if t.CleanupCompact {
		return &Error{Key: key, Value: "true", Full: "Remote log storage is unsupported for the compacted topics"}
	}
	return nil
}
