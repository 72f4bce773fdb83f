package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/redis"
)

// holdName takes the edge's name in Redis for this data directory: two edges of one name would show as one.
func (r *room) holdName(ctx context.Context, name string) error {
	path := filepath.Join(r.dir, "edge.id")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		b = []byte(rand.Text() + "\n")
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("read or make the edge's id: %w", err)
	}
	r.edgeName, r.edgeID = name, strings.TrimSpace(string(b))
	if err := r.store.HoldEdge(ctx, r.edgeName, r.edgeID); err != nil {
		if errors.Is(err, redis.ErrEdgeHeld) {
			return fmt.Errorf("%w: give each edge a name of its own in edge.name", err)
		}
		return err
	}
	return nil
}

// keepName holds the name until ctx ends. Miners are served whatever it says.
func (r *room) keepName(ctx context.Context) error {
	tick := time.NewTicker(redis.EdgeHold / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if err := r.store.LeaveEdge(ctx, r.edgeName, r.edgeID); err != nil {
				r.log.Debug().Err(err).Msg("the edge's name is free in half a minute")
			}
			return nil
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := r.store.HoldEdge(call, r.edgeName, r.edgeID)
		cancel()
		if errors.Is(err, redis.ErrEdgeHeld) {
			r.log.Error().Str(pool.EventField, pool.EventEdgeName).Err(err).Msg("two edges of one name: give each its own in edge.name")
		}
	}
}
