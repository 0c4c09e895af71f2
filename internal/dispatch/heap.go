package dispatch

// order says how a heap sorts, and tells each element where in the heap it is.
type order[T any] struct {
	before func(a, b T) bool
	moved  func(x T, index int32) // -1: out
}

// heap is a binary heap whose elements know their index, so that any of them can be removed or moved in O(log n).
type heap[T any] struct {
	by    *order[T]
	items []T
}

func (h *heap[T]) len() int { return len(h.items) }

// top returns the first element. The heap must not be empty.
func (h *heap[T]) top() T { return h.items[0] }

func (h *heap[T]) push(x T) {
	h.items = append(h.items, x)
	h.by.moved(x, int32(len(h.items)-1))
	h.up(len(h.items) - 1)
}

// remove takes out the element at index i.
func (h *heap[T]) remove(i int32) {
	last := len(h.items) - 1
	h.swap(int(i), last)
	h.by.moved(h.items[last], -1)
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	if int(i) < last {
		h.fix(i)
	}
	if cap(h.items) > 64 && len(h.items) < cap(h.items)/4 {
		h.items = append(make([]T, 0, cap(h.items)/2), h.items...) // a burst does not keep its memory
	}
}

// fix restores the order after the element at index i changed.
func (h *heap[T]) fix(i int32) {
	if !h.down(int(i)) {
		h.up(int(i))
	}
}

func (h *heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.by.before(h.items[i], h.items[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap[T]) down(i int) (moved bool) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return moved
		}
		if right := child + 1; right < len(h.items) && h.by.before(h.items[right], h.items[child]) {
			child = right
		}
		if !h.by.before(h.items[child], h.items[i]) {
			return moved
		}
		h.swap(i, child)
		i, moved = child, true
	}
}

func (h *heap[T]) swap(i, j int) {
	if i == j {
		return
	}
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.by.moved(h.items[i], int32(i))
	h.by.moved(h.items[j], int32(j))
}
