package image

import (
	"fmt"
	"maps"
	"slices"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

func (e *Editor) clusterRecord(record mr.Record) error {
	switch r := record.(type) {
	case *mr.RegisterBrokerRecord:
		e.putBroker(brokerOf(r))
	case *mr.UnregisterBrokerRecord:
		if _, err := e.broker(r.BrokerID, r.BrokerEpoch); err != nil {
			return err
		}
		e.ownBrokers()
		delete(e.next.brokers, r.BrokerID)
		mark(&e.delta.Brokers, r.BrokerID)
	case *mr.FenceBrokerRecord:
		return e.changeBroker(r.ID, r.Epoch, func(b *Broker) error { b.Fenced = true; return nil })
	case *mr.UnfenceBrokerRecord:
		return e.changeBroker(r.ID, r.Epoch, func(b *Broker) error { b.Fenced = false; return nil })
	case *mr.BrokerRegistrationChangeRecord:
		return e.changeBroker(r.BrokerID, r.BrokerEpoch, func(b *Broker) error { return b.merge(r) })
	case *mr.RegisterControllerRecord:
		e.ownControllers()
		e.next.ctrls[r.ControllerID] = controllerOf(r)
	case *mr.UnregisterControllerRecord:
		e.ownControllers()
		delete(e.next.ctrls, r.ControllerID)
	default:
		return fmt.Errorf("no rule for it")
	}
	return nil
}

func (e *Editor) ownBrokers() {
	if !e.ownedBrokers {
		e.ownedBrokers = true
		e.next.brokers = maps.Clone(e.next.brokers)
		if e.next.brokers == nil {
			e.next.brokers = make(map[int32]*Broker)
		}
	}
}

func (e *Editor) ownControllers() {
	e.delta.Controllers = true
	if !e.ownedCtrls {
		e.ownedCtrls = true
		e.next.ctrls = maps.Clone(e.next.ctrls)
		if e.next.ctrls == nil {
			e.next.ctrls = make(map[int32]*Controller)
		}
	}
}

func (e *Editor) putBroker(b *Broker) {
	e.ownBrokers()
	e.next.brokers[b.ID] = b
	mark(&e.delta.Brokers, b.ID)
}

func (e *Editor) broker(id int32, epoch int64) (*Broker, error) {
	b := e.next.brokers[id]
	if b == nil {
		return nil, fmt.Errorf("broker %d is not registered", id)
	}
	if b.Epoch != epoch {
		return nil, fmt.Errorf("broker %d has epoch %d, not %d", id, b.Epoch, epoch)
	}
	return b, nil
}

func (e *Editor) changeBroker(id int32, epoch int64, change func(*Broker) error) error {
	old, err := e.broker(id, epoch)
	if err != nil {
		return err
	}
	b := *old
	if err := change(&b); err != nil {
		return err
	}
	e.putBroker(&b)
	return nil
}

func (b *Broker) merge(r *mr.BrokerRegistrationChangeRecord) error {
	set := func(v int8, to *bool, what string) error {
		switch v {
		case 0:
		case 1:
			*to = true
		case -1:
			*to = false
		default:
			return fmt.Errorf("%s is %d", what, v)
		}
		return nil
	}
	if err := set(r.Fenced, &b.Fenced, "fenced"); err != nil {
		return err
	}
	if err := set(r.InControlledShutdown, &b.InControlledShutdown, "inControlledShutdown"); err != nil {
		return err
	}
	if len(r.LogDirs) > 0 {
		b.Directories = sortedIDs(r.LogDirs)
	}
	if r.CordonedLogDirs != nil {
		b.Cordoned = r.CordonedLogDirs
	}
	return nil
}

func sortedIDs(ids []UUID) []UUID {
	out := slices.Clone(ids)
	slices.SortFunc(out, func(a, b UUID) int { return slices.Compare(a[:], b[:]) })
	return out
}

func brokerOf(r *mr.RegisterBrokerRecord) *Broker {
	b := &Broker{
		ID: r.BrokerID, Epoch: r.BrokerEpoch, IncarnationID: r.IncarnationID, Rack: r.Rack, Fenced: r.Fenced,
		InControlledShutdown: r.InControlledShutdown, MigratingZk: r.IsMigratingZkBroker, Directories: sortedIDs(r.LogDirs), Cordoned: r.CordonedLogDirs,
	}
	for _, e := range r.EndPoints {
		b.Endpoints = append(b.Endpoints, Endpoint{e.Name, e.Host, e.Port, e.SecurityProtocol})
	}
	for _, f := range r.Features {
		b.Features = append(b.Features, FeatureRange{f.Name, f.MinSupportedVersion, f.MaxSupportedVersion})
	}
	return b
}

func controllerOf(r *mr.RegisterControllerRecord) *Controller {
	c := &Controller{ID: r.ControllerID, IncarnationID: r.IncarnationID, ZkMigrationReady: r.ZkMigrationReady}
	for _, e := range r.EndPoints {
		c.Endpoints = append(c.Endpoints, Endpoint{e.Name, e.Host, e.Port, e.SecurityProtocol})
	}
	for _, f := range r.Features {
		c.Features = append(c.Features, FeatureRange{f.Name, f.MinSupportedVersion, f.MaxSupportedVersion})
	}
	return c
}
