package codereview

// weights is what an issue costs. The package comment says it in words.
var weights = map[Severity]int{Critical: 45, High: 26, Medium: 8, Low: 3, Info: 0}

// mostAlike is how many issues of one rule, or of the model's of one severity and category, count.
const mostAlike = 3

func score(issues []Issue) int {
	type habit struct {
		rule     string
		severity Severity
		category string
	}
	score, seen := 100, map[habit]int{}
	for _, issue := range issues {
		h := habit{issue.Rule, issue.Severity, issue.Category}
		if seen[h]++; seen[h] <= mostAlike {
			score -= weights[issue.Severity]
		}
	}
	return max(score, 0)
}

func overall(score int) string {
	switch {
	case score >= 90:
		return "excellent"
	case score >= 75:
		return "good"
	case score >= 60:
		return "fair"
	}
	return "poor"
}
