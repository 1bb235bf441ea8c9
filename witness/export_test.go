package witness

import "os"

// SetSync puts f in the place of fsync.
func (w *Witness) SetSync(f func(*os.File) error) { w.dir.sync = f }
