"""Label files of other programs: a file for each form, with reading, converting and writing apart."""
