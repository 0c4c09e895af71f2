package task

// KeyedID returns the id of the task that a tenant's Idempotency-Key stands for, whether there is one yet or not.
func KeyedID(tenant, key string) string {
	id, _ := taskID(tenant, key) // only a random id can fail
	return id
}
