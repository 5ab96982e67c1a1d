package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// tokensTool is kafka-delegation-tokens: make, renew, end and list delegation tokens (KIP-48).
type tokensTool struct {
	set *kafkaflag.Set

	bootstrap, commandConfig                *kafkaflag.Flag
	create, renew, expire, describe         *kafkaflag.Flag
	owner, renewer, life, renewPeriod, hmac *kafkaflag.Flag
	expiryPeriod                            *kafkaflag.Flag
}

func newTokensTool() Command {
	s := kafkaflag.New("kafka-delegation-tokens", "This tool helps to create, renew, expire, or describe delegation tokens.", kafkaflag.Jopt)
	t := &tokensTool{set: s}
	many, maybe := kafkaflag.Repeatable(), kafkaflag.OptionalArg()
	t.bootstrap = s.String("bootstrap-server", "", "REQUIRED: the brokers to contact first, as host:port, separated by commas.")
	t.commandConfig = s.String("command-config", "", "REQUIRED: a properties file with settings for the admin client. Tokens are made on secured connections only.")
	t.create = s.Switch("create", "Make a token; --renewer-principal says who else may renew it.")
	t.renew = s.Switch("renew", "Renew a token, for --renew-time-period.")
	t.expire = s.Switch("expire", "End a token, after --expiry-time-period.")
	t.describe = s.Switch("describe", "List tokens: one's own and those one may describe, or those of --owner-principal.")
	t.owner = s.String("owner-principal", "", "A principal that owns tokens, in the form type:name.", many, maybe)
	t.renewer = s.String("renewer-principal", "", "A principal that may renew the token, in the form type:name.", many, maybe)
	t.life = s.Long("max-life-time-period", "", "How many milliseconds the token lives at most; -1: as long as the brokers allow (delegation.token.max.lifetime.ms).", maybe)
	t.renewPeriod = s.Long("renew-time-period", "", "For how many milliseconds the token is renewed; -1: as the brokers do (delegation.token.expiry.time.ms).", maybe)
	t.expiryPeriod = s.Long("expiry-time-period", "", "In how many milliseconds the token ends; -1: at once.", maybe)
	t.hmac = s.String("hmac", "", "The token's HMAC, in base64.", maybe)
	return t
}

// Flags implements Command.
func (t *tokensTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *tokensTool) Run(ctx context.Context, env Env) error {
	if err := t.check(); err != nil {
		return err
	}
	err := t.execute(ctx, env)
	if err == nil || kafkaflag.Handled(err) {
		return err
	}
	message, class := told(err)
	fmt.Fprintf(env.Stderr, "%s\n%s\n\n", message, class)
	return failed
}

// check refuses command lines that make no sense, in the order in which Kafka's tool looks at them.
func (t *tokensTool) check() error {
	if kafkaflag.Count(t.create, t.renew, t.expire, t.describe) != 1 {
		return t.set.UsageErrorf("Command must include exactly one action: --create, --renew, --expire or --describe")
	}
	required := []*kafkaflag.Flag{t.bootstrap, t.commandConfig}
	switch {
	case t.create.Present():
		required = append(required, t.life)
	case t.renew.Present():
		required = append(required, t.hmac, t.renewPeriod)
	case t.expire.Present():
		required = append(required, t.hmac, t.expiryPeriod)
	}
	return firstError(
		t.set.CheckRequired(required...),
		t.set.CheckInvalid(t.create, t.hmac, t.renewPeriod, t.expiryPeriod),
		t.set.CheckInvalid(t.renew, t.renewer, t.life, t.expiryPeriod, t.owner),
		t.set.CheckInvalid(t.expire, t.renew, t.life, t.renewPeriod, t.owner),
		t.set.CheckInvalid(t.describe, t.renewPeriod, t.life, t.hmac, t.expiryPeriod))
}

func (t *tokensTool) execute(ctx context.Context, env Env) error {
	p, err := loadProperties(t.commandConfig.Value())
	if err != nil {
		return err
	}
	c, err := reach(env, p, t.bootstrap.Value(), "")
	if err != nil {
		return err
	}
	defer c.close()
	switch {
	case t.create.Present():
		return t.createToken(ctx, env, c)
	case t.renew.Present():
		return t.renewToken(ctx, env, c)
	case t.expire.Present():
		return t.expireToken(ctx, env, c)
	}
	return t.describeTokens(ctx, env, c)
}

// principals are the principals of a flag, in the order given.
func (t *tokensTool) principals(f *kafkaflag.Flag) (names []string, err error) {
	for _, v := range f.Values() {
		v = strings.TrimSpace(v)
		if !strings.Contains(v, ":") {
			return nil, client.IllegalArgument("expected a string in format principalType:principalName but got " + v)
		}
		names = append(names, v)
	}
	return names, nil
}

func (t *tokensTool) createToken(ctx context.Context, env Env, c *cluster) error {
	renewers, err := t.principals(t.renewer)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "Calling create token operation with renewers :%s , max-life-time-period :%d\n", javaList(renewers), t.life.Int64())
	owners, err := t.principals(t.owner)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrCreateDelegationTokenRequest()
	req.MaxLifetimeMillis = t.life.Int64()
	for _, name := range renewers {
		r := kmsg.NewCreateDelegationTokenRequestRenewer()
		r.PrincipalType, r.PrincipalName, _ = strings.Cut(name, ":")
		req.Renewers = append(req.Renewers, r)
	}
	if len(owners) > 0 {
		kind, name, _ := strings.Cut(owners[0], ":")
		req.OwnerPrincipalType, req.OwnerPrincipalName = &kind, &name
	}
	raw, err := c.callAnyBroker(ctx, "createDelegationToken", req)
	if err != nil {
		return &callError{err}
	}
	resp := raw.(*kmsg.CreateDelegationTokenResponse)
	if err := client.Coded(resp.ErrorCode, nil); err != nil {
		return &callError{err}
	}
	fmt.Fprintf(env.Stdout, "Created delegation token with tokenId : %s\n", resp.TokenID)
	printTokens(env.Stdout, []tokenLine{{
		id: resp.TokenID, hmac: resp.HMAC, owner: resp.PrincipalType + ":" + resp.PrincipalName,
		requester: resp.TokenRequesterPrincipalType + ":" + resp.TokenRequesterPrincipalName, renewers: renewers,
		issued: resp.IssueTimestamp, expires: resp.ExpiryTimestamp, ends: resp.MaxTimestamp,
	}})
	return nil
}

