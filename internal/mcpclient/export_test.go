package mcpclient

// Unlist takes the allow lists of tools away: the negative control of the tests on them.
func (c *Client) Unlist() { c.unlisted = true }
