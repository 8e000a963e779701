package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/DeRuina/timberjack"

	"github.com/duskfs/duskfs/cmd/internal/control"
)

// NewLog returns a logger that writes lines of text.
func NewLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// LogFile opens the rotated log of a daemon in the background, readable by its owner alone.
func LogFile(stateDir, mountpoint string) (io.WriteCloser, error) {
	file := LogPath(stateDir, mountpoint)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of logs: %w", err)
	}
	return &timberjack.Logger{Filename: file, FileMode: 0o600, MaxSize: 10, MaxBackups: 3}, nil
}

// LogPath is where the log of the daemon of a mountpoint is: one file each, since daemons rotate
// their own.
func LogPath(stateDir, mountpoint string) string {
	return filepath.Join(stateDir, "log", filepath.Base(mountpoint)+"-"+control.ID(mountpoint)[:8]+".log")
}
