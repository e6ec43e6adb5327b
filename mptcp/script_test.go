package mptcp_test

import (
	"testing"

	"github.com/mpxd/mpxd/internal/script"
)

// TestScripts plays testdata/*.pkt, one subtest each.
func TestScripts(t *testing.T) { script.Test(t, "testdata") }
