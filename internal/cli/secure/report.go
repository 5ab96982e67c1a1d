package secure

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// made is what init did, without a secret.
type made struct {
	plan        *plan
	Dir         string     `json:"dir"`
	ClusterID   string     `json:"clusterId"`
	Bootstrap   string     `json:"bootstrap"`
	Admin       string     `json:"admin"`
	Authority   string     `json:"ca"`
	Fingerprint string     `json:"caSha256"`
	Client      madeClient `json:"client"`
	Nodes       []madeNode `json:"nodes"`
}

type madeNode struct {
	ID         int       `json:"id"`
	Address    string    `json:"address"`
	Properties string    `json:"properties"`
	Keystore   string    `json:"keystore"`
	NotAfter   time.Time `json:"notAfter"`
	Start      string    `json:"start"`
}

// print says what there is and what to do next.
func (m *made) print(w io.Writer) {
	fmt.Fprintf(w, "A secured cluster of %s is ready in %s\n\n", count(len(m.Nodes), "node"), m.Dir)
	fmt.Fprintf(w, "  authority      %s\n                 SHA-256 %s; its key lies beside it: keep that off the machines that run nodes\n", m.Authority, m.Fingerprint)
	fmt.Fprintf(w, "  certificates   until %s; `weir security cert renew %s` makes new ones, without a restart\n", m.Nodes[0].NotAfter.Format(time.DateOnly), quote(m.Dir))
	fmt.Fprintf(w, "  administrator  %s, with a random password that stands in\n                 %s (Java, all tools) and\n                 %s (librdkafka, kcat -F); an example for Go is\n                 %s\n",
		m.Admin, m.Client.Java, m.Client.Librdkafka, m.Client.FranzGo)
	fmt.Fprintln(w, "\nNext:")
	if len(m.Nodes) > 1 || m.plan.At != m.Dir {
		fmt.Fprintln(w, "\n  # put each node's folder where it is expected, then start the nodes, each on its machine")
		for _, n := range m.Nodes {
			from, to := filepath.Dir(n.Properties), filepath.Join(m.plan.At, m.plan.folder(m.plan.Nodes[n.ID-1]))
			if from != to {
				fmt.Fprintf(w, "  rsync -a %s/ %s:%s/\n", quote(from), m.plan.Nodes[n.ID-1].Host, quote(to))
			}
		}
	} else {
		fmt.Fprintln(w, "")
	}
	for _, n := range m.Nodes {
		fmt.Fprintf(w, "  %s\n", n.Start)
	}
	client := quote(m.Client.Java)
	fmt.Fprintf(w, "\n  # as the administrator\n  weir kafka-topics --bootstrap-server %s --command-config %s --create --topic orders\n", m.Bootstrap, client)
	fmt.Fprintf(w, "\n  # a user who may produce to one topic and read it in one group\n  weir security user add %s app1 --produce orders --consume orders --group app1\n", quote(m.Dir))
	fmt.Fprintf(w, "\n  # what an attacker and an operator would see\n  weir doctor --bootstrap-server %s --command-config %s\n", m.Bootstrap, client)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=~-]+$`)

// quote makes a word of a text for a shell.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
