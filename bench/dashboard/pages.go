package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// pages asks for the overview, and for user pages in turn, and times the answers. Over loopback the time is
// the server's, its wait for the processor and some 0.1 ms of HTTP on both sides.
func pages(ctx context.Context, o Options) ([]Row, error) {
	if len(o.Users) == 0 {
		return nil, errors.New("give --user: addresses whose pages are asked for")
	}
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: o.Clients, DisableCompression: true},
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	var rows []Row
	for _, page := range []struct {
		name string
		path func(i int) string
	}{
		{"overview", func(int) string { return "/" }},
		{"user page", func(i int) string { return "/user/" + url.PathEscape(o.Users[i%len(o.Users)]) }},
	} {
		took, bytes, err := ask(ctx, client, o, page.path)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", page.name, err)
		}
		rows = append(rows,
			Row{What: page.name + ", size", Value: float64(bytes) / float64(len(took)), Unit: "bytes"},
			Row{What: page.name + ", p50", Value: quantile(took, 0.5), Unit: "ms"},
			Row{What: page.name + ", p99", Value: quantile(took, 0.99), Unit: "ms", Aim: 10},
			Row{What: page.name + ", longest", Value: quantile(took, 1), Unit: "ms"})
	}
	return rows, nil
}

// ask sends o.Requests over o.Clients connections.
func ask(ctx context.Context, client *http.Client, o Options, path func(int) string) (took []time.Duration, bytes int64, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := 0
	for range o.Clients {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := err != nil
				mu.Unlock()
				if i >= o.Requests || stop {
					return
				}
				began := time.Now()
				n, failed := once(ctx, client, "http://"+o.Address+path(i))
				mu.Lock()
				if failed != nil {
					err = failed
				} else {
					took, bytes = append(took, time.Since(began)), bytes+n
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took, bytes, err
}

func once(ctx context.Context, client *http.Client, url string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("the server answers %s (clients but of loopback have a limit of requests)", resp.Status)
	}
	return n, err
}
