package fstest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
)

// TestPrograms runs real programs, where they are installed, in a folder of a mount. In a script $D
// is that folder, $L one on the local disk and $D/remote holds files of the remote of which nothing
// is here: r0.bin to r4.bin, also in $L/remote, r4.bin being zeros but for its end.
func TestPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("real programs take their time")
	}
	for _, p := range []struct {
		name   string
		needs  string // programs
		script string
	}{
		{"git", "git", `
			export HOME=$L GIT_CONFIG_NOSYSTEM=1
			g() { git -c user.name=T -c user.email=t@example.com -c commit.gpgsign=false "$@"; }
			g init -q -b main $L/origin && cd $L/origin
			for i in $(seq 60); do echo "line $i" > f$i; done
			g add . && g commit -q -m one
			g clone -q $L/origin $D/clone && cd $D/clone
			test -z "$(git status --porcelain)"
			for i in $(seq 30); do echo more >> f$i; done
			g checkout -q -b side && g commit -q -a -m two
			g checkout -q main && echo x > new && g add new && g commit -q -m three
			g merge -q -m merge side && g rebase -q HEAD && g gc -q && g fsck --strict
			g stash list; test -z "$(git status --porcelain)"
			test "$(git log --oneline | wc -l)" = 4
			rm -rf $D/clone && test ! -e $D/clone`},
		{"sqlite", "sqlite3", `
			for mode in delete truncate persist memory wal off; do
				sqlite3 $D/$mode.db "pragma journal_mode=$mode; create table t(a integer primary key, b);
					with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t select i, randomblob(100) from n;
					begin; delete from t where a%2; rollback; begin; update t set b=upper(b) where a%3=0; commit; vacuum;" > /dev/null
				test "$(sqlite3 $D/$mode.db 'pragma integrity_check; select count(*) from t')" = "$(printf 'ok\n2000')"
			done`},
		{"rsync", "rsync", `
			rsync -aS $D/remote/ $L/c/ && diff -r $L/remote $L/c
			rsync -a --checksum $D/remote/ $L/a/ && diff -r $L/remote $L/a
			rsync -a $L/a/ $D/b/ && diff -r $L/remote $D/b
			test -z "$(rsync -ai $L/a/ $D/b/)"
			echo changed >> $L/a/r1.bin && rsync -a --inplace $L/a/ $D/b/ && cmp $L/a/r1.bin $D/b/r1.bin`},
		{"tar", "tar", `
			tar -S -C $D/remote -cf $L/t.tar . && mkdir $L/x $D/x && tar -C $L/x -xf $L/t.tar && diff -r $L/remote $L/x
			tar -C $D/x -xpf $L/t.tar && diff -r $L/remote $D/x
			truncate -s 4M $D/x/holes && printf end >> $D/x/holes && cp $D/x/holes $L/x/holes
			tar -S -C $D/x -cf $L/u.tar . && mkdir $L/y && tar -C $L/y -xf $L/u.tar && diff -r $L/x $L/y`},
		{"cp", "cp", `
			for how in --sparse=always --sparse=auto --sparse=never --reflink=auto -a; do
				rm -rf $D/c $L/c && mkdir $D/c
				cp -r $how $D/remote $D/c/ && diff -r $L/remote $D/c/remote
				cp -r $how $D/remote $L/c && diff -r $L/remote $L/c
			done
			cp -a $L/remote $D/d && test "$(stat -c %Y $D/d/r1.bin)" = "$(stat -c %Y $L/remote/r1.bin)"`},
		{"zip", "zip unzip", `
			cd $D && zip -qr z.zip remote && mkdir out && cd out && unzip -q ../z.zip && diff -r remote $L/remote
			zip -qd ../z.zip remote/r1.bin && ! unzip -l ../z.zip | grep -q r1.bin`},
		{"vim", "vim", `
			printf 'one\ntwo\n' > $D/v.txt && chmod 600 $D/v.txt
			vim -u NONE -i NONE -es -c 'set backup writebackup backupdir=. swapfile' -c '%s/two/three/' -c 'wq' $D/v.txt < /dev/null
			test "$(cat $D/v.txt)" = "$(printf 'one\nthree')" && test "$(stat -c %a $D/v.txt)" = 600`},
		{"make", "make", `
			cd $D && mkdir m && cd m
			{ echo 'all: $(addsuffix .o,$(shell seq 150))'; echo '%.o: %.c'; printf '\tcp $< $@\n'; } > Makefile
			for i in $(seq 150); do echo $i > $i.c; done
			make -s -j4 && test "$(ls *.o | wc -l)" = 150
			make -q
			sleep 0.01; echo new > 7.c; ! make -q && make -s && cmp 7.c 7.o`},
		{"install", "install", `
			printf '#!/bin/sh\necho ran\n' > $L/s && install -m 755 $L/s $D/s && test "$($D/s)" = ran
			chmod 0 $D/s && test "$(stat -c %a $D/s)" = 0`},
		{"umask", "stat", `
			(umask 027; : > $D/a; mkdir $D/b) && test "$(stat -c %a $D/a $D/b | paste -s -d ' ')" = "640 750"
			(umask 0; : > $D/c; mkdir -m 1777 $D/d) && test "$(stat -c %a $D/c $D/d | paste -s -d ' ')" = "666 1777"`},
		{"touch", "touch stat", `
			touch -d '2001-02-03 04:05:06.123456789 UTC' $D/t && test "$(stat -c '%.9X %.9Y' $D/t)" = "981173106.123456789 981173106.123456789"
			touch -m -d '2002-02-02 00:00:00.5 UTC' $D/t && test "$(stat -c '%.1X %.1Y' $D/t)" = "981173106.1 1012608000.5"
			changed=$(stat -c %.9Z $D/t) && touch -a $D/t && test "$(stat -c %.1Y $D/t)" = 1012608000.5
			test "$(stat -c %X $D/t)" -gt 1700000000 && test "$(stat -c %.9Z $D/t)" != $changed
			touch $D/t && test "$(stat -c %Y $D/t)" -gt 1700000000`},
		{"du", "du ls df", `
			test "$(ls -s $D/remote/r3.bin | cut -d ' ' -f 1)" = 1
			test "$(ls -s $D/remote/r0.bin | cut -d ' ' -f 1)" = 0
			test "$(du -k --apparent-size $D/remote/r3.bin | cut -f 1)" = 1024
			cat $D/remote/r3.bin > /dev/null && until test "$(du -k $D/remote/r3.bin | cut -f 1)" -ge 1024; do :; done
			test "$(df -k --output=avail $D | tail -n 1)" -gt 1000000`},
		{"sync", "sync", `
			echo 1 > $D/s && sync $D/s && sync $D && sync -d $D/s && sync -f $D/s`},
		{"dd", "dd", `
			dd if=$D/remote/r3.bin of=$D/dd.bin bs=4096 iflag=direct status=none && cmp $D/dd.bin $L/remote/r3.bin
			dd if=$L/remote/r3.bin of=$D/de.bin bs=4096 oflag=direct,sync status=none && cmp $D/de.bin $L/remote/r3.bin
			printf X | dd of=$D/de.bin bs=1 seek=5000000000 conv=notrunc status=none && test "$(stat -c %s $D/de.bin)" = 5000000001
			test "$(tail -c 1 $D/de.bin)" = X`},
		{"inotifywait", "inotifywait", `
			mkdir $D/w && echo old > $D/w/old
			inotifywait -q -m -e create,close_write,moved_to,moved_from,delete,attrib --format '%e %f' $D/w > $L/events 2> $L/said & watcher=$!
			trap "kill $watcher" EXIT
			until touch $D/w/old && grep -q 'ATTRIB old' $L/events; do sleep 0.05; done
			echo new > $D/w/new && mv $D/w/new $D/w/newer && rm $D/w/old && touch $D/w/last
			until grep -q 'CLOSE_WRITE,CLOSE last' $L/events; do sleep 0.05; done
			for e in 'CREATE new' 'CLOSE_WRITE,CLOSE new' 'MOVED_FROM new' 'MOVED_TO newer' 'DELETE old'; do grep -qx "$e" $L/events; done`},
		{"flock", "flock", `
			for i in $(seq 8); do flock $D/lock sh -c "n=\$(cat $D/n 2>/dev/null || echo 0); echo \$((n+1)) > $D/n" & done; wait
			test "$(cat $D/n)" = 8`},
	} {
		t.Run(p.name, func(t *testing.T) {
			for _, need := range append(strings.Fields(p.needs), "sh") {
				if _, err := exec.LookPath(need); err != nil {
					t.Skipf("%s is not installed", need)
				}
			}
			local := t.TempDir()
			w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) {
				if err := os.Mkdir(filepath.Join(local, "remote"), 0o755); err != nil {
					t.Fatal(err)
				}
				for i, data := range remoteFiles() {
					name := fmt.Sprintf("r%d.bin", i)
					w.Remote.Put("/desk/remote/"+name, data)
					p := filepath.Join(local, "remote", name)
					if err := os.WriteFile(p, data, 0o644); err != nil {
						t.Fatal(err)
					}
					if err := os.Chtimes(p, fstest.Date, fstest.Date); err != nil {
						t.Fatal(err)
					}
				}
			})
			_, root := w.Mount(t)
			// That of the daemon, which must not count: each script has its own.
			defer syscall.Umask(syscall.Umask(0o077))
			c := exec.Command("sh", "-euc", "umask 022\n"+p.script)
			c.Dir = local
			c.Env = append(os.Environ(), "D="+filepath.Join(root, "desk"), "L="+local)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// remoteFiles are the bytes of the files that are on the remote alone.
func remoteFiles() [][]byte {
	zeros := make([]byte, 700_001)
	zeros[700_000] = 1
	files := [][]byte{{}, []byte("short\n"), make([]byte, 4096), make([]byte, 1<<20), zeros}
	for i := range files[3] {
		files[3][i] = byte(i * (i >> 7))
	}
	return files
}
