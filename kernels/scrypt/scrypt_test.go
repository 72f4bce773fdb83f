package scrypt_test

import (
	"testing"

	"github.com/adit-pool/adit/kernels/kerneltest"
	"github.com/adit-pool/adit/kernels/scrypt"
)

func TestKernel(t *testing.T) { kerneltest.Run(t, scrypt.Kernel{}) }

func BenchmarkScan(b *testing.B) { kerneltest.BenchmarkScan(b, scrypt.Kernel{}) }
func BenchmarkHash(b *testing.B) { kerneltest.BenchmarkHash(b, scrypt.Kernel{}) }
