"""Results for people: the report page, audit pages, tables, plots and text."""
