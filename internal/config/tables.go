package config

// The tables of all settings. A broker setting stands in the table of its subsystem.
var (
	brokerTable = newTable(networkDefs, serverDefs, logDefs, replicationDefs, groupDefs, shareDefs, transactionDefs,
		quorumDefs, securityDefs, remoteDefs, weirDefs)
	topicTable         = newTable(topicDefs)
	groupTable         = newTable(grouptypeDefs)
	clientMetricsTable = newTable(clientmetricsDefs)
)
