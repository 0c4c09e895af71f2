package llm

import "encoding/json"

// What the tests of this package look at from outside.
var (
	ExtractJSON = extractJSON
	RetryAfter  = retryAfter
	Reasons     = reasons
	OllamaURL   = ollamaURL
)

const MaxRetryAfter = maxRetryAfter

// Price is one row of the price table.
type Price = price

// Prices returns the rows of the price table and the day they are of.
func Prices() ([]Price, string, error) {
	t, err := loadPrices()
	if err != nil {
		return nil, "", err
	}
	return t.Models, t.AsOf, nil
}

// Cost returns what a call costs by the price table.
func Cost(provider, model string, input, cached, output int) (float64, bool, error) {
	t, err := loadPrices()
	if err != nil {
		return 0, false, err
	}
	usd, known := t.cost(provider, model, tokens{input: input, cached: cached, output: output})
	return usd, known, nil
}

// WireSchema returns what a provider is told of a schema, and whether that holds an answer to it.
func WireSchema(provider string, schema json.RawMessage) (json.RawMessage, bool) {
	if provider == "anthropic" {
		return wireSchema(schema, anthropicKeywords)
	}
	return wireSchema(schema, openaiKeywords)
}

// Held returns how many answers a store holds, also of those that have expired.
func Held(l *LocalAnswers) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}
