// Package proxy is the application on top of a shard: a SOCKS5 server
// (RFC 1928) that joins a client's connection with one it dials itself, and
// moves spans between the two without copying them.
//
// It is a [stack.App]: everything but the name resolver runs in the shard's
// turn and does not block. A session is two connections, its legs, and a few
// numbers; it holds no Go pointers, lives in a slab and is called by its index,
// which is the user cookie of both legs.
//
//	client leg  --- held span, moved bytes, shut --->  upstream leg
//	client leg  <-- held span, moved bytes, shut ----  upstream leg
//
// A session goes through the states greeting, request, resolving, connecting
// and relaying; one that the client was refused goes through refusing instead,
// which lasts until the client has read why.
package proxy
