"""The forms of the pages about files, one module for each noun."""
