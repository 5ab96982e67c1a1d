package spec

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// The kinds of operations.
const (
	OpCreate        = "create"
	OpScale         = "scale"
	OpStop          = "stop"
	OpStart         = "start"
	OpRestartBroker = "restart-broker"
	OpStopBroker    = "stop-broker"
	OpStartBroker   = "start-broker"
	OpKillBroker    = "kill-broker"
	OpDelete        = "delete"
	OpHeal          = "heal"
	OpCreateUser    = "create-user"
)

// StepKind says what a step does. Each kind is idempotent: done twice it has
// the effect of once, and each looks at the cluster before it acts.
type StepKind string

// The kinds of steps with the arguments that they use.
const (
	// StepPrepareEngine gets the engine's files and the cluster's certificates ready.
	StepPrepareEngine StepKind = "prepare-engine"
	// StepDeclareBrokers writes Args.Add into the cluster's desired state.
	StepDeclareBrokers StepKind = "declare-brokers"
	// StepDeclareStopped writes into the desired state that Args.Brokers shall not run.
	StepDeclareStopped StepKind = "declare-stopped"
	// StepDeclareStarted writes into the desired state that Args.Brokers shall run.
	StepDeclareStarted StepKind = "declare-started"
	// StepProvision writes Args.Broker's settings and formats its storage unless that is done.
	StepProvision StepKind = "provision-broker"
	// StepStartBroker starts the process of Args.Broker unless it runs.
	StepStartBroker StepKind = "start-broker"
	// StepStopBroker stops the process of Args.Broker if it runs, or those of Args.Brokers at once.
	StepStopBroker StepKind = "stop-broker"
	// StepKillBroker ends the process of Args.Broker at once if it runs.
	StepKillBroker StepKind = "kill-broker"
	// StepAwaitBrokers waits until Args.Brokers are registered and not fenced.
	StepAwaitBrokers StepKind = "await-brokers"
	// StepAwaitInSync waits until no partition lacks a replica in its ISR that one of Args.Brokers (or any, if empty) holds.
	StepAwaitInSync StepKind = "await-in-sync"
	// StepReassign moves the replicas of Args.Moves, and then whatever is still on Args.Drain.
	StepReassign StepKind = "reassign"
	// StepElectLeaders gives each partition to its first replica.
	StepElectLeaders StepKind = "elect-leaders"
	// StepCheckEmpty fails unless Args.Broker holds no replica.
	StepCheckEmpty StepKind = "check-empty"
	// StepUnregister tells the controllers to forget Args.Broker, which must not run.
	StepUnregister StepKind = "unregister-broker"
	// StepWipe removes the data of Args.Broker, which must not run.
	StepWipe StepKind = "wipe-broker"
	// StepForgetBroker removes Args.Broker's files and takes it out of the desired state.
	StepForgetBroker StepKind = "forget-broker"
	// StepRemoveCluster removes all files and the desired state of the cluster.
	StepRemoveCluster StepKind = "remove-cluster"
)

// StepArgs are the arguments of a step; each kind uses some of them.
type StepArgs struct {
	Broker  int32    `json:"broker,omitempty"`
	Brokers []int32  `json:"brokers,omitempty"`
	Add     []Broker `json:"add,omitempty"`
	Moves   []Move   `json:"moves,omitempty"`
	// StoredMoves counts moves that are kept in a document of their own.
	StoredMoves int `json:"storedMoves,omitempty"`
	// Drain lists brokers that must hold nothing afterwards.
	Drain []int32 `json:"drain,omitempty"`
	// ThrottleBytesPerSecond limits replication while data moves, per broker; 0 means no limit.
	ThrottleBytesPerSecond int64 `json:"throttleBytesPerSecond,omitempty"`
	// TimeoutSeconds bounds a wait in which nothing gets better; 0 means the runner's default.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
}

// Move is a new list of replicas for one partition; the first is the
// preferred leader. Lists that differ in order only move no data.
type Move struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	From      []int32 `json:"from"`
	To        []int32 `json:"to"`
	// Bytes is the size of one replica when the plan was made.
	Bytes int64 `json:"bytes"`
}

// Copies is how many replicas have to be copied.
func (m *Move) Copies() int {
	n := 0
	for _, id := range m.To {
		if !contains(m.From, id) {
			n++
		}
	}
	return n
}

func contains(ids []int32, id int32) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// Moves are the moves of one step, apart from the operation, which is written
// again at each progress.
type Moves struct {
	Operation string `json:"operation"`
	Cluster   string `json:"cluster"`
	Step      int    `json:"step"`
	Moves     []Move `json:"moves"`
	Revision  int64  `json:"revision"`
}

// SplitMoves takes the moves out of an operation's steps.
func (o *Operation) SplitMoves() []Moves {
	var out []Moves
	for i := range o.Steps {
		if a := &o.Steps[i].Args; len(a.Moves) > 0 {
			out = append(out, Moves{Operation: o.ID, Cluster: o.Cluster, Step: i, Moves: a.Moves})
			a.StoredMoves, a.Moves = len(a.Moves), nil
		}
	}
	return out
}

