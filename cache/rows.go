package cache

import (
	"encoding/binary"

	"github.com/duskfs/duskfs/graph"
)

// Every row's key begins with the letter of its kind. Numbers in keys are big-endian, so that keys
// sort as the numbers do.
const (
	rowNode     = 'n' // n ino -> node with its base
	rowChild    = 'c' // c parent folded-name -> ino: names are unique because rows are
	rowOrder    = 'o' // o parent ino: a folder in ino order
	rowItem     = 'i' // i drive item -> ino of the living node that has the item
	rowPlace    = 'b' // b drive folder 0 folded-name -> items whose base place that is
	rowDirty    = 'd' // d drive ino -> what Pending wants to know of a dirty node
	rowTwin     = 'z' // z drive item: shown as a twin, as another item has its name here
	rowGone     = 'g' // g drive item -> Gone
	rowStep     = 's' // s drive ino item -> Attempt under way
	rowMissed   = 'l' // l drive ino -> Attempt that made a file, perhaps
	rowInbox    = 'q' // q drive item -> incoming item, last state wins
	rowSeen     = 'e' // e drive item: brought by the enumeration under way
	rowReport   = 'r' // r drive number -> Report
	rowReceipt  = 'v' // v drive number -> Receipt
	rowDrop     = 'x' // x ino: a body to be dropped, and a removed node's row with it
	rowJob      = 'j' // j kind ino -> work in parts that is not done yet
	rowXattr    = 'a' // a ino name -> value of an extended attribute
	rowCopy     = 'u' // u copy path -> what the remote has of a file of a plain folder
	rowCopyItem = 'w' // w copy item -> path
	rowCopyStep = 't' // t copy path -> CopyStep under way
	rowMeta     = 'm' // m name -> counters, drives, feeds, versions
)

const (
	metaSchema = "schema"
	metaFold   = "fold"
	metaInos   = "inos"
	metaSeqs   = "seqs"
	metaDrive  = "drive/"
	metaFeed   = "feed/"
	metaCount  = "count/"
	// metaCommits counts the changes of the store.
	metaCommits = "commits"
)

// schemaVersion is raised whenever an older program could misread what a newer one wrote.
const schemaVersion = 1

func be64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }
func be32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

func inoKey(kind byte, ino Ino) []byte {
	return be64(append(make([]byte, 0, 9), kind), uint64(ino))
}

func nodeKey(ino Ino) []byte { return inoKey(rowNode, ino) }
func dropKey(ino Ino) []byte { return inoKey(rowDrop, ino) }

func childKey(parent Ino, folded string) []byte {
	k := be64(append(make([]byte, 0, 9+len(folded)), rowChild), uint64(parent))
	return append(k, folded...)
}

func orderKey(parent, ino Ino) []byte {
	k := be64(append(make([]byte, 0, 17), rowOrder), uint64(parent))
	return be64(k, uint64(ino))
}

func orderPrefix(parent Ino) []byte { return inoKey(rowOrder, parent) }

func drivePrefix(kind byte, d DriveNum) []byte {
	return be32(append(make([]byte, 0, 5), kind), uint32(d))
}

func itemKey(kind byte, d DriveNum, item graph.ItemID) []byte {
	k := be32(append(make([]byte, 0, 5+len(item)), kind), uint32(d))
	return append(k, item...)
}

func itemOfKey(k []byte) graph.ItemID { return graph.ItemID(k[5:]) }

// folderPrefix begins the keys of all base places in a remote folder.
func folderPrefix(d DriveNum, folder graph.ItemID) []byte {
	return append(itemKey(rowPlace, d, folder), 0)
}

func placeKey(d DriveNum, p Place) []byte {
	return append(folderPrefix(d, p.Folder), p.Key...)
}

func dirtyKey(d DriveNum, ino Ino) []byte { return be64(drivePrefix(rowDirty, d), uint64(ino)) }

// inoOfKey reads the ino at the end of a dirty or order key.
func inoOfKey(k []byte) Ino { return Ino(binary.BigEndian.Uint64(k[len(k)-8:])) }

// stepKey is by ino, or for a deletion, which has no node, by item.
func stepKey(d DriveNum, ino Ino, item graph.ItemID) []byte {
	k := be64(drivePrefix(rowStep, d), uint64(ino))
	if ino == 0 {
		k = append(k, item...)
	}
	return k
}

func missedKey(d DriveNum, ino Ino) []byte { return be64(drivePrefix(rowMissed, d), uint64(ino)) }

func numberKey(kind byte, d DriveNum, n uint64) []byte { return be64(drivePrefix(kind, d), n) }

func metaKey(name string) []byte { return append([]byte{rowMeta}, name...) }

func metaDriveKey(name string, d DriveNum) []byte {
	return be32(metaKey(name), uint32(d))
}

// jobKey names work in parts on a folder.
func jobKey(kind jobKind, ino Ino) []byte {
	return be64([]byte{rowJob, byte(kind)}, uint64(ino))
}
