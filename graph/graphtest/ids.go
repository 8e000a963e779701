package graphtest

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

func (d *Drive) guidBytes(n uint64) (raw [16]byte) {
	seed := mix(d.s.opts.Seed, uint64(len(d.id))+crc(d.id))
	binary.BigEndian.PutUint64(raw[0:], mix(seed, 2*n))
	binary.BigEndian.PutUint64(raw[8:], mix(seed, 2*n+1))
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	return raw
}

func formatGUID(raw [16]byte) string {
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", raw[0:4], raw[4:6], raw[6:8], raw[8:10], raw[10:16]))
}

// crc is a cheap number for a string.
func crc(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func (d *Drive) itemID(n uint64) string {
	if d.kind == Personal {
		return fmt.Sprintf("%s!%d", d.id, 101+n)
	}
	raw := d.guidBytes(n)
	var pre [4]byte
	binary.BigEndian.PutUint32(pre[:], uint32(crc(d.id)))
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	return "01" + enc.EncodeToString(pre[:])[:6] + enc.EncodeToString(raw[:])
}

func (d *Drive) guid(it *item) string { return formatGUID(d.guidBytes(it.n)) }

// eTag returns the eTag of an item in the form of its drive.
func (d *Drive) eTag(it *item) string {
	if d.kind == Personal {
		return "a" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s.%d", it.id, it.meta))
	}
	return fmt.Sprintf(`"{%s},%d"`, d.guid(it), it.meta)
}

// cTag returns the cTag of an item, "" for folders of business drives.
func (d *Drive) cTag(it *item) string {
	switch {
	case d.kind == Personal:
		return "a" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "c:%s.%d", it.id, it.content))
	case it.folder:
		return ""
	}
	return fmt.Sprintf(`"c:{%s},%d"`, d.guid(it), it.content)
}
