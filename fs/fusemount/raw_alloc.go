package fusemount

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/duskfs/duskfs/cache/content"
)

// Values of lseek(2) and fallocate(2) as FUSE speaks them, which is as Linux does.
const (
	seekData = 3
	seekHole = 4

	fallocKeepSize  = 0x01
	fallocPunchHole = 0x02
	fallocZeroRange = 0x10
)

// Lseek finds data and holes. What programs wrote through memory maps must be in the file for that;
// the kernel does not see to it.
func (r *raw) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	h := r.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	if in.Whence != seekData && in.Whence != seekHole {
		return fuse.EINVAL
	}
	if h.MayBeMapped() {
		r.notices.writeback(in.NodeId)
	}
	at, err := h.Extent(ctx(cancel), int64(in.Offset), in.Whence == seekData)
	out.Offset = uint64(at)
	return r.status("lseek", in.NodeId, err)
}

func (r *raw) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := r.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	if in.Offset > 1<<62 || in.Length > 1<<62 {
		return fuse.Status(syscall.EFBIG)
	}
	var how content.Allocation
	switch in.Mode &^ fallocKeepSize {
	case 0:
	case fallocPunchHole:
		how = content.PunchHole
	case fallocZeroRange:
		how = content.ZeroRange
	default:
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	if in.Mode&fallocKeepSize != 0 {
		how |= content.KeepSize
	} else if how == content.PunchHole {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return r.status("fallocate", in.NodeId, h.Allocate(ctx(cancel), how, int64(in.Offset), int64(in.Length)))
}

func (r *raw) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	from, to := r.handle(in.FhIn), r.handle(in.FhOut)
	if from == nil || to == nil {
		return 0, fuse.EBADF
	}
	if in.Flags != 0 || in.OffIn > 1<<62 || in.OffOut > 1<<62 {
		return 0, fuse.EINVAL
	}
	n, err := to.CopyFrom(ctx(cancel), from, int64(in.OffIn), int64(in.OffOut), int64(min(in.Len, 1<<30)))
	return uint32(n), r.status("copy_file_range", in.NodeId, err)
}
