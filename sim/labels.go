package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/wire"
)

// What a run of many seeds has to come upon, each at least once: a state that is never reached is not tested. They are seen
// from outside, in the metadata log, in what clients are told and in the nodes' own logs.
//
// saidBy are those that a node tells of in its log, by the words that say so.
var saidBy = map[string]string{
	"in-sync replicas changed":                                  "the ISR changed by its leader",
	"the controller refused a change of the in-sync replicas":   "a change of the ISR refused",
	"log is truncated":                                          "a log truncated",
	"the log is cut below its high watermark":                   "a log cut below its high watermark",
	"damaged end of a segment is cut off":                       "a torn end of a log cut off",
	"log directory goes offline":                                "a log directory went offline",
	"is led from a full disk":                                   "a full disk at a leader",
	"log directory was not left cleanly":                        "logs recovered after an unclean end",
	"cannot write to the coordinator's log, changes are undone": "a coordinator's changes undone",
	"coordinator's log is slow to commit":                       "a coordinator's log slow to commit",
	"the run before was killed and has lost nothing":            "a killed process that has lost nothing",
	"fencing a broker whose session ended":                      "a broker fenced by its session",
	"fencing a broker whose process has ended":                  "a broker fenced by the signs of its end",
	"controller: not active any more":                           "a controller deposed",
	"the leader's process has ended; electing another":          "a voter saw the leader end",
	"metadata snapshot written":                                 "a metadata snapshot written",
	"metadata quorum: went on from a snapshot of the leader":    "a metadata snapshot fetched",
	"this voter has caught up and votes":                        "a fresh voter votes",
	"the voters will stand in the log (kraft.version 1)":        "a static quorum made dynamic",
	"metadata quorum: adding a voter":                           "a voter added",
	"metadata quorum: removing a voter":                         "a voter removed",
	"leaders go back to their preferred replicas":               "leaders balanced",
	"removing the log of a deleted topic of the same name":      "the log of a deleted topic of the same name removed",
	"cannot follow the leader for now":                          "a follower told to wait",
	"the leader does not answer":                                "a leader that does not answer",
	"the controller did not take the heartbeat":                 "a heartbeat not taken",
	"controlled shutdown was cut short":                         "a controlled shutdown cut short",
	"metadata log: cut a torn tail":                             "a torn end of the metadata log cut off",
	"the metadata knows no such replica here":                   "a stray replica set aside",
	"the controller had forgotten this broker":                  "a broker registered again",
	"log starts over":                                           "a log that started over",
	"producer snapshot is not usable":                           "a damaged producer snapshot",
	"no space, waiting":                                         "a quorum without space",
	"this one keeps its session":                                "many brokers that seem to have ended at once",
	"the leader's log starts beyond":                            "a log beyond the end of a follower's",
	"a voter has lost its log; another leader is wanted":        "a voter without its log",
	"the term that was given up goes on":                        "a term that was given up",
	"what the leader sent does not check":                       "a fetched part that does not check",
	"cut Raft's log":                                            "Raft's log not cut",
	"transaction is aborted, its time is over":                  "a transaction aborted by its time",
	"transactions that were decided before are brought to":      "markers sent by the next coordinator",
	"markers of a transaction are not sent any more":            "markers that a later epoch refused",
	"transaction index is cut back":                             "a transaction index cut back",
	"the coordinator of a transaction could not be asked":       "a coordinator of transactions that does not answer",
}

// reach notes that a state was reached.
func (c *cluster) reach(label string) {
	c.mu.Lock()
	c.reached[label]++
	c.mu.Unlock()
}

// said looks for states in a line of a node's log.
func (c *cluster) said(line []byte) {
	for words, label := range saidBy {
		if bytes.Contains(line, []byte(words)) {
			c.reach(label)
		}
	}
}

// sometimes are the states that such a run has to come upon. Not among them, since they are seldom: a reassignment cancelled or
// one that took the leader away, the log of a deleted topic of the same name removed, the voters changed beside a partition of the
// network, many brokers that seem to have ended at once, a voter that was replaced, a controlled shutdown cut short, a read answered UNKNOWN_TOPIC_ID, a stray
// replica set aside, a heartbeat not taken.
var sometimes = []string{
	"a batch sent again and answered", "a broker fenced", "a broker fenced by its session", "a broker fenced by the signs of its end", "a broker unfenced",
	"a commit of unknown outcome that did not happen", "a fenced zombie", "a producer that gets its next epoch itself", "a record of a transaction in a topic that goes",
	"a transaction aborted by its time", "a write answered CONCURRENT_TRANSACTIONS", "an EndTxn answered CONCURRENT_TRANSACTIONS", "an EndTxn answered PRODUCER_FENCED",
	"an InitProducerId answered CONCURRENT_TRANSACTIONS", "an aborted index compared", "markers sent by the next coordinator", "the coordinator of an open transaction moved",
	"transaction.version raised", "what was open in the end is left to its time",
	"a commit answered COORDINATOR_NOT_AVAILABLE", "a commit answered NOT_COORDINATOR", "a controlled shutdown", "a controller deposed", "a controller took over",
	"a coordinator's changes undone", "a coordinator's log slow to commit", "a follower told to wait", "a fresh voter votes", "a full disk at a leader",
	"a leader elected from the ELR", "a leader elected from the ISR", "a leader recovered", "a leader that does not answer", "a leader went back to the preferred replica",
	"a log cut below its high watermark", "a log directory reported offline", "a log directory went offline", "a log truncated", "a metadata snapshot fetched",
	"a metadata snapshot written", "a process that ended by itself", "a read answered FENCED_LEADER_EPOCH", "a read answered KAFKA_STORAGE_ERROR",
	"a read answered NOT_LEADER_OR_FOLLOWER", "a read answered OFFSET_OUT_OF_RANGE", "a read answered UNKNOWN_LEADER_EPOCH", "a reassignment completed", "a snapshot compared", "a static quorum made dynamic",
	"a topic deleted", "a topic made again", "a topic that is another one now", "a torn end of a log cut off", "a torn end of the metadata log cut off", "a voter added",
	"a voter removed", "a voter saw the leader end", "a write answered KAFKA_STORAGE_ERROR", "a write answered NOT_ENOUGH_REPLICAS", "a write answered NOT_LEADER_OR_FOLLOWER",
	"a write answered REQUEST_TIMED_OUT", "a write answered UNKNOWN_TOPIC_ID", "an ISR of one", "an empty ISR", "an old topic id refused", "an unclean election",
	"logs recovered after an unclean end", "the ISR changed by its leader", "the ISR grew", "the ISR shrank", "the last known leader elected", "voters written",
}

// enoughSeeds is how many seeds must reach all of them.
const enoughSeeds = 200

// answered notes what a client was told.
func (c *cluster) answered(what string, code wire.Code) {
	if code != wire.None {
		c.reach(what + " answered " + code.Name())
	}
}

// coverage is how often states were reached, and in how many seeds.
type coverage struct{ times, seeds map[string]int }

func (v *coverage) add(reached map[string]int) {
	for label, n := range reached {
		v.times[label] += n
		v.seeds[label]++
	}
}

// String lists the states.
func (v *coverage) String() string {
	var b strings.Builder
	for _, l := range slices.Sorted(maps.Keys(v.times)) {
		fmt.Fprintf(&b, "%7d in %4d seeds: %s\n", v.times[l], v.seeds[l], l)
	}
	return b.String()
}
