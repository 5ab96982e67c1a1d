package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

var (
	kafkaUserPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	topicPattern     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
)

// validate checks a user of a cluster.
func (r *KafkaUserRequest) validate() error {
	var bad []error
	switch {
	case !kafkaUserPattern.MatchString(r.Name):
		bad = append(bad, &spec.FieldError{Field: "name", Value: r.Name, Rule: "must be 1 to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"})
	case r.Name == certs.AdminUser || r.Name == certs.BrokerUser:
		bad = append(bad, &spec.FieldError{Field: "name", Value: r.Name, Rule: "is an account of the service: choose another name"})
	}
	for field, topics := range map[string][]string{"produce": r.Produce, "consume": r.Consume} {
		for i, t := range topics {
			if !topicPattern.MatchString(t) {
				bad = append(bad, &spec.FieldError{Field: fmt.Sprintf("%s[%d]", field, i), Value: t, Rule: "must be a topic: 1 to 249 letters, digits, dots, hyphens and underscores"})
			}
		}
	}
	for i, g := range r.Groups {
		if g == "" || len(g) > 255 || g == "*" {
			bad = append(bad, &spec.FieldError{Field: fmt.Sprintf("groups[%d]", i), Value: g, Rule: "must be a group: 1 to 255 characters, and not *"})
		}
	}
	return errors.Join(bad...)
}

// usersOf finds a cluster that has users, and a client of it.
func (s *Service) usersOf(ctx context.Context, cluster string) (*spec.Cluster, *admin.Client, error) {
	c, err := s.cluster(ctx, cluster)
	if err != nil {
		return nil, nil, err
	}
	if !c.Secured {
		return nil, nil, fmt.Errorf("%w: %s has no users: it is not secured, and everybody on this machine may do everything", ErrImpossible, c.Name)
	}
	if c.State == spec.Stopped {
		return nil, nil, fmt.Errorf("%w: %s is stopped: start it first", ErrImpossible, c.Name)
	}
	cl, err := s.machine.admin(c)
	return c, cl, err
}

// KafkaUsers lists the applications' accounts of a cluster, without the
// service's own.
func (s *Service) KafkaUsers(ctx context.Context, cluster string) ([]string, error) {
	_, cl, err := s.usersOf(ctx, cluster)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	all, err := cl.Users(ctx)
	return slices.DeleteFunc(all, func(u string) bool { return u == certs.AdminUser || u == certs.BrokerUser }), err
}

// CreateKafkaUser makes an account with the least rights and a random
// password. A user that exists gets a new password and the rights in addition.
func (s *Service) CreateKafkaUser(ctx context.Context, actor, cluster string, r KafkaUserRequest) (Credentials, error) {
	if err := r.validate(); err != nil {
		return Credentials{}, err
	}
	c, cl, err := s.usersOf(ctx, cluster)
	if err != nil {
		return Credentials{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	access, err := s.machine.access(c)
	if err != nil {
		return Credentials{}, err
	}
	access.User, access.Password = r.Name, certs.NewPassword()
	out := Credentials{Name: r.Name, Password: access.Password, ClientProperties: string(access.Properties()), Path: filepath.Join(s.layout(c).Users(), r.Name+".properties")}
	if err := os.MkdirAll(filepath.Dir(out.Path), 0o700); err != nil {
		return Credentials{}, err
	}
	// Rights before the account, so that it never can do less than it was made for.
	if err := cl.Grant(ctx, r.Name, admin.Rights{Produce: r.Produce, Consume: r.Consume, Groups: r.Groups}); err != nil {
		return Credentials{}, err
	}
	if err := cl.SetUser(ctx, r.Name, out.Password); err != nil {
		return Credentials{}, err
	}
	if err := certs.WritePrivate(out.Path, []byte(out.ClientProperties)); err != nil {
		return Credentials{}, err
	}
	s.log.Info("a user of a cluster was made", "cluster", c.Name, "user", r.Name, "by", actor)
	return out, nil
}

// DeleteKafkaUser removes an account with its rights and its credentials file.
func (s *Service) DeleteKafkaUser(ctx context.Context, actor, cluster, name string) error {
	if err := (&KafkaUserRequest{Name: name}).validate(); err != nil {
		return err
	}
	users, err := s.KafkaUsers(ctx, cluster)
	if err != nil {
		return err
	}
	if !slices.Contains(users, name) {
		return fmt.Errorf("user %q: %w", name, ErrNotFound)
	}
	c, cl, err := s.usersOf(ctx, cluster)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := cl.DeleteUser(ctx, name); err != nil {
		return err
	}
	s.log.Info("a user of a cluster was deleted", "cluster", c.Name, "user", name, "by", actor)
	err = os.Remove(filepath.Join(s.layout(c).Users(), name+".properties"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
