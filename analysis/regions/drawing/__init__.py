"""Region labels from elsewhere and by hand: files of other programs, polygons on the flat map, an atlas."""
