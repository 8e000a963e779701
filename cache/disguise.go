package cache

import "github.com/duskfs/duskfs/graph/name"

// Disguised lists the paths of what is shown under another name than the service has for it, since no
// file here can have that, or another file has: see name.Local and name.Twin.
func (s *Store) Disguised(drive DriveNum) (paths []string, err error) {
	err = s.view(func(x *tx) error {
		var found []Ino
		err := x.each([]byte{rowNode}, nil, func(k, v []byte) (bool, error) {
			n, err := decodeNode(inoOfKey(k), v)
			if err == nil && n.Drive == drive && placed(&n) && name.Remote(n.Name) != n.Name {
				found = append(found, n.Ino)
			}
			return true, err
		})
		if err != nil {
			return err
		}
		for _, ino := range found {
			p, err := x.path(ino)
			if err != nil {
				return err
			}
			paths = append(paths, p)
		}
		return nil
	})
	return paths, err
}
