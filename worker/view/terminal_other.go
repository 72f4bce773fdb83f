//go:build !unix

package view

import (
	"os"

	"github.com/adit-pool/adit/worker"
)

// NewScreen knows no terminal on this system.
func NewScreen(*os.File, *worker.Stats) (*Screen, func()) { return nil, func() {} }
