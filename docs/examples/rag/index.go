package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/mapping"
	_ "github.com/blevesearch/bleve/v2/search/highlight/highlighter/ansi" // marks the words that matched
	"github.com/blevesearch/bleve/v2/search/query"

	"github.com/duskfs/duskfs/cache/mirror"
)

// Index is a search index of mirrored files, by path.
type Index struct{ b bleve.Index }

// doc is a file as the index has it.
type doc struct {
	Name string   `json:"name"`
	Text string   `json:"text"`
	Who  []string `json:"who"` // who may see it, one entry of the report each
}

// Open opens the index in a folder, making it if needed.
func Open(dir string) (*Index, error) {
	b, err := bleve.Open(dir)
	if errors.Is(err, bleve.ErrorIndexPathDoesNotExist) {
		b, err = bleve.New(dir, fields())
	}
	return &Index{b}, err
}

// Close closes the index.
func (ix *Index) Close() error { return ix.b.Close() }

// fields says that who may see a file is matched as a whole, and never as words of a text.
func fields() mapping.IndexMapping {
	who := bleve.NewTextFieldMapping()
	who.Analyzer, who.IncludeInAll = keyword.Name, false
	d := bleve.NewDocumentMapping()
	d.AddFieldMappingsAt("who", who)
	m := bleve.NewIndexMapping()
	m.DefaultMapping = d
	return m
}

// lastKey holds the name of the last report that was applied; docKey the document of a path.
const lastKey = "last"

func docKey(path string) []byte { return []byte("doc " + path) }

// Feed applies the reports in a folder that are newer than the last one applied, in their order, and returns how many.
// root is where the paths in them start from.
func (ix *Index) Feed(logs, root string) (int, error) {
	last, err := ix.b.GetInternal([]byte(lastKey))
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob(filepath.Join(logs, "sync_changes_*.json"))
	if err != nil {
		return 0, err
	}
	slices.SortFunc(files, func(a, b string) int { return compare(filepath.Base(a), filepath.Base(b)) })
	n := 0
	for _, f := range files {
		if name := filepath.Base(f); len(last) > 0 && compare(name, string(last)) <= 0 {
			continue
		}
		if err := ix.apply(f, root); err != nil {
			return n, fmt.Errorf("%s: %w", f, err)
		}
		n++
	}
	return n, nil
}

// compare puts reports into the order in which they were written: by time, then by the number of those of one second.
func compare(a, b string) int {
	split := func(s string) (stamp string, n int) {
		s = strings.TrimSuffix(strings.TrimPrefix(s, "sync_changes_"), ".json")
		const stampLen = len("2006-01-02_15-04-05")
		if len(s) > stampLen {
			n, _ = strconv.Atoi(s[stampLen+1:])
			s = s[:stampLen]
		}
		return s, max(n, 1)
	}
	as, an := split(a)
	bs, bn := split(b)
	if c := strings.Compare(as, bs); c != 0 {
		return c
	}
	return an - bn
}

// apply does what a report says, and remembers it, in one step. Doing so twice does no harm.
func (ix *Index) apply(file, root string) error {
	r, err := mirror.ReadReport(file)
	if err != nil {
		return err
	}
	batch := ix.b.NewBatch()
	for path, f := range r.Changes.Added {
		if err := put(batch, path, doc{Text: text(root, f.FilePath), Who: f.Permissions}); err != nil {
			return err
		}
	}
	for path, f := range r.Changes.Modified {
		d, err := ix.doc(path)
		if err != nil {
			return err
		}
		if f.ContentChanged {
			d.Text = text(root, f.FilePath)
		}
		if f.PermissionsChanged {
			d.Who = f.PermissionChanges.Current
		}
		if err := put(batch, path, d); err != nil {
			return err
		}
	}
	for path, f := range r.Changes.PermissionsOnly {
		d, err := ix.doc(path) // the text is not read again
		if err != nil {
			return err
		}
		d.Who = f.PermissionChanges.Current
		if err := put(batch, path, d); err != nil {
			return err
		}
	}
	for path := range r.Changes.Deleted {
		batch.Delete(path)
		batch.DeleteInternal(docKey(path))
	}
	batch.SetInternal([]byte(lastKey), []byte(filepath.Base(file)))
	return ix.b.Batch(batch)
}

// doc returns the document of a path, an empty one if there is none.
func (ix *Index) doc(path string) (d doc, err error) {
	b, err := ix.b.GetInternal(docKey(path))
	if err == nil && b != nil {
		err = json.Unmarshal(b, &d)
	}
	return d, err
}

func put(batch *bleve.Batch, path string, d doc) error {
	d.Name = path
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	batch.SetInternal(docKey(path), b)
	// What may be read by whom counts, not how much more somebody may do. What nobody understands lets nobody in.
	var who []string
	for _, entry := range d.Who {
		if name, level, ok := strings.Cut(entry, ":::"); ok && (level == "View" || level == "Edit" || level == "Full Control") {
			who = append(who, name)
		}
	}
	d.Who = who
	return batch.Index(path, d)
}

// textMost is how much of a file goes into the index.
const textMost = 1 << 20

// text reads a file if it is text. Of others the name alone is found; a real program reads documents here. One that is not
// there any more is named by a later report.
func text(root, file string) string {
	if !filepath.IsAbs(file) {
		file = filepath.Join(root, filepath.FromSlash(file))
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err != nil || !utf8.Valid(b) || strings.Contains(string(b[:min(len(b), 512)]), "\x00") {
		return ""
	}
	return string(b[:min(len(b), textMost)])
}

// Hit is one answer.
type Hit struct {
	Path     string
	Fragment string // of the text, with the words that matched
}

// Ask returns the files that match words and that somebody may see who has one of the names: a person and the person's
// groups. Who has no name sees nothing.
func (ix *Index) Ask(words string, as []string) ([]Hit, error) {
	var may []query.Query
	for _, name := range as {
		q := bleve.NewTermQuery(name)
		q.SetField("who")
		may = append(may, q)
	}
	if len(may) == 0 {
		return nil, nil
	}
	match := bleve.NewMatchQuery(words)
	named := bleve.NewMatchQuery(words)
	match.SetField("text")
	named.SetField("name")
	// The filter is part of the query, so that neither the number of hits nor their order tells of what is hidden.
	req := bleve.NewSearchRequest(bleve.NewConjunctionQuery(bleve.NewDisjunctionQuery(match, named), bleve.NewDisjunctionQuery(may...)))
	req.Highlight = bleve.NewHighlightWithStyle("ansi")
	req.Highlight.AddField("text")
	res, err := ix.b.Search(req)
	if err != nil {
		return nil, err
	}
	var hits []Hit
	for _, h := range res.Hits {
		hits = append(hits, Hit{Path: h.ID, Fragment: strings.Join(h.Fragments["text"], " … ")})
	}
	return hits, nil
}
