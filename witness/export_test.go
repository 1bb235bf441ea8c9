package witness

import "os"

// SetSync puts f in the place of fsync.
func (w *Witness) SetSync(f func(*os.File) error) { w.dir.sync = f }

// SetMirror puts sync in the place of fsync in mirrors, and has unfinished pulls note how far they are that often.
func (o *Options) SetMirror(sync func(*os.File) error, noteEvery int) {
	o.mirrorSync, o.noteEvery = sync, noteEvery
}
