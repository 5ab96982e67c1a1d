package image

// Endpoint is a listener of a broker or a controller.
type Endpoint struct {
	Name             string
	Host             string
	Port             uint16
	SecurityProtocol int16 // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// FeatureRange is what a node supports of a feature.
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// Broker is a registered broker. Immutable.
type Broker struct {
	ID                   int32
	Epoch                int64
	IncarnationID        UUID
	Endpoints            []Endpoint
	Features             []FeatureRange
	Rack                 *string
	Fenced               bool
	InControlledShutdown bool
	MigratingZk          bool
	Directories          []UUID // online, sorted
	Cordoned             []UUID // nil: unknown
}

// Active reports whether the broker may lead: neither fenced nor on its way out.
func (b *Broker) Active() bool { return b != nil && !b.Fenced && !b.InControlledShutdown }

// Endpoint finds a listener by name.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Name == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// HasDirectory reports whether the directory is one of the broker's online ones.
func (b *Broker) HasDirectory(id UUID) bool {
	for _, d := range b.Directories {
		if d == id {
			return true
		}
	}
	return false
}

// Online reports whether a replica in that directory can be served: where it is not known, or the broker says nothing of
// its directories, it is taken to be (KIP-858).
func (b *Broker) Online(dir UUID) bool {
	switch dir {
	case DirectoryMigrating, DirectoryUnassigned:
		return true
	case DirectoryLost:
		return false
	}
	return len(b.Directories) == 0 || b.HasDirectory(dir)
}

// Controller is a registered controller. Immutable.
type Controller struct {
	ID               int32
	IncarnationID    UUID
	ZkMigrationReady bool
	Endpoints        []Endpoint
	Features         []FeatureRange
}
