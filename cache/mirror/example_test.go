package mirror_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// demo is a library on an emulated service, and a folder for its mirror. With a real tenant the client is
//
//	source, err := auth.New(auth.Config{Tenant: …, Client: …, Secret: …})
//	client, err := rest.New(rest.Options{Tokens: source})
//	d, err := client.Find(ctx, spec) // rest.ParseSpec("site:contoso.sharepoint.com:/sites/Engineering#Documents")
//	library := client.Drive(d.ID)
func demo() (library *rest.Drive, colleague *graphtest.Drive, dir string, end func()) {
	s, err := graphtest.New(graphtest.Options{})
	if err != nil {
		panic(err)
	}
	client, err := rest.New(rest.Options{GraphURL: s.GraphURL(), Transport: s.Transport(), Tokens: graphtest.Tokens{Server: s}, User: s.Me().UPN})
	if err != nil {
		panic(err)
	}
	if dir, err = os.MkdirTemp("", "mirror-example-"); err != nil {
		panic(err)
	}
	colleague = s.Drive("sites/Engineering#Documents")
	for _, f := range []string{"Plans/bridge.txt", "Plans/tunnel.txt", "README.txt"} {
		if _, err := colleague.Put("/"+f, []byte("text of "+f)); err != nil {
			panic(err)
		}
	}
	return client.Drive(graph.DriveID(colleague.ID())), colleague, dir, func() {
		client.Close()
		_ = s.Close()
		_ = os.RemoveAll(dir)
	}
}

// A run brings the folder up to date and writes a report of what changed.
func ExampleMirror_Sync() {
	library, colleague, dir, end := demo()
	defer end()
	m := mirror.New(mirror.Options{Service: library, Folder: filepath.Join(dir, "ms365_data"), Shown: "ms365_data", State: filepath.Join(dir, "state")})

	first, err := m.Sync(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println("added:", first.Added)

	_, _ = colleague.Put("/README.txt", []byte("other words"))
	_ = colleague.Delete("/Plans/tunnel.txt")
	second, err := m.Sync(context.Background())
	if err != nil {
		panic(err)
	}
	report, err := mirror.ReadReport(second.Report)
	if err != nil {
		panic(err)
	}
	for path, f := range report.Changes.Modified {
		fmt.Println("modified:", path, "at", f.FilePath)
	}
	for path, f := range report.Changes.Deleted {
		fmt.Println("deleted:", path, "which had", f.Permissions)
	}
	// Output:
	// added: 3
	// modified: README.txt at ms365_data/data/README.txt
	// deleted: Plans/tunnel.txt which had [Engineering Owners:::Full Control]
}

// Both sides can be listed and compared without mirroring anything.
func ExampleCompare() {
	library, _, dir, end := demo()
	defer end()
	m := mirror.New(mirror.Options{Service: library, Folder: dir, State: filepath.Join(dir, "state")})
	remote, err := m.RemoteFiles(context.Background())
	if err != nil {
		panic(err)
	}
	local, err := m.LocalFiles()
	if err != nil {
		panic(err)
	}
	added, modified, deleted := mirror.Compare(remote, local)
	fmt.Println("would add:", added)
	fmt.Println("would modify:", modified)
	fmt.Println("would delete:", deleted)
	// Output:
	// would add: [Plans/bridge.txt Plans/tunnel.txt README.txt]
	// would modify: []
	// would delete: []
}

// A rehearsal tells what a run would do.
func ExampleMirror_Rehearse() {
	library, _, dir, end := demo()
	defer end()
	m := mirror.New(mirror.Options{Service: library, Folder: filepath.Join(dir, "copy"), State: filepath.Join(dir, "state")})
	var steps []string
	_, err := m.Rehearse(context.Background(), func(s mirror.Step) { steps = append(steps, fmt.Sprint(s.Do, " ", s.Path)) })
	if err != nil {
		panic(err)
	}
	slices.Sort(steps)
	for _, s := range steps {
		fmt.Println(s)
	}
	// Output:
	// fetch Plans/bridge.txt
	// fetch Plans/tunnel.txt
	// fetch README.txt
}
