package llm

func anyIn(entries []Vector, space string) bool {
	for _, e := range entries {
		if e.Space == space {
			return true
		}
	}
	return false
}

// nearest returns the question of a space whose texts are nearest, by the pair that is farthest apart. The newest of equals wins.
func nearest(entries []Vector, space string, vectors [][]float32) (best Vector, similarity float64) {
	similarity = -1
	for _, e := range entries {
		if e.Space != space {
			continue
		}
		if cos := farthest(e.Values, vectors); cos >= similarity {
			best, similarity = e, cos
		}
	}
	return best, similarity
}

// farthest returns the lowest cosine of two lists' pairs, -1 for lists that cannot be compared. All vectors have length 1.
func farthest(a, b [][]float32) float64 {
	if len(a) != len(b) {
		return -1
	}
	lowest := 1.0
	for i := range a {
		if len(a[i]) != len(b[i]) {
			return -1
		}
		lowest = min(lowest, dot(a[i], b[i]))
	}
	return lowest
}

func dot(a, b []float32) float64 {
	var sum float32
	for i, x := range a {
		sum += x * b[i]
	}
	return min(float64(sum), 1) // but for what rounding adds
}
