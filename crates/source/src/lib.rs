//! Git repositories: fetch a commit, read a file, walk its history, archive its tree.
