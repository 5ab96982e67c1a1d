package secure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/controlplane/certs"
)

func userCommand(env Env) *cobra.Command {
	var rights admin.Rights
	var force, asJSON bool
	c := &cobra.Command{
		Use: "add DIR NAME", Args: cobra.ExactArgs(2), Short: "Make a user with a random password that may do what is named here and nothing else",
		Long: "Makes a user of the running cluster whose folder DIR is, as its administrator, and writes the user's files to DIR/users. The password is\n" +
			"random and stands in these files only. With --force a user whose files are there gets a new password; rights only ever grow: kafka-acls takes them away.",
		Example: "  weir security user add ~/kafka app1 --produce orders --consume orders --group app1",
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := addUser(cmd.Context(), args[0], args[1], rights, force, env.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(env.Stdout, out)
			}
			fmt.Fprintf(env.Stdout, "%s may now use the cluster; name and password stand in\n  %s (Java, all tools)\n  %s (librdkafka, kcat -F)\n", args[1], out.Java, out.Librdkafka)
			return nil
		},
	}
	f := c.Flags()
	f.StringSliceVar(&rights.Produce, "produce", nil, "`topics` to produce to (may be repeated)")
	f.StringSliceVar(&rights.Consume, "consume", nil, "`topics` to consume (may be repeated)")
	f.StringSliceVar(&rights.Groups, "group", nil, "consumer `groups` (may be repeated)")
	f.BoolVar(&force, "force", false, "give a new password to a user whose files are there")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// addUser makes the user and its files. The files come last: they say what is true.
func addUser(ctx context.Context, dir, name string, rights admin.Rights, force bool, now time.Time) (madeClient, error) {
	var none madeClient
	dir, err := filepath.Abs(dir)
	if err != nil {
		return none, err
	}
	p, err := readPlan(dir)
	if err != nil {
		return none, err
	}
	if !fileName.MatchString(name) || name == p.Admin || name == nodeUser {
		return none, fail("%q cannot be a user's name: letters, digits, dots, dashes and underscores, and neither %s nor %s", name, p.Admin, nodeUser)
	}
	users := filepath.Join(dir, usersFolder)
	if _, err := os.Lstat(filepath.Join(users, name+".properties")); !errors.Is(err, fs.ErrNotExist) && !force {
		return none, fail("%s is there already: nothing was changed. --force gives the user a new password", filepath.Join(users, name+".properties"))
	}
	authority, err := openAuthority(dir, p, now)
	if err != nil {
		return none, err
	}
	who, err := administrator(dir, p, authority)
	if err != nil {
		return none, err
	}
	cluster, err := admin.Open(who)
	if err != nil {
		return none, err
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	made := user{bootstrap: p.bootstrap(), name: name, password: certs.NewPassword(), authority: authority}
	if err := errors.Join(cluster.SetUser(ctx, name, made.password), cluster.Grant(ctx, name, rights)); err != nil {
		return none, fail("%v. Does the cluster run at %s?", err, p.bootstrap())
	}
	return made.write(users, name)
}

// administrator is the way into the cluster that init wrote down.
func administrator(dir string, p *plan, authority *certs.Authority) (admin.Access, error) {
	file := filepath.Join(dir, clientProperties)
	props, err := client.LoadProperties(file)
	if err != nil {
		return admin.Access{}, err
	}
	jaas, err := client.ParseJAAS(props["sasl.jaas.config"])
	if err != nil {
		return admin.Access{}, fail("%s: %v", file, err)
	}
	return admin.Access{Bootstrap: strings.Split(p.bootstrap(), ","), CAFile: authority.Path(), User: jaas.Options["username"], Password: jaas.Options["password"]}, nil
}
