//go:build !amd64 || purego

package scrypt

import "github.com/adit-pool/adit/kernels"

func assembly() []kernels.Implementation { return nil }
