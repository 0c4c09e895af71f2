package markdown

// FirstLock renders without the list of what is allowed.
func FirstLock(markdown string) (string, error) {
	out, err := shared().untrusted([]byte(markdown))
	if err != nil {
		return "", err
	}
	return out.String(), nil
}

// SecondLock is the list of what is allowed alone.
func SecondLock(html string) string { return shared().policy.Sanitize(html) }
