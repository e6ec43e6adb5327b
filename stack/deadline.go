package stack

import (
	"sync"
	"time"
)

// deadline is a moment from which on nobody waits. It belongs to a mutex.
type deadline struct {
	passed bool
	timer  *time.Timer
	round  uint64 // how often it was set: a timer that could not be stopped any more is of an old round
}

// set replaces the moment; the zero time means never. Whoever waits is woken
// when it has come. The caller holds the mutex.
func (d *deadline) set(mu *sync.Mutex, at time.Time, wake chan struct{}) {
	d.round++
	d.passed = false
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if at.IsZero() {
		return
	}
	wait := time.Until(at)
	if wait <= 0 {
		d.passed = true
		signal(wake)
		return
	}
	round := d.round
	d.timer = time.AfterFunc(wait, func() {
		mu.Lock()
		defer mu.Unlock()
		if d.round == round {
			d.passed = true
			signal(wake)
		}
	})
}

// signal wakes the one who waits, or the next one who would. It never blocks.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
