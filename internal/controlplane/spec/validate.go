package spec

import (
	"fmt"
	"regexp"
	"slices"
)

// The limits of a cluster and its brokers.
const (
	MaxBrokers     = 64
	MaxBrokerID    = 9999
	MaxNameLength  = 48
	MaxRackLength  = 64
	MaxSettings    = 200
	MinPort        = 1024
	MaxPort        = 65535
	MinMemoryBytes = 256 << 20
	MaxMemoryBytes = 1 << 40
	MinDiskBytes   = 1 << 30
	MaxDiskBytes   = 1 << 50
)

var (
	namePattern    = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	rackPattern    = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	versionPattern = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+([.+-][0-9A-Za-z.+-]+)?$`)
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	kafkaIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)
	reservedNames  = []string{"new", "all", "service", "engines", "con", "nul", "aux", "prn"}
)

// ValidateName checks the name of a cluster: it becomes a folder and part of
// an address.
func ValidateName(name string) error {
	var r refusals
	switch {
	case len(name) > MaxNameLength:
		r.add("name", name, "must have at most %d characters", MaxNameLength)
	case !namePattern.MatchString(name):
		r.add("name", name, "must be lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen")
	case slices.Contains(reservedNames, name):
		r.add("name", name, "is reserved: choose another name")
	}
	return r.err()
}

// Validate checks a whole cluster. The error joins one *FieldError for each
// broken rule; Fields takes them apart.
func (c *Cluster) Validate() error {
	var r refusals
	if !idPattern.MatchString(c.ID) {
		r.add("id", c.ID, "must be 1 to 64 letters, digits, hyphens and underscores")
	}
	if err := ValidateName(c.Name); err != nil {
		r = append(r, err)
	}
	c.validateEngine(&r)
	if _, ok := LookupProfile(c.Profile); !ok {
		r.add("profile", c.Profile, "must be one of %s", profileNames())
	}
	if !c.State.Valid() {
		r.add("state", c.State, "must be one of %v", States())
	}
	if !kafkaIDPattern.MatchString(c.KafkaClusterID) {
		r.add("kafkaClusterId", c.KafkaClusterID, "must be 22 characters of URL-safe base64, as kafka-storage random-uuid prints")
	}
	c.validateBrokers(&r)
	validateSettings(&r, c.Engine, c.Settings)
	return r.err()
}

func (c *Cluster) validateEngine(r *refusals) {
	if c.Engine != EngineApacheKafka && c.Engine != EngineWeir {
		r.add("engine", c.Engine, "must be %s or %s", EngineApacheKafka, EngineWeir)
		return
	}
	if !versionPattern.MatchString(c.EngineVersion) {
		r.add("engineVersion", c.EngineVersion, "must be three numbers, such as 4.3.1")
		return
	}
	if c.Engine == EngineApacheKafka && c.EngineVersion[0] < '4' && c.EngineVersion[1] == '.' {
		r.add("engineVersion", c.EngineVersion, "must be 4.0.0 or later: older versions cannot be run by the service")
	}
}

func (c *Cluster) validateBrokers(r *refusals) {
	if n := len(c.Brokers); n < 1 || n > MaxBrokers {
		r.add("brokers", n, "must be 1 to %d brokers", MaxBrokers)
		return
	}
	if n := c.Controllers(); n != 1 && n != 3 && n != 5 {
		r.add("brokers", n, "must have 1, 3 or 5 brokers with controller: true, so that a majority can be found")
	}
	ids, ports := map[int32]int{}, map[int]string{}
	for i, b := range c.Brokers {
		at := fmt.Sprintf("brokers[%d]", i)
		if first, twice := ids[b.ID]; twice {
			r.add(at+".id", b.ID, "is the id of brokers[%d] already", first)
		}
		ids[b.ID] = i
		b.validate(r, at, ports)
	}
	racks := 0
	for _, b := range c.Brokers {
		if b.Rack != "" {
			racks++
		}
	}
	if racks != 0 && racks != len(c.Brokers) {
		r.add("brokers", racks, "must all have a rack, or none: with some unknown, replicas cannot be spread")
	}
}

func (b *Broker) validate(r *refusals, at string, ports map[int]string) {
	if b.ID < 1 || b.ID > MaxBrokerID {
		r.add(at+".id", b.ID, "must be 1 to %d", MaxBrokerID)
	}
	if b.Rack != "" && (len(b.Rack) > MaxRackLength || !rackPattern.MatchString(b.Rack)) {
		r.add(at+".rack", b.Rack, "must be at most %d letters, digits, dots, hyphens and underscores", MaxRackLength)
	}
	for _, p := range b.Ports() {
		field := at + "." + p.Field
		if p.Field == "controllerPort" && !b.Controller {
			if p.Port != 0 {
				r.add(field, p.Port, "must be 0 on a broker that is no controller")
			}
			continue
		}
		if p.Port < MinPort || p.Port > MaxPort {
			r.add(field, p.Port, "must be %d to %d", MinPort, MaxPort)
		} else if other, taken := ports[p.Port]; taken {
			r.add(field, p.Port, "is the port of %s already", other)
		} else {
			ports[p.Port] = field
		}
	}
	if b.MemoryBytes < MinMemoryBytes || b.MemoryBytes > MaxMemoryBytes {
		r.add(at+".memoryBytes", b.MemoryBytes, "must be %d (256 MiB) to %d (1 TiB)", int64(MinMemoryBytes), int64(MaxMemoryBytes))
	}
	if b.DiskBytes < MinDiskBytes || b.DiskBytes > MaxDiskBytes {
		r.add(at+".diskBytes", b.DiskBytes, "must be %d (1 GiB) to %d (1 PiB)", int64(MinDiskBytes), int64(MaxDiskBytes))
	}
}

// A Port is one port of a broker with the name of its field.
type Port struct {
	Field string
	Port  int
}

// Ports lists all ports of a broker; the controller's is 0 where it has none.
func (b *Broker) Ports() []Port {
	return []Port{
		{"clientPort", b.ClientPort}, {"internalPort", b.InternalPort},
		{"controllerPort", b.ControllerPort}, {"metricsPort", b.MetricsPort},
	}
}
