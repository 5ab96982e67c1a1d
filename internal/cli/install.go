package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// installCommand is weir install-tools.
func installCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "install-tools DIR", GroupID: "own", Args: cobra.ExactArgs(1),
		Short: "Link Kafka's tools to this binary, under both of their names",
		Long: "Makes links in DIR to this binary under the names of Kafka's tools, with and without .sh (kafka-topics, kafka-topics.sh).\n" +
			"A link that is there is renewed; a file that is not a link is left alone and reported.",
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("cannot find this binary: %w", err)
			}
			n, err := installTools(self, args[0])
			fmt.Fprintf(env.Stdout, "Linked %d tools under two names each in %s.\n", n, args[0])
			return err
		},
	}
}

// installTools links every tool in dir to binary and returns how many were linked. Names that are taken by
// something else are in the error.
func installTools(binary, dir string) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	done := 0
	var errs []error
	for _, t := range Tools() {
		ok := true
		for _, name := range []string{t.Name, t.Name + ".sh"} {
			if err := relink(binary, filepath.Join(dir, name)); err != nil {
				errs, ok = append(errs, err), false
			}
		}
		if ok {
			done++
		}
	}
	return done, errors.Join(errs...)
}

// relink makes path a symbolic link to target, in place of an older link.
func relink(target, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.Symlink(target, path)
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s is there and not a link; it was left alone", path)
	}
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	tmp := path + ".new"
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
