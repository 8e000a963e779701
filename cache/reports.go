package cache

import "time"

// Reports keeps what happened, for people: receipts of flushes and notes about conflicts.
type Reports struct{}

// Receipt is the record of one flush.
type Receipt struct {
	Seq      uint64        `json:"seq"`
	Started  time.Time     `json:"started"`
	Ended    time.Time     `json:"ended"`
	Sent     int           `json:"sent"`
	Bytes    int64         `json:"bytes"`
	Steps    []ReceiptStep `json:"steps"`
	Deferred int           `json:"deferred"`
	Error    string        `json:"error,omitempty"` // why it ended early
}

// ReceiptStep is one step of a flush.
type ReceiptStep struct {
	Op      string `json:"op"`
	Path    string `json:"path"`
	From    string `json:"from,omitempty"`
	Item    string `json:"item,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Outcome string `json:"outcome"` // "sent", "unchanged", "deferred", "busy", "conflict", "skipped"
	Reason  string `json:"reason,omitempty"`
}

// AddReceipt stores a receipt and gives it its number.
func (r *Reports) AddReceipt(x Receipt) (Receipt, error) { panic("unbuilt") }

// Receipts returns the newest receipts, newest first.
func (r *Reports) Receipts(max int) ([]Receipt, error) { panic("unbuilt") }

// Report is something that people should know of.
type Report struct {
	Seq  uint64    `json:"seq"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // Ruling.Report
	Path string    `json:"path"` // where our version is now
	Text string    `json:"text"`
	Ino  Ino       `json:"-"` // node that is concerned
}

// Reports returns the newest reports, newest first.
func (r *Reports) Reports(max int) ([]Report, error) { panic("unbuilt") }

// Conflicts returns the conflict reports whose copy still exists.
func (r *Reports) Conflicts() ([]Report, error) { panic("unbuilt") }
