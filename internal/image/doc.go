// Package image is the picture of a cluster's metadata at one offset of the metadata log: features, brokers,
// topics, configs, quotas, producer ids, ACLs, credentials. An Image never changes; replaying records makes the
// next one, which shares with it all that did not change, and a Delta that names what did. A change costs in
// proportion to itself, not to the image.
//
// It decides nothing (controller), stores nothing (quorum) and calls nobody (node publishes images).
package image
