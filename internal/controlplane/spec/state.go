package spec

import (
	"fmt"
	"slices"
)

// State is where a cluster is. Nothing but DELETING forbids another change:
// healing blocks nothing.
type State string

// The states of a cluster.
const (
	Creating State = "CREATING" // never served yet
	Active   State = "ACTIVE"   // all of it serves
	Updating State = "UPDATING" // a person's operation runs
	Healing  State = "HEALING"  // the service mends it
	Degraded State = "DEGRADED" // serves, but less than wanted, and nothing mends it right now
	Stopped  State = "STOPPED"  // no process runs, as wanted
	Failed   State = "FAILED"   // an operation gave up half-way
	Deleting State = "DELETING" // its processes and files are going
)

// transitions are the legal changes of a cluster's state. A state may always
// stay what it is.
var transitions = map[State][]State{
	Creating: {Active, Failed, Deleting},
	Active:   {Updating, Healing, Degraded, Stopped, Failed, Deleting},
	Updating: {Active, Healing, Degraded, Stopped, Failed, Deleting},
	Healing:  {Active, Updating, Degraded, Stopped, Failed, Deleting},
	Degraded: {Active, Updating, Healing, Stopped, Failed, Deleting},
	Stopped:  {Updating, Deleting},
	Failed:   {Creating, Active, Updating, Healing, Degraded, Stopped, Deleting},
	Deleting: {Failed},
}

// States returns all states of a cluster.
func States() []State {
	return []State{Creating, Active, Updating, Healing, Degraded, Stopped, Failed, Deleting}
}

// Valid says whether s is a state.
func (s State) Valid() bool { return slices.Contains(States(), s) }

// May says whether a cluster may go from s to next.
func (s State) May(next State) bool {
	return s.Valid() && s == next || slices.Contains(transitions[s], next)
}

// To checks the way from s to next.
func (s State) To(next State) error {
	if s.May(next) {
		return nil
	}
	return &FieldError{Field: "state", Value: string(next), Rule: fmt.Sprintf("cannot follow %s", s)}
}

// OpState is where an operation is.
type OpState string

// The states of an operation. The last three are final.
const (
	OpPending   OpState = "PENDING"
	OpRunning   OpState = "RUNNING"
	OpSucceeded OpState = "SUCCEEDED"
	OpFailed    OpState = "FAILED"
	OpCancelled OpState = "CANCELLED"
)

// Final says whether an operation in this state is over.
func (s OpState) Final() bool { return s == OpSucceeded || s == OpFailed || s == OpCancelled }

// May says whether an operation may go from s to next.
func (s OpState) May(next OpState) bool {
	switch s {
	case OpPending:
		return next == OpRunning || next == OpCancelled || next == OpFailed
	case OpRunning:
		return next.Final()
	}
	return false
}

// StepState is where a step of an operation is.
type StepState string

// The states of a step.
const (
	StepPending   StepState = "PENDING"
	StepRunning   StepState = "RUNNING"
	StepSucceeded StepState = "SUCCEEDED"
	StepFailed    StepState = "FAILED"
	StepSkipped   StepState = "SKIPPED" // never begun, the operation was cancelled or failed before
)
