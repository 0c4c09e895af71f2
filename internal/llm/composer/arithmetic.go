package composer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// withArithmetic returns a copy of the subject with exercises that suit the grade and the difficulty.
func (s *subject) withArithmetic(w wish) *subject {
	out := *s
	out.Questions = slices.Clone(s.Questions)
	seed := seeded(w.Seed, "arithmetic")
	seen := map[string]bool{}
	for _, q := range s.Questions {
		seen[q.Ask] = true
	}
	for _, kind := range exercises() {
		for range 6 {
			q := kind.write(seed, size(w.Difficulty))
			if seen[q.Ask] {
				continue
			}
			seen[q.Ask] = true
			q.mark = mark{Topics: kind.topics, Grades: kind.grades}
			if err := q.read(q.Ask); err == nil {
				out.Questions = append(out.Questions, q)
			}
		}
	}
	out.Sequences = append(slices.Clone(s.Sequences), results(seed, size(w.Difficulty))...)
	return &out
}

// results makes exercises that are put in the order of their results.
func results(r *rand.Rand, n int) []sequence {
	var out []sequence
	for _, kind := range []struct {
		order, topics, grades string
		write                 func(result int) string
	}{
		{"sums, from the smallest to the largest", "addition add sum plus number", "K-5", func(v int) string {
			a := 1 + r.IntN(v-1)
			return fmt.Sprintf("%d + %d", a, v-a)
		}},
		{"differences, from the smallest to the largest", "subtraction subtract difference minus number", "K-5", func(v int) string {
			b := 1 + r.IntN(9)
			return fmt.Sprintf("%d − %d", v+b, b)
		}},
		{"products, from the smallest to the largest", "multiplication multiply product times table", "3-8", func(v int) string {
			return fmt.Sprintf("%d × %d", v, 2+n)
		}},
	} {
		q, v := sequence{Order: kind.order, mark: mark{Topics: kind.topics, Grades: kind.grades}}, 1
		for range 6 {
			v += 1 + r.IntN(1+n)
			q.Items = append(q.Items, kind.write(v))
		}
		if q.read(q.Order) == nil {
			out = append(out, q)
		}
	}
	return out
}

// size scales the numbers of an exercise.
func size(difficulty string) int {
	switch difficulty {
	case "easy":
		return 1
	case "hard":
		return 3
	case "expert":
		return 5
	}
	return 2
}

type exercise struct {
	topics, grades string
	write          func(seed *rand.Rand, size int) question
}

