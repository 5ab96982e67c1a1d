package controlplane

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/kafkadist"
)

// othersAt is how far the ports that no client needs lie behind the first one,
// and portCount how many are searched in either range.
const (
	othersAt  = 10000
	portCount = 1000
)

// PlanCreate says what Create would make, and does nothing. The ports may
// differ afterwards.
func (s *Service) PlanCreate(ctx context.Context, r CreateRequest) (spec.Cluster, spec.Plan, error) {
	c, err := s.draft(ctx, r)
	if err != nil {
		return spec.Cluster{}, spec.Plan{}, err
	}
	return c, plan.Create(c), nil
}

// Create stores a cluster and begins to make it.
func (s *Service) Create(ctx context.Context, actor string, r CreateRequest) (*spec.Operation, error) {
	s.creating.Lock()
	defer s.creating.Unlock()
	c, err := s.draft(ctx, r)
	if err != nil {
		return nil, err
	}
	op, err := newOperation(c.ID, spec.OpCreate, actor, plan.Create(c))
	if err != nil {
		return nil, err
	}
	if err := store.Clusters.Put(ctx, s.store, &c); err != nil {
		return nil, err
	}
	if err := s.submit(ctx, op); err != nil {
		// Nothing was begun: leave nothing behind.
		if back := store.Clusters.Delete(ctx, s.store, &c); back != nil {
			s.log.Error("a cluster that was not begun stays behind: delete it", "cluster", c.Name, "error", back)
		}
		return nil, err
	}
	s.tend(&c)
	return op, nil
}

// draft turns a wish into a whole cluster, or says which field breaks which rule.
func (s *Service) draft(ctx context.Context, r CreateRequest) (spec.Cluster, error) {
	none := spec.Cluster{}
	if err := spec.ValidateName(r.Name); err != nil {
		return none, err
	}
	all, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return none, err
	}
	var taken error // said together with what else is refused
	for _, c := range all {
		if c.Name == r.Name {
			taken = &spec.FieldError{Field: "name", Value: r.Name, Rule: "is the name of a cluster already: choose another one, or delete that cluster"}
		}
	}
	id, err := spec.NewID("c", time.Now(), nil)
	if err != nil {
		return none, err
	}
	c := spec.Cluster{ID: id, Name: r.Name, Engine: r.Engine, EngineVersion: r.EngineVersion, DistDir: r.DistDir, Profile: r.Profile,
		Settings: r.Settings, State: spec.Creating, CreatedAt: time.Now().UTC(), KafkaClusterID: newKafkaID()}
	if err := s.fillEngine(&c, r); err != nil {
		return none, errors.Join(taken, err)
	}
	if err := s.fillBrokers(&c, r, all); err != nil {
		return none, errors.Join(taken, err)
	}
	return c, errors.Join(taken, c.Validate())
}

// newKafkaID is a random UUID as kafka-storage prints it, which never begins
// with a hyphen.
func newKafkaID() string {
	for {
		var b [16]byte
		rand.Read(b[:]) // never fails
		if id := base64.RawURLEncoding.EncodeToString(b[:]); id[0] != '-' {
			return id
		}
	}
}

func (s *Service) fillEngine(c *spec.Cluster, r CreateRequest) error {
	if c.Engine == "" {
		c.Engine = spec.EngineWeir
	}
	e := s.engine(c.Engine)
	if e == nil {
		return &spec.FieldError{Field: "engine", Value: c.Engine, Rule: fmt.Sprintf("must be %s or %s", spec.EngineApacheKafka, spec.EngineWeir)}
	}
	if c.EngineVersion == "" {
		c.EngineVersion = s.defaultVersion(c.Engine)
	}
	if c.Engine == spec.EngineWeir && c.DistDir != "" {
		return &spec.FieldError{Field: "distDir", Value: c.DistDir, Rule: "is for engine apache-kafka; leave it out"}
	}
	if c.DistDir != "" && !filepath.IsAbs(c.DistDir) {
		return &spec.FieldError{Field: "distDir", Value: c.DistDir, Rule: "must be an absolute path"}
	}
	can := e.Capabilities().Secured
	c.Secured = can
	if r.Secured != nil {
		c.Secured = *r.Secured
	}
	switch {
	case c.Secured && !can:
		return &spec.FieldError{Field: "secured", Value: "true", Rule: fmt.Sprintf("engine %s cannot secure a cluster yet: choose engine %s", c.Engine, spec.EngineApacheKafka)}
	case !c.Secured && c.Engine == spec.EngineApacheKafka:
		return &spec.FieldError{Field: "secured", Value: "false", Rule: "engine apache-kafka runs secured clusters only: leave it out"}
	}
	return nil
}

