package nats

// BoundBus sets how much waits for a listener.
func BoundBus(b *ChannelBus, messages, bytes int) { b.maxMessages, b.maxBytes = messages, bytes }

// Hasten makes Publish return before the broker has anything. Negative controls break with it what the round trip guards.
func Hasten(b *ChannelBus) { b.hasty = true }

// Deafen makes listeners of a bus unaware of what they lose. Negative controls break with it what the marks guard.
func Deafen(b *ChannelBus) { b.deaf = true }

// Skip counts a message that is never sent.
func Skip(b *ChannelBus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
}
