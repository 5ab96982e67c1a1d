//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// childDir makes this program be a service instead of a test: in a process of
// its own, which can be killed.
const childDir, childPort = "WEIR_E2E_SERVICE_DIR", "WEIR_E2E_SERVICE_PORT"

func init() {
	if dir := os.Getenv(childDir); dir != "" {
		if err := beService(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// beService scales the cluster out unless that is under way already, and
// prints which step runs.
func beService(dir string) error {
	port, err := strconv.Atoi(os.Getenv(childPort))
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := controlplane.Open(ctx, controlplane.Options{Dir: dir, FirstPort: port})
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := s.Cluster(ctx, "orders")
	if err != nil {
		return err
	}
	ops, err := s.Operations(ctx, v.ID, 5, "")
	if err != nil {
		return err
	}
	var op *spec.Operation
	for _, o := range ops {
		if o.Kind == spec.OpScale && !o.State.Final() {
			op = o
		}
	}
	if op == nil && len(v.Brokers) < 5 {
		op, err = s.Change(ctx, "e2e", v.ID, controlplane.ChangeRequest{Kind: spec.OpScale, Brokers: 5})
		if err != nil {
			return err
		}
	}
	if op == nil { // it ended just before the last service was killed
		fmt.Println("SUCCEEDED")
		return nil
	}
	return tell(ctx, s, op.ID)
}

// tell prints the steps of an operation as they begin.
func tell(ctx context.Context, s *controlplane.Service, id string) error {
	told := ""
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		op, err := s.Operation(ctx, id)
		if err != nil {
			return err
		}
		for i := range op.Steps {
			// A step that was over between two looks is told too.
			if st := op.Steps[i].State; st == spec.StepRunning || st == spec.StepSucceeded {
				if name := fmt.Sprintf("%02d %s", i, op.Steps[i].Kind); name > told {
					told = name
					fmt.Println("step", name)
				}
			}
		}
		if op.State == spec.OpSucceeded {
			fmt.Println("SUCCEEDED")
			return nil
		}
		if op.State.Final() {
			return fmt.Errorf("%s: %s", op.State, op.Error)
		}
	}
	return nil
}

// child runs the service as a process; kill ends it with SIGKILL.
func (h *house) child(ctx context.Context) (lines <-chan string, kill func()) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+h.dir, childPort+"="+strconv.Itoa(h.port))
	cmd.Stderr = h.t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	ch := make(chan string)
	go func() {
		defer close(ch)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			select {
			case ch <- scan.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
}
