"""Runs a command of the image docker/ucp on a host: as runbooks/image/job.py does for every image."""

from __future__ import annotations

from swarmtui.runbooks.image.job import LOAD, ClearJob, ImageJob, Result, ask_image, run_image

__all__ = ["LOAD", "ClearJob", "ImageJob", "Result", "ask_image", "run_image"]