// What builds are called: v1.2.3, v1.2.3-4-g4d1a595, or 4d1a595-dirty.
var (
	numbered = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+)([.+-][0-9A-Za-z.+-]+)?$`)
	nameless = regexp.MustCompile(`^[0-9A-Za-z.+-]+$`)
)

// defaultVersion is the version that a new cluster gets.
func (s *Service) defaultVersion(engine string) string {
	if engine == spec.EngineApacheKafka {
		return kafkadist.Current
	}
	return weirVersion(s.o.Version)
}

// weirVersion is the version of clusters that a build makes: its own, or one
// before all others with the build's name where it has no numbers.
func weirVersion(build string) string {
	switch {
	case numbered.MatchString(build):
		return strings.TrimPrefix(build, "v")
	case nameless.MatchString(build):
		return "0.0.0-" + build
	}
	return "0.0.0-dev"
}

func (s *Service) fillBrokers(c *spec.Cluster, r CreateRequest, others []*spec.Cluster) error {
	if c.Profile == "" {
		c.Profile = profileFor(r.Brokers, s.engine(c.Engine).Capabilities().MaxBrokers)
	}
	p, ok := spec.LookupProfile(c.Profile)
	if !ok {
		return c.Validate()
	}
	n := r.Brokers
	if n == 0 {
		n = p.Brokers
	}
	if n < 1 || n > spec.MaxBrokers {
		return &spec.FieldError{Field: "brokers", Value: fmt.Sprint(n), Rule: fmt.Sprintf("must be 1 to %d", spec.MaxBrokers)}
	}
	if most := s.engine(c.Engine).Capabilities().MaxBrokers; most > 0 && n > most {
		return &spec.FieldError{Field: "brokers", Value: fmt.Sprint(n),
			Rule: fmt.Sprintf("engine %s runs at most %d for now: choose engine %s", c.Engine, most, spec.EngineApacheKafka)}
	}
	memory, disk, err := s.sizes(r, p, n)
	if err != nil {
		return err
	}
	for i := range n {
		b := spec.Broker{ID: int32(i + 1), Controller: i < spec.Voters(n), MemoryBytes: memory, DiskBytes: disk}
		if len(r.Racks) > 0 {
			b.Rack = r.Racks[i%len(r.Racks)]
		}
		c.Brokers = append(c.Brokers, b)
	}
	return s.givePorts(c.Brokers, others)
}

func profileFor(brokers, most int) string {
	switch {
	case brokers == 0 && most == 1, brokers == 1, brokers == 2:
		return "dev"
	case brokers >= 5:
		return "prod-5"
	}
	return "prod-3"
}

// sizes of each broker: what was asked for, checked against this machine, or
// the profile's, made smaller to fit.
func (s *Service) sizes(r CreateRequest, p spec.Profile, n int) (memory, disk int64, err error) {
	memory, disk = r.MemoryBytes, r.DiskBytes
	have := provider.Resources(s.o.Dir)
	switch {
	case memory == 0:
		memory = clamp(p.MemoryBytes, have.MemoryBytes/2/int64(n), spec.MinMemoryBytes)
	case have.MemoryBytes > 0 && memory > have.MemoryBytes/int64(n):
		return 0, 0, &spec.FieldError{Field: "memoryBytes", Value: fmt.Sprint(memory), Rule: fmt.Sprintf(
			"%d brokers would need %s, and this machine has %s: give each at most %s", n, plan.Size(memory*int64(n)), plan.Size(have.MemoryBytes), plan.Size(have.MemoryBytes/int64(n)))}
	}
	most := have.DiskFreeBytes / int64(n)
	switch {
	case have.DiskFreeBytes > 0 && most < spec.MinDiskBytes:
		return 0, 0, &spec.FieldError{Field: "diskBytes", Value: fmt.Sprint(disk), Rule: fmt.Sprintf(
			"%d brokers need at least %s, and the disk of %s has %s free: free some, take fewer brokers, or choose another directory",
			n, plan.Size(spec.MinDiskBytes*int64(n)), s.o.Dir, plan.Size(have.DiskFreeBytes))}
	case disk == 0:
		disk = clamp(p.DiskBytes, most/10*8, spec.MinDiskBytes)
	case have.DiskFreeBytes > 0 && disk > most:
		return 0, 0, &spec.FieldError{Field: "diskBytes", Value: fmt.Sprint(disk), Rule: fmt.Sprintf(
			"%d brokers would need %s, and the disk of %s has %s free: give each at most %s", n, plan.Size(disk*int64(n)), s.o.Dir, plan.Size(have.DiskFreeBytes), plan.Size(most))}
	}
	return memory, disk, nil
}

// clamp keeps want between least and, unless that is unknown, most.
func clamp(want, most, least int64) int64 {
	if most > 0 {
		want = min(want, most)
	}
	return max(want, least)
}

// Reassigned chooses ports again for those of the brokers that do not run and
// whose ports another process holds by now.
func (s *Service) Reassigned(ctx context.Context, c spec.Cluster, brokers []int32) ([]spec.Broker, error) {
	s.creating.Lock()
	defer s.creating.Unlock()
	var out []spec.Broker
	for _, b := range c.Brokers {
		if slices.Contains(brokers, b.ID) && !s.world.Runs(c, b.ID) && s.world.PortsFree(b) != nil {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	all, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return nil, err
	}
	return out, s.givePorts(out, all)
}

// givePorts fills in free ports that no cluster has, running or not.
func (s *Service) givePorts(brokers []spec.Broker, others []*spec.Cluster) error {
	var taken []int
	for _, c := range others {
		for _, b := range c.Brokers {
			for _, p := range b.Ports() {
				taken = append(taken, p.Port)
			}
		}
	}
	clients, err := provider.NewPorts(s.o.FirstPort, s.o.FirstPort+portCount-1, taken...).Pick(len(brokers))
	if err != nil {
		return &spec.FieldError{Field: "brokers", Value: fmt.Sprint(len(brokers)), Rule: err.Error()}
	}
	inner, err := provider.NewPorts(s.o.FirstPort+othersAt, s.o.FirstPort+othersAt+portCount-1, taken...).Pick(3 * len(brokers))
	if err != nil {
		return &spec.FieldError{Field: "brokers", Value: fmt.Sprint(len(brokers)), Rule: err.Error()}
	}
	slices.Sort(clients)
	for i := range brokers {
		b := &brokers[i]
		b.ClientPort, b.InternalPort, b.MetricsPort = clients[i], inner[3*i], inner[3*i+1]
		if b.Controller {
			b.ControllerPort = inner[3*i+2]
		}
	}
	return nil
}
