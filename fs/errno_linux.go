package fs

import "syscall"

const errnoNoXattr = syscall.ENODATA
