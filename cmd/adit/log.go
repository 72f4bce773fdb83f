package main

import (
	"io"
	"time"

	"github.com/rs/zerolog"
)

// newLog makes the program's logger: JSON lines, or text for a person.
func newLog(w io.Writer, level, format string) zerolog.Logger {
	lv, err := zerolog.ParseLevel(level)
	if err != nil {
		lv = zerolog.InfoLevel
	}
	if format == "console" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(lv).With().Timestamp().Logger()
}
