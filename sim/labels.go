package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
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
	"metadata quorum: fetching a snapshot":                      "a metadata snapshot fetched",
	"this voter has caught up and votes":                        "a fresh voter votes",
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
	"cannot go on":                                              "a process that ended by itself",
}

// rare are states that a run of a hundred seeds may miss.
var rare = []string{}

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

// inWords lists how often states were reached.
func inWords(reached map[string]int) (lines []string) {
	for _, l := range slices.Sorted(maps.Keys(reached)) {
		lines = append(lines, fmt.Sprintf("%6d %s", reached[l], l))
	}
	return lines
}
