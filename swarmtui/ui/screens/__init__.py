"""Screens over the panes: plans to confirm, runs to watch, objects described, questions asked. All opaque."""
