package secure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane/certs"
)

func renewCommand(env Env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "renew DIR", Args: cobra.ExactArgs(1), Short: "Make new certificates for all nodes, signed by the same authority",
		Long: "Makes a new key and certificate for every node of the cluster whose folder DIR is. A node that runs takes its new file within seconds,\n" +
			"without a restart; on other machines put the file in the place of the old one. Clients notice nothing: the authority stays.",
		RunE: func(_ *cobra.Command, args []string) error {
			out, err := renew(args[0], env.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(env.Stdout, out)
			}
			for _, n := range out {
				fmt.Fprintf(env.Stdout, "%s: until %s\n", n.Keystore, n.NotAfter.Format(time.DateOnly))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	return c
}

// renewed is one new certificate.
type renewed struct {
	ID       int       `json:"id"`
	Keystore string    `json:"keystore"`
	NotAfter time.Time `json:"notAfter"`
}

func renew(dir string, now time.Time) ([]renewed, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	p, err := readPlan(dir)
	if err != nil {
		return nil, err
	}
	authority, err := openAuthority(dir, p, now)
	if err != nil {
		return nil, err
	}
	var out []renewed
	for _, n := range p.Nodes {
		issued, err := authority.Renew(p.certificate(dir, n), now)
		if err != nil {
			return out, err
		}
		out = append(out, renewed{n.ID, issued.Keystore, issued.NotAfter})
	}
	return out, nil
}

// openAuthority opens the authority that init made, and never makes another one: nobody would trust that.
func openAuthority(dir string, p *plan, now time.Time) (*certs.Authority, error) {
	folder := filepath.Join(dir, authorityFolder)
	if _, err := os.Stat(filepath.Join(folder, certs.CAFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fail("%s is not there: put the authority (%s and its key) back from where you keep it", filepath.Join(folder, certs.CAFile), certs.CAFile)
	}
	return certs.Open(folder, p.Name, now)
}