// PlannedStep is a step before it is run.
type PlannedStep struct {
	Kind  StepKind `json:"kind"`
	Title string   `json:"title"`
	Args  StepArgs `json:"args"`
}

// Plan says what an operation would do, at which cost and risk.
type Plan struct {
	Summary string        `json:"summary"`
	Steps   []PlannedStep `json:"steps"`
	// PartitionsToMove counts partitions that get a new replica, BytesToMove
	// what is copied for them.
	PartitionsToMove int   `json:"partitionsToMove"`
	BytesToMove      int64 `json:"bytesToMove"`
	EstimatedSeconds int   `json:"estimatedSeconds"`
	// Restarts counts processes of running brokers that are stopped and started.
	Restarts int      `json:"restarts"`
	Risks    []string `json:"risks"`
	// Undo says how to go back afterwards.
	Undo string `json:"undo"`
	// Impossible says why it cannot be done; then there are no steps.
	Impossible string `json:"impossible,omitempty"`
}

// Progress is how far a step is.
type Progress struct {
	BytesDone  int64  `json:"bytesDone"`
	BytesTotal int64  `json:"bytesTotal"`
	Detail     string `json:"detail,omitempty"`
	// SecondsLeft is -1 while nobody can tell.
	SecondsLeft int `json:"secondsLeft"`
}

// Step is a step of an operation as it runs.
type Step struct {
	Name      string     `json:"name"`
	Kind      StepKind   `json:"kind"`
	Args      StepArgs   `json:"args"`
	State     StepState  `json:"state"`
	Progress  Progress   `json:"progress"`
	StartedAt *time.Time `json:"startedAt,omitempty"`
	EndedAt   *time.Time `json:"endedAt,omitempty"`
	Error     string     `json:"error,omitempty"`
	// Attempts counts how often the step was begun: more than once after the
	// service died in the middle of it.
	Attempts int `json:"attempts"`
}

// LogLine is one line of an operation's log.
type LogLine struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// MaxLogLines bounds an operation's log; the oldest lines go first.
const MaxLogLines = 1000

// Operation is one change of a cluster, from the wish to the end.
type Operation struct {
	// ID sorts by time of creation.
	ID      string `json:"id"`
	Cluster string `json:"cluster"` // the cluster's ID
	Kind    string `json:"kind"`
	// Actor is who wanted it: a user of the service, or "healing".
	Actor     string     `json:"actor"`
	State     OpState    `json:"state"`
	Plan      Plan       `json:"plan"`
	Steps     []Step     `json:"steps"`
	Log       []LogLine  `json:"log"`
	CreatedAt time.Time  `json:"createdAt"`
	StartedAt *time.Time `json:"startedAt,omitempty"`
	EndedAt   *time.Time `json:"endedAt,omitempty"`
	Error     string     `json:"error,omitempty"`
	// CancelRequested is honoured where the step allows it.
	CancelRequested bool  `json:"cancelRequested,omitempty"`
	Revision        int64 `json:"revision"`
}

// NewOperation makes a pending operation of a plan. Its plan keeps no second
// copy of the steps.
func NewOperation(id, cluster, kind, actor string, plan Plan, now time.Time) (*Operation, error) {
	if plan.Impossible != "" {
		return nil, fmt.Errorf("%s cannot be done: %s", kind, plan.Impossible)
	}
	op := &Operation{ID: id, Cluster: cluster, Kind: kind, Actor: actor, State: OpPending, Plan: plan, CreatedAt: now}
	for _, p := range plan.Steps {
		op.Steps = append(op.Steps, Step{Name: p.Title, Kind: p.Kind, Args: p.Args, State: StepPending, Progress: Progress{SecondsLeft: -1}})
	}
	op.Plan.Steps = nil
	return op, nil
}

// Say adds a line to the log.
func (o *Operation) Say(now time.Time, format string, args ...any) {
	o.Log = append(o.Log, LogLine{At: now, Text: fmt.Sprintf(format, args...)})
	if extra := len(o.Log) - MaxLogLines; extra > 0 {
		o.Log = append(o.Log[:0:0], o.Log[extra:]...)
	}
}

// NewID makes an identifier that sorts by time: prefix, milliseconds, chance.
// A nil source of chance means the system's.
func NewID(prefix string, now time.Time, chance io.Reader) (string, error) {
	if chance == nil {
		chance = rand.Reader
	}
	var b [5]byte
	if _, err := io.ReadFull(chance, b[:]); err != nil {
		return "", fmt.Errorf("new id: %w", err)
	}
	return fmt.Sprintf("%s-%011x-%s", prefix, now.UnixMilli(), hex.EncodeToString(b[:])), nil
}
