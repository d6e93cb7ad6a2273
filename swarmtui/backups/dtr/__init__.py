"""What is inside the archives of DTR, how they are judged, and those made by hand taken in."""
