"""The backend `full`: CPython in a sandbox of bubblewrap and seccomp."""
