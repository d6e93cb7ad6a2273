"""The figures of the product: `make bench`."""
