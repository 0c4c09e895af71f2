// Command toolboxai is the whole platform in one binary: the roles that run it, and the commands that use and operate it.
//
// toolboxai dev runs every role in one process on embedded services. In production each role is a process of its own, and
// this package is the only place that knows all the others: it reads the environment, composes, starts in order and stops
// in reverse.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules know time zones also where the machine does not

	"github.com/alecthomas/kong"

	"github.com/toolboxai/orchestrator/internal/telemetry"
)

// version is set by the build.
var version = "dev"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the command did not do what was asked
	exitUsage  = 2 // the command line or the environment is wrong

	exitInterrupted = 130 // Ctrl-C ended the command before it was done; shells use the same
)

type commands struct {
	Dev        devCommand        `cmd:"" help:"Run everything in one process on embedded services."`
	API        apiCommand        `cmd:"" name:"api" help:"Run the HTTP API."`
	Worker     workerCommand     `cmd:"" help:"Run agents."`
	Dispatcher dispatcherCommand `cmd:"" help:"Decide whose task is next, tick schedules, replay dead letters in bulk."`
	Recorder   recorderCommand   `cmd:"" help:"Copy the log into Postgres."`
	Notifier   notifierCommand   `cmd:"" help:"Tell subscribers through Pusher channels."`
	Callbacks  callbacksCommand  `cmd:"" help:"Tell webhooks by HTTP."`
	Migrate    migrateCommand    `cmd:"" help:"Make or change streams, consumers and tables. Run it before the other roles, once for each release."`

	Tasks       tasksCommand       `cmd:"" help:"Submit, show, list, follow and cancel tasks."`
	Chat        chatCommand        `cmd:"" help:"Talk to the assistant, which answers and starts tasks."`
	Agents      agentsCommand      `cmd:"" help:"Show workers and how kinds are doing; pause and resume kinds."`
	Policy      policyCommand      `cmd:"" help:"Show and change who may use how much; top up budgets; list what admins did."`
	Users       usersCommand       `cmd:"" help:"List, invite, disable and enable a tenant's people; make the first platform admin."`
	Keys        keysCommand        `cmd:"" help:"Make, list, rotate and revoke API keys."`
	Audit       auditCommand       `cmd:"" help:"List what was done, and prove that the record is as it was."`
	Schedules   schedulesCommand   `cmd:"" help:"Submit tasks again and again: create, list, show, preview, pause, resume, trigger and delete schedules."`
	Usage       usageCommand       `cmd:"" help:"Say what models cost, by user, workflow, kind, model or day."`
	Deadletters deadLettersCommand `cmd:"" help:"List, show, replay and discard what failed for good."`
	Incidents   incidentsCommand   `cmd:"" help:"Group dead letters by what went wrong."`
	Campaigns   campaignsCommand   `cmd:"" help:"Act on many tasks after an incident: plan, start, list, show, stop and watch campaigns."`
	Eval        evalCommand        `cmd:"" help:"Rate a model, or two beside each other, by a kind's evaluation set."`
	Health      healthCommand      `cmd:"" help:"Ask a running role how it is; exit with 1 when it is not ready."`
	Token       tokenCommand       `cmd:"" help:"Sign a bearer token with JWT_SECRET_KEY."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	code := -1
	parser, err := kong.New(&commands{},
		kong.Name("toolboxai"),
		kong.Description("Agents that write lessons, quizzes, terrain, scripts, reviews, tests and analyses for classrooms.\n\nStart with: toolboxai dev"),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(c int) { code = c }),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "toolboxai:", err)
		return exitUsage
	}
	command, err := parser.Parse(args)
	if code >= 0 { // help was asked for and printed
		return code
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "toolboxai:", err)
		return exitUsage
	}
	err = command.Run()
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		complain(err)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case !errors.Is(err, errNotCompleted):
		complain(err)
	}
	return exitFailed
}

// complain says why a command ended, and no secret of the environment.
func complain(err error) {
	cfg, _ := loadConfig(os.Environ()) // what can be read of a wrong one will do
	fmt.Fprintln(os.Stderr, "toolboxai:", telemetry.NewRedactor(cfg.secrets()...).String(err.Error()))
}

// usageError is an error of the command line or the environment.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// untilSignal returns a context that the first SIGINT or SIGTERM ends, so that the process can drain. The second ends the
// process at once.
func untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
			return
		}
		<-signals
		fmt.Fprintln(os.Stderr, "toolboxai: stopped at once; unfinished tasks go on elsewhere")
		os.Exit(exitFailed)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

// environment reads the configuration of a role and makes its logger.
func environment() (Config, *slog.Logger, error) {
	cfg, err := loadConfig(os.Environ())
	if err != nil {
		return Config{}, nil, &usageError{err}
	}
	logger, err := cfg.openLogs()
	return cfg, logger, err
}

type versionCommand struct{}

func (versionCommand) Run() error {
	fmt.Println("toolboxai", version)
	return nil
}
