package school

// SuspendLead is by how much a suspension is ahead.
const SuspendLead = suspendLead
