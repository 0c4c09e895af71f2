package luau

// Inspect calls f for a node and then, if f returned true, for each of its parts, in the order of the source. Types are visited as well.
func Inspect(n Node, f func(Node) bool) {
}
