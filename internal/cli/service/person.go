package service

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/restapi"
)

func (v *verbs) personCommand() *cobra.Command {
	return group("person", "People who may use the service", v.personList(), v.personCreate(), v.personDelete())
}

func (v *verbs) tokenCommand() *cobra.Command {
	return group("token", "Tokens with which programs use the service", v.tokenList(), v.tokenCreate(), v.tokenDelete())
}

func (v *verbs) personList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List people", Args: cobra.NoArgs}
	return reads(v, c, func([]string) string { return "/people" }, func(_ context.Context, _ *client, out restapi.People) func(io.Writer) {
		return func(w io.Writer) {
			row(w, "NAME", "ROLE", "CREATED")
			for _, p := range out.People {
				row(w, p.Name, p.Role, when(p.CreatedAt))
			}
		}
	})
}

// withRole adds the flag that says what somebody may do.
func withRole(c *cobra.Command, role *string) {
	c.Flags().StringVar(role, "role", "", "what is allowed: `viewer`, operator or admin")
	_ = c.MarkFlagRequired("role")
	complete(c, "role", string(spec.RoleViewer), string(spec.RoleOperator), string(spec.RoleAdmin))
}

// madePerson is what the verb prints: the person, and a password that was made up.
type madePerson struct {
	restapi.Person
	Password string `json:"password,omitempty"`
}

func (v *verbs) personCreate() *cobra.Command {
	var b restapi.PersonBody
	var file string
	c := &cobra.Command{
		Use: "create NAME --role ROLE", Short: "Add a person, with a password that is made up and shown once", Args: cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions, Example: "  weir person create ada --role operator\n  weir person create bob --role viewer --password-file - < secret",
	}
	withRole(c, &b.Role)
	c.Flags().StringVar(&file, "password-file", "", "read the password from the first line of a `file`, - for standard input")
	ch := v.asking(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		b.Name = args[0]
		api, err := v.ready()
		if err != nil {
			return err
		}
		show := func(w io.Writer) { fmt.Fprintf(w, "Add %s as %s\n", oneLine(b.Name), oneLine(b.Role)) }
		if ahead, err := ch.goAhead(cmd.Context(), restapi.Person{Name: b.Name, Role: b.Role}, show); !ahead {
			return err
		}
		out := madePerson{}
		if b.Password, err = v.password(file); err != nil {
			return err
		}
		if file == "" {
			out.Password = b.Password
		}
		if err := api.post(cmd.Context(), "/people", b, &out.Person); err != nil {
			return err
		}
		return v.print(out, func(w io.Writer) {
			fmt.Fprintf(w, "%s may use the service as %s.", out.Name, out.Role)
			if out.Password != "" {
				fmt.Fprintf(w, " The password is shown this once:\n  %s", out.Password)
			}
			fmt.Fprintln(w)
		})
	}
	return c
}

// maxPasswordFile bounds what is read of a file, in bytes.
const maxPasswordFile = 64 << 10

// password reads the first line of a file, or makes one up.
func (v *verbs) password(file string) (string, error) {
	if file == "" {
		return rand.Text(), nil
	}
	in := v.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fail("--password-file: %v", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPasswordFile))
	if err != nil {
		return "", fail("--password-file: %v", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

func (v *verbs) personDelete() *cobra.Command {
	return v.removal("delete NAME", "Remove a person with their sessions and tokens", func(name string) string { return "/people/" + name }, func(w io.Writer, name string) {
		fmt.Fprintf(w, "Remove %s, and end their sessions and tokens\n", oneLine(name))
	})
}

func (v *verbs) tokenList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List tokens; the secrets are never shown again", Args: cobra.NoArgs}
	return reads(v, c, func([]string) string { return "/tokens" }, func(_ context.Context, _ *client, out restapi.Tokens) func(io.Writer) {
		return func(w io.Writer) {
			row(w, "ID", "OF", "ROLE", "CREATED", "EXPIRES")
			for _, t := range out.Tokens {
				expires := "never"
				if !t.ExpiresAt.IsZero() {
					expires = when(t.ExpiresAt)
				}
				row(w, t.ID, t.User, t.Role, when(t.CreatedAt), expires)
			}
		}
	})
}

func (v *verbs) tokenCreate() *cobra.Command {
	var b restapi.TokenBody
	var expires string
	c := &cobra.Command{
		Use: "create --role ROLE", Short: "Make a token, which is shown once", Args: cobra.NoArgs, Example: "  weir token create --role viewer --expires 90d",
	}
	withRole(c, &b.Role)
	c.Flags().StringVar(&expires, "expires", "", "end it after a `time` such as 12h or 90d (default: never)")
	ch := v.asking(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		life, err := lifetime(expires)
		if err != nil {
			return err
		}
		b.ExpiresInSeconds = int64(life / time.Second)
		api, err := v.ready()
		if err != nil {
			return err
		}
		show := func(w io.Writer) {
			fmt.Fprintf(w, "Make a token that may do what a person with the role %s may, for %s\n", oneLine(b.Role), first(expires, "ever"))
		}
		if ahead, err := ch.goAhead(cmd.Context(), b, show); !ahead {
			return err
		}
		var out restapi.NewToken
		if err := api.post(cmd.Context(), "/tokens", b, &out); err != nil {
			return err
		}
		return v.print(out, func(w io.Writer) {
			row(w, "id", out.ID)
			row(w, "token", out.Token)
			fmt.Fprintln(w, "The token is shown this once.")
		})
	}
	return c
}

// lifetime reads 12h and 90d; nothing means for ever.
func lifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	life, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16)
		life = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || life < time.Second {
		return 0, fail("--expires %q: write it as 12h or 90d, a second at least", text)
	}
	return life, nil
}

func (v *verbs) tokenDelete() *cobra.Command {
	return v.removal("delete ID", "End a token", func(id string) string { return "/tokens/" + id }, func(w io.Writer, id string) {
		fmt.Fprintf(w, "End the token %s: programs that use it are locked out\n", oneLine(id))
	})
}

// removal makes a verb that asks, and removes one thing by its name.
func (v *verbs) removal(use, short string, path func(name string) string, show func(io.Writer, string)) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions}
	ch := v.asking(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		removed := map[string]string{"removed": args[0]}
		if ahead, err := ch.goAhead(cmd.Context(), removed, func(w io.Writer) { show(w, args[0]) }); !ahead {
			return err
		}
		if err := api.delete(cmd.Context(), path(url.PathEscape(args[0]))); err != nil {
			return err
		}
		return v.print(removed, func(w io.Writer) { fmt.Fprintf(w, "%s is gone\n", oneLine(args[0])) })
	}
	return c
}
