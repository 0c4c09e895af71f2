package account

import "time"

// OnHash has fn called before each hash that h makes, which then goes on when fn returns. It must be set before h is used.
func (h *Hasher) OnHash(fn func(Cost)) {
	derive := h.derive
	h.derive = func(password, salt []byte, c Cost) []byte {
		fn(c)
		return derive(password, salt, c)
	}
}

// AnswerStep is the grain of answers whose time must not tell anything.
const AnswerStep = answerStep

// SetAnswerStep replaces it. It must be called before s is used.
func (s *Service) SetAnswerStep(d time.Duration) { s.answerStep = d }
