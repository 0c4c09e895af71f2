package analytics

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// sure is the level below which a chance result is no longer a good explanation.
const sure = 0.05

// summary describes a sample.
type summary struct {
	n                               int
	min, max, mean, median, p90, sd float64
	q1, q3                          float64
}

// describe returns the summary of a sample that is not empty. The standard deviation is that of a sample (n - 1), 0 for one value.
func describe(x []float64) summary {
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	s := summary{
		n: len(x), min: sorted[0], max: sorted[len(sorted)-1], mean: stat.Mean(sorted, nil), median: quantile(sorted, 0.5),
		p90: quantile(sorted, 0.9), q1: quantile(sorted, 0.25), q3: quantile(sorted, 0.75),
	}
	if s.n > 1 {
		s.sd = stat.StdDev(sorted, nil)
	}
	return s
}

// quantile interpolates as R and NumPy do (type 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996). gonum's LinInterp is
// their type 4, whose median of an even number of values is not the one that is taught.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// outliers returns the fences of Tukey (Exploratory Data Analysis, 1977), one and a half interquartile ranges outside of the quartiles, and how
// many values are beyond them.
func (s summary) outliers(x []float64) (low, high float64, n int) {
	reach := 1.5 * (s.q3 - s.q1)
	low, high = s.q1-reach, s.q3+reach
	for _, v := range x {
		if v < low || v > high {
			n++
		}
	}
	return low, high, n
}

// line is a least-squares fit y = alpha + beta x.
type line struct {
	alpha, beta, r2 float64
	p               float64 // how likely a slope as steep as this is where there is none; two-sided t test with n - 2 degrees of freedom
}

// fit returns the line through at least three points whose x differ; false otherwise.
func fit(x, y []float64) (line, bool) {
	if len(x) < 3 || stat.Variance(x, nil) == 0 {
		return line{}, false
	}
	l := line{p: 1}
	l.alpha, l.beta = stat.LinearRegression(x, y, nil, false)
	if stat.Variance(y, nil) == 0 {
		return l, true
	}
	r := stat.Correlation(x, y, nil)
	l.r2, l.p = r*r, significance(r, len(x))
	return l, !math.IsNaN(l.beta) && !math.IsNaN(r)
}

// significance returns the p value of a correlation of n pairs: t = r √((n-2)/(1-r²)), which follows Student's distribution where there is none.
func significance(r float64, n int) float64 {
	if n < 3 {
		return 1
	}
	if r*r >= 1 {
		return 0
	}
	df := float64(n - 2)
	t := math.Abs(r) * math.Sqrt(df/(1-r*r))
	return 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Survival(t)
}
