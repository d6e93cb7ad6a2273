"""What we do to a cluster: runbooks make plans, plans have steps, one runner runs them all and journals what it did."""
