package fstest_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// program is a real program at work. In its scripts $D is a folder of its own on the mount, and $L one on the local disk.
// work is run once; check must hold after it, and ever after.
type program struct {
	name, needs string
	work, check string
}

var objects = flag.Int("objects", 300, "how many objects make makes")

// programs are made to work all at once.
var programs = []program{
	{"git", "git", `
		export HOME=$L GIT_CONFIG_NOSYSTEM=1
		g() { git -c user.name=T -c user.email=t@example.com -c commit.gpgsign=false -c gc.auto=0 "$@"; }
		g init -q -b main $L/origin && cd $L/origin
		for i in $(seq 40); do echo "line $i" > f$i; done
		g add . && g commit -q -m one
		g clone -q $L/origin $D/clone && cd $D/clone
		for i in $(seq 20); do echo more >> f$i; done
		g commit -q -a -m two && g checkout -q -b side && g mv f1 g1 && g commit -q -m three
		g checkout -q main && g merge -q side && g gc -q && echo new > f40 && g commit -q -a -m four`, `
		export HOME=$L GIT_CONFIG_NOSYSTEM=1
		cd $D/clone && git fsck --strict && test "$(git log --oneline | wc -l)" = 4
		git -c core.fileMode=false status --porcelain > $L/changes && test ! -s $L/changes`},
	{"sqlite", "sqlite3", `
		for mode in delete truncate persist memory wal off; do
			sqlite3 $D/$mode.db "pragma journal_mode=$mode; create table t(a integer primary key, b);
				with recursive n(i) as (select 1 union all select i+1 from n where i<500) insert into t select i, randomblob(100) from n;
				begin; delete from t where a%2; rollback; update t set b=upper(b) where a%3=0;" > /dev/null
		done`, `
		for mode in delete truncate persist memory wal off; do
			test "$(sqlite3 $D/$mode.db 'pragma integrity_check; select count(*) from t')" = "$(printf 'ok\n500')"
		done`},
	{"two at once", "sqlite3 flock", `
		sqlite3 $D/both.db 'create table t(a)'
		w() { for i in $(seq 25); do sqlite3 -cmd '.timeout 20000' $D/both.db "insert into t values($1$i)"; flock $D/lock sh -c "echo $1$i >> $D/log"; done; }
		w 1 & w 2 & wait`, `
		test "$(sqlite3 $D/both.db 'pragma integrity_check; select count(distinct a) from t')" = "$(printf 'ok\n50')"
		test "$(sort -u $D/log | wc -l)" = 50`},
	{"rsync", "rsync", `
		mkdir -p $L/a/b && for i in $(seq 20); do head -c $((i*1000)) /dev/urandom > $L/a/b/$i; done; touch -d 2020-02-02T02:02:02Z $L/a/b/7
		rsync -a $L/a/ $D/a/`, `
		test -z "$(rsync -rtic $L/a/ $D/a/ | grep '^.f')"`},
	{"tar", "tar", `
		mkdir $L/x && for i in $(seq 20); do echo $i > $L/x/$i; done; touch -d 2019-01-01T00:00:00Z $L/x/3
		tar -C $L -cf $L/x.tar x && tar -C $D -xf $L/x.tar && tar -C $D -czf $D/again.tgz x`, `
		diff -r $L/x $D/x && tar -tzf $D/again.tgz | grep -q x/20 && test "$(stat -c %Y $D/x/3)" = 1546300800`},
	{"zip", "zip unzip", `
		mkdir $D/z && for i in $(seq 10); do echo $i > $D/z/$i; done && cd $D && zip -qr z.zip z && zip -qd z.zip z/3 && unzip -q z.zip -d out`, `
		unzip -tq $D/z.zip && test "$(ls $D/out/z | wc -l)" = 9`},
	{"cp", "cp", `
		mkdir $L/c && for i in $(seq 10); do echo $i > $L/c/$i; done; touch -d 2018-08-08T08:08:08Z $L/c/8
		cp -a $L/c $D/c && cp -a $D/c $D/d`, `
		diff -r $L/c $D/d && test "$(stat -c %Y $D/d/8)" = 1533715688`},
	{"vim", "vim", `
		printf 'one\ntwo\n' > $D/v.txt
		vim -u NONE -i NONE -es -c 'set backup backupdir=. backupskip= swapfile' -c '%s/two/three/' -c 'wq' $D/v.txt < /dev/null`, `
		test "$(cat $D/v.txt)" = "$(printf 'one\nthree')" && grep -q two $D/v.txt~`},
	{"nano", "nano script", `
		printf 'one\n' > $D/n.txt && export TERM=xterm HOME=$L
		{ sleep 1; printf 'zero '; sleep 0.3; printf '\017\r'; sleep 0.3; printf '\030'; sleep 0.3; } | script -qec "nano -I -B $D/n.txt" /dev/null > $L/nano.out`, `
		test "$(cat $D/n.txt)" = "zero one" && test "$(cat $D/n.txt~)" = one`},
	{"emacs", "emacs", `
		printf 'one\n' > $D/e.txt
		HOME=$L emacs -Q --batch --eval '(setq backup-enable-predicate (lambda (_) t))' $D/e.txt --eval '(progn (goto-char (point-max)) (insert "two\n") (save-buffer))'`, `
		test "$(cat $D/e.txt)" = "$(printf 'one\ntwo')" && test "$(cat $D/e.txt~)" = one`},
	{"LibreOffice", "soffice unzip", `
		printf 'Dear reader,\n\nnothing is lost.\n' > $D/letter.txt
		lo() { HOME=$L soffice -env:UserInstallation=file://$L/lo --headless "$@" > $L/lo.out 2>&1; }
		lo --convert-to odt:writer8 --outdir $D $D/letter.txt
		lo --convert-to docx --outdir $D $D/letter.odt && lo --convert-to pdf --outdir $D $D/letter.docx`, `
		unzip -tq $D/letter.odt && unzip -tq $D/letter.docx && unzip -p $D/letter.docx word/document.xml | grep -q 'nothing is lost'
		head -c 5 $D/letter.pdf | grep -q %PDF-`},
	{"make", "make", `
		cd $D && { echo 'all: $(addsuffix .o,$(shell seq '$N'))'; echo '%.o: %.c'; printf '\tcp $< $@\n'; } > Makefile
		for i in $(seq $N); do echo $i > $i.c; done
		make -s -j4`, `
		cd $D && make -q && test "$(ls *.o | wc -l)" = $N && cmp 7.c 7.o`},
}

