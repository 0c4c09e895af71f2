package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownCPU returns the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ownRSS() float64 { return rss(os.Getpid()) }

// clockTick is the unit of /proc/<pid>/stat on Linux: USER_HZ, 100 a second.
const clockTick = 10 * time.Millisecond

// treeCPU returns the processor time of a process and its children, also of those that have ended.
func treeCPU(pid int) time.Duration {
	var sum time.Duration
	for _, p := range tree(pid) {
		f := stat(p)
		if len(f) < 15 {
			continue
		}
		fields := f[11:13] // utime, stime; see proc(5), counted from the field behind the name
		if p == pid {
			fields = f[11:15] // and those of children that ended
		}
		for _, field := range fields {
			n, _ := strconv.ParseInt(field, 10, 64)
			sum += time.Duration(n) * clockTick
		}
	}
	return sum
}

// treeRSS returns the memory of a process and its children in MiB. What they share is counted for each.
func treeRSS(pid int) float64 {
	sum := 0.0
	for _, p := range tree(pid) {
		sum += rss(p)
	}
	return sum
}

// stat returns the fields of /proc/<pid>/stat behind the name, the first being the state.
func stat(pid int) []string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(data[strings.LastIndexByte(string(data), ')'):]), " ")
	return strings.Fields(rest)
}

func tree(pid int) []int {
	all := []int{pid}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, e := range entries {
		p, _ := strconv.Atoi(filepath.Base(e))
		if f := stat(p); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			all = append(all, p)
		}
	}
	return all
}

func rss(pid int) float64 {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kb / 1024
		}
	}
	return 0
}
