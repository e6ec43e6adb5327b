package stack

import "sync"

const (
	mailboxSize  = 1024 // letters; who finds it full is told so and must wait
	mailsPerTurn = 64   // as many as frames per port: control must not starve data
)

// mailbox is how other goroutines reach a shard.
type mailbox struct {
	mu   sync.Mutex
	in   []func(*Shard)
	wake func()

	out []func(*Shard) // the reader's: emptied letter by letter
}

// Post runs f on the shard in one of its next turns; from any goroutine. False: the mailbox is full.
func (s *Shard) Post(f func(*Shard)) bool {
	m := &s.mail
	m.mu.Lock()
	if len(m.in) >= mailboxSize {
		m.mu.Unlock()
		return false
	}
	m.in = append(m.in, f)
	first, wake := len(m.in) == 1, m.wake
	m.mu.Unlock()
	if first && wake != nil {
		wake()
	}
	return true
}

// SetWake sets what Post calls when the shard may be parked; from any goroutine.
func (s *Shard) SetWake(wake func()) {
	s.mail.mu.Lock()
	s.mail.wake = wake
	s.mail.mu.Unlock()
}

// letters runs what was posted, boundedly.
func (s *Shard) letters() {
	m := &s.mail
	if len(m.out) == 0 {
		m.mu.Lock()
		m.in, m.out = m.out[:0], m.in
		m.mu.Unlock()
	}
	n := min(len(m.out), mailsPerTurn)
	for i := range n {
		s.spans = spansPerVisit
		m.out[i](s)
		m.out[i] = nil
	}
	if rest := copy(m.out, m.out[n:]); rest > 0 {
		s.more = true
		clear(m.out[rest:])
		m.out = m.out[:rest]
	} else {
		m.out = m.out[:0]
	}
}
