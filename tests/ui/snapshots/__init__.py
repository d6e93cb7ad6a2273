"""Pictures of every view, dialog and theme, compared with the SVG files in `__snapshots__/`.

They are drawn of one cluster written by hand (`cluster.py`), at one moment of time (`stage.NOW`), by the product's own
session, tables and screens: only the engine at the other end is ours. So a picture is the same on every machine.

After a change of how something looks, draw them anew and look at what differs (`git diff --stat`, then the files):

    .venv/bin/python -m pytest tests/ui/snapshots --snapshot-update

That also removes pictures that no test draws any more. Without that option nothing is ever written: a picture that is
missing fails, as does one that differs, with the lines that differ and the place of the picture as it is now.
"""
