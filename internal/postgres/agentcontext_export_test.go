package postgres

func contextStatements() []string {
	return []string{listContext, listHeads, lockContext, openContext, putEntry, rankEntry, dropEntries, forgetContext}
}

// Share has contexts changed without a lock: the negative control of the tests on two processes.
func (c *AgentContexts) Share() { c.shared = true }
