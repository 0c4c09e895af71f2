package httpapi

// TrustSignatures makes every signature right.
func (h *Handler) TrustSignatures() { h.verify = func(string, string) bool { return true } }

// TrustDigests makes every body_md5 right for which the body was made to be.
func (h *Handler) TrustDigests(of []byte) { h.digest = func([]byte) string { return md5Hex(of) } }
