package redis

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/settle"
)

// maxCandidates is how many found blocks are read at once.
const maxCandidates = 1000

// PublishCandidate hands a found block to the settler; again as often as wanted, it is kept once by its
// id until it is acknowledged.
func (p *Pool) PublishCandidate(ctx context.Context, c pool.Candidate) error {
	body, err := json.Marshal(c)
	if err == nil {
		_, err = p.run(ctx, candidateLua, []string{p.k.candidates(), p.k.candidateIDs()}, c.Hash.String(), body)
	}
	if err != nil {
		return fmt.Errorf("publish block %s: %w", c.Hash, err)
	}
	return nil
}

// Candidates returns found blocks that are not acknowledged, oldest first, with message ids above after
// ("" for all).
func (p *Pool) Candidates(ctx context.Context, after string) ([]settle.CandidateMsg, error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	messages, err := p.r.client.XRangeN(ctx, p.k.candidates(), from, "+", maxCandidates).Result()
	if err != nil {
		return nil, fmt.Errorf("read found blocks: %w", err)
	}
	found := make([]settle.CandidateMsg, len(messages))
	for i, m := range messages {
		found[i].ID = m.ID
		body, _ := m.Values["c"].(string)
		if err := json.Unmarshal([]byte(body), &found[i].Candidate); err != nil {
			return nil, fmt.Errorf("read found block %s: %w", m.ID, err)
		}
	}
	return found, nil
}

// AckCandidate forgets a found block that the ledger has.
func (p *Pool) AckCandidate(ctx context.Context, messageID string) error {
	if _, err := p.runFenced(ctx, settledLua, []string{p.k.candidates(), p.k.candidateIDs()}, messageID); err != nil {
		return fmt.Errorf("acknowledge found block %s: %w", messageID, err)
	}
	return nil
}
