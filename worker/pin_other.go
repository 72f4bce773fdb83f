//go:build !linux

package worker

import "errors"

func pin(int) error { return errors.New("binding threads to processors needs Linux") }
