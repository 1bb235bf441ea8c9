package pgtest

// Reachable reports whether a server run by this process could use a cluster in dir: nil, or an error that wraps
// ErrClosedDirectory where the user that PostgreSQL runs as may not enter a directory on the way.
func Reachable(dir string) error {
	who, err := serverOwner()
	if err != nil {
		return err
	}
	return who.reaches(dir)
}