func exercises() []exercise {
	return []exercise{
		{"addition add sum plus number count", "K-2", func(r *rand.Rand, n int) question {
			a, b := 1+r.IntN(9), 1+r.IntN(5*n)
			return numeric(fmt.Sprintf("What is %d + %d?", a, b), a+b, fmt.Sprintf("%d and %d more make %d.", a, b, a+b), a+b+1, a+b-1, a+b+2)
		}},
		{"subtraction subtract difference minus number", "K-5", func(r *rand.Rand, n int) question {
			b, d := 1+r.IntN(5*n), 1+r.IntN(9)
			return numeric(fmt.Sprintf("What is %d − %d?", b+d, b), d, fmt.Sprintf("%d + %d = %d, so %d − %d = %d.", d, b, b+d, b+d, b, d), d+1, b+d+b, d+2)
		}},
		{"addition add sum number place value", "3-5", func(r *rand.Rand, n int) question {
			a, b := 10*n+r.IntN(90), 10*n+r.IntN(90)
			return numeric(fmt.Sprintf("What is %d + %d?", a, b), a+b, fmt.Sprintf("Add tens and ones: %d + %d = %d.", a, b, a+b), a+b+10, a+b-10, a+b+1)
		}},
		{"multiplication multiply product times table", "3-8", func(r *rand.Rand, n int) question {
			a, b := 2+r.IntN(8), 2+r.IntN(4+3*n)
			return numeric(fmt.Sprintf("What is %d × %d?", a, b), a*b, fmt.Sprintf("%d groups of %d make %d.", a, b, a*b), a*b+a, a*b-b, a+b)
		}},
		{"division divide quotient share", "3-8", func(r *rand.Rand, n int) question {
			a, b := 2+r.IntN(8), 2+r.IntN(4+3*n)
			return numeric(fmt.Sprintf("What is %d ÷ %d?", a*b, a), b, fmt.Sprintf("%d × %d = %d.", a, b, a*b), b+1, b-1, a*b-a)
		}},
		{"fraction add addition denominator numerator", "3-8", addFractions},
		{"fraction multiply multiplication part whole", "3-8", func(r *rand.Rand, n int) question {
			d, k := 2+r.IntN(5), 2+r.IntN(3*n)
			return numeric(fmt.Sprintf("What is 1/%d of %d?", d, d*k), k, fmt.Sprintf("%d shared into %d equal parts gives %d each.", d*k, d, k), k+1, d*k-d, d+k)
		}},
		{"percent percentage ratio", "6-8", func(r *rand.Rand, n int) question {
			p, whole := 10*(1+r.IntN(9)), 10*(2+r.IntN(10*n))
			v := p * whole / 100
			return numeric(fmt.Sprintf("What is %d percent of %d?", p, whole), v, fmt.Sprintf("%d ÷ 100 × %d = %d.", whole, p, v), v+10, whole-v, v+5)
		}},
		{"area rectangle geometry shape", "3-8", func(r *rand.Rand, n int) question {
			a, b := 2+r.IntN(8), 2+r.IntN(5*n)
			return numeric(fmt.Sprintf("A rectangle is %d cm long and %d cm wide. How many square centimeters is its area?", a, b), a*b,
				fmt.Sprintf("Area is length times width: %d × %d = %d.", a, b, a*b), 2*(a+b), a+b, a*b+a)
		}},
		{"perimeter rectangle geometry shape", "3-8", func(r *rand.Rand, n int) question {
			a, b := 2+r.IntN(8), 2+r.IntN(5*n)
			return numeric(fmt.Sprintf("A rectangle is %d cm long and %d cm wide. How many centimeters is its perimeter?", a, b), 2*(a+b),
				fmt.Sprintf("Twice length plus width: 2 × (%d + %d) = %d.", a, b, 2*(a+b)), a*b, a+b, 2*(a+b)+2)
		}},
		{"equation algebra solve linear variable", "6-12", func(r *rand.Rand, n int) question {
			a, x, b := 2+r.IntN(4), 1+r.IntN(5*n), 1+r.IntN(9)
			return numeric(fmt.Sprintf("Which value of x solves %dx + %d = %d?", a, b, a*x+b), x,
				fmt.Sprintf("Take away %d to get %dx = %d, then divide by %d: x = %d.", b, a, a*x, a, x), x+1, a*x, x+b)
		}},
		{"quadratic equation algebra solve solution factor", "9-12", func(r *rand.Rand, n int) question {
			a, b := 1+r.IntN(3+n), 1+r.IntN(3+n)
			if a == b {
				b++
			}
			middle := fmt.Sprintf("+ %dx", b-a)
			if a > b {
				middle = fmt.Sprintf("− %dx", a-b)
			}
			middle = strings.Replace(middle, " 1x", " x", 1)
			return numeric(fmt.Sprintf("Which positive value of x solves the quadratic equation x² %s − %d = 0?", middle, a*b), a,
				fmt.Sprintf("x² %s − %d is (x − %d)(x + %d), so x is %d or −%d.", middle, a*b, a, b, a, b), b, a+b, a*b)
		}},
		{"quadratic discriminant equation solution formula", "9-12", func(r *rand.Rand, n int) question {
			b, c := 3+r.IntN(3+n), 1+r.IntN(2+n)
			return numeric(fmt.Sprintf("What is the discriminant of the quadratic equation x² + %dx + %d = 0?", b, c), b*b-4*c,
				fmt.Sprintf("The discriminant is b² − 4ac, here %d − %d = %d.", b*b, 4*c, b*b-4*c), b*b+4*c, b-4*c, b*b-c)
		}},
		{"quadratic parabola vertex function graph equation", "9-12", func(r *rand.Rand, n int) question {
			a, k := 1+r.IntN(4+n), 1+r.IntN(6+2*n)
			return numeric(fmt.Sprintf("What is the smallest value of the quadratic function y = (x − %d)² + %d?", a, k), k,
				fmt.Sprintf("A square is never negative. At x = %d it is 0, and y is %d.", a, k), a, a+k, a*a+k)
		}},
		{"power exponent square", "6-12", func(r *rand.Rand, n int) question {
			a := 3 + r.IntN(5+2*n)
			return numeric(fmt.Sprintf("What is %d squared?", a), a*a, fmt.Sprintf("%d × %d = %d.", a, a, a*a), 2*a, a*a+a, a*a-1)
		}},
		{"mean average statistics data", "3-12", func(r *rand.Rand, n int) question {
			m, d := 4+r.IntN(8*n), 1+r.IntN(3)
			return numeric(fmt.Sprintf("What is the mean of %d, %d and %d?", m-d, m, m+d), m, fmt.Sprintf("The sum is %d, and %d ÷ 3 = %d.", 3*m, 3*m, m), m+d, 3*m, m+1)
		}},
		{"slope line linear function graph", "9-12", func(r *rand.Rand, n int) question {
			k, dx := 1+r.IntN(2+n), 1+r.IntN(4)
			x, y := r.IntN(5), r.IntN(5)
			return numeric(fmt.Sprintf("What is the slope of the line through (%d, %d) and (%d, %d)?", x, y, x+dx, y+k*dx), k,
				fmt.Sprintf("Rise over run: %d ÷ %d = %d.", k*dx, dx, k), k*dx+1, k+1, dx+k+2)
		}},
	}
}

func addFractions(r *rand.Rand, n int) question {
	d := 5 + r.IntN(4+n)
	a := 1 + r.IntN(d-3)
	b := 1 + r.IntN(d-a-1) // the sum stays below one
	answer := fmt.Sprintf("%d/%d", a+b, d)
	return question{
		Ask: fmt.Sprintf("What is %d/%d + %d/%d?", a, d, b, d), Answer: answer,
		Wrong: []string{fmt.Sprintf("%d/%d", a+b, 2*d), fmt.Sprintf("%d/%d", a+b+1, d), fmt.Sprintf("%d/%d", a*b+a+b+2, d)},
		Why:   fmt.Sprintf("The denominators are equal, so only the numerators are added: %d + %d = %d.", a, b, a+b),
	}
}

// numeric makes a question of an exercise with three wrong results. Those that equal the right one or each other are moved.
func numeric(ask string, right int, why string, wrong ...int) question {
	q := question{Ask: ask, Answer: strconv.Itoa(right), Why: why}
	taken := map[int]bool{right: true}
	for _, w := range wrong {
		for w < 0 || taken[w] {
			w = max(w, right) + 1
		}
		taken[w] = true
		q.Wrong = append(q.Wrong, strconv.Itoa(w))
	}
	return q
}
