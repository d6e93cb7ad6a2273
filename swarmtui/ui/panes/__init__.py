"""The panes: for each, its columns, and a pure function from a snapshot to rows."""
