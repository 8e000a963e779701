package graphtest

import (
	"fmt"
	"strings"
	"time"
)

// Sample fills a drive with a few dozen plausible documents in some folders, a few MiB together.
// The same drive and seed give the same bytes.
func (d *Drive) Sample() error {
	at := func(day int) time.Time { return time.Date(2025, 3, 1, 9, 30, 0, 0, time.UTC).AddDate(0, 0, day) }
	text := func(lines ...string) *body {
		data := []byte(strings.Join(lines, "\n") + "\n")
		var q quickXor
		_, _ = q.Write(data)
		return &body{size: int64(len(data)), mem: data, xor: q.String()}
	}
	bytes := func(size int64) *body { return &body{size: size, gen: true, seed: mix(d.s.opts.Seed, uint64(size))} }
	type file struct {
		path string
		b    *body
	}
	files := []file{
		{"Welcome.txt", text("This drive is an emulated one.", "Change what you like: nothing leaves this machine.")},
		{"Notes/todo.md", text("# To do", "", "- [ ] budget for the autumn", "- [x] move the old plans to the archive")},
		{"Notes/Besprechung März.md", text("# Besprechung", "", "Anwesend: Jörg, Zoë, Øyvind")},
		{"Notes/ideas #1 (50%).txt", text("Names may hold # and % signs.")},
		{"Notes/empty.txt", &body{}},
		{"Projects/Bridge/plan.docx", bytes(48_213)},
		{"Projects/Bridge/costs.xlsx", bytes(91_377)},
		{"Projects/Bridge/slides.pptx", bytes(612_004)},
		{"Projects/Bridge/Drawings/deck.pdf", bytes(1_204_551)},
		{"Projects/Bridge/Drawings/pier-north.pdf", bytes(803_902)},
		{"Projects/Bridge/Drawings/pier-south.pdf", bytes(797_116)},
		{"Projects/Bridge/Minutes/2025-01-14.txt", text("Start of work agreed.")},
		{"Projects/Bridge/Minutes/2025-02-11.txt", text("Permit is late by two weeks.")},
		{"Projects/Tunnel/README.md", text("# Tunnel", "", "Not begun.")},
		{"Projects/Tunnel/survey.csv", text("point,x,y,z", "1,10.5,20.1,3.3", "2,11.0,20.4,3.1")},
		{"Pictures/2024/harbour.jpg", bytes(1_400_203)},
		{"Pictures/2024/harbour-evening.jpg", bytes(1_177_930)},
		{"Pictures/2025/crane.png", bytes(655_360)},
		{"Shared with clients/offer.pdf", bytes(220_118)},
		{"Shared with clients/terms.pdf", bytes(65_536)},
		{"Archive/2019/report.pdf", bytes(327_680)},
		{"Archive/2019/report-annex.zip", bytes(983_041)},
		{"Archive/日本語/資料.txt", text("こんにちは")},
		{".settings/app.json", text(`{"theme":"dusk"}`)},
	}
	for i := range 12 {
		files = append(files, file{fmt.Sprintf("Reports/2025/report-%02d.txt", i+1), text(fmt.Sprintf("Report of month %d", i+1), strings.Repeat("figures ", 40+i))})
	}
	for i, f := range files {
		if _, err := d.putBody(f.path, f.b, times{created: at(i - 30), modified: at(i)}); err != nil {
			return fmt.Errorf("sample: %w", err)
		}
	}
	_, err := d.Mkdir("Empty folder")
	return err
}

// Generate adds n items below /Generated: folders of at most 100 files, files of at most 4 KiB whose
// bytes are generated when read. A million items fit in about a gigabyte of memory.
func (d *Drive) Generate(n int, seed uint64) error {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	top, _, err := d.mkdir(d.root, "Generated", "replace", now)
	if err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	made := 0
	for a := 0; made < n; a++ {
		area, _, err := d.mkdir(top, fmt.Sprintf("area-%04d", a), "replace", now)
		if err != nil {
			return fmt.Errorf("generate: %w", err)
		}
		made++
		for b := 0; b < 20 && made < n; b++ {
			dir, _, err := d.mkdir(area, fmt.Sprintf("folder-%02d", b), "replace", now)
			if err != nil {
				return fmt.Errorf("generate: %w", err)
			}
			made++
			for c := 0; c < 100 && made < n; c++ {
				r := mix(seed, uint64(made))
				body := &body{size: int64(r % 4096), gen: true, seed: r}
				if _, _, err := d.write(dir, fmt.Sprintf("file-%03d.txt", c), "replace", body, times{}, now); err != nil {
					return fmt.Errorf("generate: %w", err)
				}
				made++
			}
		}
	}
	return nil
}
