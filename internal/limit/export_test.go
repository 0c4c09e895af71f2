package limit

// Buckets returns how many buckets are remembered.
func (l *Local) Buckets() (n int) {
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].buckets)
		l.shards[i].mu.Unlock()
	}
	return n
}
