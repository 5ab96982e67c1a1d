package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Export writes all that a cluster needs to run without the service into a
// folder that is empty or missing: server.properties with paths inside the
// folder, certificates, users, and a start script for each broker. A stopped
// cluster's data is copied too; a running one's is left to the script
// copy-data.sh, which wants it stopped. It returns the files, data left out.
func (s *Service) Export(ctx context.Context, cluster, dir string) ([]string, error) {
	c, err := s.cluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if !c.Served {
		return nil, fmt.Errorf("%w: %s was never created whole: there is nothing to export", ErrImpossible, c.Name)
	}
	if err := s.checkExport(dir); err != nil {
		return nil, err
	}
	m := s.member(c.ID)
	m.admit.Lock() // nobody starts or changes it meanwhile
	defer m.admit.Unlock()
	if op := s.personal(ctx, m); op != nil {
		return nil, fmt.Errorf("%w on %s: %s (%s): wait for its end", ErrBusy, c.Name, op.Kind, op.ID)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	x := &export{service: s, c: c, from: s.layout(c), dir: dir}
	if err := x.write(ctx); err != nil {
		return nil, fmt.Errorf("export %s: %w", c.Name, err)
	}
	if !s.anyRuns(c) {
		if err := x.copyData(ctx); err != nil {
			return nil, fmt.Errorf("export %s: %w", c.Name, err)
		}
	}
	return x.files, nil
}

func (s *Service) checkExport(dir string) error {
	bad := func(rule string) error { return &spec.FieldError{Field: "dir", Value: dir, Rule: rule} }
	if !filepath.IsAbs(dir) {
		return bad("must be an absolute path")
	}
	if rel, err := filepath.Rel(s.o.Dir, dir); err == nil && filepath.IsLocal(rel) {
		return bad("must lie outside the service's own directory")
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return bad(err.Error())
	case len(entries) > 0:
		return bad("must be an empty or a new folder: nothing is overwritten")
	}
	return nil
}

// export is one export under way.
type export struct {
	service *Service
	c       *spec.Cluster
	from    engine.Layout
	dir     string
	files   []string
}

func (x *export) write(ctx context.Context) error {
	install, err := x.service.machine.installation(ctx, x.c, io.Discard)
	if err != nil {
		return err
	}
	secrets := certs.Secrets{}
	if x.c.Secured {
		if secrets, err = certs.OpenSecrets(x.from.Certs()); err != nil {
			return err
		}
		if err := x.copyCerts(); err != nil {
			return err
		}
	}
	for _, b := range x.c.Brokers {
		if err := x.writeBroker(install, b, secrets); err != nil {
			return err
		}
	}
	if err := x.writeClients(); err != nil {
		return err
	}
	if err := x.put("copy-data.sh", 0o700, x.copyScript()); err != nil {
		return err
	}
	return x.put("README", 0o600, x.readme())
}

// put writes one file of the export.
func (x *export) put(name string, mode fs.FileMode, text []byte) error {
	path := filepath.Join(x.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		return err
	}
	x.files = append(x.files, path)
	return nil
}

// copyCerts copies the authority with its key, so that certificates can be
// made anew, and the node certificates.
func (x *export) copyCerts() error {
	files, err := filepath.Glob(filepath.Join(x.from.Certs(), "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Base(f)
		if ext := filepath.Ext(name); ext != ".pem" && ext != ".key" {
			continue
		}
		text, err := os.ReadFile(f)
		if err == nil {
			err = x.put(filepath.Join("certs", name), 0o600, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeBroker writes a broker's folder and its start script. Paths are
// relative to the exported folder, in which the script runs.
func (x *export) writeBroker(install engine.Installation, b spec.Broker, secrets certs.Secrets) error {
	here := engine.Layout{Dir: "."}
	m := engine.Materials{Layout: here, Secrets: secrets,
		Cert: certs.Issued{Keystore: filepath.Join(here.Certs(), engine.NodeName(b.ID)+".pem"), Truststore: here.CA()}}
	files, err := install.Files(x.c, b, m)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := x.put(filepath.Join(here.Broker(b.ID), name), 0o600, text); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(x.dir, here.Logs(b.ID)), 0o700); err != nil {
		return err
	}
	cmd, err := install.Command(x.c, b, m)
	if err != nil {
		return err
	}
	if err := x.keepProgram(&cmd); err != nil {
		return err
	}
	return x.put(fmt.Sprintf("start-broker-%d.sh", b.ID), 0o700, x.startScript(b, here, cmd))
}

// keepProgram copies a program that the service keeps for the cluster, which
// goes when the cluster is deleted.
func (x *export) keepProgram(cmd *engine.Command) error {
	if rel, err := filepath.Rel(x.service.o.Dir, cmd.Path); err != nil || !filepath.IsLocal(rel) {
		return nil
	}
	name := filepath.Join("bin", filepath.Base(cmd.Path))
	program := cmd.Path
	cmd.Path = "./" + name
	if _, err := os.Stat(filepath.Join(x.dir, name)); err == nil {
		return nil
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return x.put(name, 0o700, text)
}

func (x *export) startScript(b spec.Broker, here engine.Layout, cmd engine.Command) []byte {
	var t strings.Builder
	fmt.Fprintf(&t, "#!/bin/sh\n# Starts broker %d of %s in the foreground; end it with SIGTERM.\n", b.ID, x.c.Name)
	fmt.Fprintf(&t, "cd \"$(dirname \"$0\")\" || exit 1\n")
	fmt.Fprintf(&t, "if [ ! -e %s/meta.properties ]; then\n  echo \"broker %d has no data here: run copy-data.sh first\" >&2\n  exit 1\nfi\n", here.Data(b.ID), b.ID)
	for _, e := range cmd.Env {
		if k, v, _ := strings.Cut(e, "="); k != "PATH" {
			fmt.Fprintf(&t, "export %s=%s\n", k, quote(v))
		}
	}
	fmt.Fprintf(&t, "exec %s", quote(cmd.Path))
	for _, a := range cmd.Args {
		fmt.Fprintf(&t, " \\\n  %s", quote(a))
	}
	return []byte(t.String() + "\n")
}

// quote makes one word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writeClients writes the administrator's access and those of the users, with
// the certificate in the folder.
func (x *export) writeClients() error {
	files, err := filepath.Glob(filepath.Join(x.from.Users(), "*.properties"))
	if err != nil {
		return err
	}
	for _, f := range append(files, x.from.ClientProperties()) {
		access, err := admin.ReadAccess(f)
		if err != nil {
			return err
		}
		if access.CAFile != "" {
			access.CAFile = engine.Layout{Dir: x.dir}.CA()
		}
		name := filepath.Base(f)
		if f != x.from.ClientProperties() {
			name = filepath.Join("users", name)
		}
		if err := x.put(name, 0o600, access.Properties()); err != nil {
			return err
		}
	}
	return nil
}

func (x *export) copyScript() []byte {
	var t strings.Builder
	fmt.Fprintf(&t, "#!/bin/sh\n# Copies the data of %s here. Stop it first: data of a running broker cannot be copied.\nset -e\ncd \"$(dirname \"$0\")\"\n", x.c.Name)
	for _, b := range x.c.Brokers {
		from, to := x.from.Data(b.ID), engine.Layout{Dir: "."}.Data(b.ID)
		fmt.Fprintf(&t, "[ ! -e %s ] || { echo \"broker %d runs, or did not end in order: stop the cluster first\" >&2; exit 1; }\n", quote(x.from.PID(b.ID)), b.ID)
		fmt.Fprintf(&t, "[ -e %s ] || cp -Rp %s %s\n", to, quote(from), to)
	}
	return []byte(t.String())
}

func (x *export) readme() []byte {
	return fmt.Appendf(nil, `%s, %s %s, as it was exported. It needs Weir no more.

Stop it in Weir before you start it here: both have the same ports.
copy-data.sh copies the data, if the cluster ran when it was exported.
start-broker-N.sh runs one broker in the foreground; start all of them.
client.properties is the administrator's access, users/ has those of the applications.
certs/ has the certificate authority with its key: keep it to yourself.
`, x.c.Name, x.c.Engine, x.c.EngineVersion)
}

// copyData copies the data of a cluster that does not run.
func (x *export) copyData(ctx context.Context) error {
	var need int64
	for _, b := range x.c.Brokers {
		n, err := provider.DiskUsage(x.from.Data(b.ID))
		if err != nil {
			return err
		}
		need += n
	}
	if free := provider.Resources(x.dir).DiskFreeBytes; free > 0 && need+leastFree > free {
		return fmt.Errorf("its data takes %s, and the disk of %s has %s free: choose another disk", plan.Size(need), x.dir, plan.Size(free))
	}
	for _, b := range x.c.Brokers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := os.CopyFS(engine.Layout{Dir: x.dir}.Data(b.ID), os.DirFS(x.from.Data(b.ID))); err != nil {
			return err
		}
	}
	return nil
}
