package agentcontext

// Unbind takes the bounds away: the negative control of the tests on them.
func (s *Service) Unbind() { s.unbounded = true }
