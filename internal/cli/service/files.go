package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files that the verbs read and write themselves, in the service's
// directory unless they say otherwise.
const (
	stateFile  = "service.json" // where the service answers
	tokenFile  = "admin.token"  // the account's own way in
	logFile    = "service.log"
	upLock     = "up.lock"
	firstMade  = "first-cluster" // that the first cluster was made once
	userFolder = "weir"          // in the user's configuration directory: service.json
)

// defaultDir is where a service lives unless somebody says otherwise.
func defaultDir() (string, error) {
	if base := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "weir"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fail("cannot tell where your files lie (%v): pass --dir", err)
	}
	return filepath.Join(home, ".local", "share", "weir"), nil
}

// serviceDir is --dir, or what the user's file says, or the default; absolute.
func serviceDir(flag string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	return defaultDir()
}

// userFile is what the verbs know about the service of this user.
type userFile struct {
	Server string `json:"server"`
	Token  string `json:"token"`
	Dir    string `json:"dir"`
}

func userFilePath() (string, error) {
	base := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fail("cannot tell where your configuration lies: set HOME or XDG_CONFIG_HOME")
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, userFolder, stateFile), nil
}

func readUserFile() (userFile, error) {
	var f userFile
	path, err := userFilePath()
	if err != nil {
		return f, err
	}
	return f, readJSON(path, &f)
}

func writeUserFile(f userFile) error {
	path, err := userFilePath()
	if err != nil {
		return err
	}
	return writeJSON(path, f)
}

// state is what a running service writes down.
type state struct {
	PID     int       `json:"pid"`
	Address string    `json:"address"`
	Started time.Time `json:"started"`
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fail("%s is damaged (%v): remove it and run `weir up` again", path, err)
	}
	return nil
}

// writeJSON replaces a file as a whole; only its owner may read it.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'))
}

func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
