//go:build framecheck

package frame

import (
	"fmt"
	"runtime"
	"strings"
)

// historyLen bounds the history of a frame: a leak shows in its last few holders.
const historyLen = 8

// check keeps, for each frame, the last places that held or dropped it. The
// history is bounded: what matters is who held it last.
type check struct{ hist [][]string }

func (c *check) init(n int) { c.hist = make([][]string, n) }

func (c *check) note(f uint32, what string) {
	_, file, line, _ := runtime.Caller(3)
	file = file[strings.LastIndexByte(file, '/')+1:]
	h := c.hist[f]
	if len(h) == historyLen {
		h = append(h[:0], h[1:]...)
	}
	c.hist[f] = append(h, fmt.Sprintf("%s %s:%d", what, file, line))
}

func (c *check) hold(f uint32) { c.note(f, "+") }
func (c *check) drop(f uint32) { c.note(f, "-") }
func (c *check) free(f uint32) { c.hist[f] = c.hist[f][:0] }

func (c *check) holders(f uint32) string { return " [" + strings.Join(c.hist[f], ", ") + "]" }
