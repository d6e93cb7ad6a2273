"""Commands of the images that install, back up and restore UCP and DTR: as lines, as jobs, and what came of them."""
