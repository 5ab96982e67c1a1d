package doctor

// checks is the table of all of them, in the order in which findings of one severity are shown.
var checks = []check{
	{"settings", checkSettings},
	{"plaintext-listener", checkPlaintext},
	{"anonymous-access", checkAnonymous},
	{"no-authorizer", checkAuthorizer},
	{"open-by-default", checkOpenByDefault},
	{"super-users", checkSuperUsers},
	{"open-rules", checkRules},
	{"known-password", checkPasswords},
	{"secrets-readable", checkSecrets},
	{"nameless-clients", checkNameless},
	{"weak-tls", checkWeakTLS},
	{"certificate-end", checkCertificateEnd},
	{"certificate-name", checkCertificateName},
	{"certificate-unusable", checkCertificateUsable},
	{"peer-names", checkPeerNames},
	{"advertised-address", checkAdvertised},
	{"offline-partitions", checkOffline},
	{"under-replicated", checkUnderReplicated},
	{"replication-factor", checkReplication},
	{"min-insync-replicas", checkMinISR},
	{"unclean-election", checkUnclean},
	{"volatile-data", checkVolatile},
	{"disk-space", checkDisk},
	{"file-limit", checkFiles},
	{"clock", checkClock},
	{"auto-create-topics", checkAutoCreate},
	{"old-version", checkVersion},
}

// each runs a look at every node.
func each(f *facts, look func(*node) []Finding) (out []Finding) {
	for _, n := range f.nodes {
		for _, found := range look(n) {
			if found.Where == "" {
				found.Where = n.where
			}
			out = append(out, found)
		}
	}
	return out
}

// line is the fix of a setting: a line of the file, or what sets it in a running cluster, if that can be.
func (n *node) line(setting string) string {
	if n.file != "" {
		return setting
	}
	return setting + "   # in server.properties, then restart"
}
