package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// held is a data directory that this process has to itself: two brokers open one store without noticing each other.
type held struct{ file *os.File }

// holder is what the lock file says of the process that holds it.
type holder struct {
	PID   int       `json:"pid"`
	API   string    `json:"api"`
	Since time.Time `json:"since"`
}

// holdDirectory makes dir and locks it for the life of the process. The kernel drops the lock with the process, however that
// ends. When another one holds it, the error says who.
func holdDirectory(dir, api string) (*held, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &usageError{fmt.Errorf("data directory: %w; choose another with --data", err)}
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, &usageError{fmt.Errorf("data directory: %w; choose another with --data", err)}
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, heldBy(dir, file)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	data, err := json.Marshal(holder{PID: os.Getpid(), API: api, Since: time.Now().Round(time.Second)})
	if err == nil {
		err = errors.Join(file.Truncate(0), write(file, data))
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return &held{file}, nil
}

func write(file *os.File, data []byte) error {
	_, err := file.WriteAt(append(data, '\n'), 0)
	return err
}

func heldBy(dir string, file *os.File) error {
	var h holder
	if err := json.NewDecoder(file).Decode(&h); err != nil {
		return fmt.Errorf("another toolboxai uses %s; stop it, or choose another directory with --data", dir)
	}
	return fmt.Errorf("toolboxai with process id %d uses %s since %s and answers at %s; stop it, or choose another directory with --data and another port with --port",
		h.PID, dir, h.Since.Format(time.DateTime), h.API)
}

// release gives the directory back.
func (h *held) release() { h.file.Close() }
