package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report measures everything there is and writes it to a file, once all of it is known.
func report(ctx context.Context, file string, p plan, records uint64) error {
	var page bytes.Buffer
	w := io.MultiWriter(&page, os.Stdout)
	fmt.Fprint(w, "# What the log costs\n\nWritten by `make bench`; how it is measured stands in `go doc ./cmd/internal/logbench`. Read the ratios: all systems took\n"+
		"turns in one run, but absolute figures are of this machine at this time.\n\n")
	load := loadBefore()
	fmt.Fprintf(w, "- %s\n", strings.Join(append(machine(p.dir), fmt.Sprintf("load %.2f before", load)), "\n- "))
	if load > 1 {
		fmt.Fprintln(w, "\n**Others used the machine too: CPU and times are larger here than they are, and verdicts on them mean little.**")
	}
	fmt.Fprintf(w, "\n## Durable appends of %d bytes\n\n%d rounds of %v each, medians; each append waited for. Shiguan seals and signs, the others get the bytes in clear.\n\n",
		entrySize, p.rounds, p.length)
	r, err := p.run(ctx)
	if err != nil {
		return err
	}
	r.print(w)
	fmt.Fprintln(w)
	r.judge(w)
	fmt.Fprintf(w, "\n## A log that grows to %d records\n\n", records)
	if err := grow(ctx, w, filepath.Join(p.dir, "log"), records); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, page.Bytes(), 0o644)
}

// machine describes what was measured on.
func machine(dir string) []string {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return []string{
		fmt.Sprintf("%s, %d cores, %s of memory", firstValue("/proc/cpuinfo", "model name"), runtime.NumCPU(), firstValue("/proc/meminfo", "MemTotal")),
		fmt.Sprintf("%s, %s, %s", kernel, fileSystemOf(dir), runtime.Version()),
		time.Now().UTC().Format("2006-01-02 15:04 UTC"),
	}
}

// firstValue is what stands behind the first occurrence of a name and a colon in a file of the kernel's.
func firstValue(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// loadBefore is how many processes have wanted to run of late; 0 if the kernel does not say.
func loadBefore() (load float64) {
	text, _ := os.ReadFile("/proc/loadavg")
	fmt.Sscan(string(text), &load)
	return load
}

func fileSystemOf(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "unknown file system"
	}
	names := map[uint32]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs, which is no disk", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	if name, ok := names[uint32(st.Type)]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", st.Type)
}

// spread asks ext4 to put each directory made in this one into a block group of its own, as it does at the root. In one
// group a system that removes many files makes all others slow that create some: ext4 passes over every inode that was
// free for less than some minutes. On other file systems it does nothing.
func spread(dir string) {
	const topDir = 0x00020000 // FS_TOPDIR_FL, chattr +T
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir) // a wish
	}
}
