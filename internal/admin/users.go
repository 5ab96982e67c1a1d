package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// iterations of SCRAM: Kafka's least, enough for random passwords.
const iterations = 8192

// SetUser creates an account, or gives it a new password.
func (c *Client) SetUser(ctx context.Context, user, password string) error {
	if user == "" || password == "" || strings.ContainsAny(user+password, "\"\\\r\n") {
		return fmt.Errorf("user %q: name and password must not be empty nor hold quotes, backslashes or line ends", user)
	}
	rs, err := c.adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: iterations, Password: password}})
	if err == nil {
		err = rs[user].Err
	}
	if err != nil {
		return fmt.Errorf("user %s: %w", user, err)
	}
	return nil
}

// DeleteUser removes an account and its rights; one that is not there is no error.
func (c *Client) DeleteUser(ctx context.Context, user string) error {
	rs, err := c.adm.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: user, Mechanism: kadm.ScramSha512}}, nil)
	if err == nil {
		err = rs[user].Err
	}
	if err != nil && !errors.Is(err, kerr.ResourceNotFound) {
		return fmt.Errorf("user %s: %w", user, err)
	}
	all := kadm.NewACLs().Allow("User:" + user).AllowHosts().AnyResource().Operations().ResourcePatternType(kadm.ACLPatternAny)
	if _, err := c.adm.DeleteACLs(ctx, all); err != nil {
		return fmt.Errorf("rights of user %s: %w", user, err)
	}
	return nil
}

// Users lists accounts by name.
func (c *Client) Users(ctx context.Context) ([]string, error) {
	rs, err := c.adm.DescribeUserSCRAMs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	var out []string
	for name, r := range rs {
		if r.Err == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Rights are the least an application needs: topics by name to write and to
// read, and its consumer groups.
type Rights struct{ Produce, Consume, Groups []string }

// Grant adds rights to an account; those that it has already are no error.
func (c *Client) Grant(ctx context.Context, user string, r Rights) error {
	grant := func(b *kadm.ACLBuilder, ops ...kadm.ACLOperation) error {
		b.Allow("User:" + user).AllowHosts("*").Operations(ops...).ResourcePatternType(kadm.ACLPatternLiteral)
		rs, err := c.adm.CreateACLs(ctx, b)
		for _, one := range rs {
			err = errors.Join(err, one.Err)
		}
		return err
	}
	var err error
	if len(r.Produce) > 0 {
		err = errors.Join(err, grant(kadm.NewACLs().Topics(r.Produce...), kadm.OpWrite, kadm.OpDescribe))
	}
	if len(r.Consume) > 0 {
		err = errors.Join(err, grant(kadm.NewACLs().Topics(r.Consume...), kadm.OpRead, kadm.OpDescribe))
	}
	if len(r.Groups) > 0 {
		err = errors.Join(err, grant(kadm.NewACLs().Groups(r.Groups...), kadm.OpRead, kadm.OpDescribe))
	}
	if err != nil {
		return fmt.Errorf("rights of user %s: %w", user, err)
	}
	return nil
}
