// Command adit is the mining pool: server, rig, and the tools of operators and accountants in one
// binary. This package only wires the parts together; what they do is in their own packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "adit: "+err.Error())
		code := 1
		var e *exitError
		if errors.As(err, &e) {
			code = e.code
		}
		os.Exit(code)
	}
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:   "adit",
		Short: "A mining pool: Stratum server, ledger, payouts, dashboard and rig",
		Long: `adit runs a mining pool, or works for one.

  try it          adit serve --dev
  run a pool      adit serve --config adit.toml
  check it first  adit doctor --config adit.toml
  mine            adit mine --pool stratum+tcp://host:3333 --user ADDRESS.worker
  pay miners      adit payout run | status | list
  check the books adit verify`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		serveCommand(), mineCommand(), payoutCommand(), journalCommand(), slicesCommand(), doctorCommand(), versionCommand(),
		verifyCommand(), explainCommand(), proveCommand(), ledgerCommand(), banCommand(), benchCommand(),
	)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