// TestWhatProgramsMakeOutlivesFlushMountAndWipe lets real programs work all at once on a mount of an emulated drive, and
// looks at what they made: after that, after a flush, after a mount anew, and after the loss of the local state.
func TestWhatProgramsMakeOutlivesFlushMountAndWipe(t *testing.T) {
	if testing.Short() {
		t.Skip("real programs take their time")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: nothing can be mounted here")
	}
	var have []program
	for _, p := range programs {
		missing := slices.IndexFunc(strings.Fields(p.needs+" sh"), func(n string) bool { _, err := exec.LookPath(n); return err != nil })
		if missing >= 0 {
			t.Logf("%s is left out: %s is not installed", p.name, strings.Fields(p.needs + " sh")[missing])
			continue
		}
		have = append(have, p)
	}
	w := simtest.New(t, graphtest.Options{}, func(*graphtest.Drive) {})
	local := t.TempDir()
	root, end := mount(t, w)
	defer func() { end() }()
	// That of the daemon, which must not count: each script has its own.
	defer syscall.Umask(syscall.Umask(0o077))
	all := func(when string, script func(program) string) {
		t.Helper()
		var run sync.WaitGroup
		for _, p := range have {
			run.Go(func() {
				name := strings.ReplaceAll(p.name, " ", "-")
				d, l := filepath.Join(root, name), filepath.Join(local, name)
				if err := os.MkdirAll(d, 0o755); err != nil {
					t.Errorf("%s: %v", p.name, err)
					return
				}
				if err := os.MkdirAll(l, 0o755); err != nil {
					t.Errorf("%s: %v", p.name, err)
					return
				}
				c := exec.Command("sh", "-euc", "umask 022\n"+script(p))
				c.Dir = l
				c.Env = append(os.Environ(), "D="+d, "L="+l, fmt.Sprint("N=", *objects))
				began := time.Now()
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%s, %s: %v\n%.2000s", p.name, when, err, out)
				}
				t.Logf("%s, %s: %v", p.name, when, time.Since(began).Round(time.Millisecond))
			})
		}
		run.Wait()
	}
	work := func(p program) string { return p.work }
	check := func(p program) string { return p.check }
	all("at work", work)
	all("after work", check)
	made := seen(t, root)
	if len(made) < 50*len(have)/2 {
		t.Errorf("%d files were made", len(made))
	}
	for _, step := range []struct {
		when string
		do   func()
	}{
		{"after a flush", func() { w.Flush() }},
		{"after a mount", func() { end(); root, end = mount(t, w) }},
		{"after a flush, the loss of the local state and a mount", func() {
			w.Flush()
			end()
			w.Open(simtest.Folder(t))
			w.Refresh()
			root, end = mount(t, w)
		}},
	} {
		step.do()
		now := seen(t, root)
		for name, is := range now {
			if was, ok := made[name]; !ok || was != is {
				t.Errorf("%s: %s is %q, was %q", step.when, name, is, was)
			}
		}
		for name := range maps.Keys(made) {
			if _, ok := now[name]; !ok {
				t.Errorf("%s: %s is gone", step.when, name)
			}
		}
		all(step.when, check)
		made = seen(t, root) // git looks at its files anew
		if t.Failed() {
			return
		}
	}
}

// seen lists what is below a folder: bytes and times, to the second, of files.
func seen(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d iofs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		name := strings.TrimPrefix(p, root)
		if d.IsDir() {
			all[name] = "a folder"
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		all[name] = fmt.Sprintf("%d bytes, %x, %s", len(b), sum[:6], st.ModTime().UTC().Format(time.DateTime))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
