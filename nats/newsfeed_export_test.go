package nats

// Lose makes a feed drop live messages.
func Lose(f *Newsfeed, lossy func(seq uint64) bool) { f.lossy = lossy }

// BlindFeed makes a feed believe that nothing is ever missing. Negative controls break with it what the sequences guard.
func BlindFeed(f *Newsfeed) { f.blind = true }

// Sloppy makes readers read the log before they listen. Negative controls break with it what the splice guards.
func Sloppy(f *Newsfeed) { f.sloppy = true }

// Running reports whether a feed hears what happens.
func Running(f *Newsfeed) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}
