"""The programs behind docker/dtr and its component images: phase 1, phase 2, `dtr-rethinkdb` and `dtr-nginx`."""
