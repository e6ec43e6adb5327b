package mptcp

// tokens finds a connection by its token: open addressing with linear
// probing. A token is the start of a hash, so its low bits spread as they are.
type tokens struct {
	table []tokenEntry
	n     int
}

type tokenEntry struct {
	token uint32
	conn  uint32 // 0: free
}

// get is the connection of a token, or 0.
func (t *tokens) get(token uint32) uint32 {
	if t.n == 0 {
		return 0
	}
	mask := len(t.table) - 1
	for i := int(token) & mask; t.table[i].conn != 0; i = (i + 1) & mask {
		if t.table[i].token == token {
			return t.table[i].conn
		}
	}
	return 0
}

// put adds a token that is not there.
func (t *tokens) put(token, conn uint32) {
	if 2*(t.n+1) > len(t.table) { // at most half full, so that probes stay short
		old := t.table
		t.table = make([]tokenEntry, max(64, 2*len(old)))
		for _, e := range old {
			if e.conn != 0 {
				t.insert(e)
			}
		}
	}
	t.insert(tokenEntry{token, conn})
	t.n++
}

func (t *tokens) insert(e tokenEntry) {
	mask := len(t.table) - 1
	i := int(e.token) & mask
	for t.table[i].conn != 0 {
		i = (i + 1) & mask
	}
	t.table[i] = e
}

// remove takes a token out; those behind it move up, so that no probe ends
// early.
func (t *tokens) remove(token uint32) {
	if t.n == 0 {
		return
	}
	mask := len(t.table) - 1
	i := int(token) & mask
	for t.table[i].token != token || t.table[i].conn == 0 {
		if t.table[i].conn == 0 {
			return
		}
		i = (i + 1) & mask
	}
	t.n--
	for j := (i + 1) & mask; t.table[j].conn != 0; j = (j + 1) & mask {
		if home := int(t.table[j].token) & mask; (j-home)&mask >= (j-i)&mask {
			t.table[i] = t.table[j]
			i = j
		}
	}
	t.table[i] = tokenEntry{}
}
