package llm

import (
	"errors"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	bytesPerToken = 4
	learnRate     = 0.2 // of the newest call in the averages
	outputMargin  = 1.5 // above the average that an answer is expected to have
	maxLearned    = 1024
)

// estimator guesses how many tokens a call will take, for what must be known before it. It begins with a quarter of the
// prompt's bytes and the whole limit of the answer, and learns from each call, apart for each model and purpose.
type estimator struct {
	mu      sync.Mutex
	learned map[string]ratios
}

type ratios struct {
	input  float64 // tokens counted per token guessed from bytes
	output float64 // part of the answer's limit that is used
}

func newEstimator() *estimator { return &estimator{learned: map[string]ratios{}} }

func (e *estimator) of(m Model, req Request) ratios {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.learned[m.String()+" "+req.Purpose]; ok {
		return r
	}
	return ratios{input: 1, output: 1}
}

func (e *estimator) guess(m Model, req Request) tokens {
	r := e.of(m, req)
	limit := answerLimit(m, req)
	return tokens{
		input:  int(float64(promptTokens(req))*r.input) + 1,
		output: min(int(float64(limit)*r.output*outputMargin)+1, limit),
	}
}

// learn takes in what a call took. A provider that counts nothing teaches nothing.
func (e *estimator) learn(m Model, req Request, took tokens) {
	if took.input <= 0 || took.output <= 0 {
		return
	}
	r := e.of(m, req)
	input := float64(took.input) / float64(promptTokens(req)+1)
	output := float64(took.output) / float64(answerLimit(m, req))
	r.input += learnRate * (min(max(input, 0.25), 4) - r.input)
	r.output += learnRate * (min(output, 1) - r.output)
	key := m.String() + " " + req.Purpose
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.learned[key]; !ok && len(e.learned) >= maxLearned {
		return // more purposes than there are agents
	}
	e.learned[key] = r
}

func promptTokens(req Request) int {
	return (len(req.System)+len(req.Prompt)+len(req.Schema)+conversationBytes(req))/bytesPerToken + 1
}

func answerLimit(m Model, req Request) int {
	limit := req.MaxTokens
	if limit <= 0 {
		limit = defaultMaxTokens
	}
	if reasons(m.Name) {
		limit += reasoningTokens
	}
	return limit
}

// took returns how many tokens a call is counted with. Of a call that failed nobody says what it took:
//
//   - nothing, when the provider refused it, was not reached, or broke off before the first word;
//   - the prompt and what was said, when it broke off later;
//   - the whole estimate when time or the caller ended it: the provider may have gone on.
func took(resp Response, err error, guess tokens, said int) tokens {
	var bad *InvalidOutputError
	switch {
	case err == nil:
		return counted(resp.Usage, guess)
	case errors.As(err, &bad):
		return counted(bad.Usage, guess)
	case fault.Is(err, fault.Timeout), fault.Is(err, fault.Canceled):
		return guess
	case said > 0:
		return tokens{input: guess.input, output: said/bytesPerToken + 1}
	}
	return tokens{}
}

// counted takes the guess for what the provider did not count.
func counted(u Usage, guess tokens) tokens {
	if u.InputTokens == 0 && u.OutputTokens == 0 {
		return guess
	}
	return tokens{input: u.InputTokens, output: u.OutputTokens}
}

// listen returns req with a count of the bytes that its stream has said so far. The count is read when the call is over.
func listen(req Request) (Request, *int) {
	said := new(int)
	if tell := req.OnDelta; tell != nil {
		req.OnDelta = func(delta string) {
			*said += len(delta)
			tell(delta)
		}
	}
	return req, said
}
