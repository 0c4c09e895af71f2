package channels

// tellWatchlist tells a connection who of those whom it watches is online and who is not.
func (c *conn) tellWatchlist(online, offline []string) {
	var events []string
	if len(online) > 0 {
		events = append(events, watchlistEvent("online", online))
	}
	if len(offline) > 0 {
		events = append(events, watchlistEvent("offline", offline))
	}
	if len(events) > 0 {
		c.push(watchlistFrame(events...))
	}
}

func watchlistEvent(name string, ids []string) string {
	list := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = appendQuoted(list, id)
	}
	return object("name", quote(name), "user_ids", string(append(list, ']')))
}

func watchlistFrame(events ...string) []byte {
	list := "["
	for i, e := range events {
		if i > 0 {
			list += ","
		}
		list += e
	}
	return encode("pusher_internal:watchlist_events", "", object("events", list+"]"), "")
}