func (t *tokensTool) secret() ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(t.hmac.Value())
	if err == nil {
		return secret, nil
	}
	for _, c := range t.hmac.Value() {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", c) {
			return nil, client.IllegalArgument("Illegal base64 character " + strconv.FormatInt(int64(c), 16))
		}
	}
	return nil, client.IllegalArgument("Input byte array has wrong 4-byte ending unit")
}

func (t *tokensTool) renewToken(ctx context.Context, env Env, c *cluster) error {
	fmt.Fprintf(env.Stdout, "Calling renew token operation with hmac :%s , renew-time-period :%d\n", t.hmac.Value(), t.renewPeriod.Int64())
	secret, err := t.secret()
	if err != nil {
		return err
	}
	req := kmsg.NewPtrRenewDelegationTokenRequest()
	req.HMAC, req.RenewTimeMillis = secret, t.renewPeriod.Int64()
	raw, err := c.callAnyBroker(ctx, "renewDelegationToken", req)
	if err != nil {
		return &callError{err}
	}
	resp := raw.(*kmsg.RenewDelegationTokenResponse)
	if err := client.Coded(resp.ErrorCode, nil); err != nil {
		return &callError{err}
	}
	fmt.Fprintf(env.Stdout, "Completed renew operation. New expiry date : %s", tokenDate(resp.ExpiryTimestamp))
	return nil
}

func (t *tokensTool) expireToken(ctx context.Context, env Env, c *cluster) error {
	fmt.Fprintf(env.Stdout, "Calling expire token operation with hmac :%s , expire-time-period :%d\n", t.hmac.Value(), t.expiryPeriod.Int64())
	secret, err := t.secret()
	if err != nil {
		return err
	}
	req := kmsg.NewPtrExpireDelegationTokenRequest()
	req.HMAC, req.ExpiryPeriodMillis = secret, t.expiryPeriod.Int64()
	raw, err := c.callAnyBroker(ctx, "expireDelegationToken", req)
	if err != nil {
		return &callError{err}
	}
	resp := raw.(*kmsg.ExpireDelegationTokenResponse)
	if err := client.Coded(resp.ErrorCode, nil); err != nil {
		return &callError{err}
	}
	fmt.Fprintf(env.Stdout, "Completed expire operation. New expiry date : %s", tokenDate(resp.ExpiryTimestamp))
	return nil
}

func (t *tokensTool) describeTokens(ctx context.Context, env Env, c *cluster) error {
	owners, err := t.principals(t.owner)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrDescribeDelegationTokenRequest()
	if len(owners) == 0 {
		fmt.Fprintln(env.Stdout, "Calling describe token operation for current user.")
	} else {
		fmt.Fprintf(env.Stdout, "Calling describe token operation for owners: %s\n", javaList(owners))
		for _, name := range owners {
			o := kmsg.NewDescribeDelegationTokenRequestOwner()
			o.PrincipalType, o.PrincipalName, _ = strings.Cut(name, ":")
			req.Owners = append(req.Owners, o)
		}
	}
	raw, err := c.callAnyBroker(ctx, "describeDelegationToken", req)
	if err != nil {
		return &callError{err}
	}
	resp := raw.(*kmsg.DescribeDelegationTokenResponse)
	if err := client.Coded(resp.ErrorCode, nil); err != nil {
		return &callError{err}
	}
	var lines []tokenLine
	for _, d := range resp.TokenDetails {
		line := tokenLine{id: d.TokenID, hmac: d.HMAC, owner: d.PrincipalType + ":" + d.PrincipalName,
			requester: d.TokenRequesterPrincipalType + ":" + d.TokenRequesterPrincipalName, issued: d.IssueTimestamp, expires: d.ExpiryTimestamp, ends: d.MaxTimestamp}
		for _, r := range d.Renewers {
			line.renewers = append(line.renewers, r.PrincipalType+":"+r.PrincipalName)
		}
		lines = append(lines, line)
	}
	fmt.Fprintf(env.Stdout, "Total number of tokens : %d", len(lines))
	printTokens(env.Stdout, lines)
	return nil
}

// tokenLine is a token as it is printed.
type tokenLine struct {
	id, owner, requester  string
	hmac                  []byte
	renewers              []string
	issued, expires, ends int64
}

// printTokens prints the table of Kafka's tool, whose lines begin and end with a line feed.
func printTokens(out io.Writer, lines []tokenLine) {
	const form = "\n%-15s %-30s %-15s %-15s %-25s %-15s %-15s %-15s\n"
	fmt.Fprintf(out, form, "TOKENID", "HMAC", "OWNER", "REQUESTER", "RENEWERS", "ISSUEDATE", "EXPIRYDATE", "MAXDATE")
	for _, l := range lines {
		fmt.Fprintf(out, form, l.id, base64.StdEncoding.EncodeToString(l.hmac), l.owner, l.requester, javaList(l.renewers),
			tokenDate(l.issued), tokenDate(l.expires), tokenDate(l.ends))
	}
}

func tokenDate(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02T15:04") }
