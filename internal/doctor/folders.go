package doctor

import (
	"fmt"
	"slices"
	"time"
)

// Bounds for disks. The store's is etcd's advice: "99th percentile of fdatasync under 10 ms" (etcd.io, hardware and FAQ).
const (
	storeSyncWarn   = 10 * time.Millisecond
	storeSyncDanger = 100 * time.Millisecond // a fifth of the store's election timeout
	dataSyncWarn    = 25 * time.Millisecond
	dataSyncDanger  = 500 * time.Millisecond
	freeDanger      = 5 // percent
	freeWarn        = 20
)

var folderRules = []Rule{
	{"disk-space", "free space and inodes", hasFolders, checkSpace},
	{"file-system", "store and data lie on a disk that keeps them", hasFolders, checkFileSystem},
	{"fsync", "how long the disks take to keep a record", hasFolders, checkSync},
	{"disks-apart", "store, data and WAL do not share a disk", hasFolders, checkApart},
}

func hasFolders(f *Facts) bool { return len(f.Folders) > 0 }

// Disks are the folders without the WAL where it lies with the data.
func (f *Facts) Disks() []Folder {
	data := slices.IndexFunc(f.Folders, func(d Folder) bool { return d.Use == "data" })
	return slices.DeleteFunc(slices.Clone(f.Folders), func(d Folder) bool { return d.Use == "wal" && data >= 0 && d.Disk == f.Folders[data].Disk })
}

func checkSpace(f *Facts) (out []Finding) {
	for _, d := range f.Disks() {
		if d.Err != "" {
			out = append(out, unknown(d.Path, "the file system cannot be looked at: "+d.Err, ""))
			continue
		}
		out = append(out, lowOn(d, "bytes", d.Free, d.Total)...)
		out = append(out, lowOn(d, "inodes", d.FreeNodes, d.AllNode)...)
	}
	return out
}

// lowOn judges one of a file system's resources. 20 % is what Quorate wants free to keep a diverged folder aside.
func lowOn(d Folder, what string, free, total uint64) []Finding {
	if total == 0 {
		return nil
	}
	percent := float64(free) / float64(total) * 100
	text := fmt.Sprintf("%.0f%% of the %s of its file system are free", percent, what)
	if what == "bytes" {
		text = fmt.Sprintf("%s of %s are free (%.0f%%)", size(free), size(total), percent)
	}
	switch {
	case percent < freeDanger && d.Use == "store":
		return []Finding{danger(d.Path, text+": a store that cannot write leaves the cluster", "make space")}
	case percent < freeDanger:
		return []Finding{danger(d.Path, text+": PostgreSQL stops when the disk is full", "make space: slots that hold WAL (see slots), a failing archive_command, folders kept aside (quorate diverged list)")}
	case percent < freeWarn && d.Use == "data":
		return []Finding{warning(d.Path, text+": after a divergence the old folder is kept only with 20% free", "make space, or enlarge the volume")}
	}
	return nil
}

// volatile and remote file systems, as statfs names them.
var (
	inMemory = []string{"tmpfs", "ramfs"}
	remote   = []string{"nfs", "nfs4", "cifs", "smb", "smb2", "9p", "fuse"}
)

func checkFileSystem(f *Facts) (out []Finding) {
	for _, d := range f.Folders {
		switch {
		case slices.Contains(inMemory, d.FSType):
			out = append(out, danger(d.Path, "it lies in memory ("+d.FSType+"): a restart of the host loses it", "move it to a disk"))
		case slices.Contains(remote, d.FSType):
			out = append(out, warning(d.Path, "it lies on "+d.FSType+": fsync and locks are only as good as the server and its options", "use a local disk or a block device"))
		case d.OnRoot && d.Use == "data":
			out = append(out, warning(d.Path, "the data lies on the root volume: logs and packages can fill it", "give the data a volume of its own"))
		}
	}
	return out
}

func checkSync(f *Facts) (out []Finding) {
	for _, d := range f.Disks() {
		if d.Sync == nil {
			continue
		}
		warn, bad, advice := dataSyncWarn, dataSyncDanger, "every commit waits for it: use a faster volume for WAL (gp3 with provisioned IOPS, io2, NVMe)"
		if d.Use == "store" {
			warn, bad, advice = storeSyncWarn, storeSyncDanger, "etcd's advice is 10 ms: put the store on an SSD that it does not share with the database"
		}
		text := fmt.Sprintf("a record is on disk after %s in the median, %s in 99 of 100 cases, %s at most (%d tries)", ms(d.Sync.P50), ms(d.Sync.P99), ms(d.Sync.Max), d.Sync.Count)
		switch {
		case d.Sync.P99 >= bad:
			out = append(out, danger(d.Path, text, advice))
		case d.Sync.P99 >= warn:
			out = append(out, warning(d.Path, text, advice))
		}
	}
	return out
}

func checkApart(f *Facts) (out []Finding) {
	find := func(use string) Folder {
		i := slices.IndexFunc(f.Folders, func(d Folder) bool { return d.Use == use })
		if i < 0 {
			return Folder{}
		}
		return f.Folders[i]
	}
	store, data, wal := find("store"), find("data"), find("wal")
	if store.Disk == "" {
		return nil
	}
	if store.Disk == wal.Disk || store.Disk == data.Disk {
		out = append(out, warning(store.Path, "the store shares the disk "+store.Disk+" with the database: a checkpoint or a bulk load can delay the store's writes, and a full disk stops both",
			"give store.data_dir a volume of its own (10 GB will do)"))
	}
	return out
}
