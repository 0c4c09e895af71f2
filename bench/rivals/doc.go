// Command rivals puts the platform beside two job libraries on the same work, in one run on one machine: River on Postgres and asynq on
// Redis. Each runs in a process of its own, with its server in another; what is measured is what a caller sees:
//
//   - lives: tasks submitted one by one by 64 callers while workers run, from the first submission to the last completion that is on record;
//   - start: on an idle system, from the beginning of a submission to the first line of the handler;
//   - CPU of the process and of its server for each task; their memory when the work is done.
//
// They do not promise the same. DURABLE says what an acknowledged submission survives: "process" a crash of the server, "power" a loss of
// power as well. River and the platform keep what happened to every task; asynq keeps nothing of a task that is done. Only the platform
// fences a worker that stalled and came back.
package main
