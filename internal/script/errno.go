package script

import "github.com/mpxd/mpxd/tcp"

// errnoNumbers are Linux's, for getsockopt(SO_ERROR).
var errnoNumbers = map[string]int64{
	"EPERM": 1, "EBADF": 9, "EAGAIN": 11, "EINVAL": 22, "EPIPE": 32, "EOPNOTSUPP": 95, "EADDRINUSE": 98,
	"ENETUNREACH": 101, "ECONNRESET": 104, "EISCONN": 106, "ENOTCONN": 107, "ETIMEDOUT": 110,
	"ECONNREFUSED": 111, "EHOSTUNREACH": 113, "EALREADY": 114, "EINPROGRESS": 115, "ECONNABORTED": 103,
}

// errnoOf is how a socket would tell why a connection failed.
func errnoOf(r tcp.Reason) string {
	switch r {
	case tcp.Refused:
		return "ECONNREFUSED"
	case tcp.ResetByPeer:
		return "ECONNRESET"
	case tcp.TimedOut:
		return "ETIMEDOUT"
	case tcp.Unreachable:
		return "EHOSTUNREACH"
	case tcp.Aborted:
		return "ECONNABORTED"
	}
	return ""
}
